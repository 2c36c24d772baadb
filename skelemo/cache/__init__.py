"""Sequences on disk: flat HDF5 shards and the folder that is their union.

``docs/pages/cache-format.md`` specifies a shard byte by byte, for readers in other languages.
"""
