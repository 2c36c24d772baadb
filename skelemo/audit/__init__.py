"""Audit: what in a cache looks wrong, ranked, for people to look at."""
