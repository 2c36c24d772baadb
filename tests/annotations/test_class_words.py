"""Words in labels: spellings, misspellings, and the user's meanings."""

from pathlib import Path

import numpy as np
import pytest

from skelemo.annotations import Annotation, Annotations, read_annotations
from skelemo.annotations.class_names import Words, _distance, class_head
from skelemo.annotations.options import Options
from skelemo.annotations.registry import FORMATS, relabeled
from skelemo.errors import ConfigError, InputError
from skelemo.targets import EMOTIONS, Head


def options(*meanings: str, classes: str = "") -> Words:
    return Options.parse(classes, meanings).words


def classes_of(words: list[str], *meanings: str, classes: str = "") -> dict[str, str]:
    head, numbers, _ = class_head(words, "here", given=options(*meanings, classes=classes))
    return {word: head.outputs[number] if number >= 0 else "" for word, number in numbers.items()}


def test_words_that_differ_in_case_or_spacing_are_one_class() -> None:
    words = ["very happy", "Very_Happy", "VERY-HAPPY", "veryhappy", "very happy", "calm", " Calm"]
    assert classes_of(words) == {
        **dict.fromkeys(["very happy", "Very_Happy", "VERY-HAPPY", "veryhappy"], "very happy"),
        **dict.fromkeys(["calm", " Calm"], "Calm"),
    }
    assert classes_of(["take 1-2", "take_1_2", "take 12"])["take 12"] == "take 12"  # separators between digits count
    assert set(classes_of(["Happy", "SAD ", "An-gry"]).values()) == {"happiness", "sadness", "anger"}


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("angerr", "anger"),
        ("hapiness", "happiness"),
        ("suprised", "surprised"),
        ("neutrl", "neutral"),
        ("Discust", "disgust"),
        ("feer", "fear"),
        ("unhappy", "happy"),
    ],
)
def test_a_misspelled_emotion_is_queried(word: str, meant: str) -> None:
    with pytest.raises(InputError) as error:
        classes_of(["happy", "sad", word])
    assert f"{word!r}: did you mean {meant}? 1 row" in str(error.value)
    assert f"--map {word}={meant}" in str(error.value)
    assert f"--classes {','.join(sorted(['happy', 'sad', word], key=str.lower))}" in str(error.value)
    assert classes_of(["happy", "sad", word], f"{word}={meant}")[word] in EMOTIONS
    assert classes_of(["happy", "sad", word], f"{word}={word}")[word] == word
    assert classes_of(["happy", "sad", word], classes=f"happy,sad,{word}")[word] == word


def test_a_misspelled_emotion_among_other_words_is_queried_if_it_is_close() -> None:
    with pytest.raises(InputError, match=r"'angerr': did you mean anger\? 2 rows"):
        classes_of(["angerr", "angerr"])
    assert set(classes_of(["bear", "mother", "wave", "kick1", "kick2", "sitting"])) == {
        *("bear", "mother", "wave", "kick1", "kick2", "sitting")
    }


def test_a_rare_word_close_to_a_frequent_one_is_queried() -> None:
    with pytest.raises(InputError, match=r"'walkng': did you mean walking\? 1 row"):
        classes_of(["walking"] * 10 + ["walkng"])
    assert len(set(classes_of(["walking"] * 9 + ["walkings"]).values())) == 2


def test_other_words_beside_emotions_are_classes_and_noted() -> None:
    head, _, notes = class_head(["happy", "calm", "calm"], "labels.csv")
    assert head.outputs == ("calm", "happy")
    assert notes == (
        "labels.csv: 'calm' (2 rows): none of the seven emotions; classes are the words themselves (calm, happy) "
        "(see --map)",
    )
    seven = class_head([*EMOTIONS, "calm", "Joy"], "here")
    assert (seven.head.name, seven.head.outputs) == ("expression", (*EMOTIONS, "calm"))
    assert seven.numbers["Joy"] == 0


