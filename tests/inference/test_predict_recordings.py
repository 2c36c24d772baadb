"""Predictions for many recordings: smoothing, people, resuming after a kill, in processes and on a cluster."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from small_caches import HEADS, a_cache, a_sequence

import skelemo
from skelemo.cache.shard import Header
from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.errors import ConfigError, InputError
from skelemo.inference import base
from skelemo.inference.table import smoothed
from skelemo.runs.folder import read_run
from skelemo.targets import Head
from skelemo.training.predicting import choose_width

BOTH = "body_25+face_70"
COLUMNS = ["p_glad", "p_sad", "p_calm", "valence", "arousal"]


def invoke(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def a_person(x: float, points: int = 25) -> dict:
    """A standing body at x, with a face, 200 pixels high."""
    body = np.random.default_rng(7).uniform(0, 1, (95, 2)) * (80, 200) + (x, 100)
    keypoints = np.concatenate([body, np.ones((95, 1))], 1).round(2)
    return {"pose_keypoints_2d": keypoints[:25].ravel().tolist(), "face_keypoints_2d": keypoints[25:].ravel().tolist()}


def write(folder: Path, video: str, frames: int, people: tuple[float, ...] = (100.0,)) -> None:
    (folder / video).mkdir(parents=True, exist_ok=True)
    for number in range(frames):
        found = [a_person(x + number) for x in people]
        text = json.dumps({"version": 1.3, "people": found})
        (folder / video / f"{video}_{number:012d}_keypoints.json").write_text(text)


@pytest.fixture
def recordings(tmp_path):
    for number in range(6):
        write(tmp_path / "json", f"take{number}", 20, (100.0 + 10 * number,))
    return tmp_path / "json"


def test_smoothing_is_the_mean_over_frames_near_by_and_not_over_rows_or_people():
    values = np.array([[1.0], [2], [np.nan], [6], [10], [100]])
    key = np.array([0, 1, 2, 4, 5, (1 << 32) + 5])
    expected = [1.5, 1.5, np.nan, 8, 8, 100]  # ±1 frame: 0 1 | 0 1 (2 has none) | – | 4 5 | 4 5 | another person
    np.testing.assert_allclose(smoothed(values, key, 3)[:, 0], expected)
    np.testing.assert_allclose(smoothed(values, key, 5)[:, 0], [1.5, 1.5, np.nan, 8, 8, 100])
    np.testing.assert_allclose(smoothed(values, key, 9)[:, 0], [3, 4.75, np.nan, 4.75, 6, 100])
    assert smoothed(values, key, 1) is values


def test_the_best_smoothing_width_is_chosen_and_1_if_smoothing_harms():
    head, rng, key = Head("x", "values", ("x",)), np.random.default_rng(0), np.arange(400)
    slow = np.sin(key / 30)[:, None].astype(np.float32)
    noisy = (slow + rng.normal(0, 0.5, slow.shape)).astype(np.float32)

    def ccc(width):
        kept = np.array([noisy[max(0, i - width // 2) : i + width // 2 + 1].mean() for i in key])
        return (
            2 * np.cov(kept, slow[:, 0], bias=True)[0, 1] / (kept.var() + slow.var() + (kept.mean() - slow.mean()) ** 2)
        )

    found = choose_width(head, slow, noisy, key)
    assert found["width"] == max((1, 3, 5, 9, 15, 25, 41, 61), key=ccc) > 1
    assert found["plain"] == pytest.approx(ccc(1), abs=1e-5)
    assert found["smoothed"] == pytest.approx(ccc(found["width"]), abs=1e-5)
    fast = rng.normal(0, 0.5, slow.shape).astype(np.float32)
    assert choose_width(head, fast, fast, key)["width"] == 1
    thinned = choose_width(head, slow[::10], noisy[::10], key[::10])
    assert thinned["width"] % 20 == 1  # in frames, of which every tenth was judged


def test_training_records_the_width_that_validation_prefers_and_predicts_without_it(run, cache):
    recorded = json.loads((run / "model.json").read_text())["smoothing"]
    windows = read_run(run).predictions.query("subset == 'validation'").sort_values(["sequence", "frame"])
    key = windows["sequence"].astype(str).factorize()[0].astype(np.int64) * (1 << 32) + windows["frame"].to_numpy()
    outputs, truth = (
        windows[[f"va_{n}{end}" for n in ("valence", "arousal")]].to_numpy() for end in ("_predicted", "")
    )
    assert recorded["va"] == pytest.approx(choose_width(HEADS[1], truth, outputs, key))
    assert recorded["va"]["width"] > 1
    model = skelemo.load(run)
    plain, auto = model.predict(cache), model.predict(cache, smooth="auto")
    test = read_run(run).predictions.query("subset == 'test'").merge(plain, on=["video", "frame"], suffixes=("_", ""))
    np.testing.assert_allclose(test["valence"], test["va_valence_predicted"], atol=1e-5)
    reach = recorded["va"]["width"] // 2
    for _, rows in plain.groupby("video"):
        values = rows["valence"].to_numpy()
        expected = [values[max(i - reach, 0) : i + reach + 1].mean() for i in range(60)]
        np.testing.assert_allclose(auto.loc[rows.index, "valence"], expected, atol=1e-5)
    copy = json.loads((run / "model.json").read_text()) | {"smoothing": {}}
    elsewhere = cache.parent / "old"
    elsewhere.mkdir()
    (elsewhere / "model.json").write_text(json.dumps(copy))
    (elsewhere / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    with pytest.raises(ConfigError, match="no smoothing was chosen in training; set a width"):
        skelemo.load(elsewhere).predict(cache, smooth="auto")


def test_chunks_are_whole_videos_and_do_not_change_predictions(run, cache, monkeypatch):
    model = skelemo.load(run)
    whole = model.predict(cache, smooth=9)
    monkeypatch.setattr(base, "CHUNK_FRAMES", 150)
    pieces = model.predict(cache, smooth=9)
    assert [len(rows) for rows in base.chunks(open_cache(cache).sequences)] == [2] * 5
    pd.testing.assert_frame_equal(pieces, whole, atol=1e-5)
    table = pd.DataFrame({"video": ["b", "a", "b", "c"], "length": [50, 80, 50, 10]})
    assert [rows.tolist() for rows in base.chunks(table, 100)] == [[0, 2], [1, 3]]


def test_min_seen_withholds_predictions_from_too_few_points(run):
    points = np.tile(
        np.r_[a_person(100)["pose_keypoints_2d"], a_person(100)["face_keypoints_2d"]].reshape(95, 3), (9, 1, 1)
    )
    points[5, 10:] = 0  # 10 of 95 points left
    model = skelemo.load(run)
    assert model.predict(points)["seen"].all()
    strict = model.predict(points, min_seen=0.2)
    assert strict["seen"].tolist() == [True] * 5 + [False] + [True] * 3
    assert strict["valence"].isna().tolist() == [False] * 5 + [True] + [False] * 3
    assert strict["expression"].tolist()[5] == ""
    assert not model.predict(points, min_seen=0.1)["valence"].isna().any()
    with pytest.raises(InputError, match="in 50% of a window's points"):
        model.predict(points[5:6], min_seen=0.5)


def test_a_person_is_chosen_by_name_or_number(run, tmp_path):
    write(tmp_path / "json", "two", 15, (100.0, 400.0))
    model = skelemo.load(run)
    everyone = model.predict(tmp_path / "json")
    assert set(everyone["person"]) == {"person0", "person1"}
    assert len(model.predict(tmp_path / "json", person="auto")) == 15
    second = model.predict(tmp_path / "json", person=1)
    expected = everyone[everyone["person"] == "person1"]
    np.testing.assert_allclose(second[COLUMNS], expected[COLUMNS], atol=1e-6)
    result = invoke("predict", run, tmp_path / "json", "--out", tmp_path / "x.csv", "--person", "7")
    assert result.exit_code == 2
    assert "person 7 does not exist: tracking found 2 people" in result.output
    assert "no recording can be used" in result.output
    assert not list(tmp_path.glob("x.csv*"))
    skelemo.ingest(tmp_path / "json", tmp_path / "cache", person="all")
    from_cache = model.predict(tmp_path / "cache", person="1")
    np.testing.assert_allclose(from_cache[COLUMNS], expected[COLUMNS], atol=1e-6)
    with pytest.raises(ConfigError, match="person 5: cache has the people person0, person1"):
        model.predict(tmp_path / "cache", person=5)


#: The command with chunks of 30 frames, each of them slow where the environment says so.
SLOW = """
import os, time
from skelemo.inference import base, recordings
base.CHUNK_FRAMES = 30
do = recordings._do
def slow(*given):
    done = do(*given)
    time.sleep(float(os.environ.get("PAUSE", 0)))
    return done
