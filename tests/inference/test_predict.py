import json
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from small_caches import BODY_AND_FACE, HEADS, a_cache, a_sequence

import skelemo
from skelemo.cache.shard import Header
from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.errors import ConfigError, InputError, SkelemoError
from skelemo.models import list_models, registry
from skelemo.models.registry import entry
from skelemo.runs.folder import read_run
from skelemo.training.config import load_config
from skelemo.training.fit import train

BOTH = "body_25+face_70"
LARGE = {"resnet18", "resnet34", "resnet50", "densenet121", "densenet201", "vit_s16", "vit_b16"}
SMALL = {"image_size": 32, "width": 16, "widths": (8, 8), "blocks": 1, "layers": 1, "attention_heads": 2, "trees": 5}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """20 sequences of 8 frames; the wrist shows class and values."""
    sequences = []
    for index in range(20):
        one = a_sequence(f"clip{index:02}", 8, points=95, seed=index, width=640, height=480, fps=25.0)
        one.labels["expression"][:] = index % 3
        one.keypoints[:, 4, 0] += 60 * (index % 3)
        one.keypoints[:, 4, 2] = one.keypoints[:, 8, 2] = 1
        sequences.append(one)
    return a_cache(tmp_path_factory.mktemp("data") / "cache", *sequences, header=Header(BOTH, HEADS))


def trained(cache, out, arch="ann", **settings):
    known = entry(arch).settings if ":" not in arch else {}
    model = {name: value for name, value in SMALL.items() if name in known}
    given = {
        "data": str(cache),
        "arch": arch,
        "head": "both",
        "model": model,
        "epochs": 1,
        "batch_size": 16,
        "parts": "all",
    }
    train(
        load_config(
            overrides=given | {"length": 3, "device": "cpu", "split": "holdout:0.3", "parts": "all"} | settings
        ),
        out,
    )
    return out


@pytest.fixture(scope="module")
def run(cache, tmp_path_factory):
    return trained(cache, tmp_path_factory.mktemp("runs") / "ann", epochs=3)


