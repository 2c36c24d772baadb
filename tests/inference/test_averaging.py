"""Several looks at a clip, one answer: mirror images, windows with other frames, all windows of a clip."""

import json

import numpy as np
import pytest
import torch
from small_caches import CLASSES, HEADS, a_cache, a_sequence
from torch import nn

import skelemo
from skelemo.cache.shard import Header
from skelemo.cache.store import open_cache
from skelemo.data.corpus import load_corpus
from skelemo.data.loader import Batches
from skelemo.data.window_frames import target_rows, window_frames
from skelemo.data.windows import Gatherer, Targets, Window, find_targets, window_columns
from skelemo.errors import ConfigError
from skelemo.evaluation.scores import score
from skelemo.inference.export.exporting import export_model
from skelemo.inference.predictor import predict
from skelemo.models.heads import predictions
from skelemo.runs.folder import read_json
from skelemo.runs.predictions import prediction_table
from skelemo.skeleton import layout
from skelemo.targets import Head
from skelemo.training import predicting
from skelemo.training.config import load_config
from skelemo.training.fit import train

BODY = layout("body_25")
REACH = Head("reach", "values", ("right",))
RIGHT, LEFT = 4, 7  # wrists


class RightWrist(nn.Module):
    """Predicts where the right wrist is, on average over the window's frames."""

    def forward(self, keypoints, mask):
        return {"reach": keypoints[:, :, RIGHT, 0].mean(1)[:, None]}


def test_a_mirror_image_has_the_left_wrist_on_the_right():
    keypoints = torch.zeros(2, 1, 25, 3)
    keypoints[:, 0, RIGHT] = torch.tensor([0.2, 1, 1])
    keypoints[:, 0, LEFT] = torch.tensor([0.6, 1, 1])
    given = {"keypoints": keypoints, "mask": torch.ones(2, 1, dtype=torch.bool)}
    assert predictions(RightWrist(), given, (REACH,), BODY)["reach"].flatten().tolist() == pytest.approx([0.2, 0.2])
    both = predictions(RightWrist(), given, (REACH,), BODY, flip=True)["reach"]
    assert both.flatten().tolist() == pytest.approx([-0.2, -0.2])  # (0.2 + -0.6) / 2


def test_windows_of_a_clip_have_different_frames(tmp_path):
    """Of 12 frames in three shares of four: the second and the fourth of each."""
    cache = open_cache(a_cache(tmp_path / "cache", a_sequence("a", 12), a_sequence("b", 5)))
    window = Window(3, sampling="clip", clip_windows=2)
    corpus, rows = load_corpus(cache), target_rows(cache.sequences, window)
    number = cache.read().number
    for turn, expected in enumerate([[1, 5, 9], [3, 7, 11]]):
        found, present = window_frames(cache.sequences, number, rows, window, turn)
        assert found[0].tolist() == expected
        assert present.all()
        seen, _ = Gatherer(corpus, window).gather(torch.as_tensor(rows), turn=turn)
        for clip in range(2):
            assert torch.equal(seen[clip], corpus.placed(torch.as_tensor(found[clip])))
    batches = Batches(corpus, Targets(rows, {}), window, 2, torch.device("cpu"))
    mean = predict(RightWrist(), batches, (REACH,))["reach"]
    places = corpus.placed(torch.tensor([1, 5, 9, 3, 7, 11]))[:, RIGHT, 0]
    assert mean[0, 0] == pytest.approx(float(places.mean()), abs=1e-6)


def test_several_windows_are_for_models_of_whole_clips():
    with pytest.raises(ConfigError, match="clip_windows = 3 needs sampling: clip"):
        Window(clip_windows=3)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    clips = []
    for index in range(16):
        label = np.full(9, index % 3, np.int16)
        clips.append(a_sequence(f"clip{index:02}", 9, points=95, seed=index, width=640, height=480, expression=label))
    return a_cache(tmp_path_factory.mktemp("data") / "cache", *clips, header=Header("body_25+face_70", HEADS))


QUICK = {"arch": "ann", "head": "both", "epochs": 1, "device": "cpu", "split": "holdout:0.3", "parts": "all"}


@pytest.mark.parametrize(
    "settings", [{"sampling": "clip", "length": 4, "clip_windows": 3, "flip_average": True}, {"flip_average": True}]
)
def test_a_folder_and_its_exported_file_predict_as_the_run_was_scored(cache, tmp_path, settings):
    config = load_config(None, QUICK | settings | {"data": str(cache), "reference": "window", "model": {"width": 8}})
    train(config, tmp_path / "run")
    model = skelemo.load(tmp_path / "run")
    assert model.members[0].file.flip_average
    written = read_json(tmp_path / "run" / "model.json")
    assert written["window"]["clip_windows"] == settings.get("clip_windows", 1)
    import pandas as pd

    scored = pd.read_parquet(tmp_path / "run" / "predictions.parquet").set_index(["video", "frame"])
    table = model.predict(cache).set_index(["video", "frame"]).loc[scored.index]
    np.testing.assert_allclose(table["p_glad"], scored["expression_p_glad"], atol=1e-5)
    plain = model.predict(cache, person="all")
    pytest.importorskip("onnxscript")
    export_model(model, tmp_path / "model.onnx", cache=open_cache(cache), splits={})  # compares with the run
    exported = skelemo.predict(tmp_path / "model.onnx", cache)
    np.testing.assert_allclose(exported["p_glad"], plain["p_glad"], atol=1e-4)


