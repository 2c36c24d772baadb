"""A damaged shard is set aside, and the ingest that made the cache brings back what it held."""

import pytest
from click.testing import CliRunner

from skelemo.cache.store import open_cache, shard_files
from skelemo.cache.verify import verify
from skelemo.cli import main
from skelemo.errors import CacheError
from skelemo.ingest import batching
from skelemo.ingest.plan import Settings, make_plan
from skelemo.ingest.run import ingest


@pytest.fixture
def source(tmp_path, write_recording):
    """Six recordings."""
    for index in range(6):
        write_recording(f"clip {index}", [[(100.0 + 10 * index, 100.0 + frame)] for frame in range(5)])
    return tmp_path / "json"


@pytest.fixture
def cache(tmp_path, source, monkeypatch):
    """Three shards of two recordings."""
    monkeypatch.setattr(batching, "GROUP_FILES", 10)
    ingest(make_plan(source, tmp_path / "cache", None, Settings()))
    assert len(shard_files(tmp_path / "cache")) == 3
    return tmp_path / "cache"


def contents(cache):
    return dict(zip(*(open_cache(cache).sequences[name] for name in ("id", "sha256")), strict=True))


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-100])


def lose_everything(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip_a_bit, cut_off, lose_everything])
def test_quarantined_sequences_are_restored_without_reading_others(cache, source, damage):
    before = contents(cache)
    path = shard_files(cache)[1]
    damage(path)
    answer = CliRunner().invoke(main, ["cache", "verify", str(cache), "--quarantine"])
    assert answer.exit_code == 1, answer.output
    assert f"set aside: {path}.damaged" in answer.stdout
    assert path not in shard_files(cache)
    plan = make_plan(source, cache, None, Settings())
    assert (plan.unchanged, len(plan.tasks)) == (4, 2)
    ingest(plan)
    assert contents(cache) == before
    assert CliRunner().invoke(main, ["cache", "verify", str(cache)]).exit_code == 0


def test_without_the_option_nothing_is_moved(cache):
    flip_a_bit(shard_files(cache)[0])
    listed = sorted(cache.iterdir())
    answer = CliRunner().invoke(main, ["cache", "verify", str(cache)])
    assert answer.exit_code == 1
    assert "damaged in" in answer.stdout
    assert sorted(cache.iterdir()) == listed
    assert len(verify(cache)) == 1


def test_an_ingest_into_a_damaged_cache_suggests_quarantine(cache, source):
    cut_off(shard_files(cache)[0])
    with pytest.raises(
        CacheError, match=r"to set it aside before ingesting again: skelemo cache verify .* --quarantine"
    ):
        make_plan(source, cache, None, Settings())
