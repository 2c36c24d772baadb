"""Whole videos in one JSON file, and what a file is by its content."""

import gzip

import pytest

from skelemo.openpose import files, sniff
from skelemo.openpose.files import NO_INFO, VideoInfo, parse_info, read_info
from skelemo.openpose.sniff import Sniffer, VideoError, decompressed, file_kind, frames_of, read_video


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[]", "has no frames"),
        (b'{"frames": []}', "has no frames"),
        (b'"people"', "has no frames"),
        (b'[{"people": []}', "is not JSON: "),
        (b'{"people": []}\n{"people": \n', "is not JSON: "),
    ],
)
def test_a_file_without_frames_is_no_video(data, reason):
    with pytest.raises(VideoError, match=f"^{reason}"):
        frames_of(data)


def test_a_frame_per_line_may_have_blank_lines_between():
    numbers, frames = frames_of(b'\xef\xbb\xbf{"frame": 9, "people": []}\r\n\n{"frame": 4, "people": [1]}\n\n')
    assert numbers == [4, 9]
    assert [b"1" in frame for frame in frames] == [True, False], "frames are in the order of their numbers"


@pytest.mark.parametrize("names", ['"1" "1"', '"1" "none"', "1 2147483648", "4 -1", "true 2"])
def test_numbers_that_cannot_be_frame_numbers_give_way_to_the_order_in_the_file(names):
    def numbers(names):
        return frames_of(b"[%s]" % b",".join(b'{"image": %s, "people": []}' % name.encode() for name in names))[0]

    assert numbers(names.split()) == [0, 1]
    assert numbers(["2147483647", '"frame 7.png"']) == [7, 2147483647]


def test_a_video_is_read_compressed_or_not_up_to_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(sniff, "MAX_VIDEO", 100)
    for name, pack in (("plain.json", bytes), ("packed.json.gz", gzip.compress)):
        path = tmp_path / name
        path.write_bytes(pack(b"x" * 100))
        assert read_video(str(path)) == b"x" * 100
        path.write_bytes(pack(b"x" * 101))
        with pytest.raises(OSError, match="has more than 0 MB in one file: split it into frames"):
            read_video(str(path))


def test_damaged_gzip_is_an_error_of_the_file_and_other_data_stay_as_they_are():
    assert decompressed(b"{}", 10) == b"{}"
    assert decompressed(gzip.compress(b"x" * 50), 10) == b"x" * 11, (
        "one byte more than the limit shows that it is exceeded"
    )
    with pytest.raises(OSError, match="is damaged: gzip cannot decompress it"):
        decompressed(b"\x1f\x8b\x08 and no more of gzip", 10)


def test_one_name_of_each_pattern_is_looked_at_and_an_unreadable_one_is_the_default():
    looked = []

    def kind(name):
        looked.append(name)
        if "bad" in name:
            raise OSError("damaged")
        if "gone" in name:
            raise OSError(2, "gone")
        return "video" if "film" in name else ""

    sniffer = Sniffer()
    names = ("film1.json", "film22.json", "bad1.json", "bad2.json", "gone.json", "note.json")
    assert [sniffer.kind(name, kind, "frame") for name in names] == ["video", "video", *["frame"] * 4]
    assert looked == ["film1.json", "bad1.json", "gone.json", "note.json"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b'[{"people": []}]', "frame"),
        (b'[{"people": []}, {"people": []}]', "video"),
        (b'{"people": []}', "frame"),
        (b'{"people": []}\n{"people": []}\n', "video"),
        (b'{"a": {"b": {"people": []}}}', ""),
        (b'{"note": "people: [", "x": 1}', ""),
    ],
)
def test_a_list_of_one_frame_is_a_frame_compressed_or_not(tmp_path, text, kind):
    for name, data in (("one.json", text), ("one.json.gz", gzip.compress(text))):
        (tmp_path / name).write_bytes(data)
        assert file_kind(str(tmp_path / name)) == kind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"width": 640, "height": 480, "fps": 25}', VideoInfo(640, 480, 25.0)),
        ('{"width": 640, "fps": 29.97}', VideoInfo(0, 0, 29.97)),
        ('{"width": 640.0, "height": 480, "fps": true}', NO_INFO),
        ('{"width": 0, "height": 480, "fps": 0}', NO_INFO),
        ('{"width": -640, "height": 480, "fps": -25}', NO_INFO),
        ('{"width": "640", "height": 480, "fps": "25"}', NO_INFO),
        ('{"width": true, "height": true, "fps": 1e999}', NO_INFO),
        ('{"fps": NaN}', NO_INFO),
        ("[640, 480, 25]", NO_INFO),
        ('{"width": 640, ', NO_INFO),
        ("[" * 100_000, NO_INFO),
    ],
)
def test_an_impossible_size_or_frame_rate_is_unknown(text, expected, tmp_path):
    assert parse_info(text.encode()) == expected
    assert read_info(str(tmp_path / "missing.json")) == NO_INFO


def test_a_compressed_frame_is_read_up_to_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    path = tmp_path / "one_keypoints.json.gz"
    path.write_bytes(gzip.compress(b"x" * 100))
    assert files.read_file(str(path))[0] == b"x" * 100
    path.write_bytes(gzip.compress(b"x" * 101))
    with pytest.raises(OSError, match="decompresses to more than 100 bytes, far more than a frame"):
        files.read_file(str(path))
