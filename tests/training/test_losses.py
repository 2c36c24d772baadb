"""Losses of every kind of head, against torch's own on the labeled windows."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from skelemo.errors import ConfigError
from skelemo.evaluation import metrics
from skelemo.targets import AU, VA, Head
from skelemo.training.losses import DEFAULTS, LOSSES, Context, batch_ccc, context_of, focal, head_loss, require_loss

THREE = Head("mood", "classes", ("a", "b", "c"))
NOTHING = Context()


def sample(head: Head, rows: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs and labels of a head; every third window has no label."""
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(rows, len(head), generator=generator)
    if head.kind == "classes":
        labels = torch.randint(0, len(head), (rows,), generator=generator)
        labels[::3] = -1
    elif head.kind == "values":
        labels = torch.rand(rows, len(head), generator=generator)
        labels[::3] = torch.nan
    else:
        labels = torch.randint(0, 2, (rows, len(head)), generator=generator).to(torch.int8)
        labels[::3] = -1
    return outputs, labels


@pytest.mark.parametrize("name", list(LOSSES))
def test_windows_without_a_label_count_in_no_loss(name):
    head = next(head for head in (THREE, VA, AU) if head.kind == LOSSES[name].facts)
    outputs, labels = sample(head)
    kept = [row for row in range(12) if row % 3]
    found = head_loss(head, name, outputs, labels, NOTHING)
    torch.testing.assert_close(found, head_loss(head, name, outputs[kept], labels[kept], NOTHING))
    assert found > 0


@pytest.mark.parametrize("name", list(LOSSES))
def test_a_batch_without_any_label_has_loss_zero_and_gradients_of_zero(name):
    head = next(head for head in (THREE, VA, AU) if head.kind == LOSSES[name].facts)
    outputs = torch.randn(4, len(head), requires_grad=True)
    head_loss(head, name, outputs, torch.as_tensor(head.unlabeled(4)), NOTHING).backward()
    assert outputs.grad is not None
    assert outputs.grad.abs().sum() == 0


def test_missing_values_and_flags_are_masked_one_by_one():
    outputs, labels = sample(VA)
    labels[1, 0] = torch.nan
    known = ~labels.isnan()
    torch.testing.assert_close(
        head_loss(VA, "mse", outputs, labels, NOTHING), functional.mse_loss(outputs[known], labels[known])
    )
    outputs, labels = sample(AU)
    labels[1, :6] = -1
    known = labels >= 0
    expected = functional.binary_cross_entropy_with_logits(outputs[known], labels[known].float())
    torch.testing.assert_close(head_loss(AU, "bce", outputs, labels, NOTHING), expected)


