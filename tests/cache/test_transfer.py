"""Push and pull: pulled caches equal pushed ones, only missing shards are transferred, and everything is verified."""

import json
import os
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner
from small_caches import BODY, BODY_AND_FACE, a_cache, a_recording, a_sequence, sizes

from skelemo.cache import pull as pulling
from skelemo.cache import remote
from skelemo.cache.pull import pull
from skelemo.cache.push import push
from skelemo.cache.reading import damaged_sequences
from skelemo.cache.shard import Header, open_shard
from skelemo.cache.store import open_cache, shard_files
from skelemo.cli import main
from skelemo.errors import CacheError, ConfigError, RemoteError, SkelemoError


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def damage(path, at=0.5):
    """Flip a bit of a file."""
    content = bytearray(path.read_bytes())
    content[int(len(content) * at)] ^= 1
    path.write_bytes(content)


def index_of(folder):
    return json.loads((folder / "index.json").read_text())


@pytest.fixture
def far(cache, tmp_path):
    push(cache, str(tmp_path / "far"))
    return tmp_path / "far"


def test_a_pulled_cache_equals_the_pushed_one(cache, tmp_path):
    sent = push(cache, str(tmp_path / "far" / "away"), jobs=2)
    assert (len(sent.shards), sent.up_to_date, sent.size) == (4, 0, sum(sizes(cache).values()))
    got = pull(f"file://{tmp_path}/far/away", tmp_path / "here", jobs=3)
    assert (len(got.shards), got.up_to_date, got.size, got.sequences) == (4, 0, sum(sizes(cache).values()), 8)
    assert sizes(tmp_path / "here") == sizes(cache)
    assert open_cache(tmp_path / "here").hash == open_cache(cache).hash
    assert leftovers(tmp_path / "here") == leftovers(tmp_path / "far" / "away") == []


def test_only_missing_shards_are_transferred(cache, far, tmp_path):
    here, reports = tmp_path / "here", []
    assert push(cache, str(far)).size == 0
    first, *_ = shard_files(cache)
    (far / first.name).unlink()
    assert push(cache, str(far)).shards == (first.name,)
    pull(str(far), here)
    second = shard_files(here)[1]
    second.unlink()
    (here / "renamed.h5").write_bytes(shard_files(here)[0].read_bytes())
    shard_files(here)[0].unlink()
    got = pull(str(far), here, report=lambda *figures: reports.append(figures))
    size = (far / second.name).stat().st_size
    assert (got.shards, got.up_to_date, got.size) == ((second.name,), 3, size)
    assert (reports[0], reports[-1]) == ((0, size), (size, size))


def test_the_index_describes_every_shard(cache, far):
    shards = index_of(far)["shards"]
    assert {name: one["size"] for name, one in shards.items()} == sizes(cache)
    rows = [row for one in shards.values() for row in one["sequences"]]
    known = open_cache(cache).sequences
    assert {row["id"]: row["sha256"] for row in rows} == dict(zip(known["id"], known["sha256"], strict=True))
    assert {row["splits"]["split"]: row["labels"] for row in rows} == {"train": ["glad"], "test": ["calm"]}


@pytest.mark.parametrize(
    ("only", "ids"),
    [
        (["split=train"], [f"Kick {index}_train" for index in range(4)]),
        (["label=calm", "video=Kick [01]"], ["Kick 0_test", "Kick 1_test"]),
        (["id=Kick 3_t*"], ["Kick 3_test", "Kick 3_train"]),
    ],
)
@pytest.mark.parametrize("indexed", [True, False])
def test_only_matching_sequences_are_pulled_and_pushed(cache, far, tmp_path, only, ids, indexed):
    if not indexed:
        (far / "index.json").unlink()
    pull(str(far), tmp_path / "here", only=only)
    assert sorted(open_cache(tmp_path / "here").sequences["id"]) == ids
    push(cache, str(tmp_path / "part"), only=only)
    assert sorted(open_cache(tmp_path / "part").sequences["id"]) == ids


