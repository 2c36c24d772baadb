"""ELAN's annotations and overlay cards of a table of predictions, with times worked out by hand."""

import numpy as np
import pandas as pd
import torch
from small_caches import BODY, a_cache, a_sequence

from skelemo.cache.store import open_cache
from skelemo.formats.elan import read_eaf
from skelemo.inference.drawing import Drawing, _boxes
from skelemo.inference.elan import write_elan
from skelemo.targets import Head

MOOD, PAIN = Head("mood", "classes", ("glad", "sad")), Head("pain", "values", ("pain",), 0, 10)


def a_table(numbers, fps, **columns):
    number = np.array(numbers)
    facts = {"video": "talk", "person": "left", "frame": number, "time": number / fps}
    return pd.DataFrame(facts | columns)


def test_runs_of_a_class_end_with_it_and_at_gaps_and_never_overlap(tmp_path):
    """At 30 frames/s a frame is 33 or 34 ms; frames 6 and 7 are missing, and frame 4 has no prediction."""
    table = a_table([0, 1, 2, 3, 4, 5, 8], 30, mood=["glad", "glad", "sad", "sad", "", "sad", "sad"])
    write_elan(tmp_path / "x.eaf", table, [MOOD], {"mood": ()})
    assert read_eaf(tmp_path / "x.eaf") == {
        "left mood": [(0, 66, "glad"), (67, 133, "sad"), (167, 200, "sad"), (267, 300, "sad")]
    }


def test_values_are_means_over_seconds_of_the_frames_that_have_any(tmp_path):
    table = a_table(range(6), 4, pain=[1, 2, np.nan, 3, 10, 20])
    write_elan(tmp_path / "x.eaf", table, [PAIN], {"pain": ("pain",)})
    assert read_eaf(tmp_path / "x.eaf") == {"left pain": [(0, 1000, "2.000"), (1000, 1500, "15.000")]}
    assert (tmp_path / "x_left.csv").read_text().split() == [
        "time,pain", "0.0000,1.0000", "0.2500,2.0000", "0.7500,3.0000", "1.0000,10.0000", "1.2500,20.0000",
    ]  # fmt: skip


def test_cards_hold_for_as_many_frames_of_the_video_as_predictions_are_apart(tmp_path):
    """Every second frame of the video is in the cache, and every second of these has a prediction."""
    one = a_sequence("talk", 4, person="left", number=np.arange(0, 8, 2, dtype=np.int32), width=400, height=300)
    cache = open_cache(a_cache(tmp_path / "c", one, header=BODY))
    table = a_table([0, 4], 25, mood=["glad", "sad"], p_glad=[0.9, 0.2], p_sad=[0.1, 0.8])
    drawing = Drawing.of(cache, table, (MOOD,), every=2)
    (person,) = drawing.people
    shown = {number: content.lines[0][0] for number in range(10) if (content := person.content(number))}
    assert shown == dict.fromkeys(range(4), "glad") | dict.fromkeys(range(4, 8), "sad")
    assert (drawing.size, drawing.canvas, drawing.numbers.tolist()) == ((400, 300), (400, 300), [0, 2, 4, 6])
    whole = Drawing.of(cache, table[:1], (MOOD,), every=2).people[0]  # a prediction for the clip
    assert whole.content(10_000).lines[0][0] == "glad"


def test_boxes_are_averaged_over_neighboring_frames_in_which_somebody_is_visible():
    points = torch.zeros(3, 3, 3)
    for frame, left in ((0, 0.0), (2, 4.0)):
        points[frame, 0] = torch.tensor([left, 0, 0.9])
        points[frame, 1] = torch.tensor([left + 10, 10, 0.9])
        points[frame, 2] = torch.tensor([999, 999, 0.01])  # too faint to be drawn
    np.testing.assert_allclose(_boxes(points, 2), [[0, 0, 10, 10], [2, 0, 12, 10], [4, 0, 14, 10]])
    np.testing.assert_allclose(_boxes(points, 0)[1], np.nan)
