"""Duplicate sequences under different names."""

from collections.abc import Iterator

import numpy as np
from scipy.spatial import cKDTree

from skelemo.audit.suspects import Places, Suspect
from skelemo.data.corpus import Corpus

#: Number of compared frames of a sequence, and dimensions of the neighbor search.
_MOMENTS, _DIMENSIONS = 8, 24
#: Sequences are the same if their points differ by less than their own movement, clipped to these bounds, in sizes of
#: the person. Stills of different people's faces differ by as little as 1.1 %.
_STILL, _MOVING = 0.01, 0.02
#: Neighbors of a sequence to compare.
_NEIGHBORS = 4


def duplicates(corpus: Corpus, places: Places) -> Iterator[Suspect]:
    """Sequences with the same movement as one of another recording, regardless of position and size in the image.

    The tolerance is smaller for sequences with little movement, since still people look alike. Sequences are compared
    at a few evenly spaced frames, so a copy with another start is not detected. Similar takes of one subject in one
    subset are not reported.
    """
    shape = _shapes(corpus)  # [S, D]
    allowed = _movement(shape).clip(_STILL, _MOVING)
    usable = np.flatnonzero(shape.any(1))
    if len(usable) < 2:
        return
    flat = shape[usable]
    projection = np.random.default_rng(0).normal(0, _DIMENSIONS**-0.5, (flat.shape[1], _DIMENSIONS)).astype(np.float32)
    near = flat @ projection
    radius = 1.6 * _MOVING * np.sqrt(flat.shape[1])
    _, found = cKDTree(near).query(near, k=min(_NEIGHBORS + 1, len(near)), distance_upper_bound=radius, workers=-1)
    one = np.repeat(np.arange(len(near)), found.shape[1])
    other = found.ravel()
    pair = (other < len(near)) & (one < other)
    pairs = np.unique(np.stack([one[pair], other[pair]], 1), axis=0)
    for a, b in pairs.tolist():
        first, second = int(usable[a]), int(usable[b])
        shown = (flat[a] != 0) & (flat[b] != 0)
        apart = float(np.sqrt(np.mean((flat[a] - flat[b])[shown] ** 2))) if shown.mean() > 0.2 else np.inf
        same = float(min(allowed[first], allowed[second]))
        if places.video[first] != places.video[second] and apart < same:
            yield from _suspects(corpus, places, first, second, apart, apart / same)


def _suspects(corpus: Corpus, places: Places, first: int, second: int, apart: float, share: float) -> Iterator[Suspect]:
    """The pair as a suspect, unless it is two takes of one subject in one subset.

    ``share`` is the difference ``apart`` relative to the tolerance.
    """
    rows = corpus.sequences
    leaks = [
        f"{rows['splits'].iloc[first][name]} and {subset} of {name}"
        for name, subset in rows["splits"].iloc[second].items()
        if rows["splits"].iloc[first].get(name, subset) != subset
    ]
    subject = rows["subject"].iloc[first]
    if subject and subject == rows["subject"].iloc[second] and not leaks:
        return
    start, length = int(rows["start"].iloc[first]), int(rows["length"].iloc[first])
    who = f"{places.video[second]} {places.person[second]}".strip()
    found = f"{'moves' if length > 1 else 'looks'} like {who} (points differ by {apart:.1%} of the person's size)"
    found += f"; they are in {leaks[0]}" if leaks else ""
    score = 0.5 + 0.25 * (1 - share) + 0.2 * bool(leaks)
    yield places.suspect("duplicate", start, start + length - 1, score, found)


def _movement(shape: np.ndarray) -> np.ndarray:
    """``[S]`` RMS deviation of each sequence's points from their mean over its frames, in sizes of the person."""
    places = shape.reshape(len(shape), _MOMENTS, -1)
    shown = places != 0
    number = np.maximum(shown.sum(1, keepdims=True), 1)
    mean = places.sum(1, keepdims=True) / number
    squares = np.where(shown, places - mean, 0) ** 2
    return np.asarray(np.sqrt(squares.sum((1, 2)) / np.maximum(shown.sum((1, 2)), 1)))


def _shapes(corpus: Corpus) -> np.ndarray:
    """A few frames of each sequence, centered and scaled, ``[S, D]`` float32; 0 if missing."""
    start, length = (corpus.sequences[name].to_numpy() for name in ("start", "length"))
    share = (np.arange(_MOMENTS) + 0.5) / _MOMENTS
    rows = start[:, None] + np.minimum((share * length[:, None]).astype(int), length[:, None] - 1)
    made = np.zeros((len(start), _MOMENTS * corpus.keypoints.shape[1] * 2), np.float32)
    for block in np.array_split(np.arange(len(start)), -(-len(start) // 2048)) if len(start) else ():
        frames = corpus.keypoints[rows[block]].numpy()  # [B, M, V, 3]
        shown = frames[..., 2:] > 0
        number = np.maximum(shown.sum((1, 2), keepdims=True), 1)
        middle = np.where(shown, frames[..., :2], 0).sum((1, 2), keepdims=True) / number
        about = np.where(shown, frames[..., :2] - middle, 0)
        size = np.sqrt((about**2).sum((1, 2, 3), keepdims=True) / number)
        made[block] = (about / np.maximum(size, 1e-9)).reshape(len(block), -1)
    return made
