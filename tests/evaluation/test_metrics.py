import math

import numpy as np
import pytest
import sklearn.metrics as reference
import torch
import torchmetrics.functional as tm
from numpy.typing import ArrayLike

from skelemo.evaluation import metrics


def ccc(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Of two series."""
    return float(metrics.ccc_of_sums(metrics.sums(truth, predicted, np.zeros(len(np.asarray(truth)), int), 1))[0])


def rmse(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Of two series."""
    return float(metrics.rmse_of_sums(metrics.sums(truth, predicted, np.zeros(len(np.asarray(truth)), int), 1))[0])


@pytest.fixture(params=range(6))
def labels(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction over seven classes; some cases lack classes in the truth, in the prediction or in both."""
    rng = np.random.default_rng(request.param)
    seen = [7, 7, 5, 3, 2, 1][request.param]
    truth = rng.integers(0, seen, 200)
    guess = np.where(rng.random(200) < 0.5, truth, rng.integers(0, 7 if request.param % 2 else seen, 200))
    return truth, guess


@pytest.mark.filterwarnings("ignore")
def test_class_metrics_are_sklearns_over_the_classes_that_appear(
    labels: tuple[np.ndarray, np.ndarray],
) -> None:
    truth, guess = labels
    matrix = metrics.confusion(truth, guess, 7)
    present, seen = np.unique(truth), np.unique([truth, guess])
    assert (matrix == reference.confusion_matrix(truth, guess, labels=range(7))).all()
    assert metrics.accuracy(matrix) == pytest.approx(reference.accuracy_score(truth, guess))
    assert metrics.uar(matrix) == pytest.approx(reference.balanced_accuracy_score(truth, guess))
    assert metrics.macro_f1(matrix) == pytest.approx(
        reference.f1_score(truth, guess, labels=seen, average="macro", zero_division=0)
    )
    precision, recall, f1, support = reference.precision_recall_fscore_support(
        truth, guess, labels=present, zero_division=0
    )
    table = metrics.per_class(matrix)
    for mine, theirs in (("precision", precision), ("recall", recall), ("f1", f1), ("support", support)):
        assert table[mine][present] == pytest.approx(theirs)


def test_class_metrics_are_torchmetrics_where_every_class_occurs() -> None:
    rng = np.random.default_rng(0)
    truth, guess = rng.integers(0, 7, 500), rng.integers(0, 7, 500)
    matrix = metrics.confusion(truth, guess, 7)
    t, g = torch.tensor(truth), torch.tensor(guess)
    options = {"task": "multiclass", "num_classes": 7}
    assert metrics.macro_f1(matrix) == pytest.approx(float(tm.f1_score(g, t, average="macro", **options)), abs=1e-6)
    assert metrics.uar(matrix) == pytest.approx(float(tm.recall(g, t, average="macro", **options)), abs=1e-6)
    assert metrics.accuracy(matrix) == pytest.approx(float(tm.accuracy(g, t, average="micro", **options)), abs=1e-6)


def test_class_metrics_by_hand() -> None:
    matrix = [[3, 1, 0], [1, 1, 0], [0, 2, 0]]  # the third class occurs twice and is never predicted
    assert metrics.accuracy(matrix) == 4 / 8
    assert metrics.uar(matrix) == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)
    assert metrics.macro_f1(matrix) == pytest.approx((6 / 8 + 2 / 6 + 0) / 3)
    assert metrics.per_class(matrix)["precision"].tolist() == [3 / 4, 1 / 4, 0]


def test_a_class_that_never_occurs_is_left_out_of_the_means() -> None:
    matrix = [[3, 1, 0], [0, 4, 0], [0, 0, 0]]
    assert metrics.uar(matrix) == pytest.approx((3 / 4 + 1) / 2)
    table = metrics.per_class(matrix)
    assert [math.isnan(table[name][2]) for name in ("precision", "recall", "f1")] == [True, True, True]
    claimed = metrics.per_class([[3, 1, 1], [0, 4, 0], [0, 0, 0]])
    assert claimed["precision"][2] == 0
    assert claimed["f1"][2] == 0
    assert math.isnan(claimed["recall"][2])


def test_many_confusion_matrices_are_scored_at_once() -> None:
    matrices = np.random.default_rng(0).integers(0, 9, (5, 4, 3, 3))
    for metric in (metrics.accuracy, metrics.uar, metrics.macro_f1):
        assert metric(matrices).shape == (5, 4)
        assert metric(matrices)[2, 1] == metric(matrices[2, 1])


def test_no_windows_give_no_figure() -> None:
    empty = metrics.confusion([], [], 7)
    assert empty.shape == (7, 7)
    assert all(math.isnan(metric(empty)) for metric in (metrics.accuracy, metrics.uar, metrics.macro_f1))
    totals = metrics.sums([], [], np.zeros(0, int), 1)
    assert math.isnan(metrics.ccc_of_sums(totals)[0])
    assert math.isnan(metrics.rmse_of_sums(totals)[0])


@pytest.mark.parametrize(
    ("truth", "predicted"),
    [([0, 7], [0, 0]), ([0, -1], [0, 0]), ([0], [0, 1]), ([0.0], [0.0]), ([[0]], [[0]])],
)
def test_confusion_refuses_what_are_no_class_numbers(truth: list, predicted: list) -> None:
    with pytest.raises(ValueError, match=r"class|length"):
        metrics.confusion(truth, predicted, 7)


def test_ccc_is_lins_with_population_variances() -> None:
    x, y = [3, -0.5, 2, 7], [2.5, 0.0, 2, 8]  # torchmetrics' example: 0.9777 with n - 1, 0.97679 with n
    assert ccc(x, y) == pytest.approx(0.97679, abs=5e-6)
    by_hand = 2 * np.cov(x, y, ddof=0)[0, 1] / (np.var(x) + np.var(y) + (np.mean(x) - np.mean(y)) ** 2)
    assert ccc(x, y) == pytest.approx(by_hand, abs=1e-14)


def test_ccc_nears_torchmetrics_when_n_is_large() -> None:
    x = np.random.default_rng(0).normal(0.2, 0.4, 100_000)
    y = 0.6 * x + np.random.default_rng(1).normal(0.1, 0.2, 100_000)
    theirs = tm.concordance_corrcoef(torch.tensor(y), torch.tensor(x))
    assert ccc(x, y) == pytest.approx(float(theirs), abs=1e-5)
    assert rmse(x, y) == pytest.approx(reference.root_mean_squared_error(x, y), abs=1e-12)


def test_ccc_of_a_perfect_prediction_is_one_wherever_its_mean_lies() -> None:
    x = np.linspace(-1, 1, 11) * 0.3 + 0.6
    assert ccc(x, x) == pytest.approx(1)
    assert ccc(x, 1.2 - x) == pytest.approx(-1)  # mirrored about the mean
    assert ccc(x, x - 0.4) < 0.5


@pytest.mark.parametrize("constant", [0.0, 0.1, -1.0, 1e-3])
def test_constant_input_agrees_with_nothing(constant: float) -> None:
    same, varied = np.full(1000, constant), np.linspace(-1, 1, 1000)
    for x, y in ((same, varied), (varied, same), (same, same)):
        for center in (0.0, float(x.mean())):
            assert metrics.ccc_of_sums(metrics.sums(x, y, np.zeros(1000, int), 1, center))[0] == 0


def test_one_window_has_no_spread_to_agree_in() -> None:
    assert ccc([0.3], [0.3]) == 0
    assert rmse([0.3], [0.1]) == pytest.approx(0.2)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_prediction_that_is_no_number_is_an_error(bad: float) -> None:
    for metric in (ccc, rmse):
        with pytest.raises(ValueError, match="predictions: 1 values are not finite"):
            metric([0.1, 0.2], [0.1, bad])


def test_sums_of_groups_add_up_to_the_figures_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 5000)
    y, groups = np.tanh(x + rng.normal(0, 0.3, 5000)), rng.integers(0, 40, 5000)
    totals = metrics.sums(x, y, groups, 41, center=0.25)  # the last group is empty
    by_hand = 2 * np.cov(x, y, ddof=0)[0, 1] / (np.var(x) + np.var(y) + (np.mean(x) - np.mean(y)) ** 2)
    assert metrics.ccc_of_sums(totals.sum(0)) == pytest.approx(by_hand, abs=1e-13)
    assert metrics.rmse_of_sums(totals.sum(0)) == pytest.approx(np.sqrt(np.mean((x - y) ** 2)), abs=1e-13)
    one = groups == 3
    assert metrics.ccc_of_sums(totals)[3] == pytest.approx(ccc(x[one], y[one]), abs=1e-13)
    assert math.isnan(metrics.ccc_of_sums(totals)[40])
