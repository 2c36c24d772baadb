"""Merges and swaps of people, on six frames small enough to check by eye: x of the only point, and the labels."""

from pathlib import Path

import numpy as np
import pytest

from skelemo.annotations.registry import Annotation
from skelemo.cache.corrections import Correction, Corrections
from skelemo.cache.sequence import Sequence
from skelemo.ingest.corrected import corrected
from skelemo.ingest.plan import _with_corrections
from skelemo.ingest.task import Task
from skelemo.openpose.recording import Recording
from skelemo.targets import VA, Head

MOOD = Head("expression", "classes", ("glad", "sad", "calm"))
NAN = float("nan")


def person(name: str, x: list[float], mood: list[int] | None = None, va: list[float] | None = None, first: int = 0):
    """A person seen at ``x`` (0: not seen) from frame ``first`` on."""
    keypoints = np.array([[[at, at, 0.5 if at else 0]] for at in x], np.float32)
    labels = {} if mood is None else {"expression": np.array(mood, np.int16)}
    labels |= {} if va is None else {"va": np.array([va, va], np.float32).T}
    number = np.arange(first, first + len(x), dtype=np.int32)
    return Sequence(f"clip_{name}", "clip", keypoints, number, labels, name, subject=f"subject of {name}")


def apply(people, *rows: Correction, clip: bool = False):
    """The corrected people by name, and the notes."""
    task = Task(
        Recording("clip", "/data", "clip", [f"{n}.json" for n in range(6)]),
        "clip",
        (Annotation("clip", {"expression": np.zeros(1, np.int16)}, ""),) if clip else (),
        {},
        corrections=tuple(rows),
    )
    found, notes = corrected(people, task, (MOOD, VA))
    return {one.person: one for one in found}, notes


def x(one: Sequence) -> list[float]:
    return one.keypoints[:, 0, 0].tolist()


def test_a_merge_keeps_the_persons_own_points_and_labels_and_fills_the_gaps():
    one = person("0", [1, 1, 0, 0, 1, 1], mood=[0, 0, -1, 0, 0, -1], va=[0.5, NAN, NAN, 0.5, 0.5, 0.5])
    other = person("1", [9, 9, 9, 9, 9, 0], mood=[1, 1, 1, 1, 1, 1], va=[-1, -1, -1, -1, -1, -1])
    found, _ = apply([one, other], Correction("clip", "merge", "0", value="1"))
    assert list(found) == ["0"]
    assert x(found["0"]) == [1, 1, 9, 9, 1, 1]
    assert found["0"].labels["expression"].tolist() == [0, 0, 1, 0, 0, 1]
    assert found["0"].labels["va"][:, 1].tolist() == [0.5, -1, -1, 0.5, 0.5, 0.5]
    assert found["0"].subject == "subject of 0"


def test_a_merge_spans_the_frames_between_both_and_takes_labels_the_person_lacks():
    one, other = person("0", [1, 1], mood=[0, 0]), person("1", [9], va=[0.25], first=4)
    found, _ = apply([one, other], Correction("clip", "merge", "0", value="1"))
    assert found["0"].number.tolist() == [0, 1, 2, 3, 4]
    assert x(found["0"]) == [1, 1, 0, 0, 9]
    assert found["0"].labels["expression"].tolist() == [0, 0, -1, -1, -1]
    np.testing.assert_array_equal(found["0"].labels["va"][:, 0], [NAN, NAN, NAN, NAN, 0.25])


@pytest.mark.parametrize(("last", "mine"), [(3, [1, 1, 9, 9, 1, 1]), (None, [1, 1, 9, 9, 9, 9])])
def test_a_swap_includes_its_last_frame_and_lasts_to_the_end_without_one(last, mine):
    people = [person("0", [1] * 6, mood=[0] * 6), person("1", [9] * 6, mood=[1] * 6)]
    found, _ = apply(people, Correction("clip", "swap", "0", 2, last, value="1"))
    assert x(found["0"]) == mine
    assert x(found["1"]) == [10 - at for at in mine]
    assert found["0"].labels["expression"].tolist() == [0] * 6
    assert (found["0"].subject, found["1"].subject) == ("subject of 0", "subject of 1")


