import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from skelemo.atomic import owner, partial_path, sweep
from skelemo.cache.partial import LOCK, locked
from skelemo.errors import CacheError

DAY = 24 * 3600


def left_over_by_a_dead_process(folder: Path) -> Path:
    code = "import sys, pathlib; from skelemo.atomic import partial_path; print(partial_path(pathlib.Path('x')))"
    name = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    path = folder / name
    path.write_bytes(b"half")
    return path


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path):
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
def test_what_another_machine_writes_is_left_alone_for_a_day(tmp_path, name):
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


def test_a_lock_is_held_by_one_at_a_time(tmp_path):
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
    assert not (tmp_path / LOCK).exists()


def test_a_lock_of_a_dead_process_is_taken_over_and_one_of_a_living_one_is_told(tmp_path):
    dead = left_over_by_a_dead_process(tmp_path)
    (tmp_path / LOCK).write_text(dead.name)
    with locked(tmp_path):
        with pytest.raises(CacheError, match="another process changes this cache"), locked(tmp_path, patience=0):
            pass
        assert (tmp_path / LOCK).exists()
