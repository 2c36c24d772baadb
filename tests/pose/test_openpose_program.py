"""OpenPose, by a stand-in that takes its flags, writes its files and fails as it does."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from videos import program, squares, write_video

from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.pose.openpose import _new_frames
from skelemo.pose.video import Video

#: Writes a person for each frame whose nose lies at 10 + the frame's number; what else it does is in the file ``mode``.
STAND_IN = r"""
import json, os, pathlib, signal, sys
here = pathlib.Path(__file__).resolve().parent
words = sys.argv[1:]
with open(here / "calls", "a") as calls:
    calls.write(json.dumps({"words": words, "cwd": os.getcwd()}) + "\n")
mode, *only = (here / "mode").read_text().split(" ") if (here / "mode").exists() else [""]
video = pathlib.Path(words[words.index("--video") + 1])
out = pathlib.Path(words[words.index("--write_json") + 1])
step = int(words[words.index("--frame_step") + 1]) if "--frame_step" in words else 1
print("Starting OpenPose demo...")
if only and video.stem not in only:
    mode = ""
if mode == "no_gpu":
    print("\nError:\nCuda check failed (100 vs. 0): no CUDA-capable device is detected", file=sys.stderr)
    print("\nComing from:\n- src/openpose/gpu/cuda.cpp:cudaCheck():42", file=sys.stderr)
    sys.exit(255)
if mode == "memory":
    print("F0101 syncedmem.cpp:71] Check failed: error == cudaSuccess (2 vs. 0)  out of memory", flush=True)
    os.kill(os.getpid(), signal.SIGABRT)
