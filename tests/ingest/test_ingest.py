import csv
import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from people_by_hand import person_json

from skelemo.annotations import matching as matching_module
from skelemo.cache.merge import subset
from skelemo.cache.shard import open_shard
from skelemo.cache.store import Cache, open_cache
from skelemo.cli import main
from skelemo.errors import CacheError, ConfigError, InputError
from skelemo.ingest import plan as plan_module
from skelemo.ingest.batching import Bounds, jobs, parse_size
from skelemo.ingest.partition import Partition
from skelemo.ingest.plan import Settings, make_plan
from skelemo.ingest.result import Tally
from skelemo.ingest.run import ingest
from skelemo.ingest.worker import Job, do_job
from skelemo.openpose import files
from skelemo.openpose.people import NO_GUESS

STILL = [[(100.0, 100.0)]] * 4


def run(tmp_path: Path, labels: str | None = None, jobs: int = 1, **settings: object) -> tuple[Tally, Cache]:
    plan = make_plan(tmp_path / "json", tmp_path / "cache", labels, Settings(**settings))  # type: ignore[arg-type]
    tally = ingest(plan, jobs=jobs)
    return tally, open_cache(tmp_path / "cache")


def test_every_readable_frame_is_a_row_even_without_people(tmp_path, write_recording):
    write_recording("walk", [[(100, 100)], [], [(102, 100)]])
    tally, cache = run(tmp_path)
    assert (tally.seen["body_25"], tally.points["body_25"], tally.points["face_70"]) == (2 * 25, 3 * 25, 3 * 70)
    assert cache.sequences["length"].tolist() == [3]
    assert (cache.read().keypoints[:, 0, 2] > 0).tolist() == [True, False, True]


def test_a_damaged_frame_is_missing_and_listed_as_a_problem(tmp_path, write_recording):
    write_recording("walk", STILL)
    damaged = tmp_path / "json" / "walk_000000000001_keypoints.json"
    damaged.write_text('{"version":1.3,"people":[{"pose')
    tally, cache = run(tmp_path)
    frames = cache.read()
    assert frames.number.tolist() == [0, 1, 2, 3]
    assert (frames.keypoints[:, 0, 2] > 0).tolist() == [True, False, True, True]
    assert [problem.file for problem in tally.problems] == [damaged.name]
    with (tmp_path / "cache" / "problems.csv").open() as file:
        assert [row["file"] for row in csv.DictReader(file)] == [damaged.name]


def test_with_strict_a_damaged_frame_is_an_error(tmp_path, write_recording):
    write_recording("walk", STILL)
    (tmp_path / "json" / "walk_000000000001_keypoints.json").write_text("")
    with pytest.raises(InputError, match=r"walk_000000000001_keypoints\.json"):
        run(tmp_path, strict=True)
    assert not (tmp_path / "cache").exists(), "an ingest that wrote nothing leaves nothing"


def test_an_unreadable_recording_does_not_stop_the_others(tmp_path, write_recording):
    write_recording("good", STILL)
    write_recording("bad", STILL)
    for file in (tmp_path / "json").glob("bad_*"):
        file.write_text("nan")
    tally, cache = run(tmp_path)
    assert cache.sequences["id"].tolist() == ["good"]
    assert [failure.file for failure in tally.failures] == ["bad"]


def test_a_second_ingest_skips_unchanged_recordings_and_adds_new_ones(tmp_path, write_recording):
    write_recording("first", STILL)
    run(tmp_path)
    before = sorted((tmp_path / "cache").glob("*.h5"))
    plan = make_plan(tmp_path / "json", tmp_path / "cache", None, Settings())
    assert (plan.unchanged, plan.tasks) == (1, ())
    write_recording("second", STILL)
    tally, cache = run(tmp_path)
    assert tally.recordings == 1
    assert sorted(cache.sequences["id"]) == ["first", "second"]
    assert before[0].exists()


