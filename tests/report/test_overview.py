"""What each experiment is, reaches and costs, in the page and in all that is written beside it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skelemo.report.comparison import compare
from skelemo.report.describe import parts_of
from skelemo.report.ensemble import fuse
from skelemo.report.overview import costs_basis, quantity, rows
from skelemo.report.report import write_report
from skelemo.runs.folder import Run, read_run, throughput_together
from skelemo.targets import EXPRESSION

Make = Callable[..., Run]


@pytest.fixture
def run(tmp_path: Path, run_folder: Callable[..., Path]) -> Make:
    def make(name: str = "", costs: dict[str, object] | None = None, **options: object) -> Run:
        size = {"subjects": 4, "videos": 2, "frames": 4, "epochs": 4}
        found = read_run(run_folder(tmp_path / (name or f"run {len(list(tmp_path.iterdir()))}"), **size | options))
        found.environment.update(costs or {})  # type: ignore[attr-defined]  # read from JSON, so a dict
        return found

    return make


def speed(rate: float, device: str = "CPU", batch: int = 64) -> dict[str, object]:
    return {"windows_per_second": rate, "batch": batch, "device": device}


def test_quantities_have_three_digits() -> None:
    values = [0, 0.5, 7.25, 123.4, 999.6, 5345.99, 999_400, 999_600, 3_998_997, 1.824e9, 2e12, None]
    texts = ["0", "0.500", "7.25", "123", "1,000", "5,350", "999,000", "1.00 M", "4.00 M", "1.82 G", "2.00 T", "–"]
    assert [quantity(value) for value in values] == texts


def test_seeds_are_summarized_above_the_runs_and_costs_are_their_means(run: Make) -> None:
    costs = [{"parameters": 1000, "flops": 2000, "throughput": speed(rate), "seconds": 10} for rate in (100, 200)]
    runs = [run(seed=seed, settings={"parts": ["face_70"]}, costs=one) for seed, one in enumerate(costs)]
    whole, *members = rows(compare(runs)[0], EXPRESSION)
    assert (whole.name, whole.member, [row.member for row in members]) == ("mean of 2 runs", False, [True, True])
    assert list(whole.facts.values()) == ["ann", "Adam", "face", "seeds 0, 1"]
    assert list(whole.costs.values()) == ["1,000", "2,000", "150", "10 s"]
    values = [one.shown["expression"]["uar"]["value"] for one in runs]
    assert whole.figures["uar"].value == pytest.approx(np.mean(values))
    assert [row.figures["uar"].value for row in members] == values


def test_seeds_and_folds_of_one_run_are_counted(run: Make) -> None:
    several = run(folds=3, settings={"seeds": 4}, costs={"flops": 1})
    (row,) = rows(compare([several])[0], EXPRESSION)
    assert row.facts["Trainings"] == "4 seeds, 3 folds"
    assert "With several seeds, this is the cost of one network" in costs_basis(compare([several])[0])
    assert "several seeds" not in costs_basis(compare([run()])[0])
    several.environment["evaluation"] = {"runs": [], "notes": []}  # type: ignore[index]  # read from JSON, so a dict
    (row,) = rows(compare([several])[0], EXPRESSION)
    assert row.facts["Trainings"] == "–"


def test_folds_are_summarized_beside_the_figure_of_all(run: Make) -> None:
    (row,) = rows(compare([run(folds=3)])[0], EXPRESSION)
    folds = row.figures["macro_f1"].folds
    each = [one["macro_f1"] for one in row.runs[0].shown["expression"]["folds"].values()]
    assert folds == pytest.approx((np.mean(each), np.std(each, ddof=1)))
    assert row.figures["macro_f1"].further == f"folds {np.mean(each):.3f} ± {np.std(each, ddof=1):.3f}"
    assert row.facts["Trainings"] == "seed 0, 3 folds"


def test_a_baseline_has_no_parameters_and_a_speed(run: Make) -> None:
    one = run(arch="svm", optimizer=None, costs={"throughput": speed(31.4), "seconds": 2})
    for name in ("parameters", "flops"):
        del one.environment[name]  # type: ignore[attr-defined]
    (row,) = rows(compare([one])[0], EXPRESSION)
    assert list(row.costs.values()) == ["–", "–", "31.4", "2 s"]


def test_a_cost_that_one_run_lacks_has_no_mean(run: Make) -> None:
    runs = [
        run(seed=0, costs={"parameters": 1000, "flops": 10}),
        run(seed=1, costs={"parameters": 3000, "flops": None}),
    ]
    whole, *_ = rows(compare(runs)[0], EXPRESSION)
    assert (whole.costs["Parameters"], whole.costs["FLOPs"]) == ("2,000", "–")
    fused = fuse(runs)
    assert (fused.environment["parameters"], fused.environment["flops"]) == (4000, None)


def test_different_devices_are_noted(run: Make) -> None:
    runs = [run(costs={"throughput": speed(9)}), run(arch="tcn", costs={"throughput": speed(9, "GPU", 256)})]
    text = costs_basis(compare(runs)[0])
    assert "in batches of 64 to 256, on CPU and GPU: not comparable across devices." in text
    assert costs_basis(compare(runs[:1])[0]).endswith("in batches of 64, on CPU.")


def test_throughput_of_several_networks_adds_their_times(run: Make) -> None:
    assert throughput_together([speed(100), speed(300, batch=8)]) == speed(pytest.approx(75))
    assert throughput_together([speed(100), {}]) == throughput_together([speed(1), speed(1, "GPU")]) == {}
    fused = fuse([run(costs={"throughput": speed(100)}), run(seed=1, costs={"throughput": speed(300)})])
    assert fused.environment["throughput"]["windows_per_second"] == pytest.approx(75)
    assert fused.environment["flops"] == 2 * 246_800


def test_parts_have_kinds(run: Make) -> None:
    assert parts_of(run()) == "body, face"
    one = run(settings={"parts": ["hand_left_21", "hand_right_21", "body_25"]})
    assert parts_of(one) == "left hand, right hand, body"
    one.choices["folds"] = [{"parts": parts} for parts in (["face_70"], ["body_25", "face_70"], ["face_70"])]  # type: ignore[index]
    assert parts_of(one) == "face or body, face"


def test_every_form_of_the_report_has_the_overview(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    size = {"subjects": 4, "videos": 2, "frames": 4, "epochs": 4}
    runs = [run_folder(tmp_path / name, seed=seed, **size) for seed, name in enumerate(("a", "b"))]
    write_report(runs, tmp_path / "out", formats=[])
    page, markdown = ((tmp_path / "out" / f"report.{kind}").read_text("utf-8") for kind in ("html", "md"))
    for text in (page, markdown):
        for told in ("mean of 2 runs", "seeds 0, 1", "247,000", "5,430", "on Some CPU, 2 threads"):
            assert told in text
    assert "| mean of 2 runs | ann | Adam | body, face | seeds 0, 1 | 0." in markdown
    table = pd.read_csv(tmp_path / "out" / "overview.csv").set_index(["head", "run"])
    assert table.loc[("va", "a"), ["flops", "windows_per_second", "device"]].tolist() == [
        246_800, 5432.1, "Some CPU, 2 threads"]  # fmt: skip
    scores = [read_run(one).shown["va"]["ccc_mean"]["value"] for one in runs]
    mean = table.loc[("va", "mean of 2 runs")]
    assert (mean["ccc_mean"], mean["ccc_mean_sd"]) == pytest.approx((np.mean(scores), np.std(scores, ddof=1)))


def test_many_classes_stand_in_rows_so_that_the_table_fits_a_page(
    tmp_path: Path, run_folder: Callable[..., Path]
) -> None:
    size = {"subjects": 4, "videos": 2, "frames": 4, "epochs": 4, "heads": ["expression"]}
    for number, first in ((8, "Run"), (9, "Class")):
        classes = [f"class {index}" for index in range(number)]
        runs = [run_folder(tmp_path / f"{name}{number}", arch=name, classes=classes, **size) for name in ("a", "b")]
        write_report(runs, tmp_path / "out", formats=[])
        text = (tmp_path / "out" / "report.html").read_text("utf-8")
        table = text[text.index("F1 of each class</h3>") :].partition("</table>")[0]
        assert f'<th scope="col">{first}</th>' in table
        value = read_run(runs[1]).shown["expression"]["per_class"]["class 3"]["f1"]
        assert f">{value:.3f}</td>" in table
        assert table.count("<td") == 2 * number
