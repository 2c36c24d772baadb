"""Videos are read as they are shown; what cannot be read costs one line."""

import sys

import av
import cv2
import numpy as np
import pytest
from videos import set_upright, squares, write_video

from skelemo.errors import ConfigError, InputError
from skelemo.pose.video import frames, probe


def read(path, every=1):
    notes = []
    video = probe(path)
    return video, {number: pixels for number, pixels, _ in frames(video, every, notes)}, notes


def center(pixels):
    """Of what is red."""
    y, x = np.nonzero((pixels[..., 0].astype(int) - pixels[..., 1]) > 90)
    return x.mean(), y.mean()


def test_frames_come_upright_in_order_and_in_rgb(tmp_path):
    drawn, centers = squares(10)
    video, found, notes = read(write_video(tmp_path / "a clip.mp4", drawn))
    assert (video.name, video.width, video.height, video.fps, video.frames, video.turn) == ("a clip", 96, 64, 25, 10, 0)
    assert list(found) == list(range(10))
    for number, pixels in found.items():
        np.testing.assert_allclose(center(pixels), centers[number], atol=1)
    assert notes == []


def test_every_nth_frame_keeps_its_number(tmp_path):
    drawn, centers = squares(10)
    _, found, _ = read(write_video(tmp_path / "clip.mp4", drawn), every=4)
    assert list(found) == [0, 4, 8]
    np.testing.assert_allclose(center(found[8]), centers[8], atol=1)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_video_is_set_upright_as_opencv_does(tmp_path, turn):
    path = write_video(tmp_path / "clip.mp4", squares(4)[0], turn=turn)
    video, found, _ = read(path)
    capture = cv2.VideoCapture(str(path))
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    for number in range(4):
        seen = capture.read()[1][..., ::-1]
        assert found[number].shape == seen.shape == (video.height, video.width, 3)
        np.testing.assert_allclose(center(found[number]), center(seen), atol=1)
    assert (video.width, video.height) == ((96, 64) if turn == 180 else (64, 96))


def test_a_variable_frame_rate_is_noted_and_numbers_follow_the_order(tmp_path):
    times = [0, 40, 80, 200, 240, 280, 500, 540, 580, 620]
    drawn, centers = squares(10)
    video, found, notes = read(write_video(tmp_path / "clip.mkv", drawn, times=times))
    assert list(found) == list(range(10))
    np.testing.assert_allclose(center(found[6]), centers[6], atol=1)
    (note,) = notes
    assert "variable frame rate (2 of 10 frames early or late)" in note
    assert "times are computed with the mean" in note
    assert (video.fps, video.frames) == (pytest.approx(9 / 0.62), 10)


def test_times_count_from_the_first_frame(tmp_path):
    path = write_video(tmp_path / "clip.mkv", squares(3)[0], times=[1400, 1440, 1480])
    assert [time for *_, time in frames(probe(path), 1, [])] == pytest.approx([0, 0.04, 0.08])


def no_frames(path):
    """Sound alone."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())


def an_unknown_codec(path):
    write_video(path.with_suffix(".avi"), squares(3)[0])
    path.write_bytes(path.with_suffix(".avi").read_bytes().replace(b"FMP4", b"ZZZZ"))


def cut_off(path):
    write_video(path, squares(3)[0])
    path.write_bytes(path.read_bytes()[:300])


HOSTILE = {
    "not there": (lambda path: None, "not found; expected a video"),
    "empty": (lambda path: path.write_bytes(b""), r"cannot be decoded as a video \(Invalid data found [^\d]*\)$"),
    "a text": (lambda path: path.write_text("not a video\n" * 99), "cannot be decoded as a video"),
    "sound alone": (no_frames, "no video stream"),
    "an unknown codec": (an_unknown_codec, "cannot be decoded as a video|no frame can be decoded"),
    "cut off": (cut_off, "cannot be decoded as a video"),
}


@pytest.mark.parametrize(("make", "said"), HOSTILE.values(), ids=HOSTILE)
def test_an_invalid_video_is_a_one_line_error(tmp_path, make, said):
    path = tmp_path / "clip.mp4"
    make(path)
    with pytest.raises(InputError, match=said) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_picture_that_changes_its_size_is_refused(tmp_path):
    pictures = [cv2.imencode(".jpg", np.full((height, 64, 3), 90, np.uint8))[1].tobytes() for height in (48, 48, 32)]
    path = tmp_path / "clip.mjpeg"
    path.write_bytes(b"".join(pictures))
    with pytest.raises(InputError, match="the first frame is 64x48, frame 2 64x32; expected one size"):
        read(path)


def test_damaged_packets_are_passed_over_and_noted(tmp_path):
    path = write_video(tmp_path / "clip.avi", squares(12)[0], codec="png")
    data = bytearray(path.read_bytes())
    places = [place for place in range(len(data)) if data[place : place + 4] == b"00dc"]
    data[places[5] + 8 : places[5] + 60] = bytes(52)
    path.write_bytes(data)
    video, found, notes = read(path)
    assert len(found) <= video.frames <= 12
    assert list(found) == list(range(len(found)))
    assert 10 <= len(found) < 12
    assert "1 packet cannot be decoded; later frames are numbered without a gap" in notes[0]


def test_a_missing_end_is_noted(tmp_path):
    path = write_video(tmp_path / "clip.mkv", squares(50)[0])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    _, found, notes = read(path)
    assert notes == [f"{path}: its frames end at {len(found) / 25:.1f} s of 2.0 s; is the file incomplete?"]


def test_without_pyav_the_error_names_the_extra(tmp_path, monkeypatch):
    path = write_video(tmp_path / "clip.mp4", squares(2)[0])
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match=r"pip install 'skelemo\[video\]'"):
        probe(path)


def test_the_helper_follows_the_standard(tmp_path):
    path = write_video(tmp_path / "clip.mp4", squares(1)[0])
    before = path.read_bytes()
    set_upright(path, 90)
    assert sum(a != b for a, b in zip(before, path.read_bytes(), strict=True)) <= 16
