"""A corpus with corrected labels."""

from dataclasses import replace
from typing import Any

import numpy as np

from skelemo.annotations.correcting import apply, label_edits
from skelemo.cache.corrections import TRACKS, TRACKS_APPLIED, Corrections
from skelemo.cache.store import Cache
from skelemo.data.corpus import Corpus
from skelemo.data.windows import labeled_as_clips
from skelemo.errors import InputError


def correct(corpus: Corpus, cache: Cache, corrections: Corrections) -> tuple[Corpus, dict[str, Any]]:
    """The corpus with corrected labels, and what a run records of it.

    Of data whose clips are labeled as a whole, a correction of any frame counts for the whole clip.

    Raises
    ------
    InputError
        A head or class that the cache does not have, or merges and swaps of tracks that it was not ingested with.
    """
    _require_tracks(cache, corrections)
    edits = label_edits(corrections, corpus.heads)
    clips = {head.name for head in corpus.heads if labeled_as_clips(corpus, head)}
    labels = {name: values.cpu().clone() for name, values in corpus.labels.items()}
    arrays = {name: values.numpy() for name, values in labels.items()}
    rows = corpus.sequences
    applied, present = 0, set(rows["video"])
    for video, person, start, length in zip(rows["video"], rows["person"], rows["start"], rows["length"], strict=True):
        if mine := edits.get((video, person)):
            frames = slice(start, start + length)
            number = corpus.number(np.arange(start, start + length))
            applied += apply(mine, number, {name: array[frames] for name, array in arrays.items()}, clips=clips)
    of_labels = sum(map(len, edits.values()))
    elsewhere = sum(len(found) for (video, _), found in edits.items() if video not in present)
    unmatched = max(0, of_labels - elsewhere - applied)
    facts = corrections.facts() | {"applied": applied, "elsewhere": elsewhere, "unmatched": unmatched}
    return replace(corpus, labels={name: values.to(corpus.device) for name, values in labels.items()}), facts


def _require_tracks(cache: Cache, corrections: Corrections) -> None:
    """Refuse a cache whose tracks are not as corrected: labels would go to the wrong people."""
    shard_of = dict(zip(cache.sequences["video"], cache.sequences["shard"], strict=True))
    undone = {row.id for row in corrections.rows if row.undone}
    applied = [set(shard.header.origin.get(TRACKS_APPLIED, "").split()) for shard in cache.shards]
    for row in corrections.rows:
        if row.video in shard_of and row.action in TRACKS:
            there = row.id in applied[shard_of[row.video]]
            if there != (row.id not in undone):
                state = "has been undone since" if there else "is not"
                raise InputError(
                    f"{corrections.path}: {row.action} {row.id} of tracks of {row.video!r} {state} in {cache.name}: "
                    f"tracks are corrected by ingest alone; ingest with --corrections {corrections.path} --replace"
                )
