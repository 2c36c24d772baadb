import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from skelemo.errors import InputError
from skelemo.evaluation.scores import score
from skelemo.report import overview, page, tables
from skelemo.report.comparison import compare
from skelemo.runs.folder import UnfinishedError, read_json, read_run, training_folders, write_json
from skelemo.runs.predictions import read_predictions, write_predictions
from skelemo.targets import EXPRESSION, VA

RunFolder = Callable[..., Path]
CLASSES = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")


@pytest.fixture
def run(tmp_path: Path, run_folder: RunFolder) -> Path:
    return run_folder(tmp_path / "runs" / "ann", subjects=3, videos=2, frames=4)


def test_a_file_that_the_system_does_not_read_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read: Is a directory$"):
        read_json(tmp_path)


def test_a_run_folder_is_read_as_it_was_written(run: Path) -> None:
    found = read_run(run)
    assert found.name == "ann"
    assert found.config["optimizer"] == "adam"
    assert found.heads == (EXPRESSION, VA)
    assert found.subset == "test"
    assert found.data["simulated"] is True
    assert list(found.metrics.columns[:2]) == ["epoch", "train_loss"]
    assert len(found.predictions) == 2 * 3 * 2 * 4
    assert found.scores == json.loads((run / "scores.json").read_text())


def test_scores_can_be_computed_anew_from_the_table_to_the_last_digit(run: Path) -> None:
    found = read_run(run)
    assert score(found.predictions, found.heads) == found.scores


def test_a_k_fold_run_gathers_the_curves_of_its_folds(tmp_path: Path, run_folder: RunFolder) -> None:
    found = read_run(run_folder(tmp_path / "k", folds=11, subjects=1, videos=1, frames=2, epochs=3))
    assert found.metrics["fold"].unique().tolist() == list(range(1, 12))  # and not 1, 10, 11, 2
    assert len(found.metrics) == 33


def test_folds_keep_their_numbers_and_seeds_are_counted(tmp_path: Path, run_folder: RunFolder) -> None:
    folds = run_folder(tmp_path / "k", folds=3, subjects=1, videos=1, frames=2, epochs=3)
    shutil.rmtree(folds / "fold_1")
    (folds / "fold_10x").mkdir()
    assert read_run(folds).metrics["fold"].unique().tolist() == [2, 3]
    assert [folder.name for folder in training_folders(folds)] == ["fold_2", "fold_3"]
    seeds = run_folder(tmp_path / "s", subjects=1, videos=1, frames=2, epochs=3)
    for seed in (10, 9):
        shutil.copytree(folds / "fold_2", seeds / f"seed_{seed}")
    assert [folder.name for folder in training_folders(seeds)] == ["seed_9", "seed_10"]
    assert read_run(seeds).metrics["fold"].unique().tolist() == [1, 2]
    shutil.copytree(seeds / "seed_9", folds / "fold_3" / "seed_9")
    assert training_folders(folds) == [folds / "fold_2", folds / "fold_3" / "seed_9"]
    assert training_folders(tmp_path) == [tmp_path]


def test_epochs_whose_figures_stand_in_separate_rows_are_merged(run: Path) -> None:
    (run / "metrics.csv").write_text("epoch,train_loss,validation_loss\n0,1.5,\n0,,1.2\n1,1.1,\n1,,0.9\n")
    table = read_run(run).metrics
    assert table["train_loss"].tolist() == [1.5, 1.1]
    assert table["validation_loss"].tolist() == [1.2, 0.9]
    (run / "metrics.csv").write_text("epoch,train_loss\n0,1.5\n1,1.4\n1,1.3\n2,x\n")
    again = read_run(run).metrics["train_loss"]
    assert again.tolist()[:2] == [1.5, 1.3], "an epoch trained again after an interruption counts as it ended"
    assert np.isnan(again[2])


@pytest.mark.parametrize("content", [None, "", "epoch,train_loss\n"])
def test_a_run_without_epochs_has_no_curves(run: Path, content: str | None) -> None:
    (run / "metrics.csv").unlink() if content is None else (run / "metrics.csv").write_text(content)
    assert read_run(run).metrics.empty


def test_what_is_no_run_folder_is_named(tmp_path: Path, run: Path) -> None:
    with pytest.raises(InputError, match=r"no run folder at .*missing"):
        read_run(tmp_path / "missing")
    with pytest.raises(
        InputError, match=r"not a run folder, it has no config.yaml; it contains .* runs?, name those.*runs/ann"
    ):
        read_run(tmp_path / "runs")


@pytest.mark.parametrize("name", ["predictions.parquet", "splits.json", "environment.json"])
def test_a_finished_run_without_a_file_is_damaged(run: Path, name: str) -> None:
    (run / name).unlink()
    with pytest.raises(InputError, match=rf"ann has no {name}, although its training has finished: copy") as found:
        read_run(run)
    assert not isinstance(found.value, UnfinishedError)


