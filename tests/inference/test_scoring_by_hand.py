"""Groups, joined labels and notes of an evaluation, worked out by hand."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small_caches import MOOD, a_cache, a_sequence

from skelemo.cache.shard import Header
from skelemo.cache.store import open_cache
from skelemo.data.corpus import load_corpus
from skelemo.errors import ConfigError
from skelemo.inference.scoring.grouping import groups_by
from skelemo.inference.scoring.joining import join_heads
from skelemo.inference.scoring.notes import collapse_notes
from skelemo.inference.scoring.overlap import learned, overlap, require_unseen
from skelemo.preprocess import Preparation
from skelemo.targets import VA, Head

AGE, SMILE = Head("age", "values", ("age",), 0, 100), Head("Smile", "flags", ("smile",))


@pytest.fixture
def loaded(tmp_path):
    """Two people of one video, three frames each."""
    labels = [
        {
            "expression": np.array([0, -1, 2], np.int16),
            "va": np.zeros((3, 2), np.float32),
            "age": np.array([[30], [np.nan], [30.5]], np.float32),
            "Smile": np.array([[1], [0], [-1]], np.int8),
        },
        {"expression": np.array([1, 1, 1], np.int16)},
    ]
    people = [
        a_sequence(f"talk_{who}", 3, video="day/talk", person=who, labels=given)
        for who, given in zip(("left", "right"), labels, strict=True)
    ]
    folder = a_cache(tmp_path / "c", *people, header=Header("body_25", (MOOD, VA, AGE, SMILE)))
    cache = open_cache(folder)
    return cache, load_corpus(cache, Preparation(reference="window"))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("expression", ["glad", "", "calm", "sad", "sad", "sad"]),
        ("Age", ["30", "", "30.5", "", "", ""]),
        ("smile", ["1", "0", "", "", "", ""]),
        ("person", ["left"] * 3 + ["right"] * 3),
    ],
)
def test_windows_are_grouped_by_labels_and_facts_of_the_cache(loaded, column, values):
    cache, corpus = loaded
    assert groups_by(column, cache, corpus, np.arange(6), None).tolist() == values
    assert groups_by(column, cache, corpus, np.array([5, 0]), None).tolist() == [values[5], values[0]]


def test_a_head_of_two_values_is_no_group(loaded):
    with pytest.raises(ConfigError, match="by va: a head of 2 values; expected a single value"):
        groups_by("va", *loaded, np.arange(6), None)


def test_a_tables_value_for_a_person_precedes_that_of_the_video(loaded, tmp_path):
    (tmp_path / "table.csv").write_text("video,person,sex\ntalk,left,f\ntalk,,m\n")
    assert groups_by("sex", *loaded, np.arange(6), tmp_path / "table.csv").tolist() == ["f"] * 3 + ["m"] * 3


def test_a_share_without_a_counterpart_removes_the_label_only_if_it_is_larger():
    (join,) = join_heads([Head("x", "classes", ("a", "b", "c"))], [Head("x", "classes", ("b", "a"))], {}, "data")
    shares = np.array([[0.5, 0, 0.5], [0.4, 0.1, 0.5]], np.float32)
    np.testing.assert_array_equal(join.labels(shares), np.array([[0, 0.5], [np.nan, np.nan]], np.float32))
    assert join.unscored(np.array([0, 2, 2, -1], np.int16)) == {"c": 2}


def scored(head, value, classes=2):
    """A head's scores; a third class is never a label."""
    facts = {"windows": 10, "unit": "window", "groups": 2, "grouped_by": "video"}
    if head.kind == "values":
        return {head.name: facts | {"ccc_mean": {"value": value}}}
    rows = {name: {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 5 * (index < classes)}
            for index, name in enumerate(head.outputs)}  # fmt: skip
    return {head.name: facts | {"uar": {"value": value}, "per_class": rows}}


