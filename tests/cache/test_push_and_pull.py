"""Caches on their way through a folder: what arrives is what was sent, and no more travels than has to."""

import errno
import json
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import h5py
import pytest
from click.testing import CliRunner
from places import WebServer
from small_caches import BODY, CLASSES, a_cache, a_sequence, sizes

from skelemo.atomic import owner
from skelemo.cache.cache import open_cache, shard_files
from skelemo.cache.hdf5 import length_said
from skelemo.cache.shard import Header, Shard, open_shard, write_shard
from skelemo.cache.share import pull as pulling
from skelemo.cache.share import push as pushing
from skelemo.cache.share import remote as places
from skelemo.cache.share.manifest import facts_of, from_json, to_json
from skelemo.cache.share.pull import pull
from skelemo.cache.share.push import push
from skelemo.cli import main
from skelemo.errors import CacheError, ConfigError, RemoteError, SkelemoError, UnreadableError


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_what_is_pushed_and_pulled_is_the_same_cache(cache, tmp_path):
    sent = push(cache, str(tmp_path / "far" / "away"), jobs=2)
    assert (len(sent.shards), sent.there, sent.size) == (4, 0, sum(sizes(cache).values()))
    got = pull(f"file://{tmp_path}/far/away", tmp_path / "here", jobs=3)
    assert (len(got.shards), got.there, got.size) == (4, 0, sum(sizes(cache).values()))
    assert sizes(tmp_path / "here") == sizes(cache)
    assert open_cache(tmp_path / "here").hash == open_cache(cache).hash
    assert leftovers(tmp_path / "here") == leftovers(tmp_path / "far" / "away") == []


def test_only_what_is_missing_travels(cache, tmp_path):
    far, here, told = tmp_path / "far", tmp_path / "here", []
    push(cache, str(far))
    assert push(cache, str(far)).size == 0
    first, *_ = shard_files(cache)
    (far / first.name).unlink()
    assert push(cache, str(far)).shards == (first.name,)
    pull(str(far), here)
    second = shard_files(here)[1]
    second.unlink()
    (here / "renamed.h5").write_bytes(shard_files(here)[0].read_bytes())
    shard_files(here)[0].unlink()
    got = pull(str(far), here, report=lambda *figures: told.append(figures))
    size = (far / second.name).stat().st_size
    assert (got.shards, got.there, got.size) == ((second.name,), 3, size)
    assert (told[0], told[-1]) == ((0, size), (size, size))


