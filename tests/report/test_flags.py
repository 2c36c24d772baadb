"""A run of flags in the report: each flag's figures, worked out by hand, and their reliability."""

from collections.abc import Callable
from pathlib import Path

import pytest

from skelemo.evaluation.scores import score
from skelemo.report.report import write_report
from skelemo.report.report_figures import run_figures
from skelemo.runs.folder import read_json, read_run, write_json
from skelemo.runs.predictions import output_columns, truth_columns, write_predictions
from skelemo.targets import Head

UNITS = Head("au", "flags", ("AU1", "AU2"))


@pytest.fixture
def run(tmp_path: Path, run_folder: Callable[..., Path]) -> Path:
    """Of AU1 half is found; AU2 is there in one window of five, found always, and seen once more where it is not."""
    folder = run_folder(tmp_path / "run", heads=["va"], subjects=12, videos=1, frames=10, epochs=2)
    table = read_run(folder).predictions.drop(columns=["va_valence", "va_arousal"])
    place = table["frame"] // 10
    for column, values in zip(truth_columns(UNITS), (place < 4, place % 5 == 0), strict=True):
        table[column] = values.astype("int8")
    for column, values in zip(output_columns(UNITS), (place < 2, (place % 5 == 0) | (place == 7)), strict=True):
        table[column] = 0.15 + 0.8 * values
    write_predictions(folder / "predictions.parquet", table, [UNITS])
    write_json(folder / "environment.json", read_json(folder / "environment.json") | {"heads": [UNITS.to_json()]})
    write_json(folder / "scores.json", score(table, [UNITS]))
    return folder


def test_each_flag_has_its_figures_with_intervals(run: Path, tmp_path: Path) -> None:
    write_report([run], tmp_path / "out", formats=[])
    markdown = (tmp_path / "out" / "report.md").read_text("utf-8")
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    # F1 of AU1: 2 hits, 2 missed; of AU2: 2 hits, 1 false. AUC: .5 (found) + .5 * .5 (tied); all but a tie of 1 in 8.
    for flag, f1, auc, with_it in (("AU1", 2 * 2 / (2 * 2 + 2), 0.75, 48), ("AU2", 4 / 5, 1 - 1 / 8 / 2, 24)):
        row = next(line for line in markdown.splitlines() if line.startswith(f"| {flag} |"))
        assert row == f"| {flag} | {f1:.3f} ({f1:.3f} to {f1:.3f}) | {auc:.3f} ({auc:.3f} to {auc:.3f}) | {with_it} |"
        cells = page[page.index(f'<th scope="row">{flag}</th>') :].partition("</tr>")[0]
        assert f"{f1:.3f}</span>" in cells
        assert f"{auc:.3f} to {auc:.3f}" in cells


def test_flags_are_reliable_as_their_probabilities_say(run: Path) -> None:
    """Of windows with .95: 24 of AU1 and 24 of AU2 present, 12 not; with .15: 24 of 180 present."""
    found = {figure.stem: figure for figure in run_figures(read_run(run), "r")}
    bars = [bar.get_height() for bar in found["r_au_reliability"].figure.axes[0].patches if hasattr(bar, "get_height")]
    assert bars[1] == pytest.approx(24 / 180)
    assert bars[9] == pytest.approx(48 / 60)
    error = (180 * abs(0.15 - 24 / 180) + 60 * abs(0.95 - 0.8)) / 240
    assert found["r_au_reliability"].caption.endswith(f"Calibration error {error:.3f}.")