def test_files_touched_but_not_changed_are_read_again_and_add_no_sequence(tmp_path, write_recording):
    write_recording("walk", STILL)
    run(tmp_path)
    for file in (tmp_path / "json").iterdir():
        os.utime(file, ns=(1, 1))
    tally, cache = run(tmp_path)
    assert tally.recordings == 1
    assert cache.sequences["id"].tolist() == ["walk"]
    assert cache.recordings["files"].tolist() == [4]
    assert make_plan(tmp_path / "json", tmp_path / "cache", None, Settings(strict=True)).unchanged == 1


def test_another_scale_is_other_content(tmp_path, write_recording):
    write_recording("walk", STILL)
    run(tmp_path, scale="pixels")
    tally, cache = run(tmp_path, scale="unit")
    assert [failure.file for failure in tally.failures] == ["walk"]
    assert cache.sequences["scale"].tolist() == ["pixels"]


def test_a_changed_recording_is_a_failure_and_the_others_are_ingested(tmp_path, write_recording):
    write_recording("walk", STILL)
    run(tmp_path)
    write_recording("walk", [[(300, 100)]] * 4)
    write_recording("wave", STILL)
    tally, cache = run(tmp_path)
    (failure,) = tally.failures
    assert failure.file == "walk"
    assert "'walk' has different content in " in failure.reason
    assert ".h5 (files, labels or settings have changed): replace it with --replace" in failure.reason
    assert sorted(cache.sequences["id"]) == ["walk", "wave"]
    with pytest.raises(CacheError, match="has different content"):
        run(tmp_path, strict=True)


def test_a_setting_that_renames_sequences_does_not_duplicate_frames(tmp_path, write_recording):
    write_recording("walk", STILL)
    run(tmp_path)
    tally, cache = run(tmp_path, person="left")
    (failure,) = tally.failures
    assert "sequence 'walk' in " in failure.reason
    assert "have changed): remove it with --replace" in failure.reason
    assert cache.sequences["id"].tolist() == ["walk"]
    plan = make_plan(tmp_path / "json", tmp_path / "cache", None, Settings(person="left"), replace=True)
    assert not ingest(plan).failures
    assert open_cache(tmp_path / "cache").sequences["id"].tolist() == ["walk_left"]


