import io
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from rich.table import Table
from small_caches import BODY_AND_FACE, HEADS, a_cache, a_recording, a_sequence

import skelemo.cli
from skelemo.cli import main
from skelemo.cli.progress import byte_progress, progress, training_progress
from skelemo.cli.screen import Screen, lines
from skelemo.cli.tables import cache_table, ingest_table, scores_table, table
from skelemo.ingest.task import Settings
from skelemo.skeleton import layout
from skelemo.text import count, visible

NASTY = "x[/b] [red]d :smile: a\nb"
SHOWN = "x[/b] [red]d :smile: a\\nb"


def printed(*words: object) -> str:
    answer = CliRunner().invoke(main, [str(word) for word in words])
    assert answer.exit_code == 0, answer.output
    return answer.output


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.usefixtures("wide")
def test_names_show_as_they_are_whatever_they_hold(tmp_path):
    facts = {"subject": "[b]me", "splits": {"[i]fold": "train"}}
    folder = a_cache(tmp_path / "c[red]d", a_sequence(NASTY, video=NASTY, **facts))
    shown = printed("cache", "ls", folder, "--sequences")
    row = next(line for line in shown.splitlines() if SHOWN in line)
    assert "[b]me" in row
    assert "[i]fold=train" in row
    assert "sequences of c[red]d" in shown
    assert "provenance of c[red]d" in printed("cache", "info", folder)


@pytest.mark.usefixtures("wide")
def test_names_with_markup_are_printed_literally(tmp_path):
    folder = a_cache(tmp_path / "c[/b]", a_sequence("one[/b]\ntwo"))
    (shard,) = folder.glob("*.h5")
    shard.rename(folder / "s[red]1.h5")
    with (folder / "s[red]1.h5").open("r+b") as file:
        file.truncate(700)
    answer = CliRunner().invoke(main, ["cache", "verify", str(folder)])
    assert answer.exit_code == 1, answer.exception
    assert "c[/b]" in answer.output
    assert "s[red]1.h5" in answer.output


@pytest.mark.usefixtures("wide")
def test_a_broken_cache_is_listed_below_the_others_and_is_an_error_if_it_is_the_only_one(tmp_path):
    a_cache(tmp_path / "whole", a_sequence("one"))
    for name in ("bro\nken", "rotten"):
        (shard,) = a_cache(tmp_path / name, a_sequence("two")).glob("*.h5")
        shard.write_bytes(b"x")
    answer = CliRunner().invoke(main, ["cache", "ls", str(tmp_path), "--sequences"])
    assert answer.exit_code == 1, answer.output
    *above, first, second = answer.output.splitlines()
    assert any("sequences of whole" in line for line in above)
    assert first.startswith(f"{tmp_path}/bro\\nken/")
    assert second.startswith(f"{tmp_path}/rotten/")
    alone = CliRunner().invoke(main, ["cache", "ls", str(tmp_path / "rotten")])
    assert (alone.exit_code, alone.output) == (2, f"Error: {second}\n")
    shutil.rmtree(tmp_path / "whole")
    answer = CliRunner().invoke(main, ["cache", "ls", str(tmp_path)])
    assert (answer.exit_code, answer.output.splitlines()) == (1, [first, second])


def test_the_summary_of_an_ingest_prints_names_literally(capsys):
    facts = (("words read as classes", "[blue] → sad (2)"),)
    plan = SimpleNamespace(notes=("note [/b]",), out=Path("o[/b]"), unchanged=0, settings=Settings(), facts=facts)
    tally = SimpleNamespace(notes=(), recordings=1, sequences=1, frames=7, people=7, points={}, seen={}, unread=0)
    tally.labels = {"[red]glad": 3, "a\nb": 4}
    tally.failures, tally.problems, tally.damaged = (), (), 0
    tally.left_out, tally.scales, tally.body_models, tally.identities = Counter(), Counter(), Counter(), Counter()
    ingest_table(plan, tally)
    shown = "".join(capsys.readouterr())
    for text in ("note: note [/b]", "ingested into o[/b]", "[red]glad", "[blue] → sad (2)", r"a\nb"):
        assert text in shown


def cells(shown: str, first: str) -> list[str]:
    """The cells of the row that begins with a text."""
    (row,) = [line for line in shown.splitlines() if re.match(rf"│ *{re.escape(first)} *│", line)]
    return [cell.strip() for cell in row.strip("│").split("│")]


