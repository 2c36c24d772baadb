"""Hiding keypoints in windows is what a recording without them would have given."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_caches import BODY_AND_FACE, a_cache, a_sequence

from skelemo.cache.store import open_cache
from skelemo.data.corpus import load_corpus
from skelemo.data.occlusion import Occlusions
from skelemo.data.windows import Gatherer, Window
from skelemo.preprocess import Preparation
from skelemo.skeleton import layout

LAYOUT = layout("body_25+face_70")
#: A hip, a brow, both shoulders with an eye, all of the face, everything but the left wrist.
WAYS = ((8,), (43,), (2, 5, *range(61, 67)), tuple(range(25, 95)), tuple(set(range(95)) - {7}))
CLIPS = Window(4, sampling="clip", clip_windows=2)


def recordings(hide: tuple[int, ...] = ()) -> list:
    """Three people in five recordings, one of which never shows what a reference is made of but an ankle and a jaw."""
    found = []
    for index, frames in enumerate((9, 14, 6, 11, 8)):
        facts = {"subject": f"s{index % 3}", "width": 400, "height": 300, "fps": 25.0}
        one = a_sequence(f"r{index}", frames, points=95, **facts)
        points = one.keypoints.copy()
        if index == 2:
            points[:, [point for point in range(95) if point not in (11, 24, 25, 27)]] = 0
        points[:, list(hide)] = 0
        found.append(replace(one, keypoints=points))
    return found


@pytest.mark.parametrize(
    ("window", "settings"),
    [
        (Window(3, 2), {"max_gap": 2, "smooth": 3}),
        (Window(3, target="center"), {"reference": "window", "max_gap": 2, "min_confidence": 0.3}),
        (CLIPS, {"calibrate": "track"}),
        (Window(2), {"calibrate": "running", "max_gap": 1}),
        (Window(2), {"calibrate": "track", "reference": "window"}),
        (Window(2), {"coordinates": "frame"}),
        (Window(2), {"coordinates": "frame", "reference": "window"}),
    ],
)
def test_hiding_in_windows_is_hiding_in_the_recording(tmp_path, window, settings):
    corpus = load_corpus(
        open_cache(a_cache(tmp_path / "all", *recordings(), header=BODY_AND_FACE)), Preparation(**settings)
    )
    rows = np.array([0, 5, 24, 33, 47])  # of all but the second recording, whose person is in the last one, too
    hidden = np.array([[point in way for point in range(95)] for way in ((), *WAYS)])
    found = [
        one for turns in Occlusions(corpus, window, rows, hidden).batches(4, torch.device("cpu")) for one in [turns]
    ]
    for number, way in enumerate(((), *WAYS)):
        folder = a_cache(tmp_path / f"way {number}", *recordings(way), header=BODY_AND_FACE)
        without = load_corpus(open_cache(folder), corpus.preparation, keep_absent=True)
        for turn in range(window.clip_windows):
            expected, mask = Gatherer(without, window).gather(torch.as_tensor(rows), turn=turn)
            parts = (
                torch.cat([turns[turn][name] for turns in found]).split(len(rows)) for name in ("keypoints", "mask")
            )
            keypoints, seen = (part[number] for part in parts)
            torch.testing.assert_close(keypoints, expected, rtol=1e-4, atol=1e-4)
            assert torch.equal(seen, mask)
