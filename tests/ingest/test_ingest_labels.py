"""Labels through an ingest: names of `cache ls`, words, times, and what the closing table and the cache say of them."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

import skelemo
from skelemo.cache.shard import open_shard
from skelemo.cache.store import open_cache
from skelemo.cli import main

STILL = [[(100.0, 100.0)]] * 30


def ingest(tmp_path, *words, out="cache", labels="table"):
    """Run the verb on ``json/`` with the table ``labels.csv``."""
    line = ["ingest", str(tmp_path / "json"), "--out", str(tmp_path / out), "--jobs", "1"]
    if labels:
        line += ["--labels", f"{labels}:{tmp_path / 'labels.csv'}"]
    done = CliRunner().invoke(main, [*line, *words], env={"COLUMNS": "200"})
    assert isinstance(done.exception, SystemExit | None), done.exception
    return done


def test_names_in_cache_ls_match_labels(tmp_path, write_recording):
    write_recording("talk one", [[(100.0, 100.0), (900.0, 100.0)]] * 30, folder="json/Ann's/talk one")
    write_recording("walk", STILL, folder="json/walk")
    write_recording("walk", STILL, folder="json/ben/walk")
    (tmp_path / "labels.csv").write_text("video,person,label\ntalk one,left,happy\ntalk one,right,sad\n")
    ingest(tmp_path)
    shown = open_cache(tmp_path / "cache").sequences
    names = [name for column in ("id", "video") for name in shown[column]]
    assert {"Ann's/talk one_left", "Ann's/talk one", "walk"} < {*names}
    for name in names:
        with (tmp_path / "labels.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["video", "label"], [name, "fear"]])
        assert ingest(tmp_path, out="again", labels="table").exit_code == 0, name
        again = open_cache(tmp_path / "again")
        labeled = again.read().labels["expression"] == 6
        (video,) = {row["video"] for row in again.sequences.to_dict("records") if labeled[row["start"]]}
        assert name.startswith(video)
        for file in (tmp_path / "again").iterdir():
            file.unlink()


def test_an_ambiguous_name_is_an_error_with_both_recordings(tmp_path, write_recording):
    write_recording("x", STILL, folder="json/a")
    write_recording("x", STILL, folder="json/b")
    (tmp_path / "labels.csv").write_text("video,label\nX.mp4,happy\n")
    done = ingest(tmp_path)
    assert done.exit_code == 2
    assert "labels for 'X.mp4' match 'a/x', 'b/x'" in done.output
    assert not (tmp_path / "cache").exists()


def test_words_are_queried_then_mapped_reported_and_recorded(tmp_path, write_recording):
    for name in ("a", "b", "c"):
        write_recording(name, STILL)
    (tmp_path / "labels.csv").write_text("video,label\na,froh\nb,Sad\nc,angerr\n")
    done = ingest(tmp_path, "--map", "froh=happiness")
    assert done.exit_code == 2
    assert "'angerr' (line 4): did you mean anger? 1 row" in done.output
    assert not (tmp_path / "cache").exists()
    done = ingest(tmp_path, "--map", "froh=happiness", "--map", "angerr=anger")
    assert done.exit_code == 0, done.output
    assert "froh → happiness (1), Sad → sadness (1), angerr → anger (1)" in done.output
    again = ingest(tmp_path, "--map", "froh=happiness", "--map", "angerr=anger").output
    assert "3" in next(line for line in again.splitlines() if "already in the cache, unchanged" in line)
    shard = open_shard(next((tmp_path / "cache").glob("*.h5")))
    assert shard.header.settings["map"] == {"froh": "happiness", "angerr": "anger"}
    assert "froh → happiness (1)" in shard.header.origin["words"]
    frames = open_cache(tmp_path / "cache").read()
    assert frames.labels["expression"].tolist() == [0] * 30 + [1] * 30 + [3] * 30
    (tmp_path / "labels.csv").write_text("video,label\na,happy\nb,Sad\nc,anger\n")
    assert "happy → happiness (1), Sad → sadness (1)" in ingest(tmp_path, out="plain").output
    (tmp_path / "labels.csv").write_text("video,label\na,froh\nb,Sad\nc,angerr\n")
    done = ingest(tmp_path, "--classes", "froh,sad,angerr", out="own")
    assert done.exit_code == 0, done.output
    (head,) = open_cache(tmp_path / "own").heads
    assert (head.name, head.outputs) == ("label", ("froh", "sad", "angerr"))


def test_invalid_labels_of_image_sequences_keep_their_error(tmp_path):
    folder = tmp_path / "json" / "1-30-640x480"
    folder.mkdir(parents=True)
    for number in range(1, 301):
        (folder / f"{number:05d}_keypoints.json").write_text('{"people": []}')
    (tmp_path / "labels.csv").write_text("video,start,end,label\n1-30-640x480,0,5,happy\n")
    done = ingest(tmp_path)
    assert done.exit_code == 2
    assert "which may be frames or seconds of 1-30-640x480 (300 frames in 10 s): give --unit" in done.output


def test_python_takes_the_same_options(tmp_path, write_recording):
    write_recording("a", STILL)
    write_recording("b", STILL)
    labels = tmp_path / "labels.csv"
    labels.write_text("video,start,end,label,valence,arousal\na,0,2,0,9,1\na,2,3,1,5,5\n")
    options = {"classes": ["no", "yes"], "unit": "seconds", "va_scale": "1:9", "fps": 10}
    skelemo.ingest(tmp_path / "json", tmp_path / "cache", f"table:{labels}", **options)
    frames = skelemo.open_cache(tmp_path / "cache").read()
    assert frames.labels["label"].tolist() == [0] * 20 + [1] * 10 + [-1] * 30
    np.testing.assert_array_equal(frames.labels["va"][[0, 25]], [[1, -1], [0, 0]])


def test_label_options_are_recorded_only_if_given(tmp_path, write_recording):
    write_recording("a", STILL)
    (tmp_path / "labels.csv").write_text("video,label\na,happy\n")
    ingest(tmp_path)
    kept = open_shard(next((tmp_path / "cache").glob("*.h5"))).header.settings
    assert not {"map", "classes", "unit", "va_scale"} & kept.keys()


def test_times_use_the_frame_rate_of_the_name_or_option(tmp_path, write_recording):
    write_recording("1-30-640x480", STILL)
    write_recording("walk", STILL)
    (tmp_path / "labels.csv").write_text("video,start,end,label\n1-30-640x480,0.5,1,happy\nwalk,0.5,1,happy\n")
    done = ingest(tmp_path)
    assert done.exit_code == 2
    assert "for 'walk' are times, but the frame rate of its recording is unknown: give --fps" in done.output
    assert ingest(tmp_path, "--fps", "10").exit_code == 0
    labels = open_cache(tmp_path / "cache").read().labels["expression"]
    assert np.flatnonzero(labels == 0).tolist() == [*range(15, 30), *range(30 + 5, 30 + 10)]


def test_times_use_the_frame_rate_of_the_extracted_video(tmp_path, write_recording):
    write_recording("walk", STILL, folder="json/walk")
    (tmp_path / "json" / "walk" / "skelemo-video.json").write_text('{"width": 640, "height": 480, "fps": 20}')
    (tmp_path / "labels.csv").write_text("video,start,end,label\nwalk,0.5,1,happy\n")
    done = ingest(tmp_path, "--fps", "10")
    assert np.flatnonzero(open_cache(tmp_path / "cache").read().labels["expression"] == 0).tolist() == [*range(10, 20)]
    assert "--fps 10 is not used for 1 recording with another frame rate, such as walk/walk (20)" in done.output


def test_a_recording_with_all_labels_outside_is_unlabeled_and_counted(tmp_path, write_recording):
    write_recording("a", STILL)
    write_recording("b", STILL)
    (tmp_path / "labels.csv").write_text("video,frame,label,subject\na,3,happy,ann\nb,400,sad,ben\n")
    done = ingest(tmp_path)
    assert done.exit_code == 0, done.output
    assert "recordings with labels: 1 of 2" in done.output
    (row,) = (line for line in done.output.splitlines() if "with all labels outside their frames" in line)
    assert "1 (b)" in row
    assert "recordings without labels" not in done.output  # b has some, and is counted once
    cache = open_cache(tmp_path / "cache")
    assert (cache.read().labels["expression"] >= 0).sum() == 1
    assert cache.sequences["subject"].tolist() == ["ann", "ben"]


@pytest.mark.parametrize(
    "words", [["--map", "a=b"], ["--classes", "a,b"], ["--unit", "seconds"], ["--va-scale", "1:9"]]
)
def test_options_for_labels_without_labels_are_refused(tmp_path, write_recording, words):
    write_recording("a", STILL)
    done = ingest(tmp_path, *words, labels="")
    assert done.exit_code == 2
    assert f"{words[0]}" in done.output
    assert "needs --labels" in done.output


def test_imports_take_the_same_options(tmp_path):
    rows = [{"image_id": n, "category_id": 1, "keypoints": [9.0 + n, 8.0, 1.0] * 17, "score": 1} for n in range(20)]
    (tmp_path / "clip.json").write_text(json.dumps(rows))
    (tmp_path / "labels.csv").write_text("video,start,end,label\nClip,0,1,froh\n")
    words = ["cache", "import", str(tmp_path / "clip.json"), "--from", "coco_wholebody", "--out", str(tmp_path / "c")]
    words += ["--labels", f"table:{tmp_path / 'labels.csv'}", "--map", "froh=happy", "--unit", "seconds", "--fps", "10"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert "words read as classes: froh → happiness (1)" in done.output
    assert open_cache(tmp_path / "c").read().labels["expression"].tolist() == [0] * 10 + [-1] * 10


@pytest.mark.parametrize(
    ("row", "code", "message"),
    [
        ("a,happy,,a\0b", 2, "labels.csv, line 2: a NUL character"),
        (f"a,happy,{'9' * 5000},", 1, "person 99999999999999999999 does not exist: tracking found 1 person"),
    ],
)
def test_impossible_names_are_one_line_each(tmp_path, write_recording, row, code, message):
    write_recording("a", STILL, folder="json/a")
    (tmp_path / "labels.csv").write_text(f"video,label,person,subject\n{row}\n")
    result = ingest(tmp_path)
    assert result.exit_code == code, result.output
    assert message in " ".join(result.output.split())
