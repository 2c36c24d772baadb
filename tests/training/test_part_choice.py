"""Parts that only add noise are left out; parts that say something, and all of them where nothing can be told, stay."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from skelemo.cache.sequence import Sequence
from skelemo.cache.shard import Header, write_shard
from skelemo.cache.store import open_cache
from skelemo.data.corpus import load_corpus
from skelemo.data.windows import Window
from skelemo.errors import ConfigError
from skelemo.preprocess import Preparation
from skelemo.report.describe import choices
from skelemo.report.report import write_report
from skelemo.runs.folder import read_run
from skelemo.skeleton import layout
from skelemo.targets import Head
from skelemo.training.choice import Choice, Probe, Trial, choose_parts, standard_error
from skelemo.training.config import load_config
from skelemo.training.fit import train

LAYOUT = layout("body_25+hand_21x2")
MOOD = Head("mood", "classes", ("low", "middle", "high"))
QUICK = {"epochs": 2, "patience": 0, "device": "cpu", "model": {"width": 8}, "arch": "ann"}
STANCE = np.random.default_rng(0).uniform(100, 200, (25, 2))


def clip(index: int, speaks: tuple[str, ...] = ("body_25",), subjects: int = 12, seed: int = 0) -> Sequence:
    """Of the class ``index % 3``, which the parts in ``speaks`` show together; the others are drawn for each clip."""
    random = np.random.default_rng([seed, index])
    label, frames = index % 3, 6
    points = np.ones((frames, len(LAYOUT), 3), np.float32)
    for part in LAYOUT.parts:
        where = LAYOUT.slices[part.name]
        still = STANCE if part.kind == "body" else np.random.default_rng(1).uniform(0, 40, (21, 2))
        shape = still + random.normal(0, 2, still.shape)
        if part.name not in speaks:
            shape = random.uniform(0, 100, still.shape)
        else:
            tells = label if len(speaks) == 1 else 2 * (label > speaks.index(part.name))
            shape[3:8, int(part.kind != "body")] += 20 * tells
        points[:, where, :2] = shape + random.normal(0, 0.5, (frames, *still.shape))
    return Sequence(
        id=f"clip{index}",
        video=f"clip{index}",
        subject=f"subject{index // 3 % subjects}",
        keypoints=points,
        number=np.arange(frames, dtype=np.int32),
        labels={"mood": np.full(frames, label, np.int16)},
        splits={"split": ("train", "train", "train", "train", "validation", "test")[index // 3 % subjects % 6]},
    )


def a_folder(folder, speaks=("body_25",), clips=72, **given):
    folder.mkdir()
    write_shard(folder, Header(LAYOUT.name, (MOOD,)), [clip(index, speaks, **given) for index in range(clips)])
    return folder


def chosen(folder, seed=0, **given):
    corpus = load_corpus(open_cache(folder))
    return choose_parts(corpus, probing(np.arange(len(corpus.sequences)), seed), **given)


def probing(rows, seed=0):
    return lambda corpus: Probe(corpus, rows, Window(), corpus.heads, every=1, seed=seed)


@pytest.mark.parametrize(
    "speaks", [("body_25",), ("hand_right_21",), ("body_25", "hand_left_21"), ("hand_left_21", "hand_right_21")]
)
def test_parts_that_say_nothing_are_left_out_and_the_others_stay(tmp_path, speaks):
    found = chosen(a_folder(tmp_path / "cache", speaks))
    assert found.parts == speaks
    assert found.trials[0].parts == tuple(LAYOUT.slices)
    first = {trial.parts: trial.gain for trial in found.trials[1:4]}  # each part left out in turn
    assert len(first) == 3
    assert all((gain > 0) == (set(speaks) <= set(parts)) for parts, gain in first.items())
    assert min(trial.error for trial in found.trials) == next(t.error for t in found.trials if t.parts == speaks)


def test_nothing_but_the_training_sequences_is_looked_at(tmp_path):
    folder = a_folder(tmp_path / "cache")
    corpus = load_corpus(open_cache(folder))
    train_rows = np.arange(48)
    before = choose_parts(corpus, probing(train_rows))
    later = corpus.sequences["start"].to_numpy()[48]
    keypoints, labels = corpus.keypoints.clone(), corpus.labels["mood"].clone()
    keypoints[later:, :, :2] = torch.rand_like(keypoints[later:, :, :2])
    labels[later:] = 0
    other = replace(corpus, keypoints=keypoints, labels={"mood": labels})
    assert choose_parts(other, probing(train_rows)) == before


def test_a_gain_counts_from_two_standard_errors_over_people():
    """Gains of 1 and 3 of one person, 5 and none of another: mean 3, sums of residuals -2 and 2."""
    gain, person = np.array([1.0, 3, 5, np.nan]), np.array([0, 0, 1, 1])
    mean, deviation = standard_error(gain, person)
    assert (mean, deviation) == (3, pytest.approx(np.sqrt((4 + 4) * 2 / 1) / 3))
    assert Trial(("face_70",), 0.5, gain=2.1, deviation=1.0).better
    assert not Trial(("face_70",), 0.5, gain=1.9, deviation=1.0).better


def test_the_choice_is_the_same_for_the_same_seed(tmp_path, monkeypatch):
    monkeypatch.setattr("skelemo.training.choice.WINDOWS", 200)
    folder = a_folder(tmp_path / "cache")
    assert chosen(folder, seed=3) == chosen(folder, seed=3)
    assert chosen(folder, seed=3).trials[0].error != chosen(folder, seed=4).trials[0].error


def test_the_probe_is_ridge_regression_in_the_kernel_of_the_parts(tmp_path):
    """By scikit-learn's, on the same features and folds."""
    from sklearn.kernel_ridge import KernelRidge

    from skelemo.models.estimators import Scaler
    from skelemo.models.window_features import features
    from skelemo.training.choice import GAMMA, RIDGE

    corpus = load_corpus(open_cache(a_folder(tmp_path / "cache")))
    probe = Probe(corpus, np.arange(72), Window(), corpus.heads, every=3, seed=0)
    targets = probe.targets
    seen = corpus.placed(torch.as_tensor(targets.row))[:, None, LAYOUT.slices["body_25"]]
    rows = Scaler().fit(features(seen, torch.ones(len(seen), 1, dtype=torch.bool)).numpy()).clip(-10, 10)
    truth = np.eye(3)[targets.labels["mood"]]
    expected = np.empty(len(rows))
    for fold in range(5):
        test = probe.fold == fold
        mean = truth[~test].mean(0)
        model = KernelRidge(alpha=RIDGE, kernel="rbf", gamma=GAMMA / rows.shape[1])
        model.fit(rows[~test], truth[~test] - mean)
        expected[test] = ((model.predict(rows[test]) + mean - truth[test]) ** 2).sum(1)
    expected /= ((truth - truth.mean(0)) ** 2).sum(1).mean()
    np.testing.assert_allclose(probe.losses(("body_25",)), expected, rtol=1e-6)
    for subject in np.unique(corpus.sequences["subject"]):
        mine = corpus.sequences["subject"].to_numpy()[corpus.sequence(targets.row)] == subject
        assert len(np.unique(probe.fold[mine])) == 1


