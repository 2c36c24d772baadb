"""Sequences on disk: flat HDF5 shards and the folder that is their union.

A shard, for whoever reads it with another language or tool:

- ``/frames/keypoints`` float32 ``[N, V, 3]``, ``/frames/number`` int32, ``/frames/expression`` int8,
  ``/frames/valence`` and ``/frames/arousal`` float32, all ``[N]``: sequences one behind the other.
- ``/sequences``, ``/recordings`` and ``/problems``: one structured array each, a row for each sequence, recording and
  unreadable file; the columns are those of `skelemo.cache.tables.TABLES`. Text is UTF-8 of a fixed width, filled up
  with zero bytes. Frames ``start`` to ``start + length`` belong to a sequence; ``splits`` is JSON, column to part.
- Attributes of the root, all of them text: ``format`` (skelemo), ``version``, ``layout``, ``classes`` (a JSON list),
  ``simulated`` (true or false), ``settings`` (JSON), ``tool`` and ``sha256``.

Every data set is chunked, compressed by Blosc (HDF5 filter 32001, LZ4) and checksummed (Fletcher32). The attribute
``sha256`` covers the tables and the attributes but ``tool``, and begins with the file's name; a sequence's own
``sha256`` covers its facts and frames (`skelemo.cache.sequence.content_hash`).
"""