@pytest.mark.parametrize(
    ("head", "home", "here", "noted"),
    [
        (MOOD, 0.9, 0.59, True),  # above the chance of two classes: 0.8 at home, 0.18 here, less than a quarter
        (MOOD, 0.9, 0.61, False),
        (MOOD, 0.54, 0.5, False),  # hardly above chance at home
        (VA, 0.4, 0.09, True),
        (VA, 0.4, 0.11, False),
        (VA, 0.09, 0.0, False),
    ],
)
def test_a_transfer_has_collapsed_below_a_quarter_of_the_runs_own_score_above_chance(tmp_path, head, home, here, noted):
    own = {"validation": scored(head, 0.99), "test": scored(head, home)}
    (tmp_path / "scores.json").write_text(json.dumps(own))
    model = SimpleNamespace(members=[SimpleNamespace(preparation=Preparation())])
    notes = collapse_notes([tmp_path], model, [head], {"test": scored(head, here)})
    assert [note.split(": for other")[0] for note in notes] == (
        [f"{head.name}: {'UAR' if head is MOOD else 'mean CCC'} {here:.3f}, on the run's own test subset {home:.3f}"]
        if noted
        else []
    )
    standardizing = SimpleNamespace(members=[SimpleNamespace(preparation=Preparation(standardize="dataset"))])
    assert collapse_notes([tmp_path], standardizing, [head], {"test": scored(head, here)}) == []


def a_hash(name):
    return name * 64


@pytest.fixture
def split(tmp_path):
    """A run of two folds, the first of which began with a model that had learned from Pat."""
    folds = [
        {"train": ["a", "b"], "validation": ["c"], "test": ["d"]},
        {"train": ["d"], "validation": ["c"], "test": ["a", "b"]},
    ]
    content = {
        "split": "kfold:2",
        "grouped_by": "subject",
        "folds": folds,
        "sha256": {name: a_hash(name) for name in "abcd"},
        "subjects": {"a": "ann", "c": "cid", "d": "dan"},
        "learned_before": [{"sha256": [a_hash("e")], "subjects": ["pat"]}, {"sha256": [], "subjects": []}],
    }
    run = tmp_path / "run"
    (run / "fold_1").mkdir(parents=True)
    (run / "fold_2").mkdir()
    (run / "splits.json").write_text(json.dumps(content))
    return run


def test_a_run_has_learned_from_all_folds_and_a_fold_from_its_own_and_from_what_came_before(split):
    assert learned(split)["sha256"] == {a_hash(name) for name in "abcde"}
    assert learned(split)["subjects"] == {"ann", "cid", "dan", "pat"}
    assert learned(split / "fold_1") == {"sha256": {a_hash(n) for n in "abce"}, "subjects": {"ann", "cid", "pat"}}
    assert learned(split / "fold_2") == {"sha256": {a_hash(n) for n in "cd"}, "subjects": {"cid", "dan"}}
    assert learned(split, ("test",))["subjects"] == {"ann", "dan", "pat"}
    assert learned(split.parent) is None


def test_an_overlap_is_by_content_or_subject_whatever_a_sequence_is_called(split):
    scored = pd.DataFrame(
        [("x", a_hash("a"), ""), ("y", a_hash("f"), "pat"), ("z", a_hash("f"), "pat"), ("a", a_hash("f"), "")],
        columns=["id", "content", "subject"],
    )
    found = overlap(split / "fold_1", scored)
    assert (found.sequences, found.subjects) == (("x",), ("pat",))
    assert found.text == (
        "1 sequence (e.g. 'x') and 1 subject (e.g. 'pat') were in the training or validation subset of fold_1"
    )
    with pytest.raises(ConfigError, match=r"subset of fold_1: use data it has not seen, or pass --allow-overlap$"):
        require_unseen([found], "data")
    only = overlap(split / "fold_1", scored[1:])
    assert only.text == "1 subject (e.g. 'pat') was in the training or validation subset of fold_1"
    with pytest.raises(ConfigError, match="or pass --allow-overlap if these are different people with the same names"):
        require_unseen([only], "data")
    none = overlap(split / "fold_2", scored)
    assert (none.sequences, none.subjects) == ((), ())
    require_unseen([none], "data")
