"""Ingest as real processes: killed, without room on the disk, and several at once into one folder."""

import csv
import hashlib
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from skelemo.cache.reading import damaged_sequences
from skelemo.cache.shard import open_shard
from skelemo.cache.store import open_cache
from skelemo.ingest import batching as batching_module
from skelemo.ingest.partition import Partition
from skelemo.ingest.plan import Settings, make_plan
from skelemo.ingest.problems import write_problems
from skelemo.ingest.run import ingest
from skelemo.openpose.files import Problem

#: Many small shards, so that there is much to interrupt.
INGEST = "import skelemo.ingest.batching as batching; batching.GROUP_FILES = 60; from skelemo.cli import main; main()"


def start(*words: object, limit: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", INGEST, "ingest", *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True, preexec_fn=limit)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out + err


def digests(cache_folder: Path) -> dict[str, str]:
    """The bytes of every sequence: its facts' hash and, independently of it, one of its frames."""
    cache = open_cache(cache_folder)
    frames = cache.read()
    found = {}
    for row in cache.sequences.to_dict("records"):
        rows = slice(row["start"], row["start"] + row["length"])
        digest = hashlib.sha256(row["sha256"].encode())
        for array in (frames.keypoints, frames.number, *frames.labels.values()):
            digest.update(np.ascontiguousarray(array[rows]).tobytes())
        found[row["id"]] = digest.hexdigest()
    return found


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.suffix != ".h5" and path.name != "problems.csv"]


@pytest.fixture
def many(tmp_path, write_recording) -> Path:
    for number in range(24):
        write_recording(f"clip {number}", [[(100.0 + frame, 100.0 + number)] for frame in range(30)])
    (tmp_path / "json" / "clip 7_000000000003_keypoints.json").write_text("{")
    return tmp_path / "json"


def killed_until_done(source: Path, out: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(kills):
        process = start(source, "--out", out, "--jobs", 2)
        while process.poll() is None and not list(out.glob(".partial-*-heartbeat")):
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 1.2))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        for shard in out.glob("*.h5"):
            assert damaged_sequences(open_shard(shard)) == []
    code, said = finish(start(source, "--out", out, "--jobs", 2))
    assert code == 0, said


def test_twenty_kills_lead_to_the_cache_of_an_uninterrupted_ingest(tmp_path, many):
    with ThreadPoolExecutor(5) as pool:
        whole = pool.submit(finish, start(many, "--out", tmp_path / "whole", "--jobs", 2))
        chains = [pool.submit(killed_until_done, many, tmp_path / f"killed{n}", 5, seed=n) for n in range(4)]
        assert whole.result()[0] == 0
        for chain in chains:
            chain.result()
    expected = digests(tmp_path / "whole")
    assert len(expected) == 24
    for number in range(4):
        out = tmp_path / f"killed{number}"
        assert digests(out) == expected
        assert leftovers(out) == []
        assert (out / "problems.csv").read_text() == (tmp_path / "whole" / "problems.csv").read_text()


def descendants(pid):
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []  # it has just ended
    return [*children, *(other for child in children for other in descendants(child))]