def test_allow_imports_the_architecture_of_a_run(cache, tmp_path, monkeypatch):
    recipe = (Path(skelemo.__file__).parents[1] / "CONTRIBUTING.md").read_text().split("## An architecture")[1]
    code = recipe.split("```python\n")[1].split("```")[0].replace('"mine"', '"allowed_net"')
    (tmp_path / "allowed.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    name = "allowed:mine"
    registry.ARCHITECTURES.find(name)
    run = trained(cache, tmp_path / "run", name, importance="0")

    def forget():
        del sys.modules["allowed"]
        for known in (name, "allowed_net"):
            registry.ARCHITECTURES._entries.pop(known, None)

    forget()
    with pytest.raises(InputError, match=r"unknown architecture 'allowed:mine': .*, or pass --allow allowed:mine"):
        skelemo.load(run)
    assert skelemo.load(run, allow=[name]).heads == HEADS
    forget()


def assert_as_written(run, table):
    """The run's own predictions of its test windows are those of the table."""
    written = read_run(run).windows.query("subset == 'test'")
    joined = written.merge(table, on=["video", "frame"], suffixes=("", "_now"))
    assert len(joined) == len(written) > 0
    for name in ("glad", "sad", "calm"):
        np.testing.assert_allclose(joined[f"p_{name}"], joined[f"expression_p_{name}"], atol=1e-5)
    for name in ("valence", "arousal"):
        np.testing.assert_allclose(joined[name], joined[f"va_{name}_predicted"], atol=1e-5)
    assert (joined["expression_now"] == joined["expression_predicted"].astype(str)).all()


ARCHITECTURES = [
    pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name
    for name in (*list_models(), *list_models(fitted=True))
]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_loaded_run_predicts_what_training_wrote(cache, tmp_path, arch):
    length = 1 if arch == "lda" else 3  # its time grows with the cube of the features: a minute for 3 frames
    run = trained(cache, tmp_path / "run", arch, length=length)
    assert_as_written(run, skelemo.load(run).predict(cache))


@pytest.mark.parametrize("reference", ["clip", "window"])
def test_preparation_is_part_of_the_model(cache, tmp_path, reference):
    run = trained(cache, tmp_path / "run", reference=reference, max_gap=2, smooth=3, min_confidence=0.2)
    assert_as_written(run, skelemo.load(run).predict(cache))


def test_two_files_copied_elsewhere_are_enough(run, cache, tmp_path):
    for name in ("model.json", "model.safetensors"):
        shutil.copy(run / name, tmp_path)
    assert_as_written(run, skelemo.load(str(tmp_path)).predict(str(cache)))


def test_rows_say_who_when_and_what(run, cache):
    table = skelemo.load(run).predict(cache)
    assert list(table) == ["video", "person", "frame", "time", "expression", "p_glad", "p_sad", "p_calm",
                           "valence", "arousal", "seen"]  # fmt: skip
    assert len(table) == 160
    np.testing.assert_allclose(table["time"], table["frame"] / 25)
    np.testing.assert_allclose(table[["p_glad", "p_sad", "p_calm"]].sum(1), 1, atol=1e-5)
    assert table["seen"].all()
    assert len(skelemo.load(run).predict(cache, every=3)) == 60


def test_several_runs_predict_their_mean(run, cache, tmp_path):
    other = trained(cache, tmp_path / "svm", "svm")
    one, two, both = (skelemo.load(runs).predict(cache) for runs in (run, other, [run, other]))
    columns = ["p_glad", "p_sad", "p_calm", "valence", "arousal"]
    np.testing.assert_allclose(both[columns], (one[columns] + two[columns]) / 2, atol=1e-6)


def test_a_person_visible_to_one_of_several_runs_is_seen_whatever_their_order(run, cache, tmp_path):
    face = trained(cache, tmp_path / "face", arch="svm", parts="face_70", length=3, max_gap=0)
    points = walking()
    points[4, 25:, 2] = 0  # only the body
    for runs in ([run, face], [face, run]):
        assert skelemo.load(runs).predict(points)["seen"].all()


def test_a_run_of_folds_predicts_their_mean(cache, tmp_path):
    run = trained(cache, tmp_path / "run", split="kfold:2")
    folds = [skelemo.load(run / f"fold_{number}").predict(cache) for number in (1, 2)]
    columns = ["p_glad", "p_sad", "p_calm", "valence", "arousal"]
    expected = (folds[0][columns] + folds[1][columns]) / 2
    np.testing.assert_allclose(skelemo.load(run).predict(cache)[columns], expected, atol=1e-6)


def test_an_array_is_predicted_as_its_sequence_is(run, cache):
    frames = open_cache(cache)
    array = frames.allocate()
    frames.read_into(array, 0, 20)
    model = skelemo.load(run)
    expected = model.predict(cache).iloc[:8]
    found = model.predict(np.asarray(array.keypoints[:8], np.float64), fps=25, size=(640, 480))
    np.testing.assert_allclose(found[["p_glad", "valence"]], expected[["p_glad", "valence"]], atol=1e-6)
    hands = np.concatenate([array.keypoints[:8], np.ones((8, 42, 3), np.float32)], 1)
    found = model.predict(hands, size=(640, 480))
    np.testing.assert_allclose(found[["p_glad", "valence"]], expected[["p_glad", "valence"]], atol=1e-6)


def test_confidences_of_an_array_may_exceed_1_as_openpose_writes_them(run):
    points, model = walking(), skelemo.load(run)
    above = points.copy()
    above[2, 30, 2] = 1.05
    np.testing.assert_array_equal(model.predict(above)["valence"], model.predict(points)["valence"])


def openpose(points: np.ndarray, face: bool = True) -> dict:
    person = {"person_id": [-1], "pose_keypoints_2d": points[:25].ravel().tolist()}
    person |= {"face_keypoints_2d": points[25:].ravel().tolist() if face else []}
    return {"version": 1.3, "people": [person | {"hand_left_keypoints_2d": [], "hand_right_keypoints_2d": []}]}


def walking(frames: int = 6) -> np.ndarray:
    base = np.random.default_rng(0).uniform(100, 300, (95, 2))
    points = np.ones((frames, 95, 3), np.float32)
    points[..., :2] = base + np.arange(frames)[:, None, None]
    return points.round(3)


def test_dictionaries_and_folders_are_read_as_ingest_reads_them(run, tmp_path):
    points, model = walking(), skelemo.load(run)
    expected = model.predict(points)
    columns = ["p_glad", "p_sad", "p_calm", "valence", "arousal"]
    found = model.predict([openpose(frame) for frame in points])
    np.testing.assert_allclose(found[columns], expected[columns], atol=1e-5)
    for number, frame in enumerate(points):
        (tmp_path / f"take_{number:012d}_keypoints.json").write_text(json.dumps(openpose(frame)))
    found = model.predict(tmp_path)
    np.testing.assert_allclose(found[columns], expected[columns], atol=1e-5)
    assert found["frame"].tolist() == list(range(6))


def test_a_part_that_the_source_never_shows_is_missing_and_not_an_error(run):
    points, model = walking(), skelemo.load(run)
    hidden = points.copy()
    hidden[:, 25:] = 0
    found = model.predict([openpose(frame, face=False) for frame in points])
    np.testing.assert_allclose(found["valence"], model.predict(hidden)["valence"], atol=1e-5)


def test_windows_that_show_too_little_have_no_prediction(run):
    points, model = walking(40), skelemo.load(run)
    points[2:36] = 0  # far longer than the gaps that are interpolated
    table = model.predict(points)
    assert table["seen"].tolist() == [True] * 2 + [False] * 34 + [True] * 4
    assert table["valence"].isna().tolist() == [False] * 4 + [True] * 32 + [False] * 4  # windows of three frames
    assert table["expression"].tolist()[4] == ""
    strict = model.predict(points, min_seen=1)
    assert strict["valence"].isna().tolist() == [True] * 38 + [False] * 2


def test_smoothing_is_a_centered_mean_within_each_person(run, cache):
    model = skelemo.load(run)
    plain, smooth = model.predict(cache), model.predict(cache, smooth=3)
    for name, rows in plain.groupby("video"):
        values = rows["valence"].to_numpy()
        expected = [values[max(i - 1, 0) : i + 2].mean() for i in range(8)]
        np.testing.assert_allclose(smooth.loc[smooth["video"] == name, "valence"], expected, atol=1e-6)


@pytest.mark.parametrize("options", [{"every": 0}, {"min_seen": 2}, {"smooth": 2}, {"smooth": -1}])
def test_options_out_of_range_are_refused(run, options):
    with pytest.raises(ConfigError, match="expected"):
        skelemo.load(run).predict(walking(), **options)


def copied(run, tmp_path):
    for name in ("model.json", "model.safetensors"):
        shutil.copy(run / name, tmp_path)
    return tmp_path


def test_weights_that_were_changed_are_refused(run, tmp_path):
    weights = copied(run, tmp_path) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    with pytest.raises(InputError, match=r"its SHA-256 differs from model\.json"):
        skelemo.load(tmp_path)
    weights.unlink()
    with pytest.raises(InputError, match=r"no model\.safetensors"):
        skelemo.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"format": 2}, "format: Input should be 1, found 2"),
        ({"arch": "os:system"}, "unknown architecture 'os:system'"),
        ({"arch": "stgcn"}, "cannot be loaded"),
        ({"layout": "body_26"}, "cannot be loaded"),
        ({"settings": {"widht": 3}}, "cannot be loaded"),
        ({"heads": [{"name": "x"}]}, "is not a head"),
        ({"window": {"length": "8"}}, r"window\.length: Input should be a valid integer, found '8'"),
        ({"preparation": {"smooth": -1}}, "cannot be loaded"),
        ({"weights_sha256": "0"}, r"its SHA-256 differs from model\.json"),
    ],
)
def test_a_model_file_that_does_not_fit_is_refused_in_one_line(run, tmp_path, changes, expected):
    file = copied(run, tmp_path) / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(SkelemoError, match=expected) as error:
        skelemo.load(tmp_path)
    assert "\n" not in str(error.value)


