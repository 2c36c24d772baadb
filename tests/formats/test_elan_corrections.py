"""Labels to ELAN and back as corrections."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from small_caches import BODY, a_cache, a_sequence

from skelemo.cache.corrections import Correction, Corrections, add, read_corrections
from skelemo.cache.shard import Header
from skelemo.cache.store import Cache, open_cache
from skelemo.cli import main
from skelemo.errors import ConfigError, InputError
from skelemo.formats.elan import export_elan, import_elan, read_eaf
from skelemo.targets import Head

NONE = Corrections(Path("none.csv"))
MOODS = np.repeat(np.array([0, 1, -1, 2], np.int16), 10)  # glad, sad, nothing, calm, ten frames each


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Four seconds of two people at ten frames per second; the second has no values."""
    values = {"valence": np.repeat(np.float32([-0.5, 0.25, np.nan, 1]), 10), "arousal": np.zeros(40, np.float32)}
    one = a_sequence("talk_left", 40, video="talk", person="left", fps=10.0, expression=MOODS, **values)
    other = a_sequence("talk_right", 40, video="talk", person="right", fps=10.0, labels={"expression": MOODS[::-1]})
    return open_cache(a_cache(tmp_path / "cache", one, other, header=BODY))


def changed(path: Path, old: str, new: str, times: int = 1) -> Path:
    text = path.read_text()
    assert text.count(old) >= times
    path.write_text(text.replace(old, new, times))
    return path


def test_tiers_have_the_labels_of_each_person_as_corrected(cache, tmp_path):
    rows = (Correction("talk", "set", "left", 5, 14, "expression", "calm", id="abcd"),)
    assert export_elan(cache, Corrections(Path("c.csv"), rows), tmp_path / "talk.eaf") == 2
    tiers = read_eaf(tmp_path / "talk.eaf")
    assert tiers["left expression"] == [
        (0, 500, "glad"), (500, 1500, "calm"), (1500, 2000, "sad"), (3000, 4000, "calm"),
    ]  # fmt: skip
    assert tiers["right expression"] == [(0, 1000, "calm"), (2000, 3000, "sad"), (3000, 4000, "glad")]
    assert tiers["left valence"] == [(0, 1000, "-0.500"), (1000, 2000, "0.250"), (3000, 4000, "1.000")]
    assert ElementTree.parse(tmp_path / "talk.eaf").getroot().tag == "ANNOTATION_DOCUMENT"


def test_a_given_frame_rate_replaces_the_caches(cache, tmp_path):
    export_elan(cache, NONE, tmp_path / "talk.eaf", fps=20)  # ten frames are half a second instead of one
    assert read_eaf(tmp_path / "talk.eaf")["left expression"] == [
        (0, 500, "glad"),
        (500, 1000, "sad"),
        (1500, 2000, "calm"),
    ]


@pytest.mark.parametrize("fps", [0, 24, 60])  # at 24, frame 19 ends at 792 + 42 ms, and frame 20 starts at 833 ms
def test_an_unchanged_file_has_no_corrections(cache, tmp_path, fps):
    export_elan(cache, NONE, tmp_path / "talk.eaf", fps=fps)
    assert import_elan(cache, NONE, tmp_path / "talk.eaf", fps=fps).corrections == ()


def test_changes_are_imported_as_corrections(cache, tmp_path):
    path = tmp_path / "talk.eaf"
    export_elan(cache, NONE, path)
    changed(path, ">glad<", ">wrong<")  # left, 0 to 1 s
    changed(path, ">-0.500<", ">0.125<")
    text = path.read_text()  # left, calm begins a second and a half earlier, where sad now ends
    for word, end, time in (("calm", 1, 3000), ("sad", 2, 2000)):
        slot = text[: text.index(f">{word}<")].rpartition(f'TIME_SLOT_REF{end}="')[2].split('"')[0]
        changed(path, f'TIME_SLOT_ID="{slot}" TIME_VALUE="{time}"', f'TIME_SLOT_ID="{slot}" TIME_VALUE="1500"')
    found = import_elan(cache, NONE, path)
    told = [(one.person, one.action, one.first, one.last, one.head, one.value) for one in found.corrections]
    assert sorted(told) == [
        ("left", "set", 0, 9, "va", "0.125 -"),
        ("left", "set", 15, 29, "expression", "calm"),
        ("left", "wrong", 0, 9, "expression", ""),
    ]
    assert (found.notes, {one.video for one in found.corrections}) == ((), {"talk"})
    again = tuple(add(tmp_path / "corrections.csv", found.corrections))
    assert import_elan(cache, Corrections(Path("c.csv"), again), path).corrections == ()