def test_shards_without_a_matching_sequence_are_not_transferred(cache, far, tmp_path):
    assert len(pull(str(far), tmp_path / "here", only=["video=Kick 2"]).shards) == 1
    assert len(pull(str(far), tmp_path / "here").shards) == 3
    assert open_cache(tmp_path / "here").hash == open_cache(cache).hash


@pytest.mark.parametrize(
    ("only", "message"),
    [("video=Nobody", "no sequence matches video=Nobody"), ("label=furious", "unknown"), ("fold=1", "unknown key")],
)
def test_a_pull_without_matches_leaves_no_folder(far, tmp_path, only, message):
    with pytest.raises(SkelemoError, match=message):
        pull(str(far), tmp_path / "new" / "here", only=[only])
    assert not (tmp_path / "new").exists()


def test_a_plain_copy_of_a_cache_can_be_pulled_and_pushed_to(cache, changed, tmp_path):
    pull(str(cache), tmp_path / "here")
    assert open_cache(tmp_path / "here").hash == open_cache(cache).hash
    with pytest.raises(CacheError, match=r"'Kick 1_test' of .* differs from"):
        push(changed, str(tmp_path / "here"))
    assert push(cache, str(tmp_path / "here")).size == 0
    assert len(index_of(tmp_path / "here")["shards"]) == 4


def test_changed_sequences_require_replace(cache, changed, far, tmp_path):
    before = sizes(far)
    with pytest.raises(CacheError, match=r"'Kick 1_test' of .* differs from.*--replace"):
        push(changed, str(far))
    assert sizes(far) == before
    done = push(changed, str(far), replace=True)
    assert (len(done.shards), done.notes) == (1, ("removed 1 outdated remote shard",))
    assert open_cache(far).hash == open_cache(changed).hash
    assert index_of(far)["shards"].keys() == sizes(far).keys()
    with pytest.raises(CacheError, match=r"'Kick 1_test' of .* differs from"):
        pull(str(far), cache)


@pytest.mark.parametrize("lost", ["sequence", "recording"])
def test_replacing_never_loses_other_content_of_a_shard(tmp_path, lost):
    rest = [a_sequence("other")] if lost == "sequence" else []
    rows = [a_recording("v"), a_recording("other")]
    old = a_cache(tmp_path / "old", a_sequence("v"), *rest, recordings=rows)
    new = a_cache(tmp_path / "new", a_sequence("v", seed=9), recordings=rows[:1])
    push(old, str(tmp_path / "far"))
    with pytest.raises(CacheError, match="removing that shard would lose 'other'"):
        push(new, str(tmp_path / "far"), replace=True)
    assert open_cache(tmp_path / "far").hash == open_cache(old).hash