@pytest.mark.usefixtures("wide")
def test_what_a_cache_lacks_is_in_percent_of_its_points_frames_and_files(tmp_path):
    """Four frames: of three, five of 25 points are missing, and in one nobody is visible: 40 of 100 points."""
    one = a_sequence("one", 4, expression=np.array([0, 0, -1, 1], np.int16))
    one.keypoints[:] = 1
    one.keypoints[:3, 20:] = 0
    one.keypoints[3] = 0
    whole = a_sequence("two", 1, expression=np.array([1], np.int16))
    whole.keypoints[:] = 1
    rows = [a_recording("one", files=6, frames=4), a_recording("two", files=1, frames=1)]
    folder = a_cache(tmp_path / "c", one, whole, recordings=rows)
    shown = printed("cache", "info", folder)
    assert cells(shown, "one") == ["one", "4", "25.0%", "40.0%", "2"]
    assert cells(shown, "two") == ["two", "1", "0.0%", "0.0%", "0"]
    assert cells(shown, "all 2") == ["all 2", "5", "20.0%", "32.0%", "2"]
    assert cells(shown, "expression") == ["expression", "(labeled)", "4", "80.0%"]
    assert re.search(r"│ +│ glad +│ +2 │ +40\.0% │", shown)
    (shard,) = folder.glob("*.h5")
    assert f"{shard.stat().st_size / 5:,.0f} bytes per frame" in shown
    assert shown.splitlines()[-1] != "and 1 more with fewer missing; --recordings 0 lists all"
    worst = printed("cache", "info", folder, "--recordings", 1)
    assert worst.splitlines()[-1] == "and 1 more with fewer missing; --recordings 0 lists all"
    assert "│ two " not in worst


@pytest.mark.usefixtures("wide")
def test_the_summary_of_an_ingest_counts_what_is_missing_and_left_out(capsys):
    plan = SimpleNamespace(notes=(), out=Path("o"), unchanged=2, settings=Settings(person="largest"), facts=())
    tally = SimpleNamespace(recordings=1, sequences=1, frames=8, people=12, unread=3, damaged=1, failures=())
    tally.notes = [f"take {n}: no face" for n in range(3)] + ["walk: no hands", "run: no hands", "alone"]
    tally.points, tally.seen = {"body_25": 200, "face_70": 0}, {"body_25": 150, "face_70": 0}
    tally.left_out, tally.labels = Counter(detections=28, people=1), {}
    tally.scales, tally.body_models, tally.identities = (
        Counter(pixels=3),
        Counter({"coco_18": 2, "body_25": 1}),
        Counter(),
    )
    tally.problems = ()
    ingest_table(plan, tally)
    shown, said = capsys.readouterr()
    for title, text in (
        ("missing points, body_25", "25.0%"),
        ("missing points, face_70", "-"),
        ("left out by --person largest", "28 detections of 1 other person"),
        ("already in the cache, unchanged", "2"),
        ("coordinates", "pixels"),
        ("body model", "coco_18 (2), body_25 (1)"),
        ("unreadable files", "3"),
    ):
        assert cells(shown, title) == [title, text]
    assert said.splitlines() == [
        "note: 3 recordings, such as take 0: no face",
        "note: walk: no hands",
        "note: run: no hands",
        "note: alone",
    ]


def test_scores_name_the_run_folder_as_it_is(capsys):
    figures = {"macro_f1": {"value": 0.5, "low": 0.4, "high": 0.6}, "groups": 3}
    scores_table(Path("runs/[/b]"), {"test": {"expression": figures}})
    shown = capsys.readouterr().out
    assert "scores of runs/[/b]" in shown
    assert "run folder: runs/[/b]" in shown


def test_every_command_prints_to_the_literal_console():
    others = [path for path in Path(skelemo.cli.__file__).parent.rglob("*.py") if path.name != "screen.py"]
    assert [str(path) for path in others if re.search(r"rich\.console|rich\.markup", path.read_text())] == []


def test_a_cell_has_the_lines_it_is_given_and_no_others():
    screen = Screen(file=io.StringIO(), width=40)
    shown: Table = table("t\nt", "h\nh")
    shown.add_row(lines(["one\ntwo", "three"]))
    screen.print(shown)
    text = screen.file.getvalue()
    assert [line for line in text.splitlines() if r"one\ntwo" in line]
    assert len(text.splitlines()) == 7
    assert r"t\nt" in text
    assert r"h\nh" in text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\tb\x1b[31m", r"a\tb\x1b[31m"),
        ("é\u200c名", "é\u200c名"),
        ("a\udcff", r"a\udcff"),
        ("a\u2028b", r"a\u2028b"),
    ],
)
def test_only_control_characters_are_escaped(text, told):
    assert visible(text) == told


