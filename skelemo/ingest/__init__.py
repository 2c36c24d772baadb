"""Recordings and their labels into a cache: planned once, worked off in groups, one shard per group."""
