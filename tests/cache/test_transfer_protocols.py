"""Push and pull over HTTP, S3 and SSH: real protocols and drivers, and misbehaving servers."""

import asyncio
import json
import threading
import time
from contextlib import suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest
from small_caches import a_cache, a_sequence, sizes

from skelemo.cache import remote as remotes
from skelemo.cache.pull import pull
from skelemo.cache.push import push
from skelemo.cache.remote import Remote
from skelemo.cache.store import open_cache, shard_files
from skelemo.errors import CacheError, RemoteError, SkelemoError


@pytest.fixture
def far(cache, tmp_path):
    push(cache, str(tmp_path / "far"))
    return tmp_path / "far"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(remotes, "PAUSES", (0.05, 0.05))


class Web(ThreadingHTTPServer):
    """A folder on the web; ``answer(handler)`` may answer a request instead, and says whether it did."""

    daemon_threads = True

    def __init__(self, folder, answer=lambda handler: False):
        super().__init__(("127.0.0.1", 0), lambda *words: _Handler(*words, directory=str(folder)))
        self.answer, self.asked = answer, []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):
        pass


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        with suppress(OSError):
            if not self.server.answer(self):
                super().do_GET()

    def endless(self, chunk, pause=0.0):
        """Bytes until the client has gone."""
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(chunk)
            time.sleep(pause)


def test_http_is_read_through_the_index_and_never_written(far, cache, tmp_path):
    with Web(far) as web:
        got = pull(web.url, tmp_path / "here", only=["video=Kick 2"])
        assert [path for path, _ in web.asked] == ["/index.json", f"/{got.shards[0]}", "/corrections.csv"]
        pull(f"{web.url}/", tmp_path / "here", jobs=3)
        with pytest.raises(RemoteError, match="HTTP is read-only"):
            push(cache, web.url)
    assert open_cache(tmp_path / "here").hash == open_cache(cache).hash


def test_a_url_without_an_index_is_one_error(cache, tmp_path):
    with Web(cache) as web, pytest.raises(RemoteError, match=r"no index\.json and no shard"):
        pull(web.url, tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_broken_connections_are_retried(far, cache, tmp_path):
    broken = []

    def cut(handler):
        if handler.path in broken or len(broken) > 3:
            return False
        broken.append(handler.path)
        if handler.path.endswith(".h5"):
            handler.send_response(200)
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
            handler.wfile.write(b"x" * 1000)
        handler.close_connection = True
        return True

    with Web(far, cut) as web:
        pull(web.url, tmp_path / "here")
    assert len(broken) == 4
    assert open_cache(tmp_path / "here").hash == open_cache(cache).hash


def test_an_unreachable_server_is_one_error(tmp_path):
    with pytest.raises(RemoteError, match=r"^http://127\.0\.0\.1:1/faces: .*onnect"):
        pull("http://127.0.0.1:1/faces", tmp_path / "here")


@pytest.mark.parametrize("which", ["index.json", ".h5"])
def test_an_endless_response_is_refused(far, tmp_path, monkeypatch, which):
    monkeypatch.setattr(remotes, "MAX_TEXT", 1 << 20)
    with Web(far, lambda handler: handler.path.endswith(which) and handler.endless(b" " * 65536)) as web:
        with pytest.raises(RemoteError, match="more than"):
            pull(web.url, tmp_path / "here")
        assert len(web.asked) <= 6


@pytest.mark.parametrize("which", ["index.json", ".h5"])
def test_a_slow_response_times_out(far, tmp_path, monkeypatch, which):
    monkeypatch.setattr(remotes, "TIMEOUT", 0.3)
    start = time.monotonic()
    with (
        Web(far, lambda handler: handler.path.endswith(which) and handler.endless(b" ", 0.02)) as web,
        pytest.raises(RemoteError, match="too slow"),
    ):
        pull(web.url, tmp_path / "here")
    assert time.monotonic() - start < 20
    assert not (tmp_path / "here").exists()


def test_a_redirect_to_another_host_gets_no_private_headers(far, cache, tmp_path, monkeypatch):
    with Web(far) as other:

        def redirect(handler):
            handler.send_response(302)
            handler.send_header("Location", other.url + handler.path)
            handler.end_headers()
            return True

        with Web(far, redirect) as web:
            mine = {"X-Token": "SECRET", "Authorization": "Bearer SECRET", "Cookie": "session=SECRET"}
            pull(web.url.replace("//", "//ann:SECRET@"), tmp_path / "by name", only=["video=Kick 1"])
            monkeypatch.setitem(fsspec.config.conf, "http", {"headers": mine})
            pull(web.url, tmp_path / "here")
            assert any("SECRET" in str(headers) for _, headers in web.asked)
            assert any("Basic" in str(headers) for _, headers in web.asked)
        assert other.asked
        assert not any("SECRET" in str(headers) or "Authorization" in headers for _, headers in other.asked)
    assert open_cache(tmp_path / "here").hash == open_cache(cache).hash


def test_a_shard_under_another_name_is_not_accepted(far, tmp_path):
    first, second, *_ = shard_files(far)
    first.write_bytes(second.read_bytes())
    index = json.loads((far / "index.json").read_text())
    index["shards"][first.name] |= {key: index["shards"][second.name][key] for key in ("size", "sha256")}
    (far / "index.json").write_text(json.dumps(index))
    with (
        Web(far) as web,
        pytest.raises(CacheError, match=rf"refused: {first.name} \(its content belongs to {second.name}"),
    ):
        pull(web.url, tmp_path / "here")
    assert sizes(tmp_path / "here").keys() == sizes(far).keys() - {first.name}


def test_a_missing_shard_is_reported_after_the_others_were_pulled(far, tmp_path):
    first, *others = shard_files(far)
    first.unlink()
    with Web(far) as web, pytest.raises(CacheError, match=rf"{first.name} \(listed in the index, but missing\)"):
        pull(web.url, tmp_path / "here")
    assert sorted(sizes(tmp_path / "here")) == [path.name for path in others]


@pytest.fixture(scope="module")
def s3():
    """Options for a server that speaks S3 and has a bucket."""
    import boto3

    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    where = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    access = {"aws_access_key_id": "a-key", "aws_secret_access_key": "a-secret", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=where, **access).create_bucket(Bucket="bucket")
    yield {"endpoint_url": where, "key": "a-key", "secret": "a-secret", "client_kwargs": {"region_name": "us-east-1"}}
    server.stop()


class _Ssh:
    """A folder behind SSH's file transfer, for the user ann with a password."""

    def __init__(self, folder, known_hosts):
        import asyncssh

        self.folder, self.known_hosts = folder, known_hosts
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        threading.Thread(target=self._serve, args=(ready,), daemon=True).start()
        assert ready.wait(20)

    def _serve(self, ready):
        import asyncssh

        class Door(asyncssh.SSHServer):
            def begin_auth(self, username):
                return True

            def password_auth_supported(self):
                return True

            def validate_password(self, username, password):
                return (username, password) == ("ann", "a-password")

        async def listen():
            server = await asyncssh.listen(
                "127.0.0.1",
                0,
                server_host_keys=[self.key],
                server_factory=Door,
                sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(self.folder)),
            )
            self.port = server.get_port()
            ready.set()

        self.loop.run_until_complete(listen())
        self.loop.run_forever()

    def url(self, password="a-password"):
        return f"ssh://ann:{password}@127.0.0.1:{self.port}/deep/faces"

    def make_known(self, key=None):
        public = (key or self.key).export_public_key().decode().strip()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}\n")


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    pytest.importorskip("sshfs")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "server").mkdir()
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    server = _Ssh(tmp_path / "server", tmp_path / "home" / ".ssh" / "known_hosts")
    server.make_known()
    yield server
    server.loop.call_soon_threadsafe(server.loop.stop)


