"""Tracks below a clip, and which people and frames of a source are played, with values worked out by hand."""

import base64

import numpy as np
import pandas as pd
import pytest
from small_caches import MOOD, a_cache, a_sequence

import skelemo
from skelemo import player
from skelemo.cache.shard import Header
from skelemo.cache.store import open_cache
from skelemo.errors import ConfigError, InputError
from skelemo.inference.live.stream import LiveFrame, LivePerson
from skelemo.player import Clip, Track, label_track
from skelemo.skeleton import layout
from skelemo.targets import VA, Head
from skelemo.view import inline, sequence_table
from skelemo.view.frames import Frames
from skelemo.view.inline import _tracks
from skelemo.view.sample_page import write_page
from skelemo.view.sequence_table import Query, SequenceTable
from skelemo.view.viewer import Viewer

BODY = layout("body_25")


def test_the_spacing_of_predictions_is_their_usual_one():
    at = np.array([0, 4, 8, 40])
    track = Track("run", MOOD, np.array([0, 1, 2, 2]), at, np.array([0.5, 0.6, 0.7, 0.8])).to_json()
    assert (track["every"], track["count"], track["head"], track["name"]) == (4, 4, "expression", "run")
    assert np.frombuffer(base64.b64decode(track["at"]), "<i4").tolist() == at.tolist()
    np.testing.assert_allclose(np.frombuffer(base64.b64decode(track["shares"]), "<f4"), [0.5, 0.6, 0.7, 0.8])
    for known in (None, np.array([7])):
        assert Track("label", MOOD, np.array([1]), known).to_json()["every"] == 1


def test_a_soft_label_is_its_most_frequent_class_and_an_unlabeled_frame_has_none():
    track = label_track("mood", MOOD, np.array([[0.2, 0.8, 0], [np.nan] * 3, [0.5, 0.25, 0.25]], np.float32))
    assert track.values.tolist() == [1, -1, 0]
    np.testing.assert_allclose(track.shares, [0.8, 0, 0.5])
    hard = label_track("mood", MOOD, np.array([2, -1], np.int16))
    assert (hard.values.tolist(), hard.shares) == ([2, -1], None)


def test_all_people_of_a_clip_have_its_frames():
    points = np.zeros((3, 25, 3), np.float32)
    with pytest.raises(ConfigError, match=r"\[2, 25, 3\]; expected \[3, 25, 3\] for body_25"):
        Clip(points, BODY, others=[points, points[:2]])
    with pytest.raises(ConfigError, match=r"\[0, 25, 3\]; expected \[1, 25, 3\]"):
        Clip(points[:0], BODY)


def test_line_separators_do_not_end_a_script():
    text = player.fragment(Clip(np.zeros((1, 25, 3), np.float32), BODY, title="a\u2028b\u2029c"))
    assert r"a\u2028b\u2029c" in text.split("application/json")[1]


def test_predictions_are_placed_by_frame_number_and_rows_without_one_left_out():
    frames = pd.DataFrame({"frame": [10, 14, 20], "p_glad": [0.1, np.nan, 0.6], "p_sad": [0.9, np.nan, 0.4]})
    (track,) = _tracks(frames, [Head("mood", "classes", ("glad", "sad"))], "run", np.array([8, 10, 14, 16, 20]))
    assert (track.at.tolist(), track.values.tolist(), track.shares.tolist()) == ([1, 4], [1, 0], [0.9, 0.6])


def a_frame(video: str, number: int, **people) -> LiveFrame:
    seen = {name: np.full((25, 3), value, np.float32) for name, value in people.items()}
    return LiveFrame(video, number, 0.0, tuple(LivePerson(name, True, one, {}) for name, one in seen.items()), (VA,))


def test_of_a_stream_the_last_recording_is_shown_with_at_most_eight_others():
    crowd = {f"p{n}": n + 1 for n in range(12)}
    frames = [a_frame("old", 7, p0=1), a_frame("new", 0, **crowd), a_frame("new", 1, p5=50)]
    (clip,) = skelemo.show(frames, fps=25, size=(640, 480)).clips
    assert (clip.title, clip.numbers.tolist(), clip.fps, clip.size) == ("new p5", [0, 1], 25, (640, 480))
    assert clip.points[:, 0, 0].tolist() == [6, 50]
    assert [points[0, 0, 0] for points in clip.others] == [1, 2, 3, 4, 5, 7, 8, 9]
    with pytest.raises(InputError, match="no person is visible in these frames"):
        skelemo.show([a_frame("new", 0)])


@pytest.mark.parametrize(
    ("which", "options", "told"),
    [
        (("anna",), {}, "'anna': only sequences of a cache or of recordings can be selected by name"),
        ((), {"first": -1}, r"first = -1, count = 1000; expected first >= 0, count >= 1"),
        ((), {"count": 0}, "first = 0, count = 0"),
        ((), {"layout": "face_70"}, r"points of the clip: \[4, 25, 3\]; expected \[4, 70, 3\] for face_70"),
    ],
)
def test_a_selection_that_an_array_cannot_have_is_refused(which, options, told):
    with pytest.raises(ConfigError, match=told):
        skelemo.show(np.ones((4, 25, 3)), *which, **options)


