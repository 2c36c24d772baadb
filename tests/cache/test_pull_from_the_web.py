"""Pulling over HTTP: lines break, servers are simple or lie, and the cache that arrives is the one that was sent."""

import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from places import WebServer
from small_caches import a_cache, a_sequence

from skelemo.cache.cache import open_cache, shard_files
from skelemo.cache.shard import open_shard
from skelemo.cache.share.pull import pull
from skelemo.cache.share.push import push
from skelemo.cli import main
from skelemo.errors import CacheError, ConfigError, RemoteError


@pytest.fixture(autouse=True)
def impatience(monkeypatch):
    monkeypatch.setattr("skelemo.cache.share.retry.PAUSES", (0.0,) * 6)
    monkeypatch.setattr("skelemo.cache.share.pull.PAUSES", (0.0,) * 6)


@pytest.fixture
def cache(tmp_path):
    """Three shards of about 100 kB."""
    for index in range(3):
        a_cache(tmp_path / "cache", a_sequence(f"v{index}", 300))
    return tmp_path / "cache"


@pytest.fixture
def far(cache, tmp_path):
    push(cache, str(tmp_path / "far"))
    return tmp_path / "far"


def size_of(folder):
    return sum(path.stat().st_size for path in shard_files(folder))


def travelled(server):
    """Bytes of shards that the server has sent."""
    return sum(size for name, size in server.sent.items() if name.endswith(".h5"))


def assert_same(here, cache):
    assert open_cache(here).hash == open_cache(cache).hash
    assert not any(path.name.startswith(".") for path in here.iterdir())


@pytest.mark.parametrize("listing", [True, False])
def test_what_is_missing_comes_whether_or_not_the_server_lists_folders(far, cache, tmp_path, listing):
    with WebServer(far.parent, listing=listing) as server:
        got = pull(f"{server.url}/far", tmp_path / "here", jobs=3)
        assert got.size == travelled(server) == size_of(cache)
        assert_same(tmp_path / "here", cache)
        shard_files(tmp_path / "here")[0].unlink()
        before = travelled(server)
        got = pull(f"{server.url}/far/", tmp_path / "here")
        assert len(got.shards) == 1
        assert travelled(server) - before == got.size == shard_files(cache)[0].stat().st_size


def test_a_plain_copy_is_found_by_its_listing_and_a_folder_without_one_is_said(cache, tmp_path):
    with WebServer(cache) as server:
        pull(server.url, tmp_path / "here")
        assert_same(tmp_path / "here", cache)
        server.listing = False
        with pytest.raises(RemoteError, match="no shard of a cache is listed there"):
            pull(server.url, tmp_path / "other")
        with pytest.raises(RemoteError, match=r"/faces: there is nothing at this address, nor index\.json below it"):
            pull(f"{server.url}/faces", tmp_path / "other")


def test_only_what_may_be_wanted_is_asked_for(far, tmp_path):
    with WebServer(far) as server:
        pull(server.url, tmp_path / "here", only=["video=v1"])
        assert open_cache(tmp_path / "here").sequences["id"].tolist() == ["v1"]
        assert len([path for path in server.asked if path.endswith(".h5")]) == 1
        asked = len(server.asked)
        with pytest.raises(ConfigError, match="unknown key"):
            pull(server.url, tmp_path / "here", only=["videos=v1"])
        assert not [path for path in server.asked[asked:] if path.endswith(".h5")]


def test_a_connection_that_breaks_again_and_again_brings_everything_once(far, cache, tmp_path):
    cuts = []

    def cut(path):
        if path.endswith(".h5"):
            cuts.append(path)
            return 30_000
        return None

    with WebServer(far, cut=cut) as server:
        got = pull(server.url, tmp_path / "here", jobs=2)
        assert_same(tmp_path / "here", cache)
        assert len(cuts) > 6, "three parts of each at least"
        assert got.size == size_of(cache), "not a byte came twice"
        assert travelled(server) < 1.5 * size_of(cache), "but for those that were lost on the way"


@pytest.mark.parametrize("drops", [1, 3, 6])
def test_questions_without_an_answer_are_asked_again(far, cache, tmp_path, drops):
    with WebServer(far) as server:
        server.drops = drops
        pull(server.url, tmp_path / "here")
        assert server.drops == 0
        shard_files(tmp_path / "here")[0].unlink()
        server.asked.clear()

        def drop_the_next(path):
            server.drops = drops if path.endswith("/") else server.drops
            return None

        server.cut = drop_the_next
        pull(server.url, tmp_path / "here")
    assert_same(tmp_path / "here", cache)


