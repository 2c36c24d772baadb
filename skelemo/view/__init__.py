"""The viewer, the live page, notebook cells, pages of samples and exported images."""
