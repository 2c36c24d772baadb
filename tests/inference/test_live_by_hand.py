"""Windows and frames of live prediction, worked out by hand for a model whose outputs are given."""

import numpy as np
import pytest

from skelemo.data.window_frames import Window
from skelemo.errors import ConfigError
from skelemo.evaluation.circumplex import PROTOTYPES
from skelemo.inference.live.history import History, Shape
from skelemo.inference.live.sources import Frame
from skelemo.inference.live.stream import Live, live_model
from skelemo.inference.onnx import Exported
from skelemo.openpose.stream import FrameReader
from skelemo.skeleton import layout
from skelemo.targets import VA, Head

MOOD, PAIN = Head("mood", "classes", ("glad", "sad")), Head("pain", "values", ("pain",), 0, 10)


@pytest.mark.parametrize(
    ("window", "by_clip", "clip", "shape"),
    [
        (Window(length=5, dilation=2, target="last"), False, 0, Shape(5, 2)),
        (Window(length=5, dilation=2, target="center"), False, 0, Shape(5, 2, ahead=4)),
        (Window(length=4, target="center"), False, 0, Shape(4, ahead=1)),
        (Window(length=5, dilation=2, target="last"), True, 0, Shape(5, 2, context=90)),
        (Window(length=60, dilation=2, target="last"), True, 0, Shape(60, 2, context=119)),
        (Window(length=8, sampling="clip"), False, 30, Shape(8, clip=30)),
        (Window(length=8, sampling="clip"), True, 30, Shape(8, context=30, clip=30)),
    ],
)
def test_a_window_needs_frames_ahead_and_a_context(window, by_clip, clip, shape):
    assert Shape.of(window, "m", by_clip=by_clip, clip=clip) == shape
    with pytest.raises(ConfigError, match="omit --clip" if window.sampling != "clip" else "e.g. --clip 90"):
        Shape.of(window, "m", by_clip=by_clip, clip=0 if clip else 9)


def a_history(*numbers: int) -> History:
    """Frames whose points have the frame's number as x."""
    history = History(2, 100)
    for number in numbers:
        history.append(np.full((2, 3), number, np.float32), number)
    return history


@pytest.mark.parametrize(
    ("numbers", "target", "step", "shape", "frames", "picked", "present"),
    [
        # the last 6 frames are the context of the window 5, 7, 9
        (range(10), 9, 1, Shape(3, 2, context=6), range(4, 10), [5, 7, 9], [True] * 3),
        # the window 1, 5, 9 begins before these
        (range(10), 9, 1, Shape(3, 4, context=6), range(1, 10), [1, 5, 9], [True] * 3),
        # frame 5 never was
        (range(7, 10), 9, 1, Shape(3, 2, context=6), range(7, 10), [7, 7, 9], [False, True, True]),
        # every second frame of the video is in the stream
        (range(0, 20, 2), 18, 2, Shape(3, 2, context=4), range(10, 20, 2), [10, 14, 18], [True] * 3),
        # the last 8 frames are a clip: the middles of its quarters
        (range(10), 9, 1, Shape(4, context=8, clip=8), range(2, 10), [3, 5, 7, 9], [True] * 4),
        # a clip that has just begun
        (range(3), 2, 1, Shape(4, context=8, clip=8), range(3), [0, 1, 1, 2], [True] * 4),
    ],
)
def test_a_window_is_picked_from_its_context(numbers, target, step, shape, frames, picked, present):
    view = a_history(*numbers).view(target, float(step), shape)
    assert view.number.tolist() == list(frames)
    assert view.keypoints[:, 0, 0].tolist() == list(frames)
    assert view.number[view.pick].tolist() == picked
    assert view.picked.tolist() == present
    plain = a_history(*numbers).view(target, float(step), Shape(shape.length, shape.dilation, clip=shape.clip))
    assert (plain.number.tolist(), plain.present.tolist(), plain.pick) == (picked, present, None)


def test_calibration_sums_add_up_by_model():
    history = a_history(0)
    for _ in range(3):
        history.measure([np.full((2, 3), 1.5), None])
    assert history.view(0, 1.0, Shape(), 0).sums.tolist() == [[4.5] * 3] * 2
    assert history.view(0, 1.0, Shape(), 1).sums is None


class Given:
    """A live model with given outputs for every person: the mean of its members."""

    layout, radius, min_confidence = layout("body_25"), None, 0.2

    def __init__(self, *outputs, points=(1.0, 1.0), ahead=0):
        self.outputs, self.points = outputs, points
        self.heads, self.shapes = (MOOD, PAIN), tuple(Shape(ahead=ahead) for _ in outputs)

    def __call__(self, views, size):
        ones = np.ones(len(views[0]))
        return [
            ({name: np.tile(found, (len(ones), 1)) for name, found in one.items()}, ones, share * ones)
            for one, share in zip(self.outputs, self.points, strict=False)
        ]

    def measure(self, keypoints, size):
        return []


BOTH = {"mood": np.array([0.25, 0.75]), "pain": np.array([4.0])}


def fed(model, *frames, **options):
    live = Live(model, reader=FrameReader(model.layout), **options)
    return [found for frame in frames for found in live.feed(frame)]


def a_frame(number: int, confidence: float = 0.9, **facts) -> Frame:
    people = np.full((1, 25, 3), 100.0, np.float32)
    people[..., :2] += np.arange(25)[:, None]
    people[..., 2] = confidence
    return Frame(number, people, "talk", **facts)


