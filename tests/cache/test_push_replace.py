"""What a push and a pull do about sequences that have other content there: nothing is mixed, and nothing lost."""

import json
import re
import shlex

import pytest
from small_caches import a_cache, a_recording, a_sequence, sizes

from skelemo.cache.cache import open_cache, shard_files
from skelemo.cache.shard import open_shard
from skelemo.cache.share import remote as places
from skelemo.cache.share.manifest import facts_of, to_json
from skelemo.cache.share.pull import pull
from skelemo.cache.share.push import push
from skelemo.errors import CacheError, UnreadableError


def only_in(one, other):
    """The shard that one cache has and the other has not."""
    ((name, _),) = (item for item in sizes(one).items() if item[0] not in sizes(other))
    return name


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_sequence_that_has_changed_is_refused_unless_it_is_to_replace_the_outdated(cache, changed, tmp_path):
    far = tmp_path / "far"
    push(cache, str(far))
    old, before = only_in(cache, changed), files(far)
    with pytest.raises(CacheError, match=f"sequence 'Kick 1_test' of {old} there has other content .*: --replace puts"):
        push(changed, str(far))
    assert files(far) == before
    assert push(changed, str(far), replace=True).shards == (only_in(changed, cache),)
    assert sizes(far) == sizes(changed)
    assert not (far / old).with_suffix(".json").exists()
    assert json.loads((far / "index.json").read_text()) == {"shards": sorted(sizes(changed))}
    assert open_cache(far).hash == open_cache(changed).hash
    assert push(changed, str(far)).size == 0


def test_an_outdated_shard_stays_while_it_has_what_the_push_does_not_bring(cache, changed, tmp_path):
    far, less = tmp_path / "far", a_cache(tmp_path / "less", a_sequence("Kick 1_test", 40, seed=9))
    push(cache, str(far))
    before = files(far)
    for one, only, remedy in (
        (less, [], "pull --only id='Kick 1_train' first"),
        (changed, ["id=Kick 1_test"], "push without --only"),
    ):
        with pytest.raises(CacheError, match=rf"would be lost .*'Kick 1_train'\): {remedy}$"):
            push(one, str(far), only=only, replace=True)
        assert files(far) == before
    pull(str(far), less, only=["id=Kick 1_train"])
    push(less, str(far), replace=True)
    assert open_cache(far).hash == open_cache(changed).hash


def test_what_would_be_lost_is_brought_by_the_command_that_is_told(tmp_path):
    far, lost = tmp_path / "far", ["it's", "v*", "v?", "v[1]"]
    push(a_cache(tmp_path / "first", *map(a_sequence, ["v", *lost])), str(far))
    push(a_cache(tmp_path / "others", *map(a_sequence, ["v1", "v2"])), str(far))
    mine = a_cache(tmp_path / "mine", a_sequence("v", seed=9))
    a_cache(mine, a_sequence("w"))
    with pytest.raises(
        CacheError, match=r"4 sequences \(\"it's\" and 3 others\): pull .* first, and push without"
    ) as error:
        push(mine, str(far), only=["id=v"], replace=True)
    command = str(error.value).rpartition("pull ")[2].partition(" first, and")[0]
    pull(str(far), mine, only=[word for word in shlex.split(command) if word != "--only"])
    assert set(open_cache(mine).sequences["id"]) == {"v", "w", *lost}
    push(mine, str(far), replace=True)
    assert len(open_cache(far).sequences) == 8


def older_facts(path):
    """Facts beside a shard as they were before they named recordings and problems."""
    beside = path.with_suffix(".json")
    said = json.loads(beside.read_text())
    del said["recordings"], said["problems"]
    beside.write_text(json.dumps(said))


