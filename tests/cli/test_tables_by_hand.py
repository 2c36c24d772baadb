"""Values of options, and what is in the cells of the tables that commands print."""

import time
from pathlib import Path
from types import SimpleNamespace

import click
import pandas as pd
import pytest
from small_caches import BODY, a_cache, a_sequence

from skelemo.cache.corrections import Correction
from skelemo.cache.store import open_cache
from skelemo.cli.progress import named_progress, training_progress
from skelemo.cli.summary import labels_table, missing_table, provenance_table
from skelemo.cli.tables import (
    cache_table,
    corrections_table,
    scores_table,
    sequences_table,
    suspects_table,
)
from skelemo.cli.values import RATE, SIZE, TEXT, WIDTH, Known


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "220")


def rows(shown: str) -> list[list[str]]:
    """The cells of a table's rows, without its heading."""
    lines = [line for line in shown.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (SIZE, "640x0480", (640, 480)),
        (SIZE, "640X480", (640, 480)),
        (SIZE, "1000000x1", (1_000_000, 1)),
        (SIZE, (3, 4), (3, 4)),
        (RATE, "29.97", 29.97),
        (RATE, "0", 0.0),
        (WIDTH, "auto", "auto"),
        (WIDTH, "5", 5),
        (TEXT, " ", " "),
    ],
)
def test_an_option_is_parsed(kind, text, value):
    assert kind.convert(text, None, None) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [(SIZE, text) for text in ("640x0", "0x480", "1000001x1", "640", "640x480x3", "-1x5", "٣x٣", "9" * 5000 + "x1")]
    + [(RATE, text) for text in ("-1", "inf", "nan", "fast")]
    + [(WIDTH, "wide"), (WIDTH, "1.5"), (TEXT, "")],
)
def test_an_option_that_cannot_be_is_refused(kind, text):
    with pytest.raises(click.BadParameter):
        kind.convert(text, None, None)


def test_a_known_name_is_completed_and_an_unknown_one_refused_unless_it_is_a_path():
    names, plain = Known("program", lambda: ["mediapipe", "openpose"], paths=True), Known("model", lambda: ["ann"])
    assert [item.value for item in names.shell_complete(None, None, "m")] == ["mediapipe"]
    assert names.convert("openpose", None, None) == "openpose"
    assert names.convert("mine.pose:find", None, None) == "mine.pose:find"
    with pytest.raises(click.BadParameter, match="unknown program 'openpost': did you mean 'openpose'"):
        names.convert("openpost", None, None)
    with pytest.raises(click.BadParameter, match="unknown model 'mine:ann'"):
        plain.convert("mine:ann", None, None)


def test_corrections_have_their_range_and_the_undone_ones_say_so_and_do_not_count(capsys):
    made = [
        Correction("v", "set", "left", 3, 9, "mood", "sad", id="a1b2", time="2026-01-02T03:04:05Z", author="Ann"),
        Correction(
            "v", "wrong", "", 7, 7, "mood", id="b1b2", time="2026-01-02T03:05:05Z", undone="2026-02-01T00:00:00Z"
        ),
        Correction("v", "merge", "left", 0, None, "", "right", id="c1b2", time="2026-01-02T23:59:59Z"),
    ]
    corrections_table(SimpleNamespace(rows=made, effective=[made[0], made[2]]))
    shown = capsys.readouterr().out
    assert "2 corrections in effect" in shown
    assert rows(shown) == [
        ["a1b2", "2026-01-02 03:04", "Ann", "set mood sad", "v left 3 to 9"],
        ["b1b2", "2026-01-02 03:05", "", "wrong mood (undone)", "v 7"],
        ["c1b2", "2026-01-02 23:59", "", "merge right", "v left 0 to the end"],
    ]


def test_only_the_first_suspects_are_listed_but_all_are_counted(capsys):
    facts = {"kind": "label", "video": "v", "person": "p", "first": 4, "last": 8, "score": 0.876, "found": "rather sad"}
    suspects_table(pd.DataFrame([facts | {"rank": rank} for rank in range(1, 6)]), most=2)
    shown = capsys.readouterr().out
    assert "5 suspects" in shown
    assert rows(shown) == [[rank, "label", "v p 4 to 8", "0.88", "rather sad"] for rank in ("1", "2")]


