"""``--replace``: what has changed takes the place of what the cache has, and killed in between nothing is spoilt."""

import os
from pathlib import Path

import pytest

from skelemo.cache.store import Cache, open_cache
from skelemo.ingest import batching as batching_module
from skelemo.ingest import replace as replace_module
from skelemo.ingest.plan import Settings, make_plan
from skelemo.ingest.result import Tally
from skelemo.ingest.run import ingest


@pytest.fixture
def clips(tmp_path, write_recording, monkeypatch) -> Path:
    """Six recordings in three shards."""
    monkeypatch.setattr(batching_module, "GROUP_FILES", 8)
    for number in range(6):
        write_recording(f"clip {number}", [[(100.0, 100.0 + number)]] * 4)
    ingest(make_plan(tmp_path / "json", tmp_path / "cache", None, Settings()))
    return tmp_path / "json"


def again(source: Path, labels: str | None = None, jobs: int = 1, **settings: object) -> tuple[Tally, Cache]:
    out = source.parent / "cache"
    plan = make_plan(source, out, labels, Settings(**settings), replace=True)  # type: ignore[arg-type]
    return ingest(plan, jobs=jobs), open_cache(out)


def fresh(source: Path, labels: str | None = None, **settings: object) -> Cache:
    out = source.parent / "fresh"
    ingest(make_plan(source, out, labels, Settings(**settings)))  # type: ignore[arg-type]
    return open_cache(out)


def test_changed_files_replace_their_sequence_and_nothing_else_is_read(clips, write_recording):
    write_recording("clip 2", [[(300.0, 100.0)]] * 4)
    tally, cache = again(clips)
    assert (tally.recordings, tally.failures) == (1, [])
    assert cache.hash == fresh(clips).hash
    assert len(cache.shards) == 4, "three, of which one without the outdated, and the new one"
    assert again(clips)[0].recordings == 0
    assert sorted(path.name for path in (clips.parent / "cache").iterdir() if path.suffix != ".h5") == [
        ".lock",
        "problems.csv",
    ]


@pytest.mark.parametrize("jobs", [1, 2])
def test_changed_labels_replace_all_their_sequences(clips, jobs):
    (clips.parent / "labels.csv").write_text("video,label\nclip 1,happy\nclip 4,sad\n")
    labels = f"table:{clips.parent / 'labels.csv'}"
    tally, cache = again(clips, labels, jobs=jobs)
    assert tally.recordings == 2
    assert cache.hash == fresh(clips, labels).hash


def test_sequences_that_no_longer_result_are_removed(clips):
    tally, cache = again(clips, person="left")
    assert tally.recordings == 6
    assert cache.hash == fresh(clips, person="left").hash
    assert set(cache.sequences["id"]) == {f"clip {number}_left" for number in range(6)}


@pytest.mark.parametrize(
    ("labels", "others"),
    [("clip 1,left,happy", "clip 1,left,happy\nclip 1,right,sad"), ("clip 1,,", "clip 1,,happy")],
)
def test_restored_labels_restore_the_cache(clips, write_recording, labels, others):
    """Also where nothing of what was there first had to go for the others."""
    write_recording("clip 1", [[]] * 4)
    (clips.parent / "labels.csv").write_text(f"video,person,label\n{labels}\nclip 2,,sad\n")
    (clips.parent / "others.csv").write_text(f"video,person,label\n{others}\nclip 2,,sad\n")
    tables = [f"table:{clips.parent / name}" for name in ("labels.csv", "others.csv")]
    before = again(clips, tables[0])[1].hash
    changed = again(clips, tables[1])[1].hash
    tally, cache = again(clips, tables[0])
    assert cache.hash == before != changed
    assert (tally.recordings, again(clips, tables[0])[0].recordings) == (1, 0)


def test_recordings_without_people_survive_the_replacement_of_others(tmp_path, write_recording):
    for name, frames in (("a", [[(100.0, 100.0)]] * 4), ("nobody", [[]] * 4)):
        write_recording(name, frames)
    (tmp_path / "json" / "nobody_000000000002_keypoints.json").write_text("{")
    (tmp_path / "json" / "a_000000000002_keypoints.json").write_text("{")
    again(tmp_path / "json")
    write_recording("a", [[(300.0, 100.0)]] * 4)
    _, cache = again(tmp_path / "json")
    assert sorted(cache.recordings["source"]) == ["a", "nobody"]
    assert cache.problems["file"].tolist() == ["nobody_000000000002_keypoints.json"]
    assert again(tmp_path / "json")[0].recordings == 0


def test_touched_files_replace_nothing(clips):
    before = {path.name for path in (clips.parent / "cache").glob("*.h5")}
    for file in clips.iterdir():
        os.utime(file, ns=(1, 1))
    tally, _ = again(clips)
    assert tally.recordings == 6
    assert before <= {path.name for path in (clips.parent / "cache").glob("*.h5")}
    assert again(clips)[0].recordings == 0


def test_a_sequence_of_another_recording_is_never_replaced(clips, tmp_path, write_recording):
    write_recording("clip", [[(1.0, 2.0)]] * 4, folder="other")
    (tmp_path / "l.csv").write_text("video,person,label\nclip,left,happy\n")
    write_recording("clip_left", [[(1.0, 2.0)]] * 4)
    again(clips)
    plan = make_plan(tmp_path / "other", tmp_path / "cache", f"table:{tmp_path / 'l.csv'}", Settings(), replace=True)
    (failure,) = ingest(plan).failures
    assert "it belongs to another recording" in failure.reason
    assert len(open_cache(tmp_path / "cache").sequences) == 7


@pytest.mark.parametrize("moment", ["extract", "unlink", "replace"])
def test_a_cache_killed_while_replacing_is_readable_and_repaired_by_the_next_ingest(
    clips, write_recording, monkeypatch, moment
):
    for number in range(6):
        write_recording(f"clip {number}", [[(300.0, 100.0 + number)]] * 4)
        if number % 2:
            write_recording(f"clip {number}", [[(100.0, 100.0 + number)]] * 4)

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if moment == "extract":
            patch.setattr(replace_module, "extract", die)
        elif moment == "unlink":
            unlink = Path.unlink
            patch.setattr(
                Path, "unlink", lambda one, *said, **how: (die if one.suffix == ".h5" else unlink)(one, *said, **how)
            )
        else:
            place = os.replace
            patch.setattr(os, "replace", lambda one, other: die() if "-stage" in str(one.parent) else place(one, other))
        with pytest.raises(Killed):
            again(clips)
    open_cache(clips.parent / "cache")
    tally, cache = again(clips)
    assert tally.failures == []
    assert cache.hash == fresh(clips).hash