@pytest.fixture
def closed(tmp_path, write_recording, monkeypatch) -> None:
    """A recording, and another in a folder that cannot be listed."""
    write_recording("walk", STILL)
    write_recording("wave", STILL, folder="json/closed")

    def listed(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    scan = os.scandir
    monkeypatch.setattr(os, "scandir", listed)


def test_an_unreadable_folder_does_not_stop_the_others(tmp_path, closed):
    tally, cache = run(tmp_path)
    assert [(one.file, one.reason) for one in tally.failures] == [("closed", "cannot be listed: Permission denied")]
    assert cache.sequences["id"].tolist() == ["walk"]


def test_a_part_requires_all_recordings_to_be_readable(tmp_path, closed):
    with pytest.raises(InputError, match=r"closed cannot be listed: Permission denied; with --partition every machine"):
        make_plan(tmp_path / "json", tmp_path / "cache", None, Settings(), partition=Partition(2, 3))


def test_a_cache_of_another_layout_is_refused_before_anything_is_read(tmp_path, write_recording):
    write_recording("walk", STILL)
    run(tmp_path)
    with pytest.raises(CacheError, match=r"body_25\+face_70"):
        make_plan(tmp_path / "json", tmp_path / "cache", None, Settings(layout="body_25"))


def test_labels_left_and_right_make_two_sequences_of_one_video(tmp_path, write_recording):
    write_recording("talk", [[(100, 100), (600, 100)], [(601, 100), (101, 100)]] * 3)
    (tmp_path / "labels.csv").write_text("video,person,subject,label\ntalk,left,anna,happy\ntalk,right,ben,sad\n")
    _, cache = run(tmp_path, f"table:{tmp_path / 'labels.csv'}")
    frames = cache.read()
    assert cache.sequences["id"].tolist() == ["talk_left", "talk_right"]
    assert cache.sequences["video"].tolist() == ["talk", "talk"]
    assert cache.sequences["subject"].tolist() == ["anna", "ben"]
    nose_x = frames.keypoints[:, 0, 0]
    assert (nose_x[:6] < 200).all(), "the left person stays the left one, whatever the order in the files"
    assert (nose_x[6:] > 500).all()
    assert frames.labels["expression"].tolist() == [0] * 6 + [1] * 6


def test_only_recordings_missing_from_a_subset_are_read_again(tmp_path, write_recording):
    write_recording("talk", [[(100, 100), (600, 100)]] * 6)
    write_recording("walk", STILL)
    (tmp_path / "labels.csv").write_text("video,person,label\ntalk,left,happy\ntalk,right,sad\nwalk,left,sad\n")
    labels = f"table:{tmp_path / 'labels.csv'}"
    whole = run(tmp_path, labels)[1]
    subset(tmp_path / "cache", ["person=left"], tmp_path / "left")
    plan = make_plan(tmp_path / "json", tmp_path / "left", labels, Settings())
    assert [task.video for task in plan.tasks] == ["talk"]
    ingest(plan)
    assert open_cache(tmp_path / "left").hash == whole.hash
    assert make_plan(tmp_path / "json", tmp_path / "left", labels, Settings()).tasks == ()


@pytest.mark.parametrize(
    ("name", "seen", "note"),
    [
        ("1-30-1280x720", ["left"], "so the right person has no keypoints"),
        ("talk", [], "and the image width is unknown (--size WxH)"),
    ],
)
def test_left_and_right_are_different_people(tmp_path, write_recording, name, seen, note):
    write_recording(name, [[(100, 100)]] * 20)
    (tmp_path / "labels.csv").write_text(f"video,person,label\n{name},left,happy\n{name},right,sad\n")
    tally, cache = run(tmp_path, f"table:{tmp_path / 'labels.csv'}")
    points = dict(zip(cache.sequences["person"], cache.read().keypoints.reshape(2, 20, -1), strict=True))
    assert [side for side in ("left", "right") if points[side].any()] == seen
    assert [line for line in tally.notes if line.startswith(f"{name}: a left and a right person") and note in line]


def test_a_single_labeled_side_is_the_only_person(tmp_path, write_recording):
    write_recording("talk", [[(100, 100)]] * 20)
    (tmp_path / "labels.csv").write_text("video,person,label\ntalk,right,happy\n")
    tally, cache = run(tmp_path, f"table:{tmp_path / 'labels.csv'}")
    assert cache.read().keypoints.any(axis=(1, 2)).all()
    assert tally.notes == []


def test_frame_labels_follow_frame_numbers(tmp_path, write_recording):
    write_recording("clip", STILL, first=7)
    (tmp_path / "labels.csv").write_text("video,frame,valence,arousal\nclip,8,0.5,-0.5\nclip,10,-1,1\n")
    _, cache = run(tmp_path, f"table:{tmp_path / 'labels.csv'}")
    np.testing.assert_array_equal(cache.read().labels["va"][:, 0], [np.nan, 0.5, np.nan, -1])


def test_all_keeps_everyone_from_the_first_to_the_last_visible_frame(tmp_path, write_recording):
    both, one = [(100, 100), (600, 100)], [(100, 100)]
    write_recording("crowd", [one] + [both] * 12 + [one])
    _, cache = run(tmp_path, person="all")
    assert sorted(cache.sequences["length"]) == [12, 14]


def test_an_unknown_track_number_is_a_failure_of_the_recording(tmp_path, write_recording):
    write_recording("talk", STILL)
    write_recording("walk", STILL)
    (tmp_path / "labels.csv").write_text("video,person,label\ntalk,3,happy\nwalk,,sad\n")
    tally, cache = run(tmp_path, f"table:{tmp_path / 'labels.csv'}")
    assert ["tracking found 1 person" in failure.reason for failure in tally.failures] == [True]
    assert cache.sequences["id"].tolist() == ["walk"]


def test_two_labels_for_one_sequence_are_a_failure_of_the_recording(tmp_path, write_recording):
    write_recording("talk", STILL)
    write_recording("walk", STILL)
    (tmp_path / "labels.csv").write_text("video,person,label\ntalk,,happy\ntalk,left,sad\nwalk,,sad\n")
    tally, cache = run(tmp_path, f"table:{tmp_path / 'labels.csv'}", person="left")
    assert ["two labels for the sequence 'talk_left'" in failure.reason for failure in tally.failures] == [True]
    assert cache.sequences["id"].tolist() == ["walk_left"]


def test_recordings_with_clashing_sequence_names_are_failures(tmp_path, write_recording):
    for name in ("a", "a_left", "b"):
        write_recording(name, STILL)
    (tmp_path / "labels.csv").write_text("video,person,label\na,left,happy\na_left,,sad\nb,,sad\n")
    tally, cache = run(tmp_path, f"table:{tmp_path / 'labels.csv'}")
    assert [(failure.file, "the names of those of a:" in failure.reason) for failure in tally.failures] == [
        ("a_left", True)
    ]
    assert sorted(cache.sequences["id"]) == ["a_left", "b"]
    write_recording("c", STILL, folder="other")
    write_recording("c_person0", STILL, folder="other")
    plan = make_plan(tmp_path / "other", tmp_path / "cache2", None, Settings(person="all"))
    assert [problem.file for problem in plan.problems] == ["c_person0"]


def test_a_folder_named_like_its_video_is_not_repeated_in_the_name(tmp_path, write_recording):
    write_recording("1-30-640x480", STILL, folder="json/1-30-640x480")
    write_recording("take", STILL, folder="json/day one")
    _, cache = run(tmp_path)
    assert sorted(cache.sequences["id"]) == ["1-30-640x480", "day one/take"]
    facts = cache.sequences.set_index("id").loc["1-30-640x480"]
    assert (facts["width"], facts["height"], facts["fps"]) == (640, 480, 30)


def test_several_processes_write_the_same_sequences_as_one(tmp_path, write_recording, monkeypatch):
    monkeypatch.setattr("skelemo.ingest.batching.GROUP_FILES", 4)
    for name in ("a", "b", "c"):
        write_recording(name, STILL)
    _, alone = run(tmp_path)
    plan = make_plan(tmp_path / "json", tmp_path / "other", None, Settings())
    ingest(plan, jobs=2)
    together = open_cache(tmp_path / "other")
    assert together.hash == alone.hash
    assert len(together.shards) == 3


def test_real_recordings_have_all_their_frames(tmp_path, shared_data):
    frames = {"v1.0-coco18-old-keys": 1, "v1.2-coco18-candidates": 90, "v1.2-body25-face": 8, "v1.2-body25-signer": 300,
              "v1.3-body25-kicks": 546, "v1.3-coco18": 5, "v1.3-body25-crowd": 300}  # fmt: skip
    for folder, count in frames.items():
        plan = make_plan(shared_data / "openpose" / folder, tmp_path / folder, None, Settings())
        tally = ingest(plan)
        assert (tally.frames, tally.problems, tally.failures) == (count, [], []), folder


def test_synth_output_is_marked_as_simulated(tmp_path, write_recording):
    write_recording("walk", STILL)
    (tmp_path / "simulated.json").write_text("{}")
    assert run(tmp_path)[1].simulated


def test_a_simulated_marker_above_a_recording_makes_the_cache_simulated(tmp_path, write_recording):
    write_recording("walk", STILL)
    write_recording("actor", STILL, folder="json/actors/json/actor")
    assert not make_plan(tmp_path / "json", tmp_path / "cache", None, Settings()).header.simulated
    (tmp_path / "json" / "actors" / "simulated.json").write_text("{}")
    assert run(tmp_path)[1].simulated


@pytest.mark.parametrize("fps", [-3.0, float("nan"), float("inf")])
def test_an_impossible_frame_rate_is_refused(tmp_path, write_recording, fps):
    write_recording("walk", STILL)
    with pytest.raises(ConfigError, match="frames per second: expected a positive number"):
        make_plan(tmp_path / "json", tmp_path / "cache", None, Settings(fps=fps))


def test_a_folder_with_other_content_is_refused(tmp_path, write_recording):
    write_recording("walk", STILL)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "config.yaml").write_text("lr: 1\n")
    with pytest.raises(CacheError, match=r"is not a cache, it has 'config\.yaml'"):
        run(tmp_path)


