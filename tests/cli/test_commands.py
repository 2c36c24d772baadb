import json
import resource
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from skelemo.annotations.options import UNITS
from skelemo.cli import main
from skelemo.openpose.scale import SCALES
from skelemo.skeleton import BODY_25, part_models
from skelemo.tracking import IDENTITIES, PERSONS

STILL = {"version": 1.3, "people": [{"pose_keypoints_2d": [float(10 + index) for index in range(75)]}]}


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two classes of three short clips each."""
    for emotion in ("happy", "sad"):
        for clip in range(3):
            folder = tmp_path / "clips" / emotion / f"{emotion}{clip}"
            folder.mkdir(parents=True)
            place = 10.0 + 7 * clip + 40 * len(emotion)  # the same keypoints twice would be one recording
            person = {"pose_keypoints_2d": [place + index for index in range(75)]}
            for frame in range(5):
                text = json.dumps({"version": 1.3, "people": [person]})
                (folder / f"{emotion}{clip}_{frame:012d}_keypoints.json").write_text(text)
    return tmp_path / "clips"


def test_help_answers_without_torch_and_in_a_third_of_a_second():
    code = """
import sys
from skelemo.annotations.options import UNITS
from skelemo.cli import main
from skelemo.openpose.scale import SCALES
from skelemo.skeleton import BODY_25, part_models
from skelemo.tracking import IDENTITIES, PERSONS
main(["--help"], standalone_mode=False)
print("torch" in sys.modules)
"""
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)  # not what others take
    assert answer.stdout.splitlines()[-1] == "False"
    assert min(seconds) < 0.3


def test_python_runs_the_package_as_the_command():
    for words, code, told in ((["--version"], 0, "skelemo, version"), (["cache", "ls", "nowhere"], 2, "no such cache")):
        answer = subprocess.run([sys.executable, "-m", "skelemo", *words], capture_output=True, text=True)
        assert (answer.returncode, told in answer.stdout + answer.stderr) == (code, True)


def test_every_verb_explains_itself():
    for verb in main.verbs:
        answer = call(verb, "--help")
        assert answer.exit_code == 0
        assert len(answer.output) > 200


def test_from_recordings_to_a_page_in_three_verbs(clips, tmp_path):
    cache, run, page = tmp_path / "cache", tmp_path / "run", tmp_path / "page"
    assert call("ingest", clips, "--labels", "folders", "--out", cache).exit_code == 0
    assert "expression" in call("cache", "ls", cache).output
    quick = ["--set", "split=kfold:3", "--set", "validation=0.5", "--set", "epochs=1", "--set", "device=cpu"]
    trained = call("train", "--data", cache, "--out", run, *quick)
    assert trained.exit_code == 0, trained.output
    assert call("report", run, "--out", page).exit_code == 0
    assert (page / "report.html").stat().st_size > 1000


def test_an_unusable_recording_gives_exit_code_1(clips, tmp_path):
    for file in (clips / "sad" / "sad1").iterdir():
        file.write_text("{")
    answer = call("ingest", clips, "--labels", "folders", "--out", tmp_path / "cache")
    assert answer.exit_code == 1
    assert "sad/sad1" in answer.output
    told = json.loads(call("cache", "info", tmp_path / "cache", "--json").output)
    assert list(told["unusable"]) == ["sad/sad1/sad1"]
    words = {"happy → happiness (3), sad → sadness (3)": 1}
    assert told["origin"] == {"source": {"clips": 1}, "labels": {"folders": 1}, "words": words}


def test_a_single_file_that_is_not_a_frame_is_a_one_line_error(tmp_path):
    (tmp_path / "read.py").write_text("import os")
    answer = call("ingest", tmp_path / "read.py", "--out", tmp_path / "cache")
    assert answer.exit_code == 2
    (line,) = answer.output.splitlines()
    assert line.startswith("Error: read.py is not JSON: ")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["ingest", "nowhere", "--out", "x"], "nowhere"),
        (["ingest", "{clips}", "--labels", "foldres", "--out", "x"], "did you mean 'folders'"),
        (["ingest", "{clips}", "--layout", "body_52", "--out", "x"], "did you mean 'body_25'"),
        (["ingest", "{clips}", "--size", "big", "--out", "x"], "WIDTHxHEIGHT"),
        *(
            (["ingest", "{clips}", "--size", size, "--out", "x"], "1 to 1,000,000 pixels")
            for size in ("0x0", "0x480", "1000001x5", "99999999999999999999x5", "5x", "-3x5")
        ),
        (["ingest", "{clips}", "--fps", "-3", "--out", "x"], "'--fps': -3"),
        (
            ["ingest", "{clips}", "--body-model", "foo", "--out", "x"],
            "choose from auto, body_25, body_25b, coco_17",
        ),
        (["ingest", "{clips}", "--scale", "foo", "--out", "x"], "'signed'"),
        (["ingest", "{clips}", "--labels", "", "--out", "x"], "'--labels': empty value"),
        (["ingest", "", "--out", "x"], "'SOURCE': empty value"),
        (["ingest", "{clips}", "--out", ""], "'--out': empty value"),
        (["cache", "import", "{clips}", "--from", "mediapipe", "--fps", "nan", "--out", "x"], "'--fps': nan"),
        (["cache", "import", ".", "--from", "mediapipe", "--labels", "", "--out", "x"], "'--labels': empty value"),
        (["cache", "push", "{clips}", ""], "'URL': empty value"),
        (["cache", "pull", "", "x"], "'URL': empty value"),
        (["cache", "ls", ""], "empty value"),
        (["cache", "info", "{clips}", "--recordings", "-5"], "'--recordings': -5"),
        (["train", "--data", "", "--out", "x"], "'--data': empty value"),
        (["synth", "x", "--seed", "99999999999999999999999"], "'--seed'"),
        (["ingest", "x", "--out", "y", "--jobs", "0"], "'--jobs': 0"),
        (["ingest", "x", "--out", "y", "--jobs", "-3"], "'--jobs': -3"),
        (["cache", "ls", "nowhere"], "no such cache"),
        (["cache", "ls", "no\nwhere"], r"Error: no\nwhere: no such cache"),
        (["train", "--out", "x"], "--data"),
        (["train", "--data", "nowhere", "--out", "x"], "no such cache"),
        (["train", "--data", "nowhere", "--out", "x", "--set", "epoch=3"], "did you mean 'epochs'"),
        (["train", "--config", "nowhere.yaml", "--out", "x"], "nowhere.yaml"),
        (["report", "nowhere", "--out", "x"], "nowhere"),
    ],
)
def test_user_errors_are_one_line_and_exit_code_2(clips, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    answer = call(*(word.format(clips=clips) for word in words))
    assert answer.exit_code == 2
    assert told in answer.output
    assert "Traceback" not in answer.output
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["push", "{cache}", "{file}"],
        ["export", "{cache}", "--to", "csv", "--out", "{file}/x.csv"],
        ["subset", "{cache}", "--only", "video=*", "--out", "{file}/x"],
    ],
)
def test_a_file_instead_of_a_folder_is_a_one_line_error(clips, tmp_path, words):
    call("ingest", clips, "--out", tmp_path / "cache")
    (tmp_path / "file").write_text("")
    answer = call("cache", *(word.format(cache=tmp_path / "cache", file=tmp_path / "file") for word in words))
    assert answer.exit_code == 2
    assert answer.output == f"Error: {tmp_path / 'file'}: is a file, expected a folder\n"


def test_two_caches_that_contradict_each_other_are_not_taken_for_old_and_new(clips, tmp_path):
    for person in ("auto", "largest"):
        moved = json.loads(json.dumps(STILL))
        moved["people"][0]["pose_keypoints_2d"][0] = len(person)
        for file in clips.glob("happy/happy0/*.json"):
            file.write_text(json.dumps(moved))
        call("ingest", clips, "--out", tmp_path / person)
    answer = call("show", tmp_path / "auto", tmp_path / "largest", "--out", tmp_path / "page")
    assert answer.exit_code == 2
    assert "one of the two caches" in answer.output
    assert "remove" not in answer.output


def test_the_words_that_options_offer_are_those_that_their_rooms_know():
    options = {option.name: option.type for option in main.get_command(None, "ingest").params}
    offered = {name: tuple(kind.choices) for name, kind in options.items() if isinstance(kind, click.Choice)}
    units = ("auto", *UNITS)
    assert offered == {"scale": ("auto", *SCALES), "person": PERSONS, "identity": IDENTITIES, "unit": units}
    assert options["body_model"].names() == ["auto", *part_models(BODY_25)]


def test_every_setting_is_listed_with_its_default():
    answer = call("train", "--settings")
    assert answer.exit_code == 0
    for name in ("split", "min_confidence", "optimizer", "class_weights"):
        assert name in answer.output


def test_ctrl_c_in_training_prints_how_to_resume(clips, tmp_path, monkeypatch):
    assert call("ingest", clips, "--labels", "folders", "--out", tmp_path / "cache").exit_code == 0

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("skelemo.training.module.Training.training_step", interrupted)
    words = ["--set", "split=kfold:3", "--set", "validation=0.5", "--set", "device=cpu", "--out", tmp_path / "run"]
    answer = call("train", "--data", tmp_path / "cache", *words)
    assert answer.exit_code == 130
    assert f"skelemo train --out {tmp_path / 'run'} --resume" in answer.output


@pytest.mark.parametrize(
    ("words", "stopped", "line"),
    [
        (["cache", "merge", "a", "b"], "cache.merge.merge", "no partial output was left; run the same command again"),
        (
            ["study", "f.yaml"],
            "study.grid.run_study",
            "finished cells are kept; resume with skelemo study f.yaml --out x",
        ),
        (["tune", "f.yaml"], "study.tune.tune", "trials are kept; resume with skelemo tune f.yaml --out x"),
        (["ingest", "j"], "ingest.plan.make_plan", "finished work is kept; run the same command again to resume"),
    ],
)
def test_ctrl_c_is_exit_code_130_and_a_line_on_what_is_kept(monkeypatch, words, stopped, line):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("skelemo.study.grid.read_study", lambda *_: None)
    monkeypatch.setattr("skelemo.study.space.read_search", lambda *_: None)
    monkeypatch.setattr(f"skelemo.{stopped}", interrupted)
    answer = call(*words, "--out", "x")
    assert (answer.exit_code, answer.output) == (130, f"\ninterrupted; {line}\n")
