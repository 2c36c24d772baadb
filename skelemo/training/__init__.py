"""Training: from a cache and a configuration to a run folder."""
