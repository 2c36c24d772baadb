"""Which keypoints matter to a model: cases worked out by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from run_folders import EMOTIONS, make_predictions, run_heads
from sklearn.metrics import f1_score
from small_caches import BODY, BODY_AND_FACE, a_cache, a_sequence
from torch import nn

from skelemo.cache.store import open_cache
from skelemo.data.corpus import load_corpus
from skelemo.data.windows import Window, find_targets
from skelemo.errors import ConfigError
from skelemo.evaluation.metrics import ccc_of_sums, sums
from skelemo.evaluation.paired import losses
from skelemo.inference.scoring.importance import Budget, Predicting, _sample, importance, point_groups
from skelemo.runs.predictions import outputs_of, truth_of
from skelemo.skeleton import Part, layout
from skelemo.targets import Head

MOOD, PAIN = Head("mood", "classes", ("glad", "sad")), Head("pain", "values", ("pain",), 0, 1)
UNITS = Head("au", "flags", ("AU1", "AU2"))
WRIST = 4
EVERYTHING = Budget(windows=1000)


class Wristwatch(nn.Module):
    """Knows nothing but how sure OpenPose was of the right wrist in the window's last frame."""

    def forward(self, keypoints, mask):
        sure = keypoints[:, -1, WRIST, 2]
        return {"mood": torch.stack([0.5 - sure, sure - 0.5], 1) * 20, "pain": sure[:, None],
                "au": torch.stack([0.5 - sure, torch.full_like(sure, -1)], 1) * 20}  # fmt: skip


def recorded(tmp_path, subjects=0, videos=12):
    """Recordings of four frames; those with an odd number show the wrist with confidence 0.9, the others with 0.3."""
    sequences = []
    for index in range(videos):
        keypoints = np.random.default_rng(index).uniform(50, 90, (4, 25, 3)).astype(np.float32)
        keypoints[..., 2], keypoints[:, WRIST, 2] = 0.8, 0.9 if index % 2 else 0.3
        labels = {
            "mood": np.full(4, index % 2, np.int16),
            "pain": np.full((4, 1), 0.9 if index % 2 else 0.3, np.float32),
            "au": np.array([[1 - index % 2, 0]] * 4, np.int8),
        }
        subject = f"s{index % subjects}" if subjects else ""
        sequences.append(a_sequence(f"v{index}", 4, keypoints=keypoints, labels=labels, subject=subject))
    header = type(BODY)("body_25", (MOOD, PAIN, UNITS))
    corpus = load_corpus(open_cache(a_cache(tmp_path / "cache", *sequences, header=header)))
    heads = tuple(head.name for head in corpus.heads)
    return corpus, find_targets(corpus, np.arange(videos), Window(), heads, seen_only=False)


def measured(tmp_path, budget=EVERYTHING, **settings):
    corpus, targets = recorded(tmp_path, **settings)
    predicting = Predicting(Wristwatch(), corpus.heads, Window(), torch.device("cpu"))
    return importance(predicting, corpus, targets, budget).set_index(["head", "level", "name"]).sort_index()


def test_only_the_point_that_a_model_uses_is_important(tmp_path):
    table = measured(tmp_path)
    # Without the wrist all of 24 and 24 windows are called glad: F1 2 * 24 / (24 + 48) = 2/3 and 0.
    glad = table.loc["mood"]
    assert glad.loc[("none", ""), ["score", "loss"]].tolist() == [1, 0]
    for hidden in (("joint", "RWrist"), ("region", "right arm"), ("part", "body_25")):
        assert glad.loc[hidden, ["score", "loss"]].tolist() == pytest.approx([1 / 3, 2 / 3])
        assert 0.5 < glad.loc[hidden, "low"] < 2 / 3 < glad.loc[hidden, "high"] < 0.85
    others = glad.drop([("joint", "RWrist"), ("region", "right arm"), ("part", "body_25")])
    assert len(glad) == 1 + 1 + 6 + 25
    assert len(others) == 30
    assert (others[["loss", "low", "high", "error"]] == 0).all(axis=None)
    assert set(glad["grouped_by"]) == {"video"}
    assert set(glad["groups"]) == {12}
    assert set(glad["windows"]) == {48}
    # Of values the predictions are constant then: CCC 0. Of flags AU1, which every other window has, is always seen:
    # F1 2 * 24 / (48 + 24) in place of 1; AU2 never occurs, and its F1 is 0 either way.
    assert table.loc[("pain", "joint", "RWrist"), "loss"] == pytest.approx(1)
    assert table.loc[("au", "none", ""), "score"] == 0.5
    assert table.loc[("au", "joint", "RWrist"), "loss"] == pytest.approx((1 - 2 / 3) / 2)


