"""Reads OpenPose's JSON files."""
