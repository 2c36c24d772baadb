"""Inputs that a function refuses, each in one line that says what was expected."""

from dataclasses import replace

import pytest

from skelemo.annotations.table_groups import read_column
from skelemo.cache.corrections import Correction, add, read_corrections
from skelemo.errors import ConfigError, InputError
from skelemo.skeleton import BODY_25, FACE_70, register_layout
from skelemo.skeleton.layout import layout


@pytest.mark.parametrize(
    ("name", "parts", "said"),
    [
        ("of two words", [replace(BODY_25, name="mine")], "layout 'of two words': expected a name of letters"),
        ("empty", [], "layout 'empty': expected a name of letters, digits and _, and different parts"),
        ("twice", [replace(BODY_25, name="mine")] * 2, "layout 'twice': expected .* different parts"),
        ("mine", [BODY_25], "layout 'mine': the part 'body_25' is already in the layout 'body_25'"),
        (
            "pair",
            [replace(BODY_25, name="left", twin="right"), replace(FACE_70, name="right", twin="left")],
            "layout 'pair': left and its twin right differ in length",
        ),
    ],
)
def test_a_layout_that_cannot_be_is_not_registered(name, parts, said):
    with pytest.raises(ConfigError, match=said):
        register_layout(name, *parts)
    with pytest.raises(ConfigError):
        layout(name)


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("clip,mood\na,glad\n", InputError, "no column 'video' among clip, mood"),
        ("video,mood\na,glad\n", ConfigError, "unknown column of .* 'moods': did you mean 'mood'"),
        ("video,moods\na,\n", InputError, "column 'moods' has 0 different words; expected 1 to"),
        (
            "video,moods\na,glad\na,sad\n",
            InputError,
            "lines 2 and 3: moods is 'glad' and 'sad' for 'a'; expected one",
        ),
    ],
)
def test_a_column_that_does_not_label_videos_is_refused(tmp_path, text, error, said):
    file = tmp_path / "labels.csv"
    file.write_text(text)
    with pytest.raises(error, match=said):
        read_column(file, "moods")


def test_a_column_labels_each_video_once_with_the_words_in_natural_order(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("video,person,take\nb,,take 10\na,,take 9\nb,,take 10\nc,,\n")
    found = read_column(file, "take")
    (head,) = found.heads
    assert head.outputs == ("take 9", "take 10")
    assert {one.video: head.outputs[one.labels["take"][0]] for one in found.items} == {"b": "take 10", "a": "take 9"}


def test_corrections_are_not_written_where_there_is_no_folder(tmp_path):
    with pytest.raises(ConfigError, match="the folder does not exist"):
        add(tmp_path / "gone" / "corrections.csv", [Correction("clip", "wrong")])
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda line: line.replace(",wrong,", ",wring,"), "line 2: .*wring"),
        (lambda line: line + ",more", r"line 2: \d+ fields; expected \d+"),
        (lambda line: "," + line.partition(",")[2], "line 2: expected an id and a time"),
    ],
)
def test_a_damaged_line_of_corrections_is_named(tmp_path, change, said):
    file = tmp_path / "corrections.csv"
    add(file, [Correction("clip", "wrong")])
    title, line = file.read_text().splitlines()
    file.write_text(f"{title}\n{change(line)}\n")
    with pytest.raises((ConfigError, InputError), match=said):
        read_corrections(file)
    with pytest.raises(InputError, match=r"other\.csv: no such table of corrections"):
        read_corrections(tmp_path / "other.csv")
