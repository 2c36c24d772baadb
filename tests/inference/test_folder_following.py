"""Which frames of a folder are read, in which order, without a model: files with given names, contents and ages."""

import json
import os
import time

import numpy as np
import pytest

from skelemo.inference.live import folder as room
from skelemo.inference.live.folder import Follower
from skelemo.openpose.stream import FrameReader
from skelemo.skeleton import layout


def a_frame(points: int = 25) -> bytes:
    return json.dumps({"people": [{"pose_keypoints_2d": [9.0, 8.0, 0.5] * points}]}).encode()


def write(folder, numbers, *, stem="take_", width=12, text=None, age=60.0):
    """Files that were last changed ``age`` seconds ago."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        path = folder / f"{stem}{number:0{width}}_keypoints.json"
        path.write_bytes(a_frame() if text is None else text)
        os.utime(path, (time.time() - age,) * 2)
    return folder


def following(folder, **options):
    given = {"context": 90, "from_start": True} | options
    return Follower(folder, FrameReader(layout("body_25")), **given)


def numbers(frames):
    return [frame.number for frame in frames]


def test_gaps_of_an_old_recording_are_passed_at_once_and_all_but_the_last_frame_are_late(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_GAP", 30)
    write(tmp_path, (3, 4, 9, 11))
    frames = list(following(tmp_path).frames(0.02))
    assert [(frame.number, frame.late) for frame in frames] == [(3, True), (4, True), (9, True), (11, False)]
    assert not any(frame.late for frame in following(tmp_path, every_frame=True).frames(0.02))


def test_a_gap_before_a_new_file_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_GAP", 30)
    write(tmp_path, (0, 1))
    write(tmp_path, (3,), age=0)
    follower = following(tmp_path)
    frames = follower.frames(0.02)
    assert [next(frames).number, next(frames).number, follower._next()] == [0, 1, None]
    write(tmp_path, (2,), age=0)
    assert numbers(frames) == [2, 3]


@pytest.mark.parametrize(("context", "expected"), [(3, [7, 8, 9]), (50, [*range(10)])])
def test_the_newest_files_are_the_past_of_the_first_new_one(tmp_path, context, expected):
    write(tmp_path, range(10))
    assert numbers(following(tmp_path, context=context, from_start=False).frames(0.02)) == expected


def test_numbers_without_leading_zeros_are_in_order_of_their_value(tmp_path):
    write(tmp_path, (9, 10, 11, 100), width=1)
    assert numbers(following(tmp_path).frames(0.02)) == [9, 10, 11, 100]


def test_more_files_than_are_remembered_are_read_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_LISTING", 0.01)
    monkeypatch.setattr(room, "_MOST_WAITING", 3)
    write(tmp_path, (0, 5, 6, 20, 21, 40))
    assert numbers(following(tmp_path).frames(0.25)) == [0, 5, 6, 20, 21, 40]


def test_of_two_recordings_the_one_written_last_is_followed_and_a_nameless_one_is_named_by_its_folder(tmp_path):
    folder = write(tmp_path / "walk", (5, 6), stem="")
    write(folder, (50, 51, 52), stem="older_", age=600)
    frames = list(following(folder).frames(0.25))  # long enough to list the folder again
    assert [(frame.video, frame.number) for frame in frames] == [("walk", 5), ("walk", 6)]
    write(folder, (50, 51, 52), stem="older_", age=6)
    assert {frame.video for frame in following(folder).frames(0.02)} == {"older"}


def test_size_and_frame_rate_are_the_recordings_own_else_those_given(tmp_path):
    write(tmp_path, (0, 6), stem="1-24-640x480_")
    reader = FrameReader(layout("body_25"), size=(32, 16))
    frames = Follower(tmp_path, reader, context=9, from_start=True).frames(0.4)
    assert [next(frames).time, next(frames).time, reader.size] == [0, 0.25, (640, 480)]
    write(tmp_path, (0,), stem="walk_", age=0)
    assert [next(frames).time, reader.size] == [None, (32, 16)]
    write(tmp_path / "extracted", (5,), stem="1-24-640x480_")
    (tmp_path / "extracted" / "skelemo-video.json").write_text('{"width": 96, "height": 64, "fps": 10}')
    follower = following(tmp_path / "extracted")
    assert [next(follower.frames(0.02)).time, follower.reader.size] == [0.5, (96, 64)]


def test_another_recording_may_have_another_body_model(tmp_path):
    write(tmp_path, (0,), stem="coco_", text=a_frame(18))
    frames = following(tmp_path).frames(0.4)
    assert np.count_nonzero(next(frames).people[0, :, 2]) == 19  # 18 points and the middle of the hips
    write(tmp_path, (0,), stem="body_", age=0)
    (found,) = frames
    assert (found.video, found.problem) == ("body", "")
    assert np.count_nonzero(found.people[0, :, 2]) == 25


def test_a_file_that_stays_cut_off_is_unreadable_after_a_while_and_one_that_is_no_frame_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_PATIENCE", 0.1)
    write(tmp_path, (0, 2))
    write(tmp_path, (1,), text=a_frame()[:40])
    begun = time.monotonic()
    first, cut, last = following(tmp_path).frames(0.02)
    assert (first.problem, last.problem, cut.people) == ("", "", None)
    assert cut.problem.startswith("take_000000000001_keypoints.json is truncated after 40 bytes")
    assert cut.arrived - begun >= 0.1
    monkeypatch.setattr(room, "_PATIENCE", 60)
    for text in (b"[]", b"\xef\xbb\xbf{}"):
        write(tmp_path, (1,), text=text)
        assert [frame.people is None for frame in following(tmp_path).frames(0.02)] == [False, True, False]


def test_a_file_that_is_completed_in_time_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_PATIENCE", 10)
    write(tmp_path, (0,))
    write(tmp_path, (1,), text=a_frame()[:40], age=0)
    follower = following(tmp_path)
    frames = follower.frames(0.02)
    assert next(frames).number == 0
    assert follower._next() is None  # cut off
    write(tmp_path, (1,), age=0)
    assert [(frame.number, frame.problem) for frame in frames] == [(1, "")]


def test_a_folder_in_the_place_of_a_file_is_a_problem_and_a_deleted_file_is_none(tmp_path):
    write(tmp_path, (0, 2, 5))
    (tmp_path / "take_000000000001_keypoints.json").mkdir()
    frames = following(tmp_path).frames(0.02)
    assert next(frames).number == 0
    (tmp_path / "take_000000000002_keypoints.json").unlink()
    broken, last = frames
    assert (broken.number, broken.people) == (1, None)
    assert broken.problem == "take_000000000001_keypoints.json cannot be read: Is a directory"
    assert (last.number, last.problem) == (5, "")
