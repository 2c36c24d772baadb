import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from skelemo.evaluation.scores import score
from skelemo.report import figures
from skelemo.report.comparison import Estimate
from skelemo.report.report_figures import _bounds, run_figures
from skelemo.report.style import save, shorten, to_svg
from skelemo.runs.folder import read_run

HOSTILE = ["<script>alert(1)</script>", "$x_1$ & $y$", '"quoted"', "_hidden", "喜び", "a" * 80, "-->"]


def texts(svg: str) -> list[str]:
    return [
        "".join(element.itertext()).strip() for element in ElementTree.fromstring(svg).iter() if "text" in element.tag
    ]


@pytest.fixture
def hostile() -> Figure:
    return figures.confusion(np.arange(49).reshape(7, 7), HOSTILE)


def test_a_confusion_matrix_shows_shares_of_the_true_class_and_counts() -> None:
    figure = figures.confusion([[30, 10, 0], [5, 5, 0], [0, 0, 0]], ["a", "b", "c"])
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown == ["75", "30", "25", "10", "50", "5", "50", "5", "none of this class"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b", "c"]


@pytest.mark.parametrize("size", [1, 2, 11, 26, 40])
def test_a_confusion_matrix_of_any_size_can_be_drawn(size: int) -> None:
    matrix = np.random.default_rng(0).integers(0, 10_000, (size, size))
    svg = to_svg(figures.confusion(matrix, [f"class {i}" for i in range(size)]), "confusion", "c")
    assert len(svg) < 300_000


def test_names_are_shown_as_they_are_and_cannot_break_out(hostile: Figure) -> None:
    svg = to_svg(hostile, 'a "title" <b>', "hostile")
    shown = texts(svg)
    assert "$x_1$ & $y$" in shown
    assert "喜び" in shown
    assert "<script" not in svg
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == 'a "title" <b>'


def test_a_figure_in_a_page_loads_nothing_and_follows_its_theme(hostile: Figure) -> None:
    svg = to_svg(hostile, "title", "hostile")
    assert svg.startswith("<svg ")
    assert not re.search(r"(?:src|href)=\"(?!#)|url\((?!#)|<style|<!--|<metadata|@import", svg)
    assert "var(--ink, #1b1f24)" in svg
    assert "font-family" not in svg


def test_ids_are_the_figures_own_and_every_reference_finds_its_own() -> None:
    curve = pd.DataFrame({"fold": 1, "epoch": range(5), "loss": range(5)})
    svgs = [to_svg(figures.curves(curve, {"loss": "loss"}, "loss", {1: 2}), "t", name) for name in ("a", "b")]
    ids = [re.findall(r' id="([^"]*)"', svg) for svg in svgs]
    assert not set(ids[0]) & set(ids[1])
    for svg, own in zip(svgs, ids, strict=True):
        assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg)) == set(own)
        assert len(own) == len(set(own))


def test_the_same_figure_is_the_same_bytes(tmp_path: Path) -> None:
    made = [figures.confusion(np.eye(3, dtype=int), ["a", "b", "c"]) for _ in range(2)]
    assert to_svg(made[0], "t", "n") == to_svg(made[1], "t", "n")
    written = [save(figure, tmp_path / name, ["svg", "pdf", "png"]) for figure, name in zip(made, "ab", strict=True)]
    for one, other in zip(*written, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert [path.name for path in written[0]] == ["a.svg", "a.pdf", "a.png"]
    assert written[0][1].read_bytes().startswith(b"%PDF")


def test_drawing_does_not_change_matplotlibs_settings(hostile: Figure) -> None:
    before = dict(mpl.rcParams)
    to_svg(figures.forest([("a", 0.5, 0.4, 0.6)], "macro F1", None), "t", "n")
    assert dict(mpl.rcParams) == before


def test_bars_and_forests_stand_missing_figures() -> None:
    row = {"precision": 0.5, "recall": None, "f1": None, "support": 0}
    to_svg(figures.class_bars({"a": row, "b": row | {"f1": 0.5, "f1_low": 0.4, "f1_high": None}}), "t", "n")
    nan = float("nan")
    svg = to_svg(figures.forest([("a", 0.5, nan, nan), ("b", 0.1, 0.0, 0.2)], "UAR", ("always a", 0.14)), "t", "n")
    assert "always a" in texts(svg)


def test_a_density_of_many_windows_stays_small() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 100_000)
    svg = to_svg(figures.agreement(x, np.tanh(x + rng.normal(0, 0.4, 100_000)), "valence", -1, 1), "t", "n")
    assert len(svg) < 100_000


