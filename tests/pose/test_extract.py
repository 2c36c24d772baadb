"""Where keypoints go, what is kept beside them, and what a program of somebody else's has to do."""

import json
import os
import tarfile
import zipfile
from contextlib import contextmanager
from dataclasses import replace

import pytest
from recordings import find_recordings
from videos import squares, write_video

from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.errors import ConfigError, InputError
from skelemo.openpose.files import NO_INFO, VideoInfo, parse_info
from skelemo.pose import PROGRAMS, Options
from skelemo.pose.extract import _facts, extract, find_videos, match_videos

PERSON = {"pose_keypoints_2d": [float(1 + index) for index in range(75)]}


@PROGRAMS.register("test_nothing_else")
@contextmanager
def somebody(options):
    """Somebody in the first five frames of every video; nobody is found in a video called empty."""
    if options.flags == "fail":
        raise ConfigError("it is not installed")

    def find(video, notes):
        for number in range(0, 0 if video.name == "empty" else 5, options.every):
            if options.flags == "odd":
                yield number, b'{"people": [{"pose_keypoints_2d": [1, 2]}]}'
            else:
                part = "face" if number < 2 else "hand_left"
                numbers = [1.0] * {"face": 210, "hand_left": 63}[part] if options.flags == "faces" else []
                person = PERSON | {f"{part}_keypoints_2d": numbers}
                people = [PERSON, person] if options.flags == "faces" and number else [person]
                yield number, json.dumps({"version": 1.3, "people": people}).encode()
        notes.append(f"{video.name} was seen")

    yield find


OPTIONS = Options("test_nothing_else")


@pytest.fixture
def videos(tmp_path):
    for name in ("a.mp4", "day 1/b.mkv", "day 2/b.mp4"):
        write_video(tmp_path / "videos" / name, squares(5)[0])
    (tmp_path / "videos" / ".hidden.mp4").write_bytes(b"")
    (tmp_path / "videos" / "notes.txt").write_text("no video")
    return tmp_path / "videos"


def test_videos_below_a_folder_keep_their_paths(videos, tmp_path):
    assert list(find_videos([videos])) == ["a", "day 1/b", "day 2/b"]
    result = extract([videos], tmp_path / "out", OPTIONS)
    assert [one.place for one in result.done] == ["a", "day 1/b", "day 2/b"]
    assert result.notes == ["a was seen", "b was seen", "b was seen"]
    found = find_recordings(tmp_path / "out")
    assert [one.source for one in found] == ["a/a", "day 1/b/b", "day 2/b/b"]
    assert {one.info for one in found} == {VideoInfo(96, 64, 25.0)}


def test_two_videos_with_one_output_folder_are_an_error(videos):
    with pytest.raises(InputError, match=r"have the same output folder b: rename one, or"):
        find_videos([videos / "day 1" / "b.mkv", videos / "day 2" / "b.mp4"])


def test_a_missing_video_is_an_error(tmp_path):
    with pytest.raises(InputError, match="not found; expected a video"):
        find_videos([tmp_path / "nowhere"])
    with pytest.raises(InputError, match="contains no video"):
        find_videos([tmp_path])


def test_progress_ends_with_all_frames(videos, tmp_path):
    told = []
    extract([videos], tmp_path / "out", OPTIONS, lambda done, of: told.append((done, of)))
    assert [done for done, _ in told] == list(range(1, 16))
    assert told[0] == (1, 15)
    assert told[-1] == (15, 15)
    assert all(done <= of for done, of in told)


def test_remains_of_a_killed_extract_are_removed(videos, tmp_path):
    from skelemo.atomic import PARTIAL, owner

    extract([videos / "a.mp4"], tmp_path / "out", OPTIONS)
    dead = owner().rsplit("-", 2)[0] + "-999999999-1"
    (tmp_path / "out" / f"{PARTIAL}{dead}-extract").mkdir()
    extract([videos], tmp_path / "out", OPTIONS)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "day 1", "day 2"]


def test_a_folder_with_other_content_is_unchanged(videos, tmp_path):
    (tmp_path / "out" / "a").mkdir(parents=True)
    (tmp_path / "out" / "a" / "mine.txt").write_text("keep this")
    with pytest.raises(InputError, match="not empty, and not a folder of skelemo extract: choose another --out"):
        extract([videos / "a.mp4"], tmp_path / "out", OPTIONS)
    assert (tmp_path / "out" / "a" / "mine.txt").read_text() == "keep this"