def test_the_probe_of_an_image_network_sees_normalized_keypoints(tmp_path):
    cache = open_cache(a_folder(tmp_path / "cache", clips=24))
    losses = []
    for coordinates in ("parts", "frame"):
        corpus = load_corpus(cache, Preparation(coordinates, "window"))
        losses.append(probing(np.arange(24))(corpus).losses(("body_25", "hand_left_21")))
    np.testing.assert_allclose(*losses, rtol=1e-3)


def test_a_run_sees_the_chosen_parts_and_says_how_they_were_chosen(tmp_path):
    folder, lines = a_folder(tmp_path / "cache"), []
    settings = load_config(None, {"data": str(folder), **QUICK})
    scores = train(settings, tmp_path / "run", report=lambda *given: lines.append(given[-1]))
    assert load_config(tmp_path / "run" / "config.yaml").parts == ("body_25",)
    assert json.loads((tmp_path / "run" / "model.json").read_text())["layout"] == "body_25"
    assert "without hand_left_21 and hand_right_21, which only add noise" in lines[0]
    alone = train(settings.model_copy(update={"parts": ("body_25",)}), tmp_path / "alone")
    assert scores == alone
    assert not (tmp_path / "alone" / "choices.json").exists()

    run = read_run(tmp_path / "run")
    (fold,) = run.choices["folds"]
    trials = {tuple(trial["parts"]): trial for trial in fold["trials"]}
    assert trials[("body_25",)]["gain"] > 2 * trials[("body_25",)]["deviation"] > 0
    told = choices(run)
    assert told.startswith("Dropped hand_left_21 and hand_right_21, based on a probe on the training subset")
    assert f"{trials[('body_25',)]['error']:.3f} of the labels' variance is unexplained" in told
    write_report([tmp_path / "run"], tmp_path / "report")
    assert "Dropped hand_left_21 and hand_right_21" in (tmp_path / "report" / "report.html").read_text()