def test_per_clip_predicts_the_mean_over_windows(cache, tmp_path):
    train(load_config(None, QUICK | {"data": str(cache), "model": {"width": 8}}), tmp_path / "run")
    model = skelemo.load(tmp_path / "run")
    table, clips = model.predict(cache), model.predict(cache, per_clip=True)
    columns = [f"p_{name}" for name in CLASSES]
    mean = table.groupby("video")[[*columns, "valence"]].mean()
    assert clips["video"].tolist() == sorted(table["video"].unique())
    np.testing.assert_allclose(clips.set_index("video").loc[mean.index, mean.columns], mean, atol=1e-6)
    assert (clips["expression"] == np.array(CLASSES)[clips[columns].to_numpy().argmax(1)]).all()
    assert set(clips["frame"]) == {4}  # the middle of nine
    assert clips["seen"].all()


def test_flipping_is_chosen_on_the_validation_subset(cache, tmp_path, monkeypatch):
    figures, real = [], predicting.predict

    def watched(*given, flip=False):
        outputs = real(*given, flip=flip)
        figures.append(flip)
        if flip == better:  # as if it had hit every label of the validation subset
            rows = given[1].labels["expression"].numpy()
            outputs["expression"] = np.eye(3)[rows]
        else:
            outputs["expression"] = np.tile([1.0, 0, 0], (len(outputs["expression"]), 1))
        return outputs

    monkeypatch.setattr(predicting, "predict", watched)
    for better in (True, False):
        given = QUICK | {"data": str(cache), "head": "expression", "flip_average": "auto", "validation": 0.3}
        train(load_config(None, given | {"model": {"width": 8}}), tmp_path / str(better))
        assert json.loads((tmp_path / str(better) / "model.json").read_text())["flip_average"] is better
    assert True in figures


def test_aff_wild2_is_scored_over_the_labeled_frames_of_all_videos_together(tmp_path):
    """ABAW's protocol, worked by hand: -1 and -5 left out, one CCC and one F1 over all frames, not a mean of videos."""
    nan = np.nan
    a = a_sequence("a", 4, valence=np.float32([0, 0.5, nan, nan]), arousal=np.float32([0, 0.5, nan, nan]),
                   expression=np.int16([0, 0, 1, -1]))  # fmt: skip
    b = a_sequence(
        "b", 2, valence=np.float32([-0.5, nan]), arousal=np.float32([-0.5, nan]), expression=np.int16([1, -1])
    )
    corpus = load_corpus(open_cache(a_cache(tmp_path / "cache", a, b)))
    everything = np.arange(2)
    targets = find_targets(corpus, everything, Window(), ("expression", "va"), seen_only=False)
    assert targets.row.tolist() == [0, 1, 2, 4], "a frame without any label is no window"
    outputs = {
        "va": np.repeat(np.float64([0.5, 0.5, 1, -0.5])[:, None], 2, 1),
        "expression": np.eye(3)[[0, 1, 1, 0]],
    }
    columns = window_columns(corpus, targets, fold=1, subset="test")
    found = score(prediction_table(columns, corpus.heads, targets.labels, outputs), corpus.heads)["test"]
    # x = 0, .5, -.5 and y = .5, .5, -.5: s_xy = 1/6, s_x² = 1/6, s_y² = 2/9, (m_x - m_y)² = 1/36
    assert found["va"]["ccc_mean"]["value"] == pytest.approx((2 / 6) / (1 / 6 + 2 / 9 + 1 / 36))
    assert found["va"]["ccc_mean"]["value"] == pytest.approx(0.8)
    assert found["va"]["windows"] == 3
    # glad and sad each: one hit, one false alarm, one miss
    assert found["expression"]["macro_f1"]["value"] == pytest.approx(0.5)
    assert (found["expression"]["windows"], found["expression"]["unit"]) == (4, "window")
    assert found["expression"]["left_out"] == [CLASSES[2]]


def test_dfews_war_and_uar_count_clips_once(tmp_path):
    """Three clips of unequal length; each class of the mean over a clip's windows: WAR 2/3, UAR (1/2 + 1) / 2."""
    clips = [
        a_sequence(name, frames, labels={"expression": np.full(frames, label, np.int16)})
        for name, frames, label in (("a", 4, 0), ("b", 2, 0), ("c", 1, 1))
    ]
    corpus = load_corpus(open_cache(a_cache(tmp_path / "cache", *clips, header=Header("body_25", HEADS[:1]))))
    targets = find_targets(corpus, np.arange(3), Window(), ("expression",), seen_only=False)
    shares = np.float64(
        [[0.9, 0.1, 0], [0.4, 0.6, 0], [0.4, 0.6, 0], [0.4, 0.6, 0], [0.6, 0.4, 0], [0.1, 0.9, 0], [0, 1, 0]]
    )
    columns = window_columns(corpus, targets, fold=1, subset="test")
    table = prediction_table(columns, corpus.heads, targets.labels, {"expression": shares})
    found = score(table, corpus.heads, clips=["expression"])["test"]["expression"]
    assert (found["unit"], found["windows"]) == ("clip", 3)
    assert found["accuracy"]["value"] == pytest.approx(2 / 3)  # by windows it were 3 of 7
    assert found["uar"]["value"] == pytest.approx(0.75)
