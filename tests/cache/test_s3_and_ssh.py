"""Caches through S3 and SSH: real protocols, real drivers, lines that break."""

import json
import os
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner
from places import Line, SshServer
from small_caches import BODY, a_cache, a_sequence

from skelemo.atomic import owner
from skelemo.cache.cache import open_cache, shard_files
from skelemo.cache.shard import Header
from skelemo.cache.share.pull import pull
from skelemo.cache.share.push import push
from skelemo.cache.share.remote import Remote
from skelemo.cli import main
from skelemo.errors import CacheError, RemoteError, SkelemoError


@pytest.fixture(scope="module")
def s3():
    """A server that speaks S3 and has a bucket: the port it listens on."""
    import boto3

    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    where = {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": "us-east-1"}
    boto3.client("s3", aws_access_key_id="a-key", aws_secret_access_key="a-secret", **where).create_bucket(
        Bucket="bucket"
    )
    yield port
    server.stop()


@pytest.fixture
def line(s3):
    line = Line(s3)
    yield line
    line.close()


@pytest.fixture
def url(tmp_path):
    """A place of its own for each test."""
    return f"s3://bucket/{tmp_path.name}"


@pytest.fixture
def cache(tmp_path):
    for index in range(3):
        a_cache(tmp_path / "cache", a_sequence(f"v{index}", 300))
    return tmp_path / "cache"


def options(port):
    where = {"endpoint_url": f"http://127.0.0.1:{port}", "client_kwargs": {"region_name": "us-east-1"}}
    return {"key": "a-key", "secret": "a-secret", **where}


def size_of(folder):
    return sum(path.stat().st_size for path in shard_files(folder))


# S3


def test_through_s3_only_what_is_missing_travels(line, url, cache, tmp_path):
    sent = push(cache, url, options=options(line.port), jobs=2)
    assert sent.size == size_of(cache)
    assert size_of(cache) < line.up < size_of(cache) + 100_000
    line.up = 0
    assert push(cache, url, options=options(line.port)).size == 0
    assert line.up < 30_000, "only questions"
    line.down = 0
    pull(url, tmp_path / "here", options=options(line.port), jobs=2)
    assert open_cache(tmp_path / "here").hash == open_cache(cache).hash
    assert size_of(cache) < line.down < size_of(cache) + 100_000
    shard_files(tmp_path / "here")[1].unlink()
    line.down = 0
    got = pull(url, tmp_path / "here", options=options(line.port))
    assert (len(got.shards), got.size) == (1, shard_files(cache)[1].stat().st_size)
    assert line.down < got.size + 60_000


def test_through_s3_the_same_shard_of_another_length_is_told_by_its_beginning(line, url, tmp_path):
    header = Header(BODY.layout, BODY.heads, origin={"source": "elsewhere" * 100})
    twins = [
        a_cache(tmp_path / f"{index}", a_sequence("v", 900), header=one) for index, one in enumerate((BODY, header))
    ]
    push(twins[0], url, options=options(line.port))
    line.up = line.down = 0
    assert push(twins[1], url, options=options(line.port)).size == 0
    assert max(line.up, line.down) < 30_000 < size_of(twins[1])


def test_lines_to_s3_that_break_in_the_middle_are_taken_up_again(line, url, cache, tmp_path):
    line.breaks = [("up", 40_000)] * 2
    push(cache, url, options=options(line.port))
    assert line.broken == 2
    line.breaks = [("down", 40_000)] * 2
    pull(url, tmp_path / "here", options=options(line.port))
    assert line.broken == 4
    assert open_cache(tmp_path / "here").hash == open_cache(cache).hash


def test_a_push_to_s3_that_is_cut_off_for_good_leaves_no_part_of_a_shard(line, url, cache, monkeypatch):
    monkeypatch.setattr("skelemo.cache.share.retry.PAUSES", ())
    line.breaks = [("up", 40_000)] * 100
    with pytest.raises(RemoteError, match=f"{url}: "):
        push(cache, url, options=options(line.port))
    line.breaks = []
    assert Remote(url, options(line.port)).listing().shards == []
    assert len(push(cache, url, options=options(line.port)).shards) == 3


def test_pushes_of_two_machines_to_one_bucket_do_not_disturb_each_other(line, url, cache, tmp_path):
    other = a_cache(tmp_path / "other", a_sequence("w", 300))
    a_cache(other, a_sequence("v1", 300))
    threads = [
        threading.Thread(target=push, args=(one, url), kwargs={"options": options(line.port)}) for one in (cache, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pull(url, tmp_path / "here", options=options(line.port))
    assert open_cache(tmp_path / "here").hash == open_cache([cache, other]).hash
    index = json.loads(Remote(url, options(line.port)).text("index.json"))
    assert index == {"shards": [path.name for path in shard_files(tmp_path / "here")]}


def test_the_verbs_take_options_for_s3_and_never_show_a_secret(line, url, cache, tmp_path, monkeypatch):
    monkeypatch.setattr("skelemo.cache.share.retry.PAUSES", ())
    given = [
        ("--storage-option", f"{key}={value}") for key, value in options(line.port).items() if key != "client_kwargs"
    ]
    words = [word for pair in given for word in pair]
    answer = CliRunner().invoke(main, ["cache", "push", str(cache), url, *words])
    assert answer.exit_code == 0, answer.output
    answer = CliRunner().invoke(main, ["cache", "pull", url, str(tmp_path / "here"), *words])
    assert answer.exit_code == 0, answer.output
    answer = CliRunner().invoke(main, ["cache", "push", str(cache), "s3://no-such-bucket/x", *words])
    assert answer.exit_code == 2
    assert len(answer.output.strip().splitlines()) == 1, answer.output
    assert "a-secret" not in answer.output


def test_the_environment_may_say_where_s3_is(line, cache, monkeypatch):
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{line.port}",
        "AWS_ACCESS_KEY_ID": "a-key",
        "AWS_SECRET_ACCESS_KEY": "a-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    assert len(push(cache, "s3://bucket/environment").shards) == 3


def replaced(cache, tmp_path, url, options):
    """What there is at a place after a push of another v1 in the place of the cache's, which nothing said was there."""
    push(cache, url, options=options)
    for path in shard_files(cache):
        Remote(url, options).remove(path.with_suffix(".json").name)
    other = a_cache(tmp_path / "other", a_sequence("v1", 300, seed=9))
    with pytest.raises(CacheError, match=r"'v1' of .* there has other content"):
        push(other, url, options=options)
    push(other, url, options=options, replace=True)
    pull(url, tmp_path / "here", options=options)
    return open_cache(tmp_path / "here").sequences.set_index("id")["sha256"], open_cache(other).sequences["sha256"][0]


def test_what_has_changed_is_replaced_on_s3(line, url, cache, tmp_path):
    there, other = replaced(cache, tmp_path, url, options(line.port))
    assert (len(there), there["v1"]) == (3, other)


# SSH


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    pytest.importorskip("paramiko")
    (tmp_path / "server").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with SshServer(tmp_path / "server", "ann", "a-password") as server:
        server.make_known(server.port)
        yield server


def test_through_ssh_a_cache_goes_and_comes(ssh, cache, tmp_path):
    url = f"sftp://ann:a-password@127.0.0.1:{ssh.port}/deep/faces"
    assert push(cache, url, jobs=2).size == size_of(cache)
    assert sorted(path.name for path in shard_files(cache)) == sorted(
        name for name in os.listdir(tmp_path / "server" / "deep" / "faces") if name.endswith(".h5")
    )
    assert push(cache, url).size == 0
    here = tmp_path / "here"
    here.mkdir()
    first = shard_files(cache)[0]
    (here / f".partial-{first.name}").write_bytes(first.read_bytes()[:50_000])
    assert pull(url.replace("sftp", "ssh"), here, jobs=2).size == size_of(cache) - 50_000
    assert open_cache(here).hash == open_cache(cache).hash


def test_what_a_push_through_ssh_that_was_killed_has_left_is_swept_by_the_next(ssh, cache, tmp_path):
    dead = subprocess.check_output([sys.executable, "-c", "from skelemo.atomic import owner; print(owner())"])
    faces = tmp_path / "server" / "faces"
    faces.mkdir()
    kept = [faces / f".partial-{owner()}-0.push", faces / ".partial-000000000000-1-1-0.push"]
    old = faces / ".partial-000000000000-1-1-1.push"
    for path in (faces / f".partial-{dead.decode().strip()}-0.push", old, *kept):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    push(cache, f"sftp://ann:a-password@127.0.0.1:{ssh.port}/faces")
    assert sorted(faces.glob(".*")) == sorted(kept), "whose writers live, as far as can be told"


def test_what_has_changed_is_replaced_through_ssh(ssh, cache, tmp_path):
    there, other = replaced(cache, tmp_path, f"sftp://ann:a-password@127.0.0.1:{ssh.port}/faces", {})
    assert (len(there), there["v1"]) == (3, other)


def test_lines_to_ssh_that_break_are_taken_up_again(ssh, cache, tmp_path, monkeypatch):
    monkeypatch.setattr("skelemo.cache.share.retry.PAUSES", (0.1,) * 5)
    monkeypatch.setattr("skelemo.cache.share.pull.PAUSES", (0.1,) * 5)
    line = Line(ssh.port)
    ssh.make_known(line.port)
    url = f"sftp://ann:a-password@127.0.0.1:{line.port}/faces"
    line.breaks = [("up", 60_000)]
    push(cache, url)
    assert not any(name.startswith(".partial") for name in os.listdir(tmp_path / "server" / "faces")) or line.broken
    line.breaks = [("down", 60_000)] * 2
    pull(url, tmp_path / "here")
    assert line.broken == 3
    assert open_cache(tmp_path / "here").hash == open_cache(cache).hash
    line.close()


def test_a_server_that_nobody_knows_is_not_trusted(ssh, cache, tmp_path):
    known = tmp_path / "home" / ".ssh" / "known_hosts"
    before, url = known.read_text(), f"sftp://ann:a-password@127.0.0.1:{ssh.port}/faces"
    known.write_text("")
    with pytest.raises(SkelemoError, match=r"127\.0\.0\.1.*its key is not in ~/\.ssh/known_hosts"):
        push(cache, url)
    ssh.make_known(ssh.port, key="another")
    with pytest.raises(SkelemoError, match="another key than the one in"):
        push(cache, url)
    assert not list((tmp_path / "server").iterdir())
    known.write_text(before)
    push(cache, url)


def test_a_wrong_password_is_said_at_once_and_not_shown(ssh, cache, tmp_path):
    with pytest.raises(SkelemoError, match=r"127\.0\.0\.1") as error:
        pull(f"sftp://ann:a-wrong-one@127.0.0.1:{ssh.port}/faces", tmp_path / "here")
    assert "a-wrong-one" not in str(error.value)
