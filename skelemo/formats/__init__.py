"""Exports of caches to other programs, and imports of their keypoints: one file per format."""