@pytest.fixture(params=["s3", "ssh"])
def url(request, tmp_path, monkeypatch):
    """A place of its own."""
    found = request.getfixturevalue(request.param)
    if request.param == "ssh":
        return found.url()
    monkeypatch.setitem(fsspec.config.conf, "s3", found)
    return f"s3://bucket/{tmp_path.name}"


def test_push_and_pull_transfer_only_missing_shards(url, cache, tmp_path):
    assert push(cache, url, jobs=2).size == sum(sizes(cache).values())
    assert push(cache, url).size == 0
    pull(url, tmp_path / "here", jobs=2)
    assert open_cache(tmp_path / "here").hash == open_cache(cache).hash
    missing = shard_files(tmp_path / "here")[1]
    missing.unlink()
    assert pull(url, tmp_path / "here").shards == (missing.name,)


def test_changed_sequences_are_replaced(url, cache, changed, tmp_path):
    push(cache, url)
    with pytest.raises(CacheError, match="differs from"):
        push(changed, url)
    push(changed, url, replace=True)
    pull(url, tmp_path / "here")
    assert open_cache(tmp_path / "here").hash == open_cache(changed).hash


def test_two_machines_push_to_one_url(url, cache, tmp_path):
    other = a_cache(tmp_path / "other", a_sequence("w", 300))
    threads = [threading.Thread(target=push, args=(one, url)) for one in (cache, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pull(url, tmp_path / "here")
    assert open_cache(tmp_path / "here").hash == open_cache([cache, other]).hash
    assert json.loads(Remote(url).read("index.json"))["shards"].keys() == sizes(tmp_path / "here").keys()


def test_wrong_credentials_are_one_error_without_secrets(s3, ssh, cache, monkeypatch):
    monkeypatch.setitem(fsspec.config.conf, "s3", s3)
    for url in (ssh.url("a-wrong-one"), "s3://no-such-bucket/x"):
        with pytest.raises(SkelemoError) as error:
            push(cache, url)
        assert "a-wrong-one" not in str(error.value)
        assert "a-secret" not in str(error.value)
        assert "\n" not in str(error.value)


def test_an_unknown_host_key_is_refused_whatever_is_configured(ssh, cache, tmp_path, monkeypatch):
    import asyncssh

    for key in (None, asyncssh.generate_private_key("ssh-ed25519")):
        ssh.known_hosts.write_text("") if key is None else ssh.make_known(key)
        with pytest.raises(SkelemoError, match=r"127\.0\.0\.1.*[Hh]ost key"):
            push(cache, ssh.url())
    monkeypatch.setitem(fsspec.config.conf, "ssh", {"known_hosts": None})
    with pytest.raises(SkelemoError, match=r"[Hh]ost key"):
        push(cache, ssh.url())
    assert not list((tmp_path / "server").iterdir())
    ssh.make_known()
    push(cache, ssh.url())
