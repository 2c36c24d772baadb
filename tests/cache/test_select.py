"""Filters of sequences: matches, and errors with suggestions."""

import numpy as np
import pytest
from small_caches import HEADS, a_cache, a_sequence

from skelemo.cache.select import labels_in, matching, select
from skelemo.cache.shard import open_shard
from skelemo.cache.store import open_cache, shard_files
from skelemo.errors import CacheError, ConfigError

GLAD, CALM, NONE = (np.array(classes, np.int8) for classes in ([0, -1, 1, 0, 0], [2, 2], [-1, -1, -1]))


@pytest.fixture
def cache(tmp_path):
    """Two shards: Kick 1 (glad, then sad) and Kick 2 (calm); talk, left and right, without labels."""
    first = a_sequence("Kick 1", 5, subject="Ann", splits={"split": "train", "fold_1": "test"}, expression=GLAD)
    second = a_sequence("Kick 2", 2, subject="Ben", splits={"split": "test"}, expression=CALM)
    left, right = (
        a_sequence(f"talk_{side}", 3, video="talk", person=side, expression=NONE) for side in ("left", "right")
    )
    a_cache(tmp_path, first, left)
    a_cache(tmp_path, second, right)
    return open_cache(tmp_path)


@pytest.mark.parametrize(
    ("only", "chosen"),
    [
        ([], {"Kick 1", "Kick 2", "talk_left", "talk_right"}),
        (["video=Kick*"], {"Kick 1", "Kick 2"}),
        (["video=talk"], {"talk_left", "talk_right"}),
        (["id=*_left"], {"talk_left"}),
        (["person=right"], {"talk_right"}),
        (["subject=Ann", "subject=B?n"], {"Kick 1", "Kick 2"}),
        (["split=t*st"], {"Kick 2"}),
        (["fold_1=test"], {"Kick 1"}),
        (["fold_1="], {"Kick 2", "talk_left", "talk_right"}),
        (["label=glad"], {"Kick 1"}),
        (["label=sad", "label=calm"], {"Kick 1", "Kick 2"}),
        (["label="], {"talk_left", "talk_right"}),
        (["label=*", "video=*"], {"Kick 1", "Kick 2", "talk_left", "talk_right"}),
    ],
)
def test_filters_of_one_key_are_alternatives_and_all_keys_must_match(cache, only, chosen):
    assert set(cache.sequences["id"][select(cache, only)]) == chosen


@pytest.mark.parametrize(
    ("only", "message"),
    [
        (["vidoe=x"], "did you mean 'video'.*fold_1, id, label, person, split, subject, video"),
        (["label=glat"], "unknown label 'glat': did you mean 'glad'"),
        (["train"], "expected KEY=GLOB"),
        (["=train"], "expected KEY=GLOB"),
    ],
)
def test_invalid_filters_are_refused(cache, only, message):
    with pytest.raises(ConfigError, match=message):
        select(cache, only)


@pytest.mark.parametrize("only", [["split=trian"], ["video=kick*"], ["subject=Ann", "split=test"]])
def test_no_match_is_an_error_that_names_the_command_listing_sequences(cache, only):
    with pytest.raises(CacheError) as error:
        select(cache, only)
    wanted = f"no sequence matches {' '.join(only)}; skelemo cache ls CACHE --sequences lists them"
    assert str(error.value) == f"{cache.name}: {wanted}"


def _labels(path):
    shard = open_shard(path)
    return labels_in(shard.header.heads, shard.counts)


def test_no_sequence_of_an_empty_cache_is_selected(tmp_path):
    with pytest.raises(CacheError, match=r"^empty: no sequences$"):
        select(open_cache(a_cache(tmp_path / "empty")), [])


def test_labels_are_computed_only_for_label_filters(cache):
    for path in shard_files(cache.paths[0]):
        path.unlink()
    assert select(cache, ["video=Kick*"]).sum() == 2


def test_labels_are_those_of_the_frames(tmp_path):
    (path,) = shard_files(
        a_cache(tmp_path / "a", a_sequence("one", 5, expression=GLAD), a_sequence("two", 3, expression=NONE))
    )
    assert _labels(path) == [{"glad", "sad"}, set()]
    (path,) = shard_files(a_cache(tmp_path / "b"))
    assert _labels(path) == []
    assert matching(open_shard(path).sequences, HEADS, ["video=x"], list).tolist() == []
