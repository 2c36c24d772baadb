"""Two runs on the same windows: how far their difference may be chance."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as reference

from skelemo.evaluation.bootstrap import RESAMPLES
from skelemo.evaluation.paired import paired_difference
from skelemo.evaluation.scores import score
from skelemo.report.comparison import compare
from skelemo.report.describe import pairs_basis
from skelemo.report.paired import compare_pairs, holm
from skelemo.report.report import write_report
from skelemo.runs.folder import read_json, read_run, write_json
from skelemo.runs.predictions import write_predictions
from skelemo.targets import EXPRESSION, VA, Head

SIZE = {"subjects": 12, "videos": 1, "frames": 4, "epochs": 6}


@pytest.fixture
def runs(tmp_path: Path, run_folder: Callable[..., Path]) -> list[Path]:
    """A good run, one like it, and a bad one."""
    made = {"good": (1.5, 0), "like it": (1.5, 1), "bad": (0.2, 2)}
    return [run_folder(tmp_path / name, arch=name, skill=s, seed=seed, **SIZE) for name, (s, seed) in made.items()]


def test_a_difference_has_the_interval_of_a_bootstrap_of_both_runs_together(runs: list[Path]) -> None:
    one, other = (read_run(path).windows for path in (runs[0], runs[2]))
    found = paired_difference(one, other, EXPRESSION, "macro_f1")
    truth, guesses = (
        one["expression"].to_numpy(object),
        [t["expression_predicted"].to_numpy(object) for t in (one, other)],
    )

    def f1(guess: np.ndarray, rows: np.ndarray) -> float:
        shown = sorted({*truth[rows]})  # a class that the resample lacks is left out
        scores = reference.f1_score(truth[rows], guess[rows], average=None, labels=shown)
        return float(scores.sum() / (len(shown) + len({*guess} - {*truth})))

    everything = np.arange(len(one))
    assert found.value == pytest.approx(f1(guesses[0], everything) - f1(guesses[1], everything))
    codes = pd.factorize(one["subject"].astype(object))[0]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([np.flatnonzero(codes == group) for group in rng.integers(12, size=12)])
        drawn.append(f1(guesses[0], rows) - f1(guesses[1], rows))
    assert (found.low, found.high) == pytest.approx(np.percentile(drawn, [2.5, 97.5]))
    assert found.p == pytest.approx(max(2 * np.mean(np.array(drawn) <= 0), 1 / RESAMPLES))
    assert found.groups == 12


def test_the_p_value_is_two_sided(runs: list[Path]) -> None:
    one, other = (read_run(path).windows.astype({"expression": str, "expression_predicted": str}) for path in runs[:2])
    ahead = sum(
        sign * (table["expression"] == table["expression_predicted"]).to_numpy(int)
        for sign, table in ((1, one), (-1, other))
    )
    by_person = np.bincount(pd.factorize(one["subject"].astype(object))[0], ahead)
    for first, second, sign in ((one, other, 1), (other, one, -1)):
        found = paired_difference(first, second, EXPRESSION, "accuracy")
        rng = np.random.default_rng(0)
        drawn = np.array([sign * by_person[rng.integers(12, size=12)].sum() for _ in range(RESAMPLES)])
        assert found.value == pytest.approx(sign * ahead.mean())
        assert found.p == pytest.approx(2 * np.mean(drawn * found.value <= 0))
        assert 0.05 < found.p < 1


def test_a_run_does_not_differ_from_itself(runs: list[Path]) -> None:
    table = read_run(runs[0]).windows
    for head, figure in ((EXPRESSION, "macro_f1"), (VA, "ccc_mean")):
        same = paired_difference(table, table, head, figure)
        assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_the_best_is_compared_with_every_other_and_p_grows_with_their_number(runs: list[Path]) -> None:
    (comparison,) = compare([read_run(path) for path in runs])
    paired = compare_pairs(comparison, comparison.heads[0])
    assert paired is not None
    scores = {run.name: run.shown["expression"]["macro_f1"]["value"] for run in comparison.runs}
    assert paired.best.name == max(scores, key=lambda name: scores[name])
    behind = {run.name: difference for run, difference in paired.others}
    assert behind["bad"].value == pytest.approx(scores["bad"] - scores[paired.best.name])
    assert behind["bad"].p <= 0.01
    (close,) = behind.keys() - {"bad"}
    assert behind[close].p > 0.05


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.5, 0.6], [1, 1]),
        ([None, 0.02], [None, 0.02]),
        ([], []),
    ],
)
def test_holms_p_values(values: list[float | None], expected: list[float | None]) -> None:
    assert holm(values) == pytest.approx(expected)


def test_the_report_shows_the_importance_and_its_basis(runs: list[Path], tmp_path: Path) -> None:
    write_report(runs, tmp_path / "out")
    for name in ("report.html", "report.md"):
        text = (tmp_path / "out" / name).read_text(encoding="utf-8")
        assert "the highest" in text
        assert "resampled together, by subject (12)" in text


def test_with_too_few_groups_there_is_no_p_value(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    few = SIZE | {"subjects": 9}
    made = [
        read_run(run_folder(tmp_path / name, arch=name, skill=skill, **few)) for name, skill in (("a", 2), ("b", 0))
    ]
    paired = compare_pairs(compare(made)[0], EXPRESSION)
    assert paired is not None
    ((_, difference),) = paired.others
    assert difference.value < 0
    assert (difference.low, difference.high, difference.p) == (None, None, None)
    assert pairs_basis(paired) == "With only 9 subjects, any difference may be due to chance."


def test_clips_are_compared_by_their_mean_prediction(runs: list[Path]) -> None:
    one, other = (read_run(path).windows for path in (runs[0], runs[2]))
    found = paired_difference(one, other, EXPRESSION, "accuracy", clips=True)

    def accuracy(table: pd.DataFrame) -> float:
        clips = table.astype({"sequence": str, "expression": str}).groupby("sequence")
        names = [f"expression_p_{name}" for name in EXPRESSION.outputs]
        answer = clips[names].mean().idxmax(axis=1).str.removeprefix("expression_p_")
        return float((answer == clips["expression"].first()).mean())

    assert found.value == pytest.approx(accuracy(one) - accuracy(other))
    assert found.value != pytest.approx(paired_difference(one, other, EXPRESSION, "accuracy").value)


def test_a_run_scored_by_clip_is_not_paired_with_one_scored_by_window(runs: list[Path]) -> None:
    windows, clips = read_run(runs[0]), read_run(runs[2])
    clips.scores["test"]["expression"]["unit"] = "clip"  # type: ignore[index]  # read from JSON, so a dict
    (comparison,) = compare([windows, clips])
    assert compare_pairs(comparison, EXPRESSION) is None


def test_a_run_on_fewer_classes_is_not_paired(
    runs: list[Path], tmp_path: Path, run_folder: Callable[..., Path]
) -> None:
    """Its labels are the same, but a class that it does not know makes its task another."""
    three = ("happiness", "sadness", "neutral")
    some = [run_folder(tmp_path / f"{name}", arch=name, classes=three, **SIZE) for name in ("a", "b")]
    one, other = map(read_run, some)
    fewer = Head("expression", "classes", (*three, "contempt"))
    heads = [fewer.to_json() if head.name == "expression" else head.to_json() for head in other.heads]
    table = other.predictions.assign(expression_p_contempt=0.0)
    write_predictions(some[1] / "predictions.parquet", table, [fewer, VA])
    write_json(some[1] / "environment.json", read_json(some[1] / "environment.json") | {"heads": heads})
    write_json(some[1] / "scores.json", score(table, [fewer, VA]))
    (comparison,) = compare([one, read_run(some[1])])
    assert compare_pairs(comparison, one.head("expression")) is None
    assert compare_pairs(comparison, VA) is not None


def test_runs_on_other_windows_are_not_paired(
    runs: list[Path], tmp_path: Path, run_folder: Callable[..., Path]
) -> None:
    other = run_folder(tmp_path / "other", arch="other", **SIZE | {"frames": 5})
    (comparison,) = compare([read_run(path) for path in (runs[0], other)])
    assert compare_pairs(comparison, comparison.heads[0]) is None