def test_words_of_another_language_are_mapped_or_dropped() -> None:
    german = ["froh", "traurig", "Wut", "unklar"]
    meanings = ("froh=happiness", "traurig=sad", "WUT=angry", "unklar=")
    assert classes_of(german, *meanings) == {"froh": "happiness", "traurig": "sadness", "Wut": "anger", "unklar": ""}
    assert classes_of(["0", "1"], "0=happy", "1=sad") == {"0": "happiness", "1": "sadness"}
    with pytest.raises(InputError, match="here: no row has a label after --map"):
        classes_of(["x"], "x=")
    assert classes_of(["walk", "-1"]) == {"walk": "walk", "-1": ""}


def test_given_classes_exclude_others_and_keep_their_order() -> None:
    assert class_head(["b", "A"], "here", given=options(classes="b,c,a")).head.outputs == ("b", "c", "a")
    assert classes_of(["Joy", "SAD"], classes="happy,sad") == {"Joy": "happy", "SAD": "sad"}
    assert class_head(
        ["sad"], "here", given=options(classes="sad,happy,anger,fear,disgust,surprise,neutral")
    ).head == Head("expression", "classes", EMOTIONS)
    with pytest.raises(InputError, match=r"'hapy' is none of the classes happy, sad: did you mean happy\? 1 row"):
        classes_of(["hapy"], classes="happy,sad")
    with pytest.raises(ConfigError, match="expected distinct names"):
        classes_of(["x"], classes="a b,A_b")


def test_numbers_count_the_given_classes_from_0_or_from_1() -> None:
    assert classes_of(["0", "2"], classes="a,b,c") == {"0": "a", "2": "c"}
    assert classes_of(["1", "3"], classes="a,b,c") == {"1": "a", "3": "c"}
    with pytest.raises(InputError, match="numbers without 0 and 3, so the 3 classes may count from 0 or from 1"):
        classes_of(["1", "2"], classes="a,b,c")
    with pytest.raises(InputError, match="'3': expected a number from 0 to 2"):
        classes_of(["0", "3"], classes="a,b,c")
    assert classes_of(["0", "1"], classes="1,0") == {"0": "0", "1": "1"}


@pytest.mark.parametrize(
    ("word", "other", "distance"),
    [
        ("", "", 0),
        ("sad", "sad", 0),
        ("sad", "mad", 1),
        ("angry", "angr", 1),
        ("kitten", "sitting", 3),
        ("abc", "cab", 2),
    ],
)
def test_the_distance_of_words_is_counted_up_to_a_limit(word: str, other: str, distance: int) -> None:
    for most in range(5):
        assert _distance(word, other, most) == _distance(other, word, most) == min(distance, most + 1)


def test_a_word_far_from_emotions_is_a_class_and_a_near_one_is_queried_only_beside_emotions() -> None:
    assert classes_of(["happy", "sad", "harp"])["harp"] == "harp", "two letters of four are too many"
    assert set(classes_of(["hungry", "thirsty"]).values()) == {"hungry", "thirsty"}
    with pytest.raises(InputError, match=r"'hungry': did you mean angry\?"):
        classes_of(["hungry", "sad"])


def test_what_a_cache_records_of_the_options_is_what_was_given() -> None:
    assert Options.parse().kept() == Options.parse().given() == {}
    options = Options.parse("sad, happy", ["froh=happy"], "seconds", "1:9")
    assert options.kept() == {
        "classes": ["sad", "happy"],
        "map": {"froh": "happy"},
        "va_scale": "1:9",
        "unit": "seconds",
    }
    assert options.given() == {"words": "--classes or --map", "unit": "--unit", "va_scale": "--va-scale"}