def test_a_programs_output_is_validated(videos, tmp_path):
    with pytest.raises(InputError, match=r"a\.mp4: the JSON of frame 0 .*has 2 numbers"):
        extract([videos / "a.mp4"], tmp_path / "out", Options("test_nothing_else", flags="odd"))
    with pytest.raises(ConfigError, match="it is not installed"):
        extract([videos / "a.mp4"], tmp_path / "out", Options("test_nothing_else", flags="fail"))
    write_video(videos / "empty.mp4", squares(2)[0])
    with pytest.raises(InputError, match="the pose estimator returned no frame"):
        extract([videos / "empty.mp4"], tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()


def test_a_program_is_found_by_its_path(videos, tmp_path):
    result = extract([videos / "a.mp4"], tmp_path / "out", Options(f"{__name__}:somebody"))
    assert result.done[0].frames == 5
    with pytest.raises(ConfigError, match="choose from mediapipe, openpose"):
        extract([videos / "a.mp4"], tmp_path / "out", Options("posenet"))


def test_facts_outlive_packing_and_win_over_the_name(tmp_path):
    write_video(tmp_path / "videos" / "1-30-1280x720.mp4", squares(5)[0])
    extract([tmp_path / "videos"], tmp_path / "out", OPTIONS)
    with tarfile.open(tmp_path / "out.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "out", "out")
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        for file in (tmp_path / "out").rglob("*.json"):
            archive.write(file, file.relative_to(tmp_path))
    for source in ("out", "out.tar.gz", "out.zip"):
        (recording,) = find_recordings(tmp_path / source)
        assert recording.info == VideoInfo(96, 64, 25.0), source
    main(["ingest", str(tmp_path / "out.zip"), "--out", str(tmp_path / "cache")], standalone_mode=False)
    row = open_cache(tmp_path / "cache").sequences.iloc[0]
    assert (row["width"], row["height"], row["fps"]) == (96, 64, 25)


def test_a_changed_frame_rate_is_a_changed_recording(tmp_path):
    write_video(tmp_path / "videos" / "clip.mp4", squares(5)[0])
    extract([tmp_path / "videos"], tmp_path / "out", OPTIONS)
    words = ["ingest", str(tmp_path / "out"), "--out", str(tmp_path / "cache"), "--replace"]
    main(words, standalone_mode=False)
    file = tmp_path / "out" / "clip" / "skelemo-video.json"
    file.write_text(file.read_text().replace("25.0", "50.0"))
    main(words, standalone_mode=False)
    assert open_cache(tmp_path / "cache").sequences["fps"].tolist() == [50.0]


INFO = {
    "": NO_INFO,
    "[]": NO_INFO,
    "{": NO_INFO,
    "[" * 100_000: NO_INFO,
    '{"width": 640, "height": 480, "fps": 25}': VideoInfo(640, 480, 25.0),
    '{"width": 640, "height": "480", "fps": 29.97}': VideoInfo(0, 0, 29.97),
    '{"width": -1, "height": 480, "fps": NaN}': NO_INFO,
    '{"width": 640, "height": 480, "fps": 1e99}': VideoInfo(640, 480, 0.0),
    '{"width": true, "height": 480, "fps": true}': NO_INFO,
    '{"width": 640, "height": 0, "fps": -5}': NO_INFO,
}


@pytest.mark.parametrize(("text", "facts"), INFO.items(), ids=range(len(INFO)))
def test_facts_are_data_that_is_not_believed(text, facts):
    assert parse_info(text.encode()) == facts


def test_a_link_is_not_followed_for_facts(tmp_path):
    (tmp_path / "secret.json").write_text('{"width": 640, "height": 480, "fps": 25}')
    folder = tmp_path / "in" / "clip"
    folder.mkdir(parents=True)
    (folder / "clip_000000000000_keypoints.json").write_text(json.dumps({"people": [PERSON]}))
    os.symlink(tmp_path / "secret.json", folder / "skelemo-video.json")
    (recording,) = find_recordings(tmp_path / "in")
    assert recording.info == NO_INFO


def test_recordings_find_their_videos_by_path_or_by_a_name_that_is_theirs_alone(tmp_path):
    for name in ("one.mp4", "one.srt", "day/two.mkv", "a/talk.mp4", "b/talk.mp4", "a/talk.webm", "take.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    recordings = ["one/take", "three/take", "two", "a/talk", "c/talk", "d/e"]
    found = {name: path.relative_to(tmp_path).as_posix() for name, path in match_videos(tmp_path, recordings).items()}
    assert found == {"one/take": "one.mp4", "two": "day/two.mkv", "a/talk": "a/talk.mp4"}


def test_a_video_is_recognized_by_both_its_ends_and_its_size(tmp_path):
    content = bytearray(3 << 20)
    sources = []
    for change in (None, 0, len(content) - 1):
        changed = bytearray(content)
        if change is not None:
            changed[change] = 1
        (tmp_path / "x.mp4").write_bytes(changed)
        sources.append(_facts(tmp_path / "x.mp4", Options("openpose"))["source"])
    (tmp_path / "x.mp4").write_bytes(content + b"\0")
    sources.append(_facts(tmp_path / "x.mp4", Options("openpose"))["source"])
    assert len(set(sources)) == 4
    (tmp_path / "x.mp4").write_bytes(content)
    assert _facts(tmp_path / "x.mp4", Options("openpose"))["source"] == sources[0]


def test_frames_with_faces_and_the_usual_number_of_people_are_counted(videos, tmp_path):
    (done,) = extract([videos / "a.mp4"], tmp_path / "out", replace(OPTIONS, flags="faces")).done
    assert (done.frames, done.seen, done.faces, done.people) == (5, 5, 2, 2)
