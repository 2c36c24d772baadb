"""Where a cache comes from and what it lacks: told right, and without reading a frame."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from small_caches import BODY_AND_FACE, CLASSES, HEADS, a_cache, a_recording, a_sequence

from skelemo.cache.shard import Header, Shard
from skelemo.cache.store import open_cache
from skelemo.cache.summary import as_plain, by_recording, hours, labeled, overall, provenance, unread_files
from skelemo.cli import main


def lacking(name, frames, body, face, **facts):
    """A sequence of which the last ``body`` and ``face`` points are missing, and everybody in the first frame."""
    keypoints = np.full((frames, 95, 3), 0.5, np.float32)
    keypoints[:, 25 - body : 25] = keypoints[:, 95 - face :] = keypoints[0] = 0
    return a_sequence(name, keypoints=keypoints, frames=frames, points=95, **facts)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Three recordings in two shards; one of two people. Whoever reads a frame fails."""
    first = [lacking("good", 10, 0, 0), lacking("bad", 5, 20, 70)]
    second = [lacking(f"pair_{side}", 5, 5, 7, video="[i]pair", person=side) for side in ("left", "right")]
    rows = [a_recording("good", source="day 1/good", files=12, frames=10, people=9)]
    rows += [a_recording("bad", source="day 1/bad", files=5, frames=5, people=4, body_model="coco_18")]
    a_cache(tmp_path, *first, header=BODY_AND_FACE, recordings=rows)
    origin = {"source": "days", "labels": "table:labels.csv"}
    other = Header("body_25+face_70", HEADS, settings={"person": "all", "strict": False}, origin=origin)
    a_cache(tmp_path, *second, header=other, recordings=[a_recording("[i]pair", files=5, frames=4, people=8)])
    monkeypatch.setattr(Shard, "read_into", None)
    return open_cache(tmp_path)


def test_missing_points_by_part_and_recording_worst_first(cache):
    found = by_recording(cache).set_index("video")
    assert list(found.index) == ["bad", "[i]pair", "good"]
    assert found["frames"].tolist() == [5, 10, 10]
    assert found["sequences"].tolist() == [1, 2, 1]
    assert found["nobody"].tolist() == pytest.approx([1 / 5, 2 / 10, 1 / 10])
    assert found["body_25"].tolist() == pytest.approx([1 - 4 * 5 / 125, 1 - 8 * 20 / 250, 1 / 10])
    assert found["face_70"].tolist() == pytest.approx([1, 1 - 8 * 63 / 700, 1 / 10])
    assert found["unread"].tolist() == [0, 1, 2]


def test_the_whole_is_the_mean_over_all_frames(cache):
    rows, whole = by_recording(cache), overall(cache)
    assert (whole["frames"], whole["sequences"]) == (25, 4)
    for name in ("nobody", "body_25", "face_70"):
        assert whole[name] == pytest.approx((rows[name] * rows["frames"]).sum() / 25)


def test_labels_are_counted_by_class(cache):
    truth = dict.fromkeys(("", *CLASSES), 0)
    for name, frames in (("good", 10), ("bad", 5), ("pair_left", 5), ("pair_right", 5)):
        for label in a_sequence(name, frames, points=95).labels["expression"]:
            if label >= 0:
                truth[""] += 1
                truth[CLASSES[label]] += 1
    assert labeled(cache)["expression"] == truth


def test_provenance_counts_sources_settings_and_versions(cache):
    known = provenance(cache)
    assert known["hash"] == cache.hash
    assert known["shards"] == {path.name: path.stat().st_size for path in sorted(cache.paths[0].glob("*.h5"))}
    assert known["settings"] == {"person": {"all": 1}, "strict": {"false": 1}}
    assert known["origin"] == {"source": {"days": 1}, "labels": {"table:labels.csv": 1}}
    assert known["folders"] == {"day 1": 2, "": 1}
    assert known["body_models"] == {"body_25": 2, "coco_18": 1}
    assert (known["recordings"], known["files"], known["unread"], known["people"]) == (3, 22, 3, 21)
    assert sum(known["tools"].values()) == 2


def test_a_recording_without_people_is_entirely_missing(tmp_path):
    rows = [a_recording("good"), a_recording("nobody", files=9, frames=8, people=0)]
    cache = open_cache(a_cache(tmp_path / "two", lacking("good", 5, 0, 0), header=BODY_AND_FACE, recordings=rows))
    first, second = by_recording(cache).to_dict("records")
    lost = dict.fromkeys(("nobody", "body_25", "face_70"), 1.0)
    assert first == {"video": "nobody", "sequences": 0, "frames": 0, "unread": 1, **lost}
    assert (second["video"], second["sequences"], second["unread"]) == ("good", 1, 0)


def test_an_empty_cache_has_no_missing_points(tmp_path):
    cache = open_cache(a_cache(tmp_path / "empty", header=BODY_AND_FACE))
    assert overall(cache) == {"sequences": 0, "frames": 0, "nobody": 0, "body_25": 0, "face_70": 0}
    assert by_recording(cache).empty


def test_cache_info_shows_it(cache):
    done = CliRunner().invoke(main, ["cache", "info", str(cache.paths[0]), "--recordings", "2"], env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    for said in (cache.hash, "day 1 (2)", "[i]pair", "coco_18 (1)", "all 3", "and 1 more", *CLASSES):
        assert said in done.output


def test_cache_info_as_json_has_every_recording(cache):
    done = CliRunner().invoke(main, ["cache", "info", str(cache.paths[0]), "--json"])
    told = json.loads(done.output)
    assert told == json.loads(json.dumps(as_plain(cache))) | {"unusable": {}}
    assert [row["video"] for row in told["by_recording"]] == ["bad", "[i]pair", "good"]


def test_cache_ls_reads_no_frame_either(cache):
    done = CliRunner().invoke(main, ["cache", "ls", str(cache.paths[0]), "--sequences"])
    assert done.exit_code == 0, done.output


def test_the_duration_needs_the_frame_rate_of_every_sequence(tmp_path):
    a_cache(tmp_path, a_sequence("a", 90, fps=25.0), a_sequence("b", 60, fps=30.0))
    assert hours(open_cache(tmp_path)) == pytest.approx((3.6 + 2) / 3600)
    a_cache(tmp_path, a_sequence("c", 60))
    assert hours(open_cache(tmp_path)) is None


def test_a_file_of_many_frames_does_not_hide_the_unread_files_of_others(tmp_path):
    """A whole video in one file of 500 frames, and ten of twelve files that were read."""
    rows = [a_recording("film", files=1, frames=500), a_recording("one", source="a/one", files=12, frames=10)]
    rows += [a_recording("one", source="b/one", files=3, frames=2)]
    cache = open_cache(a_cache(tmp_path, a_sequence("one"), recordings=rows))
    assert unread_files(cache).to_dict() == {"film": 0, "one": 3}
    assert provenance(cache)["unread"] == 3