NOBODY = "nobody has keypoints of body_25+face_70 in 3 frames; read other parts with --layout"


def test_a_recording_without_people_is_noted(tmp_path, write_recording):
    write_recording("empty", [[], [], []])
    write_recording("walk", STILL)
    tally, _ = run(tmp_path)
    assert tally.notes == [f"empty: {NOBODY}"]


def test_the_same_note_on_many_recordings_is_printed_once(tmp_path, write_recording):
    for number in range(4):
        write_recording(f"empty {number}", [[], [], []])
    write_recording("walk", STILL)
    words = ["ingest", str(tmp_path / "json"), "--out", str(tmp_path / "cache"), "--jobs", "1"]
    ended = CliRunner().invoke(main, words)
    assert [line for line in ended.output.splitlines() if "nobody" in line] == [
        f"note: 4 recordings, such as empty 0: {NOBODY}"
    ]


def test_keypoints_of_another_layout_write_no_cache_and_name_the_option(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / "json" / name).mkdir(parents=True)
        person = {"hand_left_keypoints_2d": [9.0] * 63, "hand_right_keypoints_2d": [9.0] * 63}
        frame = json.dumps({"version": 1.3, "people": [person]})
        (tmp_path / "json" / name / f"{name}_000000000000_keypoints.json").write_text(frame)
    monkeypatch.chdir(tmp_path)  # a relative --out, whose shards the workers name by absolute paths
    ended = CliRunner().invoke(main, ["ingest", "json", "--out", "cache/x"])
    assert ended.exit_code == 2
    assert "in 1 frame; read other parts with --layout): no cache was written" in ended.output
    assert not Path("cache/x").exists()


