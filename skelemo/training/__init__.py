"""From a cache and a configuration to a run folder."""