def test_a_line_that_stays_dead_is_one_line_and_the_next_pull_goes_on(far, cache, tmp_path):
    def cut(path):
        if path.endswith(".h5"):
            return 40_000 if server.sent.get(path.rpartition("/")[2], 0) == 0 else 0
        return None

    with WebServer(far, cut=cut) as server:
        answer = CliRunner().invoke(main, ["cache", "pull", server.url, str(tmp_path / "here"), "--jobs", "1"])
        assert answer.exit_code == 2
        assert len(answer.output.strip().splitlines()) == 1, answer.output
        assert server.url in answer.output
        (partial,) = (tmp_path / "here").iterdir()
        assert (partial.name.startswith(".partial-"), partial.stat().st_size) == (True, 40_000)
        server.cut = lambda path: None
        got = pull(server.url, tmp_path / "here")
        assert got.size == size_of(cache) - 40_000
        assert travelled(server) == size_of(cache)
        assert_same(tmp_path / "here", cache)


def test_a_server_without_ranges_is_read_from_the_beginning(far, cache, tmp_path):
    broken = []

    def cut(path):
        if path.endswith(".h5") and path not in broken:
            broken.append(path)
            return 50_000
        return None

    with WebServer(far, ranges=False, cut=cut) as server:
        pull(server.url, tmp_path / "here")
        assert_same(tmp_path / "here", cache)
        assert travelled(server) == size_of(cache) + 3 * 50_000


def test_a_pull_that_is_killed_is_gone_on_with(far, cache, tmp_path):
    first, second, third = (path.name for path in shard_files(cache))
    code = "import sys; from pathlib import Path; from skelemo.cache.share.pull import pull\n"
    code += "pull(sys.argv[1], Path(sys.argv[2]))"
    with WebServer(far, cut=lambda path: 60_000 if path.endswith(second) else None) as server:
        server.hanging = True
        process = subprocess.Popen([sys.executable, "-c", code, server.url, str(tmp_path / "here")])
        begun = tmp_path / "here" / f".partial-{second}"
        for _ in range(6000):
            if begun.exists() and begun.stat().st_size == 60_000:
                break
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert [path.name for path in shard_files(tmp_path / "here")] == [first]
        server.cut = lambda path: None
        got = pull(server.url, tmp_path / "here")
        assert got.shards == (second, third)
        assert got.size == size_of(cache) - (far / first).stat().st_size - 60_000
        assert travelled(server) == size_of(cache)
        assert_same(tmp_path / "here", cache)


def test_a_file_that_changed_meanwhile_is_fetched_anew(far, cache, tmp_path):
    """The same shard in other bytes, as another version of HDF5 might write it."""
    path = shard_files(far)[0]
    here = tmp_path / "here"
    here.mkdir()
    content = bytearray(path.read_bytes()[:50_000])
    content[30_000] ^= 255
    (here / f".partial-{path.name}").write_bytes(content)
    with WebServer(far) as server:
        pull(server.url, here)
        assert server.sent[path.name] == 2 * path.stat().st_size - 50_000
    assert_same(here, cache)


def test_a_server_that_sends_another_shard_under_a_name_is_not_believed(far, cache, tmp_path):
    first, second, third = shard_files(far)
    second.write_bytes(first.read_bytes())
    with WebServer(far) as server, pytest.raises(CacheError, match=f"1 shard is not taken: {second.name}"):
        pull(server.url, tmp_path / "here")
    assert [path.name for path in shard_files(tmp_path / "here")] == [first.name, third.name]


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_listed_shard_that_is_gone_is_named_when_all_others_have_come(far, cache, tmp_path, when):
    first, gone, third = shard_files(far)
    sign = "index.json" if when == "before" else first.name

    def take_out(path):
        if path.endswith(sign):
            gone.unlink(missing_ok=True)

    said = rf"1 shard is not taken: {gone.name} \(listed, but not there\): pull again, or .* push again"
    with WebServer(far, listing=False, cut=take_out) as server, pytest.raises(CacheError, match=said):
        pull(server.url, tmp_path / "here")
    assert [path.name for path in shard_files(tmp_path / "here")] == [first.name, third.name]
    push(cache, str(far))
    with WebServer(far, listing=False) as server:
        pull(server.url, tmp_path / "here")
    assert_same(tmp_path / "here", cache)


def test_an_index_leads_nowhere_else(far, cache, tmp_path):
    secret = tmp_path / "0123456789abcdef0123.h5"
    secret.write_bytes(shard_files(cache)[0].read_bytes())
    (far / "index.json").write_text(f'{{"shards": ["../{secret.name}", "/etc/passwd", "{"0" * 20}.h5"]}}')
    with WebServer(tmp_path, listing=False) as server, pytest.raises(CacheError, match="far: 2 shards are not"):
        pull(f"{server.url}/far", tmp_path / "here")
    assert not any("passwd" in path or path.startswith(f"/{secret.name}") for path in server.asked)


def test_the_web_is_not_pushed_to(far, cache):
    with WebServer(far) as server, pytest.raises(RemoteError, match="HTTP is read only"):
        push(cache, server.url)


def test_what_arrived_is_what_open_shard_reads(far, tmp_path):
    with WebServer(far) as server:
        pull(server.url, tmp_path / "here")
    assert all(open_shard(path).damaged() == [] for path in shard_files(tmp_path / "here"))