def test_shares_are_learned_as_soft_labels():
    outputs = torch.randn(5, 3)
    shares = torch.tensor([[0.2, 0.5, 0.3]] * 4 + [[torch.nan] * 3])
    expected = -(shares[:4] * outputs[:4].log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(head_loss(THREE, "cross_entropy", outputs, shares, NOTHING), expected)
    torch.testing.assert_close(
        head_loss(THREE, "focal", outputs, torch.tensor([0, 1, 2, 0, -1]), NOTHING),
        head_loss(THREE, "focal", outputs[:4], functional.one_hot(torch.tensor([0, 1, 2, 0]), 3).float(), NOTHING),
    )


def test_class_losses_are_torchs_with_weights_smoothing_and_priors():
    outputs, labels = sample(THREE)
    kept, weight = labels >= 0, torch.tensor([1.0, 2.0, 0.5])
    expected = functional.cross_entropy(outputs[kept], labels[kept], weight=weight, label_smoothing=0.1)
    found = head_loss(THREE, "cross_entropy", outputs, labels, Context(weight, smoothing=0.1))
    torch.testing.assert_close(found, expected)
    prior = torch.tensor([0.7, 0.2, 0.1])
    expected = functional.cross_entropy(outputs[kept] + prior.log(), labels[kept])
    torch.testing.assert_close(head_loss(THREE, "logit_adjusted", outputs, labels, Context(None, prior)), expected)
    log = outputs[kept].log_softmax(1).gather(1, labels[kept, None])[:, 0]
    torch.testing.assert_close(
        head_loss(THREE, "focal", outputs, labels, NOTHING), (-((1 - log.exp()) ** 2) * log).mean()
    )


def test_a_class_absent_from_training_is_learned_not_to_be_predicted():
    outputs = torch.zeros(4, 3, requires_grad=True)
    prior = Context(None, torch.tensor([0.75, 0.25, 0.0]))
    head_loss(THREE, "logit_adjusted", outputs, torch.tensor([0, 0, 0, 1]), prior).backward()
    # softmax of log .75, log .25 and 0 gives the absent class a half
    torch.testing.assert_close(outputs.grad[:, 2], torch.full((4,), 0.5 / 4))


def test_losses_joined_by_a_plus_are_added():
    outputs, labels = sample(VA)
    parts = [head_loss(VA, name, outputs, labels, NOTHING) for name in ("mse", "ccc")]
    torch.testing.assert_close(head_loss(VA, "mse+ccc", outputs, labels, NOTHING), sum(parts))


def test_the_ccc_of_the_loss_is_the_ccc_of_the_scores():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(50, 2)), generator.normal(size=(50, 2))
    found = batch_ccc(torch.as_tensor(x), torch.as_tensor(y)).numpy()
    group = np.zeros(len(x), int)
    expected = [metrics.ccc_of_sums(metrics.sums(x[:, i], y[:, i], group, 1))[0] for i in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_constant_predictions_give_a_finite_ccc_loss():
    assert head_loss(VA, "ccc", torch.zeros(5, 2), torch.zeros(5, 2), NOTHING) == 1


def test_the_ccc_of_two_labeled_windows_weighs_as_two_of_the_batch():
    outputs, labels = torch.rand(256, 2), torch.full((256, 2), torch.nan)
    labels[:2] = torch.rand(2, 2)
    alone = head_loss(VA, "ccc", outputs[:2], labels[:2], Context(batch=2))
    torch.testing.assert_close(head_loss(VA, "ccc", outputs, labels, Context(batch=256)), alone * 2 / 256)


def test_balanced_weights_give_every_class_the_same_total():
    four = Head("mood", "classes", ("a", "b", "c", "d"))
    labels = torch.tensor([0] * 6 + [1] * 3 + [2] + [-1] * 5)
    context = context_of(four, labels, "balanced", 0.0)
    counts = torch.tensor([6.0, 3.0, 1.0])
    torch.testing.assert_close(context.weight[:3] * counts, torch.full((3,), 10 / 3))
    assert context.weight[3] == 0
    torch.testing.assert_close(context.frequency, torch.tensor([0.6, 0.3, 0.1, 0.0]))
    assert context_of(four, labels, "none", 0.0).weight is None


def test_balanced_flags_weigh_the_odds_against_them():
    two = Head("units", "flags", ("AU1", "AU2"))
    labels = torch.tensor([[1, 1], [0, 1], [0, 0], [0, -1]], dtype=torch.int8)
    context = context_of(two, labels, "balanced", 0.0)
    torch.testing.assert_close(context.weight, torch.tensor([3.0, 0.5]))


def test_a_loss_that_does_not_fit_its_head_lists_those_that_do():
    with pytest.raises(ConfigError, match="loss 'mse' is for values, but mood has classes: expected cross"):
        require_loss(THREE, "mse")
    with pytest.raises(ConfigError, match="unknown loss 'cross_entropi': did you mean 'cross_entropy'"):
        require_loss(THREE, "cross_entropi")
    for head in (THREE, VA, AU):
        require_loss(head, DEFAULTS[head.kind])


def test_focal_loss_smooths_labels_as_cross_entropy_does():
    """With gamma 0 it is the cross-entropy: of p = (3/4, 1/4) and shares (0.9, 0.1), -0.9 ln 3/4 - 0.1 ln 1/4."""
    outputs, labels = torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([0])
    found = focal(outputs, labels, torch.ones(1, 2, dtype=torch.bool), Context(smoothing=0.2), gamma=0.0)
    assert float(found) == pytest.approx(-0.9 * math.log(0.75) - 0.1 * math.log(0.25), abs=1e-6)


def test_losses_of_values_by_hand():
    outputs, labels = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 4.0]])  # apart by 0.5 and 2
    found = {name: float(head_loss(VA, name, outputs, labels, NOTHING)) for name in ("mse", "mae", "huber")}
    assert found == pytest.approx({"mse": (0.25 + 4) / 2, "mae": 1.25, "huber": (0.125 + 1.5) / 2})


