"""MediaPipe: the protocol by a stand-in, the estimator's own rules, and, where there is one, MediaPipe itself."""

import json
import math
import os
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from recordings import find_recordings
from videos import program, squares, write_video

import skelemo
from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.pose import Options, environment, mediapipe_estimator
from skelemo.pose.environment import python_with_mediapipe
from skelemo.skeleton import layout

#: In the place of a Python that has MediaPipe: it finds the red square, and puts every landmark of a person there.
STAND_IN = r"""
import json, os, pathlib, struct, sys
here = pathlib.Path(__file__).resolve().parent
words = sys.argv[1:]
assert words[0] == "-I" and words[1].endswith("mediapipe_estimator.py"), words
with open(here / "calls", "a") as calls:
    calls.write(json.dumps(words[2:]) + "\n")
mode = (here / "mode").read_text() if (here / "mode").exists() else ""
def say(what):
    print(what if isinstance(what, str) else json.dumps(what), flush=True)
if mode == "no mediapipe":
    say({"error": "No module named 'mediapipe'"})
    sys.exit(1)
if mode == "crash at once":
    sys.exit("ImportError: libGL.so.1: cannot open shared object file")
say({"ready": "0.10.21"})
frame = 0
while head := sys.stdin.buffer.read(12):
    first, width, height = struct.unpack("<III", head)
    pixels = sys.stdin.buffer.read(width * height * 3)
    frame = 0 if first else frame + 1
    red = [at for at in range(width * height) if pixels[3 * at] > pixels[3 * at + 1] + 90]
    if frame == 3 and mode == "crash" and not (here / "crashed").exists():
        (here / "crashed").write_text("")
        sys.exit("Aborted (core dumped)")
    if frame == 3 and mode == "noise":
        say("W0000 what is this")
        continue
    if frame == 3 and mode == "error":
        say({"error": "the graph failed"})
        sys.exit(1)
    if frame == 3 and mode == "nobody":
        say({"people": []})
        continue
    x = (sum(at % width for at in red) / len(red) + 0.5) / width
    y = (sum(at // width for at in red) / len(red) + 0.5) / height
    person = {"pose": [[x, y, 0.9]] * 33, "face": [[x, y]] * 478}
    person["pose"][16] = [1.5, y, 0.9]
    person["pose"][15] = [x, y, 0.01]
    if mode == "tall":
        person["pose"] = [[x, y + (k - 16) / 80, 0.9] for k in range(33)]
    if "--hands" in words:
        person["left_hand"] = [[x, y]] * 21
    say({"people": [person]})
"""


@pytest.fixture
def python(tmp_path):
    return program(tmp_path / "env" / "bin" / "python", STAND_IN)


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "videos" / "clip.mp4", squares(8)[0])


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def extract(python, source, out, *more):
    return call("extract", source, "--with", "mediapipe", "--python", python, "--out", out, *more)


def behave(python, mode):
    (python.parent / "mode").write_text(mode)


def keypoints(folder):
    """Of the one sequence ``[T, V, 3]``, by way of ingest."""
    assert (
        call("ingest", folder, "--out", folder.parent / "cache", "--layout", "body_25+face_70+hand_21x2").exit_code == 0
    )
    return open_cache(folder.parent / "cache").read().keypoints


ALL = layout("body_25+face_70+hand_21x2")


