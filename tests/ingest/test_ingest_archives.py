"""Archives come into a cache as the folders that they stand for."""

import os
import shutil
from pathlib import Path

import pytest

from skelemo.cache.store import open_cache
from skelemo.errors import InputError
from skelemo.ingest import batching as batching_module
from skelemo.ingest.plan import Plan, Settings, make_plan
from skelemo.ingest.run import ingest
from skelemo.openpose.unpacking import Stream

FORMATS = {".tar": "tar", ".tar.gz": "gztar", ".tar.xz": "xztar", ".tar.bz2": "bztar", ".zip": "zip"}


def plan_of(source: Path, out: str, labels: str | None = None, **options: object) -> Plan:
    return make_plan(source, source.parent / out, labels, Settings(), **options)  # type: ignore[arg-type]


@pytest.fixture
def classes(tmp_path, write_recording) -> Path:
    """Two classes: videos with stems, and frames that are named by their folder alone."""
    for emotion, x in (("happy", 100.0), ("sad", 300.0)):
        for number in range(3):
            write_recording(f"{emotion} {number}", [[(x, 100.0 + number)]] * 5, folder=f"plain/{emotion}")
    (tmp_path / "plain" / "fear").mkdir()
    for file in sorted((tmp_path / "plain" / "sad").glob("sad 0*")):
        shutil.copy(file, tmp_path / "plain" / "fear" / file.name.partition("_")[2])
    return tmp_path / "plain"


@pytest.mark.parametrize("ending", FORMATS)
def test_a_folder_of_archives_gives_the_cache_of_its_folders(classes, ending):
    packed = classes.parent / "packed"
    packed.mkdir()
    for folder in classes.iterdir():
        shutil.make_archive(str(packed / folder.name), FORMATS[ending], folder)
    ingest(plan_of(classes, "from folders", "folders"))
    tally = ingest(plan_of(packed, "from archives", "folders"))
    assert tally.failures == []
    cache = open_cache(classes.parent / "from archives")
    assert cache.hash == open_cache(classes.parent / "from folders").hash
    assert cache.read().labels["expression"].tolist().count(6) == 5, (
        "those without a stem have the class of their folder"
    )


def test_a_single_archive_gives_the_cache_of_its_folder(classes):
    shutil.make_archive(str(classes.parent / "all"), "gztar", classes)
    ingest(plan_of(classes, "from folders", "folders"))
    ingest(plan_of(classes.parent / "all.tar.gz", "from archive", "folders"), jobs=2)
    assert open_cache(classes.parent / "from archive").hash == open_cache(classes.parent / "from folders").hash


def test_unchanged_archives_are_skipped_and_changed_ones_read_again(classes):
    shutil.make_archive(str(classes.parent / "packed" / "all"), "tar", classes)
    packed = classes.parent / "packed"
    ingest(plan_of(packed, "cache"))
    assert (plan_of(packed, "cache").tasks, plan_of(packed, "cache").unchanged) == ((), 7)
    os.utime(packed / "all.tar", ns=(1, 1))
    assert plan_of(packed, "cache").unchanged == 0


def test_a_compressed_archive_of_many_groups_is_read_once(classes, monkeypatch):
    monkeypatch.setattr(batching_module, "GROUP_FILES", 5)
    shutil.make_archive(str(classes.parent / "all"), "gztar", classes)
    opened = []
    start = Stream.__init__
    monkeypatch.setattr(Stream, "__init__", lambda self, *rest: (opened.append(1), start(self, *rest))[1])
    plan = plan_of(classes.parent / "all.tar.gz", "cache")
    assert [len(job) for job in batching_module.jobs(plan.tasks)] == [7]
    tally = ingest(plan)
    assert (tally.recordings, len(tally.shards)) == (7, 7)
    assert len(opened) <= 4, "once for its list and once for its bytes; again only where recordings are interleaved"


def test_a_damaged_archive_does_not_stop_the_others(classes):
    shutil.make_archive(str(classes / "more"), "gztar", classes / "fear")
    whole = (classes / "more.tar.gz").read_bytes()
    (classes / "more.tar.gz").write_bytes(whole[: len(whole) // 2])
    tally = ingest(plan_of(classes, "cache"))
    assert [(failure.file, "is truncated" in failure.reason) for failure in tally.failures] == [("more.tar.gz", True)]
    assert tally.recordings == 7
    assert "more.tar.gz" in (classes.parent / "cache" / "problems.csv").read_text()
    with pytest.raises(InputError, match=r"more\.tar\.gz: cannot be read: it is truncated"):
        ingest(make_plan(classes, classes.parent / "strict", None, Settings(strict=True)))


@pytest.mark.parametrize("ending", FORMATS)
def test_a_simulated_marker_in_an_archive_makes_the_cache_simulated(classes, ending):
    packed = classes.parent / "one" / "two" / "packed"
    shutil.make_archive(str(packed / "real"), FORMATS[ending], classes)
    assert not plan_of(packed, "cache").header.simulated
    (classes / "simulated.json").write_text("{}")
    made = shutil.make_archive(str(packed / "json"), FORMATS[ending], classes.parent, "plain")
    assert plan_of(packed, "cache").header.simulated
    ingest(plan_of(Path(made), "../cache"))
    assert open_cache(packed.parent / "cache").simulated