@pytest.mark.parametrize("caches", [1, 12])
def test_each_cache_has_a_row_that_fits_into_80_columns(tmp_path, monkeypatch, caches):
    monkeypatch.setenv("COLUMNS", "80")
    for index in range(caches):
        a_cache(tmp_path / f"affwild2-{index:02}", a_sequence("one", 7, points=95), header=BODY_AND_FACE)
    shown = printed("cache", "ls", tmp_path)
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    for index in range(caches):
        assert cells(shown, f"affwild2-{index:02}")[1:] == ["1", "7", "expression", "", "body_25"]


def test_rows_of_large_caches_are_whole_in_80_columns(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    sequences = pd.DataFrame({"splits": [{"fold_1": "train", "fold_2": "test"}] * 100_000})
    facts = {"sequences": sequences, "frames": 123_456_700, "simulated": True, "heads": HEADS}
    facts |= {"layout": layout("body_25+face_70+hand_21x2"), "name": "a-name-of-much-length"}
    cache_table([SimpleNamespace(**facts)])
    shown = capsys.readouterr().out
    for text in ("100,000", "123,456,700", "simulated", "expression", "va", "fold_1", "fold_2", "+hand_21x2"):
        assert text in shown
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_name_that_the_terminals_encoding_lacks_is_escaped(tmp_path):
    folder = a_cache(tmp_path / "cache", a_sequence("目"))
    command = [sys.executable, "-m", "skelemo", "cache", "ls", str(folder), "--sequences"]
    done = subprocess.run(command, env=os.environ | {"PYTHONIOENCODING": "latin-1"}, capture_output=True, text=True)
    assert "\\u76ee" in done.stdout


def test_a_failed_command_leaves_only_its_error(tmp_path):
    code = "from skelemo.cli import main; main()"
    (tmp_path / "cache").mkdir()
    for words in (["cache", "merge", "cache", "--out", "both"], ["train", "--data", "cache", "--out", "run"]):
        environment = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
        done = subprocess.run(
            [sys.executable, "-c", code, *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 2
        assert done.stderr.startswith("Error: "), done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("bar", "told"),
    [
        (lambda: progress("reading", "files"), ["reading 12,000 of 240,000 files", "reading 36,000 of 240,000 files"]),
        (lambda: byte_progress("pulling"), ["pulling 12.0 kB of 240.0 kB", "pulling 36.0 kB of 240.0 kB"]),
    ],
)
def test_long_work_tells_a_log_now_and_then_how_far_it_is(monkeypatch, capsys, bar, told):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    with bar() as report:
        for seconds, done in ((1, 400), (31, 12_000), (40, 20_000), (62, 36_000)):
            clock.now = 1000.0 + seconds
            report(done, 240_000)
    assert capsys.readouterr().err.splitlines() == told


def test_a_piped_training_prints_its_sizes_and_a_line_per_epoch_with_the_time_left(monkeypatch, capsys):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    with training_progress() as report:
        for fold in (1, 2):
            report(fold, 2, 0, 3, "9 train windows, cpu")
            for epoch in range(1, 4):
                clock.now += 20
                report(fold, 2, epoch, 3, "loss 1")
    assert capsys.readouterr().err.splitlines() == [
        "training 1/2  9 train windows, cpu",
        "training 1/2  epoch 1 of 3  loss 1  1 min 40 s left",
        "training 1/2  epoch 2 of 3  loss 1  1 min 20 s left",
        "training 1/2  epoch 3 of 3  loss 1  1 min 00 s left",
        "training 2/2  9 train windows, cpu",
        "training 2/2  epoch 1 of 3  loss 1  40 s left",
        "training 2/2  epoch 2 of 3  loss 1  20 s left",
        "training 2/2  epoch 3 of 3  loss 1  0 s left",
    ]


@pytest.mark.parametrize("bar", [lambda: progress("x[/b]", "files"), lambda: byte_progress("x[/b]")])
def test_on_a_terminal_a_bar_shows_names_as_they_are(monkeypatch, capsys, bar):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    with bar() as report:
        report(3, 9)
    assert "x[/b]" in capsys.readouterr().err


def test_a_number_has_its_noun():
    assert [count(number, "shard") for number in (0, 1, 12_000)] == ["0 shards", "1 shard", "12,000 shards"]
    assert [count(number, "person", "people") for number in (1, 2)] == ["1 person", "2 people"]
