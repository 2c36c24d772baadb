"""Many trainings from one file: a grid of settings, or a search for the best."""