def test_lengths_that_the_listing_tells_are_not_asked_for(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(places.Remote, "size", lambda self, name: pytest.fail("the listing tells"))
    assert len(pull(str(cache), tmp_path / "here").shards) == 4


def test_what_a_shard_holds_is_written_out_once_for_a_push(cache, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(pushing, "to_json", lambda facts: made.append(facts) or to_json(facts))
    push(cache, str(tmp_path / "far"))
    assert len(made) == 4


def test_a_plain_copy_of_a_cache_can_be_pulled_from(cache, tmp_path):
    pull(str(cache), tmp_path / "here", only=["split=train"])
    assert open_cache(tmp_path / "here").frames == 160
    pull(str(cache), tmp_path / "all")
    assert open_cache(tmp_path / "all").hash == open_cache(cache).hash


def test_the_index_lists_the_shards_and_the_facts_say_what_is_in_them(cache, tmp_path):
    push(cache, str(tmp_path / "far"))
    assert json.loads((tmp_path / "far" / "index.json").read_text()) == {"shards": sorted(sizes(cache))}
    path = shard_files(cache)[0]
    said = json.loads((tmp_path / "far" / path.with_suffix(".json").name).read_text())
    assert (said["layout"], set(said["classes"])) == (
        "body_25",
        {*CLASSES, "valence", "arousal", "va"} & set(said["classes"]),
    )
    assert [row["labels"] for row in said["sequences"]] == [["glad"], ["calm"]]
    assert [row["sha256"] for row in said["sequences"]] == open_shard(path).sequences["sha256"].tolist()


@pytest.mark.parametrize(
    ("only", "ids"),
    [
        (["video=Kick 2"], {"Kick 2_train", "Kick 2_test"}),
        (["split=train", "video=Kick [01]"], {"Kick 0_train", "Kick 1_train"}),
        (["label=calm"], {f"Kick {index}_test" for index in range(4)}),
        (["id=Kick 0_train", "id=Kick 3_*"], {"Kick 0_train", "Kick 3_train", "Kick 3_test"}),
    ],
)
def test_only_what_is_wanted_comes_or_goes(cache, tmp_path, only, ids):
    push(cache, str(tmp_path / "far"))
    got = pull(str(tmp_path / "far"), tmp_path / "here", only=only)
    assert set(open_cache(tmp_path / "here").sequences["id"]) == ids
    assert got.sequences == len(ids)
    touched = {path.name for path in shard_files(cache) if ids & set(open_shard(path).sequences["id"])}
    assert set(got.shards) == touched, "shards without a wanted sequence are not fetched"
    assert pull(str(tmp_path / "far"), tmp_path / "here", only=only).size == 0, "it is all there"
    sent = push(cache, str(tmp_path / "some"), only=only)
    assert set(open_cache(tmp_path / "some").sequences["id"]) == ids
    assert push(cache, str(tmp_path / "some"), only=only) == pushing.Carried((), len(sent.shards), 0)


def test_the_rest_can_be_pulled_later(cache, tmp_path):
    push(cache, str(tmp_path / "far"))
    pull(str(tmp_path / "far"), tmp_path / "here", only=["split=train"])
    assert open_cache(tmp_path / "here").hash != open_cache(cache).hash
    pull(str(tmp_path / "far"), tmp_path / "here")
    assert open_cache(tmp_path / "here").hash == open_cache(cache).hash
    assert open_cache(tmp_path / "here").fingerprints == open_cache(cache).fingerprints


@pytest.mark.parametrize("facts", ["with facts", "without facts"])
def test_a_pull_that_nothing_there_meets_is_an_error(cache, tmp_path, facts):
    push(cache, str(tmp_path / "far"))
    for file in (tmp_path / "far").glob("*.json") if facts == "without facts" else ():
        file.unlink()
    nothing = (
        r"far: no sequence there has --only video=Sit --only split=train \(video is Kick 0, Kick 1, Kick 2, Kick 3\)$"
    )
    for folder in ("new", "full"):
        with pytest.raises(RemoteError, match=nothing):
            pull(str(tmp_path / "far"), tmp_path / "made" / folder, only=["video=Sit", "split=train"])
        assert (tmp_path / "made").exists() == (folder == "full"), "no new folder is left empty"
        pull(str(tmp_path / "far"), tmp_path / "made" / "full")
    full = tmp_path / "made" / "full"
    assert pull(str(tmp_path / "far"), full, only=["video=Kick 2"]).shards == (), "which it has already"
    assert open_cache(full).hash == open_cache(cache).hash
    (tmp_path / "mine").mkdir()
    with pytest.raises(RemoteError, match="no sequence there has"):
        pull(str(tmp_path / "far"), tmp_path / "mine", only=["video=Sit"])
    assert (tmp_path / "mine").exists(), "it was there before"


def test_what_only_some_shards_can_be_asked_is_asked_of_them(cache, tmp_path):
    a_cache(cache, a_sequence("extra", splits={"fold_1": "test"}))
    push(cache, str(tmp_path / "far"))
    for facts in list((tmp_path / "far").glob("*.json"))[:3]:
        facts.unlink()
    pull(str(tmp_path / "far"), tmp_path / "here", only=["fold_1=test"])
    assert open_cache(tmp_path / "here").sequences["id"].tolist() == ["extra"]
    with pytest.raises(ConfigError, match="did you mean 'fold_1'"):
        pull(str(tmp_path / "far"), tmp_path / "other", only=["fold_2=test"])
    with pytest.raises(CacheError, match=r"cache: no sequence has --only video=Sit \(video is extra, Kick 0, .*\)$"):
        push(cache, str(tmp_path / "far"), only=["video=Sit"])


# Interruptions


def test_a_pull_goes_on_from_what_there_is(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "PIECE", 1000)
    here = tmp_path / "here"
    here.mkdir()
    path = shard_files(cache)[0]
    (here / f".partial-{path.name}").write_bytes(path.read_bytes()[:3000])
    got = pull(str(cache), here)
    assert got.size == sum(sizes(cache).values()) - 3000
    assert open_cache(here).hash == open_cache(cache).hash
    assert leftovers(here) == []


@pytest.mark.parametrize("begun", [b"\0" * 5000, b"\0" * 10**6])
def test_what_was_begun_with_other_bytes_is_fetched_anew(cache, tmp_path, begun):
    here = tmp_path / "here"
    here.mkdir()
    path = shard_files(cache)[0]
    (here / f".partial-{path.name}").write_bytes(begun)
    pull(str(cache), here)
    assert sizes(here) == sizes(cache)
    assert leftovers(here) == []


def test_a_shard_of_a_newer_format_is_not_called_damaged_and_is_kept_for_a_later_pull(tmp_path, monkeypatch):
    far, here = tmp_path / "far", tmp_path / "here"
    with monkeypatch.context() as newer:
        newer.setattr("skelemo.cache.shard.VERSION", 2)
        a_cache(far, a_sequence())
    with pytest.raises(UnreadableError, match="format version 2; this skelemo reads 2: update it"):
        pull(str(far), here)
    monkeypatch.setattr("skelemo.cache.shard.VERSION", 2)
    assert pull(str(far), here).size == 0, "all of it has come before"
    assert sizes(here) == sizes(far)


def test_a_pull_that_may_open_no_more_files_says_so_and_keeps_what_has_come(cache, tmp_path, monkeypatch):
    def refused(*_, **__):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as busy:
        busy.setattr(h5py, "File", refused)
        with pytest.raises(UnreadableError, match=r"Too many open files.*: put that right and try again"):
            pull(str(cache), tmp_path / "here")
    first = shard_files(cache)[0].stat().st_size
    assert pull(str(cache), tmp_path / "here").size == sum(sizes(cache).values()) - first


def test_two_pulls_into_one_folder_do_not_disturb_each_other(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "PIECE", 500)
    errors = []

    def run():
        try:
            pull(str(cache), tmp_path / "here", jobs=2)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sizes(tmp_path / "here") == sizes(cache)
    assert leftovers(tmp_path / "here") == []


def test_pushes_to_one_place_do_not_disturb_each_other(tmp_path):
    caches = [a_cache(tmp_path / f"cache {index}", a_sequence(f"v{index}"), a_sequence("w")) for index in range(6)]
    both = a_cache(tmp_path / "cache 0", a_sequence("shared"))
    a_cache(tmp_path / "cache 1", a_sequence("shared"))
    threads = [threading.Thread(target=push, args=(one, str(tmp_path / "far"))) for one in caches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {name for one in caches for name in sizes(one)}
    assert set(sizes(tmp_path / "far")) == names
    assert set(json.loads((tmp_path / "far" / "index.json").read_text())["shards"]) == names
    assert open_cache(tmp_path / "far").hash == open_cache([both, *caches]).hash
    assert leftovers(tmp_path / "far") == []


def test_an_index_made_of_an_old_listing_is_put_right_by_who_wrote_last(cache, tmp_path, monkeypatch):
    far, raced = tmp_path / "far", []
    original = places.Remote.put_text

    def overtaken(self, name, text):
        original(self, name, text)
        if name == "index.json" and not raced:
            raced.append(write_shard(far, BODY, [a_sequence("another's")]))

    monkeypatch.setattr(places.Remote, "put_text", overtaken)
    push(cache, str(far))
    assert set(json.loads((far / "index.json").read_text())["shards"]) == {*sizes(cache), raced[0].name}


def test_a_push_that_is_cut_off_leaves_nothing_that_looks_like_a_shard(cache, tmp_path, monkeypatch):
    from fsspec.implementations.local import LocalFileSystem

    monkeypatch.setattr("skelemo.cache.share.retry.PAUSES", (0.0,))
    copies = []
    original = LocalFileSystem.put_file

    def cut(self, source, target, **how):
        original(self, source, target, **how)
        copies.append(target)
        if len(copies) in (2, 4, 5):
            os.truncate(target, 1000)
        if len(copies) == 2:
            raise ConnectionError("cut")

    monkeypatch.setattr(LocalFileSystem, "put_file", cut)
    with pytest.raises(RemoteError, match="arrived with 1000 of"):
        push(cache, str(tmp_path / "far"))
    sent = len(sizes(tmp_path / "far"))
    assert sent in (2, 3), "what had been sent stays, the second try of the second among it"
    assert leftovers(tmp_path / "far") == []
    assert len(push(cache, str(tmp_path / "far")).shards) == 4 - sent
    assert open_cache(tmp_path / "far").hash == open_cache(cache).hash


def test_what_a_push_that_was_killed_has_left_is_swept_by_the_next(cache, tmp_path):
    far = tmp_path / "far"
    code = """
import os, signal, sys
from pathlib import Path
from fsspec.implementations.local import LocalFileSystem
from skelemo.cache.share.push import push

def killed(self, source, target, **how):
    Path(target).write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)

LocalFileSystem.put_file = killed
push(Path(sys.argv[1]), sys.argv[2])
"""
    subprocess.run([sys.executable, "-c", code, str(cache), str(far)], check=False)
    (left,) = (path for path in far.iterdir() if path.read_bytes() == b"half")
    living = left.with_name(f".partial-{owner()}-0.push")
    begun = left.with_name(".partial-0123456789abcdef0123.h5")
    for path in (living, begun):
        path.write_bytes(b"x")
        os.utime(path, (0, 0))
    push(cache, str(far))
    assert sorted(leftovers(far)) == sorted([living.name, begun.name]), "which somebody goes on with"


@pytest.mark.parametrize(("name", "left"), [("shard", -50), ("shard", 47), ("shard", 0), ("facts", -50)])
def test_what_was_cut_off_there_is_sent_again(cache, tmp_path, name, left):
    far = tmp_path / "far"
    push(cache, str(far))
    path = shard_files(far)[1]
    cut = path if name == "shard" else path.with_suffix(".json")
    before = cut.read_bytes()
    cut.write_bytes(before[:left])
    assert push(cache, str(far)).shards == ((path.name,) if name == "shard" else ())
    assert cut.read_bytes() == before


@pytest.fixture
def twins(tmp_path):
    """Two caches of the same data, of which the second says at length where it came from."""
    return [
        a_cache(tmp_path / name, a_sequence(), header=Header("body_25", BODY.heads, origin={"source": name * 500}))
        for name in ("x", "yz")
    ]


def test_the_same_shard_of_another_length_need_not_travel_or_be_read(twins, tmp_path, monkeypatch):
    short, long = twins
    ((name, size),), ((same, other_size),) = (sizes(one).items() for one in twins)
    assert (same, size < other_size) == (name, True)
    for first, second in (short, long), (long, short):
        far = tmp_path / f"far {first.name}"
        push(first, str(far))
        with monkeypatch.context() as patch:
            patch.setattr(Shard, "damaged", lambda *_: pytest.fail("it is read"))
            assert push(second, str(far)).shards == pull(str(far), second).shards == ()
        assert sizes(far) == sizes(first)


def test_the_same_shard_that_was_cut_off_there_is_sent_again_though_it_is_longer_than_here(twins, tmp_path):
    short, long = twins
    far = tmp_path / "far"
    push(long, str(far))
    (path,) = shard_files(far)
    path.write_bytes(path.read_bytes()[:-1])
    assert push(short, str(far)).shards == (path.name,)
    assert sizes(far) == sizes(short)


def test_how_long_a_shard_is_stands_at_its_beginning(cache):
    for path in shard_files(cache):
        content = path.read_bytes()
        assert length_said(content[:48]) == len(content)
    assert length_said(content[:47]) is length_said(b"x" * 48) is None


@pytest.mark.parametrize("only", [[], ["split=train"]])
def test_a_shard_here_that_was_cut_off_is_fetched_again(cache, tmp_path, only):
    far = tmp_path / "far"
    push(cache, str(far))
    path = shard_files(cache)[0]
    path.write_bytes(path.read_bytes()[:-1])
    assert pull(str(far), cache, only=only).shards == (path.name,)
    assert sizes(cache) == sizes(far)


# Hostile places


def test_a_shard_that_is_not_what_it_claims_is_named_and_not_taken(cache, tmp_path):
    far = tmp_path / "far"
    push(cache, str(far))
    first, second, third, fourth = shard_files(far)
    with h5py.File(first, "r+", libver=("v110", "v110")) as file:
        file["frames/labels/va"][3] = 0.5
    second.write_bytes(third.read_bytes())
    fourth.write_bytes(b"\0" * 5000)
    with pytest.raises(CacheError, match="3 shards are not taken") as error:
        pull(str(far), tmp_path / "here")
    for path, reason in ((first, "is damaged"), (second, f"it is {third.name}"), (fourth, "cannot be read")):
        assert path.name in str(error.value)
        assert reason in str(error.value)
    assert str(error.value).endswith(": remove it there and push again")
    assert "\n" not in str(error.value)
    assert set(sizes(tmp_path / "here")) == {third.name}
    assert leftovers(tmp_path / "here") == []


def test_names_that_are_no_shards_are_not_even_asked_for(cache, tmp_path):
    far = tmp_path / "far"
    push(cache, str(far))
    for name in ("..h5", "%2e%2e%2fpasswd.h5", "0123456789abcdef012.h5", "0123456789ABCDEF0123.h5", "evil.h5"):
        (far / name).write_bytes(b"x")
    (far / "0123456789abcdef0123.h5.json").write_text("x")
    assert len(pull(str(far), tmp_path / "here").shards) == 4


@pytest.mark.parametrize("web", [False, True])
def test_shards_that_are_not_named_by_their_content_are_passed_over_with_a_note(cache, tmp_path, web):
    shard_files(cache)[0].rename(cache / "mine (1).h5")
    with WebServer(cache) as server:
        answer = call("pull", server.url if web else cache, tmp_path / "here")
        assert answer.exit_code == 0
        assert "3 shards, " in answer.output
        assert "note: mine (1).h5 there is passed over: " in answer.output
        for path in shard_files(cache):
            path.rename(path.with_name(f"{path.name[:4]}.h5"))
        with pytest.raises(
            RemoteError, match=r"no shard of a cache is listed there \(.*\.h5 and 3 others there are passed"
        ):
            pull(server.url if web else str(cache), tmp_path / "other")


def test_another_layout_or_other_classes_are_refused_before_anything_is_fetched(cache, tmp_path):
    other = a_cache(tmp_path / "other", a_sequence(points=95), header=Header("body_25+face_70", BODY.heads))
    push(cache, str(tmp_path / "far"))
    before = sizes(other)
    with pytest.raises(CacheError, match=r"has the layout body_25 and .* has body_25\+face_70"):
        pull(str(tmp_path / "far"), other)
    with pytest.raises(CacheError, match="holds a cache with the layout body_25 and"):
        push(other, str(tmp_path / "far"))
    with pytest.raises(CacheError, match="shards of one cache agree"):  # where nothing says so beforehand
        pull(str(cache), other)
    assert sizes(other) == before
    assert leftovers(other) == []


def test_shards_that_contradict_the_cache_are_not_taken(cache, tmp_path):
    here = a_cache(tmp_path / "here", a_sequence("Kick 1_test", seed=9))
    with pytest.raises(CacheError, match=r"'Kick 1_test' is in .*here with other content"):
        pull(str(cache), here)
    assert len(open_cache(here).sequences) == 7


@pytest.mark.parametrize("facts", [b"", b"[]", b"\xff", b"[" * 10**5, b'{"format": "skelemo", "version": 1}'])
def test_facts_that_mean_nothing_are_as_if_there_were_none(cache, tmp_path, facts):
    push(cache, str(tmp_path / "far"))
    for path in (tmp_path / "far").glob("*.json"):
        path.write_bytes(facts)
    got = pull(str(tmp_path / "far"), tmp_path / "here", only=["video=Kick 2"])
    assert set(open_cache(tmp_path / "here").sequences["video"]) == {"Kick 2"}
    assert len(got.shards) == 4


@pytest.mark.parametrize("key", ["id", "video", "splits", "labels", "sha256"])
@pytest.mark.parametrize("value", [None, 3, {"a": 1}, [["x"]], "\ud800"])
def test_facts_of_the_wrong_kind_are_none(cache, key, value):
    said = json.loads(to_json(facts_of(open_shard(shard_files(cache)[0]))))
    assert from_json(json.dumps(said).encode()) is not None
    said["sequences"][1][key] = value
    found = from_json(json.dumps(said).encode())
    assert found is None or isinstance(value, str)


def test_more_than_there_is_room_for_is_not_begun(cache, tmp_path, monkeypatch):
    full = places.Listing(dict.fromkeys(sizes(cache), 10**15))
    monkeypatch.setattr(places.Remote, "listing", lambda self: full)
    with pytest.raises(CacheError, match=r"would send 4\.0 PB; .* has room for .*B: make room"):
        pull(str(cache), tmp_path / "here")
    monkeypatch.undo()
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1500))
    with pytest.raises(CacheError, match=r"would send [0-9.]+ kB; .* has room for 1\.5 kB: make room"):
        pull(str(cache), tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_damaged_shard_is_not_pushed_and_one_that_does_not_open_is_pulled_again(cache, tmp_path):
    push(cache, str(tmp_path / "far"))
    path = shard_files(cache)[1]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CacheError, match=path.name):
        push(cache, str(tmp_path / "elsewhere"))
    assert pull(str(tmp_path / "far"), cache).shards == (path.name,)
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        file["frames/labels/va"][3] = 0.5
    with pytest.raises(CacheError, match=r"is damaged: skelemo cache verify"):
        push(cache, str(tmp_path / "elsewhere"))
    assert path.name not in sizes(tmp_path / "elsewhere")


# What cannot be


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nowhere/at/all", "no shard of a cache is listed there"),
        ("a::b", "the URL has '::' in it, by which fsspec chains file systems"),
        ("simplecache::s3://ann:secret@geheim/x", "expected one place's URL"),
        ("gopher://x/y", "gopher:// is no protocol that fsspec knows"),
        ("http://ann:secret@127.0.0.1:1/x?sig=geheim", r"http://127\.0\.0\.1:1/x: "),
    ],
)
def test_a_place_that_is_none_is_said_in_one_line_without_secrets(tmp_path, url, said, monkeypatch):
    monkeypatch.setattr("skelemo.cache.share.retry.PAUSES", ())
    with pytest.raises(SkelemoError, match=said) as error:
        pull(url, tmp_path / "here")
    assert "secret" not in str(error.value)
    assert "geheim" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_driver_names_its_extra(tmp_path, monkeypatch):
    def missing(*_, **__):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.url_to_fs", missing)
    monkeypatch.setitem(sys.modules, "skelemo.cache.share.ssh", None)
    for url, extra in (("s3://b/c", "s3"), ("ssh://h/c", "ssh"), ("sftp://h/c", "ssh"), ("https://h/c", "http")):
        with pytest.raises(ConfigError, match=rf"driver for .* is missing: pip install 'skelemo\[{extra}\]'"):
            pull(url, tmp_path / "here")