@pytest.mark.parametrize("older", [False, True])
def test_an_outdated_shard_stays_while_it_has_recordings_without_anybody_or_problems_of_its_own(tmp_path, older):
    tables = {
        "recordings": [a_recording("Kick"), a_recording("Empty", people=0)],
        "problems": [{"file": f"{name}/7.json", "reason": "cut off"} for name in ("Kick", "Empty", "Gone")],
    }
    first = a_cache(tmp_path / "first", a_sequence("Kick"), **tables)
    second = a_cache(tmp_path / "second", a_sequence("Kick", seed=9), recordings=[a_recording("Kick")])
    far = tmp_path / "far"
    push(first, str(far))
    (old,) = shard_files(far)
    if older:
        older_facts(old)
    said = r"lost with it, 1 .* of nobody \('Empty'\), 2 problems \('Empty/7.json' and 1 other\): ingest it into"
    with pytest.raises(CacheError, match=said):
        push(second, str(far), replace=True)
    assert shard_files(far) == [old]
    a_cache(second, recordings=[a_recording("Empty")], problems=[{"file": "Gone/7.json", "reason": "cut off"}])
    push(second, str(far), replace=True)
    assert sizes(far) == sizes(second), "what has been put right in recordings that come is not missed"


def test_facts_of_an_older_form_tell_what_is_wanted_and_are_completed_by_who_has_the_shard(cache, tmp_path):
    far = tmp_path / "far"
    push(cache, str(far))
    before = files(far)
    for path in shard_files(far):
        older_facts(path)
    assert len(pull(str(far), tmp_path / "here", only=["video=Kick 2"]).shards) == 1
    push(cache, str(far))
    assert files(far) == before


@pytest.fixture(params=["folder", "file://", "memory://"])
def copied(request, cache, tmp_path):
    """The URL of a plain copy of the cache, beside which nothing says what it holds."""
    url = {"folder": "", "file://": "file://", "memory://": "memory://"}[request.param] + str(tmp_path / "copied")
    there = places.Remote(url)
    for path in shard_files(cache):
        there.put(path, path.name)
    yield url
    for name in there.listing().sizes:
        there.remove(name)


def test_what_contradicts_shards_that_nothing_says_the_content_of_is_refused_or_replaces_them(
    cache, changed, copied, tmp_path
):
    old = only_in(cache, changed)
    with pytest.raises(CacheError, match=f"sequence 'Kick 1_test' of {old} there has other content .*: --replace puts"):
        push(changed, copied)
    assert places.Remote(copied).listing().shards == sorted(sizes(cache))
    push(changed, copied, replace=True)
    pull(copied, tmp_path / "here")
    assert open_cache(tmp_path / "here").hash == open_cache(changed).hash


def test_shards_that_nothing_says_the_content_of_are_looked_into_once_and_only_those_of_others(
    cache, copied, tmp_path, monkeypatch
):
    other, original, read = a_cache(tmp_path / "other", a_sequence("another's")), places.Remote.file, []
    (theirs,) = shard_files(other)
    places.Remote(copied).put(theirs, theirs.name)

    def noted(self, name):
        read.append(name)
        return original(self, name)

    monkeypatch.setattr(places.Remote, "file", noted)
    push(cache, copied, only=["split=train"])
    push(cache, copied)
    assert read == [theirs.name]
    for path in (theirs, *shard_files(cache)):
        assert places.Remote(copied).text(path.with_suffix(".json").name) == to_json(facts_of(open_shard(path)))


def test_a_shard_there_that_cannot_be_read_is_noted_unless_it_may_be_whole(cache, tmp_path, monkeypatch):
    far = a_cache(tmp_path / "far", a_sequence("another's"))
    (theirs,) = shard_files(far)
    whole = theirs.read_bytes()
    theirs.write_bytes(whole[:-10])
    (far / f"{'0' * 20}.h5").write_bytes(shard_files(cache)[0].read_bytes())
    misnamed, cut = push(cache, str(far)).notes
    assert f"what {'0' * 20}.h5 there contradicts (it is {shard_files(cache)[0].name}): push it again" in misnamed
    assert re.search(rf"what {theirs.name} there contradicts \(.*cut off after .* bytes\)+: push it again", cut)
    theirs.unlink()
    with monkeypatch.context() as newer:
        newer.setattr("skelemo.cache.shard.VERSION", 2)
        a_cache(far, a_sequence("another's"))
    with pytest.raises(UnreadableError, match=rf"^{far}/[0-9a-f]+\.h5: format version 2; .*: update it"):
        push(cache, str(far))


