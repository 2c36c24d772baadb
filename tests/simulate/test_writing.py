"""Simulated recordings on disk."""

import csv
import json
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from skelemo.cli import main
from skelemo.cli.synth import command
from skelemo.errors import ConfigError, InputError
from skelemo.ingest.plan import Settings, make_plan
from skelemo.simulate import Cast, Plan, long_clip, short_clip, write
from skelemo.simulate.detection import six_digits
from skelemo.simulate.emotions import NAMES
from skelemo.simulate.writing import frame_text

PLAN = Plan("both", subjects=5, clips=1, frames=60, seed=2)
KEYS = ["person_id"] + [
    f"{part}_keypoints_{axes}d" for axes in (2, 3) for part in ("pose", "face", "hand_left", "hand_right")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("synth") / "out"
    write(out, PLAN)
    return out


def test_the_command_prints_how_to_ingest_what_it_wrote(tmp_path):
    words = [
        "synth",
        str(tmp_path / "an actor"),
        "--form",
        "both",
        "--subjects",
        "5",
        "--clips",
        "1",
        "--frames",
        "30",
    ]
    ended = CliRunner().invoke(main, words)
    assert ended.exit_code == 0, ended.output
    commands = [shlex.split(line) for line in ended.output.splitlines() if line.startswith("skelemo ingest ")]
    assert [Path(words[2]).relative_to(tmp_path / "an actor").as_posix() for words in commands] == ["json", "dfew/json"]
    for _, _, source, _, labels, _, _ in commands:
        kind, _, place = labels.partition(":")
        assert all(Path(each).is_dir() for each in (source, place))
        assert len(make_plan(Path(source), tmp_path / "cache", labels, Settings()).tasks) >= 5, kind


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_numbers_equal_printf_with_six_digits():
    rng = np.random.default_rng(0)
    values = np.concatenate(
        [
            rng.uniform(0, 2000, 20000),
            rng.uniform(0, 1.02, 20000),
            rng.uniform(-50, 50, 5000),
            10.0 ** rng.uniform(-4, 5.9, 20000),
            np.arange(0, 2000, 0.0625),  # with exact ties in the seventh digit
        ]
    ).astype(np.float32)
    printed = [float(f"{value:.6g}") for value in values.tolist()]
    expected = np.where(np.abs(values) < 1e-4, 0.0, printed)
    assert np.array_equal(six_digits(values), expected)


def test_a_frame_is_formatted_as_by_ostream():
    values = np.array([582.349, 1234.567, 0.5, 1, 0, 1279, 12.5, 0.000123456, -3.25], dtype=np.float32)
    people = np.resize(values, (2, 95, 3))
    text = frame_text(six_digits(people)).decode()
    numbers = ",".join(f"{value:.6g}" for value in people[0, :25].ravel().tolist())
    assert f'"pose_keypoints_2d":[{numbers}],"face_keypoints_2d":[' in text
    assert text.startswith('{"version":1.3,"people":[{"person_id":[-1],')
    assert not re.search(r"\.0[,\]]|\s|e-", text)
    assert [list(person) for person in json.loads(text)["people"]] == [KEYS, KEYS]


def test_cpp_prints_the_same_numbers(tmp_path):
    source = tmp_path / "print.cpp"
    source.write_text("#include <iostream>\nint main(){float x;while(std::cin>>x)std::cout<<x<<'\\n';}")
    try:
        subprocess.run(["g++", "-o", tmp_path / "print", source], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no C++ compiler here")
    clip = long_clip(Cast(5), 0, 60)
    values = clip.crowd.keypoints.ravel()
    exact = "\n".join(f"{value:.9g}" for value in values.tolist())
    printed = subprocess.run([tmp_path / "print"], input=exact, capture_output=True, text=True, check=True).stdout
    texts = frame_text(six_digits(values.reshape(-1, 95, 3))).decode()
    ours = ",".join(re.findall(r'"(?:pose|face)_keypoints_2d":\[([^\]]+)\]', texts))
    assert ours.split(",") == printed.split()


def test_a_frame_without_people_has_openposes_27_bytes():
    assert frame_text(np.zeros((0, 95, 3))) == b'{"version":1.3,"people":[]}'


def test_json_round_trip(folder):
    for clip, root in (
        (long_clip(PLAN.cast, 1, PLAN.frames), folder / "json"),
        (short_clip(PLAN.cast, 7, 24), folder / "dfew" / "json"),
    ):
        files = sorted((root / clip.name).iterdir())
        assert [file.name for file in files] == [f"{clip.name}_{i:012d}_keypoints.json" for i in clip.crowd.number]
        people = [json.loads(file.read_bytes())["people"] for file in files]
        assert [len(found) for found in people] == np.diff(clip.crowd.start).tolist()
        flat = [person["pose_keypoints_2d"] + person["face_keypoints_2d"] for found in people for person in found]
        read = np.array(flat, dtype=np.float32).reshape(-1, 95, 3)
        assert np.array_equal(read, clip.crowd.keypoints)


def test_the_same_plan_gives_the_same_files(folder, tmp_path):
    write(tmp_path / "again", PLAN)
    assert contents(tmp_path / "again") == contents(folder)


def test_affwild2_labels_have_a_row_for_every_frame(folder):
    names = set()
    for path in folder.glob("affwild2/EXPR_Set/*_Set/*.txt"):
        header, *rows = path.read_text().splitlines()
        assert header == "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise"
        affect = (folder / "affwild2" / "VA_Set" / path.parent.name / path.name).read_text().splitlines()
        assert affect[0] == "valence,arousal"
        assert len(affect) == len(rows) + 1
        video = path.stem.removesuffix("_left").removesuffix("_right")
        frames = len(list((folder / "json" / video).iterdir()))
        assert len(rows) - frames in (0, 1)
        assert set(rows) <= {str(value) for value in range(-1, 7)}
        values = np.array([line.split(",") for line in affect[1:]], dtype=float)
        assert (((values >= -1) & (values <= 1)) | (values == -5)).all()
        names.add(video)
    assert names == {path.name for path in (folder / "json").iterdir() if path.is_dir()}
    folders = {path.name for path in folder.glob("affwild2/VA_Set/*")}
    assert folders == {"Training_Set", "Validation_Set", "Test_Set"}


def test_affwild2_rows_have_the_acted_emotion(folder):
    clip = long_clip(PLAN.cast, 2, PLAN.frames)
    role = clip.roles[0]
    suffix = f"_{role.side}" if role.side else ""
    (path,) = folder.glob(f"affwild2/EXPR_Set/*/{clip.name}{suffix}.txt")
    header, *rows = path.read_text().splitlines()
    labeled = [header.split(",")[int(row)].lower() if row != "-1" else None for row in rows]
    acted = [NAMES[index] for index in role.expression]
    assert all(s in (None, a) for s, a in zip(labeled, acted, strict=False))
    assert sum(s is not None for s in labeled) > len(labeled) / 2


def test_affwild2_rows_have_valence_and_arousal_in_this_order_and_half_of_the_videos_a_row_more(folder):
    extra = []
    for number in range(PLAN.long):
        clip = long_clip(PLAN.cast, number, PLAN.frames)
        for role in clip.roles:
            suffix = f"_{role.side}" if role.side else ""
            (path,) = folder.glob(f"affwild2/VA_Set/*/{clip.name}{suffix}.txt")
            rows = np.loadtxt(path, delimiter=",", skiprows=1)
            expected = np.column_stack([role.valence, role.arousal])
            extra.append(len(rows) - len(expected))
            rows = rows[: len(expected)]
            labeled = (rows != -5).all(1)
            assert labeled.any()
            np.testing.assert_allclose(rows[labeled], expected[labeled], rtol=6e-3, atol=1e-6)
    assert {*extra} == {0, 1}


def test_dfew_folds_partition_clips_by_subject(folder):
    with open(folder / "truth" / "dfew" / "clips.csv", encoding="utf-8") as file:
        clips = {int(row["video"]): row for row in csv.DictReader(file)}
    tested = []
    for fold in range(1, 6):
        parts = {}
        for part in ("train", "test"):
            path = folder / "dfew" / "EmoLabel_DataSplit" / f"{part}(single-labeled)" / f"set_{fold}.csv"
            with open(path, encoding="utf-8") as file:
                parts[part] = {int(row["video_name"]): int(row["label"]) for row in csv.DictReader(file)}
            assert all(NAMES[label - 1] == clips[name]["label"] for name, label in parts[part].items())
        subjects = {part: {clips[name]["subject"] for name in rows} for part, rows in parts.items()}
        assert not subjects["train"] & subjects["test"]
        assert set(parts["train"]) | set(parts["test"]) == set(clips)
        tested += parts["test"]
    assert sorted(tested) == sorted(clips)


def test_the_truth_locates_the_actor(folder):
    video = next(path for path in (folder / "json").iterdir() if path.is_dir())
    with np.load(folder / "truth" / "affwild2" / f"{video.name}.npz") as truth:
        row = truth["row"] if "row" in truth else truth["left_row"]
        points = truth["keypoints"] if "row" in truth else truth["left_keypoints"]
        for number in np.flatnonzero(row >= 0):
            person = json.loads((video / f"{video.name}_{number:012d}_keypoints.json").read_bytes())["people"]
            body = np.array(person[row[number]]["pose_keypoints_2d"]).reshape(25, 3)
            both = (body[:, 2] > 0) & (points[number, :25, 2] > 0)
            distance = np.linalg.norm(body[:, :2] - points[number, :25, :2], axis=1)[both]
            assert np.median(distance) < 20


def test_everything_is_marked_as_simulated(folder):
    for place in (folder, folder / "json", folder / "dfew" / "json"):
        note = json.loads((place / "simulated.json").read_bytes())
        assert note["simulated"] is True
        assert (note["seed"], note["difficulty"], note["subjects"]) == (2, 0.5, 5)


def test_a_folder_with_content_is_refused(folder):
    with pytest.raises(InputError, match="not an empty folder"):
        write(folder, PLAN)


def test_an_unknown_form_and_too_short_clips_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'dfew'"):
        Plan("dfwe")
    with pytest.raises(ConfigError, match="30 frames"):
        Plan(frames=5)


def test_the_command_writes_and_reports(tmp_path):
    out = tmp_path / "new" / "actors"
    done = CliRunner().invoke(command, [str(out), "--subjects", "5", "--clips", "1", "--frames", "40"])
    assert done.exit_code == 0, done.output
    assert "5 simulated clips" in done.output
    assert len(list((out / "json").glob("*/*_keypoints.json"))) > 100
