"""The correction table: append, undo, redo; several writers; files that somebody else has written."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from skelemo.annotations.correcting import apply, label_edits, merged
from skelemo.cache import corrections
from skelemo.cache.corrections import (
    COLUMNS,
    Correction,
    Corrections,
    add,
    corrections_file,
    read_corrections,
    redo,
    undo,
)
from skelemo.errors import ConfigError, InputError
from skelemo.targets import Head

MOOD = Head("mood", "classes", ("glad", "sad", "calm"))
PAIN = Head("pain", "values", ("now", "worst"), 0, 10)
AUS = Head("au", "flags", ("AU1", "AU2"))
HEADS = (MOOD, PAIN, AUS)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return corrections_file(tmp_path)


def line(**given: str) -> str:
    """A row of the file as text."""
    usual = {
        "id": "abcd",
        "time": "2026-01-31T09:30:00Z",
        "video": "one",
        "action": "set",
        "head": "mood",
        "value": "sad",
    }
    return ",".join({**dict.fromkeys(COLUMNS, ""), **usual, **given}[name] for name in COLUMNS)


def edited(rows: list[Correction], number: np.ndarray, labels: dict, person: str = "", clips=()) -> int:
    """Apply made-up corrections of the video ``one`` to labels."""
    stamped = tuple(rows)
    return apply(label_edits(Corrections(Path("c.csv"), stamped), HEADS)[("one", person)], number, labels, clips=clips)


def test_added_corrections_are_saved_with_author_time_and_id(table):
    made = add(
        table, [Correction("one", "set", first=3, last=9, head="mood", value="sad", note="äh, =no")], author="ann"
    )
    read = read_corrections(table)
    assert read.rows == made == read.effective
    assert (made[0].author, made[0].undone, len(made[0].id), made[0].time[-1]) == ("ann", "", 12, "Z")
    assert read.facts() == {"file": "corrections.csv", "sha256": read.sha256, "count": 1, "authors": 1}
    import hashlib

    assert read.sha256 == hashlib.sha256(table.read_bytes()).hexdigest()


def test_only_a_change_of_state_is_dated(table, monkeypatch):
    (first,) = add(table, [Correction("a", "wrong")])
    for second, change, expected in [
        (1, redo, ("", "")),  # it was not undone
        (2, undo, ("2026-01-31T09:30:02Z", "")),
        (3, undo, ("2026-01-31T09:30:02Z", "")),
        (4, redo, ("", "2026-01-31T09:30:04Z")),
        (5, redo, ("", "2026-01-31T09:30:04Z")),
    ]:
        monkeypatch.setattr(corrections, "_now", lambda now=f"2026-01-31T09:30:0{second}Z": now)
        change(table, [first.id])
        (row,) = read_corrections(table).rows
        assert (row.undone, row.redone) == expected


def test_undo_and_redo_mark_a_row(table):
    first, second = (add(table, [Correction(video, "wrong")], author="ann")[0] for video in ("one", "two"))
    assert undo(table, [first.id])[0].undone
    assert [row.id for row in read_corrections(table).effective] == [second.id]
    assert [row.id for row in read_corrections(table).rows] == [first.id, second.id]
    when = read_corrections(table).rows[0].undone
    (again,) = redo(table, [first.id])
    assert again.redone >= when
    assert read_corrections(table).rows == read_corrections(table).effective == (again, second)
    with pytest.raises(ConfigError, match="no correction has the id 'beef'"):
        undo(table, ["beef"])


def test_formulas_are_quoted_only_in_the_file(table):
    notes = ["=1+1", "'=1+1", "-2 is right", "'quoted'", "@here", 'a "b", c', ""]
    add(table, [Correction("=cmd", "wrong", note=note) for note in notes], author="+me")
    assert [row.note for row in read_corrections(table).rows] == notes
    assert {(row.video, row.author) for row in read_corrections(table).rows} == {("=cmd", "+me")}
    assert ",=" not in table.read_text()
    assert ",+" not in table.read_text()
    assert ",-" not in table.read_text()


def test_concurrent_writers_lose_nothing(table):
    script = (
        "import sys; from pathlib import Path; from skelemo.cache.corrections import *\n"
        "for n in range(8): add(Path(sys.argv[1]), [Correction('one', 'wrong', first=n)], author=sys.argv[2])"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(table), f"author {n}"]) for n in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    rows = read_corrections(table).rows
    assert len({row.id for row in rows}) == 24
    for number in range(3):
        assert [row.first for row in rows if row.author == f"author {number}"] == list(range(8))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "columns none; expected id, time, author"),
        ("id,time\n", "columns id, time; expected"),
        (line(action="burn"), "line 2: unknown action 'burn': choose from merge, set, swap, unsure, wrong"),
        (line(first="9", last="3"), "line 2: frames 9 to 3"),
        (line(first="-1"), "line 2: first '-1': expected a frame number"),
        (line(first="1e3"), "line 2: first '1e3'"),
        (line(last="99999999999"), "line 2: last '99999999999'"),
        (line(video=""), "line 2: the video is missing"),
        (line(value=""), "line 2: set needs a head and a value"),
        (line(id="../x"), "line 2: expected an id of hexadecimal digits"),
        (line(time="yesterday"), "line 2: expected an id of hexadecimal digits, and times"),
        (line(action="swap", head=""), "^.*corrections.csv: line 2: swap needs another person|^$"),
        (line(note="\x1b[31m"), "line 2: note"),
        (line() + ",", "line 2: 14 fields; expected 13"),
        (line() + "\n" + line(), "two corrections have the id abcd"),
        ('"' + line(), "unexpected end of data|fields; expected 13|'\"'"),
    ],
)
def test_an_invalid_table_is_one_clear_error(table, content, found):
    text = content if content.startswith("id") or not content else f"{','.join(COLUMNS)}\n{content}\n"
    if "swap" in content:
        text = text.replace("sad", "")
    table.write_text(text)
    with pytest.raises(InputError, match=found) as error:
        read_corrections(table)
    assert str(error.value).startswith(str(table))
    assert "\n" not in str(error.value)


def test_binary_and_missing_tables_are_errors(table):
    with pytest.raises(InputError, match="no such correction table"):
        read_corrections(table)
    assert read_corrections(table, missing_ok=True).rows == ()
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="utf-8"):
        read_corrections(table)


def test_a_correction_changes_only_its_frames():
    labels = {"mood": np.array([0, 0, 1, 1, -1], np.int16)}
    number = np.array([10, 11, 12, 14, 15])  # 13 is not there
    assert edited([Correction("one", "set", first=11, last=13, head="mood", value="calm")], number, labels) == 1
    assert labels["mood"].tolist() == [0, 2, 2, 1, -1]


def test_the_later_correction_wins_and_wrong_removes_labels():
    labels = {
        "mood": np.zeros(4, np.int16),
        "pain": np.full((4, 2), 5, np.float32),
        "au": np.ones((4, 2), np.int8),
    }
    rows = [
        Correction("one", "wrong", last=2),
        Correction("one", "set", first=2, head="mood", value="sad"),
        Correction("one", "unsure", first=3, head="pain"),
        Correction("one", "set", first=1, last=1, head="pain", value="- 7.5"),
        Correction("one", "set", first=3, last=3, head="au", value="0 -"),
    ]
    assert edited(rows, np.arange(4), labels) == 5
    assert labels["mood"].tolist() == [-1, -1, 1, 1]
    assert labels["au"].tolist() == [[-1, -1], [-1, -1], [-1, -1], [0, 1]]
    nan = np.nan
    np.testing.assert_array_equal(labels["pain"], [[nan, nan], [nan, 7.5], [nan, nan], [nan, nan]])


def test_shares_become_one_class_and_a_clip_is_corrected_as_a_whole():
    labels = {"mood": np.full((3, 3), 1 / 3, np.float32)}
    edited([Correction("one", "set", first=1, last=1, head="mood", value="sad")], np.arange(3), labels)
    assert labels["mood"][1].tolist() == [0, 1, 0]
    assert labels["mood"][0, 0] == np.float32(1 / 3)
    edited([Correction("one", "set", first=1, last=1, head="mood", value="glad")], np.arange(3), labels, clips={"mood"})
    assert labels["mood"].tolist() == [[1, 0, 0]] * 3


@pytest.mark.parametrize(
    ("head", "value", "found"),
    [
        ("mod", "sad", "unknown head 'mod': did you mean 'mood'"),
        ("mood", "happy", "unknown class of mood 'happy'"),
        ("pain", "5", "expected 2 numbers in \\[0, 10\\]"),
        ("pain", "5 11", "expected 2 numbers"),
        ("pain", "5 nan", "expected 2 numbers"),
        ("pain", "5 x", "expected 2 numbers"),
        ("au", "0 0.5", "expected 2 times 0 or 1"),
    ],
)
def test_a_value_that_does_not_fit_the_head_is_refused(head, value, found):
    row = Correction("one", "set", head=head, value=value, id="abcd")
    with pytest.raises(InputError, match=f"c.csv: correction abcd of 'one': .*{found}"):
        label_edits(Corrections(Path("c.csv"), (row,)), HEADS)


def test_corrections_of_a_merged_person_apply_to_the_remaining_one():
    rows = (
        Correction("one", "merge", "person1", value="person2"),
        Correction("one", "merge", "person0", value="person1"),
        Correction("one", "set", "person2", head="mood", value="sad"),
        Correction("two", "wrong", "person2"),
    )
    assert merged(rows) == {("one", "person2"): ("one", "person0"), ("one", "person1"): ("one", "person0")}
    assert list(label_edits(Corrections(Path("c.csv"), rows), HEADS)) == [("one", "person0"), ("two", "person2")]
    later = [Correction("one", "merge", "person0", value="person1"), Correction("one", "merge", "person1", value="p2")]
    assert merged(later) == {("one", "person1"): ("one", "person0"), ("one", "p2"): ("one", "person0")}
    back = [Correction("one", "merge", "p1", value="p2"), Correction("one", "merge", "p2", value="p1")]
    assert merged(back) == {("one", "p2"): ("one", "p1")}, "nobody is merged into himself"


def test_a_corrected_value_keeps_its_sign_and_the_values_beside_it():
    head = Head("va", "values", ("valence", "arousal"), -1, 1)
    labels = {"va": np.float32([[0.5, 0.25], [0.5, 0.25]])}
    row = Correction("one", "set", first=1, head="va", value="-0.75 -")
    apply(label_edits(Corrections(Path("c.csv"), (row,)), [head])["one", ""], np.arange(2), labels)
    assert labels["va"].tolist() == [[0.5, 0.25], [-0.75, 0.25]]


def test_a_correction_without_a_frame_is_not_counted():
    labels = {"mood": np.zeros(2, np.int16)}
    assert edited([Correction("one", "set", first=5, last=9, head="mood", value="sad")], np.arange(2), labels) == 0
    assert labels["mood"].tolist() == [0, 0]


def test_what_cannot_be_a_table_of_corrections_is_one_clear_error(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"cannot be read \([Ii]s a directory"):
        read_corrections(tmp_path)
    monkeypatch.setattr(corrections, "MAX_BYTES", 1 << 20)
    add(tmp_path / "corrections.csv", [Correction("clip", "wrong")], author="Ann")
    with (tmp_path / "corrections.csv").open("ab") as file:
        file.write(b"\n" * (1 << 20))
    with pytest.raises(InputError, match="more than 1 MB; expected a correction table"):
        read_corrections(tmp_path / "corrections.csv")


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_the_author_in_a_container_without_user_names_is_unknown(tmp_path, monkeypatch, error):
    def nobody():
        raise error("no such user")

    monkeypatch.setattr("getpass.getuser", nobody)
    (row,) = add(tmp_path / "corrections.csv", [Correction("clip", "wrong")])
    assert row.author == "unknown"


@pytest.mark.parametrize("facts", [{"value": "1", "head": "mood"}, {"value": "0"}])
@pytest.mark.parametrize("action", ["merge", "swap"])
def test_tracks_are_those_of_two_people_and_of_no_head(action, facts):
    with pytest.raises(ConfigError, match=f"^{action} needs another person as value, and no head$"):
        Correction("clip", action, "0", **facts)