def test_recordings_without_any_people_write_no_cache(tmp_path, write_recording):
    for name in ("empty", "void"):
        write_recording(name, [[], [], []])
    words = ["ingest", str(tmp_path / "json"), "--out", str(tmp_path / "cache"), "--jobs", "1"]
    ended = CliRunner().invoke(main, words)
    assert ended.exit_code == 2
    assert (
        ended.output.strip()
        .splitlines()[-1]
        .endswith(f"json: no keypoints in 2 recordings, 6 files (empty: {NOBODY}): no cache was written")
    )
    assert not [*tmp_path.glob("cache/*.h5")]
    write_recording("walk", STILL)
    assert CliRunner().invoke(main, words).exit_code == 0
    write_recording("late", [[], [], []])
    assert CliRunner().invoke(main, words).exit_code == 0, "the cache has somebody"
    assert len(open_cache(tmp_path / "cache").recordings) == 4


def test_an_invalid_size_names_the_option(tmp_path, write_recording):
    write_recording("walk", STILL)
    ended = CliRunner().invoke(
        main, ["ingest", str(tmp_path / "json"), "--out", str(tmp_path / "c"), "--memory", "lots"]
    )
    assert ended.exit_code == 2
    assert "--memory 'lots': expected a number and a unit" in ended.output


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ENOENT])
def test_a_lost_mount_is_a_failure_that_the_next_ingest_repairs(tmp_path, write_recording, monkeypatch, code):
    for name in ("a", "b"):
        write_recording(name, STILL, folder=f"json/{name}")
    read = files.read_file
    with monkeypatch.context() as patch:

        def fail(path: str) -> tuple[bytes, int]:
            if "b_000000000002" in path:
                (tmp_path / "json" / "b").rename(tmp_path / "gone")
                raise OSError(code, os.strerror(code), path)
            return read(path)

        patch.setattr(files, "read_file", fail)
        patch.setattr(plan_module, "guess", lambda *_: NO_GUESS)  # which reads a few files too
        tally, cache = run(tmp_path)
    assert cache.sequences["id"].tolist() == ["a"]
    assert [failure.file for failure in tally.failures] == ["b/b"]
    assert os.strerror(code) in tally.failures[0].reason
    (tmp_path / "gone").rename(tmp_path / "json" / "b")
    tally, cache = run(tmp_path)
    assert (tally.recordings, tally.failures) == (1, [])
    assert cache.sequences["length"].tolist() == [4, 4]