def test_flags_have_a_tier_each_and_are_corrected_one_by_one(tmp_path):
    """Four frames a second: a tier has the share of the labeled frames with the flag in each second."""
    units = Head("au", "flags", ("AU1", "AU2"))
    labels = {"au": np.array([[0, 0, 1, 1, 1, 1, 1, 1], [1, -1, 1, -1, -1, -1, -1, -1]], np.int8).T}
    one = a_sequence("talk", 8, labels=labels, fps=4.0)
    cache, file = open_cache(a_cache(tmp_path / "c", one, header=Header("body_25", (units,)))), tmp_path / "talk.eaf"
    assert export_elan(cache, NONE, file) == 1
    assert read_eaf(file) == {"AU1": [(0, 1000, "0.500"), (1000, 2000, "1.000")], "AU2": [(0, 750, "1.000")]}
    assert import_elan(cache, NONE, file).corrections == ()
    file.write_text(file.read_text().replace("0.500", "1"))
    (found,) = import_elan(cache, NONE, file).corrections
    assert (found.action, found.head, found.value, found.first, found.last) == ("set", "au", "1 -", 0, 3)
    file.write_text(file.read_text().replace(">1<", ">maybe<"))
    with pytest.raises(InputError, match=r"tier 'AU1', 0 ms: .*maybe"):
        import_elan(cache, NONE, file)


def test_tiers_of_other_names_are_counted_and_strange_words_refused(cache, tmp_path):
    path = tmp_path / "talk.eaf"
    export_elan(cache, NONE, path)
    changed(path, 'TIER_ID="left expression"', 'TIER_ID="speech"')
    note = import_elan(cache, NONE, path).notes[0]
    assert note.startswith("ignored tier 'speech' (3 annotations); expected 'left expression'")
    changed(path, ">sad<", ">blue<", 2)
    with pytest.raises(InputError, match="tier 'right expression', 2000 ms: unknown class of expression 'blue'"):
        import_elan(cache, NONE, path)


BOMB = '<!DOCTYPE a [<!ENTITY b "xxxxxxxxxx"><!ENTITY c "&b;&b;&b;&b;">]><ANNOTATION_DOCUMENT>&c;</ANNOTATION_DOCUMENT>'
FETCH = '<!DOCTYPE a SYSTEM "file:///etc/passwd"><ANNOTATION_DOCUMENT/>'


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (BOMB.encode(), "declares a document type"),
        (FETCH.encode(), "declares a document type"),
        (BOMB.encode("utf-16"), "declares a document type"),
        (b"<html/>", "the root is <html>"),
        (b'<?xml version="1.0" encoding="UTF-88"?><a/>', "unknown encoding: UTF-88"),
        (b'<?xml version="1.0" encoding="Shift_JIS"?><a/>', "multi-byte encodings are not supported"),
        (b"<ANNOTATION_DOCUMENT>", "no element found"),
        (b"\x00\x01", "not well-formed"),
        (b"", "no element found"),
        (b'<ANNOTATION_DOCUMENT><TIME_SLOT TIME_VALUE="-1"/></ANNOTATION_DOCUMENT>', "time slot at '-1'"),
        (b'<ANNOTATION_DOCUMENT><TIER><ALIGNABLE_ANNOTATION/></TIER></ANNOTATION_DOCUMENT>', "without a start"),
    ],
)  # fmt: skip
def test_a_hostile_file_is_a_one_line_error(tmp_path, content, found):
    path = tmp_path / "x.eaf"
    path.write_bytes(content)
    with pytest.raises(InputError, match=found) as error:
        read_eaf(path)
    assert "\n" not in str(error.value)


def test_a_recording_must_be_named_where_there_are_several_and_have_a_rate(tmp_path):
    cache = open_cache(a_cache(tmp_path / "c", a_sequence("one"), a_sequence("two")))
    for given, found in (
        ("", "has 2 recordings; .* --video, as in --video one"),
        ("six", "unknown recording of c 'six': choose from one, two"),
        ("two", "give --fps"),
    ):
        with pytest.raises(ConfigError, match=found):
            export_elan(cache, NONE, tmp_path / "x.eaf", video=given)
    assert not (tmp_path / "x.eaf").exists()


def test_the_verb_lists_and_exchanges(cache, tmp_path):
    def run(*words: str) -> str:
        done = CliRunner().invoke(main, ["cache", "corrections", str(tmp_path / "cache"), *words])
        assert done.exit_code == 0, done.output
        return done.output

    eaf = tmp_path / "talk.eaf"
    assert "labels of 2 people written" in run("--to", str(eaf))
    changed(eaf, ">glad<", ">unsure<")
    assert "1 correction added" in run("--from", str(eaf), "--author", "anna")
    assert "0 corrections added" in run("--from", str(eaf))
    row = read_corrections(tmp_path / "cache" / "corrections.csv").rows[0]
    assert (row.author, row.action) == ("anna", "unsure")
    told = run()
    assert "1 correction in effect" in told
    assert row.time[:16].replace("T", " ") in told
    assert CliRunner().invoke(main, ["cache", "corrections", str(tmp_path / "cache"), "--to", "x.csv"]).exit_code == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--file", "missing.csv"], "missing.csv: no such correction table"),
        (["--to", "no/a.eaf"], "the folder no does not exist"),
        (["--to", "a.eaf", "--film", "missing.mp4"], "missing.mp4: no such file; expected the video that ELAN opens"),
    ],
)
def test_a_missing_file_is_a_one_line_error(cache, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["cache", "corrections", "cache", *words])
    assert (done.exit_code, done.output.count("\n")) == (2, 1), done.output
    assert told in done.output
    assert not (tmp_path / "a.eaf").exists()
