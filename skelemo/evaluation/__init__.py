"""Metrics, scores with intervals, and the circumplex of emotions."""