def test_progress_is_reported_within_a_recording(tmp_path, write_recording, monkeypatch):
    write_recording("long", [[(100.0, 100.0)]] * 1300)
    monkeypatch.setattr("skelemo.ingest.pool._REPORT_SECONDS", 0)
    reports: list[int] = []
    ingest(make_plan(tmp_path / "json", tmp_path / "cache", None, Settings()), report=reports.append)
    assert reports == [0, 512, 1024, 1300]


def test_files_are_checked_only_for_cached_recordings(tmp_path, write_recording, monkeypatch):
    write_recording("known", STILL)
    run(tmp_path)
    write_recording("new", STILL * 500)
    looked_up: list[str] = []
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **options: (looked_up.append(str(path)), stat(path, **options))[1])
    plan = make_plan(tmp_path / "json", tmp_path / "cache", None, Settings())
    assert (plan.unchanged, plan.files) == (1, 2000)
    assert len([path for path in looked_up if "known_" in path]) == 4
    assert not [path for path in looked_up if "new_" in path]


def test_memory_limits_only_the_size_of_shards(tmp_path, write_recording):
    for name in "abcdef":
        write_recording(name, [[(100.0, 100.0)]] * 30)
    _, cache = run(tmp_path)
    plan = make_plan(tmp_path / "json", tmp_path / "small", None, Settings())
    tally = Tally()
    tight = Bounds(shard=2 * 30 * 95 * 12, buffered=1)
    (heartbeat := tmp_path / "heartbeat").write_text("")
    (tmp_path / "small").mkdir()
    for number, groups in enumerate(jobs(plan.tasks)):
        tally.add(do_job(Job(number, groups, plan.header, plan.settings, tmp_path / "small", tight, heartbeat)))
    assert [len(open_shard(path).sequences) for path in tally.shards] == [3, 3]
    assert open_cache(tmp_path / "small").hash == cache.hash


