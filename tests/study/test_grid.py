"""A study: every cell trained once, what failed kept apart, the same command again does the rest."""

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from small_caches import BODY_AND_FACE, a_cache, a_sequence

from skelemo.atomic import claimed
from skelemo.cli import main
from skelemo.errors import ConfigError, InputError
from skelemo.runs.folder import read_run
from skelemo.study import grid
from skelemo.study.grid import read_study, run_study

NOTHING = np.full(20, np.nan, np.float32)


@pytest.fixture
def cache(tmp_path):
    sequences = [
        a_sequence(
            f"v{i}",
            20,
            points=95,
            expression=np.full(20, i % 3),
            valence=NOTHING,
            arousal=NOTHING,
            splits={"split": subset},
        )
        for i, subset in enumerate(["train"] * 6 + ["validation"] * 3 + ["test"] * 3)
    ]
    return a_cache(tmp_path / "cache", *sequences, header=BODY_AND_FACE)


def a_study(tmp_path, cache, **content) -> Path:
    base = {"data": str(cache), "epochs": 1, "device": "cpu", "head": "expression"}
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({"base": base, **content}, sort_keys=False))
    return file


def test_cells_are_every_combination_in_order_and_named_by_what_varies(tmp_path, cache):
    rate = [{"optimizer": "adam", "lr": 0.001}, {"optimizer": "sgd", "lr": 0.01}]
    file = a_study(
        tmp_path, cache, grid=[{"arch": ["ann"], "rate": rate, "parts": [["body_25"], []]}, {"arch": ["svm"]}]
    )
    study = read_study(file, {"epochs": 3})
    assert [cell.name for cell in study.cells] == [
        "ann-adam-body_25",
        "ann-adam-all",
        "ann-sgd-body_25",
        "ann-sgd-all",
        "svm",
    ]
    third = study.cells[2].settings
    assert (third["optimizer"], third["lr"], third["parts"], third["epochs"]) == ("sgd", 0.01, ["body_25"], 3)
    assert "rate" not in third


def test_settings_may_lie_in_a_file_beside_the_study(tmp_path, cache):
    (tmp_path / "base.yaml").write_text("epochs: 7\n")
    file = a_study(tmp_path, cache, grid={"arch": ["ann", "svm"]}, base="base.yaml")
    assert [cell.settings["epochs"] for cell in read_study(file).cells] == [7, 7]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"grid": {"arch": "ann"}}, "grid: expected a list of values for each setting"),
        ({"grids": {}}, "unknown entry 'grids'"),
        ({"grid": {"arch": ["annn"]}}, "cell annn: .*did you mean 'ann'"),
        ({"grid": {"lr": ["fast"]}}, "cell fast: setting lr = 'fast': expected a number"),
        ({"base": "nowhere.yaml"}, "base: no file at .*nowhere.yaml"),
        ({"grid": {"seed": [*range(101)], "split_seed": [*range(100)]}}, "more than 10,000 cells"),
    ],
)
def test_a_file_that_is_no_study_is_said_in_a_line(tmp_path, cache, content, said):
    with pytest.raises((ConfigError, InputError), match=said) as error:
        read_study(a_study(tmp_path, cache, **content))
    assert "\n" not in str(error.value)


