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
    """The corpus with corrected labels, and a run's record of the corrections.

    If whole clips are labeled, the correction of any frame applies to the whole clip.

    Raises
    ------
    InputError
        An unknown head or class, or merges and swaps of tracks that the cache was not ingested with.
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
    """Raise `InputError` if the cache's tracks are not as corrected: labels would be given to the wrong people."""
    shard_of = dict(zip(cache.sequences["video"], cache.sequences["shard"], strict=True))
    undone = {row.id for row in corrections.rows if row.undone}
    applied = [set(shard.header.origin.get(TRACKS_APPLIED, "").split()) for shard in cache.shards]
    for row in corrections.rows:
        if row.video in shard_of and row.action in TRACKS:
            done = row.id in applied[shard_of[row.video]]
            if done != (row.id not in undone):
                state = "was undone after" if done else "was added after"
                raise InputError(
                    f"{corrections.path}: {row.action} {row.id} of tracks of {row.video!r} {state} {cache.name} was "
                    f"ingested: ingest again with --corrections {corrections.path} --replace"
                )
