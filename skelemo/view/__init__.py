"""A cache as images: a page of samples, or files for other programs."""
