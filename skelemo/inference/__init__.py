"""Predicting with trained models: files, live streams, evaluation and export."""
