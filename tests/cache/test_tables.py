"""Tables that contradict themselves are refused, whatever their hash says."""

import numpy as np
import pytest

from skelemo.cache.tables import require_consistent
from skelemo.errors import CacheError


def two_sequences(**facts):
    return {
        "id": ["a", "b"],
        "video": ["a", "b"],
        "start": np.array([0, 4]),
        "length": np.array([4, 3]),
        "scale": ["pixels", "unit"],
        "width": np.array([640, 0]),
        "height": np.array([480, 0]),
        "fps": np.array([25.0, 0.0]),
        **facts,
    }


def test_contiguous_sequences_fill_a_shard():
    require_consistent(two_sequences(), 7)
    require_consistent({name: column[:0] for name, column in two_sequences().items()}, 0)


@pytest.mark.parametrize(
    ("facts", "frames", "message"),
    [
        ({}, 8, "not contiguous in the 8 frames"),
        ({}, 6, "not contiguous"),
        ({"start": np.array([0, 5])}, 8, "not contiguous"),
        ({"start": np.array([1, 5])}, 8, "not contiguous"),
        ({"start": np.array([0, 3])}, 6, "not contiguous"),
        ({"start": np.array([0, 0]), "length": np.array([0, 7])}, 7, "not contiguous"),
        ({"start": np.array([0, 9]), "length": np.array([9, -2])}, 7, "not contiguous"),
        ({"id": ["a", "a"]}, 7, "two sequences have the id 'a'"),
        ({"id": ["a", ""]}, 7, "has no id or no video"),
        ({"video": ["", "b"]}, 7, "has no id or no video"),
        ({"scale": ["pixels", "meters"]}, 7, "scale 'meters'; expected one of pixels, unit, signed"),
        ({"width": np.array([640, -1])}, 7, "invalid width"),
        ({"fps": np.array([np.inf, 0])}, 7, "invalid fps"),
        ({"fps": np.array([np.nan, 0])}, 7, "invalid fps"),
    ],
)
def test_contradictions_are_refused(facts, frames, message):
    with pytest.raises(CacheError, match=message):
        require_consistent(two_sequences(**facts), frames)
