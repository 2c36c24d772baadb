"""What figures, model cards and tables of groups show, from a few windows reckoned by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch, Wedge

from skelemo.errors import ConfigError
from skelemo.evaluation.scores import score
from skelemo.report import figures
from skelemo.report.card import require_own, run_card, write_card
from skelemo.report.comparison import Estimate
from skelemo.report.failures import hardest
from skelemo.report.regions import error_map, has_plane, region_errors
from skelemo.report.report_figures import _longest, _of_videos, _spread_meaning, run_figures
from skelemo.runs.folder import Run, write_json
from skelemo.runs.predictions import prediction_table
from skelemo.targets import VA, Head

MOOD = Head("mood", "classes", ("glad", "sad"))
FEEL = Head("feel", "values", ("pleasure", "energy"), 1, 9)
AU = Head("au", "flags", ("AU1", "AU2"))


def a_run(head: Head, labels: Any, outputs: Any, **windows: Any) -> Run:
    """A run of one head on windows of the test subset, scored."""
    size = len(labels)
    known = {"fold": 1, "subset": "test", "sequence": [f"s{n}" for n in range(size)], "video": "v", "subject": ""}
    known |= {"frame": np.arange(size)} | windows
    table = prediction_table(known, [head], {head.name: np.array(labels)}, {head.name: np.array(outputs, np.float32)})
    scores = score(table, [head], resamples=10)
    metrics = pd.DataFrame(columns=["fold", "epoch"])
    return Run(Path("mine"), {}, {"heads": [head.to_json()]}, {}, metrics, table, scores, "mine")


def segments(figure: Figure) -> list[list[list[float]]]:
    """Ends of the horizontal lines of intervals."""
    lines = [one for one in figure.axes[0].collections if isinstance(one, LineCollection)]
    return [segment.tolist() for one in lines for segment in one.get_segments()]


def markers(figure: Figure) -> dict[str, list[float]]:
    return {str(line.get_label()): np.asarray(line.get_xdata()).tolist() for line in figure.axes[0].lines}


def test_gray_steps_of_a_reliability_diagram_are_shares_of_all_predictions() -> None:
    """0.0 is in the first tenth, 0.29 in the third, 1.0 in the last."""
    figure = figures.reliability([0.0, 0.29, 0.95, 1.0], [0, 1, 1, 1], ("flags", "present"))
    (steps,) = [patch for patch in figure.axes[0].patches if isinstance(patch, StepPatch)]
    assert steps.get_data().values.tolist() == [0.25, 0, 0.25, 0, 0, 0, 0, 0, 0, 0.5]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["share of flags", "calibrated", "present"]


def test_reliability_of_a_run_leaves_out_windows_without_a_label() -> None:
    run = a_run(MOOD, [0, 0, 1, -1, -1], [[0.95, 0.05], [0.05, 0.95], [0.25, 0.75], [0.55, 0.45], [0.95, 0.05]])
    (figure,) = [one.figure for one in run_figures(run, "r") if one.stem == "r_mood_reliability"]
    bars = [bar.get_height() for bar in figure.axes[0].patches if hasattr(bar, "get_height")]
    assert bars == [0, 0, 0, 0, 0, 0, 0, 1, 0, 0.5]
    (steps,) = [patch for patch in figure.axes[0].patches if isinstance(patch, StepPatch)]
    assert steps.get_data().values[[7, 9]].tolist() == pytest.approx([1 / 3, 2 / 3])


def test_time_lines_have_a_row_for_each_sequence_and_a_column_for_each_value() -> None:
    one = pd.DataFrame({"frame": [0, 5], "true pleasure": [1, 2], "predicted pleasure": [3, 4],
                        "true energy": [5, 6], "predicted energy": [7, 8]})  # fmt: skip
    panels = figures.timelines({"first": one, "second": one + 10}, FEEL.outputs, 1, 9).axes
    drawn = [[np.asarray(line.get_ydata()).tolist() for line in axes.lines] for axes in panels]
    assert drawn == [[[1, 2], [3, 4]], [[5, 6], [7, 8]], [[11, 12], [13, 14]], [[15, 16], [17, 18]]]
    assert [axes.get_title(loc="left") for axes in panels] == ["first", "", "second", ""]
    assert [axes.get_xlabel() for axes in panels] == ["", "", "frame", "frame"]
    assert [axes.get_ylabel() for axes in panels] == ["pleasure", "energy"] * 2
    assert panels[0].get_yticks().tolist() == [1, 5, 9]
    assert panels[0].get_ylim() == pytest.approx((0.8, 9.2))


def windows_of(**sizes: int) -> pd.DataFrame:
    """Windows by ``fold_sequence``, each sequence a video of its own, in descending frames."""
    pieces = [
        pd.DataFrame({"fold": int(name[1]), "sequence": name[3:], "video": name[3:], "frame": np.arange(size)[::-1]})
        for name, size in sizes.items()
    ]
    return pd.concat(pieces, ignore_index=True)


def test_the_longest_sequences_of_at_least_eight_windows_are_drawn_once_each() -> None:
    table = windows_of(f1_c=9, f1_b=9, f1_short=7, f1_d=12, f2_d=11, f1_a=8)
    found = _longest(table)
    assert {name: (len(rows), rows["fold"].iloc[0]) for name, rows in found.items()} == {
        "d": (12, 1), "b": (9, 1), "c": (9, 1)}  # fmt: skip
    assert found["b"]["frame"].tolist() == [*range(9)]
    assert _longest(windows_of(f1_short=7)) == {}
    assert _longest(table[:0]) == {}


def test_a_chosen_video_of_two_folds_is_drawn_for_each_however_short() -> None:
    found = _of_videos(windows_of(f1_a=2, f2_a=3, f1_b=4), ["b", "a"])
    assert {name: len(rows) for name, rows in found.items()} == {"b": 4, "a": 2, "a, fold 2": 3}
    assert found["a, fold 2"]["frame"].tolist() == [0, 1, 2]


def test_a_caption_says_what_the_lines_of_a_comparison_are() -> None:
    interval, seeds, bare = Estimate(0.5, 0.25, 0.75), Estimate(0.5, sd=0.1, of="3 seeds"), Estimate(0.5)
    assert _spread_meaning([interval, bare]) == "; lines are 95 % confidence intervals"
    assert _spread_meaning([seeds, bare]) == "; lines are ± one standard deviation"
    assert _spread_meaning([seeds, interval]).endswith("intervals, or ± one standard deviation for several seeds")
    assert _spread_meaning([bare]) == ""


def test_a_classs_marks_are_its_own_figures_and_its_line_the_interval_of_f1() -> None:
    row = {"f1": 0.5, "f1_low": 0.375, "f1_high": 0.625, "precision": 0.75, "recall": 0.25}
    figure = figures.class_bars({"glad": row, "sad": {"f1": 0.125, "precision": 1.0, "recall": 0.0625}})
    assert markers(figure) == {
        "F1 and 95 % interval": [0.5, 0.125], "precision": [0.75, 1.0], "recall": [0.25, 0.0625]}  # fmt: skip
    assert segments(figure)[0] == [[0.375, 0], [0.625, 0]]
    bars = [bar.get_width() for bar in figure.axes[0].patches]
    assert bars == [0.5, 0.125]
    without = figures.class_bars({"glad": row | {"f1_low": None, "f1_high": None}})
    assert "F1" in markers(without)


def test_a_forest_has_a_line_from_low_to_high_and_the_baseline_across_all_rows() -> None:
    figure = figures.forest([("a", 0.5, 0.25, 0.625), ("b", 0.75, 0.5, 1.0)], "UAR", ("always glad", 0.125))
    assert segments(figure) == [[[0.25, 0], [0.625, 0]], [[0.5, 1], [1.0, 1]]]
    dots, baseline = figure.axes[0].lines
    assert (dots.get_xdata().tolist(), dots.get_ydata().tolist()) == ([0.5, 0.75], [0, 1])
    assert (list(baseline.get_xdata()), list(baseline.get_ydata())) == ([0.125, 0.125], [0, 1])
    assert figure.axes[0].get_ylim() == (1.5, -0.5)


def test_a_cell_of_a_confusion_matrix_is_shaded_in_the_row_of_its_true_class() -> None:
    figure = figures.confusion([[0, 3, 1], [0, 0, 0], [0, 0, 0]], ["a", "b", "c"])
    shades = {tuple(np.round(patch.get_path().get_extents().intervalx)): patch for patch in figure.axes[0].patches}
    boxes = sorted(patch.get_path().get_extents().bounds for patch in figure.axes[0].patches)
    assert [tuple(np.round(box, 2)) for box in boxes] == [(0.52, -0.48, 0.96, 0.96), (1.52, -0.48, 0.96, 0.96)]
    alphas = sorted(patch.get_facecolor()[3] for patch in shades.values())
    assert alphas == pytest.approx([7 / 25, 19 / 25]), "a quarter and three quarters, rounded up to 25 shades"


@pytest.mark.parametrize(("classes", "numbers", "panels"), [(14, 28, 1), (15, 0, 2)])
def test_fifteen_classes_have_a_color_bar_instead_of_numbers(classes: int, numbers: int, panels: int) -> None:
    axes = figures.confusion(np.eye(classes, dtype=int), [f"c{n}" for n in range(classes)]).axes[0]
    assert (len(axes.texts), 1 + len(axes.child_axes)) == (numbers, panels)


@pytest.mark.parametrize(("windows", "points"), [(399, 399), (400, 2)])
def test_four_hundred_windows_are_a_density_around_their_place(windows: int, points: int) -> None:
    axes = figures.agreement([0.5] * windows, [-0.25] * windows, "valence", -1, 1).axes[0]
    assert len(axes.lines[0].get_xdata()) == points, "the diagonal alone has two"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("true valence", "predicted valence")
    for patch in axes.patches:
        box = patch.get_path().get_extents()
        assert box.contains(0.5, -0.25)
        assert max(box.width, box.height) < 0.1
    assert len(axes.patches) == (windows == 400)


def test_a_region_is_drawn_where_its_windows_are() -> None:
    """Ten windows far down, with a mean error of 2 of 9, and ten in the middle without any."""
    truth = np.array([[5.0, 1.2]] * 10 + [[5.0, 5.0]] * 10)
    predicted = truth + np.array([[0.0, 2.0]] * 10 + [[0.0, 0.0]] * 10)
    shades, arrows = error_map(truth, predicted, FEEL).axes
    assert [(text.get_text(), *np.round(text.get_position(), 2)) for text in shades.texts] == [
        ("0.00", 5, 5), ("10", 5, 5), ("2.00", 5, 1.68), ("10", 5, 1.68)]  # fmt: skip
    (wedge,) = [patch for patch in shades.patches if isinstance(patch, Wedge)]
    assert (wedge.theta1 + wedge.theta2) / 2 == pytest.approx(270)
    assert wedge.theta2 - wedge.theta1 == pytest.approx(45, abs=2)
    assert [(arrow.xyann, arrow.xy) for arrow in arrows.texts] == [((5, 1.2), (5, 3.2))]
    assert (shades.get_xlabel(), shades.get_ylabel()) == ("pleasure", "energy")
    assert shades.get_xticks().tolist() == [1, 3, 5, 7, 9]
    assert wedge.get_facecolor()[3] == 1, "the largest error has the darkest shade"


def test_on_a_border_a_window_belongs_to_the_outer_region() -> None:
    head = Head("x", "values", ("a", "b"), -3, 3)
    found = region_errors([[1, 0], [2, 0]], [[1, 0], [2, 0]], head).set_index("region")["windows"]
    assert found[found > 0].to_dict() == {"near, +a": 1, "far, +a": 1}
    three = Head("x", "values", ("a", "b", "c"), -3, 3)
    assert [has_plane(one) for one in (head, three, MOOD, AU)] == [True, False, False, False]


def test_among_groups_with_equal_scores_the_larger_is_first_and_two_groups_are_no_table() -> None:
    names = ["few", "many", "many", "right"]
    run = a_run(MOOD, [0, 0, 1, 0], [[0.1, 0.9], [0.1, 0.9], [0.9, 0.1], [0.9, 0.1]], video=names)
    (found,) = hardest(run, MOOD)
    assert [row[:3] for row in found.rows] == [("many", 0, 2), ("few", 0, 1), ("right", 1, 1)]
    assert [row[3] for row in found.rows][1:] == ["glad predicted as sad (1)", ""]
    two = a_run(MOOD, [0, 0], [[0.1, 0.9], [0.9, 0.1]], video=["few", "many"])
    assert list(hardest(two, MOOD)) == []


def test_a_value_without_a_label_does_not_count_in_its_groups_error() -> None:
    nan = np.nan
    labels = np.array([[0.5, nan], [nan, nan], [0, 0], [1, 1]], np.float32)
    run = a_run(VA, labels, [[0.25, 9], [9, 9], [0.5, 1], [1, 1]], video=["a", "a", "b", "c"])
    (found,) = hardest(run, VA)
    assert [row[:3] for row in found.rows] == [("b", 0.75, 1), ("a", 0.25, 1), ("c", 0, 1)]


FACTS = {"name": "x", "arch": "ann", "archs": ["ann", "gcn", "ann"], "layout": "face_70", "parts": ["face_70"],
         "heads": [], "preparation": {"reference": "window"}, "inputs": ["keypoints", "mask", "number"],
         "weights_sha256": ["a" * 20 + "b" * 44]}  # fmt: skip


def a_card(folder: Path, length: int, dilation: int, sampling: str, *heads: Head) -> str:
    window = {"length": length, "dilation": dilation, "target": "last", "sampling": sampling}
    facts = FACTS | {"window": window, "heads": [head.to_json() for head in heads]}
    write_card(folder / "README.md", folder / "x.onnx", facts, None)
    return (folder / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("window", "text"),
    [
        ((1, 3, "stride"), "(face 70), 1 frame at a time."),
        ((8, 1, "stride"), "(face 70), 8 frames at a time."),
        ((8, 2, "stride"), "(face 70), 8 frames at a time, 2 apart."),
        ((8, 2, "clip"), "(face 70), 8 frames spread evenly over a clip."),
    ],
)
def test_a_card_describes_the_window(tmp_path: Path, window: tuple[int, int, str], text: str) -> None:
    assert text in a_card(tmp_path, *window)


def test_the_card_of_an_export_without_its_run_says_what_is_unknown(tmp_path: Path) -> None:
    text = a_card(tmp_path, 8, 1, "stride", MOOD, FEEL, AU)
    assert "- **mood**: one of 2 classes, with a probability each: glad, sad\n" in text
    assert "- **feel**: pleasure, energy, each from 1 to 9\n" in text
    assert "- **au**: the probability of each of AU1, AU2\n" in text
    assert text.count("Unknown: the model was exported without its run folder.") == 2, "data and scores"
    assert "| `keypoints` | `[W, T, V, 3]` |" in text
    assert "| `number` | `[W, T]` int64 | frame numbers in the video |" in text
    assert "V = 70 points of `face_70` in OpenPose's order; W windows of T = 8 frames." in text
    assert "`aaaaaaaaaaaaaaaa…`" in text
    front = yaml.safe_load(text.split("---\n")[1])
    tags = ["skelemo", "pose", "keypoints", "emotion-recognition", "ann", "gcn"]
    assert front == {"library_name": "skelemo", "tags": tags}


def test_only_a_card_of_skelemo_may_be_replaced(tmp_path: Path) -> None:
    require_own(tmp_path)
    a_card(tmp_path, 8, 1, "stride")
    require_own(tmp_path)
    (tmp_path / "README.md").write_text("x" * 2000 + "library_name: skelemo")
    with pytest.raises(ConfigError, match="the model card would replace it; give the model a folder of its own"):
        require_own(tmp_path)
    (tmp_path / "README.md").unlink()
    (tmp_path / "README.md").mkdir()
    with pytest.raises(ConfigError, match="the model card would replace it"):
        require_own(tmp_path)


def test_a_score_of_zero_is_in_the_card_and_one_without_an_interval_has_none(tmp_path: Path) -> None:
    run = a_run(MOOD, [0, 1], [[0.1, 0.9], [0.9, 0.1]])
    window = {"length": 8, "dilation": 1, "target": "last", "sampling": "stride"}
    facts = FACTS | {"skelemo": "1", "heads": [MOOD.to_json()], "window": window, "weights_sha256": "c" * 64}
    write_json(tmp_path / "model.json", facts | {"format": 1, "settings": {}, "precision": "32-true"})
    text = run_card(Run(tmp_path, {}, run.environment, {}, run.metrics, run.predictions, run.scores, "mine"))
    assert "- mood: macro F1 0.000, on 2 windows of the test subset\n" in text
    assert "- Recall below 50 % for glad, sad (mood).\n" in text
