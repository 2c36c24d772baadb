"""Lines that commands print, with the work itself replaced by results given by hand."""

import time
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from skelemo.cli import main
from skelemo.cli.live import _warner
from skelemo.errors import InputError
from skelemo.inference.live.sources import Problems


def ended(*words: object) -> tuple[int, list[str]]:
    answer = CliRunner().invoke(main, [str(word) for word in words], prog_name="skelemo")
    return answer.exit_code, answer.output.splitlines()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("audit", "--data", "x"), "Error: skelemo audit takes no --data: pass the cache as an argument, as in skelemo "
                                   "audit cache/NAME; skelemo audit --help for usage"),
        (("audti",), "Error: No such command 'audti'"),
        (("extract", "x", "--out", "y"), "Error: choose a pose estimator: --with mediapipe or --with openpose; "),
        (("predict", "r", "s", "--out", "t.csv", "--per-clip", "--overlay", "o"), "Error: --per-clip gives one row "),
    ],
)  # fmt: skip
def test_a_command_that_is_given_the_wrong_words_names_the_right_ones(tmp_path, monkeypatch, words, line):
    monkeypatch.chdir(tmp_path)
    code, lines = ended(*words)
    assert (code, len(lines)) == (2, 1)
    assert lines[0].startswith(line)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "a\nb.csv"), r"Error: a\nb.csv: Permission denied"),
        (OSError(28, "No space left on device"), "Error: input or output: No space left on device"),
        (InputError("a\nb: cut off"), r"Error: a\nb: cut off"),
    ],
)
def test_a_failed_file_is_named_on_one_line(monkeypatch, error, line):
    def fail():
        raise error

    monkeypatch.setattr(type(main), "get_command", lambda *_: click.Command("study", callback=fail))
    assert ended("study") == (2, [line])


def test_ten_notes_are_printed_and_the_others_counted(tmp_path, monkeypatch):
    facts = {"rows": 1200, "people": 1, "model": "ann", "drawn": (), "failures": ()}
    notes = [f"{n}" for n in range(12)]
    for failures, code in (((), 0), (("v: cut off",), 1)):
        done = SimpleNamespace(**facts | {"failures": failures}, notes=notes)
        monkeypatch.setattr("skelemo.inference.prediction.predict_file", lambda request, done=done: done)
        out = tmp_path / "t.csv"
        assert ended("predict", "run", "source", "--out", out) == (
            code,
            [*(f"note: {n}" for n in range(10)), "note: … and 2 more", *(f"not used: {one}" for one in failures),
             f"{out}: 1,200 rows, 1 person; ann"],
        )  # fmt: skip


def test_unreadable_frames_are_reported_at_once_and_then_every_ten_seconds(monkeypatch, capsys):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    problems, told = Problems(), []
    warn, silent = (_warner(problems, quiet=quiet) for quiet in (False, True))
    for seconds, text in ((0, ""), (1, "a"), (2, "b\n"), (10.9, ""), (11, ""), (30, ""), (40, "c")):
        clock.now = 1000.0 + seconds
        if text:
            problems.add(text)
        warn()
        silent()
        told += [(seconds, line) for line in capsys.readouterr().err.splitlines()]
    assert told == [
        (1, "unreadable: a (1 so far)"),
        (11, r"unreadable: b\n (2 so far)"),
        (40, "unreadable: c (3 so far)"),
    ]


def test_an_export_prints_how_well_it_matches_and_what_quantizing_costs(monkeypatch):
    cost = SimpleNamespace(head="mood", figure="macro F1", before=0.5, after=0.4375, windows=1200)
    done = SimpleNamespace(notes=("one",), costs=(), path=Path("x/m.onnx"), size=1_540_000, difference=3.14e-6,
                           checked_on="8 simulated\nframes")  # fmt: skip
    asked: list[dict] = []
    monkeypatch.setattr("skelemo.api.export", lambda run, **options: asked.append(options) or done)
    rest = r"within 3e-06 on 8 simulated\nframes; card: x/README.md"
    assert ended("export", "run") == (0, ["note: one", f"x/m.onnx: 1.5 MB; matches the run {rest}"])
    done.costs = (cost,)
    code, lines = ended("export", "run", "--quantize", "int8", "--cache", "c")
    assert (code, lines[1:]) == (0, [
        "mood: macro F1 0.500 in 32 bits, 0.438 in 8 bits, on 1,200 windows of the validation subset",
        f"x/m.onnx: 1.5 MB; matches the run before quantizing {rest}",
    ])  # fmt: skip
    assert [one["quantize"] for one in asked] == [None, "int8"]
    assert asked[1]["cache"] == Path("c")


def test_a_study_names_the_cells_that_failed(monkeypatch):
    monkeypatch.setattr("skelemo.study.grid.read_study", lambda *_: SimpleNamespace(cells=[1] * 4))
    outcome = SimpleNamespace(failures={"ann\n": "no data"}, report=SimpleNamespace(page="p.html"))
    monkeypatch.setattr("skelemo.study.grid.run_study", lambda *_, **__: outcome)
    monkeypatch.setattr("skelemo.study.grid.summary", lambda outcome, cells: f"{cells} cells")
    assert ended("study", "file", "--out", "y") == (1, [r"ann\n: no data", "4 cells", "report: p.html"])


def test_a_view_opens_a_browser_only_if_asked(tmp_path, monkeypatch):
    opened: list[str] = []
    monkeypatch.setattr("skelemo.cache.store.open_cache", lambda paths: "cache")
    monkeypatch.setattr("skelemo.view.viewer.Viewer", lambda *given: given)
    monkeypatch.setattr("skelemo.view.app.serve", lambda viewer, port, ready: ready(f"http://host:{port}"))
    monkeypatch.setattr("click.launch", opened.append)
    assert ended("view", "c", "--port", 7) == (0, ["http://host:7"])
    assert opened == []
    assert ended("view", "c", "--port", 7, "--open") == (0, ["http://host:7"])
    assert opened == ["http://host:7"]
