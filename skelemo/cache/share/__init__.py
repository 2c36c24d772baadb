"""Caches on their way between machines, by any file system that fsspec knows.

A shared cache is a folder of shards like any other, and whoever can list a folder needs no more. Beside each shard
``NAME.h5`` a push leaves ``NAME.json``, which says what sequences are in it, so that ``--only`` fetches no others, and
``index.json``, the names of all shards, for web servers that list no folders. Both can be made from the shards, and
neither is trusted: what has been fetched is checked by the hashes in it before it gets its name.
"""
