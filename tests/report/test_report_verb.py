import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from skelemo.cli import main

SMALL = {"subjects": 4, "videos": 2, "frames": 5, "epochs": 5}


@pytest.fixture
def run(tmp_path: Path, run_folder: Callable[..., Path]) -> Path:
    return run_folder(tmp_path / "runs" / "ann [bold]", **SMALL)


def test_the_command_writes_a_report_and_prints_its_path(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["report", str(run), "--out", str(out), "--title", "Mine"])
    assert result.exit_code == 0, result.output
    assert "report.html" in result.output.replace("\n", "")
    assert "simulated" in result.output
    assert "ann [bold]" in result.output
    assert "Mine" in (out / "report.html").read_text(encoding="utf-8")


def test_a_user_error_is_one_line_and_exit_code_2(run: Path, tmp_path: Path) -> None:
    (run / "scores.json").unlink()
    result = CliRunner().invoke(main, ["report", str(run), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "its training has not finished" in result.output
    assert "Traceback" not in result.output


def test_unfinished_runs_are_left_out_with_a_note(run: Path, tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    other = run_folder(tmp_path / "runs" / "other", **SMALL)
    (other / "scores.json").unlink()
    result = CliRunner().invoke(main, ["report", str(other), str(run), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    line = next(line for line in result.output.splitlines() if line.startswith("note:"))
    assert line == (
        f"note: skipped: {other} has no scores.json: its training has not finished; "
        f"continue it with skelemo train --out {other} --resume"
    )
    assert "Run ann [bold]" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_the_terminal_marks_runs_that_know_other_clips_of_the_tested_people(
    run: Path, tmp_path: Path, run_folder: Callable[..., Path]
) -> None:
    known = run_folder(tmp_path / "runs" / "known", **SMALL, settings={"calibrate": "track"})
    result = CliRunner().invoke(main, ["report", str(run), str(known), "--out", str(tmp_path / "out")])
    told = "known is calibrated to the person: it has seen unlabeled clips of the test subjects (transductive)"
    assert result.output.count(told) == 1
    alone = CliRunner().invoke(main, ["report", str(run), "--out", str(tmp_path / "alone")])
    assert "transductive" not in alone.output


def test_a_report_needs_no_torch(run: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from skelemo.cli import main\n"
        f"main(['report', {str(run)!r}, '--out', {str(tmp_path / 'out')!r}], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)
