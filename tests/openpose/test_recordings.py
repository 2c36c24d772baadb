import gzip
import json
import os
import pickle
from pathlib import Path

import pytest
from openpose_json import frame, person, points, write_video
from recordings import find_recordings

from skelemo.errors import InputError
from skelemo.openpose.people import RecordingError, read_people
from skelemo.openpose.recording import Recording, search
from skelemo.openpose.sniff import frames_of
from skelemo.skeleton import layout

NOBODY = {0: frame(), 1: frame()}


def summary(recordings: list[Recording]) -> list[tuple[str, str, int]]:
    return [(found.name, found.source, len(found.files)) for found in recordings]


def test_recordings_of_a_folder_are_grouped_by_stem_in_natural_order(tmp_path: Path) -> None:
    for stem in ("Kick 10", "Kick 9", "Стук"):
        write_video(tmp_path, NOBODY, stem)
    assert summary(find_recordings(tmp_path)) == [
        ("Kick 9", "Kick 9", 2),
        ("Kick 10", "Kick 10", 2),
        ("Стук", "Стук", 2),
    ]


def test_a_source_is_relative_to_the_given_folder(tmp_path: Path) -> None:
    write_video(tmp_path / "train" / "day 1", {7: frame(), 9: frame()}, "a")
    (found,) = find_recordings(tmp_path)
    assert (found.name, found.source, found.subfolder) == ("a", "train/day 1/a", "train/day 1")
    assert found.folder == str(tmp_path / "train" / "day 1")
    assert found.numbers.tolist() == [7, 9]
    assert found.numbers.dtype == "int32"


def test_frames_without_a_stem_are_named_by_their_folder(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "train" / "webcam"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "000000000003_keypoints.json").write_bytes(frame())
    assert summary(find_recordings(tmp_path)) == [(tmp_path.name, tmp_path.name, 1), ("webcam", "train/webcam", 1)]


def test_each_camera_is_a_recording(tmp_path: Path) -> None:
    for ending in ("", "_1", "_2"):
        (tmp_path / f"clip_000000000000_keypoints{ending}.json").write_bytes(frame())
    assert [found.name for found in find_recordings(tmp_path)] == ["clip", "clip_view1", "clip_view2"]


def images(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}_keypoints.json").write_bytes(frame())


def test_stills_are_single_frames_or_with_sequence_one_recording(tmp_path: Path) -> None:
    images(tmp_path, "a10", "b9")
    assert summary(find_recordings(tmp_path)) == [("a10", "a10", 1), ("b9", "b9", 1)]
    (sequence,) = find_recordings(tmp_path, sequence=True)
    assert (sequence.name, sequence.source) == (tmp_path.name, tmp_path.name)
    assert sequence.files == ("a10_keypoints.json", "b9_keypoints.json")
    assert sequence.numbers.tolist() == [0, 1]


@pytest.mark.parametrize(("lowest", "first"), [(0, 0), (1, 1), (31, 1)])
def test_images_of_a_clip_are_a_recording_counted_from_0_or_1(tmp_path: Path, lowest: int, first: int) -> None:
    images(tmp_path / "clip", *(f"frame_{n:05d}" for n in (lowest, lowest + 1, lowest + 3)))
    images(tmp_path / "later", "frame_00040", "frame_00041")
    found = search(tmp_path)
    assert summary(found.recordings) == [("clip", "clip", 3), ("later", "later", 2)]
    assert found.recordings[0].numbers.tolist() == [lowest - first, lowest + 1 - first, lowest + 3 - first]
    assert found.recordings[1].numbers.tolist() == [40 - first, 41 - first]
    (note,) = found.notes
    assert f"5 numbered images form 2 sequences, counted from {first} " in note
    assert "--stills" in note
    assert "--first-frame" in note


def test_the_number_of_the_first_frame_may_be_given(tmp_path: Path) -> None:
    images(tmp_path / "clip", "0101", "0102")
    (one,) = search(tmp_path, first_frame=100).recordings
    assert one.numbers.tolist() == [1, 2]
    with pytest.raises(InputError, match="--first-frame 102, but clip has an image 101"):
        search(tmp_path, first_frame=102)


def test_images_are_stills_if_requested_or_if_numbers_continue_across_folders(tmp_path: Path) -> None:
    for start, emotion in enumerate(("happy", "sad", "fear")):
        images(tmp_path / emotion, *(f"face_{n:04d}" for n in range(10 * start, 10 * start + 10)))
    assert len(search(tmp_path).recordings) == 30
    assert len(search(tmp_path / "sad").recordings) == 1
    assert len(search(tmp_path / "sad", sequence=False).recordings) == 10
    assert [len(one.files) for one in search(tmp_path, sequence=True).recordings] == [10, 10, 10]
    for start, take in enumerate(("one", "two")):
        images(tmp_path / "takes" / take, *(f"frame_{n:04d}" for n in range(10 * start, 10 * start + 10)))
    assert [len(one.files) for one in search(tmp_path / "takes").recordings] == [10, 10], "said to be frames"


