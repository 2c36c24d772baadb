"""Recordings are batched into shards by their files, and by what a compressed archive must buffer."""

import numpy as np
import pytest

from skelemo.ingest import batching
from skelemo.ingest.batching import grouped, jobs
from skelemo.ingest.task import Task
from skelemo.openpose.archive import IN_TAR, Archive
from skelemo.openpose.files import MAX_BYTES
from skelemo.openpose.recording import Recording


def a_task(name: str, files: int, archive: str = "", first: int = 0, size: int = 1000) -> Task:
    """A recording of files of equal size, one after the other in an archive."""
    where = {}
    if archive:
        positions = np.array([(first + size * n, size) for n in range(files)], IN_TAR)
        where = {"archive": Archive(f"/in/{archive}", 1, 1), "positions": positions}
    return Task(Recording(name, "/in", name, [f"{n}.json" for n in range(files)], **where), name, (), {})


def groups(tasks, most_buffered=1 << 40) -> list[tuple[str, int]]:
    return [(task.video, task.group) for task in grouped(tasks, most_buffered)]


def test_a_group_has_at_most_the_files_of_a_shard_unless_it_is_one_recording(monkeypatch):
    monkeypatch.setattr(batching, "GROUP_FILES", 10)
    sizes = {"a": 4, "b": 6, "c": 1, "d": 12, "e": 1, "f": 9}
    tasks = [a_task(name, files) for name, files in sizes.items()]
    assert groups(tasks) == [("a", 0), ("b", 0), ("c", 1), ("d", 2), ("e", 3), ("f", 3)]


def test_only_files_of_compressed_archives_count_as_buffered():
    for archive, expected in (("x.tar.gz", [0, 0, 1, 2]), ("x.tar", [0] * 4), ("x.zip", [0] * 4), ("", [0] * 4)):
        tasks = [a_task(name, 10, archive, first) for name, first in (("a", 0), ("b", 10_000), ("c", 20_000))]
        tasks.append(a_task("huge", 1, archive, 30_000, size=MAX_BYTES * 2))
        assert [group for _, group in groups(tasks, 20_000)] == expected


def test_recordings_of_a_compressed_archive_follow_its_order_at_the_place_of_its_first():
    tasks = [
        a_task("a", 2),
        a_task("late", 3, "x.tar.xz", 9000),
        a_task("b", 2),
        a_task("early", 2, "x.tar.xz", 0),
        a_task("between", 2, "x.tar.xz", 5000),
        a_task("zip", 2, "y.zip"),
    ]
    assert [name for name, _ in groups(tasks)] == ["a", "early", "between", "late", "b", "zip"]


@pytest.mark.parametrize(("archive", "expected"), [("x.tar.gz", [[2, 1]]), ("x.zip", [[2], [1]])])
def test_groups_of_one_compressed_archive_are_one_job(monkeypatch, archive, expected):
    monkeypatch.setattr(batching, "GROUP_FILES", 10)
    tasks = grouped(
        [a_task(name, 5, archive, first) for name, first in (("a", 0), ("b", 5000), ("c", 10_000))], 1 << 40
    )
    assert [[len(group) for group in job] for job in jobs(tasks)] == expected
    assert list(jobs([])) == []


def test_interleaved_recordings_are_read_as_soon_as_they_are_complete():
    wide, narrow = a_task("wide", 2, "x.tar.gz", 0, size=9000), a_task("narrow", 2, "x.tar.gz", 4000, size=100)
    assert [name for name, _ in groups([wide, narrow])] == ["narrow", "wide"]
