"""Scores of models on other data, by group and by hidden keypoints, and what a model costs."""
