"""Audit: labels, tracks and sequences of a cache that are probably wrong, ranked for review."""
