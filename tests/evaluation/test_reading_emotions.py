"""Valence and arousal as one of seven emotions: the neutral radius by hand, and through a run's whole life."""

import json

import numpy as np
import pandas as pd
import pytest
from small_caches import BODY, a_cache, a_sequence, moods

import skelemo
from skelemo.cache.shard import Header
from skelemo.cache.store import open_cache
from skelemo.errors import ConfigError
from skelemo.evaluation.circumplex import READING, as_emotions, choose_radius, nearest_emotion, with_reading
from skelemo.inference.export.exporting import export_model
from skelemo.inference.scoring.evaluate import evaluate
from skelemo.targets import EXPRESSION, Head
from skelemo.training import predicting
from skelemo.training.config import load_config
from skelemo.training.fit import train

HAPPY, SAD, NEUTRAL, ANGRY = range(4)


def test_neutral_ends_at_the_radius_and_beyond_it_another_is_nearest():
    valence, arousal = np.float64([0.3, 0.5, 0.2, -0.1, np.nan]), np.float64([0.4, 0, 0, -0.1, 0])
    assert nearest_emotion(valence, arousal, 0.5).tolist() == [
        NEUTRAL,
        NEUTRAL,
        NEUTRAL,
        NEUTRAL,
        -1,
    ]  # (.3, .4) is at .5
    # (.3, .4) lies .29 from surprise at (.4, .67), .52 from happiness; (.5, 0) .60 from happiness, .68 from surprise
    assert nearest_emotion(valence, arousal, 0.49).tolist()[:2] == [4, HAPPY]
    assert nearest_emotion(0.0, 0.0, 0.0) == NEUTRAL
    assert nearest_emotion(-0.1, -0.1, 0.1) == SAD


def test_the_radius_is_the_one_with_the_best_macro_f1():
    outputs = {"va": np.float32([[0.1, 0], [0.19, 0], [0.42, 0], [0.8, 0.5], [-0.6, -0.3]])}
    labels = np.int16([NEUTRAL, NEUTRAL, HAPPY, HAPPY, SAD])
    assert choose_radius(outputs, labels) == 0.2  # every radius from .2 to .4 is right: the smallest
    labels[2] = NEUTRAL
    assert choose_radius(outputs, labels) == 0.425
    assert choose_radius(outputs, np.append(labels[:4], -1).astype(np.int16)) == 0.425


def test_labels_of_other_heads_are_found_by_name():
    head = Head("mood", "classes", ("sadness", "contempt", "happiness"))
    assert as_emotions(head, np.int16([0, 1, 2, -1])).tolist() == [SAD, -1, HAPPY, -1]
    shares = np.float32([[0.2, 0.1, 0.7], [0.1, 0.8, 0.1], [np.nan] * 3])
    assert as_emotions(head, shares).tolist() == [HAPPY, -1, -1]


def test_what_is_unknown_is_not_read():
    found = with_reading({"va": np.float32([[0.8, 0.5], [np.nan, np.nan]])}, 0.1)["emotion"]
    assert found[0].tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert np.isnan(found[1]).all()
    assert with_reading({"va": found}, None).keys() == {"va"}
    assert READING.outputs == EXPRESSION.outputs


CALM = moods("happiness", "sadness", "neutral")
PLACES = np.float32([[0.8, 0.5], [-0.7, -0.3], [0.05, 0.0]])


STANCE = np.random.default_rng(0).uniform(100, 200, (25, 2))


def affect_clip(index: int, names=CALM) -> object:
    """A body whose arms are as high as its class says; the values are those of the class."""
    label, keypoints = index % 3, np.ones((6, 25, 3), np.float32)
    keypoints[..., :2] = STANCE + np.random.default_rng(index).normal(0, 0.5, (6, 25, 2))
    keypoints[:, 1, :2], keypoints[:, 8, :2] = (100, 100), (100, 200)
    keypoints[:, [3, 4, 6, 7], 1] = 60 * (2, 0, 1)[label]
    labels = {names[0].name: np.full(6, label, np.int16), "va": np.tile(PLACES[label], (6, 1))}
    return a_sequence(f"clip{index:02}", 6, keypoints=keypoints, subject=f"s{index // 3:02}", labels=labels)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    cache = a_cache(folder / "cache", *(affect_clip(index) for index in range(36)), header=Header("body_25", CALM))
    given = {
        "data": str(cache),
        "arch": "svm",
        "head": "va",
        "split": "holdout:0.25",
        "validation": 0.25,
        "device": "cpu",
    }
    given |= {"neutral_radius": "auto", "parts": "all", "mirror": 0, "reference": "window"}
    scores = train(load_config(None, given), folder / "run")
    return folder, cache, given, scores