def test_runs_that_cannot_be_averaged_are_refused(run, cache, tmp_path):
    clips = trained(cache, tmp_path / "clips", sampling="clip")
    with pytest.raises(ConfigError, match="cannot be averaged"):
        skelemo.load([run, clips])
    assert len(skelemo.load(clips).predict(cache)) == 20
    with pytest.raises(ConfigError, match="no run given"):
        skelemo.load([])


def test_sources_that_do_not_fit_are_refused(run, cache, tmp_path):
    model = skelemo.load(run)
    body = a_cache(tmp_path / "body", a_sequence("one"))
    with pytest.raises(InputError, match="has body_25, and the model also needs face_70"):
        model.predict(body)
    with pytest.raises(InputError, match=r"has 25 points .*the model takes body_25\+face_70"):
        model.predict(walking()[:, :25])
    with pytest.raises(InputError, match=r"expected numbers \[T, 95, 3\]"):
        model.predict(np.zeros((4, 95, 2)))
    with pytest.raises(InputError, match="nobody is visible"):
        model.predict(np.zeros((4, 95, 3)))
    with pytest.raises(InputError, match="no coordinate exceeds 1; expected pixels"):
        model.predict(walking() / 1000)
    with pytest.raises(InputError, match="expected a list of OpenPose's dictionaries"):
        model.predict(torch.from_numpy(walking()))
    with pytest.raises(InputError, match="nobody is visible"):
        model.predict([{"version": 1.3, "people": []}] * 3)
    with pytest.raises(InputError, match="each with 'people'"):
        model.predict([{"persons": []}])
    with pytest.raises(InputError, match="no run folder"):
        skelemo.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no model\.json"):
        skelemo.load(tmp_path / "body")