def test_a_sequence_is_shown_once_and_not_all_of_a_long_list(tmp_path, monkeypatch):
    monkeypatch.setattr(inline, "MOST_CLIPS", 2)
    names = ("one", "two", "three")
    folder = a_cache(tmp_path / "c", *(a_sequence(name, 2, scale="unit", width=9, height=9) for name in names))
    shown = skelemo.show(folder, "two", 1, "one", "three").clips
    assert [(clip.title, clip.size) for clip in shown] == [("two", (0, 0)), ("one", (0, 0))]
    assert len(skelemo.show([np.ones((1, 25, 3))] * 5).clips) == 2


def test_another_person_is_aligned_across_gaps_of_both(tmp_path):
    """One has frames 1, 2, 5, 6, 9; the other 2, 3, 5, 9, 11. Frames 2, 5 and 9 show both."""
    people = [a_sequence(name, 5, video="v", person=name, number=np.array(numbers, np.int32))
              for name, numbers in (("l", (1, 2, 5, 6, 9)), ("r", (2, 3, 5, 9, 11)))]  # fmt: skip
    frames, theirs = Frames(open_cache(a_cache(tmp_path / "c", *people))), people[1].keypoints
    found = frames.beside(1, 0, 0, 5)
    np.testing.assert_array_equal(found[[1, 2, 4]], theirs[[0, 2, 3]])
    assert not found[[0, 3]].any()
    np.testing.assert_array_equal(frames.beside(1, 0, 1, 2), theirs[:1])
    assert not frames.beside(1, 0, 0, 1).any()


@pytest.fixture
def table(tmp_path):
    classes = {"Cleo": [0, 1, 1], "anna": [2, -1, -1], "Ben": [-1] * 3}
    people = [a_sequence(name, 3, subject=name.upper(), expression=np.int16(one)) for name, one in classes.items()]
    return SequenceTable(open_cache(a_cache(tmp_path / "c", *people)))


def test_names_are_sorted_without_case_and_a_class_is_the_most_frequent_one(table):
    found = [one["id"] for one in table.page(table.find(Query(sort="id")))]
    assert found == ["anna", "Ben", "Cleo"]
    down = table.page(table.find(Query(sort="id", descending=True)))
    assert {one["id"]: one["expression"] for one in down} == {"Cleo": "sad", "Ben": "", "anna": "calm"}
    assert [one["id"] for one in down] == found[::-1]
    assert table.find(Query(descending=True)).tolist() == [2, 1, 0]
    assert table.find(Query(label="expression:glad")).tolist() == [0]
    assert table.find(Query(text="ann CLEO")).tolist() == []


def test_a_menu_of_too_many_names_is_empty(table, monkeypatch):
    assert table.choices()["subject"] == ["ANNA", "BEN", "CLEO"]
    monkeypatch.setattr(sequence_table, "_MOST_CHOICES", 2)
    assert table.choices()["subject"] == table.choices()["video"] == []
    assert table.choices()["label"] == ["expression:glad", "expression:sad", "expression:calm"]


def test_a_row_is_known_by_its_numbers_only_if_they_are_whole(tmp_path):
    viewer = Viewer(open_cache(a_cache(tmp_path / "c", a_sequence("one", 5))))
    for text in ("1.5", "-1", "٣", "1" * 12, " 1"):
        with pytest.raises(ConfigError, match="expected a number"):
            viewer.keypoints(0, {"first": text})
    with pytest.raises(ConfigError, match="first = 5; the sequence has 5 frames"):
        viewer.keypoints(0, {"first": "5"})
    with pytest.raises(ConfigError, match="row -1 is not a person of the same recording"):
        viewer.keypoints(0, {"as": "beside"})
    assert viewer.keypoints(0, {"first": "3", "count": "9"}).shape == (2, 25, 3)


def test_a_sample_names_the_flags_that_are_set_or_that_none_is(tmp_path):
    units, pose = Head("au", "flags", ("AU1", "AU2")), Head("pose", "classes", ("sit", "stand"))
    labels = {
        "expression": np.int16([0, 1, 2]),
        "au": np.int8([[1, 1], [0, -1], [-1, -1]]),
        "pose": np.int16([1, 0, -1]),
    }
    one = a_sequence("one", 3, labels=labels)
    one.keypoints[..., 2] = 1
    cache = open_cache(a_cache(tmp_path / "c", one, header=Header("body_25", (MOOD, units, pose))))
    glad, sad, calm = write_page(cache, tmp_path / "page").read_text().split("<h2>")[1:]
    assert "AU1 AU2" in glad
    assert "pose stand" in glad
    assert "no au" in sad
    assert "pose sit" in sad
    assert not {word for word in ("AU1", "no au", "pose") if word in calm}