def command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_worker_does_not_outlive_its_killed_parent(tmp_path, many):
    process = start(many, "--out", tmp_path / "cache", "--jobs", 2)
    while process.poll() is None and not list((tmp_path / "cache").glob("*.h5")):
        time.sleep(0.005)
    children = descendants(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(children) >= 2
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


@pytest.mark.parametrize("wait", [0, 0.1, 0.2, 0.4])
def test_ctrl_c_exits_with_130_and_one_line_at_any_time(tmp_path, many, wait):
    process = start(many, "--out", tmp_path / "cache", "--jobs", 2)
    deadline = time.monotonic() + 60
    while not [one for one in descendants(process.pid) if b"spawn_main" in command(one)]:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(wait)
    os.killpg(process.pid, signal.SIGINT)
    code, output = finish(process)
    if "ingested into" not in output:  # it was about to end
        (line,) = output.split("\n\n")[0].strip().splitlines()
        assert (code, line) == (130, "interrupted; finished work is kept; run the same command again to resume")
    assert leftovers(tmp_path / "cache") == [] if (tmp_path / "cache").exists() else True
    assert finish(start(many, "--out", tmp_path / "cache", "--jobs", 2))[0] == 0
    assert len(digests(tmp_path / "cache")) == 24


def test_a_killed_worker_is_one_error(tmp_path, many):
    process = start(many, "--out", tmp_path / "cache", "--jobs", 2)
    while process.poll() is None and not list((tmp_path / "cache").glob("*.h5")):
        time.sleep(0.005)
    workers = [one for one in descendants(process.pid) if b"spawn_main" in command(one)]
    os.kill(int(workers[0]), signal.SIGKILL)
    code, output = finish(process)
    (line,) = output.strip().splitlines()
    assert code == 2
    assert "a worker process died (out of memory, or killed); finished results are kept" in line


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_full_disk_is_one_error_and_leaves_no_partial_files(tmp_path, many, jobs):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))

    code, said = finish(start(many, "--out", tmp_path / "cache", "--jobs", jobs, limit=limit))
    assert code == 2
    (line,) = [line for line in said.splitlines() if line]
    assert "cannot be written (File too large)" in line
    assert not (tmp_path / "cache").exists(), "an ingest that wrote nothing leaves nothing"
    code, _ = finish(start(many, "--out", tmp_path / "cache", "--jobs", jobs))
    assert code == 0


def test_concurrent_ingests_of_one_source_give_one_cache(tmp_path, many):
    both = [start(many, "--out", tmp_path / "both", "--jobs", 2) for _ in range(2)]
    assert [finish(process)[0] for process in both] == [0, 0]
    assert finish(start(many, "--out", tmp_path / "one"))[0] == 0
    assert digests(tmp_path / "both") == digests(tmp_path / "one")
    assert len(list((tmp_path / "both").glob("*.h5"))) == len(list((tmp_path / "one").glob("*.h5")))
    assert leftovers(tmp_path / "both") == []


def test_concurrent_ingests_collect_all_problems(tmp_path, many, monkeypatch):
    ingest(make_plan(many, tmp_path / "cache", None, Settings()))
    write_problems(tmp_path / "cache", tmp_path / "gone", Partition(), [Problem("clip 1", "is empty")])
    found = Path.glob

    def gone_when_looked_at(folder, pattern):
        for path in list(found(folder, pattern)):
            path.unlink()
            yield path

    with monkeypatch.context() as patch:
        patch.setattr(Path, "glob", gone_when_looked_at)
        write_problems(tmp_path / "cache", many, Partition(), [])
    _, row = (tmp_path / "cache" / "problems.csv").read_text().splitlines()
    assert row.startswith("clip 7_000000000003_keypoints.json,")


def test_concurrent_ingests_of_two_sources_share_a_cache_and_problems(tmp_path, write_recording):
    for folder in ("left", "right"):
        for number in range(8):
            write_recording(f"{folder} {number}", [[(100.0, 100.0 + number)]] * 20, folder=folder)
        (tmp_path / folder / f"{folder} 3_000000000004_keypoints.json").write_text("{")
        (tmp_path / folder / f"{folder} bad_000000000000_keypoints.json").write_text("")
    both = [start(tmp_path / folder, "--out", tmp_path / "both") for folder in ("left", "right")]
    assert [finish(process)[0] for process in both] == [1, 1]
    assert len(digests(tmp_path / "both")) == 16
    with (tmp_path / "both" / "problems.csv").open() as file:
        found = [row["file"] for row in csv.DictReader(file)]
    ends = ("3_000000000004_keypoints.json", "bad", "bad_000000000000_keypoints.json")
    assert found == [f"{side} {end}" for side in ("left", "right") for end in ends]


