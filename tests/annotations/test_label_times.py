"""Starts and ends in seconds, and valence and arousal on other scales."""

from pathlib import Path

import numpy as np
import pytest

from skelemo.annotations import Annotation, Annotations, read_annotations
from skelemo.annotations.options import Options
from skelemo.annotations.timing import Span, in_frames
from skelemo.errors import ConfigError, InputError


def read(folder: Path, text: str, **options: str) -> Annotations:
    (folder / "labels.csv").write_text(text)
    return read_annotations("table", folder, options=Options.parse(**options))


def frames(
    folder: Path, text: str, fps: float = 10, last: int = 299, first: int = 0, **options: str
) -> list[list[int]]:
    """First frame, last frame and class number of each interval in one recording."""
    items = read(folder, text, **options).items
    placed, _ = in_frames((items,), [Span("v", first, last, fps)])
    (item,) = placed[0]
    assert item.number is not None
    end = item.number if item.end is None else item.end
    (labels,) = item.labels.values()
    return [list(row) for row in zip(item.number.tolist(), end.tolist(), labels.tolist(), strict=True)]


ROWS = "v,0,2.5,happy\nv,2.5,4,sad\n"


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("video,start,end,label\n" + ROWS, {}),
        ("video,start,end,label\n" + ROWS, {"unit": "seconds"}),
        ("video,start,end,unit,label\nv,0,2.5,s,happy\nv,2.5,4,sec,sad\n", {}),
        ("video,start,end,unit,label\nv,0,2500,ms,happy\nv,2500,4000,ms,sad\n", {}),
        ("video,start,end,label\nv,0,2500,happy\nv,2500,4000,sad\n", {"unit": "milliseconds"}),
        ("video,start (s),end (s),label\n" + ROWS, {}),
        ("video,start_ms,end_ms,label\nv,0,2500,happy\nv,2500,4000,sad\n", {}),
        ("video,start,end,label\nv,00:00:00.000,00:00:02.500,happy\nv,0:02.5,0:04,sad\n", {}),
        ("video;start;end;label\nv;0:00,0;0:02,5;happy\nv;0:02,5;0:04;sad\n", {"unit": "seconds"}),
    ],
)
def test_times_become_the_nearest_frames_and_an_end_is_not_included(
    tmp_path: Path, text: str, options: dict[str, str]
) -> None:
    # at 10 frames/s 2.5 s is frame 25, 4 s frame 40
    assert frames(tmp_path, text, **options) == [[0, 24, 0], [25, 39, 1]]


def test_rounded_times_give_the_nearest_frame(tmp_path: Path) -> None:
    # frames 1, 2 and 3 of 30 a second: 0.0333, 0.0667 and 0.1 s
    text = "video,start,end,label\nv,0.033,0.067,happy\nv,0.067,0.1,sad\n"
    assert frames(tmp_path, text, fps=30) == [[1, 1, 0], [2, 2, 1]]


def test_times_may_have_minutes_and_hours(tmp_path: Path) -> None:
    # 1 min 2 s is frame 62 of one a second, 1 h frame 3600
    text = "video,start,end,label\nv,1:02,01:00:00,happy\n"
    assert frames(tmp_path, text, fps=1, last=4000) == [[62, 3599, 0]]


def test_decimals_without_a_frame_rate_are_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"for 'v' are times, but the frame rate .* is unknown: give --fps"):
        frames(tmp_path, "video,start,end,label\n" + ROWS, fps=0)
    assert "have decimals and are read as seconds" in read(tmp_path, "video,start,end,label\n" + ROWS).notes[0]


def test_integers_that_may_be_seconds_are_queried(tmp_path: Path) -> None:
    text = "video,start,end,label\nv,0,10,happy\nv,11,29,sad\n"
    with pytest.raises(InputError, match=r"up to 29, which may be frames or seconds of v \(300 frames in 30 s\): give"):
        frames(tmp_path, text)
    assert frames(tmp_path, text, unit="frames") == [[0, 10, 0], [11, 29, 1]]
    assert frames(tmp_path, text, unit="seconds") == [[0, 99, 0], [110, 289, 1]]
    assert frames(tmp_path, text, last=60) == [[0, 10, 0], [11, 29, 1]]  # six seconds have no 29th
    assert frames(tmp_path, text, fps=0) == [[0, 10, 0], [11, 29, 1]]  # nothing says how long it is
    assert frames(tmp_path, text.replace("29", "61")) == [[0, 10, 0], [11, 61, 1]]


