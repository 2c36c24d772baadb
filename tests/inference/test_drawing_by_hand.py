"""What an overlay needs before anything is drawn: paths, sizes, boxes, and who has which card for how long."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from small_caches import BODY_AND_FACE, MOOD, a_cache, a_sequence

from skelemo.cache.store import open_cache
from skelemo.errors import ConfigError, InputError
from skelemo.inference.drawing import Drawing, Person, _boxes
from skelemo.inference.overlay import Overlay
from skelemo.inference.sources import OpenedSource, ReadOptions, open_source
from skelemo.skeleton import layout

NAN = float("nan")


def test_a_box_is_of_clearly_visible_points_and_its_motion_is_averaged():
    points = torch.zeros(4, 3, 3)
    for frame, left in enumerate((0, 3, 6)):  # in the fourth frame, nobody is visible
        points[frame, :2] = torch.tensor([[left, 10, 1], [left + 20, 40, 0.06]])
        points[frame, 2] = torch.tensor([900, 900, 0.05])
    assert _boxes(points[:3], 1).tolist() == [[0, 10, 20, 40], [3, 10, 23, 40], [6, 10, 26, 40]]
    assert _boxes(points[:3], 3)[:, 0].tolist() == _boxes(points[:3], 2)[:, 0].tolist() == [1.5, 3, 4.5]
    assert np.isnan(_boxes(points, 1)[3]).all()
    assert _boxes(points, 3)[3].tolist() == [6, 10, 26, 40]  # that of the frame before
    assert np.isnan(_boxes(torch.zeros(2, 3, 3), 3)).all()


def a_person(numbers, x: float, y: float) -> Person:
    points = torch.zeros(len(numbers), 25, 3)
    points[0, 4] = torch.tensor([x, y, 1])
    points[-1, 5] = torch.tensor([NAN, 5, 0])
    return Person(np.array(numbers), points, np.zeros((len(numbers), 4)), np.zeros(1, int), [], 1)


@pytest.mark.parametrize(
    ("size", "points", "canvas"),
    [
        ((640, 480), (100, 900), (640, 480)),
        ((0, 0), (200, 100), (226, 121)),  # 5 % and 16 pixels more
        ((0, 480), (2000, 30), (1920, 64)),
    ],
)
def test_a_black_background_has_the_size_of_the_image_or_of_what_is_visible(size, points, canvas):
    drawing = Drawing(layout("body_25"), [a_person([7, 8], *points), a_person([8, 12], 30, 20)], size, 0.0)
    assert drawing.canvas == canvas
    assert drawing.numbers.tolist() == [7, 8, 12]


def a_table(person: str, frames: list[int]) -> pd.DataFrame:
    shares = dict(zip(("p_glad", "p_sad", "p_calm"), (0.25, 0.7, 0.05), strict=True))
    return pd.DataFrame({"person": person, "frame": frames, "expression": "sad", **shares})


def test_a_card_has_the_number_of_its_person_and_lasts_to_the_next_prediction_or_the_whole_clip(tmp_path):
    twos = np.arange(10, 24, 2, dtype=np.int32)  # every second frame of a video
    facts = (("person3", 25.0, 40), ("left", 50.0, 60), ("absent", 0.0, 20), ("", 0.0, 20))
    people = [
        a_sequence(f"v {name}", video="v", person=name, number=twos, fps=fps, width=wide, height=30)
        for name, fps, wide in facts
    ]
    cache = open_cache(a_cache(tmp_path / "c", *people))
    tables = [a_table("person3", [10, 16]), a_table("left", [14]), a_table("", [10, 12])]
    drawing = Drawing.of(cache, pd.concat(tables), (MOOD,), every=3)
    assert (drawing.size, drawing.fps) == ((60, 30), 50)
    several, whole, alone = drawing.people
    assert [one.contents[0].number for one in drawing.people] == ["3", "L", "1"]
    assert len({one.contents[0].color for one in drawing.people}) == 3
    assert several.contents[0].lines == (("sad", "70%"),)
    assert (several.content_frames.tolist(), several.hold) == ([10, 16], 6)
    assert whole.content(10) is whole.content(22) is whole.contents[0]
    np.testing.assert_allclose(alone.keypoints, people[3].keypoints)


@pytest.fixture
def source(tmp_path):
    cache = open_cache(a_cache(tmp_path / "c", a_sequence("a", 2), a_sequence("day 1/b", 2)))
    return OpenedSource(cache, films={"a": tmp_path / "a.mp4"})


def test_films_and_outputs_belong_to_their_videos(source, tmp_path):
    videos = ["a", "day 1/b"]
    films = tmp_path / "films"
    films.mkdir()
    with pytest.raises(InputError, match=r"films has no video named a\.\*, like a video of the source"):
        Overlay(tmp_path / "out", films).films(source, videos)
    (films / "b.mkv").touch()
    assert Overlay(tmp_path / "out").films(source, videos) == {"a": tmp_path / "a.mp4"}
    assert Overlay(tmp_path / "out", films).films(source, videos) == {"day 1/b": films / "b.mkv"}
    assert Overlay(tmp_path / "out", films / "b.mkv").films(source, ["x"]) == {"x": films / "b.mkv"}
    with pytest.raises(ConfigError, match=r"b\.mkv is one video, but the source has 2: name a folder of them"):
        Overlay(tmp_path / "out", films / "b.mkv").films(source, videos)
    assert Overlay(tmp_path / "X.MP4").targets(["a"]) == {"a": tmp_path / "X.MP4"}
    assert [path.parent for path in Overlay(tmp_path / "out").targets(videos).values()] == [tmp_path / "out"] * 2


def test_an_output_of_another_kind_is_refused_before_any_work(tmp_path):
    for name in ("dir.mp4", "1.5"):
        (tmp_path / name).mkdir()
    Overlay(tmp_path / "1.5").check()  # an existing folder with a dot
    with pytest.raises(ConfigError, match=r"dir\.mp4 is a folder: name a file, or a folder without \.mp4"):
        Overlay(tmp_path / "dir.mp4").check()
    with pytest.raises(ConfigError, match=r"x\.mkv: expected a folder or a file that ends in \.mp4"):
        Overlay(tmp_path / "x.mkv").check()


def points(count: int, frames: int = 3) -> np.ndarray:
    found = np.random.default_rng(0).uniform(1, 400, (frames, count, 3))
    found[..., 2] = 0.5
    return found


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (points(70), "the array has 70 points (face_70); the model takes body_25, [T, 25, 3]"),
        (points(24), "the array has 24 points; the model takes body_25, [T, 25, 3]"),
        (points(25)[..., :2], "the array has shape [3, 25, 2]; expected numbers [T, 25, 3]"),
        (points(25, 0), "the array has shape [0, 25, 3]; expected"),
        (points(25).astype(str), "the array has shape [3, 25, 3]; expected numbers"),
        (np.zeros((3, 25, 3)), "the array: nobody is visible, all confidences are 0"),
        ([], "expected a list of OpenPose's dictionaries, one per frame, each with 'people'"),
        ([{"people": []}, {"persons": []}], "expected a list of OpenPose's dictionaries"),
        ([{"people": []}, {"people": [object()]}], "frame 1 cannot be written as JSON: 'object' object has no"),
        ([{"people": []}] * 3, "nobody is visible"),
    ],
)
def test_an_array_or_dictionaries_that_cannot_be_predicted_for_are_refused_with_a_reason(source, told):
    with pytest.raises(InputError, match=re.escape(told)), open_source(source, layout("body_25"), ReadOptions()):
        raise AssertionError("opened")


def test_an_array_of_more_parts_than_the_models_is_taken_and_missing_points_have_no_place():
    given = points(137)
    given[1, 4, 2] = 0
    with open_source(given, layout("body_25"), ReadOptions(fps=30.0, size=(640, 480))) as found:
        (row,) = found.cache.sequences.to_dict("records")
        kept = found.cache.read().keypoints
    assert (row["width"], row["height"], row["fps"]) == (640, 480, 30.0)
    assert kept[1, 4].tolist() == [0, 0, 0]
    np.testing.assert_allclose(kept[0], given[0], rtol=1e-6)


def test_a_part_that_only_some_people_lack_is_noted_with_their_number_and_one_that_is_never_visible_refused(tmp_path):
    people = [a_sequence(f"v {name}", 3, points=95, video="v", person=name) for name in ("person0", "person1", "")]
    for one in people[1:]:
        one.keypoints[:, 25:] = 0
    folder = a_cache(tmp_path / "c", *people, header=BODY_AND_FACE)
    with open_source(folder, layout("body_25+face_70"), ReadOptions()) as found:
        assert found.notes == ("face_70 is missing for 2 of 3 people: predicted from the other keypoints",)
    with open_source(folder, layout("body_25"), ReadOptions(person="1")) as found:
        assert (found.cache.sequences["person"].tolist(), found.notes) == (["person1"], ())
    with (
        pytest.raises(ConfigError, match=re.escape("person 5: c has the people (unnamed), person0, person1")),
        open_source(folder, layout("body_25"), ReadOptions(person="5")),
    ):
        raise AssertionError("opened")
    with (
        pytest.raises(InputError, match="no frame shows face_70: nothing to predict from"),
        open_source(folder, layout("face_70"), ReadOptions(person="person1")),
    ):
        raise AssertionError("opened")
