"""A cache as pictures that a person can look at, or that other programs can read."""
