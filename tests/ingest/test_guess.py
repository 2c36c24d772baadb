"""What the recordings of an ingest say together, and the sum of what its jobs found."""

from pathlib import Path

import numpy as np
import pytest

from skelemo.annotations.registry import Annotation
from skelemo.errors import ConfigError
from skelemo.ingest.batching import Bounds, bounds
from skelemo.ingest.guess import _few_files, _spread, counts_from_zero
from skelemo.ingest.result import MOST_KEPT, Tally
from skelemo.openpose.files import Problem
from skelemo.openpose.names import FrameNames
from skelemo.openpose.recording import Recording


def images(first: int, last: int, images: bool = True) -> Recording:
    return Recording("clip", "/in", "clip", FrameNames("frame_", range(first, last + 1), ".json"), images=images)


def rows(count: int) -> Annotation:
    return Annotation("clip", {"mood": np.zeros(count, np.int16)}, "", number=np.arange(count))


@pytest.mark.parametrize(
    ("recordings", "labels", "expected"),
    [
        ([images(5, 9)], [[rows(10)]], True),  # image 9 has the label of frame 9, the tenth row
        ([images(5, 9)], [[rows(9)]], False),  # image 9 is frame 8
        ([images(5, 9)], [[rows(30)]], False),
        ([images(5, 9)], [[]], False),
        ([images(5, 9)], [[Annotation("clip", {"mood": np.zeros(1, np.int16)}, "")]], False),  # a whole clip
        ([images(1, 9)], [[rows(10)]], False),  # an image 1, but no image 0: they count from 1
        ([images(5, 9), images(0, 4)], [[rows(10)], []], False),  # what the other begins with is certain
        ([images(5, 9, images=False)], [[rows(10)]], False),  # OpenPose's own numbers
        ([images(5, 9)] * 3, [[rows(10)], [rows(10)], [rows(9)]], True),
        ([images(5, 9)] * 2, [[rows(10)], [rows(9)]], False),
    ],
)
def test_images_count_from_zero_if_that_fits_more_labels(recordings, labels, expected):
    assert counts_from_zero(recordings, labels) is expected


def test_a_sample_of_files_is_spread_evenly_and_keeps_its_places_in_an_archive():
    assert [_spread(*how) for how in ((10, 4), (3, 6), (1, 6), (0, 6))] == [[0, 3, 6, 9], [0, 1, 2], [0], []]
    names = [f"{n}.json" for n in range(10)]
    found = _few_files(Recording("clip", "/in", "clip", names, positions=np.arange(100, 110)))
    assert list(found.files) == ["0.json", "1.json", "3.json", "5.json", "7.json", "9.json"]
    assert found.positions.tolist() == [100, 101, 103, 105, 107, 109]


def test_a_tally_adds_numbers_counts_and_lists_and_keeps_all_failures_but_few_problems():
    total = Tally(files=2, failures=[Problem("a", "is damaged")], shards=[Path("one.h5")])
    total.scales.update({"pixels": 1})
    for job in range(3):
        many = [Problem(f"{job}-{number}", "is empty") for number in range(MOST_KEPT // 2 + 1)]
        more = Tally(files=3, problems=many, failures=[*many], shards=[Path(f"{job}.h5")], notes=["note"])
        more.scales.update({"pixels": 2, "unit": 1})
        total.add(more)
    assert (total.files, total.scales) == (11, {"pixels": 7, "unit": 3})
    assert [path.name for path in total.shards] == ["one.h5", "0.h5", "1.h5", "2.h5"]
    assert len(total.problems) == MOST_KEPT
    assert total.problems[0].file == "0-0", "the first ones"
    assert len(total.failures) == 1 + 3 * (MOST_KEPT // 2 + 1)
    assert total.notes == ["note"] * 3


def test_memory_beyond_the_base_is_shared_by_four_copies_of_frames_or_three_of_files():
    assert bounds((208 + 24) << 20) == Bounds(shard=6 << 20, buffered=8 << 20)
    for memory, given in (((208 + 16 << 20) - 1, "223 MB"), (1, "1 byte"), (1000, "1,000 bytes")):
        with pytest.raises(ConfigError, match=f"^memory of {given}: an ingest process needs 224 MB or more"):
            bounds(memory)
