"""Suspect tracks: jumps, frozen or empty segments, points outside the image."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from skelemo.audit.suspects import Places, Suspect, runs_of
from skelemo.data.corpus import Corpus
from skelemo.text import count

#: Number of frame pairs compared at a time.
_BLOCK = 32_768
#: Smaller moves, in sizes of the person, and log changes of size are never jumps.
_FREE_MOVE, _FREE_SCALE = 0.35, 0.35
#: A jump is at least so many times the 90th percentile of the track's steps.
_TIMES = 3.0
#: Minimum number of frames that are frozen, and that are labeled but empty.
_FROZEN, _EMPTY = 5, 25
#: Tolerated distance of points from the image, relative to its size.
_MARGIN = 0.05
#: Maximum number of jumps per track.
_MOST_JUMPS = 20
#: Maximum number of jumps that are compared with other people's.
_MOST = 10_000


@dataclass(frozen=True)
class Steps:
    """Pairs of consecutive frames in which a person is visible.

    Parameters
    ----------
    before, after : rows.
    move : displacement of the center of the points visible in both, in sizes of the person and per frame.
    scale : absolute log ratio of their sizes.
    still : whether no point moves.
    """

    before: np.ndarray
    after: np.ndarray
    move: np.ndarray
    scale: np.ndarray
    still: np.ndarray


def steps_of(corpus: Corpus, places: Places) -> Steps:
    """Compare consecutive frames in which a person is visible."""
    points = corpus.keypoints.numpy()
    seen = np.flatnonzero(corpus.seen.numpy())
    same = places.sequence[seen[1:]] == places.sequence[seen[:-1]]
    before, after = seen[:-1][same], seen[1:][same]
    move, scale = np.zeros(len(after), np.float32), np.zeros(len(after), np.float32)
    still = np.zeros(len(after), bool)
    for start in range(0, len(after), _BLOCK):
        block = slice(start, start + _BLOCK)
        one, other = points[before[block]], points[after[block]]
        shown = (one[..., 2] > 0) & (other[..., 2] > 0)  # [P, V]
        number = np.maximum(shown.sum(1), 1)[:, None]
        a, b = (np.where(shown[..., None], frame[..., :2], 0) for frame in (one, other))
        mid_a, mid_b = a.sum(1) / number, b.sum(1) / number
        size_a, size_b = (
            np.sqrt((((frame - mid[:, None]) ** 2).sum(-1) * shown).sum(1) / number[:, 0])
            for frame, mid in ((a, mid_a), (b, mid_b))
        )
        size = np.maximum(np.maximum(size_a, size_b), 1e-9)
        enough = shown.sum(1) >= 3
        move[block] = np.where(enough, np.hypot(*(mid_b - mid_a).T) / size, 0)
        ratio = np.log(np.maximum(size_b, 1e-9) / np.maximum(size_a, 1e-9))
        scale[block] = np.where(enough & (size_a > 0) & (size_b > 0), np.abs(ratio), 0)
        alike = ((one[..., 2] > 0) == (other[..., 2] > 0)).all(1)
        still[block] = alike & enough & (np.abs(b - a).max((1, 2)) <= 1e-5 * size)
    gap = (places.number[after] - places.number[before]) / np.maximum(corpus.step.numpy()[places.sequence[after]], 1)
    return Steps(before, after, move / np.clip(gap, 1, 8), scale / np.clip(gap, 1, 8), still)


def jumps(corpus: Corpus, places: Places, steps: Steps) -> Iterator[Suspect]:
    """Steps or changes of size that are larger than in the rest of the track.

    If another person of the recording jumps to this person's place and vice versa, the two were swapped.
    """
    sequence = places.sequence[steps.after]
    high_move, high_scale = (
        _percentile_90(values, sequence, len(corpus.sequences)) for values in (steps.move, steps.scale)
    )
    far = np.maximum(_FREE_MOVE, _TIMES * high_move[sequence])
    other = np.maximum(_FREE_SCALE, _TIMES * high_scale[sequence])
    by_move, by_scale = 1 - far / np.maximum(steps.move, far), 1 - other / np.maximum(steps.scale, other)
    score = np.maximum(by_move, by_scale)
    chosen = np.flatnonzero(score > 0)
    chosen = chosen[np.lexsort((-score[chosen], sequence[chosen]))]
    turn = np.arange(len(chosen)) - np.searchsorted(sequence[chosen], sequence[chosen])
    chosen = chosen[turn < _MOST_JUMPS]
    neighbors, reported = _Neighbors(corpus, places), set()
    for step in chosen[np.argsort(-score[chosen], kind="stable")][:_MOST].tolist():
        before, after = int(steps.before[step]), int(steps.after[step])
        partner = neighbors.swapped(before, after)
        if partner is not None:
            pair = (*sorted((int(sequence[step]), partner)), int(places.number[after]))
            if pair in reported:
                continue
            reported.add(pair)
            person = str(places.person[partner])
            found = f"swaps places with {person or 'another person'} in frame {places.number[after]}"
            yield places.suspect("identity", after, after, 0.9 + 0.1 * score[step], found, value=person)
            continue
        what = (
            f"moves by {steps.move[step]:.1f} of its size; 90% of steps are below {high_move[sequence[step]]:.2f}"
            if by_move[step] >= by_scale[step]
            else f"changes size by a factor of {np.exp(steps.scale[step]):.1f} from one frame to the next"
        )
        yield places.suspect("identity", after, after, 0.9 * score[step], what)


def _percentile_90(values: np.ndarray, sequence: np.ndarray, sequences: int) -> np.ndarray:
    """The 90th percentile of each sequence's values, ``[S]``."""
    order = np.lexsort((values, sequence))
    size = np.bincount(sequence, minlength=sequences)
    place = np.cumsum(size) - size + np.maximum((0.9 * (size - 1)).astype(int), 0)
    found = np.zeros(sequences)
    found[size > 0] = values[order][place[size > 0]]
    return found