def test_intervals_that_share_an_end_may_be_times(tmp_path: Path) -> None:
    text = "video,start,end,label\nv,0,5,happy\nv,5,9,sad\n"
    with pytest.raises(InputError, match=r"lines 2 and 3 label the same frames \(5 to 5\) .* \(--unit seconds if"):
        read(tmp_path, text)
    assert frames(tmp_path, text, unit="seconds") == [[0, 49, 0], [50, 89, 1]]


def test_integers_beyond_the_recording_are_queried(tmp_path: Path) -> None:
    text = "video,start,end,label\nv,0,2000,happy\nv,2001,4000,sad\n"
    with pytest.raises(InputError, match=r"begins at 2001, but its recording v ends at frame 299: .* --unit fra"):
        frames(tmp_path, text)
    assert frames(tmp_path, text, unit="milliseconds") == [[0, 19, 0], [20, 39, 1]]
    assert frames(tmp_path, text, unit="frames") == [[0, 2000, 0], [2001, 4000, 1]]


def test_an_interval_shorter_than_half_a_frame_labels_nothing(tmp_path: Path) -> None:
    text = "video,start,end,label\nv,0.11,0.14,happy\nv,0.2,0.5,sad\n"  # 1.1 to 1.4 and 2 to 5 at 10 frames/s
    assert frames(tmp_path, text) == [[2, 4, 1]]
    items = read(tmp_path, text.replace("0.2,0.5", "40,50")).items
    placed, outside = in_frames((items,), [Span("v", 0, 299, 10)])
    assert outside == ["v"]
    assert len(placed[0][0].number) == 0


@pytest.mark.parametrize(
    ("text", "options", "outside"),
    [
        ("video,frame,label\nv,400,happy\n", {}, True),
        ("video,start,end,label\nv,400,500,happy\n", {"unit": "frames"}, True),
        ("video,start,end,label\nv,40,50,happy\n", {"unit": "seconds"}, True),
        ("video,frame,label\nv,4,happy\n", {}, True),
        ("video,frame,label\nv,299,happy\nv,400,sad\n", {}, False),
        ("video,start,end,label\nv,0,100,happy\n", {}, False),
        ("video,label\nv,happy\n", {}, False),
    ],
)
def test_labels_outside_the_recording_leave_it_unlabeled(
    tmp_path: Path, text: str, options: dict[str, str], outside: bool
) -> None:
    rows = text.replace("label\n", "label,subject\n").replace("happy", "happy,ann").replace("sad", "sad,ann")
    items = read(tmp_path, rows, **options).items
    placed, found = in_frames((items,), [Span("v", 100, 299, 10)])
    assert found == (["v"] if outside else [])
    assert placed[0][0].subject == "ann"
    assert (placed[0][0].at(np.arange(100, 300))["expression"] < 0).all() == outside


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("video,start,end,label\nv,2.5,2.5,x\n", {}, "line 2: end is '2.5'; expected an end after the start"),
        ("video,start,end,label\nv,-1,2.5,x\n", {}, r"line 2: start is '-1'; expected seconds, from 0"),
        ("video,start,end,unit,label\nv,1,2,hours,x\n", {}, "line 2: unit is 'hours'; expected frames, seconds"),
        ("video,start,end,unit,label\nv,1,2,s,x\nv,3,4,ms,x\n", {}, "are in seconds and in milliseconds; expected one"),
        (
            "video,start,end,unit,label\nv,1,2,s,x\n",
            {"unit": "frames"},
            "are in seconds, which contradicts --unit frames",
        ),
        ("video,start,end,label\nv,0:01,2,x\n", {}, "line 2: end is '2'; expected hours:minutes:seconds, as in"),
        (
            "video,start,end,label\nv,0:01,0:02,x\n",
            {"unit": "frames"},
            "are hours:minutes:seconds, but the unit is frames",
        ),
        ("video,start_s,end_ms,label\nv,1,2,x\n", {}, "columns 'start_s' and 'end_ms' have different units"),
        ("video,start,start_s,end,label\nv,1,1,2,x\n", {}, "several columns of start: start, start_s"),
        ("video,frame,start,end,label\nv,,1.5,2,x\nv,3,,,x\n", {}, "line 3: frame is '3'; expected no frame"),
        ("video,start,end,label\nv,0,2.5,x\nv,2,3,y\n", {}, r"lines 2 and 3 label the same time \(2 to 2.5 s\) differ"),
        ("video,start,end,label\nv,1.5,2,x\n", {"unit": "frames"}, "line 2: start is '1.5'; expected a frame number"),
    ],
)
def test_impossible_times_are_refused_with_their_line(
    tmp_path: Path, text: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, text, **options)


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ("video,valence,arousal", {"va_scale": "1:9"}),
        ("video,valence[1:9],arousal[1:9]", {}),
        ("video,Valence [1 : 9],arousal [1:9]", {}),
    ],
)
def test_other_scales_of_valence_and_arousal_are_rescaled(tmp_path: Path, header: str, options: dict[str, str]) -> None:
    # SAM's manikins: 1 is -1, 5 is 0, 9 is 1, 6 is 0.25
    items = read(tmp_path, f"{header}\na,1,9\nb,5,6\nc,,\n", **options).items
    assert [item.labels["va"].tolist() for item in items[:2]] == [[[-1, 1]], [[0, 0.25]]]
    assert np.isnan(items[2].labels["va"]).all()