def test_folds_may_choose_for_themselves_and_resume_with_what_they_chose(tmp_path, monkeypatch):
    folder = a_folder(tmp_path / "cache")
    chosen = iter([Choice(("body_25",), reason="first"), Choice(("hand_left_21",), reason="second")])
    monkeypatch.setattr("skelemo.training.settling.choose_parts", lambda *given, **settings: next(chosen))
    settings = load_config(None, {"data": str(folder), "split": "kfold:2", "validation": 0.0, **QUICK})
    train(settings, tmp_path / "run")
    kept = [json.loads((tmp_path / "run" / f"fold_{n}" / "model.json").read_text())["layout"] for n in (1, 2)]
    assert kept == ["body_25", "hand_left_21"]
    assert load_config(tmp_path / "run" / "config.yaml").parts == ("auto",)
    told = choices(read_run(tmp_path / "run"))
    assert told == "All parts kept in 1 of 2 folds: first. All parts kept in 1 of 2 folds: second."
    (tmp_path / "run" / "scores.json").unlink()
    assert train(settings, tmp_path / "run", resume=True)["test"]["mood"]["windows"] == 72


@pytest.mark.parametrize(
    ("given", "reason"),
    [({"subjects": 2}, "too few subjects or videos"), ({"speaks": ()}, "")],
    ids=["two subjects", "nothing to learn"],
)
def test_some_part_always_stays(tmp_path, given, reason):
    found = chosen(a_folder(tmp_path / "cache", **given))
    assert found.parts
    assert reason in found.reason
    if reason:
        assert found.parts == tuple(LAYOUT.slices)
        assert found.summary.startswith("all parts kept: too few subjects or videos in the training subset (2)")


def test_a_part_that_the_model_needs_stays(tmp_path):
    folder = a_folder(tmp_path / "cache")
    without_hand = chosen(folder, usable=lambda parts: "hand_left_21" in parts)
    assert without_hand.parts == ("body_25", "hand_left_21")


def test_all_and_auto_cannot_be_combined():
    assert load_config(None, {"parts": "all"}).named_parts == ()
    assert load_config(None, {"parts": []}).parts == ("all",)
    for parts in (["auto", "face_70"], ["all", "body_25"]):
        with pytest.raises(ConfigError, match="setting parts"):
            load_config(None, {"parts": parts})


def test_the_parts_of_an_initial_run_are_kept(tmp_path):
    """The probe would drop the hands, which only add noise, and the weights would no longer fit."""
    data = {"data": str(a_folder(tmp_path / "cache")), "importance": 0}
    train(load_config(None, QUICK | data | {"parts": "all"}), tmp_path / "first")
    train(load_config(None, QUICK | data | {"init": str(tmp_path / "first")}), tmp_path / "run")
    assert read_run(tmp_path / "run").config["parts"] == [*LAYOUT.slices]
    train(load_config(None, QUICK | data), tmp_path / "plain")
    assert read_run(tmp_path / "plain").config["parts"] == ["body_25"]
