"""Wrong flags, such as action units, are suspected one by one."""

import numpy as np
from test_audit import a_person, a_walk

from skelemo.audit.audit import audit
from skelemo.cache.shard import Header, write_shard
from skelemo.cache.store import open_cache
from skelemo.targets import Head

UNITS = Head("au", "flags", ("AU1", "AU2", "AU4"))
WRONG = range(5, 300, 30)


def shown(index: int) -> list[int]:
    """AU1 in every other clip, AU2 in every third, AU4 never."""
    return [index % 2, int(index % 3 == 0), 0]


def a_clip(index: int, wrong: bool):
    keypoints = a_walk(index, 6)
    flags = shown(index)
    keypoints[:, 4, 1] += 60 * flags[0]
    keypoints[:, 7, 0] += 60 * flags[1]
    flags[0] ^= wrong
    labels = {"au": np.tile(np.int16([flags]), (6, 1))}
    return a_person(f"clip{index}", keypoints, labels=labels, subject=f"s{index % 40}")


def test_wrong_flags_come_first_with_the_value_to_set_and_the_other_flags_untouched(tmp_path):
    clips = [a_clip(index, index in WRONG) for index in range(300)]
    write_shard(tmp_path, Header("body_25", (UNITS,)), clips)
    found = audit(open_cache(tmp_path)).suspects.query("kind == 'label'").head(len(WRONG))
    assert set(found["video"]) == {f"clip{index}" for index in WRONG}
    for _, suspect in found.iterrows():
        right = shown(int(suspect["video"].removeprefix("clip")))[0]
        assert suspect["value"] == f"{right} - -"
        assert suspect["found"].startswith(f"AU1: labeled {['yes', 'no'][right]}; predicted {['no', 'yes'][right]} ")
    assert not (found["found"].str.contains("AU4")).any()


def test_a_flag_that_nobody_shows_is_never_suspected(tmp_path):
    write_shard(tmp_path, Header("body_25", (UNITS,)), [a_clip(index, wrong=False) for index in range(60)])
    found = audit(open_cache(tmp_path)).suspects
    assert not found["found"].str.startswith("AU4").any()