def test_contradicting_concurrent_ingests_leave_a_valid_cache(tmp_path, write_recording):
    for folder, x in (("left", 100.0), ("right", 300.0)):
        for number in range(8):
            write_recording(f"clip {number}", [[(x, 100.0 + number)]] * 20, folder=folder)
        write_recording(folder, [[(x, 100.0)]] * 20, folder=folder)
    both = [start(tmp_path / folder, "--out", tmp_path / "both") for folder in ("left", "right")]
    codes = [finish(process)[0] for process in both]
    assert 1 in codes
    assert {"left", "right"} <= digests(tmp_path / "both").keys()
    assert len(digests(tmp_path / "both")) <= 10


def test_a_cache_in_a_read_only_folder_can_be_read(tmp_path, many):
    out = tmp_path / "cache"
    ingest(make_plan(many, out, None, Settings()))
    for path in out.iterdir():
        path.chmod(0o444)
    out.chmod(0o555)
    code = f"""
import fcntl, os, pathlib
from skelemo.cache.store import open_cache
held = [path.open("rb") for path in pathlib.Path({str(out)!r}).glob("*.h5")]
if os.environ.get("HDF5_USE_FILE_LOCKING") != "TRUE":  # which asks for locks
    for file in held:
        fcntl.flock(file, fcntl.LOCK_EX)
print(open_cache(pathlib.Path({str(out)!r})).read().keypoints.shape[0])
"""
    plain = {name: value for name, value in os.environ.items() if name != "HDF5_USE_FILE_LOCKING"}
    for locking in ({}, {"HDF5_USE_FILE_LOCKING": "TRUE"}, {"HDF5_USE_FILE_LOCKING": "FALSE"}):
        command = [sys.executable, "-c", code]
        answer = subprocess.run(command, capture_output=True, text=True, env=plain | locking, check=False)
        assert answer.stdout.strip() == str(24 * 30), answer.stderr
    out.chmod(0o755)


def test_parts_of_several_machines_cover_everything(tmp_path, many, monkeypatch):
    monkeypatch.setattr(batching_module, "GROUP_FILES", 60)
    for number in (3, 1, 2):
        plan = make_plan(many, tmp_path / "parts", None, Settings(), partition=Partition(number, 3))
        assert plan.unchanged == 0
        assert ingest(plan).recordings == 8
    ingest(make_plan(many, tmp_path / "whole", None, Settings()))
    assert open_cache(tmp_path / "parts").hash == open_cache(tmp_path / "whole").hash
    again = make_plan(many, tmp_path / "parts", None, Settings(), partition=Partition(2, 3))
    assert (again.tasks, again.unchanged) == ((), 8)
    beyond = make_plan(many, tmp_path / "beyond", None, Settings(), partition=Partition(30, 30))
    assert ingest(beyond).recordings == 0
    assert not (tmp_path / "beyond").exists()


def test_parts_of_different_recordings_are_noted(tmp_path, many, write_recording):
    def notes_of(number: int) -> list[str]:
        plan = make_plan(many, tmp_path / "parts", None, Settings(), partition=Partition(number, 2))
        return [note for note in ingest(plan).notes if "other partitions" in note]

    assert notes_of(1) == []
    write_recording("late", [[(100.0, 100.0)]] * 30)
    (note,) = notes_of(2)
    assert re.search(r"are of 24 recordings \(\w{8}\), this one of 25 recordings \(\w{8}\)", note)


def test_labels_are_matched_with_all_recordings_for_any_partition(tmp_path, many):
    (tmp_path / "labels.csv").write_text("video,label\nclip 0,happy\n")
    labels = f"table:{tmp_path / 'labels.csv'}"
    plans = [make_plan(many, tmp_path / "x", labels, Settings(), partition=Partition(n, 24)) for n in range(1, 25)]
    assert sum(bool(task.annotations) for plan in plans for task in plan.tasks) == 1
    assert len({plan.notes for plan in plans}) == 1