def test_members_are_averaged_head_by_head():
    (found,) = fed(Given(BOTH, {"mood": np.array([0.75, 0.25])}), a_frame(0))
    (person,) = found.people
    assert person.outputs["mood"].tolist() == [0.5, 0.5]
    assert person.outputs["pain"].tolist() == [4]
    assert person.seen


@pytest.mark.parametrize(("points", "predicted"), [((0.5, 0.9), True), ((0.49, 0.9), False), ((0.9, 0.49), False)])
def test_too_few_visible_points_of_any_member_withhold_the_prediction_but_not_the_person(points, predicted):
    (found,) = fed(Given(BOTH, BOTH, points=points), a_frame(0), min_seen=0.5)
    (person,) = found.people
    assert (bool(person.outputs), person.seen) == (predicted, predicted)


@pytest.mark.parametrize(("confidence", "seen"), [(0.2, True), (0.19, False)])
def test_points_below_the_runs_confidence_do_not_make_a_person_visible(confidence, seen):
    (found,) = fed(Given(BOTH), a_frame(0, confidence))
    assert found.people[0].seen is seen


def test_time_comes_from_the_source_else_the_frame_rate_else_the_clock():
    arrived = [{"arrived": 70.0}, {"arrived": 70.5}]
    frames = [a_frame(10 + n, **given) for n, given in enumerate(arrived)]
    assert [found.time for found in fed(Given(BOTH), *frames)] == [0, 0.5]
    assert [found.time for found in fed(Given(BOTH), *frames, fps=20.0)] == [0.5, 0.55]
    assert [found.time for found in fed(Given(BOTH), a_frame(10, time=3.25), fps=20.0)] == [3.25]


def test_a_prediction_for_the_middle_of_a_window_has_number_and_time_of_its_frame():
    frames = [a_frame(number) for number in range(0, 20, 2)]  # every second frame of a video
    found = fed(Given(BOTH, ahead=3), *frames, fps=10.0)
    assert [(one.number, one.time) for one in found] == [(n, n / 10) for n in range(0, 14, 2)]


def test_a_missing_frame_costs_no_other_frame_its_prediction():
    found = fed(Given(BOTH, ahead=3), *[a_frame(number) for number in (0, 1, 2, 3, 4, 5, 9, 10, 12)])
    assert [one.number for one in found] == [0, 1, 2, 3, 4, 5, 9]


def test_a_late_frame_has_no_prediction_and_a_lower_number_begins_anew():
    frames = [a_frame(5), a_frame(6, late=True), a_frame(7), a_frame(2), a_frame(3)]
    found = fed(Given(BOTH, ahead=1), *frames)
    assert [one.number for one in found] == [6, 7, 2]


def test_a_short_recording_is_padded_with_missing_frames_for_an_exported_model():
    given = {}

    def run(inputs):
        given.update(inputs)
        return {"mood": np.zeros((1, 2)), "seen": np.ones((1, inputs["mask"].shape[1]), bool)}

    preparation = {"reference": "clip", "coordinates": "parts", "min_confidence": 0.0}
    facts = {"name": "m", "heads": [MOOD.to_json()], "layout": "body_25", "smoothing": {}, "least": 5, "archs": ["ann"]}
    window = {"length": 4, "dilation": 1, "target": "last", "sampling": "stride"}
    inputs = ("keypoints", "mask", "number", "frames")
    model = Exported(facts | {"window": window, "preparation": preparation}, run, inputs)
    found = model.predict_raw(np.ones((1, 3, 25, 3)), number=np.array([[7, 8, 11]]))
    assert given["keypoints"][0, :, 0, 2].tolist() == [1, 1, 1, 0, 0]
    assert given["mask"].tolist() == [[True] * 3 + [False] * 2]
    assert given["number"].tolist() == [[7, 8, 11, 12, 13]]
    assert given["frames"].tolist() == [[-1, 0, 1, 2]]  # the last four frames, of which there are three
    assert found["seen"].tolist() == [[True] * 3]
    assert "frame_size" not in given


@pytest.mark.parametrize(
    ("affect", "emotion"), [(PROTOTYPES["anger"], "anger"), ((0.05, -0.05), "neutral"), ((0.8, 0.0), "happiness")]
)
def test_values_are_mapped_to_an_emotion_live_as_offline(affect, emotion):
    """An exported model whose values within 0.2 of the origin are neutral."""
    asked = []

    def run(inputs):
        asked.append(inputs)
        shares = dict.fromkeys(("visible_frames", "visible_points"), np.ones(len(inputs["keypoints"]), np.float32))
        return {"va": np.tile(np.float32(affect), (len(inputs["keypoints"]), 1)), **shares}

    facts = {"name": "m", "heads": [VA.to_json()], "layout": "body_25", "smoothing": {}, "least": 2, "archs": ["ann"]}
    facts |= {"window": {"length": 2}, "neutral_radius": 0.2}
    facts |= {"preparation": {"reference": "window", "coordinates": "parts", "min_confidence": 0.0}}
    model = live_model(Exported(facts, run, ("keypoints", "mask", "number")))
    first, _ = fed(model, a_frame(4), a_frame(5))
    assert [row["emotion"] for row in first.rows()] == [emotion]
    assert [column for column in first.rows()[0] if column.startswith("p_")] == [f"p_{name}" for name in PROTOTYPES]
    assert asked[0]["mask"].tolist() == [[False, True]]  # there is no frame before the first
    assert asked[1]["mask"].tolist() == [[True, True]]
