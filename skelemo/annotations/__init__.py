"""Readers of label files, found by name."""