def test_stills_that_may_be_frames_of_a_clip_are_mentioned(tmp_path: Path) -> None:
    images(tmp_path, "face0048", "face0049", "face0050", "other1")
    (note,) = search(tmp_path).notes
    assert "3 images whose names differ only by a number are recordings of one frame (such as face0048)" in note
    assert search(tmp_path, sequence=False).notes == ()


@pytest.mark.parametrize("number_of_files", [5, 6, 7])
def test_pieces_of_a_recording_cover_it(tmp_path: Path, number_of_files: int) -> None:
    write_video(tmp_path, {10 + n: frame(person(pose=points(25, 10 * n))) for n in range(number_of_files)})
    (whole,) = find_recordings(tmp_path)
    pieces = list(whole.pieces(3))
    assert [piece.source for piece in pieces] == ["clip_from10", "clip_from13", "clip_from16"][: len(pieces)]
    assert [n for piece in pieces for n in piece.numbers.tolist()] == whole.numbers.tolist()
    assert [name for piece in pieces for name in piece.files] == list(whole.files)


def test_sources_are_unique_if_a_video_a_still_and_a_folder_share_a_name(tmp_path: Path) -> None:
    write_video(tmp_path, NOBODY, "a")
    (tmp_path / "a_keypoints.json").write_bytes(frame())
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "000000000000_keypoints.json").write_bytes(frame())
    write_video(tmp_path / "a", NOBODY, "a")
    found = find_recordings(tmp_path)
    assert [one.name for one in found] == ["a"] * 4
    assert len({one.source for one in found}) == 4
    assert summary(found) == summary(find_recordings(tmp_path))


def test_other_files_are_skipped_and_other_json_is_counted(tmp_path: Path) -> None:
    write_video(tmp_path, NOBODY)
    (tmp_path / "labels.json").write_text("{}")
    (tmp_path / "dir_keypoints.json").mkdir()
    (tmp_path / "._clip_000000000000_keypoints.json").write_bytes(b"\0\5\26\7")
    write_video(tmp_path / ".trash", NOBODY, "old")
    write_video(tmp_path / "lost+found", NOBODY, "lost")
    os.mkfifo(tmp_path / "pipe_keypoints.json")
    os.mkfifo(tmp_path / "pipe.json")
    found = search(tmp_path)
    assert summary(found.recordings) == [("clip", "clip", 2)]
    assert found.notes == (f"{tmp_path}: skipped 1 JSON file without OpenPose's people (such as labels.json)",)


@pytest.mark.parametrize(
    "ending", [".json", ".JSON", "_Keypoints.JSON", "_keypoints_cleaned.json", ".json.gz", "_keypoints.json.gz"]
)
def test_files_with_other_names_are_recognized_by_content(tmp_path: Path, ending: str) -> None:
    data = frame(person(pose=points(25, 7)))
    for number in range(3):
        (tmp_path / f"take_{number:012d}{ending}").write_bytes(gzip.compress(data) if "gz" in ending else data)
        (tmp_path / f"coco_{number:012d}.json").write_text('{"annotations": [{"people": 1}]}')
    found = search(tmp_path)
    assert summary(found.recordings) == [("take", "take", 3)]
    assert "skipped 3 JSON files" in found.notes[0]
    assert read_people(found.recordings[0], layout()).keypoints[:, 0, 0].tolist() == [7, 7, 7]


WHOLE = {
    "list": lambda frames: json.dumps(frames),
    "lines": lambda frames: "\n".join(map(json.dumps, frames)),
    "object": lambda frames: json.dumps({f"img_{n}.jpg": one for n, one in enumerate(frames)}),
    "frames": lambda frames: json.dumps({"fps": 25, "frames": frames}),
}


@pytest.mark.parametrize("form", WHOLE)
@pytest.mark.parametrize("name", ["video.json", "video_keypoints.json", "video.json.gz"])
def test_a_whole_video_in_one_file_is_a_recording(tmp_path: Path, form: str, name: str) -> None:
    frames = [json.loads(frame(person(pose=points(25, 10 * n)), *[None] * n)) for n in range(12)]
    data = WHOLE[form](frames).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    for source in (tmp_path, tmp_path / name):
        (one,) = find_recordings(source)
        assert (one.name, one.numbers.tolist()) == ("video", list(range(12)))
        people = read_people(one, layout())
        assert people.keypoints[:, 0, 0].tolist() == [10 * n for n in range(12)]
    (tmp_path / name).write_bytes(b"[]")
    with pytest.raises(RecordingError, match="has changed since it was listed"):
        read_people(one, layout())


def test_a_damaged_compressed_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "one.json.gz").write_bytes(gzip.compress(frame())[:10] + b"no deflated data")
    (one,) = find_recordings(tmp_path / "one.json.gz")
    with pytest.raises(RecordingError, match=r"one\.json\.gz cannot be read: is damaged: gzip cannot decompress it"):
        read_people(one, layout())