def test_what_is_no_cache_folder_is_not_pulled_into(cache, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("x")
    with pytest.raises(CacheError, match=r"holds 'a\.txt' and no cache"):
        pull(str(cache), tmp_path / "docs")
    with pytest.raises(CacheError, match="is a file"):
        pull(str(cache), tmp_path / "docs" / "a.txt")


def test_a_full_disk_is_said_and_what_has_come_stays(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "PIECE", 1000)
    written = []
    original = pulling._write

    def full(file, piece):
        if len(written) == 3:
            raise CacheError(f"{file.name}: cannot be written (No space left on device)")
        written.append(piece)
        original(file, piece)

    monkeypatch.setattr(pulling, "_write", full)
    with pytest.raises(CacheError, match="No space left"):
        pull(str(cache), tmp_path / "here")
    (left,) = (tmp_path / "here").iterdir()
    assert left.stat().st_size == 3000


def test_what_stops_a_push_to_a_folder_is_said_with_the_place_and_in_no_words_of_pythons(cache, tmp_path, monkeypatch):
    def full(self, source, target, **how):
        raise OSError(errno.ENOSPC, "No space left on device", source, None, target)

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.put_file", full)
    with pytest.raises(RemoteError) as error:
        push(cache, str(tmp_path / "far"))
    assert str(error.value) == f"{tmp_path}/far: No space left on device"
    (tmp_path / "file").touch()
    with pytest.raises(RemoteError, match=rf"^{tmp_path}/file/far: Not a directory$"):
        push(cache, str(tmp_path / "file" / "far"))


# The verbs


def call(*words):
    return CliRunner().invoke(main, ["cache", *map(str, words)])


def test_the_verbs_say_what_has_travelled(cache, tmp_path):
    answer = call("push", cache, tmp_path / "far", "--only", "split=train", "--jobs", 2)
    assert answer.exit_code == 0, answer.output
    assert "4 shards" in answer.output
    answer = call("pull", tmp_path / "far", tmp_path / "here", "--only", "video=Kick 1")
    assert answer.exit_code == 0, answer.output
    assert "1 shard, " in answer.output
    assert "of which 1 sequence is kept; 3 shards need not travel" in answer.output
    answer = call("pull", tmp_path / "far", tmp_path / "here", "--only", "video=Kick 1")
    assert "0 shards, 0 bytes, pulled into" in answer.output
    assert "kept" not in answer.output
    answer = call("pull", tmp_path / "far", tmp_path / "here", "--only", "label=angry")
    assert answer.exit_code == 2
    assert "unknown label 'angry'" in answer.output
    assert call("pull", tmp_path / "far", tmp_path / "here", "--storage-option", "secret").exit_code == 2


def test_a_push_replaces_only_when_it_is_told_to(cache, changed, tmp_path):
    assert call("push", cache, tmp_path / "far").exit_code == 0
    answer = call("push", changed, tmp_path / "far")
    assert answer.exit_code == 2
    assert len(answer.output.strip().splitlines()) == 1
    answer = call("push", changed, tmp_path / "far", "--replace")
    assert answer.exit_code == 0
    assert "note: 1 outdated shard there removed" in answer.output


def test_options_are_numbers_truths_objects_or_text():
    from skelemo.cache.share.address import read_options

    said = ["port=2222", "anon=true", "key=007x", 'client_kwargs={"a": 1}', "endpoint_url=http://x:1/?a=b", "n=null"]
    assert read_options(said) == {
        "port": 2222,
        "anon": True,
        "key": "007x",
        "client_kwargs": {"a": 1},
        "endpoint_url": "http://x:1/?a=b",
        "n": "null",
    }