def test_a_run_of_values_answers_with_emotions_where_it_is_asked_to(run, tmp_path):
    folder, cache, given, scores = run
    radius = json.loads((folder / "run" / "model.json").read_text())["neutral_radius"]
    assert 0.1 <= radius <= 0.6
    assert scores["test"]["emotion"]["macro_f1"]["value"] == 1.0
    assert (scores["test"]["emotion"]["unit"], scores["test"]["emotion"]["windows"]) == ("clip", 9)
    model = skelemo.load(folder / "run")
    table = model.predict(cache)
    read = np.array(READING.outputs)[nearest_emotion(table["valence"], table["arousal"], radius)]
    assert (table["emotion"] == read).all()
    assert {"p_happiness", "p_fear"} <= {*table.columns}

    others = [affect_clip(100 + index) for index in range(30)]
    other = a_cache(tmp_path / "other", *others, header=Header("body_25", CALM[:1] + CALM[1:]))
    found = evaluate([folder / "run"], other, tmp_path / "evaluation")["test"]
    assert found["emotion"]["joined"]["head"] == "expression"
    assert found["emotion"]["accuracy"]["value"] == 1.0
    assert "emotion" not in train(load_config(None, given | {"neutral_radius": None}), tmp_path / "plain")["test"]

    pytest.importorskip("onnxscript")
    export_model(model, tmp_path / "model.onnx", cache=open_cache(cache), splits={})
    pd.testing.assert_series_equal(skelemo.predict(tmp_path / "model.onnx", cache)["emotion"], table["emotion"])


def test_several_seeds_answer_with_the_emotion_of_their_mean_values(run, tmp_path):
    learned = {"arch": "ann", "epochs": 2, "seeds": 2, "split": "kfold:2", "neutral_radius": "auto", "width": 8}
    train(load_config(None, run[2] | learned | {"importance": 0, "batch_size": 16}), tmp_path / "run")
    table = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    files = [[tmp_path / "run" / f"seed_{seed}" / f"fold_{fold}" for seed in (0, 1)] for fold in (1, 2)]
    radii = [[json.loads((file / "model.json").read_text())["neutral_radius"] for file in fold] for fold in files]
    radius = np.mean(radii, 1)[table["fold"] - 1]
    read = nearest_emotion(table["va_valence_predicted"], table["va_arousal_predicted"], radius)
    assert len(set(read)) > 1
    assert table["emotion_predicted"].tolist() == np.array(READING.outputs)[read].tolist()


def test_labels_of_emotions_are_looked_for_once_in_all_folds(run, tmp_path, monkeypatch):
    searches = []
    find = predicting.find_targets
    monkeypatch.setattr(
        predicting, "find_targets", lambda *args, **options: searches.append(1) or find(*args, **options)
    )
    train(load_config(None, run[2] | {"split": "kfold:3"}), tmp_path / "run")
    assert searches == [1]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"head": "expression"}, "maps valence and arousal to emotions: use --head va"),
        ({"validation": 0.0}, "auto needs labels of the seven emotions in the validation subset"),
        ({"neutral_radius": 3.0}, "neutral_radius = 3.0"),
    ],
)
def test_what_cannot_be_read_is_one_line(run, tmp_path, settings, line):
    with pytest.raises(ConfigError, match=line):
        train(load_config(None, run[2] | settings), tmp_path / "run")


def test_without_labels_of_emotions_a_radius_is_named(run, tmp_path):
    strange = moods("tense", "bored", "calm")
    clips = [affect_clip(index, strange) for index in range(36)]
    cache = a_cache(tmp_path / "cache", *clips, header=Header("body_25", strange))
    with pytest.raises(ConfigError, match="set a radius"):
        train(load_config(None, run[2] | {"data": str(cache)}), tmp_path / "run")
    scores = train(load_config(None, run[2] | {"data": str(cache), "neutral_radius": 0.2}), tmp_path / "named")
    assert "emotion" not in scores["test"]
    assert set(skelemo.load(tmp_path / "named").predict(cache)["emotion"]) == {"happiness", "sadness", "neutral"}
    assert BODY.layout == "body_25"
