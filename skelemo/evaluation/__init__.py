"""Metrics, scores, figures and pages, from run folders alone."""
