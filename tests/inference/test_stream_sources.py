"""What a stream may be: dictionaries, videos, cameras; and what is no stream."""

import re
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from skelemo.errors import ConfigError, InputError
from skelemo.inference.live import sources
from skelemo.inference.live.history import History, Shape
from skelemo.inference.live.sources import Problems, camera_device, decode, open_stream, read_dictionaries
from skelemo.openpose.stream import FrameReader
from skelemo.pose import PROGRAMS, Options
from skelemo.skeleton import layout

PERSON = {"pose_keypoints_2d": np.full(75, 0.5) * 100}
FRAME = {"people": [PERSON]}


def a_reader(**options) -> FrameReader:
    return FrameReader(layout("body_25"), **options)


def opened(source, reader=None, **options):
    given = {"context": 1, "from_start": True, "every_frame": True, "stop_after": 0.02} | options
    return open_stream(source, reader or a_reader(), **given)


def test_a_dictionary_that_is_no_json_is_an_unreadable_frame_among_others():
    broken = {"people": [{"pose_keypoints_2d": [object()] * 75}]}
    frames = list(read_dictionaries([FRAME, broken, (FRAME, 2.5)], a_reader()))
    assert [(frame.number, frame.time, frame.people is None) for frame in frames] == [
        (0, None, False), (1, None, True), (2, 2.5, False),
    ]  # fmt: skip
    assert frames[1].problem.startswith("frame 1 cannot be written as JSON: Type is not JSON serializable: object")
    with pytest.raises(InputError, match="frame 1 of the stream is a tuple; expected OpenPose's dictionary, or a pair"):
        list(read_dictionaries([FRAME, (FRAME, 0, 0)], a_reader()))


def test_a_frame_of_which_a_part_is_unreadable_keeps_the_rest_and_names_it():
    reader = FrameReader(layout("body_25+face_70"))
    people, problem = decode(reader, b'{"people": [{"pose_keypoints_2d": [%s], "face_keypoints_2d": [1, 2]}]}'
                             % b", ".join([b"0.5"] * 75), "line 7")  # fmt: skip
    assert people is not None
    assert problem.startswith("line 7: person 1: face_keypoints_2d has 2 numbers")
    assert decode(reader, b'{"people": []}', "line 8")[1] == ""


def test_the_first_and_the_latest_problem_are_kept():
    problems = Problems()
    for text in ("a", "b", "c"):
        problems.add(text)
    assert problems == Problems(3, "a", "c")


@pytest.mark.parametrize(
    ("source", "device"),
    [("camera", 0), ("camera:0", 0), ("camera:12", 12), ("camera:007", 7),
     *dict.fromkeys(("camera:", "camera:1234", "camera:-1", "Camera", "camera2", "a/camera"), None).items()],
)  # fmt: skip
def test_a_camera_is_named_by_its_number(source, device):
    assert camera_device(source) == (None if device is None else Path(f"/dev/video{device}"))


@pytest.fixture
def film(monkeypatch, tmp_path):
    """A video of 640 x 480 whose second and fourth frame a program reads."""

    @contextmanager
    def program(options):
        def find(video, notes):
            notes.append("two frames were dark")
            yield from ((number, b'{"people": []}') for number in (1, 3))

        yield find

    PROGRAMS.add("reader", program)
    about = SimpleNamespace(width=640, height=480, fps=20.0, name="talk")
    monkeypatch.setattr("skelemo.pose.video.probe", lambda path: about)
    (tmp_path / "talk.mp4").touch()
    yield tmp_path / "talk.mp4"
    del PROGRAMS._entries["reader"]


def test_a_video_has_times_size_and_notes_and_a_camera_no_times(film, monkeypatch, capsys):
    reader, given = a_reader(), a_reader(size=(320, 240))
    found = [(frame.number, frame.time) for frame in opened(film, reader, pose=Options("reader"))]
    assert (found, reader.size) == ([(1, 0.05), (3, 0.15)], (640, 480))
    assert capsys.readouterr().err == "note: two frames were dark\n"
    assert len(list(opened(film, given, pose=Options("reader")))) == 2
    assert given.size == (320, 240)
    monkeypatch.setattr(sources, "camera_device", lambda source: film)
    times: list[float | None] = []
    with pytest.raises(InputError, match=r"talk\.mp4: the camera stopped after frame 3"):
        times.extend(frame.time for frame in opened("camera", pose=Options("reader")))
    assert times == [None, None]


def test_what_is_no_stream_is_refused_and_what_is_not_followed_is_noted(tmp_path, capsys):
    with pytest.raises(
        ConfigError, match=re.escape("source 3: expected a folder, - or an iterable of OpenPose's dict")
    ):
        opened(3)
    (tmp_path / "take").mkdir()
    (tmp_path / "take" / "a_000_keypoints.json").write_text("{}")
    assert list(opened(tmp_path)) == []
    assert f"note: {tmp_path} has no frame yet; its subfolders, such as {tmp_path}/take," in capsys.readouterr().err
    (tmp_path / "b_000_keypoints.json").write_text('{"people": []}')
    assert [frame.video for frame in opened(str(tmp_path))] == ["b"]
    assert capsys.readouterr().err == ""
    (tmp_path / "shard.h5").touch()
    with pytest.raises(InputError, match=r"is a cache; expected a folder that OpenPose writes \(skelemo predict reads"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("shape", "rows", "example", "pick"),
    [
        (Shape(5, 2), 18, 5, None),  # twice the 8 steps of a window, and 2
        (Shape(3, context=90), 90, 90, [0, 44, 89]),
        (Shape(8, context=30, clip=40), 40, 30, [0, 4, 8, 12, 16, 20, 24, 29]),
    ],
)
def test_frames_are_kept_for_gaps_and_for_the_context(shape, rows, example, pick):
    view = shape.example(25)
    assert (shape.rows, view.keypoints.shape, len(view.present)) == (rows, (example, 25, 3), example)
    assert (None if view.pick is None else view.pick.tolist()) == pick
    assert len(view.picked) == shape.length


def test_a_live_prediction_notes_its_delay_and_its_shorter_context():
    context, late = Shape(5, 2, ahead=4, context=90).notes("ann")
    assert "live, only over the last 90 frames" in context
    assert late == "ann predicts the middle of a window: predictions are 4 frames late"
    assert Shape(8, context=30, clip=30).notes("ann") == Shape(5, 2).notes("ann") == []


def test_an_invisible_person_has_a_frame_of_missing_points():
    history = History(2, 10)
    for number, points in ((4, np.ones((2, 3), np.float32)), (6, None)):
        history.append(points, number)
    assert history.keypoints[:, 0].tolist() == [[1, 1, 1], [0, 0, 0]]
    assert [history.row(number) for number in (3, 4, 5, 6, 7)] == [-1, 0, -1, 1, -1]
