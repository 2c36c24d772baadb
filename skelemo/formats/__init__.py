"""Caches for other programs, and other programs' keypoints as caches: one file for each format."""