@pytest.mark.parametrize(
    ("text", "size"), [("512MB", 512 << 20), ("1.5 GiB", 3 << 29), ("2g", 2 << 30), ("300M", 300 << 20)]
)
def test_memory_is_given_as_a_number_and_a_unit(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1GB", "12PB", "1e9"])
def test_invalid_sizes_are_refused(text):
    with pytest.raises(ConfigError, match="as in 512MB"):
        parse_size(text)


def test_too_little_memory_is_refused_with_the_minimum(tmp_path, write_recording):
    write_recording("walk", STILL)
    with pytest.raises(ConfigError, match="memory of 64 MB: an ingest process needs 224 MB or more"):
        make_plan(tmp_path / "json", tmp_path / "cache", None, Settings(), memory=64 << 20)


def test_a_long_recording_is_split(tmp_path, write_recording, monkeypatch):
    write_recording("long", [[(100.0 + n, 100.0)] for n in range(25)], first=3)
    (tmp_path / "labels.csv").write_text("video,frame,label\n" + "".join(f"long,{n},happy\n" for n in range(3, 28)))
    monkeypatch.setattr(plan_module, "LONGEST", 10)
    labels = f"table:{tmp_path / 'labels.csv'}"
    plan = make_plan(tmp_path / "json", tmp_path / "cache", labels, Settings())
    assert "recordings of more than 10 frames are split into sequences of at most 10" in plan.notes
    tally, cache = run(tmp_path, labels)
    assert tally.notes == [], "labels beyond a piece belong to the next one"
    assert sorted(cache.sequences["id"]) == ["long_from13", "long_from23", "long_from3"]
    frames = cache.read()
    assert sorted(frames.number.tolist()) == list(range(3, 28))
    assert frames.keypoints[:, 0, 0].tolist() == [97.0 + n for n in frames.number]
    assert sum(tally.labels.values()) >= 25
    assert make_plan(tmp_path / "json", tmp_path / "cache", labels, Settings()).tasks == ()


def test_labels_may_name_pieces_of_a_long_recording(tmp_path, write_recording, monkeypatch):
    write_recording("long", [[(100.0 + n, 100.0)] for n in range(25)])
    monkeypatch.setattr(plan_module, "LONGEST", 10)
    monkeypatch.setattr(matching_module, "LONGEST", 10)
    labels = f"table:{tmp_path / 'labels.csv'}"
    (tmp_path / "labels.csv").write_text("video,label\nlong_from20,sad\nlong_from0,happy\n")
    tally, cache = run(tmp_path, labels)
    assert sorted(cache.sequences["id"]) == ["long_from0", "long_from10", "long_from20"]
    frames = cache.read()
    labels = dict(zip(frames.number.tolist(), frames.labels["expression"].tolist(), strict=True))
    assert labels == dict.fromkeys(range(10), 0) | dict.fromkeys(range(10, 20), -1) | dict.fromkeys(range(20, 25), 1)
    assert not [note for note in tally.notes if "labels up to frame" in note]


def test_numbered_images_have_the_labels_of_their_numbers(tmp_path):
    video = tmp_path / "json" / "1-30-1280x720"
    video.mkdir(parents=True)
    for number in (1, 2, 3, 5, 6):  # as ffmpeg counts; the fourth is lost
        text = json.dumps({"people": [person_json(100.0 * number, 100.0)]})
        (video / f"{number:05d}_keypoints.json").write_text(text)
    (tmp_path / "labels.csv").write_text(
        "video,frame,valence,arousal\n" + "".join(f"1-30-1280x720,{n},{n / 10},0\n" for n in range(6))
    )
    _, cache = run(tmp_path, f"table:{tmp_path / 'labels.csv'}")
    frames = cache.read()
    assert frames.number.tolist() == [0, 1, 2, 4, 5]
    assert frames.keypoints[:, 0, 0].tolist() == [100.0, 200.0, 300.0, 500.0, 600.0]


def test_labels_that_name_each_image_make_them_stills(tmp_path):
    folder = tmp_path / "json"
    folder.mkdir()
    for number in range(1, 5):
        (folder / f"shot_{number:03d}_keypoints.json").write_text(json.dumps({"people": [person_json(100.0, 100.0)]}))
    (tmp_path / "labels.csv").write_text("video,label\n" + "".join(f"shot_{n:03d},happy\n" for n in range(1, 5)))
    _, cache = run(tmp_path, f"table:{tmp_path / 'labels.csv'}")
    assert cache.sequences["length"].tolist() == [1, 1, 1, 1]


def test_a_recording_in_other_units_than_the_rest_is_noted(tmp_path, write_recording):
    for name in "abc":
        write_recording(name, STILL)
    write_recording("d", [[(0.2, 0.3, 0.1)]] * 3)
    tally, _ = run(tmp_path)
    assert tally.scales == {"pixels": 3, "unit": 1}
    (note,) = tally.notes
    assert note == "d: coordinates appear to be in [0, 1], but pixels in most recordings (see --scale)"


def test_sequences_have_the_image_size_of_the_files(tmp_path):
    folder = tmp_path / "json"
    folder.mkdir()
    document = {"people": [person_json(100.0, 100.0)], "canvas_width": 640, "canvas_height": 480}
    (folder / "a_000000000000_keypoints.json").write_text(json.dumps(document))
    _, cache = run(tmp_path)
    assert cache.sequences[["width", "height"]].values.tolist() == [[640, 480]]