recordings._do = slow
from skelemo.cli import main
main()
"""


def start(*words, pause=0.0):
    code = [sys.executable, "-c", SLOW, *map(str, words)]
    return subprocess.Popen(
        code, env=os.environ | {"PAUSE": str(pause)}, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_an_early_ctrl_c_leaves_nothing_and_says_so(run, recordings, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("skelemo.inference.prediction._load", interrupted)
    ended = CliRunner().invoke(main, ["predict", str(run), str(recordings), "--out", str(tmp_path / "x.csv")])
    assert ended.exit_code == 130
    assert ended.output == "\ninterrupted; no partial output was left; run the same command again\n"
    assert not [*tmp_path.glob("x.csv*")]


def when_begun(process, parts: Path, number: int) -> None:
    until = time.monotonic() + 600  # importing torch takes a minute where the machine is busy
    while len(list(parts.glob("*.parquet"))) < number:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_what_was_interrupted_resumes_and_ends_as_if_it_had_not_been(run, recordings, tmp_path, how):
    out, parts = tmp_path / "x.csv", tmp_path / "x.csv.parts"
    words = ("predict", run, recordings, "--jobs", 1, "--out")
    process = start(*words, out, pause=30)
    when_begun(process, parts, 1)
    process.send_signal(how)
    _, error = process.communicate(timeout=600)
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert b"run the same command again to resume" in error
    assert not out.exists()
    kept = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.parquet")}
    assert len(kept) == 1
    other = invoke("predict", run, recordings, "--jobs", 1, "--every", 2, "--out", tmp_path / "other.csv")
    assert other.exit_code == 0, other.output
    again = start(*words, out, pause=0.5)
    when_begun(again, parts, 2)
    assert {name: (parts / name).stat().st_mtime_ns for name in kept} == kept
    assert again.wait(600) == 0, again.stderr.read()
    assert not parts.exists()
    assert invoke(*words, tmp_path / "alone.csv").exit_code == 0
    assert out.read_bytes() == (tmp_path / "alone.csv").read_bytes()
    assert len(pd.read_csv(out)) == 120


def test_recordings_that_went_or_changed_between_two_tries_are_not_in_the_table(run, recordings, tmp_path):
    out, parts = tmp_path / "x.csv", tmp_path / "x.csv.parts"
    process = start("predict", run, recordings, "--jobs", 1, "--out", out, pause=30)
    when_begun(process, parts, 1)
    process.kill()
    process.wait()
    for file in (recordings / "take0").iterdir():
        file.unlink()
    write(recordings, "take1", 25)
    assert invoke("predict", run, recordings, "--jobs", 1, "--out", out).exit_code == 0
    assert pd.read_csv(out)["video"].value_counts().to_dict() == {"take1": 25} | {f"take{i}": 20 for i in range(2, 6)}


def test_two_processes_predict_the_same_as_one(run, recordings, tmp_path, monkeypatch):
    monkeypatch.setattr(base, "CHUNK_FRAMES", 30)
    for jobs in (1, 2):
        assert invoke("predict", run, recordings, "--jobs", jobs, "--out", tmp_path / f"{jobs}.csv").exit_code == 0
    one, two = (pd.read_csv(tmp_path / f"{jobs}.csv") for jobs in (1, 2))
    pd.testing.assert_frame_equal(one, two, atol=1e-5)


def test_a_cluster_predicts_what_this_process_does(run, recordings, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr("skelemo.ingest.pool._CONNECT_SECONDS", 60)
    monkeypatch.setattr(base, "CHUNK_FRAMES", 30)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with distributed.LocalCluster(processes=True, memory_limit=0, **options) as cluster:
        words = ("--out", tmp_path / "x.csv", "--scheduler", cluster.scheduler_address)
        result = invoke("predict", run, recordings, *words)
        assert result.exit_code == 0, result.output
    expected = skelemo.predict(run, recordings)
    np.testing.assert_allclose(pd.read_csv(tmp_path / "x.csv")[COLUMNS], expected[COLUMNS], atol=1e-5)
    refused = invoke("predict", run, recordings, "--out", tmp_path / "y.csv", "--scheduler", "nobody")
    assert refused.exit_code == 2
    assert "no Dask scheduler" in refused.output


def test_other_layouts_are_refused_and_invisible_parts_noted(run, tmp_path):
    model = skelemo.load(run)
    coco = a_cache(tmp_path / "coco", a_sequence("one", points=17), header=Header("coco_17", HEADS))
    with pytest.raises(InputError, match=r"has coco_17, and the model also needs body_25, face_70: ingest again"):
        model.predict(coco)
    with pytest.raises(InputError, match="has body_25, and the model also needs face_70"):
        model.predict(a_cache(tmp_path / "body", a_sequence("one")))
    frames = [{"people": [a_person(100) | {"face_keypoints_2d": []}]} for _ in range(12)]
    table = model.predict(frames)
    assert "face_70 is missing for all people: predicted from the other keypoints" in table.attrs["notes"]
    no_hips = [{"people": [a_person(100)]} for _ in range(12)]
    for frame in no_hips:
        frame["people"][0]["pose_keypoints_2d"][8 * 3 :] = [0.0] * (17 * 3)
    assert model.predict(no_hips)["valence"].notna().all()
    empty = tmp_path / "empty"
    write(empty, "take", 3, ())
    result = invoke("predict", run, empty, "--out", tmp_path / "x.csv")
    assert result.exit_code == 2
    assert "nobody is visible" in result.output
    assert not list(tmp_path.glob("x.csv*"))


def test_an_unwritable_file_is_a_one_line_error(run, cache, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.csv").mkdir()
    for out, reason in (("file/x.csv", "is a file, expected a folder"), ("folder.csv", "is a folder: name a file")):
        result = invoke("predict", run, cache, "--out", tmp_path / out)
        assert (result.exit_code, reason in result.output) == (2, True), result.output

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    result = invoke("predict", run, cache, "--out", tmp_path / "x.csv")
    assert result.exit_code == 2
    assert f"{tmp_path / 'x.csv'}: No space left on device" in result.output
    assert not (tmp_path / "x.csv").exists()
    monkeypatch.undo()
    assert invoke("predict", run, cache, "--out", tmp_path / "x.csv").exit_code == 0
    assert not (tmp_path / "x.csv.parts").exists()


@pytest.mark.parametrize("kind", [str, Path])
def test_paths_may_be_text_everywhere(run, cache, recordings, tmp_path, kind):
    table = skelemo.predict(kind(run), kind(recordings))
    pd.testing.assert_frame_equal(table, skelemo.load([kind(run)]).predict(kind(recordings)))
    pd.testing.assert_frame_equal(table, skelemo.predict([kind(run)], kind(recordings)))
    skelemo.ingest(kind(recordings), kind(tmp_path / "made"))
    assert len(skelemo.open_cache(kind(tmp_path / "made")).sequences) == 6
    assert open_cache(kind(cache)).hash == open_cache([kind(cache)]).hash
    (tmp_path / "c.yaml").write_text("epochs: 1\n")
    for number, data in enumerate((kind(cache), [kind(cache)])):
        skelemo.train(kind(tmp_path / f"run{number}"), kind(tmp_path / "c.yaml"), data=data, arch="ann", device="cpu")
    assert read_run(kind(run)).name == "ann"


def test_notebook_reprs_are_short_and_completion_works(run, cache, tmp_path):
    from skelemo.data.corpus import load_corpus

    opened = skelemo.open_cache(cache)
    scores = skelemo.train(tmp_path / "run", data=cache, arch="ann", device="cpu", epochs=1, head="both")
    assert repr(opened) == "<cache cache: 10 sequences, 600 frames of body_25+face_70, expression (3), va (2)>"
    assert repr(load_corpus(opened)).startswith("<corpus: 10 sequences, 600 frames of body_25+face_70 on cpu")
    assert repr(read_run(run)).startswith("<run ann: ann, test expression macro_f1 0.")
    assert repr(opened.read()).startswith("<600 frames: keypoints [600, 95, 3], expression, va, valence")
    lines = repr(scores).splitlines()
    assert len(lines) == 4
    assert all(len(line) < 120 for line in lines)
    assert lines[0].startswith("validation  expression      macro_f1 0.")
    assert scores.test is scores["test"]
    for shown, names in ((opened, {"sequences", "heads", "read"}), (opened.read(), {"valence", "expression"}),
                         (scores, {"test", "validation"}), (skelemo, {"predict", "load"})):  # fmt: skip
        assert names <= set(dir(shown))
    with pytest.raises(AttributeError, match="no subset 'tset' was scored, only validation, test"):
        _ = scores.tset