def test_frames_of_a_whole_video_keep_their_numbers(tmp_path: Path) -> None:
    frames = [{"frame_id": n, "people": [person(pose=points(25, n))] if n != 9 else "none"} for n in (9, 4, 30)]
    (tmp_path / "video.json").write_text(json.dumps(frames))
    people = read_people(find_recordings(tmp_path)[0], layout())
    assert people.number.tolist() == [4, 30]
    assert people.keypoints[:, 0, 0].tolist() == [4, 30]
    assert [problem.file for problem in people.problems] == ["video.json#9"]


def test_only_links_to_files_within_the_source_are_followed(tmp_path: Path) -> None:
    source, outside = tmp_path / "source", tmp_path / "outside"
    write_video(source / "all", NOBODY)
    write_video(outside, NOBODY, "secret")
    (source / "some").mkdir()
    (source / "some" / "clip_000000000001_keypoints.json").symlink_to(
        source / "all" / "clip_000000000001_keypoints.json"
    )
    (source / "some" / "leak_keypoints.json").symlink_to(outside / "secret_000000000000_keypoints.json")
    (source / "gone_keypoints.json").symlink_to(source / "nowhere")
    (source / "away").symlink_to(outside)
    (source / "loop").symlink_to(source)
    with pytest.warns(UserWarning, match="skipped 2 links"):
        found = find_recordings(source)
    assert summary(found) == [("clip", "all/clip", 2), ("clip", "some/clip", 1)]


def test_the_source_itself_may_be_a_link(tmp_path: Path) -> None:
    write_video(tmp_path / "real", NOBODY)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert summary(find_recordings(tmp_path / "link")) == [("clip", "clip", 2)]


def test_a_single_file_with_any_name_is_a_recording(tmp_path: Path) -> None:
    write_video(tmp_path, NOBODY)
    (tmp_path / "any.json").write_bytes(frame())
    (one,) = find_recordings(tmp_path / "clip_000000000001_keypoints.json")
    assert (one.name, one.files, one.numbers.tolist()) == ("clip", ("clip_000000000001_keypoints.json",), [1])
    (other,) = find_recordings(tmp_path / "any.json")
    assert (other.name, other.source, other.numbers.tolist()) == ("any", "any", [0])


def test_names_in_different_unicode_forms_are_two_recordings(tmp_path: Path) -> None:
    for stem in ("caf\u00e9", "cafe\u0301"):
        write_video(tmp_path, NOBODY, stem)
    assert {found.name for found in find_recordings(tmp_path)} == {"caf\u00e9", "cafe\u0301"}


def test_names_that_are_not_utf8_can_be_read_and_printed(tmp_path: Path) -> None:
    for byte in (b"\xe9", b"\xe8"):
        name = b"caf" + byte + b"_000000000000_keypoints.json"
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))).write_bytes(frame())
    found = find_recordings(tmp_path)
    assert [one.name.encode() for one in found] == ["caf\ufffd".encode()] * 2
    assert len({one.source for one in found}) == 2
    assert all((tmp_path / one.files[0]).exists() for one in found)


def test_a_missing_or_empty_source_is_an_error_with_the_expected_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: not found; expected a folder with OpenPose's \*_keypoints.json"):
        find_recordings(tmp_path / "nowhere")
    (tmp_path / "labels.json").write_text("{}")
    with pytest.raises(InputError, match="no OpenPose file in 1 folder with 1 other JSON file; expected names"):
        find_recordings(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list everything")
def test_an_unreadable_folder_is_reported(tmp_path: Path) -> None:
    write_video(tmp_path, NOBODY)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    with pytest.warns(UserWarning, match="closed"):
        assert len(find_recordings(tmp_path)) == 1


def test_a_recording_can_be_pickled(tmp_path: Path) -> None:
    write_video(tmp_path, NOBODY)
    (found,) = find_recordings(tmp_path)
    copy = pickle.loads(pickle.dumps(found))
    assert (copy.source, copy.files, copy.numbers.tolist()) == (found.source, found.files, [0, 1])


@pytest.mark.parametrize(
    ("video", "numbers", "frames"),
    [
        (b'[{"frame": 5, "people": [1]}, {"frame": 2, "people": [2]}]', [2, 5], [2, 1]),
        (b'[{"frame": 5, "people": [1]}, {"frame": 5, "people": [2]}]', [0, 1], [1, 2]),
        (b'[{"frame": 5, "people": [1]}, {"people": [2]}]', [0, 1], [1, 2]),
        (b'{"take2_0010.png": {"people": [1]}, "take2_0009.png": {"people": [2]}}', [9, 10], [2, 1]),
        (b'{"frames": [{"image_id": "a7.jpg", "people": [1]}, {"image_id": "a6.jpg", "people": [2]}]}', [6, 7], [2, 1]),
        (b'{"frame_id": 3, "people": [1]}\n\n{"frame_id": 1, "people": [2]}\n', [1, 3], [2, 1]),
    ],
)
def test_frames_of_a_whole_video_are_ordered_by_distinct_numbers_or_else_as_written(video, numbers, frames) -> None:
    found, texts = frames_of(video)
    assert (found, [json.loads(text)["people"] for text in texts]) == (numbers, [[frame] for frame in frames])