@pytest.mark.parametrize(
    ("meanings", "message"),
    [
        (["froh"], "--map 'froh': expected WORD=CLASS"),
        (["=x"], "--map =x: expected a word before the ="),
        (["a=x", "A=y"], "--map A=y: 'a' is already mapped to 'x'"),
    ],
)
def test_invalid_or_contradicting_meanings_are_refused(meanings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        options(*meanings)


def test_mapped_words_are_reported_and_unused_meanings_noted(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("video,label\na,froh\nb,Happy\nc,froh\nd,sadness\n")
    options = Options.parse("", {"Froh": "happiness", "wut": "anger"})
    found = read_annotations("table", tmp_path, options=options)
    assert found.read_as == (("froh", "happiness", 2), ("Happy", "happiness", 1))
    assert found.notes == ("--map wut=anger: no label is 'wut'",)


def test_misspellings_are_reported_with_line_in_any_column(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("video,label\na,happy\nb,sad\nc,angerr\nd,angerr\n")
    with pytest.raises(InputError, match=r"labels.csv: 'angerr' \(line 4\): did you mean anger\? 2 rows"):
        read_annotations("table", tmp_path)
    table.write_text("video,felt\na,happy\nb,happy\nc,angerr\nd,angerr\n")
    with pytest.raises(InputError, match=r"'angerr' \(line 4\): did you mean anger\?"):
        read_annotations("table", tmp_path)
    felt = read_annotations("table", tmp_path, options=Options.parse("", ["angerr=anger"]))
    assert [item.labels["felt"].tolist() for item in felt.items] == [[0], [0], [3], [3]]


def test_given_classes_apply_to_the_only_column_of_words(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("video,mood,pain\na,calm,1\nb,calm,2\nc,wild,3\nd,wild,1\n")
    found = read_annotations("table", tmp_path, options=Options.parse("wild,calm"))
    assert [head.outputs for head in found.heads] == [("wild", "calm"), ("pain",)]
    with pytest.raises(InputError, match=r"'wild' \(line 4\) is none of the classes calm"):
        read_annotations("table", tmp_path, options=Options.parse("calm"))
    table.write_text("video,pain\na,1\nb,2\n")
    with pytest.raises(InputError, match="--classes needs a column label or one other column of words, found none"):
        read_annotations("table", tmp_path, options=Options.parse("wild,calm"))


def test_given_classes_apply_to_the_label_alone_and_meanings_to_every_column(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("video,label,room\na,sad,dark\nb,happy,dark\nc,sad,light\nd,sad,light\n")
    found = read_annotations("table", tmp_path, options=Options.parse("sad,happy", ["light=bright"]))
    assert [(head.name, head.outputs) for head in found.heads] == [
        ("label", ("sad", "happy")),
        ("room", ("bright", "dark")),
    ]


def test_class_folders_are_words(tmp_path: Path) -> None:
    recordings = [("x", "froh/x"), ("y", "SAD/y"), ("z", "hapy/z")]
    with pytest.raises(InputError, match=r"'hapy': did you mean happy\? 1 recording"):
        read_annotations("folders", tmp_path, recordings)
    options = Options.parse("", ["hapy=happy", "froh=happy"])
    found = read_annotations("folders", tmp_path, recordings, options)
    assert [EMOTIONS[item.labels["expression"][0]] for item in found.items] == ["happiness", "sadness", "happiness"]


@pytest.mark.parametrize("soft", [False, True])
def test_classes_of_any_format_can_be_combined_or_dropped(tmp_path: Path, soft: bool) -> None:
    given = np.eye(7, dtype=np.float32) if soft else np.arange(7, dtype=np.int16)
    given = np.concatenate([given, given[:1] * np.nan if soft else [-1]]).astype(given.dtype)

    def read(path: Path, source: Path, recordings: object) -> Annotations:
        head = Head("expression", "classes", EMOTIONS)
        return Annotations((head,), (Annotation("v", {"expression": given}, "file", np.arange(8)),))

    FORMATS.add("plain", read)
    try:
        options = Options.parse("", ["fear=surprise", "neutral="])
        found = read_annotations("plain", tmp_path, options=options)
        only = Options.parse("happy,sad,fear", ["neutral=", "anger=", "surprise=", "disgust="])
        three = read_annotations("plain", tmp_path, options=only)
    finally:
        del FORMATS._entries["plain"]
    assert (found.heads[0].outputs, three.heads[0].outputs) == (EMOTIONS, ("happy", "sad", "fear"))
    numbers = [0, 1, -1, 3, 4, 5, 4, -1]
    expected = np.array([np.eye(7)[n] if n >= 0 else [np.nan] * 7 for n in numbers]) if soft else numbers
    np.testing.assert_array_equal(found.items[0].labels["expression"], expected)
    assert three.items[0].labels["expression"].shape == ((8, 3) if soft else (8,))


def test_given_classes_may_omit_classes_without_labels(tmp_path: Path) -> None:
    given = Annotations(
        (Head("expression", "classes", EMOTIONS),), (Annotation("v", {"expression": np.array([1])}, "f"),)
    )
    changed = relabeled(given, options(classes="happy,sad"), "here")
    assert (changed.heads[0].outputs, changed.items[0].labels["expression"].tolist()) == (("happy", "sad"), [1])


def test_shares_of_a_dropped_class_are_distributed(tmp_path: Path) -> None:
    shares = np.array([[0.5, 0, 0.5, 0, 0, 0, 0]], np.float32)
    found = Annotations((Head("expression", "classes", EMOTIONS),), (Annotation("v", {"expression": shares}, "f"),))
    changed = relabeled(found, options("neutral="), "here").items[0].labels["expression"]
    assert changed.tolist() == [[1, 0, 0, 0, 0, 0, 0]]


def test_a_function_of_any_module_is_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "forms.py").write_text(
        "from skelemo.annotations import Annotation, Annotations\n"
        "from skelemo.annotations.class_names import class_head\n"
        "def words(path, source, recordings, *, words):\n"
        "    head, numbers, _ = class_head(['wave'], path, given=words)\n"
        "    return Annotations((head,), (Annotation(path.name, {}, 'f'),))\n"
        "def nothing(path, source, recordings): return None\n"
        "def broken(path, source, recordings):\n"
        "    return path.upper()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    FORMATS.names()
    monkeypatch.setattr(FORMATS, "_entries", dict(FORMATS._entries))
    found = read_annotations(f"lab.forms:words:{tmp_path}", tmp_path, options=Options.parse("", ["wave=hello"]))
    assert (found.heads[0].outputs, found.items[0].video) == (("hello",), tmp_path.name)
    assert read_annotations("lab.forms:words", tmp_path).items[0].video == tmp_path.name
    with pytest.raises(ConfigError, match=r"'lab.forms:nothing' returned NoneType; expected skelemo's Annotations"):
        read_annotations("lab.forms:nothing", tmp_path)
    with pytest.raises(ConfigError, match=r"failed at .*forms.py, line 8: AttributeError: 'PosixPath' object"):
        read_annotations("lab.forms:broken", tmp_path)
    with pytest.raises(ConfigError, match=r"label format 'lab.forms:gone' cannot be imported"):
        read_annotations("lab.forms:gone", tmp_path)
    with pytest.raises(ConfigError, match=r"unknown label format 'tabel': did you mean 'table'\?"):
        read_annotations("tabel:labels.csv", tmp_path)
    with pytest.raises(ConfigError, match=r"format folders have fixed units: --va-scale is not supported"):
        read_annotations("folders", tmp_path, options=Options.parse(va_scale="1:9"))


def test_given_classes_leave_a_head_alone_that_labels_no_frame(tmp_path: Path) -> None:
    moods, signs = Head("expression", "classes", EMOTIONS), Head("sign", "classes", ("hello", "thanks"))
    labels = {"expression": np.array([1]), "sign": np.array([-1])}
    changed = relabeled(Annotations((moods, signs), (Annotation("v", labels, "f"),)), options(classes="happy,sad"), "")
    assert [head.outputs for head in changed.heads] == [("happy", "sad"), ("hello", "thanks")]
    assert changed.items[0].labels["sign"].tolist() == [-1]