@pytest.mark.parametrize("name", ["scores.json", "predictions.parquet", "splits.json", "environment.json"])
def test_an_unfinished_run_says_how_to_go_on(run: Path, name: str) -> None:
    for absent in {name, "scores.json"}:
        (run / absent).unlink()
    with pytest.raises(UnfinishedError, match=rf"ann has no {name}: its training has not finished; .* --resume"):
        read_run(run)
    (run / ".lock").touch()
    (run / "scores.json").unlink(missing_ok=True)
    with pytest.raises(UnfinishedError, match=r"ann is still training"):
        read_run(run)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("scores.json", b"{"),
        ("scores.json", b"[]"),
        ("scores.json", b'{"test": {"expression": {"macro_f1": {}}}}'),
        ("scores.json", b'{"test": {"expression": null}}'),
        ("scores.json", b'{"train": {}}'),
        ("scores.json", b'{"test": 3}'),
        ("environment.json", b"\xff\xfe"),
        ("config.yaml", b"- a list"),
        ("scores.json", b"{}"),
        ("scores.json", b'{"test": {"va": {"ccc_mean": {"value": "high"}}}}'),
        ("splits.json", b"{}"),
        ("splits.json", b"[]"),
        ("splits.json", b'{"folds": 5}'),
        ("splits.json", b'{"split": "given", "grouped_by": "video", "folds": []}'),
        ("splits.json", b'{"split": "given", "grouped_by": "video", "folds": [5]}'),
        ("splits.json", b'{"split": "given", "grouped_by": "video", "folds": [{"train": []}]}'),
        ("splits.json", b'{"split": "given", "grouped_by": "", "folds": [{"train": 5, "validation": [], "test": []}]}'),
        ("environment.json", b"[]"),
        ("environment.json", b'{"data": 5}'),
        ("environment.json", b'{"data": {"caches": 5}}'),
        ("environment.json", b'{"data": {"caches": [5]}}'),
        ("config.yaml", b"a: [1"),
        ("config.yaml", b"\x00"),
        ("config.yaml", b"a: &a [1]\nb: *a\n"),
        ("config.yaml", b"a: &a [*a]\n"),
        ("config.yaml", b"a: " + b"[" * 5000 + b"]" * 5000),
        ("config.yaml", b"a: " + b"x" * 300_000),
        ("config.yaml", b"a: .inf"),
        ("config.yaml", b"a: 2026-01-01"),
        ("config.yaml", b"1: a"),
        ("environment.json", b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        ("environment.json", b'{"seconds": Infinity}'),
        ("environment.json", b'{"machine": "\\ud800"}'),
        ("environment.json", b'{"machine": 1000000000000000000000000000000}'),
        ("scores.json", b'{"test": {"va": {"windows": 1, "unit": "window", "groups": -1, "grouped_by": "video"}}}'),
        ("scores.json", b'{"test": {"va": {"folds": {"x": {}}}}}'),
        ("metrics.csv", b'epoch\n"'),
        ("environment.json", b'{"heads": [{"name": "a b", "kind": "classes", "outputs": ["x"]}]}'),
        ("environment.json", b'{"heads": [{"name": "a", "kind": "pain", "outputs": ["x"]}]}'),
        ("environment.json", b'{"parameters": 1e400}'),
        ("predictions.parquet", b""),
        ("predictions.parquet", b"PAR1"),
    ],
)
def test_a_damaged_file_is_an_input_error_that_names_it(run: Path, name: str, content: bytes) -> None:
    (run / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        read_run(run)


def _damaged(value: object, depth: int = 0) -> Iterator[object]:
    """The content with one of its values removed, or replaced by what does not belong there."""
    if isinstance(value, dict):
        for key in list(value)[: 9 if depth < 3 else 2]:
            yield {other: item for other, item in value.items() if other != key}
            yield {(f"{other}x" if other == key else other): item for other, item in value.items()}
            yield from ({**value, key: item} for item in _damaged(value[key], depth + 1))
    elif isinstance(value, list) and value and depth < 6:
        yield value[1:]
        yield from ([item, *value[1:]] for item in _damaged(value[0], depth + 1))
    yield from (None, "x", -5, 0.5, 10**30, [], {}, [[]], {"x": 1}, True)


@pytest.mark.parametrize("name", ["scores.json", "environment.json", "splits.json"])
def test_a_damaged_run_is_shown_or_refused_but_never_a_traceback(
    tmp_path: Path, run_folder: RunFolder, name: str
) -> None:
    folder = run_folder(tmp_path / "k", folds=2, subjects=2, videos=1, frames=2, epochs=2)
    whole = json.loads((folder / name).read_text())
    refused = shown = 0
    every = list(_damaged(whole))
    for content in every[:: max(1, len(every) // 60)]:
        (folder / name).write_text(json.dumps(content))
        try:
            run = read_run(folder)
        except InputError:
            refused += 1
            continue
        grounds = tuple((ground, ()) for ground in compare([run]))
        content = page.Content("", "", "", grounds, ((run, "k", ()),))
        assert page.html(content)
        assert page.markdown(content)
        overview.table(compare([run]))
        tables.trainings([run], "fold")
        shown += 1
    assert refused > 20
    assert shown


def test_scores_of_other_classes_than_the_predictions_are_refused(run: Path) -> None:
    scores = json.loads((run / "scores.json").read_text())
    scores["test"]["expression"]["per_class"]["joy"] = scores["test"]["expression"]["per_class"].pop("happiness")
    write_json(run / "scores.json", scores)
    with pytest.raises(InputError, match=r"scores.json has other classes of expression; expected happiness, sadness"):
        read_run(run)


@pytest.mark.parametrize("cut", [lambda rows: rows[:-1], lambda rows: [*rows[:-1], rows[-1][:-1]], lambda rows: []])
def test_a_confusion_matrix_of_another_size_is_refused(run: Path, cut: Callable) -> None:
    scores = json.loads((run / "scores.json").read_text())
    scores["test"]["expression"]["confusion"] = cut(scores["test"]["expression"]["confusion"])
    write_json(run / "scores.json", scores)
    with pytest.raises(InputError, match=r"scores.json has other classes of expression"):
        read_run(run)


def test_scores_of_a_head_that_was_not_trained_are_refused(run: Path) -> None:
    scores = json.loads((run / "scores.json").read_text())
    scores["test"]["pain"] = scores["test"].pop("va")
    write_json(run / "scores.json", scores)
    with pytest.raises(InputError, match=r"scores.json has a head 'pain'; expected expression, va"):
        read_run(run)


def test_a_cut_off_table_is_damaged(run: Path) -> None:
    file = run / "predictions.parquet"
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"predictions.parquet is damaged"):
        read_run(run)


def test_names_come_back_as_they_were_whatever_they_look_like(tmp_path: Path, run_folder: RunFolder) -> None:
    classes = ["NA", "001", 'say "a, b"', "喜び"]
    folder = run_folder(tmp_path / "odd", classes=classes, subjects=2, videos=3, frames=2)
    heads = read_run(folder).heads
    frame = read_predictions(folder / "predictions.parquet", heads)
    odd = frame.assign(subject=["null", "007"] * (len(frame) // 2), expression=classes * (len(frame) // 4))
    write_predictions(tmp_path / "again.parquet", odd, heads)
    back = read_predictions(tmp_path / "again.parquet", heads)
    assert back["subject"].tolist() == odd["subject"].tolist()
    assert back["expression"].tolist() == odd["expression"].tolist()
    assert heads[0].outputs == tuple(classes)


def test_numbers_come_back_with_every_digit_of_float32(tmp_path: Path, predictions: Callable) -> None:
    frame = predictions(CLASSES, subjects=2, videos=2, frames=3)
    frame.loc[0, "va_valence"] = np.nan
    write_predictions(tmp_path / "p.parquet", frame, (EXPRESSION, VA))
    back = read_predictions(tmp_path / "p.parquet", (EXPRESSION, VA))
    assert np.isnan(back["va_valence"][0])
    for name in ("expression_p_anger", "va_valence_predicted", "va_arousal"):
        assert (back[name].to_numpy() == frame[name].to_numpy(np.float32)).all()


def test_a_table_that_lacks_a_column_is_refused(tmp_path: Path, predictions: Callable) -> None:
    frame = predictions(CLASSES, subjects=1, videos=1, frames=1)
    heads = (EXPRESSION, VA)
    with pytest.raises(InputError, match="no column 'subject'"):
        write_predictions(tmp_path / "p.parquet", frame.drop(columns="subject"), heads)
    with pytest.raises(InputError, match="no column 'va_arousal_predicted'"):
        write_predictions(tmp_path / "p.parquet", frame.drop(columns="va_arousal_predicted"), heads)
    with pytest.raises(InputError, match="subset 'training'; expected validation or test"):
        write_predictions(tmp_path / "p.parquet", frame.assign(subset="training"), heads)
    with pytest.raises(InputError, match="'expression_p_fear' is not numeric"):
        write_predictions(tmp_path / "p.parquet", frame.assign(expression_p_fear="x"), heads)
    assert list(tmp_path.iterdir()) == []


def test_json_is_whole_or_not_there(tmp_path: Path) -> None:
    file = tmp_path / "new" / "a.json"
    write_json(file, {"x": np.float32(0.5), "n": float("nan"), "l": np.arange(2), "p": Path("a"), 3: (True, None)})
    assert json.loads(file.read_text()) == {"x": 0.5, "n": None, "l": [0, 1], "p": "a", "3": [True, None]}
    circle: list = []
    circle.append(circle)
    with pytest.raises(RecursionError):
        write_json(file, circle)
    assert json.loads(file.read_text())["x"] == 0.5
    assert [child.name for child in file.parent.iterdir()] == ["a.json"]