class _Neighbors:
    """Other people of a recording in the same frames."""

    def __init__(self, corpus: Corpus, places: Places) -> None:
        self.points, self.places = corpus.keypoints, places
        _, video = np.unique(places.video.astype(str), return_inverse=True)
        key = video[places.sequence].astype(np.int64) << 32 | places.number
        self.order = np.argsort(key, kind="stable")
        self.key, self.of = key[self.order], key

    def swapped(self, before: int, after: int) -> int | None:
        """The sequence that swaps places with a track between two rows, or None."""
        own = [self._middle(before), self._middle(after)]
        there = {int(self.places.sequence[row]): row for row in self._rows(before)}
        for row in self._rows(after):
            sequence = int(self.places.sequence[row])
            if sequence == self.places.sequence[after] or sequence not in there:
                continue
            other = [self._middle(there[sequence]), self._middle(row)]
            crossed = np.hypot(*(own[1] - other[0])), np.hypot(*(other[1] - own[0]))
            straight = np.hypot(*(own[1] - own[0])), np.hypot(*(other[1] - other[0]))
            if crossed[0] < 0.5 * straight[0] and crossed[1] < 0.5 * straight[1]:
                return sequence
        return None

    def _rows(self, row: int) -> np.ndarray:
        found = np.searchsorted(self.key, self.of[row], "left"), np.searchsorted(self.key, self.of[row], "right")
        return self.order[slice(*found)]

    def _middle(self, row: int) -> np.ndarray:
        """The person's median x and y; NaN if not visible."""
        frame = self.points[row].numpy()
        shown = frame[..., 2] > 0
        return np.asarray(np.median(frame[shown, :2], 0)) if shown.any() else np.full(2, np.nan)


def frozen(places: Places, steps: Steps) -> Iterator[Suspect]:
    """Segments in which no point moves."""
    first, last = runs_of(steps.still, places.sequence[steps.after])
    for begin, end in zip(first, last, strict=True):
        frames = int(end - begin) + 2
        if frames >= _FROZEN:
            rows = int(steps.before[begin]), int(steps.after[end])
            yield places.suspect("frozen", *rows, 1 - 4 / frames, f"no point moves for {count(frames, 'frame')}")


def empty(corpus: Corpus, places: Places, labeled: np.ndarray) -> Iterator[Suspect]:
    """Labeled segments in which nobody is visible."""
    first, last = runs_of(~corpus.seen.numpy() & labeled, places.sequence)
    for begin, end in zip(first.tolist(), last.tolist(), strict=True):
        frames = end - begin + 1
        whole = frames == corpus.sequences["length"].iloc[places.sequence[begin]]
        if frames >= _EMPTY or whole:
            where = "the whole sequence" if whole else count(frames, "frame")
            found = f"labeled, but nobody is visible in {where}"
            yield places.suspect("empty", begin, end, 0.8 * frames / (frames + 50), found)


def outside(corpus: Corpus, places: Places) -> Iterator[Suspect]:
    """Sequences with points outside the image, if its size is known."""
    size = corpus.image_size.numpy()  # [S, 2]
    points, length = corpus.keypoints.numpy(), corpus.sequences["length"].to_numpy()
    worst = np.zeros(len(points), np.float32)
    for start in range(0, len(points), _BLOCK):
        block = slice(start, start + _BLOCK)
        image = size[places.sequence[block]][:, None]  # [N, 1, 2]
        known, shown = (image > 0).all(-1), points[block, :, 2] > 0
        place = points[block, :, :2] / np.maximum(image, 1e-9)
        beyond = np.maximum(-place, place - 1).max(-1)
        worst[block] = np.where(shown & known, beyond, 0).max(1)
    flags = worst > _MARGIN
    rows = np.flatnonzero(flags)
    bounds = np.flatnonzero(np.r_[True, np.diff(places.sequence[rows]) > 0, True]) if len(rows) else np.zeros(0, int)
    for begin, end in pairwise(bounds.tolist()):
        mine = rows[begin:end]
        first = int(mine[0])
        share = len(mine) / length[places.sequence[first]]
        found = f"points up to {worst[mine].max():.0%} of the image size outside it, in {count(len(mine), 'frame')}"
        yield places.suspect("outside", first, int(mine[-1]), 0.4 + 0.5 * share, found)