for n in range(0, {"nothing": 0, "half": 4}.get(mode, 10), step):
    body = [value for k in range(25) for value in (10.0 + n + k, 20.0 + 2 * k, 0.9)]
    face = [value for k in range(70) for value in (30.0 + n + k % 9, 40.0 + k // 9, 0.8)]
    person = {"person_id": [-1], "pose_keypoints_2d": body, "face_keypoints_2d": face}
    person |= {"hand_left_keypoints_2d": [], "hand_right_keypoints_2d": []}
    text = json.dumps({"version": 1.3, "people": [person]})
    name = f"{video.stem}_{n:012d}_keypoints.json"
    (out / name).write_text(text[:50] if mode == "garbage" and n == 5 else text)
print("OpenPose demo successfully finished.")
"""


@pytest.fixture
def openpose(tmp_path):
    """Its folder, as it is built on Linux."""
    home = tmp_path / "openpose"
    (home / "models" / "pose").mkdir(parents=True)
    program(home / "build/examples/openpose/openpose.bin", STAND_IN)
    return home


@pytest.fixture
def videos(tmp_path):
    for name in ("one", "two"):
        write_video(tmp_path / "videos" / f"{name}.mp4", squares(10)[0])
    return tmp_path / "videos"


def behave(home, mode):
    (home / "build/examples/openpose/mode").write_text(mode)


def calls(home):
    file = home / "build/examples/openpose/calls"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def extract(home, source, out, *more):
    return call("extract", source, "--with", "openpose", "--openpose", home, "--out", out, *more)


def test_flags_are_those_that_a_cache_wants_and_models_are_found(openpose, videos, tmp_path):
    done = extract(openpose, videos / "one.mp4", tmp_path / "out", "--hands", "--flags", "--net_resolution '-1x256'")
    assert done.exit_code == 0, done.output
    assert "one: 10 frames, people in 10, faces in 10, 1 in the median frame" in done.output
    (made,) = calls(openpose)
    words = made["words"]
    said = {word: words[place + 1] for place, word in enumerate(words[:-1]) if word.startswith("--")}
    assert said["--video"] == str(videos / "one.mp4")
    wanted = {"--keypoint_scale": "0", "--model_pose": "BODY_25", "--display": "0", "--render_pose": "0"}
    assert wanted.items() <= said.items()
    assert {"--face", "--hand"} <= set(words)
    assert said["--model_folder"] == f"{openpose / 'models'}/"
    assert words[-2:] == ["--net_resolution", "-1x256"]
    assert made["cwd"] == str(openpose)


def test_a_video_becomes_a_folder_that_ingest_knows_the_size_and_rate_of(openpose, videos, tmp_path):
    assert extract(openpose, videos, tmp_path / "out").exit_code == 0
    names = sorted(path.name for path in (tmp_path / "out" / "one").iterdir())
    assert names == ["one_%012d_keypoints.json" % n for n in range(10)] + ["skelemo-video.json"]  # noqa: UP031
    assert call("ingest", tmp_path / "out", "--out", tmp_path / "cache").exit_code == 0
    cache = open_cache(tmp_path / "cache")
    told = cache.sequences[["video", "width", "height", "fps", "length"]]
    assert told.to_numpy().tolist() == [["one", 96, 64, 25.0, 10], ["two", 96, 64, 25.0, 10]]
    np.testing.assert_allclose(cache.read().keypoints[:10, 0, 0], np.arange(10, 20))


def test_finished_videos_are_skipped(openpose, videos, tmp_path):
    extract(openpose, videos / "one.mp4", tmp_path / "out")
    done = extract(openpose, videos, tmp_path / "out")
    assert done.exit_code == 0
    assert "1 video already done" in done.output
    assert [one["words"][1] for one in calls(openpose)] == [str(videos / f"{name}.mp4") for name in ("one", "two")]


def test_other_options_or_another_video_of_the_name_are_not_mixed(openpose, videos, tmp_path):
    extract(openpose, videos / "one.mp4", tmp_path / "out")
    done = extract(openpose, videos / "one.mp4", tmp_path / "out", "--hands")
    assert done.exit_code == 2
    assert "has the keypoints of other options: remove it, or choose another --out" in done.output
    write_video(videos / "one.mp4", squares(10, step=2)[0])
    assert "has the keypoints of another video" in extract(openpose, videos / "one.mp4", tmp_path / "out").output


def test_every_nth_frame_keeps_its_number(openpose, videos, tmp_path):
    assert extract(openpose, videos / "one.mp4", tmp_path / "out", "--every", 3).exit_code == 0
    numbers = [int(path.name[4:16]) for path in sorted((tmp_path / "out" / "one").glob("*keypoints.json"))]
    assert numbers == [0, 3, 6, 9]


FAILURES = {
    "no_gpu": "OpenPose ended with exit code 255 after 0 frames: Cuda check failed (100 vs. 0): no CUDA-capable device",
    "memory": "OpenPose was ended by signal 6 after 0 frames: F0101 syncedmem.cpp:71] Check failed",
    "nothing": "OpenPose wrote 0 of 10 frames and ended without an error: OpenPose demo successfully finished.",
    "half": "OpenPose wrote 4 of 10 frames",
    "garbage": "the JSON of frame 5 is truncated after 50 bytes",
}


@pytest.mark.parametrize(("mode", "said"), FAILURES.items(), ids=FAILURES)
def test_a_failure_is_a_one_line_error_without_output(openpose, videos, tmp_path, mode, said):
    behave(openpose, mode)
    done = extract(openpose, videos / "one.mp4", tmp_path / "out")
    assert done.exit_code == 2
    assert len(done.output.strip().splitlines()) == 1
    assert f"{videos / 'one.mp4'}: {said}" in done.output
    assert not (tmp_path / "out").exists()
    if mode == "memory":
        assert "--flags '--net_resolution -1x256'" in done.output


def test_a_failed_video_does_not_stop_others_and_is_retried(openpose, videos, tmp_path):
    behave(openpose, "no_gpu one")
    done = extract(openpose, videos, tmp_path / "out")
    assert done.exit_code == 1
    assert f"not used: {videos / 'one.mp4'}: OpenPose ended with exit code 255" in done.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["two"]
    behave(openpose, "")
    assert extract(openpose, videos, tmp_path / "out").exit_code == 0
    assert len(calls(openpose)) == 3


def test_a_missing_program_is_an_error_with_instructions(videos, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENPOSE_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = call("extract", videos, "--with", "openpose", "--out", tmp_path / "out")
    assert done.exit_code == 2
    for word in (
        "OpenPose is not on the search path",
        "portable demo",
        "docker:IMAGE",
        "--openpose PATH",
        "--with mediapipe",
    ):
        assert word in done.output
    assert not (tmp_path / "out").exists()
    (tmp_path / "empty").mkdir()
    wrong = {"nowhere": "no such program", "empty": "no build/examples/openpose/openpose.bin",
             "videos/one.mp4": "not executable"}  # fmt: skip
    for path, said in wrong.items():
        done = extract(tmp_path / path, videos, tmp_path / "out")
        assert done.exit_code == 2
        assert said in done.output


def test_openpose_home_and_the_search_path_are_looked_at(openpose, videos, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENPOSE_HOME", str(openpose))
    assert call("extract", videos / "one.mp4", "--with", "openpose", "--out", tmp_path / "a").exit_code == 0
    monkeypatch.delenv("OPENPOSE_HOME")
    monkeypatch.setenv("PATH", str(openpose / "build/examples/openpose"))
    assert call("extract", videos / "one.mp4", "--with", "openpose", "--out", tmp_path / "b").exit_code == 0
    assert calls(openpose)[1]["cwd"] == str(openpose)


#: Runs what it is told to run inside, with the mounted folders in the place of the mounts.
DOCKER = """
import subprocess, sys
words = sys.argv[1:]
assert words[:4] == ["run", "--rm", "--gpus", "all"], words
mounts = dict(words[at + 1].split(":")[1::-1] for at, word in enumerate(words) if word == "-v")
at = words.index("some/openpose")
inside = words[at + 1 :]
assert inside[0] == "./build/examples/openpose/openpose.bin"
inside[0] = PROGRAM
for place, folder in mounts.items():
    inside = [folder + word[len(place):] if word == place or word.startswith(place + "/") else word for word in inside]
sys.exit(subprocess.run(inside).returncode)
"""


def test_an_image_is_run_by_docker(openpose, videos, tmp_path, monkeypatch):
    inside = str(openpose / "build/examples/openpose/openpose.bin")
    program(tmp_path / "bin" / "docker", DOCKER.replace("PROGRAM", repr(inside)))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    done = extract("docker:some/openpose", videos / "one.mp4", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "out" / "one").glob("*_keypoints.json"))) == 10
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert "docker is not on the search path" in extract("docker:some/openpose", videos, tmp_path / "out").output


def test_a_turned_video_is_refused_for_builds_differ(openpose, tmp_path):
    write_video(tmp_path / "clip.mp4", squares(3)[0], turn=90)
    done = extract(openpose, tmp_path / "clip.mp4", tmp_path / "out")
    assert done.exit_code == 2
    assert "stored rotated by" in done.output
    assert "--with mediapipe" in done.output
    assert calls(openpose) == []


def test_ingest_does_both_steps_and_keeps_the_keypoints(openpose, videos, tmp_path):
    (videos / "labels.csv").write_text("video,label\none,happy\ntwo.mp4,sad\n")
    words = ("ingest", videos, "--with", "openpose", "--openpose", openpose, "--out", tmp_path / "mine")
    done = call(*words, "--labels", f"table:{videos / 'labels.csv'}")
    assert done.exit_code == 0, done.output
    assert f"keypoints: {tmp_path / 'mine_json'}" in done.output
    assert (tmp_path / "mine_json" / "two" / "skelemo-video.json").is_file()
    cache = open_cache(tmp_path / "mine")
    assert cache.sequences["fps"].tolist() == [25.0, 25.0]
    assert sorted(np.unique(cache.read().labels["expression"])) == [0, 1]
    assert call(*words, "--labels", f"table:{videos / 'labels.csv'}").exit_code == 0
    assert len(calls(openpose)) == 2, "what is there is not done again"


def test_class_folders_of_videos_are_labels(openpose, videos, tmp_path):
    for name, folder in (("one", "happy"), ("two", "sad")):
        (videos / folder).mkdir()
        shutil.move(videos / f"{name}.mp4", videos / folder / f"{name}.mp4")
    done = call(
        "ingest", videos, "--labels", "folders", "--with", "openpose", "--openpose", openpose, "--out", tmp_path / "c"
    )
    assert done.exit_code == 0, done.output
    assert sorted(open_cache(tmp_path / "c").sequences["video"]) == ["happy/one", "sad/two"]


def test_a_video_without_a_program_is_an_error_that_lists_programs(videos, tmp_path):
    for source in (videos, videos / "one.mp4"):
        done = call("ingest", source, "--out", tmp_path / "cache")
        assert done.exit_code == 2
        assert "--with mediapipe or --with openpose" in done.output
    done = call("extract", videos, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "--with mediapipe" in done.output
    assert (
        "choose from mediapipe, openpose"
        in call("extract", videos, "--with", "posenet", "--out", tmp_path / "out").output
    )


def test_the_newest_file_is_read_only_when_the_next_one_exists_or_openpose_has_ended(tmp_path):
    video, known = Video(tmp_path / "a.mp4", 640, 480, 25.0, 3), set()

    def frames(*numbers, last=False):
        for number in numbers:
            (tmp_path / f"a_{number:012d}_keypoints.json").write_bytes(b"%d" % number)
        return list(_new_frames(tmp_path, known, video, last=last))

    assert frames(0) == []
    assert frames(1, 2) == [(0, b"0"), (1, b"1")]
    assert frames(10) == [(2, b"2")]
    assert frames(last=True) == [(10, b"10")]
    assert frames(last=True) == []