@pytest.mark.parametrize("removed", [0, 1])
def test_a_push_that_is_killed_while_it_replaces_has_lost_nothing_and_is_gone_on_with(
    cache, changed, tmp_path, removed, monkeypatch
):
    far, calls = tmp_path / "far", []
    push(cache, str(far))
    original = places.Remote.remove

    def killed(self, name):
        if len(calls) == removed:
            raise KeyboardInterrupt
        calls.append(name)
        original(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(places.Remote, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            push(changed, str(far), replace=True)
    assert set(sizes(far)) == set(sizes(changed)) | (set() if removed else set(sizes(cache)))
    if not removed:
        with pytest.raises(
            CacheError, match=r"'Kick 1_test' differs between .* and .*: remove the shard that is outdated"
        ):
            open_cache(far)
        with pytest.raises(CacheError, match="there has other content"):
            push(changed, str(far))
    push(changed, str(far), replace=True)
    assert open_cache(far).hash == open_cache(changed).hash


@pytest.mark.parametrize("replace", [False, True])
def test_of_two_pushes_at_once_that_contradict_each_other_one_says_so_and_both_are_there(
    cache, changed, tmp_path, replace, monkeypatch
):
    far, original, others = tmp_path / "far", places.Remote.put, [changed]

    def overtaken(self, *what):
        if others:
            push(others.pop(), str(far), replace=replace)
        original(self, *what)

    monkeypatch.setattr(places.Remote, "put", overtaken)
    with pytest.raises(
        CacheError, match=f"sequence 'Kick 1_test' of {only_in(changed, cache)} there has other content"
    ):
        push(cache, str(far), replace=replace)
    assert set(sizes(far)) == {*sizes(cache), *sizes(changed)}
    assert set(json.loads((far / "index.json").read_text())["shards"]) == set(sizes(far))


def test_two_pushes_that_replace_each_others_shards_at_once_do_not_leave_neither(cache, changed, tmp_path, monkeypatch):
    far = a_cache(tmp_path / "far", a_sequence("v"))
    for one in (cache, changed):
        push(one, str(tmp_path / "each" / one.name))
        for name, content in files(tmp_path / "each" / one.name).items():
            (far / name).write_bytes(content)
    original, others = places.Remote.remove, [changed]

    def overtaken(self, name):
        if others:
            push(others.pop(), str(far), replace=True)
        original(self, name)

    monkeypatch.setattr(places.Remote, "remove", overtaken)
    push(cache, str(far), replace=True)
    assert open_cache(far).hash == open_cache([cache, a_cache(tmp_path / "v", a_sequence("v"))]).hash


def test_a_place_that_contradicts_itself_is_told_before_anything_is_fetched(cache, changed, tmp_path):
    far, here = tmp_path / "far", tmp_path / "here"
    push(changed, str(tmp_path / "other"))
    push(cache, str(far))
    old, new = sorted([only_in(cache, changed), only_in(changed, cache)])
    for name, content in files(tmp_path / "other").items():
        (far / name).write_bytes(content)
    with pytest.raises(CacheError, match=f"far: sequence 'Kick 1_test' differs between {old} and {new} there: "):
        pull(str(far), here)
    assert not here.exists()
    pull(str(far), here, only=["id=Kick 1_train"])
    pull(str(far), here, only=["video=Kick 2"])
    assert len(open_cache(here).sequences) == 3, "what is not contradicted can be had"
    pull(str(cache), here)
    with pytest.raises(CacheError, match=f"far: sequence 'Kick 1_test' differs between {only_in(cache, changed)} and"):
        pull(str(far), here)


def test_what_has_been_replaced_there_is_told_with_the_shard_here_before_anything_is_fetched(cache, changed, tmp_path):
    far, here = tmp_path / "far", tmp_path / "here"
    push(cache, str(far))
    pull(str(far), here, only=["video=Kick 1"])
    push(changed, str(far), replace=True)
    old, before = only_in(cache, changed), sizes(here)
    with pytest.raises(CacheError, match=f"'Kick 1_test' of .* is in .*here/{old} with other content: remove the one"):
        pull(str(far), here)
    assert sizes(here) == before
    (here / old).unlink()
    pull(str(far), here)
    assert open_cache(here).hash == open_cache(changed).hash