def test_a_source_without_the_models_parts_is_refused(run, tmp_path):
    face = trained(a_cache(tmp_path / "faces", *[a_sequence(f"f{i}", points=70, seed=i) for i in range(8)],
                           header=Header("face_70", HEADS)), tmp_path / "run")  # fmt: skip
    with pytest.raises(InputError, match="no frame shows face_70: nothing to predict from"):
        skelemo.load(face).predict([openpose(frame, face=False) for frame in walking()])


def test_what_cannot_be_read_is_named_and_a_recording_of_no_use_is_exit_code_1(run, tmp_path):
    for number, frame in enumerate(walking()):
        (tmp_path / f"take_{number:012d}_keypoints.json").write_text(json.dumps(openpose(frame)))
    (tmp_path / "take_000000000003_keypoints.json").write_text('{"people": [')
    result = invoke("predict", run, tmp_path, "--out", tmp_path / "x.csv")
    assert result.exit_code == 0
    assert "note: take_000000000003_keypoints.json" in result.output
    assert len(pd.read_csv(tmp_path / "x.csv")) == 6
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "one_000000000000_keypoints.json").write_text('{"people": [')
    result = invoke("predict", run, tmp_path, "--out", tmp_path / "y.csv")
    assert result.exit_code == 1
    assert "not used: " in result.output
    assert len(pd.read_csv(tmp_path / "y.csv")) == 6


