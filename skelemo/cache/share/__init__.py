"""Caches on their way between machines, by any file system that fsspec knows.

A shared cache is a folder of shards like any other, and whoever can list a folder needs no more. Before each shard
``NAME.h5`` a push puts ``NAME.json``, which says what sequences are in it, so that ``--only`` fetches no others and
contradictions are told before anything travels; for shards that have come without it, the next push makes it. And it
puts ``index.json``, the names of all shards, for web servers that list no folders. What has been fetched is not taken
on their word, but checked by the hashes in it before it gets its name; whether an outdated shard there may go is.
"""