@pytest.mark.parametrize("head", ["expression", "va"])
def test_losses_and_intervals_equal_a_bootstrap_of_single_windows(head):
    head = run_heads(EMOTIONS, [head])[0]
    usual, other = (make_predictions(heads=[head.name], subsets=["validation"], skill=skill) for skill in (1.5, 0.5))
    found = losses(usual, outputs_of(other, head)[None], head, resamples=40, seed=3)

    def figure(table, rows):
        truth, given = truth_of(table, head)[rows], outputs_of(table, head)[rows]
        if head.kind == "classes":
            return f1_score(truth, given.argmax(1), average="macro", labels=np.unique(truth))  # those that are drawn
        group = np.zeros(len(truth), int)
        return np.mean([ccc_of_sums(sums(*pair, group, 1))[0] for pair in zip(truth.T, given.T, strict=True)])

    assert found.score == pytest.approx(figure(usual, slice(None)), abs=1e-6)
    people = pd.factorize(usual["subject"])[0]
    rng, drawn = np.random.default_rng(3), []
    for _ in range(40):
        rows = np.concatenate([np.flatnonzero(people == one) for one in rng.integers(12, size=12)])
        drawn.append(figure(usual, rows) - figure(other, rows))
    assert found.loss == pytest.approx([figure(usual, slice(None)) - figure(other, slice(None))], abs=1e-6)
    assert found.error == pytest.approx([np.std(drawn)], abs=1e-6)
    assert (*found.low, *found.high) == pytest.approx((*np.percentile(drawn, [2.5, 97.5]),), abs=1e-6)
    assert (found.groups, found.grouped_by) == (12, "subject")


def test_of_too_few_people_their_videos_are_resampled_and_of_too_few_videos_nothing(tmp_path):
    assert set(measured(tmp_path / "two", subjects=2)["grouped_by"]) == {"video"}
    assert set(measured(tmp_path / "ten", subjects=10, videos=20)["grouped_by"]) == {"subject"}
    few = measured(tmp_path / "few", videos=4)
    assert few[["low", "high", "error"]].drop("none", level="level").isna().all(axis=None)
    assert few.loc[("mood", "joint", "RWrist"), "loss"] == pytest.approx(2 / 3)


def test_a_single_class_has_no_importance(tmp_path):
    corpus, targets = recorded(tmp_path)
    targets = targets[targets.labels["mood"] == 1]
    predicting = Predicting(Wristwatch(), (MOOD,), Window(), torch.device("cpu"))
    assert not len(importance(predicting, corpus, targets, Budget(windows=100)))
    assert not len(importance(predicting, corpus, targets[:0], Budget(windows=100)))


def test_a_sample_has_whole_recordings_or_people_within_a_number_of_frames(tmp_path):
    """Twelve recordings of four frames, four of each of three subjects."""
    corpus, targets = recorded(tmp_path, subjects=3)

    def chosen(corpus, frames, windows=1000):
        row = _sample(corpus, targets, windows, frames, seed=0).row
        assert len(set(row.tolist())) == len(row)
        return len(row), corpus.sequences.iloc[np.unique(corpus.sequence(row))]

    windows, sequences = chosen(corpus, 11)
    assert (windows, len(sequences)) == (8, 2)
    assert chosen(corpus, 3)[0] == 4  # at least one
    assert chosen(corpus, 11, windows=5)[0] == 5
    calibrated = replace(corpus, shift=torch.zeros(12, 25, 2))  # a person's mean pose comes from all recordings
    windows, sequences = chosen(calibrated, 20)
    assert (windows, len(sequences), sequences["subject"].nunique()) == (16, 4, 1)


def test_importance_does_not_depend_on_the_frames_in_memory_at_a_time(tmp_path, monkeypatch):
    whole = measured(tmp_path / "whole")
    monkeypatch.setattr("skelemo.inference.scoring.importance._FRAMES", 8)
    pd.testing.assert_frame_equal(measured(tmp_path / "blocks"), whole)


