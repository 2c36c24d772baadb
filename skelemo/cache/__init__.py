"""Sequences on disk: flat HDF5 shards and the folder that is their union.

The README's section "The cache format" specifies a shard for whoever reads it with another language or tool, byte by
byte where hashes go over it. `skelemo.cache.tables.TABLES` has the columns, `skelemo.cache.sequence.content_hash` and
`skelemo.cache.shard` the hashes, `skelemo.cache.statistics` what is counted for reports that read no frame.
"""