def test_curves_of_folds_of_unequal_length_end_their_mean_with_the_shortest() -> None:
    table = pd.concat([pd.DataFrame({"fold": k, "epoch": range(5 + k), "loss": 1.0 * k}) for k in (1, 2, 3)])
    axes = figures.curves(table, {"loss": "loss"}, "loss", {}).axes[0]
    mean = axes.get_lines()[-1]
    assert mean.get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
    assert (mean.get_ydata() == 2).all()


def test_the_dot_of_a_curve_is_at_the_selected_epoch() -> None:
    table = pd.DataFrame({"fold": 1, "epoch": range(4), "loss": [4.0, 2, 1, 3]})
    line, dot = figures.curves(table, {"loss": "loss"}, "loss", {1: 2}).axes[0].get_lines()
    assert line.get_xdata().tolist() == [1, 2, 3, 4]
    assert (dot.get_xdata(), dot.get_ydata()) == ([3], [1])


def test_seeds_have_a_line_of_one_standard_deviation_to_both_sides() -> None:
    assert _bounds(Estimate(0.5, sd=0.125, of="3 seeds")) == (0.375, 0.625)
    assert _bounds(Estimate(0.5, 0.25, 0.625)) == (0.25, 0.625)
    assert np.isnan(_bounds(Estimate(0.5))).all()


def test_long_names_keep_both_ends() -> None:
    assert shorten("a" * 24) == "a" * 24
    assert shorten("stgcnpp on joint and bone streams, seed 1", 20) == "stgcnpp on…s, seed 1"
    assert len(shorten("x" * 500, 26)) == 26


CURVES = ["r_loss", "r_validation_score"]


def test_a_run_gets_the_figures_that_it_has_data_for(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    def stems(**options: object) -> list[str]:
        run = read_run(run_folder(tmp_path / str(len(list(tmp_path.iterdir()))), subjects=2, videos=2, **options))
        return [figure.stem for figure in run_figures(run, "r")]

    everything = [
        "r_expression_confusion",
        "r_expression_classes",
        "r_expression_reliability",
        "r_va_valence",
        "r_va_arousal",
        "r_va_plane",
        "r_va_plane_errors",
        "r_va_timelines",
    ]
    assert stems() == [*everything, *CURVES]
    assert stems(heads=["expression"]) == [*everything[:3], *CURVES]
    assert stems(heads=["va"], frames=1) == [*everything[3:7], *CURVES]  # stills


def test_figures_show_what_their_captions_score(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    """Clips where clips are scored, and the mean predictions of several seeds, not the mean of their scores."""
    run = read_run(run_folder(tmp_path / "run", subjects=3, videos=4))
    scores = score(run.predictions, run.heads, clips=["expression", "va"], resamples=1)
    scores["test"]["va"] |= {"seed_mean": {"ccc_valence": {"mean": 0.111, "sd": 0.1}}, "seeds": {"0": {}, "1": {}}}
    drawn = {figure.stem: figure for figure in run_figures(replace(run, scores=scores), "r")}
    ccc = scores["test"]["va"]["ccc_valence"]["value"]
    assert drawn["r_va_valence"].caption == f"True against predicted valence, 12 clips. CCC {ccc:.3f}."
    assert len(drawn["r_va_valence"].figure.axes[0].lines[0].get_xdata()) == 12
    (steps,) = [one for one in drawn["r_expression_reliability"].figure.axes[0].patches if isinstance(one, StepPatch)]
    clips = steps.get_data().values * 12
    np.testing.assert_allclose(clips, clips.round())


def test_time_lines_show_the_longest_sequences_thinned(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    run = read_run(run_folder(tmp_path / "long", subjects=1, videos=4, frames=2000, heads=["va"]))
    (figure,) = [figure for figure in run_figures(run, "r") if figure.stem == "r_va_timelines"]
    assert len(figure.figure.axes) == 6
    times = figure.figure.axes[0].get_lines()[0].get_xdata()
    assert len(times) <= 800
    assert (times[0], times[-1]) == (0, 19_980), "from the first frame to one of the last three of 2,000"


def test_a_reliability_diagram_has_the_observed_frequency_in_each_tenth() -> None:
    """Of four predictions with 0.95 to 1 three are correct, of two with 0.55 one; 1 is in the last tenth."""
    axes = figures.reliability(
        [0.95, 0.95, 0.95, 1.0, 0.55, 0.55], [1, 1, 0, 1, 1, 0], ("predictions", "correct")
    ).axes[0]
    heights = [bar.get_height() for bar in axes.patches if hasattr(bar, "get_height")]
    assert heights == [0, 0, 0, 0, 0, 0.5, 0, 0, 0, 0.75]
    assert axes.get_ylabel() == "share correct"


def test_missing_scores_of_flags_are_not_drawn() -> None:
    figure = figures.class_bars({"AU1": {"f1": 0.5, "support": 3}})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["F1"]
