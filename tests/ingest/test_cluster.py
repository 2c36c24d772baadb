"""Ingest on a Dask cluster of several worker processes on this machine."""

import gc
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from skelemo.atomic import owner
from skelemo.cache.store import open_cache
from skelemo.errors import ConfigError, SkelemoError
from skelemo.ingest import batching as batching_module
from skelemo.ingest import pool as pool_module
from skelemo.ingest.plan import Plan, Settings, make_plan
from skelemo.ingest.run import ingest

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster():
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with distributed.LocalCluster(processes=True, memory_limit=0, **options) as made:
        yield made


@pytest.fixture
def patient(monkeypatch) -> None:
    """Connecting may take long where the machine is busy."""
    monkeypatch.setattr(pool_module, "_CONNECT_SECONDS", 60)


@pytest.fixture
def plan(tmp_path, write_recording, monkeypatch) -> Plan:
    monkeypatch.setattr(batching_module, "GROUP_FILES", 100)
    for number in range(40):
        write_recording(f"clip {number}", [[(100.0 + frame, 100.0 + number)] for frame in range(50)])
    return make_plan(tmp_path / "json", tmp_path / "cache", None, Settings())


def test_a_cluster_writes_the_same_cache_despite_a_killed_worker(tmp_path, plan, cluster, patient):
    with distributed.Client(cluster.scheduler_address, set_as_default=False, timeout=60) as client:
        pid, name = next(iter(client.run(lambda: (os.getpid(), owner())).values()))
    kill = threading.Timer(1, os.kill, (pid, signal.SIGKILL))
    reports: list[int] = []

    def report(files: int) -> None:
        """Stop a worker when the first job is done and most are not, so that it still has some when it is killed."""
        if not reports:
            os.kill(pid, signal.SIGSTOP)
            (tmp_path / "cache" / f".partial-{name}-half").write_bytes(b"half of what it writes")
            kill.start()
        reports.append(files)

    tally = ingest(plan, scheduler=cluster.scheduler_address, report=report)
    assert kill.finished.is_set(), "the ingest waited for what the worker had in hand"
    assert (tally.recordings, tally.failures, reports[-1], len(reports)) == (40, [], 2000, 20)
    ingest(make_plan(tmp_path / "json", tmp_path / "alone", None, Settings()))
    assert open_cache(tmp_path / "cache").hash == open_cache(tmp_path / "alone").hash
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.name.startswith(".")] == []


def test_a_worker_without_the_source_is_an_error(plan, cluster, patient, monkeypatch):
    monkeypatch.setattr("skelemo.ingest.pool._missing", lambda *_: "/mnt/source")
    with pytest.raises(SkelemoError, match="cannot find /mnt/source: source and cache must be in"):
        ingest(plan, scheduler=cluster.scheduler_address)
    assert not plan.out.exists()


def test_a_relative_source_is_resolved_for_workers(tmp_path, plan, cluster, patient, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = make_plan(Path("json"), Path("here"), None, Settings())
    assert ingest(here, scheduler=cluster.scheduler_address).recordings == 40


def test_a_missing_scheduler_is_one_error(plan):
    with pytest.raises(
        SkelemoError, match=r"no Dask scheduler at 'tcp://127.0.0.1:9' \(.*\); expected tcp://HOST"
    ) as error:
        ingest(plan, scheduler="tcp://127.0.0.1:9")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("address", ["nonsense", "nonsense://x", "http://127.0.0.1:8786", "tcp://here", "tcp://here:x"])
def test_an_invalid_scheduler_address_is_refused_without_connecting(plan, address, capfd, monkeypatch):
    """Dask's client would try for ten seconds, then print a traceback."""
    monkeypatch.setattr("distributed.Client", None)
    with pytest.raises(SkelemoError, match=f"no Dask scheduler at '{address}'") as error:
        ingest(plan, scheduler=address)
    del error
    gc.collect()
    assert capfd.readouterr() == ("", "")


def test_without_dask_the_extra_is_named(plan, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"pip install 'skelemo\[cluster\]'"):
        ingest(plan, scheduler="tcp://127.0.0.1:9")
