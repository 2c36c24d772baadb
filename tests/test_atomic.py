"""Files that appear whole, what killed processes leave, and the lock of a folder."""

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from skelemo.atomic import finished, lives, locked, owner, partial_path, sweep

DAY = 24 * 3600


def left_over_by_a_dead_process(folder: Path) -> Path:
    code = "import sys, pathlib; from skelemo.atomic import partial_path; print(partial_path(pathlib.Path('x')))"
    name = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    path = folder / name
    path.write_bytes(b"half")
    return path


def test_remains_of_killed_processes_are_removed_and_files_of_running_ones_kept(tmp_path):
    dead, alive = left_over_by_a_dead_process(tmp_path), partial_path(tmp_path / "a.h5")
    alive.write_bytes(b"half")
    (tmp_path / "a.h5").write_bytes(b"whole")
    assert sweep(tmp_path) == 1
    assert not dead.exists()
    assert alive.exists()
    assert (tmp_path / "a.h5").exists()


def test_a_process_whose_number_is_used_again_is_dead(tmp_path):
    machine, process, started = owner().split("-")
    other = tmp_path / f".partial-{machine}-{process}-{int(started) + 1}-0123456789abcdef"
    other.write_bytes(b"half")
    assert sweep(tmp_path) == 1


@pytest.mark.parametrize("name", [".partial-0123456789ab-1-17-0123456789abcdef", ".partial-0123456789abcdef"])
def test_files_of_another_machine_are_kept_for_a_day(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"half")
    assert sweep(tmp_path) == 0
    os.utime(path, (time.time() - DAY - 1,) * 2)
    assert sweep(tmp_path) == 1


def test_folders_are_swept_whole_and_links_are_not_followed(tmp_path):
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    dead = left_over_by_a_dead_process(tmp_path)
    dead.unlink()
    dead.mkdir()
    (dead / "x.h5").write_bytes(b"")
    link = Path(re.sub(".$", "0", str(dead)) + "link")
    link.symlink_to(treasure)
    assert sweep(tmp_path) == 2
    assert treasure.is_dir()


def test_only_one_process_at_a_time_has_a_lock(tmp_path):
    inside, most = [], []

    def work() -> None:
        for _ in range(5):
            with locked(tmp_path):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.002)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(most), max(most)) == (20, 1)


def test_a_lock_of_a_killed_process_is_free_and_one_of_a_living_process_is_reported(tmp_path):
    code = "import sys, os, pathlib; from skelemo.atomic import locked\n"
    code += "with locked(pathlib.Path(sys.argv[1])):\n    os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, tmp_path]).returncode == 9
    with locked(tmp_path), pytest.raises(TimeoutError, match="another process"), locked(tmp_path, patience=0):
        pass


def test_the_members_of_a_group_take_a_lock_in_turn(tmp_path):
    with locked(tmp_path):
        assert (tmp_path / ".lock").stat().st_mode & 0o060 == 0o060


def write(path, *, fail=None, folder=False):
    with finished(path) as partial:
        if folder:
            partial.mkdir()
        (partial / "half" if folder else partial).write_text("after")
        if fail:
            raise fail


def test_a_failed_write_leaves_no_file_and_the_error_names_it(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(OSError, match="No space") as error:
        write(path, fail=OSError(28, "No space left on device"))
    assert error.value.filename == str(path)
    assert path.read_text() == "before"
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "folder", fail=KeyboardInterrupt(), folder=True)
    assert list(tmp_path.iterdir()) == [path]
    write(path)
    assert path.read_text() == "after"


def test_only_remains_of_the_given_kind_are_removed(tmp_path):
    dead = left_over_by_a_dead_process(tmp_path)
    of_a_kind = dead.rename(dead.with_name(f"{dead.name.rpartition('-')[0]}-extract"))
    other = left_over_by_a_dead_process(tmp_path)
    assert sweep(tmp_path, "extract") == 1
    assert not of_a_kind.exists()
    assert other.exists()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_a_process_that_ended_but_was_not_waited_for_is_dead():
    code = "from skelemo.atomic import owner; print(owner(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        name = process.stdout.readline().strip()
        assert lives(name) is True
        process.stdin.write("\n")
        process.stdin.flush()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert lives(name) is False
    assert lives(name) is False
    assert lives("0123456789ab-1-17") is False, "of another machine"