def test_a_swap_with_a_person_who_comes_later_changes_the_frames_of_both():
    people = [person("0", [1, 1, 1, 1]), person("1", [9, 9, 9], first=3)]
    found, _ = apply(people, Correction("clip", "swap", "0", 2, value="1"))
    assert found["0"].number.tolist() == [0, 1, 2, 3, 4, 5]
    assert x(found["0"]) == [1, 1, 0, 9, 9, 9]
    assert found["1"].number.tolist() == [2, 3]
    assert x(found["1"]) == [1, 1]


def test_a_person_whose_labels_remain_keeps_their_frames_after_a_swap():
    people = [person("0", [1, 1, 1, 1], mood=[0, 0, 0, 0]), person("1", [9, 9, 9], first=3)]
    found, _ = apply(people, Correction("clip", "swap", "0", 2, value="1"))
    assert found["1"].number.tolist() == [2, 3]
    people = [person("0", [1, 1, 1, 1]), person("1", [9, 9, 9], mood=[1, 1, 1], first=3)]
    found, _ = apply(people, Correction("clip", "swap", "0", 2, value="1"))
    assert found["1"].number.tolist() == [2, 3, 4, 5], "the labels of frames 4 and 5 would be lost"
    assert x(found["1"]) == [1, 1, 0, 0]
    assert found["1"].labels["expression"].tolist() == [-1, 1, 1, 1]


def test_corrections_of_labels_follow_a_merged_person():
    people = [person("0", [1, 1, 1], mood=[0, 0, 0]), person("1", [9, 9, 9], mood=[1, 1, 1], first=3)]
    rows = (Correction("clip", "set", "1", 4, 4, "expression", "calm"), Correction("clip", "merge", "0", value="1"))
    found, notes = apply(people, *rows)
    assert found["0"].labels["expression"].tolist() == [0, 0, 0, 1, 2, 1]
    assert notes == []


@pytest.mark.parametrize(("clip", "expected"), [(False, [0, 2, 0, 0, 0, 0]), (True, [2] * 6)])
def test_a_label_of_the_whole_clip_is_corrected_in_every_frame(clip, expected):
    found, _ = apply(
        [person("", [1] * 6, mood=[0] * 6)], Correction("clip", "set", "", 1, 1, "expression", "calm"), clip=clip
    )
    assert found[""].labels["expression"].tolist() == expected


def test_corrections_without_a_match_change_nothing_and_are_noted():
    people = [person("0", [1, 1, 1], mood=[0, 0, 0])]
    rows = (Correction("clip", "merge", "0", value="7", id="ab12"), Correction("clip", "wrong", "0", 4, 5, id="cd34"))
    found, notes = apply(people, *rows)
    assert x(found["0"]) == [1, 1, 1]
    assert found["0"].labels["expression"].tolist() == [0, 0, 0]
    assert notes == [
        "clip: correction ab12 (merge) not applied: person '7' does not occur",
        "clip: a correction of 0 is outside its frames",
    ]


def test_a_label_may_be_given_to_a_person_without_any_in_data_with_shares():
    rows = (Correction("clip", "set", "0", 1, 2, "expression", "sad"), Correction("gone", "wrong"))
    shares, values = np.full((1, 3), 1 / 3, np.float32), np.zeros((1, 2), np.float32)
    given = Annotation("clip", {"expression": shares, "va": values}, "", np.arange(1), person="1")
    tasks = [Task(Recording(name, "/", name, ["0.json"] * 4), name, (given,), {}) for name in ("clip", "other")]
    (clip, other), summary = _with_corrections(tasks, Corrections(Path("c.csv"), rows, "0" * 64), (MOOD, VA))
    assert (clip.corrections, clip.shares) == (rows[:1], {"expression"})
    assert other.corrections == ()
    assert summary.endswith(", 1 for recordings not in these data)")
    ((one,), _) = corrected([person("0", [1] * 4)], clip, (MOOD, VA))
    np.testing.assert_array_equal(one.labels["expression"], [[NAN] * 3, [0, 1, 0], [0, 1, 0], [NAN] * 3])
