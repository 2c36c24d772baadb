"""Which person gets which labels, on people placed by hand: x of the nose is who it is."""

import numpy as np
import pytest

from skelemo.annotations.registry import Annotation
from skelemo.ingest.sequences import remarks, sequences_of
from skelemo.ingest.task import Settings, Task
from skelemo.openpose.files import VideoInfo
from skelemo.openpose.people import People
from skelemo.openpose.recording import Recording
from skelemo.tracking import identify


def people_at(*frames: list[float], scale: str = "pixels", size: float = 30.0, **facts) -> People:
    """People of 25 points at these places, frame by frame; they are the same person while the place is the same."""
    rows = [at for frame in frames for at in frame]
    grid = np.stack(np.meshgrid(np.arange(5), np.arange(5)), -1).reshape(25, 2) * size / 5
    keypoints = np.array([np.column_stack([grid + at, np.full(25, 0.9)]) for at in rows], np.float32)
    start = np.cumsum([0, *map(len, frames)])
    number = np.arange(len(frames), dtype=np.int32)
    return People(number, start, keypoints, "body_25", scale, (), 0, 0, **facts)


def made(people: People, *persons: str, name: str = "clip", info=None, **settings):
    """The sequences of labeled persons, by person."""
    files = [f"{n}.json" for n in range(len(people.number))]
    recording = Recording(name, "/", name, files, **({"info": info} if info else {}))
    given = tuple(Annotation(name, {"mood": np.zeros(1, np.int16)}, "", person=person) for person in persons)
    task, chosen = Task(recording, name, given, {}), Settings(**settings)
    found = list(sequences_of(task, people, chosen, identify(people).tracks))
    return {one.person: one for one in found}, remarks(task, people, found)


def noses(sequence) -> list[float]:
    return sequence.keypoints[:, 0, 0].round(2).tolist()


@pytest.mark.parametrize(
    ("scale", "left", "right", "size", "settings"),
    [
        ("unit", 0.25, 0.75, 0.1, {}),
        ("signed", -0.5, 0.25, 0.1, {}),
        ("pixels", 100.0, 400.0, 30.0, {"width": 640}),
        ("pixels", 100.0, 300.0, 30.0, {"width": 500}),
    ],
)
def test_people_who_are_never_together_are_on_their_side_of_the_image(scale, left, right, size, settings):
    frames = [[left]] * 20 + [[right]] * 20
    found, notes = made(people_at(*frames, scale=scale, size=size), "left", "right", **settings)
    assert noses(found["left"]) == [left] * 20 + [0] * 20
    assert noses(found["right"]) == [0] * 20 + [right] * 20
    assert notes == []


def test_without_an_image_width_nobody_is_guessed_and_it_is_noted():
    found, (note,) = made(people_at(*[[100.0]] * 20, *[[400.0]] * 20), "left", "right")
    assert not found["left"].keypoints.any()
    assert not found["right"].keypoints.any()
    assert "the image width is unknown (--size WxH), so neither has keypoints" in note


def test_people_are_named_by_their_identities_in_the_files_if_all_have_one():
    frames = [[100.0, 400.0]] * 12
    known = people_at(*frames, identity=np.tile([7, 3], 12))
    assert {name: noses(one)[0] for name, one in made(known, person="all")[0].items()} == {
        "person7": 100,
        "person3": 400,
    }
    some = people_at(*frames, identity=np.tile([7, -1], 12))
    assert sorted(made(some, person="all")[0]) == ["person0", "person1"]
    assert sorted(made(people_at(*frames), person="all")[0]) == ["person0", "person1"]


def test_everyone_has_rows_from_the_first_to_the_last_frame_in_which_they_are_visible():
    frames = [[100.0], [100.0, 400.0], *[[100.0, 400.0]] * 10, [100.0], [100.0, 400.0], [100.0]]
    found, _ = made(people_at(*frames), person="all")
    late = next(one for one in found.values() if noses(one)[0] == 400)
    assert late.number.tolist() == list(range(1, 14))
    assert noses(late) == [400] * 11 + [0, 400]


def test_size_and_rate_are_the_videos_then_the_names_then_the_files_then_the_options():
    people = people_at(*[[100.0]] * 12, size=30.0)
    sized = people_at(*[[100.0]] * 12, **{})
    given = {"width": 10, "height": 20, "fps": 5.0}
    info = VideoInfo(640, 480, 50.0)

    def facts(people, **more):
        (one,) = made(people, "", **{**given, **more})[0].values()
        return one.width, one.height, one.fps

    object.__setattr__(sized, "size", (320, 240))
    assert facts(people) == (10, 20, 5.0)
    assert facts(sized) == (320, 240, 5.0)
    assert facts(sized, name="1-30-1280x720") == (1280, 720, 30.0)
    assert facts(sized, name="1-30-1280x720", info=info) == (640, 480, 50.0)