def test_the_windows_of_a_clip_are_averaged():
    """Two groups of points hidden in turn, two clips, two windows each; pain is the wrist's confidence."""
    sure = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.3, 0.8, 0.5, 0.2]])  # [windows, groups x clips]
    turns = []
    for confidences in sure:
        keypoints = torch.zeros(4, 1, 25, 3)
        keypoints[:, 0, WRIST, 2] = confidences
        turns.append({"keypoints": keypoints, "mask": torch.ones(4, 1, dtype=torch.bool)})
    corpus = SimpleNamespace(frame_size=None)
    occlusions = SimpleNamespace(corpus=corpus, hidden=np.zeros((2, 25), bool), batches=lambda *_: [turns])
    predicting = Predicting(Wristwatch(), (PAIN,), Window(), torch.device("cpu"))
    found = predicting.outputs(occlusions, layout("body_25"))["pain"]
    np.testing.assert_allclose(found, [[[0.2], [0.5]], [[0.4], [0.3]]], atol=1e-6)


def test_a_short_training_hides_only_parts_and_regions_in_few_windows(tmp_path):
    long = measured(tmp_path / "long", Budget(predictions=33 * 48))
    assert long.loc["mood"].groupby("level")["loss"].count().to_dict() == {
        "none": 1,
        "part": 1,
        "region": 6,
        "joint": 25,
    }
    short = measured(tmp_path / "short", Budget(predictions=33 * 48 - 1))
    assert short.loc["mood"].groupby("level")["loss"].count().to_dict() == {
        "none": 1,
        "part": 1,
        "region": 6,
        "joint": 0,
    }
    assert short.loc[("mood", "joint", "RWrist"), "x"] == long.loc[("mood", "joint", "RWrist"), "x"]  # for the drawing
    assert set(measured(tmp_path / "least", Budget(predictions=1))["windows"]) == {33}
    assert set(measured(tmp_path / "few", Budget(windows=20))["windows"]) == {20}


def test_everything_has_regions_that_do_not_overlap_and_leave_nothing_out():
    for name in ("body_25+face_70+hand_21x2", "coco_18", "body_25b", "mpi_15", "coco_17", "mediapipe_33"):
        for part in layout(name).parts:
            points = [point for places in part.region_points.values() for point in places]
            assert sorted(points) == list(range(len(part))), part.name
    face = {one.name: one.points for one in point_groups(layout("body_25+face_70")) if one.level == "region"}
    assert face["mouth"] == tuple(25 + point for point in range(48, 68))
    assert face["brows"] == tuple(25 + point for point in range(17, 27))
    assert face["left arm"] == (6, 7)
    horse = Part("horse", ("Poll", "LEar", "REar"), regions="ears: LEar REar")
    assert horse.region_points == {"ears": (1, 2)}
    with pytest.raises(ConfigError, match="unknown keypoint of horse 'Tail'"):
        Part("horse", ("Poll", "LEar", "REar"), regions="ears: LEar Tail")


def test_the_pose_is_the_median_in_the_coordinates_of_each_part(tmp_path):
    keypoints = np.zeros((3, 95, 3), np.float32)
    keypoints[:, 1], keypoints[:, 8] = (100, 100, 1), (100, 150, 1)  # neck and mid-hip: a unit of 50 pixels
    keypoints[:, WRIST] = np.array([[125, 100, 1], [150, 75, 1], [0, 0, 0]])
    sequence = a_sequence("one", 3, points=95, keypoints=keypoints, expression=[0, 1, 2])
    corpus = load_corpus(open_cache(a_cache(tmp_path / "cache", sequence, header=BODY_AND_FACE)), keep_absent=True)
    head = corpus.head("expression")

    class Constant(nn.Module):
        def forward(self, keypoints, mask):
            return {"expression": torch.zeros(len(keypoints), 3)}

    targets = find_targets(corpus, np.arange(1), Window(), ("expression",), seen_only=False)
    table = importance(
        Predicting(Constant(), (head,), Window(), torch.device("cpu")), corpus, targets, Budget(windows=9)
    )
    joints = table[table["level"] == "joint"].set_index("name")
    assert joints.loc["RWrist", ["x", "y", "seen"]].tolist() == pytest.approx(
        [0.5, -0.5, 2 / 3]
    )  # torch's lower median
    assert joints.loc["MidHip", ["x", "y", "seen"]].tolist() == pytest.approx([0, 1, 1])
    assert pd.isna(joints.loc["Jaw0", "x"])
    assert joints.loc["Jaw0", "seen"] == 0
