"""Sequences on disk: flat HDF5 shards and the folder that is their union."""
