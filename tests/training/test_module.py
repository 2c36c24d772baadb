"""The loss that is trained: weights of heads, learned weights and mixup, worked out by hand."""

import math
from types import SimpleNamespace

import pytest
import torch
from sklearn.metrics import f1_score
from torch import Tensor, nn

from skelemo.targets import VA, Head
from skelemo.training.config import load_config
from skelemo.training.losses import Context, batch_ccc
from skelemo.training.module import Training

MOOD = Head("mood", "classes", ("a", "b"))


class Wrist(nn.Module):
    """Predicts where the first keypoint of the first frame is; moods are equally likely."""

    def forward(self, keypoints: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return {"va": keypoints[:, 0, 0, :2], "mood": torch.zeros(len(keypoints), 2)}


def task(*heads: Head, **settings: object) -> Training:
    return Training(Wrist(), load_config(None, settings), heads, {head.name: Context() for head in heads}, 0)


def outputs_and_labels(mood: int = 1) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A squared error of 0.5 and a cross-entropy of ln 2."""
    outputs = {"va": torch.tensor([[0.0, 1.0]]), "mood": torch.zeros(1, 2)}
    return outputs, {"va": torch.tensor([[0.0, 0.0]]), "mood": torch.tensor([mood])}


def test_the_losses_of_heads_are_added_with_their_weights():
    assert float(task(VA, MOOD)._loss(*outputs_and_labels())) == pytest.approx(0.5 + math.log(2))
    weighted = task(VA, MOOD, loss_weight={"va": 3.0, "mood": 0.0})
    assert float(weighted._loss(*outputs_and_labels())) == pytest.approx(1.5)


def test_learned_weights_are_those_of_kendall_and_others():
    """Σ exp(-s) loss + s / 2 over the heads with labels; validation is unweighted."""
    trained = task(VA, MOOD, loss_weighting="learned")
    trained.uncertainty.data = torch.tensor([math.log(2), math.log(4)])
    expected = 0.5 / 2 + math.log(2) / 2 + math.log(2) / 4 + math.log(4) / 2
    assert float(trained._loss(*outputs_and_labels()).detach()) == pytest.approx(expected)
    unlabeled = trained._loss(*outputs_and_labels(mood=-1))
    assert float(unlabeled.detach()) == pytest.approx(0.5 / 2 + math.log(2) / 2)
    assert float(trained._loss(*outputs_and_labels(), weighted=False)) == pytest.approx(0.5 + math.log(2))


def test_mixup_mixes_points_that_both_windows_show_and_both_losses(monkeypatch):
    """A share of 0.25 is one of 0.75 for the window whose mask is kept; the wrist of the third window is missing."""
    monkeypatch.setattr(torch.distributions.Beta, "sample", lambda _: torch.tensor(0.25))
    monkeypatch.setattr(torch, "randperm", lambda count, **_: torch.tensor([1, 2, 0]))
    places = torch.tensor([[1.0, 2.0, 1.0], [3.0, 6.0, 1.0], [0.0, 0.0, 0.0]])
    labels = torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 0.5]])
    batch = {"keypoints": places[:, None, None], "mask": torch.ones(3, 1, dtype=torch.bool), "row": torch.arange(3)}
    found = task(VA, mixup=0.4)._mixed_loss(batch | {"labels": {"va": labels}})
    mixed = torch.tensor([[1.5, 3.0], [3.0, 6.0], [0.0, 0.0]])  # the second and third are with a missing point
    own, others = ((mixed - wanted).square().mean() for wanted in (labels, labels[[1, 2, 0]]))
    torch.testing.assert_close(found, 0.75 * own + 0.25 * others)


def test_the_validation_score_is_the_mean_of_the_heads_main_metrics(monkeypatch):
    """Over all windows, not by batch; the loss is unweighted."""
    trained, logged = task(VA, MOOD, loss_weighting="learned"), {}
    trained.uncertainty.data.fill_(0.5)
    monkeypatch.setattr(trained, "log_dict", logged.update)
    generator = torch.Generator().manual_seed(0)
    outputs = {"va": torch.rand(8, 2, generator=generator), "mood": torch.randn(8, 2, generator=generator)}
    labels = {"va": torch.rand(8, 2, generator=generator), "mood": torch.tensor([0, 1, 1, 0, 0, 1, 0, -1])}
    for rows in (slice(0, 3), slice(3, 8)):
        pair = tuple({name: values[rows] for name, values in side.items()} for side in (outputs, labels))
        trained._outputs.append(pair)
    trained.on_validation_epoch_end()
    known = labels["mood"] >= 0
    f1 = f1_score(labels["mood"][known], outputs["mood"][known].argmax(1), average="macro")
    ccc = float(batch_ccc(outputs["va"], labels["va"], torch.ones(8, 2, dtype=torch.bool)).mean())
    assert logged["validation_mood_macro_f1"] == pytest.approx(f1)
    assert logged["validation_va_ccc_mean"] == pytest.approx(ccc, abs=1e-5)
    assert logged["validation_score"] == pytest.approx((f1 + ccc) / 2, abs=1e-5)
    assert logged["validation_loss"] == pytest.approx(float(trained._loss(outputs, labels, weighted=False)))
    assert not trained._outputs


def test_a_head_whose_validation_labels_are_one_class_does_not_choose_the_epoch(monkeypatch):
    """Its macro F1 would be 1 for a network that always predicts this class; scores.json has none either."""
    trained, logged = task(VA, MOOD), {}
    monkeypatch.setattr(trained, "log_dict", logged.update)
    outputs = {"va": torch.eye(2), "mood": torch.tensor([[0.0, 1.0], [0.0, 1.0]])}
    trained._outputs.append((outputs, {"va": torch.eye(2), "mood": torch.tensor([1, 1])}))
    trained.on_validation_epoch_end()
    assert logged["validation_score"] == pytest.approx(1.0)
    assert not [name for name in logged if "mood" in name]
    trained._outputs.append((outputs, {"va": torch.full((2, 2), math.nan), "mood": torch.tensor([1, 1])}))
    trained.on_validation_epoch_end()
    assert logged["validation_score"] == pytest.approx(-logged["validation_loss"])


def test_the_last_batches_of_an_epoch_weigh_as_much_as_those_of_a_full_step():
    """Ten batches, four to a step: the last step has two, which Lightning divides by four."""
    trained = task(VA, accumulate=4)
    trained.trainer = SimpleNamespace(num_training_batches=10)
    assert [trained._share(number) for number in range(10)] == [1] * 8 + [2, 2]
    trained.trainer = SimpleNamespace(num_training_batches=3)
    assert trained._share(0) == pytest.approx(4 / 3)


def test_the_first_windows_with_a_loss_that_is_not_finite_are_named():
    def named(rows: Tensor) -> list[str]:
        return [f"w{row}" for row in rows.tolist()]

    trained = Training(Wrist(), load_config(None, {}), (VA,), {"va": Context()}, 0, named=named)
    assert trained._first_windows() == ""
    for number, (loss, rows) in enumerate([(0.5, [4, 5, 6]), (math.nan, [7, 8]), (math.inf, [1, 2, 3])]):
        trained._watch(number, torch.tensor(loss), torch.tensor(rows))
    assert trained._first_windows() == " (first in step 2, 2 windows: w7, w8)"


def test_the_average_of_the_weights_is_updated_once_a_step():
    """Two batches a step; the average takes half of the new weights."""
    network = nn.Linear(1, 1)
    trained = Training(network, load_config(None, {"ema": 0.5, "accumulate": 2}), (VA,), {"va": Context()}, 0)
    found = []
    for step, weight in ((0, 8.0), (1, 2.0), (1, 6.0), (2, 4.0)):
        network.weight.data.fill_(weight)
        trained.trainer = SimpleNamespace(global_step=step)
        trained.on_train_batch_end()
        found.append(float(trained.kept.weight.detach()))
    assert found[1:] == [2, 2, 3], "the first update is the weights themselves"
