"""Suspect labels: another label is more probable, or the labels fit better at another time."""

import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from skelemo.audit.out_of_fold import Predicted
from skelemo.audit.suspects import Places, Suspect
from skelemo.data.corpus import Corpus
from skelemo.errors import ConfigError
from skelemo.targets import hard_labels, soft_labels
from skelemo.text import count, some

#: Maximum lag in seconds (in frames, if the rate is unknown), and minimum lag in frames.
_SECONDS, _FRAMES, _LEAST = 3.0, 75, 5
#: Minimum predicted frames of a sequence, gain in correlation by the shift, and correlation after the shift.
_FEWEST, _BETTER, _WELL = 40, 0.15, 0.3


def label_errors(corpus: Corpus, places: Places, predicted: Predicted) -> Iterator[Suspect]:
    """Segments of one label that is improbable out of fold (cleanlab's confident learning).

    Raises `ConfigError`: cleanlab is not installed.
    """
    head = predicted.head
    if head.kind == "values":
        return
    labels = corpus.labels[head.name].numpy()
    if head.kind == "classes":
        given = hard_labels(labels).astype(int)
        yield from _segments(places, predicted, given, predicted.outputs, list(head.outputs), "")
        return
    for output, name in enumerate(head.outputs):
        chance = predicted.outputs[:, output]
        words = [" ".join(value if o == output else "-" for o in range(len(head))) for value in "01"]
        both = np.stack([1 - chance, chance], 1)
        yield from _segments(places, predicted, labels[:, output].astype(int), both, words, f"{name}: ")


def _segments(
    places: Places, predicted: Predicted, given: np.ndarray, outputs: np.ndarray, words: list[str], title: str
) -> Iterator[Suspect]:
    """Suspects among segments of equal labels ``given [N]``, by the mean of their windows' probabilities."""
    new = np.r_[True, (given[1:] != given[:-1]) | (places.sequence[1:] != places.sequence[:-1])]
    run = np.cumsum(new) - 1
    first = np.flatnonzero(new)
    last = np.r_[first[1:], len(given)] - 1
    mine = run[predicted.row]
    windows = np.bincount(mine, minlength=len(first))
    usable = np.flatnonzero((windows > 0) & (given[first] >= 0))
    classes, labels = np.unique(given[first[usable]], return_inverse=True)
    if len(classes) < 2:
        return
    chance = np.stack([np.bincount(mine, outputs[:, k], len(first))[usable] for k in classes], 1)
    chance = np.maximum(chance / windows[usable, None], 1e-6)
    chance = chance / chance.sum(1, keepdims=True)
    for index, quality in _issues(labels, chance):
        segment, best = usable[index], int(chance[index].argmax())
        label = _word(words, classes[labels[index]])
        found = f"{title}labeled {label}; predicted {_word(words, classes[best])} {chance[index, best]:.0%}, "
        found += f"{label} {chance[index, labels[index]]:.0%}"
        found += f" ({count(int(windows[segment]), 'window')})" if windows[segment] > 1 else ""
        rows = int(first[segment]), int(last[segment])
        yield places.suspect("label", *rows, 1 - quality, found, predicted.head.name, words[classes[best]])


def _word(words: list[str], index: int) -> str:
    return {"0": "no", "1": "yes"}.get(words[index].strip("- "), words[index])


def _issues(labels: np.ndarray, chance: np.ndarray) -> list[tuple[int, float]]:
    """Indices of labels that cleanlab flags as errors, and their quality from 0 to 1."""
    try:
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        raise ConfigError("audit needs cleanlab: pip install 'skelemo[audit]'") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about rare classes
        flagged = np.asarray(find_label_issues(labels, chance, filter_by="both", n_jobs=1))
    quality = np.asarray(get_label_quality_scores(labels, chance, method="normalized_margin"))
    return [(int(index), float(quality[index])) for index in np.flatnonzero(flagged)]


def untimed(corpus: Corpus, predicted: Sequence[Predicted]) -> list[str]:
    """A note on heads of values that are not checked because all sequences are too short to judge the timing."""
    short = [
        one.head.name
        for one in predicted
        if one.head.kind == "values" and np.bincount(corpus.sequence(one.row), minlength=1).max() < _FEWEST
    ]
    if not short:
        return []
    return [
        f"{some(short)}: not checked: only the timing of values is checked, which needs sequences with at least "
        f"{_FEWEST} labeled windows; for the largest errors, train a model on this cache with --set split=kfold:5 and "
        "sort by error in skelemo view CACHE --runs RUN"
    ]


def shifted(corpus: Corpus, places: Places, predicted: Predicted) -> Iterator[Suspect]:
    """Sequences whose labels fit the predictions better some frames earlier or later."""
    head = predicted.head
    labels = corpus.labels[head.name].numpy()
    if head.kind == "classes":
        truth = soft_labels(labels, len(head))
    else:
        truth = np.where(labels < 0, np.nan, labels) if head.kind == "flags" else labels
    sequence = places.sequence[predicted.row]
    bounds = np.flatnonzero(np.r_[True, sequence[1:] != sequence[:-1], True])
    for begin, end in pairwise(bounds.tolist()):
        rows = predicted.row[begin:end]
        if len(rows) < _FEWEST:
            continue
        step = max(float(np.median(np.diff(places.number[rows]))), 1.0)
        fps = float(corpus.sequences["fps"].iloc[sequence[begin]])
        most = int(min((_SECONDS * fps or _FRAMES) / step, len(rows) // 3))
        fits = _fits(truth[rows], predicted.outputs[begin:end], most)
        if fits is None:
            continue
        best, now = int(fits.argmax()), float(fits[most])
        lag = round((best - most) * step)
        if abs(lag) < _LEAST or fits[best] < _WELL or fits[best] - now < _BETTER:
            continue
        way, time = ("later" if lag > 0 else "earlier"), f" ({abs(lag) / fps:.1f} s)" if fps else ""
        found = f"{head.name} comes {abs(lag)} frames{time} {way} than the movement: correlation {now:.2f}, "
        found += f"{fits[best]:.2f} when shifted back"
        yield places.suspect("timing", int(rows[0]), int(rows[-1]), float(fits[best]) - max(now, 0), found, head.name)


def _fits(truth: np.ndarray, outputs: np.ndarray, most: int) -> np.ndarray | None:
    """Correlation of labels ``[n, K]`` with predictions for each lag from -most to most; None if either is constant.

    At positive lags the labels are late.
    """
    usable = np.nanstd(truth, 0) > 1e-6 if not np.isnan(truth).all() else np.zeros(truth.shape[1], bool)
    usable &= outputs.std(0) > 1e-6
    if not usable.any() or most < 1:
        return None
    one, other = truth[:, usable].astype(np.float64), outputs[:, usable]
    one = np.nan_to_num((one - np.nanmean(one, 0)) / np.nanstd(one, 0))
    other = (other - other.mean(0)) / other.std(0)
    found = np.zeros(2 * most + 1)
    for lag in range(-most, most + 1):
        a = one[max(lag, 0) : len(one) + min(lag, 0)]
        b = other[max(-lag, 0) : len(other) + min(-lag, 0)]
        norm = np.sqrt((a**2).sum(0) * (b**2).sum(0))
        found[lag + most] = float(np.mean((a * b).sum(0) / np.maximum(norm, 1e-9)))
    return found