def test_a_failed_cell_is_kept_apart_and_the_same_command_does_only_the_rest(tmp_path, cache):
    file = a_study(tmp_path, cache, grid={"arch": ["logistic"], "head": ["expression", "va"]}, title="One by two")
    out = tmp_path / "out"
    words = ["study", str(file), "--out", str(out), "--jobs", "2"]
    ended = CliRunner().invoke(main, words)
    assert ended.exit_code == 1, ended.output
    assert "1 of 2 cells trained, 1 cell failed" in ended.output
    failures = json.loads((out / "failures.json").read_text())
    assert set(failures) == {"logistic-va"}
    assert "no frame of" in failures["logistic-va"]
    assert "One by two" in (out / "report" / "report.html").read_text()
    scores = out / "runs" / "logistic-expression" / "scores.json"
    assert read_run(scores.parent).config["arch"] == "logistic"
    before = scores.stat().st_mtime_ns
    told: list[tuple[int, int, str]] = []
    run_study(read_study(file), out, progress=lambda *how: told.append(how))
    assert told[0] == (1, 2, "1 finished before")
    assert scores.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("code", "stderr", "reason"),
    [
        (0, "a warning\n", ""),
        (2, "progress\nError: lr = 0: expected more\n\n", "lr = 0: expected more"),
        (1, "Traceback\nMemoryError\n", "ended with 1: MemoryError"),
        (-9, "", "ended with -9"),
        (2, "", "ended with 2"),
    ],
)
def test_a_cell_is_a_training_of_its_own_and_its_last_line_the_reason(tmp_path, monkeypatch, code, stderr, reason):
    called = []

    def begin(words, **options):
        called.append((words[4:], options["env"].get("OMP_NUM_THREADS")))
        return SimpleNamespace(returncode=code, communicate=lambda: (None, stderr))

    monkeypatch.setattr(grid.subprocess, "Popen", begin)
    monkeypatch.setattr(grid.os, "cpu_count", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert grid._train(grid.Cell("ann", {}), tmp_path, 3, []) == reason
    (tmp_path / "runs" / "ann").mkdir()
    (tmp_path / "runs" / "ann" / "config.yaml").touch()
    grid._train(grid.Cell("ann", {}), tmp_path, 1, [])
    out = ["--out", str(tmp_path / "runs" / "ann")]
    assert called == [(["--config", str(tmp_path / "configs" / "ann.yaml"), *out], "2"), (["--resume", *out], "7")]


def test_an_interrupted_study_begins_no_further_cell(tmp_path, cache, monkeypatch):
    begun = []
    monkeypatch.setattr(grid, "_train", lambda cell, *_: begun.append(cell.name) or "")

    def stop(done, *_):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(read_study(a_study(tmp_path, cache, grid={"seed": [*range(50)]})), tmp_path / "out", progress=stop)
    assert len(begun) < 50
    assert not (tmp_path / "out" / "failures.json").exists()


def test_a_terminated_study_ends_its_trainings(tmp_path, cache):
    file, out = a_study(tmp_path, cache, grid={"epochs": [1_000_000]}), tmp_path / "out"
    run = out / "runs" / "1000000"
    study = subprocess.Popen([sys.executable, "-m", "skelemo", "study", file, "--out", out], stderr=subprocess.PIPE)
    while study.poll() is None and not (run / "metrics.csv").exists():
        time.sleep(0.05)
    study.terminate()
    assert b"interrupted; finished cells are kept; resume with" in study.communicate()[1]
    assert study.returncode == 130
    with claimed(run):
        pass  # no training writes to it


def test_a_study_of_which_every_cell_fails_has_no_report(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(grid, "_train", lambda cell, *_: f"{cell.name} failed")
    outcome = run_study(read_study(a_study(tmp_path, cache, grid={"arch": ["ann", "svm"]})), tmp_path / "out")
    assert (outcome.report, outcome.done) == (None, 0)
    assert json.loads((tmp_path / "out" / "failures.json").read_text()) == {"ann": "ann failed", "svm": "svm failed"}
    assert grid.summary(outcome, 2) == "0 of 2 cells trained, 2 cells failed"


def test_a_folder_of_another_study_is_refused(tmp_path, cache):
    out = tmp_path / "out"
    run_study(read_study(a_study(tmp_path, cache, grid={"arch": ["logistic"]})), out)
    with pytest.raises(ConfigError, match=r"logistic\.yaml differs from the settings"):
        run_study(read_study(a_study(tmp_path, cache, grid={"arch": ["logistic"]}), {"seed": 3}), out)


def test_the_papers_study_has_every_network_optimizer_and_head():
    study = read_study(Path(__file__).parents[2] / "configs" / "paper" / "study.yaml")
    assert len(study.cells) == 5 * 2 * 2
    assert study.cells[0].name == "ann-sgd-expression"
    assert {cell.settings["every"] for cell in study.cells} == {10}


@pytest.mark.parametrize(
    ("key", "varied"),
    [("arch", "arch"), ("lr", "lr"), ("model.width", "model"), ("width", "model"), ("model", "model")],
)
def test_what_the_grid_varies_cannot_be_set_as_well(tmp_path, cache, key, varied):
    grid = {"arch": ["ann", "svm"], "rate": [{"lr": 0.1}, {"lr": 0.01}], "model": [{"width": 8}, {"width": 16}]}
    with pytest.raises(ConfigError, match=rf"^--set {key}: .*study\.yaml varies {varied}; omit --set"):
        read_study(a_study(tmp_path, cache, grid=grid), {key: 8})


def test_cells_are_listed_without_training(tmp_path, cache):
    file = a_study(tmp_path, cache, grid={"arch": ["ann", "svm"]})
    ended = CliRunner().invoke(main, ["study", str(file), "--out", str(tmp_path / "out"), "--dry-run"])
    assert ended.output.split() == ["ann", "svm"]
    assert not (tmp_path / "out").exists()


def test_a_cell_given_twice_is_refused(tmp_path, cache):
    file = a_study(tmp_path, cache, grid={"parts": [["face_70"], "body_25", ["body_25"]]})
    with pytest.raises(ConfigError, match=r"the cells body_25 and body_25~2 have the same settings; remove one"):
        read_study(file)
