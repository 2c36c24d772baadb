import numpy as np
import torch
from torch.nn import functional

from skelemo.evaluation import metrics
from skelemo.training.losses import batch_ccc, class_weights, cross_entropy, valence_arousal


def test_unlabelled_windows_count_in_no_loss():
    generator = torch.Generator().manual_seed(0)
    logits, predicted = torch.randn(6, 3, generator=generator), torch.randn(6, 2, generator=generator)
    expression = torch.tensor([0, -1, 2, 1, -1, 0])
    va = torch.rand(6, 2, generator=generator)
    va[[0, 3]] = torch.nan
    kept = [0, 2, 3, 5]
    torch.testing.assert_close(
        cross_entropy(logits, expression), functional.cross_entropy(logits[kept], expression[kept])
    )
    seen = [1, 2, 4, 5]
    torch.testing.assert_close(valence_arousal(predicted, va, "mse"), ((predicted[seen] - va[seen]) ** 2).mean())


def test_a_batch_without_any_label_has_loss_zero_and_gradients_of_zero():
    predicted = torch.randn(4, 2, requires_grad=True)
    valence_arousal(predicted, torch.full((4, 2), torch.nan), "ccc").backward()
    assert predicted.grad is not None
    assert predicted.grad.abs().sum() == 0


def test_the_ccc_of_the_loss_is_the_ccc_of_the_scores():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(50, 2)), generator.normal(size=(50, 2))
    found = batch_ccc(torch.as_tensor(x), torch.as_tensor(y)).numpy()
    np.testing.assert_allclose(found, [metrics.ccc(x[:, i], y[:, i]) for i in range(2)], rtol=1e-6)


def test_constant_predictions_give_a_finite_ccc_loss():
    assert valence_arousal(torch.zeros(5, 2), torch.zeros(5, 2), "ccc") == 1


def test_balanced_weights_give_every_class_the_same_total():
    labels = torch.tensor([0] * 6 + [1] * 3 + [2] + [-1] * 5)
    weights = class_weights(labels, 4, "balanced")
    assert weights is not None
    counts = torch.tensor([6.0, 3.0, 1.0])
    torch.testing.assert_close(weights[:3] * counts, torch.full((3,), 10 / 3))
    assert weights[3] == 0
    assert class_weights(labels, 4, "none") is None
