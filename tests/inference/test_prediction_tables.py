"""The table of predictions, with rows worked out by hand for a model whose outputs are given."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from skelemo.data.window_frames import KEY_SPAN
from skelemo.inference.base import BasePredictor, paths_of
from skelemo.inference.keypoints import is_cache
from skelemo.inference.live.stream import LiveFrame, LivePerson
from skelemo.inference.recordings import Task, _key
from skelemo.inference.table import Options, has_prediction, prediction_columns, smoothed, write_tables
from skelemo.skeleton import layout
from skelemo.targets import Head

MOOD, PAIN = Head("mood", "classes", ("glad", "sad")), Head("pain", "values", ("pain",), 0, 10)
UNITS = Head("au", "flags", ("AU1", "AU2"))
#: Frames 3, 4 and 8 of one clip, and frame 5 of another without a frame rate.
SEQUENCES = pd.DataFrame({"video": ["talk", "walk"], "person": ["left", ""], "fps": [25.0, 0.0]})
KEY = np.array([3, 4, 8, KEY_SPAN + 5])
OUTPUTS = {
    "mood": np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]]),
    "pain": np.array([[1.0], [4.0], [5.0], [7.0]]),
}


class Given(BasePredictor):
    """A model that is never run."""

    name, heads, layout, identity, radius = "given", (MOOD, PAIN), layout("body_25"), "", None

    def __init__(self, members: int = 1) -> None:
        self.smoothing = [{}] * members

    def choose_device(self, name):
        return None

    def predict_cache(self, cache, options, device=None, report=lambda *_: None):
        raise NotImplementedError


def a_table(
    *each, points=(0.5, 0.49, 0.5, 0.9), frames=(1.0, 1.0, 1.0, 0.5), seen=(True, True, False, True), **options
):
    model = Given(len(each))
    return model.table(SEQUENCES, KEY, each, np.array(frames), np.array(points), np.array(seen), Options(**options))


def test_rows_say_who_when_and_what_and_windows_with_too_few_points_nothing():
    table = a_table(OUTPUTS, min_seen=0.5)
    assert table["video"].tolist() == ["talk", "talk", "talk", "walk"]
    assert table["person"].tolist() == ["left", "left", "left", ""]
    assert table["frame"].tolist() == [3, 4, 8, 5]
    np.testing.assert_allclose(table["time"], [0.12, 0.16, 0.32, np.nan])
    assert table["mood"].tolist() == ["glad", "", "glad", "sad"]  # 49 % of the points are too few, 50 % are not
    np.testing.assert_allclose(table["p_glad"], [0.9, np.nan, 0.6, 0.3])
    np.testing.assert_allclose(table["pain"], [1, np.nan, 5, 7])
    assert table["seen"].tolist() == [True, False, False, True]
    assert has_prediction(table, (MOOD, PAIN)).tolist() == [True, False, True, True]


def test_times_after_hours_keep_their_milliseconds(tmp_path):
    hours = a_table(OUTPUTS).assign(time=[10800.04, 10800.08, 86399.999, np.nan])
    write_tables(tmp_path / "x.csv", [hours], (MOOD, PAIN))
    np.testing.assert_array_equal(pd.read_csv(tmp_path / "x.csv")["time"], hours["time"])


def test_a_window_without_a_visible_frame_has_no_prediction_whatever_is_asked_for():
    table = a_table(OUTPUTS, frames=(0, 1, 1, 1), points=(0, 1, 1, 1), min_seen=0.0)
    assert table["mood"].tolist() == ["", "sad", "glad", "sad"]
    assert table["seen"].tolist() == [False, True, False, True]


def test_a_clip_has_the_mean_of_its_known_windows_and_its_middle_frame():
    table = a_table(OUTPUTS, min_seen=0.5, per_clip=True)
    assert table["frame"].tolist() == [4, 5]
    np.testing.assert_allclose(table["p_glad"], [0.75, 0.3])  # (.9 + .6) / 2: the withheld window does not count
    np.testing.assert_allclose(table["pain"], [3, 7])
    assert table["mood"].tolist() == ["glad", "sad"]
    assert table["seen"].tolist() == [True, True]


def test_members_are_averaged_head_by_head():
    other = {"mood": 1 - OUTPUTS["mood"]}  # has no pain
    table = a_table(OUTPUTS, other, points=(1, 1, 1, 1))
    np.testing.assert_allclose(table["p_glad"], 0.5)
    np.testing.assert_allclose(table["pain"], [1, 4, 5, 7])


def test_smoothing_a_recording_of_hours_is_as_exact_as_one_of_seconds():
    """Equal predictions stay what they are: sums over a long recording must not lose digits."""
    steady = np.full((300_000, 1), 0.3, np.float32)
    np.testing.assert_allclose(smoothed(steady, np.arange(len(steady)), 9), 0.3, atol=1e-6)


def test_a_row_with_a_part_of_a_heads_outputs_has_no_class():
    columns = prediction_columns([MOOD], {"mood": np.array([[0.4, np.nan], [np.nan, np.nan], [0.4, 0.6]])})
    assert columns["mood"].tolist() == ["", "", "sad"]


def test_a_live_row_has_nothing_without_a_prediction():
    outputs = {"mood": np.array([0.25, 0.75]), "au": np.array([0.5, 0.1])}
    people = (
        LivePerson("person0", True, np.zeros((25, 3)), outputs),
        LivePerson("person1", False, np.zeros((25, 3)), {}),
    )
    known, unknown = LiveFrame("talk", 7, 0.28, people, (MOOD, UNITS)).rows()
    assert known == {"video": "talk", "person": "person0", "frame": 7, "time": 0.28, "mood": "sad", "p_glad": 0.25,
                     "p_sad": 0.75, "p_AU1": 0.5, "p_AU2": 0.1, "seen": True}  # fmt: skip
    empty = {"mood": "", "p_glad": None, "p_sad": None, "p_AU1": None, "p_AU2": None}
    assert unknown == known | empty | {"person": "person1", "seen": False}


def test_a_folder_with_only_an_unfinished_shard_is_no_cache(tmp_path):
    (tmp_path / ".shard.h5").write_bytes(b"")
    assert not is_cache(tmp_path)
    (tmp_path / "shard.h5").write_bytes(b"")
    assert is_cache(tmp_path)


@pytest.mark.parametrize("runs", ["a/b", Path("a/b"), ["a/b"], (Path("a/b"),)])
def test_one_run_or_several_are_a_list_of_paths(runs):
    assert paths_of(runs) == [Path("a/b")]


def test_a_finished_chunk_is_used_again_only_for_the_same_question():
    """Its table is found by a hash of everything that its predictions depend on."""
    facts = {"id": "a", "sha256": "5", "video": "a", "person": "", "subject": "", "width": 640, "height": 480,
             "fps": 25.0, "scale": "pixels"}  # fmt: skip
    task = Task((Path("run"),), (), "model", Options(), "cpu", (Path("c"),), "shards", Path("out.parts"))

    def key(given=task, **changed):
        return _key(given, SimpleNamespace(sequences=pd.DataFrame([facts | changed] * 2)), np.array([1]))

    assert key() == key(replace(task, threads=3, device="auto", folder=Path("elsewhere"), caches=(Path("d"),)))
    others = [key(**{name: value}) for name, value in {
        "id": "b", "sha256": "6", "video": "b", "person": "left", "subject": "ann", "width": 641, "height": 481,
        "fps": 25.000001, "scale": "unit"}.items()]  # fmt: skip
    others += [key(replace(task, options=options)) for options in (
        Options(every=2), Options(min_seen=0.1), Options(smooth=3), Options(per_clip=True))]  # fmt: skip
    others += [key(replace(task, identity="other")), key(replace(task, sources=(((0.0, 1.0),),)))]
    assert len({key(), *others}) == 1 + len(others)
