"""Two values on a plane: errors by region, worked out by hand, and the videos that are drawn over time."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from skelemo.cli import main
from skelemo.evaluation.scores import score
from skelemo.report.regions import densities, error_map, pairs, region_errors, region_table
from skelemo.report.report import write_report
from skelemo.report.report_figures import run_figures
from skelemo.runs.folder import read_json, read_run, write_json
from skelemo.runs.predictions import write_predictions
from skelemo.targets import VA, Head

SIZE = {"subjects": 4, "videos": 2, "frames": 20, "epochs": 3}


def test_errors_by_region_are_those_worked_out_by_hand() -> None:
    """Two windows in the middle, off by 3-4-5 tenths and not at all; one far along each of two directions."""
    truth = [[0, 0], [0.1, -0.2], [0.9, 0.05], [-0.6, 0.6]]
    predicted = [[0.3, 0.4], [0.1, -0.2], [0.4, 0.05], [-0.6, -0.4]]
    table = region_errors(truth, predicted, VA).set_index("region")
    assert len(table) == 17
    assert table["windows"].to_dict() == dict.fromkeys(table.index, 0) | {
        "middle": 2, "far, +valence": 1, "far, −valence +arousal": 1}  # fmt: skip
    names = ["error", "bias_valence", "bias_arousal", "at_valence", "at_arousal"]
    assert table.loc["middle", names].tolist() == pytest.approx([0.25, 0.15, 0.2, 0.05, -0.1])
    assert table.loc["far, +valence", names].tolist() == pytest.approx([0.5, -0.5, 0, 0.9, 0.05])
    assert table.loc["far, −valence +arousal", names].tolist() == pytest.approx([1, 0, -1, -0.6, 0.6])
    assert table.loc["near, +arousal", names].isna().all()


def test_windows_with_one_of_two_values_have_no_place(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    run = read_run(run_folder(tmp_path / "half", **SIZE))
    run.predictions.loc[run.predictions.index[::4], "va_arousal"] = np.nan
    truth, predicted = pairs(run, VA)
    assert len(truth) == len(predicted) == run.windows["va_arousal"].notna().sum() < len(run.windows)
    assert np.isfinite(truth).all()


def test_a_value_is_drawn_over_time_where_the_other_is_unlabeled(
    tmp_path: Path, run_folder: Callable[..., Path]
) -> None:
    run = read_run(run_folder(tmp_path / "half", heads=["va"], **SIZE))
    run.predictions["va_arousal"] = np.float32(np.nan)
    drawn = {figure.stem: figure.figure for figure in run_figures(run, "r")}
    assert not {"r_va_arousal", "r_va_plane", "r_va_plane_errors"} & {*drawn}
    valence, arousal, *_ = drawn["r_va_timelines"].axes
    assert np.isfinite(valence.lines[0].get_ydata()).all()
    assert np.isnan(arousal.lines[0].get_ydata()).all()


def test_regions_lie_in_the_range_of_the_head() -> None:
    head = Head("mood", "values", ("pleasure", "energy"), 1, 9)
    table = region_errors([[5, 5], [5, 1.5], [6.8, 5]], [[5, 5], [5, 2.5], [6.8, 5]], head).set_index("region")
    assert table.loc[table["windows"] > 0, "error"].to_dict() == {"middle": 0, "near, +pleasure": 0, "far, −energy": 1}


def test_a_map_has_numbers_where_there_are_ten_windows_and_arrows_to_the_mean_prediction() -> None:
    truth = np.array([[0.0, 0.0]] * 10 + [[0.9, 0.0]] * 9)
    above = truth + np.array([0.0, 0.5])
    shades, arrows = error_map(truth, above, VA).axes
    assert [text.get_text() for text in shades.texts] == ["0.50", "10"]
    assert [(text.xy, text.xyann) for text in arrows.texts] == [((0.0, 0.5), (0.0, 0.0))]
    exact, none = error_map(truth, truth, VA).axes
    assert exact.texts[0].get_text() == "0.00"
    assert not none.texts
    left, right = densities(truth, above, VA).axes
    assert [line.get_xydata().tolist() for line in right.lines if len(line.get_xydata()) == 19] == [above.tolist()]
    assert left.get_title(loc="left") == "true"


def test_runs_of_other_heads_have_no_regions(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    run = read_run(run_folder(tmp_path / "run", heads=["expression"], **SIZE))
    assert region_table([run]).empty


@pytest.fixture
def run(tmp_path: Path, run_folder: Callable[..., Path]) -> Path:
    return run_folder(tmp_path / "run", **SIZE)


def test_chosen_videos_are_drawn_in_their_order(run: Path, tmp_path: Path) -> None:
    chosen = ["f1/tes subject 02 take 1", "f1/tes subject 00 take 0"]
    figure = next(one for one in run_figures(read_run(run), "r", chosen) if one.stem == "r_va_timelines")
    titles = [axes.get_title(loc="left") for axes in figure.figure.axes]
    assert [title for title in titles if title] == chosen
    assert figure.caption == "Valence and arousal over time, in the chosen videos."
    table = read_run(run).windows
    rows = table[table["video"].astype(str) == chosen[0]].sort_values("frame")
    true, given = (line.get_ydata() for line in figure.figure.axes[0].lines)
    np.testing.assert_allclose(true, rows["va_valence"])
    np.testing.assert_allclose(given, rows["va_valence_predicted"])
    out = tmp_path / "out"
    found = CliRunner().invoke(main, ["report", str(run), "--video", chosen[0], "--out", str(out)])
    assert found.exit_code == 0, found.output
    assert "in the chosen video." in (out / "report.html").read_text("utf-8")
    regions = pd.read_csv(out / "regions.csv")
    assert regions["windows"].sum() == len(table)


def test_an_unknown_video_is_a_one_line_error(run: Path, tmp_path: Path) -> None:
    for video, told in (
        ("f1/tes subject 02 take 7", "no run was scored on it; choose from f1/tes subject 02 take"),
        ("f1/val subject 02 take 1", r"is not in the shown subset of any run \(test\)"),
    ):
        with pytest.raises(Exception, match=told):
            write_report([run], tmp_path / "out", videos=[video])
    assert not (tmp_path / "out" / "report.html").exists()


def test_outputs_of_any_name_have_figures_of_their_own(run: Path, tmp_path: Path) -> None:
    """One output has a slash in its name, the other is called as a figure of both is."""
    head = Head("va", "values", ("../up/down", "plane"), -1, 1)
    table = read_run(run).predictions
    names = {f"va_{old}{end}": f"va_{new}{end}" for old, new in zip(VA.outputs, head.outputs, strict=True)
             for end in ("", "_predicted")}  # fmt: skip
    table = table.rename(columns=names)
    write_predictions(run / "predictions.parquet", table, [head])
    write_json(run / "environment.json", read_json(run / "environment.json") | {"heads": [head.to_json()]})
    write_json(run / "scores.json", score(table, [head]))
    write_report([run], tmp_path / "out")
    figures = {path.stem for path in (tmp_path / "out" / "figures").iterdir()}
    assert {"run_va_.._up_down", "run_va_plane", "run_va_plane~2", "run_va_plane_errors"} <= figures
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    linked = [unquote(name) for name in re.findall(r'href="(figures/[^"]+)"', page)]
    assert linked
    assert all((tmp_path / "out" / name).is_file() for name in linked)
