"""Learning without labels, and what starts from it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from small_trainings import HEADS, QUICK, STANCE, CutError, cut_after, separable_sequence

from skelemo.cache.sequence import Sequence
from skelemo.cache.shard import Header, write_shard
from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.data.augment import Augmentation
from skelemo.data.calibration import calibrated
from skelemo.data.corpus import load_corpus
from skelemo.data.loader import Batches, inputs
from skelemo.data.pretext import (
    PRETEXT,
    Pretext,
    anchors,
    mean_frame,
    person_means,
    pretext_head,
    reconstructed,
    region_of,
    without_labels,
)
from skelemo.data.windows import Window, find_targets
from skelemo.errors import ConfigError
from skelemo.inference.scoring.overlap import learned
from skelemo.models import create, list_models
from skelemo.models.registry import entry
from skelemo.preprocess import Preparation
from skelemo.skeleton import DEFAULT_LAYOUT, layout
from skelemo.targets import VA
from skelemo.training.config import load_config
from skelemo.training.fit import train
from skelemo.training.initial import start_at_mean
from skelemo.training.losses import Context, head_loss
from skelemo.training.validation import ValidationScorer

SMALL = {"arch": "stgcnpp", "epochs": 2, "length": 4, "model": {"widths": [8, 8]}, "every": 4}
MODEL = {"width": 16, "widths": (8, 8), "blocks": 1, "layers": 1, "attention_heads": 2, "image_size": 32}


def pretext(regions=1.0, frames=0.0, points=1, outputs=6, mean=0.0, deviation=1.0):
    region = torch.arange(points)
    return Pretext(regions, frames, region, torch.full((outputs,), mean), torch.full((outputs,), deviation))


def generator():
    return torch.Generator().manual_seed(0)


def state(run):
    return load_file(run / "model.safetensors")


def loss_of(labels, outputs):
    head = pretext_head(layout("body_25"), 4)
    return float(head_loss(head, "mse", outputs, labels, Context()))


def test_labels_are_positions_and_displacements_of_hidden_points():
    keypoints = torch.tensor([[[[1.0, 2.0, 0.9]], [[3.0, 5.0, 0.8]]]])  # one point in two frames
    left, mask, labels = pretext()(keypoints, torch.ones(1, 2, dtype=torch.bool), generator())
    assert labels.tolist() == [[1, 2, 3, 5, 2, 3]]
    assert not left.any()
    assert mask.tolist() == [[False, False]]
    _, _, labels = pretext(mean=1.0, deviation=2.0)(keypoints, mask, generator())
    assert labels.tolist() == [[0, 0.5, 1, 2, 0.5, 1]]


def test_the_loss_counts_only_visible_points():
    keypoints = torch.zeros(1, 4, 25, 3)
    keypoints[0, 0, 7] = torch.tensor([1.0, 2.0, 1.0])
    keypoints[0, 1, 7] = torch.tensor([1.5, 2.0, 1.0])
    outputs = 7 * 25 * 2  # four places and three displacements
    _, _, labels = pretext(points=25, outputs=outputs)(keypoints, torch.ones(1, 4, dtype=torch.bool), generator())
    # x 1 and 1.5, y 2 and 2, one displacement of (0.5, 0): (1 + 2.25 + 4 + 4 + 0.25 + 0) / 6
    assert loss_of(labels, torch.zeros(1, outputs)) == pytest.approx(11.5 / 6)


def test_the_loss_counts_only_hidden_points():
    keypoints = torch.rand(8, 4, 25, 3, generator=generator()) + 0.1
    outputs = torch.zeros(8, 350, requires_grad=True)
    left, _, labels = pretext(0.4, points=25, outputs=350)(keypoints, torch.ones(8, 4, dtype=torch.bool), generator())
    hidden = left[..., 2] == 0  # [B, T, V]
    assert 0.3 < float(hidden.float().mean()) < 0.5
    assert torch.equal(hidden, hidden[:, :1].expand(-1, 4, -1))  # in all frames of a window
    torch.testing.assert_close(left[~hidden], keypoints[~hidden], rtol=0, atol=0)
    head_loss(pretext_head(layout("body_25"), 4), "mse", outputs, labels, Context()).backward()
    told = outputs.grad.reshape(8, 7, 25, 2).ne(0).any(3)
    assert torch.equal(told, hidden[:, :1].expand(-1, 7, -1))


def test_a_region_is_hidden_as_a_whole():
    face = layout("face_70")
    (part,) = face.parts
    task = Pretext(0.5, 0.0, region_of(face), torch.zeros(980), torch.ones(980))
    left, _, _ = task(
        torch.rand(64, 4, 70, 3, generator=generator()) + 0.1, torch.ones(64, 4, dtype=torch.bool), generator()
    )
    hidden = left[:, 0, :, 2] == 0  # [B, V]
    for points in part.region_points.values():
        assert hidden[:, points].all(1).logical_or(~hidden[:, points].any(1)).all()
    assert 0.4 < float(hidden.float().mean()) < 0.6
    assert len({tuple(row) for row in hidden.tolist()}) > 20  # regions are hidden independently


def test_positions_are_relative_to_the_persons_mean_and_displacements_are_not():
    keypoints = torch.tensor([[[[1.0, 2.0, 0.9]], [[3.0, 5.0, 0.8]]]])
    mask = torch.ones(1, 2, dtype=torch.bool)
    task = replace(pretext(), people=torch.tensor([[[9.0, 9.0]], [[1.0, 1.0]]]))
    _, _, labels = task(task.with_mean(keypoints, torch.tensor([1])), mask, generator())
    assert labels.tolist() == [[0, 1, 2, 4, 2, 3]]
    dropped = torch.cat([keypoints, torch.zeros(1, 1, 1, 3)], 1)  # the mean was augmented away
    _, _, labels = task(dropped, mask, generator())
    assert labels[0, :4].isnan().all()
    assert labels[0, 4:].tolist() == [2, 3]


def test_the_mean_shows_the_points_of_the_window():
    keypoints = torch.zeros(1, 2, 3, 3)
    keypoints[0, 0, 1, 2] = keypoints[0, 1, 2, 2] = 0.5
    mean = mean_frame(torch.ones(4, 3, 2), torch.tensor([3]), keypoints)
    assert mean.tolist() == [[[[1, 1, 0], [1, 1, 0.5], [1, 1, 0.5]]]]
    assert mean_frame(None, torch.tensor([3]), keypoints).shape == (1, 0, 3, 3)


def test_means_are_the_persons_and_known_only_in_coordinates_of_the_person(corpus, cache):
    means = person_means(corpus, np.arange(30))
    assert means.shape == (len(corpus.sequences), 25, 2)
    found = calibrated(corpus, "track", np.arange(30))
    torch.testing.assert_close(means - found.shift, torch.tensor(found.preparation.typical).expand_as(found.shift))
    assert person_means(found, np.arange(30)) is None  # already calibrated
    assert person_means(load_corpus(open_cache(cache), Preparation(coordinates="frame")), np.arange(30)) is None


def test_the_persons_mean_is_augmented_with_the_window(corpus):
    """Flipped windows of people whose mean is the window itself have labels of zero, whatever the flip."""
    window = Window(length=1)
    targets = find_targets(corpus, np.arange(30), window, (), seen_only=True)
    first = corpus.windows(torch.as_tensor(targets.row)[:, None], torch.ones(len(targets), 1, dtype=torch.bool))[0][
        :, 0
    ]
    sequence = corpus.sequence(targets.row)
    still = targets[np.unique(sequence, return_index=True)[1]]  # one window of each sequence
    people = torch.zeros(len(corpus.sequences), 25, 2)
    people[np.unique(sequence)] = first[np.unique(sequence, return_index=True)[1], :, :2]
    task = Pretext(1.0, 0.0, torch.arange(25), torch.zeros(50), torch.ones(50), people)
    moved = Augmentation(mirror=0.5, rotate=20, scale=0.3)
    for batch in Batches(corpus, still, window, 64, torch.device("cpu"), augmentation=moved, seed=3, pretext=task):
        labels = batch["labels"][PRETEXT]
        assert labels.isfinite().any()
        torch.testing.assert_close(labels.nan_to_num(0), torch.zeros_like(labels), atol=1e-6, rtol=0)


def test_a_stretch_of_frames_is_hidden_and_masked():
    keypoints = torch.rand(50, 8, 3, 3, generator=generator()) + 0.1
    shape = pretext(0.0, 0.5, points=3, outputs=42)
    _, mask, labels = shape(keypoints, torch.ones(50, 8, dtype=torch.bool), generator())
    assert (~mask).sum(1).tolist() == [4] * 50
    assert ((~mask).int().diff(dim=1) == 1).sum(1).max() == 1  # one stretch
    starts = set((~mask).int().argmax(1).tolist())
    assert starts == set(range(5))
    places = labels[:, :24].reshape(50, 4, 3, 2).isnan().all((2, 3))
    assert torch.equal(places, mask[:, anchors(8, 3)])


@pytest.mark.parametrize(("frames", "points", "expected"), [(16, 25, [2, 6, 10, 14]), (1, 25, [0]), (6, 137, [1, 4])])
def test_frames_are_spread_over_the_window_as_many_as_fit(frames, points, expected):
    assert anchors(frames, points) == expected
    assert len(pretext_head(layout(DEFAULT_LAYOUT), frames)) <= 1024


def test_deviations_are_measured_on_visible_points():
    keypoints = torch.rand(30, 2, 2, 3, generator=generator())
    keypoints[:10, :, 1] = 0
    windows = ((some, torch.zeros(len(some), dtype=torch.long)) for some in keypoints.split(7))
    found = Pretext.fit(0.4, 0.3, torch.arange(2), windows)
    values, seen = reconstructed(keypoints)
    expected = np.where(seen, values, np.nan)
    np.testing.assert_allclose(found.mean, np.nanmean(expected, 0), atol=1e-6)
    np.testing.assert_allclose(found.deviation, np.nanstd(expected, 0), atol=1e-6)


@pytest.fixture
def corpus(cache):
    return without_labels(load_corpus(open_cache(cache), Preparation()), 4)


def test_without_a_seed_the_same_points_are_hidden_every_time(corpus):
    window = Window(length=4)
    targets = find_targets(corpus, np.arange(30), window, (), seen_only=True)
    assert len(targets) == 360
    some = Batches(corpus, targets, window, 64, torch.device("cpu"), pretext=pretext(0.4, points=25, outputs=350))
    once, again = ([batch["labels"][PRETEXT] for batch in some] for _ in range(2))
    torch.testing.assert_close(once, again, equal_nan=True, rtol=0, atol=0)
    assert not torch.equal(once[0].isnan(), once[1].isnan())


@pytest.mark.parametrize("arch", [name for name in list_models() if entry(name).facts.coordinates == "parts"])
def test_every_network_of_points_takes_a_step(corpus, arch):
    window = Window(length=4)
    targets = find_targets(corpus, np.arange(4), window, (), seen_only=True)
    settings = {name: value for name, value in MODEL.items() if name in entry(arch).settings}
    network = create(arch, layout_name="body_25", heads=corpus.heads, frames=4, **settings)
    (batch,) = Batches(
        corpus, targets, window, 64, torch.device("cpu"), pretext=pretext(0.4, 0.25, points=25, outputs=350)
    )
    optimizer = torch.optim.SGD(network.parameters(), 1e-3)
    before = head_loss(corpus.heads[0], "mse", network(**inputs(batch))[PRETEXT], batch["labels"][PRETEXT], Context())
    before.backward()
    optimizer.step()
    assert before.isfinite()
    assert all(parameter.isfinite().all() for parameter in network.parameters())
    learns = [name for name, one in network.named_parameters() if one.grad is not None and one.grad.any()]
    assert learns


def unlabeled_of(sequence):
    return replace(sequence, labels={}, splits={})


@pytest.fixture
def nameless(tmp_path):
    """Clips without a single label."""
    folder = tmp_path / "nameless"
    folder.mkdir()
    write_shard(folder, Header("body_25", ()), [unlabeled_of(separable_sequence(index)) for index in range(100, 120)])
    return folder


def test_clips_without_labels_are_learned_from_and_a_training_starts_from_it(config, nameless, tmp_path):
    found = train(config(**SMALL, pretrain=True, data=str(nameless)), tmp_path / "first")
    history = (tmp_path / "first" / "metrics.csv").read_text().splitlines()
    losses = [float(row.split(",")[history[0].split(",").index("validation_loss")]) for row in history[1:]]
    assert found["validation"][PRETEXT]["loss"]["value"] == min(losses)
    splits = json.loads((tmp_path / "first" / "splits.json").read_text())
    assert [len(splits["folds"][0][subset]) for subset in ("train", "validation", "test")] == [18, 2, 0]
    assert json.loads((tmp_path / "first" / "model.json").read_text())["pretext"] is True
    train(config(**SMALL, init=str(tmp_path / "first"), init_freeze="body"), tmp_path / "run")
    before, after = state(tmp_path / "first"), state(tmp_path / "run")
    body = [name for name in after if "_head" not in name]
    assert all(torch.equal(before[name], after[name]) for name in body)
    assert learned(tmp_path / "run")["sha256"] > learned(tmp_path / "first")["sha256"]


def test_a_network_that_draws_is_pretrained_the_same_way(config, nameless, tmp_path):
    small = {"arch": "cnn_transformer", "model": {"image_size": 32, "width": 16, "layers": 1}, "epochs": 1}
    found = train(config(**small, length=2, every=6, pretrain=True, data=str(nameless)), tmp_path / "run")
    assert np.isfinite(found["validation"][PRETEXT]["loss"]["value"])


def test_before_the_first_step_the_mean_is_predicted(corpus):
    network = create("transformer", layout_name="body_25", heads=(*corpus.heads, VA), frames=4, width=16, layers=1)
    start_at_mean(network, [PRETEXT])
    outputs = network.eval()(torch.rand(8, 4, 25, 3, generator=generator()), torch.ones(8, 4, dtype=torch.bool))
    assert not outputs[PRETEXT].any()
    assert outputs["va"].std(0).min() > 0, "features and other heads are as they were"


def swaying(index, subset=""):
    """A body whose points sway with two numbers, of which valence is one; people differ, and points are noisy."""
    generator = np.random.default_rng(index)
    sway = np.stack([np.convolve(noise, np.ones(5) / 5**0.5, "valid") for noise in generator.normal(0, 1, (2, 28))], 1)
    directions = np.random.default_rng(5).normal(0, 8, (2, 25, 2))
    keypoints = np.ones((24, 25, 3), np.float32)
    person = generator.normal(0, 10, (25, 2))
    keypoints[..., :2] = STANCE + person + np.tensordot(sway, directions, 1) + generator.normal(0, 10, (24, 25, 2))
    keypoints[:, 1, :2], keypoints[:, 8, :2] = (100, 100), (100, 200)  # what places are measured by
    values = np.tanh(sway[:, :1]) * np.float32([1, -1])
    return Sequence(
        id=f"clip{index}",
        video=f"clip{index}",
        keypoints=keypoints,
        number=np.arange(24, dtype=np.int32),
        labels={"va": values.astype(np.float32)} if subset else {},
        splits={"split": subset} if subset else {},
    )


def test_a_pretrained_body_predicts_better_than_a_random_one(config, nameless, tmp_path):
    """Started from answers all over its range, the head made features that told less than random ones."""
    labeled = tmp_path / "labeled"
    labeled.mkdir()
    subsets = ["train"] * 4 + ["validation"] * 3 + ["test"] * 20
    write_shard(labeled, Header("body_25", HEADS), [swaying(index, name) for index, name in enumerate(subsets)])
    write_shard(nameless, Header("body_25", ()), [swaying(index) for index in range(200, 280)])
    settings = SMALL | {"arch": "transformer", "model": {"width": 32, "layers": 1, "dropout": 0.0}, "every": 2}
    before = settings | {"pretrain": True, "data": str(nameless)}
    start = settings | {"head": "va", "init_freeze": "body", "epochs": 30, "lr": 0.01, "data": str(labeled)}
    loss, figure = {}, {}
    for name, own in (("nothing", {"epochs": 3, "lr": 1e-9}), ("learned", {"epochs": 15, "lr": 3e-3})):
        found = train(config(**before | own), tmp_path / name)
        loss[name] = found["validation"][PRETEXT]["loss"]["value"]
        scores = train(config(**start, init=str(tmp_path / name)), tmp_path / f"from {name}")
        figure[name] = scores["test"]["va"]["ccc_mean"]["value"]
    assert loss["learned"] < 0.9 * loss["nothing"] < 1
    assert figure["learned"] > figure["nothing"] + 0.03, figure


def test_reconstruction_is_learned(config, nameless, tmp_path):
    """The right wrist is at one of three heights: what is visible says which, so that it can be reconstructed."""
    settings = SMALL | {"arch": "transformer", "model": {"width": 32, "layers": 1, "dropout": 0.0}, "every": 1}
    found = train(
        config(**settings | {"epochs": 30}, lr=3e-3, pretrain=True, data=str(nameless), hide_regions=0.2),
        tmp_path / "run",
    )
    assert found["validation"][PRETEXT]["loss"]["value"] < 0.98


def test_a_resumed_pretraining_is_the_uninterrupted_one(config, nameless, tmp_path):
    settings = config(**SMALL | {"epochs": 3}, pretrain=True, data=str(nameless), jitter=0.02)

    with pytest.raises(CutError):
        train(settings, tmp_path / "cut", report=cut_after(1))
    train(settings, tmp_path / "cut", resume=True)
    train(settings, tmp_path / "whole")
    torch.testing.assert_close(state(tmp_path / "cut"), state(tmp_path / "whole"), rtol=0, atol=0)


def test_what_pretraining_saw_must_not_be_tested(config, tmp_path):
    train(config(**SMALL, pretrain=True, split="none"), tmp_path / "all")
    with pytest.raises(ConfigError, match=r"subset of all and (is|are) in the test subset here"):
        train(config(**SMALL, init=str(tmp_path / "all")), tmp_path / "run")


def test_with_a_given_split_the_test_subset_is_left_out(config, tmp_path):
    train(config(**SMALL, pretrain=True), tmp_path / "first")
    splits = json.loads((tmp_path / "first" / "splits.json").read_text())
    assert splits["split"] == "given"
    train(config(**SMALL, init=str(tmp_path / "first")), tmp_path / "run")


def test_what_only_chooses_may_have_been_pretrained_on(config, cache, tmp_path):
    """The split names no validation subset, and each run draws its own from what trains."""
    (shard,) = cache.glob("*.h5")
    shard.unlink()
    named = [separable_sequence(index) for index in range(30)]
    splits = ({"split": "test" if one.splits["split"] == "test" else "train"} for one in named)
    again = [type(one)(**{**vars(one), "splits": given}) for one, given in zip(named, splits, strict=True)]
    write_shard(cache, Header("body_25", HEADS), again)
    train(config(**SMALL, pretrain=True, split_seed=5), tmp_path / "first")
    train(config(**SMALL, init=str(tmp_path / "first")), tmp_path / "run")
    first, run = (json.loads((tmp_path / name / "splits.json").read_text())["folds"][0] for name in ("first", "run"))
    assert set(first["train"]) & set(run["validation"])
    assert not {*first["train"], *first["validation"]} & set(run["test"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arch": "ann", "model": {}}, "ann has no layers besides its heads and cannot be pretrained"),
        ({"arch": "svm", "model": {}}, "svm is a baseline and cannot be pretrained"),
        ({"hide_regions": 0, "hide_frames": 0}, "hide_regions and hide_frames are both 0"),
    ],
)
def test_what_cannot_be_pretrained_is_refused(config, tmp_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        train(config(**SMALL | settings, pretrain=True), tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_settings_about_labels_do_not_count(config):
    written = config(pretrain=True, head="va", loss={"va": "ccc", "pretext": "huber"}, class_weights="sqrt", mixup=0.2)
    assert (written.heads, written.loss, written.class_weights, written.mixup) == (
        (PRETEXT,),
        {"pretext": "huber"},
        "none",
        0,
    )


def test_a_search_refuses_pretraining(config):
    with pytest.raises(ConfigError, match="a search needs predictions to score"):
        ValidationScorer(config(**SMALL, pretrain=True))


def test_verbs_that_predict_refuse_it_in_one_line(config, nameless, cache, tmp_path):
    run, out = tmp_path / "first", tmp_path / "out"
    words = ["pretrain", nameless, "--arch", "transformer", "--out", run, "--set", "epochs=1", "--set", "device=cpu"]
    words += ["--set", "width=16", "--set", "layers=1", "--set", "every=4"]
    answer = CliRunner().invoke(main, [str(word) for word in words])
    assert answer.exit_code == 0, answer.output
    assert "1 corresponds to predicting the mean" in answer.output
    assert f"skelemo train --init {run}" in answer.output
    for verb in (
        ["predict", run, cache, "--out", out / "p.csv"],
        ["evaluate", run, cache, "--out", out],
        ["export", run, "--out", out / "m.onnx"],
        ["live", run, cache],
        ["report", run, "--out", out],
        ["view", cache, "--runs", run],
    ):
        answer = CliRunner().invoke(main, [str(word) for word in verb])
        assert answer.exit_code == 2, verb
        wanted = "it has no heads to predict; start a training from it with skelemo train --init RUN"
        assert answer.output.strip().splitlines() == [f"Error: {run} is a pretraining run: {wanted}"], verb
    assert not list(out.glob("*"))
    for verb, told in (
        (["train", "--out", run, "--resume"], f"skelemo pretrain --out {run} --resume"),
        (["train", "--data", cache, "--set", "pretrain=true", "--out", out], f"skelemo pretrain CACHE --out {out}"),
    ):
        answer = CliRunner().invoke(main, [str(word) for word in verb])
        wanted = f"Error: pretrain = True does not train on labels: {told}\n"
        assert (answer.exit_code, answer.output) == (2, wanted)


def test_labels_are_not_looked_at(config, nameless, tmp_path):
    """The same clips with and without labels give the same network."""
    labeled = tmp_path / "labeled"
    labeled.mkdir()
    given = [separable_sequence(index) for index in range(100, 120)]
    write_shard(labeled, Header("body_25", HEADS), [type(one)(**{**vars(one), "splits": {}}) for one in given])
    for name, data in (("a", nameless), ("b", labeled)):
        train(load_config(None, {**QUICK, **SMALL, "epochs": 1, "pretrain": True, "data": str(data)}), tmp_path / name)
    torch.testing.assert_close(state(tmp_path / "a"), state(tmp_path / "b"), rtol=0, atol=0)
