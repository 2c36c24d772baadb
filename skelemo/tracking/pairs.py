"""Pairs to compare, in batches that bound the memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PAIRS = 4096  # compared at once: what is reckoned of them stays in the processor's cache


def batches(counts: Array) -> Iterator[Array]:
    """The indices that count, as many at a time as count about PAIRS together."""
    some = np.flatnonzero(counts)
    if len(some):
        yield from np.split(some, np.flatnonzero(np.diff(np.cumsum(counts[some]) // PAIRS)) + 1)


def ragged(indices: Array, counts: Array) -> tuple[Array, Array]:
    """Each index as often as it counts, and 0, 1, ... beside it."""
    ends = np.cumsum(counts)
    return np.repeat(indices, counts), np.arange(ends[-1]) - np.repeat(ends - counts, counts)