def test_a_push_killed_while_it_replaces_loses_nothing(changed, far, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(remote.Remote, "remove", killed)
    with pytest.raises(KeyboardInterrupt):
        push(changed, str(far), replace=True)
    monkeypatch.undo()
    push(changed, str(far), replace=True)
    assert open_cache(far).hash == open_cache(changed).hash


def test_concurrent_pushes_are_all_indexed(tmp_path):
    caches = [a_cache(tmp_path / f"{index}", a_sequence(f"v{index}", 200)) for index in range(4)]
    threads = [threading.Thread(target=push, args=(one, str(tmp_path / "far"))) for one in caches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert index_of(tmp_path / "far")["shards"].keys() == sizes(tmp_path / "far").keys()
    assert open_cache(tmp_path / "far").hash == open_cache(caches).hash


def test_an_interrupted_upload_is_invisible_and_removed_by_the_next_pull_a_day_later(cache, tmp_path):
    far = tmp_path / "far"
    code = (
        "import sys, os; from skelemo.cache.push import push\n"
        "from fsspec.implementations.local import LocalFileSystem\n"
        "LocalFileSystem.mv = lambda *_, **__: os._exit(9)\n"
        "push(__import__('pathlib').Path(sys.argv[1]), sys.argv[2])\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(cache), str(far)]).returncode == 9
    assert len(leftovers(far)) == len(list(far.iterdir())) == 1
    push(cache, str(far))
    pull(str(cache), far)
    assert len(leftovers(far)) == 1, "its writer may live"
    os.utime(far / leftovers(far)[0], (0, 0))
    pull(str(cache), far)
    assert leftovers(far) == []


def test_a_killed_pull_leaves_only_complete_shards(far, cache, tmp_path):
    code = (
        "import sys, os; from pathlib import Path; from skelemo.cache import pull\n"
        "accept, left = pull._Pull.accept, [2]\n"
        "def once(self, *words):\n    left[0] -= 1\n    left[0] or os._exit(9)\n    accept(self, *words)\n"
        "pull._Pull.accept = once\n"
        "pull.pull(sys.argv[1], Path(sys.argv[2]))\n"
    )
    here = tmp_path / "here"
    assert subprocess.run([sys.executable, "-c", code, str(far), str(here)]).returncode == 9
    assert (len(sizes(here)), len(leftovers(here))) == (1, 1)
    assert len(pull(str(far), here).shards) == 3
    assert open_cache(here).hash == open_cache(cache).hash
    assert leftovers(here) == []


@pytest.mark.parametrize("at", [0.01, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("indexed", [True, False])
def test_a_flipped_bit_is_detected_before_a_shard_is_added(far, tmp_path, at, indexed):
    broken = shard_files(far)[0]
    damage(broken, at)
    if not indexed:
        (far / "index.json").unlink()
    with pytest.raises(CacheError, match=rf"refused: {broken.name} \("):
        pull(str(far), tmp_path / "here")
    assert sorted(sizes(tmp_path / "here")) == sorted(sizes(far).keys() - {broken.name})
    assert leftovers(tmp_path / "here") == []


def test_a_truncated_remote_shard_is_uploaded_again(cache, far):
    broken = shard_files(far)[0]
    os.truncate(broken, 50)
    assert push(cache, str(far)).shards == (broken.name,)
    assert sizes(far) == sizes(cache)


def test_a_damaged_local_shard_is_downloaded_again_and_never_pushed(cache, far, tmp_path):
    here = tmp_path / "here"
    pull(str(far), here)
    broken = shard_files(here)[0]
    os.truncate(broken, 500)
    assert pull(str(far), here).shards == (broken.name,)
    damage(shard_files(cache)[0])
    with pytest.raises(CacheError, match=r"damaged|cannot be read|match their hash"):
        push(cache, str(tmp_path / "elsewhere"))


def test_another_layout_is_refused_before_any_transfer(cache, far, tmp_path):
    other = a_cache(tmp_path / "other", a_sequence("w", points=95), header=Header("body_25+face_70", BODY.heads))
    with pytest.raises(CacheError, match="layout"):
        push(other, str(far))
    with pytest.raises(CacheError, match="layout"):
        pull(str(far), other)
    assert sizes(far) == sizes(cache)


def test_a_pull_larger_than_the_free_space_is_refused(far, tmp_path, monkeypatch):
    monkeypatch.setattr(pulling.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(CacheError, match=r"1\.0 kB are free"):
        pull(str(far), tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_pull_into_other_folders_or_files_is_refused(far, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "thesis.tex").touch()
    for folder, message in ((tmp_path / "here", "thesis.tex"), (tmp_path / "here" / "thesis.tex", "is a file")):
        with pytest.raises(CacheError, match=message):
            pull(str(far), folder)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 10**5,
        b'{"format": "skelemo", "version": 99, "shards": {}}',
        b'{"format": "skelemo", "version": 1, "shards": {"../../etc/passwd": 3}}',
        b'{"format": "skelemo", "version": 1, "shards": {"' + b"0" * 20 + b'.h5": {"size": -1}}}',
        b'{"format": "skelemo", "version": 1, "shards": {"' + b"0" * 20 + b'.h5": {"size": 1e400}}}',
    ],
)
def test_a_hostile_index_is_one_error(far, tmp_path, text):
    (far / "index.json").write_bytes(text)
    with pytest.raises(RemoteError, match=r"index\.json: not an index") as error:
        pull(str(far), tmp_path / "here")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
    assert not (tmp_path / "here").exists()


def test_an_index_cannot_name_other_paths(far, tmp_path):
    index = index_of(far)
    index["shards"]["../" + "0" * 20 + ".h5"] = next(iter(index["shards"].values()))
    (far / "index.json").write_text(json.dumps(index))
    with pytest.raises(RemoteError, match="not a shard's name"):
        pull(str(far), tmp_path / "here")


SECRETS = (
    "https://user:SECRET#x@127.0.0.1:1/faces",
    "https://user:SE/CRET@127.0.0.1:1/faces",
    "http://127.0.0.1:1/faces;token=SECRET",
    "http://127.0.0.1:1/faces?X-Signature=SECRET",
    "http://user:SECRET",
    "http://user:SE%43RET@127.0.0.1:1/faces",
    "ftp://user:SECRET@127.0.0.1:1/faces",
    "s3://key:SECRET@bucket/faces",
    "http://[::1:SECRET@127.0.0.1/faces",
    "nonsense://user:SECRET@host",
)


@pytest.mark.parametrize("url", SECRETS)
def test_no_message_shows_a_secret(url, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "PAUSES", ())
    for words in (["pull", url, str(tmp_path / "here")], ["push", str(cache), url]):
        answer = CliRunner().invoke(main, ["cache", *words])
        assert answer.exit_code == 2, answer.output
        assert len(answer.output.strip().splitlines()) == 1, answer.output
        assert "SECRET" not in answer.output.replace("SE/CRET", "SECRET").replace("SE%43RET", "SECRET")


def test_a_missing_driver_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setattr(remote.fsspec, "url_to_fs", lambda *_, **__: __import__("s3fs"))
    with pytest.raises(ConfigError, match=r"pip install 'skelemo\[s3\]'"):
        pull("s3://bucket/x", tmp_path / "here")


def test_the_commands_print_the_result(cache, changed, tmp_path):
    far, here = str(tmp_path / "far"), str(tmp_path / "here")
    answers = [
        CliRunner().invoke(main, ["cache", *words]).output
        for words in (
            ["push", str(cache), far],
            ["pull", far, here, "--only", "split=train"],
            ["push", str(changed), far],
        )
    ]
    assert "pushed 4 shards" in answers[0]
    assert "pulled 4 shards" in answers[1]
    assert "4 sequences kept" in answers[1]
    assert "--replace" in answers[2]


def test_a_full_disk_leaves_no_partial_shard(far, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pulling, "damaged_sequences", full)
    with pytest.raises(OSError, match="No space left"):
        pull(str(far), tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_pulled_shards_are_intact(far, tmp_path):
    pull(str(far), tmp_path / "here")
    for path in shard_files(tmp_path / "here"):
        assert damaged_sequences(open_shard(path)) == []


def test_recordings_without_people_are_pushed_and_pulled(tmp_path):
    home = a_cache(tmp_path / "home", a_sequence("one"), recordings=[a_recording("one")])
    a_cache(home, recordings=[a_recording("nobody")], problems=[{"file": "x.json", "reason": "is empty"}])
    push(home, str(tmp_path / "far"))
    pull(str(tmp_path / "far"), tmp_path / "here")
    assert sorted(open_cache(tmp_path / "here").recordings["video"]) == ["nobody", "one"]
    assert open_cache(tmp_path / "here").problems["file"].tolist() == ["x.json"]


def test_a_shard_of_another_layout_that_no_index_lists_is_refused_after_its_download(tmp_path):
    local = a_cache(tmp_path / "local", a_sequence("near"))
    a_cache(tmp_path / "remote", a_sequence("far", points=95), header=BODY_AND_FACE)
    with pytest.raises(CacheError, match=r"remote: refused: .*body_25\+face_70.*: push them again"):
        pull(str(tmp_path / "remote"), local)
    assert open_cache(local).sequences["id"].tolist() == ["near"]
    assert [path.suffix for path in local.iterdir() if not path.name.startswith(".")] == [".h5"]