def test_losses_of_flags_by_hand():
    """Probabilities 3/4 and 3/4 for flags that are on and off: 3/4 and 1/4 for the labels."""
    two = Head("units", "flags", ("AU1", "AU2"))
    outputs, labels = torch.full((1, 2), math.log(3)), torch.tensor([[1, 0]], dtype=torch.int8)
    right, wrong = -math.log(0.75), -math.log(0.25)
    for weight in (1.0, 5.0):  # of flags that are on
        context = Context(torch.full((2,), weight))
        bce, focal_loss = (float(head_loss(two, name, outputs, labels, context)) for name in ("bce", "binary_focal"))
        assert bce == pytest.approx((weight * right + wrong) / 2)
        assert focal_loss == pytest.approx((weight * right / 16 + wrong * 9 / 16) / 2)


def test_the_focal_loss_weighs_classes():
    outputs = torch.tensor([[math.log(3.0), 0.0], [math.log(3.0), 0.0]])  # 3/4 for the first class
    found = head_loss(Head("mood", "classes", ("a", "b")), "focal", outputs, torch.tensor([0, 1]),
                      Context(torch.tensor([2.0, 0.5])))  # fmt: skip
    assert float(found) == pytest.approx((-2 * math.log(0.75) / 16 - 0.5 * math.log(0.25) * 9 / 16) / 2)


def test_the_ccc_loss_leaves_out_a_value_without_any_label():
    outputs, labels = torch.rand(6, 2), torch.rand(6, 2)
    labels[:, 1] = torch.nan
    expected = 1 - batch_ccc(outputs[:, :1], labels[:, :1])[0]
    torch.testing.assert_close(head_loss(VA, "ccc", outputs, labels, Context(batch=6)), expected)


def test_weights_by_the_square_root_of_the_frequency():
    """Four labels to one: weights of 1/2 to 1, which average to 1 over the five labels."""
    two = Head("mood", "classes", ("a", "b"))
    found = context_of(two, torch.tensor([0, 0, 0, 0, 1, -1]), "sqrt", 0.1)
    torch.testing.assert_close(found.weight, torch.tensor([5 / 6, 5 / 3]))
    assert found.smoothing == 0.1
    flags = torch.tensor([[1, 0], [0, 0], [0, 0], [0, 0], [0, 0]], dtype=torch.int8)
    found = context_of(Head("units", "flags", ("AU1", "AU2")), flags, "sqrt", 0.0)
    torch.testing.assert_close(found.weight, torch.tensor([2.0, 10.0]))  # odds of 4, and never: at most 100


def test_shares_count_as_much_as_they_are():
    shares = torch.tensor([[0.5, 0.5], [1.0, 0.0], [torch.nan, torch.nan]])
    found = context_of(Head("mood", "classes", ("a", "b")), shares, "balanced", 0.0)
    torch.testing.assert_close(found.frequency, torch.tensor([0.75, 0.25]))
    torch.testing.assert_close(found.weight, torch.tensor([2 / 3, 2.0]))
