"""Where a run fails, and its tables for a paper."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skelemo.report.comparison import Estimate, compare
from skelemo.report.failures import group_figures, hardest
from skelemo.report.latex import _cell, escape, every_run, paper
from skelemo.report.report import write_report
from skelemo.runs.folder import Run, read_run
from skelemo.targets import EXPRESSION, VA, Head

SIZE = {"subjects": 5, "videos": 2, "frames": 6, "epochs": 4}


@pytest.fixture
def run(tmp_path: Path, run_folder: Callable[..., Path]) -> Run:
    return read_run(run_folder(tmp_path / "a_run & more", **SIZE))


def test_the_hardest_subject_comes_first_with_its_most_frequent_mistake(run: Run) -> None:
    test = run.windows.astype({"subject": str, "expression": str, "expression_predicted": str})
    right = (test["expression"] == test["expression_predicted"]).groupby(test["subject"]).mean().sort_values()
    by_subject, by_video = hardest(run, EXPRESSION)
    assert (by_subject.column, by_subject.of, by_video.of) == ("subject", 5, 10)
    assert [value for _, value, *_ in by_subject.rows] == pytest.approx(right.to_list())
    name, value, windows, mistake = by_subject.rows[0]
    assert value == right.min()
    assert windows == 12
    theirs = test[(test["subject"] == name) & (test["expression"] != test["expression_predicted"])]
    times = theirs.groupby(["expression", "expression_predicted"]).size()
    truth, given, count = re.fullmatch(r"(.*) predicted as (.*) \((\d+)\)", mistake).groups()
    assert times[truth, given] == times.max() == int(count)
    assert len(by_video.rows) == 8


def test_of_values_the_largest_error_comes_first(run: Run) -> None:
    test = run.windows
    error = sum((test[f"va_{name}"] - test[f"va_{name}_predicted"]).abs() for name in ("valence", "arousal")) / 2
    expected = error.groupby(test["video"].astype(str)).mean().sort_values(ascending=False)
    (_, by_video) = hardest(run, VA)
    assert [name for name, *_ in by_video.rows] == expected.index[:8].to_list()
    assert group_figures(run, VA)["windows"].sum() == 2 * len(test)


def test_unknown_subjects_are_not_a_subject(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    one = read_run(run_folder(tmp_path / "unknown", know_subjects=False, **SIZE))
    assert [found.column for found in hardest(one, EXPRESSION)] == ["video"]
    assert set(group_figures(one, EXPRESSION)["column"]) == {"video"}


def test_of_flags_the_share_that_is_right_counts_without_unlabeled_ones(run: Run) -> None:
    head = Head("au", "flags", ("AU1", "AU2"))
    columns = {
        "au_AU1": [1, 1, 0],
        "au_AU2": [0, np.nan, np.nan],
        "au_AU1_p": [0.9, 0.4, 0.2],
        "au_AU2_p": [0.6, 0.9, 0],
    }
    table = pd.DataFrame({"subject": ["ann", "ann", "bob"], "video": ["v", "v", "w"], **columns})
    found = group_figures(replace(run, predictions=table.assign(subset="test")), head)
    # ann: AU1 is right and AU2 wrong in her first window (1/2), AU1 wrong in her second (0); bob: AU1 is right
    assert found[found["column"] == "subject"].set_index("group")["value"].to_dict() == {"ann": 0.25, "bob": 1}
    assert found["windows"].tolist() == [2, 1, 2, 1]


def test_negative_values_of_a_table_have_a_minus_sign(run: Run) -> None:
    assert _cell(Estimate(-0.25, sd=0.125, of="3 seeds")) == r"$-$0.250 $\pm$ 0.125"
    assert _cell(Estimate(-0.25, -0.5, 0.125), best=-0.25) == r"\textbf{$-$0.250} [$-$0.500, 0.125]"
    assert _cell(None) == "--"


def test_a_table_for_a_paper_has_booktabs_rules_and_escaped_names(run: Run) -> None:
    (comparison,) = compare([run])
    text = every_run(comparison, EXPRESSION)
    assert [line for line in text.splitlines() if "rule" in line] == [r"\toprule", r"\midrule", r"\bottomrule"]
    assert r"a\_run \& more & " in text
    value = run.shown["expression"]["macro_f1"]
    assert f"{value['value']:.3f}" in text
    assert text.splitlines()[0].startswith(r"\begin{tabular}{lllllc")
    assert r"a\_run \& more & ann & Adam & body, face & seed 0 & " in text
    assert text.splitlines()[-3].endswith(r" & 123,000 & 247,000 & 5,430 & 5 min 22 s \\")
    assert "& Adam" in paper(comparison, EXPRESSION)
    assert escape("50% of_a {b} [c] ~^\\") == (
        r"50\% of\_a \{b\} {[}c{]} \textasciitilde{}\textasciicircum{}\textbackslash{}"
    )


def test_the_report_has_them(run: Run, tmp_path: Path) -> None:
    write_report([run.path], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "the hardest subjects" in page
    assert "Calibration error" in page
    assert (tmp_path / "out" / "comparison_1_expression.tex").exists()
    table = pd.read_csv(tmp_path / "out" / "recordings.csv")
    assert set(table["figure"]) == {"accuracy", "mean absolute error"}
    assert len(table) == 2 * (5 + 10)
