"""Grids of trainings, and hyperparameter search."""
