"""What a recording's fingerprint depends on: the next ingest reads a recording again only if it changed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from skelemo.annotations.registry import Annotation
from skelemo.cache.corrections import Correction
from skelemo.cache.shard import Header
from skelemo.ingest.task import Task, fingerprint
from skelemo.openpose.files import VideoInfo
from skelemo.openpose.names import FrameNames
from skelemo.openpose.recording import Recording
from skelemo.targets import VA, Head

MOOD, PAIN = Head("expression", "classes", ("glad", "sad")), Head("pain", "values", ("pain",))
OTHER_MOOD = Head("expression", "classes", ("glad", "calm"))
ANNOTATION = Annotation(
    "clip",
    {"expression": np.array([0, 1], np.int16)},
    "labels.csv",
    number=np.array([0, 2]),
    end=np.array([1, 3]),
    person="left",
    subject="ann",
    splits={"fold": "train"},
)
FIX = Correction("clip", "set", "left", 0, 3, "expression", "sad", id="ab12", author="ann", note="a smile")


def clip(numbers=(0, 1, 2), start="clip_", **facts: Any) -> Recording:
    return Recording("clip", "/data", "clip", FrameNames(start, numbers, "_keypoints.json"), **facts)


def a_fingerprint(
    recording=None, video="clip", annotation=ANNOTATION, corrections=(FIX,), header=None, size=9, newest=5, hashes=None
) -> str:
    task = Task(recording or clip(), video, (annotation,), {}, corrections=corrections)
    header = header or Header("body_25", (MOOD, PAIN), settings={"person": "auto"})
    return fingerprint(task, header, size, newest, {"clip_left": "f" * 64} if hashes is None else hashes)


CHANGES = {
    "size": {"size": 10},
    "time": {"newest": 6},
    "a sequence": {"hashes": {"clip_left": "e" * 64}},
    "name of the video": {"video": "take"},
    "a missing frame": {"recording": clip((0, 1, 3))},
    "a renamed file": {"recording": clip(start="Clip_")},
    "frame rate": {"recording": clip(info=VideoInfo(fps=25.0))},
    "layout": {"header": Header("body_25+face_70", (MOOD, PAIN), settings={"person": "auto"})},
    "classes": {"header": Header("body_25", (OTHER_MOOD, PAIN), settings={"person": "auto"})},
    "settings": {"header": Header("body_25", (MOOD, PAIN), settings={"person": "largest"})},
    "a label": {"annotation": replace(ANNOTATION, labels={"expression": np.array([0, 0], np.int16)})},
    "first frame of a label": {"annotation": replace(ANNOTATION, number=np.array([0, 3]))},
    "last frame of a label": {"annotation": replace(ANNOTATION, end=np.array([0, 3]))},
    "labels of each frame": {"annotation": replace(ANNOTATION, end=None)},
    "person": {"annotation": replace(ANNOTATION, person="right")},
    "subject": {"annotation": replace(ANNOTATION, subject="bea")},
    "subset": {"annotation": replace(ANNOTATION, splits={"fold": "test"})},
    "value of a correction": {"corrections": (replace(FIX, value="glad"),)},
    "frames of a correction": {"corrections": (replace(FIX, last=2),)},
    "no correction": {"corrections": ()},
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_content_changes_the_fingerprint(change):
    assert a_fingerprint(**CHANGES[change]) != a_fingerprint()


def test_nothing_else_changes_the_fingerprint():
    header = Header("body_25", (MOOD, VA), settings={"person": "auto"}, origin={"source": "elsewhere"})
    same = {
        "an unused head, and the origin": {"header": header},
        "author and note of a correction": {"corrections": (replace(FIX, author="bea", note="", id="cd34"),)},
        "path of the label file": {"annotation": replace(ANNOTATION, source="other.csv")},
        "folder": {"recording": replace(clip(), folder="/moved")},
    }
    assert {name: a_fingerprint(**change) == a_fingerprint() for name, change in same.items()} == dict.fromkeys(
        same, True
    )
