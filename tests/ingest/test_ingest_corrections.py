"""``ingest --corrections``: sequences come out as corrected; a recording whose corrections changed is read again."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from skelemo.cache.corrections import Correction, add, read_corrections, undo
from skelemo.cache.store import Cache, open_cache
from skelemo.data.corpus import load_corpus
from skelemo.data.corrected import correct
from skelemo.errors import InputError
from skelemo.ingest.plan import Settings, make_plan
from skelemo.ingest.result import Tally
from skelemo.ingest.run import ingest

LEFT, RIGHT = (100.0, 100.0), (500.0, 100.0)


@pytest.fixture
def source(tmp_path, write_recording) -> Path:
    """Two people in the same six frames of ``pair`` (the second is away in frame 4), one in ``solo``."""
    write_recording("pair", [[LEFT, RIGHT]] * 4 + [[LEFT], [LEFT, RIGHT]])
    write_recording("solo", [[LEFT]] * 4)
    (tmp_path / "labels.csv").write_text(
        "video,person,start,end,label\npair,0,0,5,happy\npair,1,0,5,sad\nsolo,,0,3,happy\n"
    )
    return tmp_path / "json"


def corrected(source: Path, *rows: Correction, person: str = "auto", replace: bool = True) -> tuple[Tally, Cache, str]:
    """Ingest with corrections, added to the table of the cache."""
    out = source.parent / "cache"
    out.mkdir(exist_ok=True)
    add(out / "corrections.csv", rows, author="ann")
    return again(source, person=person, replace=replace)


def again(source: Path, *, person: str = "auto", replace: bool = True) -> tuple[Tally, Cache, str]:
    out = source.parent / "cache"
    labels = None if person == "all" else f"table:{source.parent / 'labels.csv'}"
    settings = Settings(person=person, corrections=out / "corrections.csv")
    plan = make_plan(source, out, labels, settings, replace=replace)
    return ingest(plan), open_cache(out), dict(plan.facts)["corrections"]


def by_id(cache: Cache) -> dict[str, dict[str, np.ndarray]]:
    """By sequence: x of the nose (0 where missing), frame numbers, and classes where there are any."""
    frames, found = cache.read(), {}
    for name, start, length in zip(*(cache.sequences[column] for column in ("id", "start", "length")), strict=True):
        rows = slice(start, start + length)
        found[name] = {"x": frames.keypoints[rows, 0, 0], "number": frames.number[rows]}
        found[name] |= {head: labels[rows] for head, labels in frames.labels.items()}
    return found


def test_labels_are_set_removed_and_counted(source):
    _, cache, summary = corrected(
        source,
        Correction("pair", "set", "0", 1, 2, "expression", "fear"),
        Correction("pair", "wrong", "1", 4),
        Correction("gone", "wrong"),
    )
    found, classes = by_id(cache), cache.heads[0].outputs
    names = {name: [classes[k] if k >= 0 else "" for k in one["expression"]] for name, one in found.items()}
    assert names["pair_0"] == ["happiness", "fear", "fear", "happiness", "happiness", "happiness"]
    assert names["pair_1"] == ["sadness"] * 4 + ["", ""]
    assert names["solo"] == ["happiness"] * 4
    assert "3 corrections by 1 author (corrections.csv, hash " in summary
    assert summary.endswith("1 for recordings not in these data)")


def test_a_swap_exchanges_keypoints_but_not_labels(source):
    before = by_id(corrected(source)[1])
    _, cache, _ = corrected(source, Correction("pair", "swap", "0", 3, value="1"))
    found = by_id(cache)
    left, right = before["pair_0"]["x"], before["pair_1"]["x"]
    assert (left != right).all(), "the scene is what it should be"
    assert found["pair_0"]["x"].tolist() == [*left[:3], *right[3:]]
    assert found["pair_1"]["x"].tolist() == [*right[:3], *left[3:]]
    assert found["pair_1"]["x"][4] == left[4], "frame 4 shows one person only"
    assert found["pair_0"]["x"][4] == 0
    for name in ("pair_0", "pair_1"):
        assert found[name]["expression"].tolist() == before[name]["expression"].tolist()


def test_training_accepts_a_cache_with_corrected_tracks(source):
    _, cache, _ = corrected(source, Correction("pair", "swap", "0", 3, value="1"))
    table = source.parent / "cache" / "corrections.csv"
    assert correct(load_corpus(cache), cache, read_corrections(table))[1]["count"] == 1
    corrected(source, Correction("solo", "wrong"))  # another shard is written, with both in force
    cache = open_cache(table.parent)
    assert correct(load_corpus(cache), cache, read_corrections(table))[1]["applied"] == 1
    undo(table, [read_corrections(table).tracks[0].id])
    with pytest.raises(InputError, match="of tracks of 'pair' was undone after cache was ingested"):
        correct(load_corpus(cache), cache, read_corrections(table))


def test_a_merge_fills_frames_in_which_a_person_is_invisible(tmp_path, write_recording):
    write_recording("walk", [[LEFT, RIGHT]] * 20 + [[LEFT]] * 60 + [[LEFT, (900.0, 400.0)]] * 20)
    source = tmp_path / "json"
    before = by_id(corrected(source, person="all")[1])
    assert sorted(before) == ["walk_person0", "walk_person1", "walk_person2"]
    late, early = sorted(("walk_person1", "walk_person2"), key=lambda name: -before[name]["number"][0])
    who = {name: name.removeprefix("walk_") for name in (late, early)}
    tally, cache, _ = corrected(source, Correction("walk", "merge", who[early], value=who[late]), person="all")
    found = by_id(cache)
    assert sorted(found) == sorted(["walk_person0", early])
    assert found[early]["number"].tolist() == list(range(100)), "from the first to the last frame that shows the person"
    assert found[early]["x"].tolist() == [*before[early]["x"], *[0] * 60, *before[late]["x"]]
    assert tally.failures == []


def test_only_recordings_with_changed_corrections_are_read_again(source):
    corrected(source)
    assert again(source)[0].recordings == 0
    tally, cache, _ = corrected(source, Correction("pair", "wrong", "0", note="blurred"))
    assert tally.recordings == 1
    assert again(source)[0].recordings == 0
    corrected_hash = cache.hash
    row = add(source.parent / "cache" / "corrections.csv", [Correction("solo", "wrong")])[0]
    assert again(source)[0].recordings == 1
    undo(source.parent / "cache" / "corrections.csv", [row.id])
    tally, cache, _ = again(source)
    assert (tally.recordings, cache.hash) == (1, corrected_hash), "as it was"


def test_without_replace_a_changed_sequence_is_refused(source):
    corrected(source)
    tally, _, _ = corrected(source, Correction("solo", "wrong"), replace=False)
    assert [failure.file for failure in tally.failures] == ["solo"]
    assert "--replace" in tally.failures[0].reason


def test_corrections_of_unknown_people_are_noted(source):
    tally, cache, _ = corrected(
        source, Correction("pair", "swap", "0", value="7"), Correction("solo", "wrong", "left"),
        Correction("solo", "wrong", "", first=90),
    )  # fmt: skip
    assert sum("not applied: " in note and note.endswith("does not occur") for note in tally.notes) == 2
    assert any("is outside its frames" in note for note in tally.notes)
    assert len(cache.sequences) == 3


def test_an_unknown_class_is_refused_before_reading(source):
    with pytest.raises(InputError, match="unknown class of expression 'hapiness': did you mean 'happiness'"):
        corrected(source, Correction("pair", "set", "0", head="expression", value="hapiness"))


def test_a_clip_label_is_corrected_for_the_whole_clip(source):
    (source.parent / "labels.csv").write_text("video,person,label\npair,0,happy\npair,1,sad\nsolo,,happy\n")
    _, cache, _ = corrected(source, Correction("solo", "set", first=2, last=2, head="expression", value="anger"))
    assert {cache.heads[0].outputs[k] for k in by_id(cache)["solo"]["expression"]} == {"anger"}


def test_the_command_reports_corrections_and_refuses_a_damaged_table(source, tmp_path):
    table = tmp_path / "mine.csv"
    add(table, [Correction("solo", "wrong")], author="ann")
    command = [
        sys.executable,
        "-m",
        "skelemo",
        "ingest",
        str(source),
        "--out",
        str(tmp_path / "c"),
        "--corrections",
        table,
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=None, check=True)
    assert "1 correction by 1 author (mine.csv" in done.stdout.replace("\n", " ").replace("  ", " ")
    shown = subprocess.run(
        [sys.executable, "-m", "skelemo", "cache", "info", str(tmp_path / "c"), "--json"],
        capture_output=True,
        text=True,
    )
    assert "1 correction by 1 author" in json.dumps(json.loads(shown.stdout), ensure_ascii=False)
    table.write_text("video,wrong\n")
    refused = subprocess.run([*command[:6], str(tmp_path / "d"), *command[7:]], capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "d").exists()
