"""Choosing sequences: what an expression wants is what comes, and what cannot be meant is said."""

import numpy as np
import pytest
from small_caches import HEADS, a_cache, a_sequence

from skelemo.cache.select import labels_in, matching, select, unmet
from skelemo.cache.shard import open_shard
from skelemo.cache.store import open_cache, shard_files
from skelemo.errors import ConfigError

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
        (["video=kick*"], set()),
        (["video=talk"], {"talk_left", "talk_right"}),
        (["id=*_left"], {"talk_left"}),
        (["person=right"], {"talk_right"}),
        (["subject=Ann", "subject=B?n"], {"Kick 1", "Kick 2"}),
        (["subject=Ann", "split=test"], set()),
        (["split=t*st"], {"Kick 2"}),
        (["fold_1=test"], {"Kick 1"}),
        (["fold_1="], {"Kick 2", "talk_left", "talk_right"}),
        (["label=glad"], {"Kick 1"}),
        (["label=sad", "label=calm"], {"Kick 1", "Kick 2"}),
        (["label="], {"talk_left", "talk_right"}),
        (["label=*", "video=*"], {"Kick 1", "Kick 2", "talk_left", "talk_right"}),
    ],
)
def test_expressions_of_one_key_are_alternatives_and_keys_must_all_hold(cache, only, chosen):
    assert set(cache.sequences["id"][select(cache, only)]) == chosen


@pytest.mark.parametrize(
    ("only", "said"),
    [
        (["vidoe=x"], "did you mean 'video'.*fold_1, id, label, person, split, subject, video"),
        (["label=glat"], "unknown label 'glat': did you mean 'glad'"),
        (["train"], "expected KEY=GLOB"),
        (["=train"], "expected KEY=GLOB"),
    ],
)
def test_what_cannot_be_meant_is_said(cache, only, said):
    with pytest.raises(ConfigError, match=said):
        select(cache, only)


@pytest.mark.parametrize(
    ("only", "told"),
    [
        (["split=trian"], " (did you mean 'train'? split is test, train)"),
        (["video=kick*"], " (video is Kick 1, Kick 2, talk)"),
        (["video=kick 1", "subject=Anna"], " (did you mean 'Kick 1'? video is Kick 1, Kick 2, talk; "
         "did you mean 'Ann'? subject is Ann, Ben)"),
        (["video=kick*", "video=talk"], ""),
        (["split=train", "subject=Ben"], ""),
        (["label="], ""),
    ],
)  # fmt: skip
def test_of_what_no_sequence_meets_the_values_are_told(cache, only, told):
    assert unmet(cache.sequences, only) == told


def test_of_many_values_a_few_are_told_and_of_none_that_there_is_none(tmp_path):
    many = open_cache(a_cache(tmp_path / "c", *(a_sequence(f"clip{number}", 1) for number in range(20))))
    assert unmet(many.sequences, ["id=x"]) == " (id is clip0, clip1, clip2, clip3, clip4, clip5 and 14 more)"
    assert unmet(many.sequences, ["subject=Ann"]) == " (subject is not known of any)"


def test_no_frame_is_read_unless_a_label_is_asked_for(cache):
    for path in shard_files(cache.paths[0]):
        path.unlink()
    assert select(cache, ["video=Kick*"]).sum() == 2


def test_labels_are_those_of_the_frames(tmp_path):
    (path,) = shard_files(
        a_cache(tmp_path / "a", a_sequence("one", 5, expression=GLAD), a_sequence("two", 3, expression=NONE))
    )
    assert labels_in(open_shard(path)) == [{"glad", "sad"}, set()]
    (path,) = shard_files(a_cache(tmp_path / "b"))
    assert labels_in(open_shard(path)) == []
    assert matching(open_shard(path).sequences, HEADS, ["video=x"], list).tolist() == []
