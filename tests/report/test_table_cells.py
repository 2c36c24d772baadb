"""The CSV tables of a report: every score of every run under a name of its own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from skelemo.report import overview, tables
from skelemo.report.comparison import compare
from skelemo.report.describe import (
    choices,
    data_name,
    figure_of_output,
    figures_of,
    groups_by,
    head_title,
    parts_of,
    setting_text,
)
from skelemo.report.overview import figures_by_output
from skelemo.runs.folder import Run, read_run
from skelemo.targets import AU, EXPRESSION, VA, Head

Make = Callable[..., Run]


@pytest.fixture
def run(tmp_path: Path, run_folder: Callable[..., Path]) -> Make:
    def make(name: str = "one", **options: object) -> Run:
        return read_run(
            run_folder(tmp_path / name, **{"subjects": 12, "videos": 1, "frames": 4, "epochs": 2} | options)
        )

    return make


def test_the_overview_has_scores_with_intervals_folds_and_seeds(run: Make) -> None:
    one, other = run(folds=3), run("other", heads=["va"])
    seeds = {"ccc_mean": {"mean": 0.25, "sd": 0.125}}
    other.scores["test"]["va"] |= {"seed_mean": seeds, "seeds": {"0": {}, "1": {}}}  # type: ignore[index,operator]  # JSON
    table = overview.table(compare([one, other])).set_index(["run", "head"])
    for name, head, figure in (
        ("one", "expression", "macro_f1"),
        ("one", "va", "ccc_valence"),
        ("other", "va", "rmse_mean"),
    ):
        found = getattr(one if name == "one" else other, "shown")[head][figure]  # noqa: B009
        row = table.loc[(name, head)]
        ends = ("", "_low", "_high")
        assert [row[f"{figure}{end}"] for end in ends] == [found[key] for key in ("value", "low", "high")]
    folds, mean = one.shown["va"]["fold_mean"]["ccc_mean"], other.shown["va"]["ccc_mean"]["value"]
    assert table.loc[("one", "va"), ["ccc_mean_fold_mean", "ccc_mean_fold_sd"]].tolist() == [folds["mean"], folds["sd"]]
    assert table.loc[("other", "va"), ["ccc_mean", "ccc_mean_sd", "ccc_mean_together"]].tolist() == [0.25, 0.125, mean]
    assert table.loc[("other", "va"), ["macro_f1", "ccc_mean_fold_mean"]].isna().all()
    row = table.loc[("one", "va")]
    assert row[["windows", "unit", "groups", "seed", "data"]].tolist() == [3 * 12 * 4, "window", 36, 0, "actors"]
    assert str(table["parameters"].dtype) == "Int64"
    assert row[["architecture", "optimizer", "split", "subset", "parts"]].tolist() == [
        *("ann", "Adam", "kfold:3", "test", "body, face")
    ]


def test_the_overview_has_each_of_many_flags(run: Make) -> None:
    one = run(heads=["va"])
    one.scores["test"]["au"] = {f"f1_{name}": {"value": n / 20} for n, name in enumerate(AU.outputs)}  # type: ignore[index]
    found = overview._numbers((one,), AU)
    assert [found[f"f1_{name}"] for name in AU.outputs] == [n / 20 for n in range(len(AU))]


def test_folds_and_groups_have_a_row_each(run: Make) -> None:
    one = run(folds=2)
    rows = tables.trainings([one], "fold")
    assert rows[["head", "fold"]].to_numpy().tolist() == [["expression", 1], ["expression", 2], ["va", 1], ["va", 2]]
    assert rows.loc[3, "ccc_mean"] == one.shown["va"]["folds"]["2"]["ccc_mean"]
    assert not len(tables.trainings([one], "seed"))
    scored = {"windows": 8, "unit": "window", "groups": 2, "grouped_by": "video", "note": "all are anger"}
    groups = [
        {"column": "sex", "group": g, "scores": scored | {"uar": {"value": v, "low": None}}}
        for g, v in (("f", 0.5), ("m", None))
    ]
    one.scores["test"]["expression"]["by"] = groups  # type: ignore[index]
    by = tables.by([one])
    assert by[["run", "head", "column", "group", "windows", "grouped_by"]].to_numpy().tolist() == [
        ["one", "expression", "sex", "f", 8, "video"],
        ["one", "expression", "sex", "m", 8, "video"],
    ]
    assert by["uar"].tolist()[0] == 0.5
    assert np.isnan(by["uar"].astype(float)[1])
    assert [group for group, _ in groups_by(one.shown["expression"])["sex"]] == ["f", "m"]


def test_classes_have_their_figures_and_confusions_their_names(run: Make) -> None:
    one = run(heads=["expression"])
    table = tables.per_class([one]).set_index("class")
    assert table.index.tolist() == list(EXPRESSION.outputs)
    known = {name: row["recall"] for name, row in one.shown["expression"]["per_class"].items() if row["support"]}
    assert table["recall"].dropna().to_dict() == known
    one.shown["expression"]["confusion"][3][6] = 17
    matrix = tables.confusion(one, EXPRESSION)
    assert (matrix.loc["anger", "fear"], matrix.index.name) == (17, "true \\ predicted")


def test_the_environment_is_flat_and_evaluated_runs_are_numbered(run: Make) -> None:
    one = run(heads=["va"])
    made = [{"name": name, "arch": "ann", "data": ["a", "b"], "weights_sha256": []} for name in ("x", "y")]
    one.environment["evaluation"] = {"runs": made, "notes": [], "seconds": 1.5}  # type: ignore[index]
    found = tables.environment(one)
    assert found["packages.torch"] == "2.13.0"
    assert (found["evaluation.run 2.name"], found["evaluation.run 1.data"]) == ("y", "a, b")
    assert (found["evaluation.notes"], found["evaluation.seconds"]) == ("none", "1.5")
    assert overview.table(compare([one]))["evaluates"].tolist() == ["x, y"]


def test_settings_are_text_and_those_of_the_architecture_have_their_prefix(run: Make) -> None:
    one = run(settings={"model": {"width": 8, "streams": ["joint", "bone"]}, "parts": [], "init": None})
    row = tables.settings([one]).iloc[0]
    assert row[["model.width", "model.streams", "parts", "init"]].tolist() == ["8", "joint, bone", "none", "–"]
    assert setting_text({"a": [1, 2], "b": None}) == "a=1, 2, b=–"
    assert setting_text({}) == "–"


@pytest.mark.parametrize(
    ("chosen", "layout", "folds", "text"),
    [
        (None, "body_25+face_70", [], "body, face"),
        (["auto"], "body_25+hand_21x2", [], "body, hands"),
        ("all", "body_25", [], "all"),
        (["hand_left_21", "hand_right_21"], "", [], "left hand, right hand"),
        (["auto"], "body_25+face_70", [["face_70"], ["face_70", "body_25"], ["face_70"]], "face or face, body"),
    ],
)
def test_the_parts_of_a_run_are_those_of_its_settings_or_of_its_folds(
    run: Make, chosen: object, layout: str, folds: list, text: str
) -> None:
    one = run(settings={"parts": chosen})
    one.environment["data"]["layout"] = layout
    one.choices["folds"] = [{"parts": parts} for parts in folds]  # type: ignore[index]
    assert parts_of(one) == text


@pytest.mark.parametrize(
    ("caches", "name"),
    [(["cache/a", "b/"], "a + b"), ("x/y", "y"), ([{"name": "z", "frames": 3}], "z"), ([], "actors")],
)
def test_data_are_named_by_their_folders(run: Make, caches: object, name: str) -> None:
    one = run(heads=["va"])
    one.environment["data"]["caches"] = caches
    assert data_name(one) == name


def test_heads_of_many_outputs_show_means_and_their_size() -> None:
    one, two, many = (Head("au", "flags", AU.outputs[:number]) for number in (1, 2, 12))
    assert [figure_of_output(head, "f1", "AU1") for head in (one, two)] == ["f1_mean", "f1_AU1"]
    assert list(figures_of(one)) == ["f1_mean", "flag_auc_mean"]
    assert list(figures_of(two)) == ["f1_mean", "f1_AU1", "f1_AU2", "flag_auc_mean", "flag_auc_AU1", "flag_auc_AU2"]
    assert list(figures_of(many)) == ["f1_mean", "flag_auc_mean"]
    assert figures_of(one)["f1_mean"] == "F1"
    assert figures_of(many)["f1_mean"] == "mean F1"
    assert next(iter(figures_of(EXPRESSION))) == "macro_f1", "the main one first, however many classes there are"
    assert [head_title(head) for head in (VA, many, EXPRESSION)] == [
        "valence and arousal",
        "au (12 flags)",
        "expression (7 classes)",
    ]
    whole, single = figures_by_output(two)
    assert (list(whole), list(single)) == (
        ["f1_mean", "flag_auc_mean"],
        ["f1_AU1", "f1_AU2", "flag_auc_AU1", "flag_auc_AU2"],
    )
    assert figures_by_output(EXPRESSION)[1] == {}


def test_choices_of_parts_and_calibration_are_described_with_their_errors(run: Make) -> None:
    def trial(parts: list[str], error: float, gain: float = 0.0, calibrate: str = "none") -> dict:
        return {"parts": parts, "error": error, "gain": gain, "deviation": 0.0, "calibrate": calibrate}

    one, both = run(folds=2), ["body_25", "face_70"]
    dropped = [trial(both, 0.5), trial(["face_70"], 0.25), trial(["face_70"], 0.125, 0.125, "track")]
    kept = [trial(both, 0.4), trial(both, 0.5, -0.1, "track")]
    one.choices["folds"] = [  # type: ignore[index]
        {"parts": ["face_70"], "trials": dropped, "reason": "", "calibrate": "track", "caution": ""},
        {"parts": both, "trials": kept, "reason": "no part helps", "calibrate": "none", "caution": "few subjects"},
    ]
    assert choices(one) == (
        "Dropped body_25 in 1 of 2 folds, based on a probe on the training subset: 0.250 of the labels' variance is "
        "unexplained, compared with 0.500 for all parts. All parts kept in 1 of 2 folds: no part helps. Calibrated to "
        "the person in 1 of 2 folds, based on a probe on the training subset: 0.312 of the labels' variance is "
        "unexplained with calibration, 0.325 without. Few subjects."
    )
    for fold in one.choices["folds"]:
        fold["calibrate"] = "track"
    assert "Calibrated to the person, based on a probe" in choices(one)
    for fold in one.choices["folds"]:
        fold["calibrate"] = "none"
    assert "Not calibrated to the person, based on a probe" in choices(one)