def invoke(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_the_command_writes_the_table_that_its_suffix_names(run, cache, tmp_path, suffix):
    out = tmp_path / f"answers{suffix}"
    result = invoke("predict", run, cache, "--out", out, "--every", 2)
    assert result.exit_code == 0, result.output
    assert "80 rows, 20 people" in result.output
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".jsonl": lambda path: pd.read_json(path, lines=True)}
    found, expected = read[suffix](out), skelemo.load(run).predict(cache, every=2)
    assert list(found) == list(expected)
    assert found["expression"].tolist() == expected["expression"].tolist()
    np.testing.assert_allclose(found["valence"].astype(float), expected["valence"], atol=1e-5)


def test_names_of_people_and_videos_are_no_formulas_and_no_control_characters(run, tmp_path):
    one = a_sequence("=1+1", 20, points=95, person="\x1b[1m", fps=25)
    cache = a_cache(tmp_path / "c", one, header=BODY_AND_FACE)
    for options, video in (([], "'=1+1"), (["--raw"], "=1+1")):
        assert invoke("predict", run, cache, "--out", tmp_path / "x.csv", *options).exit_code == 0
        assert set(pd.read_csv(tmp_path / "x.csv")["video"]) == {video}
    assert invoke("predict", run, cache, "--out", tmp_path / "x.eaf").exit_code == 0
    tiers = {tier.get("PARTICIPANT") for tier in ElementTree.parse(tmp_path / "x.eaf").getroot().iter("TIER")}
    assert tiers == {"\\x1b[1m"}


def test_elan_gets_tiers_of_each_person(run, tmp_path):
    points = walking(50)
    for number, frame in enumerate(points):
        (tmp_path / f"take_{number:012d}_keypoints.json").write_text(json.dumps(openpose(frame)))
    out = tmp_path / "out" / "take.eaf"
    assert invoke("predict", run, tmp_path, "--out", out, "--fps", 25).exit_code == 0
    root = ElementTree.parse(out).getroot()
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")}
    assert list(slots.values()) == sorted(slots.values())
    tiers = {tier.get("TIER_ID"): tier for tier in root.iter("TIER")}
    assert set(tiers) == {"person0 expression", "person0 valence", "person0 arousal"}
    classes = [
        (slots[one.get("TIME_SLOT_REF1")], slots[one.get("TIME_SLOT_REF2")], one.findtext("ANNOTATION_VALUE"))
        for one in tiers["person0 expression"].iter("ALIGNABLE_ANNOTATION")
    ]
    assert classes[0][0] == 0
    assert classes[-1][1] == 2000
    assert all(end == start for (_, end, _), (start, _, _) in pairwise(classes))
    expected = skelemo.load(run).predict(points, fps=25)
    at = expected["expression"].to_numpy()
    for start, end, value in classes:
        assert (at[start // 40 : end // 40] == value).all()
    means = list(tiers["person0 valence"].iter("ANNOTATION_VALUE"))
    assert [float(one.text) for one in means] == pytest.approx(
        [expected["valence"][:25].mean(), expected["valence"][25:].mean()], abs=1e-3
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--out", "x.txt"], "expected a file that ends in"),
        (["--out", "x.eaf"], "pass --fps"),
        (["--out", "x.csv", "--smooth", "4"], "Error: smooth = 4: expected auto, 0 or an odd number of frames"),
        (["--out", "x.csv", "--device", "abacus"], "is not available"),
    ],
)
def test_the_command_refuses_in_one_line_with_exit_code_2(run, tmp_path, monkeypatch, words, expected):
    monkeypatch.chdir(tmp_path)
    data = a_cache(tmp_path / "c", a_sequence("one", points=95), header=Header(BOTH, HEADS))
    result = invoke("predict", run, data, *words)
    assert result.exit_code == 2
    assert expected in result.output
    assert not list(tmp_path.glob("x.*"))


def test_a_models_repr_has_its_layout_and_heads(run):
    assert repr(skelemo.load(run)) == "<ann: ann on body_25+face_70, predicts expression, va>"