def test_values_outside_the_scale_are_refused(tmp_path: Path) -> None:
    items = read(tmp_path, "video,valence,arousal\na,0,1000\nb,500,250\n", va_scale="0:1000").items
    assert [item.labels["va"].tolist() for item in items] == [[[-1, 1]], [[0, -0.5]]]
    with pytest.raises(InputError, match=r"line 3: arousal is '10'; expected a number in \[1, 9\]"):
        read(tmp_path, "video,valence,arousal\na,1,9\nb,5,10\n", va_scale="1:9")
    with pytest.raises(InputError, match=r"line 2: valence is '5'; .*another scale with --va-scale LOW:HIGH"):
        read(tmp_path, "video,valence,arousal\na,5,5\n")
    with pytest.raises(InputError, match="--va-scale needs columns valence and arousal"):
        read(tmp_path, "video,label\na,happy\n", va_scale="1:9")
    rows = "".join(f"v{n},{n / 20},{n / 40 - 0.2}\n" for n in range(20))
    (note,) = read(tmp_path, "video,valence,arousal\n" + rows).notes
    assert note.endswith("valence is never negative (use --va-scale 0:1 if its scale is 0 to 1)")


@pytest.mark.parametrize("scale", ["9", "9:1", "1:1", "a:b", "0:inf", "1:9:2"])
def test_an_invalid_scale_is_refused(scale: str) -> None:
    with pytest.raises(ConfigError, match="expected LOW:HIGH, as in 1:9 or 0:1000"):
        Options.parse(va_scale=scale)
    with pytest.raises(ConfigError, match="unknown unit 'second': did you mean 'seconds'"):
        Options.parse(unit="second")


@pytest.mark.parametrize(("end", "asked"), [(59, True), (60, False)])
def test_integers_of_a_minute_and_more_are_frames(end: int, asked: bool) -> None:
    """In a recording of 80 seconds, nobody labels in whole seconds beyond the first minute."""
    labels = {"mood": np.zeros(1, np.int16)}
    one = Annotation("clip", labels, "t.csv", np.array([3]), np.array([end]), unit="unknown")
    if asked:
        with pytest.raises(InputError, match=r"integers up to 59, which may be frames or seconds of clip \(2,000 fr"):
            in_frames(((one,),), [Span("clip", 0, 1999, 25.0)])
    else:
        (((found,),), outside) = in_frames(((one,),), [Span("clip", 0, 1999, 25.0)])
        assert (found.number.tolist(), found.end.tolist(), found.unit, outside) == ([3], [60], "frames", [])