def test_scores_have_intervals_or_the_reason_for_none_and_groups_a_table_of_their_own(capsys):
    alone = {"unit": "window", "groups": 1, "grouped_by": "subject"}
    groups = [
        {"column": "subject", "group": name, "scores": alone | {"windows": n, "macro_f1": {"value": f1}}}
        for name, n, f1 in (("Ann", 1, 0.25), ("Ben", 1200, None))
    ]
    mood = {"macro_f1": {"value": 0.5, "low": 0.4, "high": 0.6}, "accuracy": {"value": 0.75}, "uar": {"value": None}}
    mood |= {"groups": 99, "note": "few windows", "by": groups, "seeds": {"0": {}, "1": {}}}
    dull = {"ccc_mean": {"value": None}, "groups": 99}
    scores_table(Path("a run"), {"test": {"mood": mood, "va": dull}})
    shown = capsys.readouterr().out
    assert "scores of a run: mean predictions of 2 seeds" in shown
    assert "test, mood: few windows" in shown
    assert "test, va: no scores: the labels do not vary" in shown
    assert "skelemo report 'a run' --out 'a run/report'" in shown
    first, second, *by = rows(shown)
    assert [first[:2] + first[-2:], second[:2] + second[-2:]] == [
        ["test", "mood", "0.500", "0.400 to 0.600"],
        ["test", "mood", "0.750", "n/a"],
    ]
    assert [row[:2] + row[3:] for row in by] == [
        ["Ann", "mood", "0.250", "n/a (1 subject)", "1 window"],
        ["Ben", "mood", "-", "n/a (1 subject)", "1,200 windows"],
    ]


def test_facts_that_a_sequence_lacks_are_blank(tmp_path, capsys):
    full = a_sequence("a", 1200, subject="Ann", width=640, height=480, fps=29.97, splits={"day": "test", "f": "train"})
    cache = open_cache(a_cache(tmp_path / "c", full, a_sequence("b", 3)))
    sequences_table(cache)
    assert rows(capsys.readouterr().out) == [
        ["a", "1,200", "Ann", "640x480", "29.97", "day=test, f=train"],
        ["b", "3", "", "", "", ""],
    ]
    cache_table([cache])
    assert rows(capsys.readouterr().out)[:2] == [
        ["c", "2", "1,203", "expression", "day", "body_25"],
        ["", "", "", "va", "f", ""],
    ]


def test_provenance_lists_unusual_settings_and_the_most_frequent_values(tmp_path, capsys):
    cache = open_cache(a_cache(tmp_path / "c", a_sequence("a", 10)))
    given = {
        "hash": "beef", "version": "1", "tools": {"skelemo 1": 2}, "shards": {"a.h5": 1_000_000, "b.h5": 500_000},
        "layout": "body_25", "heads": [head.to_json() for head in BODY.heads], "simulated": True,
        "scales": {"pixels": 3, "unit": 1},
        "settings": {"person": {"all": 2}, "identity": {"auto": 2}, "strict": {"true": 1}, "layout": {"x": 2}},
        "origin": {"source": {f"s{n}": 1 for n in range(7)}}, "folders": {"day": 2, "": 1},
        "body_models": {"body_25": 2, "": 1}, "subjects": 7, "recordings": 3, "files": 1234, "unread": 5, "people": 6,
    }  # fmt: skip
    provenance_table(cache, given, 2)
    facts = dict(rows(capsys.readouterr().out))
    expected = {
        "written by": "skelemo 1",
        "shards": "2: a.h5 to b.h5",
        "size": "1.5 MB, 150,000 bytes per frame",
        "head expression": "classes: glad, sad, calm",
        "simulated": "yes",
        "subjects": "7",
        "setting strict": "true (1)",
        "coordinates": "pixels (3), unit (1)",
        "source": "s0 (1), s1 (1), s2 (1), s3 (1), s4 (1) and 2 more",
        "others, not usable": "2 (see problems.csv)",
        "by folder": "day (2)",
        "bodies": "body_25 (2), none (1)",
        "files": "1,234, 5 unreadable",
    }
    assert facts | expected == facts
    assert not {"setting identity", "setting layout"} & {*facts}


def test_a_cache_without_heads_has_no_labels_and_one_without_frames_no_shares(tmp_path, capsys):
    labels_table(SimpleNamespace(heads=()))
    assert capsys.readouterr().out == "no labels\n"
    cache = open_cache(a_cache(tmp_path / "c", a_sequence("a", 2)))
    missing_table(cache, pd.DataFrame([{"video": "a", "frames": 2, "nobody": 0.5, "body_25": 0.125, "unread": 4}]), 0)
    first, second = rows(capsys.readouterr().out)
    assert (first[0], first[-1]) == ("all 1", "4")
    assert second == ["a", "2", "50.0%", "12.5%", "4"]


def test_slow_items_are_named_when_they_are_finished(capsys):
    with named_progress("pulling", "shards") as report:
        report(0, 1200, "")
        report(1, 1200, "a\nb.h5")
    assert capsys.readouterr().err == "pulling 1 of 1,200 shards: a\\nb.h5\n"


def test_the_time_left_of_a_resumed_training_is_that_of_the_epochs_since(monkeypatch, capsys):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    with training_progress() as report:
        for epoch in (8, 9):
            clock.now += 20
            report(1, 1, epoch, 10, "loss 1")
    first, second = capsys.readouterr().err.splitlines()
    assert first == "training  epoch 8 of 10  loss 1  40 s left"
    assert second == "training  epoch 9 of 10  loss 1  20 s left"