def test_landmarks_become_pixels_of_the_frame_that_was_sent(python, video, tmp_path):
    done = extract(python, video, tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "clip: 8 frames, people in 8, faces in 8, 1 in the median frame" in done.output
    found = keypoints(tmp_path / "out")
    centers = np.array(squares(8)[1])
    for name in (
        "body_25.Nose",
        "body_25.Neck",
        "body_25.MidHip",
        "body_25.LBigToe",
        "face_70.OuterMouth3",
        "face_70.LPupil",
    ):
        np.testing.assert_allclose(found[:, ALL.index(name), :2], centers + 0.5, atol=1, err_msg=name)
    for name in ("body_25.LSmallToe", "body_25.RSmallToe", "body_25.RWrist", "body_25.LWrist"):
        assert not found[:, ALL.index(name)].any(), f"{name}: not known, outside the picture, or hidden"
    assert not found[:, ALL.slices["hand_left_21"]].any()
    np.testing.assert_allclose(found[:, 0, 2], 0.9, rtol=1e-6)


def test_a_frame_is_to_the_letter_as_openpose_writes_it(python, video, tmp_path):
    extract(python, video, tmp_path / "out", "--hands")
    (recording,) = find_recordings(tmp_path / "out")
    assert (recording.info.width, recording.info.height, recording.info.fps) == (96, 64, 25)
    text = (tmp_path / "out" / "clip" / "clip_000000000002_keypoints.json").read_text()
    (person,) = json.loads(text)["people"]
    keys = [f"{part}_keypoints_{form}" for form in ("2d", "3d") for part in ("pose", "face", "hand_left", "hand_right")]
    assert list(person) == ["person_id", *keys]
    assert [len(person[key]) for key in keys[:4]] == [75, 210, 63, 0]
    assert text.startswith('{"version":1.3,"people":[{"person_id":[-1],"pose_keypoints_2d":[')


def test_turned_videos_are_sent_upright_and_each_frame_once(python, tmp_path):
    path = write_video(tmp_path / "videos" / "clip.mp4", squares(5)[0], turn=90)
    assert extract(python, path, tmp_path / "out").exit_code == 0
    found = keypoints(tmp_path / "out")
    x, y = np.array(squares(5)[1]).T
    np.testing.assert_allclose(found[:, 0, 0], 64 - y, atol=1)  # clockwise, what was below is on the left
    np.testing.assert_allclose(found[:, 0, 1], x, atol=1)
    facts = json.loads((tmp_path / "out" / "clip" / "skelemo-video.json").read_text())
    assert (facts["width"], facts["height"]) == (64, 96)


def test_a_frame_without_people_is_kept(python, video, tmp_path):
    behave(python, "nobody")
    assert "8 frames, people in 7, faces in 7" in extract(python, video, tmp_path / "out").output
    assert keypoints(tmp_path / "out")[..., 2].any(1).tolist() == [n != 3 for n in range(8)]


def test_options_reach_the_estimator_which_serves_all_videos(python, video, tmp_path):
    shutil.copy(video, video.with_name("b.mp4"))
    write_video(video.with_name("b.mp4"), squares(6, step=4)[0])
    done = extract(
        python, video.parent, tmp_path / "out", "--hands", "--max-people", 3, "--models", tmp_path, "--every", 2
    )
    assert done.exit_code == 0, done.output
    (words,) = (python.parent / "calls").read_text().splitlines()
    assert json.loads(words) == ["--people", "3", "--hands", "--models", str(tmp_path)]
    assert sorted(path.name for path in (tmp_path / "out" / "b").glob("*_keypoints.json")) == [
        f"b_{number:012d}_keypoints.json" for number in (0, 2, 4)
    ]


FAILURES = {
    "crash": "MediaPipe ended at frame 3: Aborted (core dumped) (exit code 1)",
    "noise": "MediaPipe ended at frame 3: no message (invalid output)",
    "error": "MediaPipe ended at frame 3: the graph failed",
    "no mediapipe": "MediaPipe cannot be used with {python}: No module named 'mediapipe'",
    "crash at once": "MediaPipe cannot be used with {python}: ImportError: libGL.so.1",
}


@pytest.mark.parametrize(("mode", "said"), FAILURES.items(), ids=FAILURES)
def test_a_failure_is_a_one_line_error_without_output(python, video, tmp_path, mode, said):
    behave(python, mode)
    done = extract(python, video, tmp_path / "out")
    assert done.exit_code == 2
    assert len(done.output.strip().splitlines()) == 1
    assert said.format(python=python) in done.output
    assert not (tmp_path / "out").exists()


def test_an_estimator_is_restarted_after_a_crash(python, video, tmp_path):
    shutil.copy(video, video.with_name("second.mp4"))
    write_video(video.with_name("second.mp4"), squares(6, step=4)[0])
    behave(python, "crash")
    done = extract(python, video.parent, tmp_path / "out")
    assert done.exit_code == 1
    assert "not used: " in done.output
    assert "clip.mp4: MediaPipe ended at frame 3" in done.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["second"]


def test_a_video_that_cannot_be_decoded_does_not_stop_the_others(python, video, tmp_path):
    video.with_name("broken.mp4").write_bytes(b"no video")
    done = extract(python, video.parent, tmp_path / "out")
    assert done.exit_code == 1
    assert "broken.mp4: cannot be decoded as a video" in done.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clip"]


MOODS = """video,mood
a,calm
b,wild
c,wild
d,calm
"""


def test_from_a_video_to_a_table_in_one_command(python, video, tmp_path):
    for name, step in (("a", 2), ("b", 4), ("c", 5), ("d", 1)):
        write_video(tmp_path / "many" / f"{name}.mp4", squares(8, step=step)[0])
    (tmp_path / "many" / "labels.csv").write_text(MOODS)
    found = ("--with", "mediapipe", "--python", python)
    behave(python, "tall")
    labels = ("--labels", f"table:{tmp_path / 'many' / 'labels.csv'}")
    done = call("ingest", tmp_path / "many", "--out", tmp_path / "cache", *labels, *found)
    assert done.exit_code == 0, done.output
    run, out = tmp_path / "run", tmp_path / "table.csv"
    write_video(video, squares(30, step=2)[0])
    facts = {"data": [str(tmp_path / "cache")], "head": "mood", "split": "holdout:0.5", "validation": 0}
    skelemo.train(run, arch="ann", epochs=1, device="cpu", **facts)
    done = call("predict", run, video, *found, "--out", out, "--overlay", tmp_path / "x.mp4")
    assert done.exit_code == 0, done.output
    import av

    with av.open(str(video)) as source, av.open(str(tmp_path / "x.mp4")) as drawn:
        pairs = zip(source.decode(video=0), drawn.decode(video=0), strict=True)
        differ = [
            (np.abs(a.to_ndarray(format="gray").astype(int) - b.to_ndarray(format="gray")[: a.height, : a.width]) > 30)
            for a, b in pairs
        ]
    assert len(differ) == 30
    assert all(0.001 < one.mean() < 0.5 for one in differ)  # the film, with a person and a card on it
    table = pd.read_csv(out)
    assert set(table["video"]) == {"clip"}
    assert table["frame"].tolist() == list(range(30))
    np.testing.assert_allclose(table["time"], np.arange(30) / 25)
    again = skelemo.load(run).predict(video, pose=Options("mediapipe", python=str(python)))
    np.testing.assert_allclose(again["p_calm"], table["p_calm"], atol=1e-5)
    done = call("predict", run, video, "--out", tmp_path / "other.csv")
    assert done.exit_code == 2
    assert "is a video: extract its keypoints by --with mediapipe or --with openpose" in done.output


def test_an_environment_is_created_once_and_a_failed_installation_is_a_one_line_error(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(environment, "find_spec", lambda name: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    told = []
    with pytest.raises(skelemo.errors.ConfigError, match=r"cannot be installed: ERROR: .*--python PATH") as error:
        python_with_mediapipe("", told.append)
    assert "\n" not in str(error.value)
    folder = tmp_path / "cache" / "skelemo" / "mediapipe-0.10.21"
    assert told == [f"installing MediaPipe 0.10.21 once, in a separate environment: {folder}"]
    assert [path.name for path in folder.parent.iterdir()] in ([], [".lock"])
    monkeypatch.setattr(
        environment, "_run", lambda command: "-m venv" in " ".join(command) and _make_python(command[-1])
    )
    assert (
        python_with_mediapipe("", told.append) == python_with_mediapipe("", told.append) == str(folder / "bin/python")
    )
    assert len(told) == 2


def _make_python(folder):
    program(environment.Path(folder) / "bin" / "python", "")


def test_a_python_version_without_wheels_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(environment, "find_spec", lambda name: None)
    monkeypatch.setattr(environment, "PYTHONS", ("2.9", "2.8"))
    with pytest.raises(skelemo.errors.ConfigError, match=r"this is Python 3.*needs Python 2\.8 to 2\.9"):
        python_with_mediapipe("", print)
    with pytest.raises(skelemo.errors.ConfigError, match="--python /nowhere: no such program"):
        python_with_mediapipe("/nowhere", print)


# the estimator's own rules


def test_the_box_of_a_person_is_mediapipes():
    """pose_detection_to_roi.pbtxt: around the hip, 2.5 times as large as from hip to head, turned to be upright."""
    assert mediapipe_estimator._box([(100, 200), (100, 100)]) == (100, 200, 250, 0)
    x, y, size, angle = mediapipe_estimator._box([(100, 200), (200, 200)])  # lying, the head to the right
    assert (x, y, size) == (100, 200, 250)
    assert math.isclose(angle, math.pi / 2)


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (720, 1280), (640, 640), (3000, 500), (500, 420)])
def test_tiles_cover_the_picture_with_squares(width, height):
    tiles = mediapipe_estimator._tiles(width, height)
    assert tiles[0] == (0, 0, width, height)
    seen = np.zeros((height, width), bool)
    for left, top, wide, high in tiles[1:]:
        assert wide == high == min(width, height)
        assert left + wide <= width
        assert top + high <= height
        seen[top : top + high, left : left + wide] = True
    assert seen.all() if len(tiles) > 1 else max(width, height) <= 1.2 * min(width, height)


# MediaPipe itself


@pytest.fixture(scope="session")
def real_python():
    """A Python with MediaPipe 0.10.21: SKELEMO_TEST_MEDIAPIPE, or the environment that skelemo has made."""
    given = os.environ.get("SKELEMO_TEST_MEDIAPIPE", "")
    path = given or str(environment._home() / f"mediapipe-{environment.VERSION}" / "bin" / "python")
    if not os.access(path, os.X_OK):
        pytest.skip("no Python with MediaPipe: name one by SKELEMO_TEST_MEDIAPIPE")
    return path


def test_mediapipe_finds_body_and_face_in_every_frame(real_python, shared_data, tmp_path):
    done = extract(real_python, shared_data / "video" / "single_face.mp4", tmp_path / "out", "--every", 6)
    assert "12 frames, people in 12, faces in 12, 1 in the median frame" in done.output, done.output
    found = keypoints(tmp_path / "out")
    nose, eyes = found[:, 0, :2], found[:, [ALL.index("face_70.RPupil"), ALL.index("face_70.LPupil")], :2]
    face = found[:, ALL.slices["face_70"]]
    assert (face[..., 2] > 0).all()
    apart = np.linalg.norm(eyes[:, 0] - eyes[:, 1], axis=1)
    tip = found[:, ALL.index("face_70.NoseBridge3"), :2]
    assert (np.linalg.norm(nose - tip, axis=1) < apart).all(), "the body's nose lies on the face's"
    assert not found[:, [ALL.index("body_25.LKnee"), ALL.index("body_25.LSmallToe")]].any(), (
        "below the picture, or unknown"
    )


def test_mediapipe_follows_several_people(real_python, shared_data, tmp_path):
    done = extract(real_python, shared_data / "video" / "crowd.avi", tmp_path / "out", "--every", 10)
    assert done.exit_code == 0, done.output
    (people,) = [
        float(line.split(" in the median")[0].split()[-1]) for line in done.output.splitlines() if "median" in line
    ]
    assert people >= 3


def test_the_estimator_refuses_hands_with_model_files(real_python, tmp_path):
    words = [real_python, "-I", mediapipe_estimator.__file__, "--hands", "--models", str(tmp_path)]
    done = subprocess.run(words, input=b"", capture_output=True, check=False)
    assert b"--hands needs the models in the wheel" in done.stdout
    done = subprocess.run([*words[:3], *words[4:]], input=b"", capture_output=True, check=False)
    assert b"no pose_landmarker*.task in" in done.stdout
