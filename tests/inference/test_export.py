"""A run as one file: the same predictions from raw keypoints, without torch, and nothing but what it says it is."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from small_caches import HEADS, a_cache, a_sequence

import skelemo
from skelemo.cache.shard import Header
from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.data.corpus import load_corpus
from skelemo.data.window_frames import Window, target_rows, window_frames
from skelemo.data.windows import Gatherer
from skelemo.errors import ConfigError, InputError
from skelemo.inference import onnx
from skelemo.inference.export import checks
from skelemo.inference.live.history import View
from skelemo.inference.live.stream import live_model
from skelemo.models import list_models
from skelemo.models.registry import create, entry
from skelemo.preprocess import Preparation
from skelemo.runs.model_file import ModelFile, write_model
from skelemo.skeleton import layout
from skelemo.training.config import load_config
from skelemo.training.fit import train

SMALL = {"image_size": 32, "width": 16, "widths": (8, 8), "blocks": 1, "layers": 1, "attention_heads": 2, "trees": 5}
SMALL |= {"streams": ("joint", "organ", "frontal", "angle")}
#: The others take ten seconds each, most of it in torch's exporter.
QUICK = {"svm"}


def a_person(name, frames=12, *, seed=0, points=70, step=1, **facts):
    """Somebody whose points come and go, and who is missing for a while."""
    one = a_sequence(name, frames, points=points, seed=seed, **facts)
    number = np.arange(frames) * step + (np.arange(frames) > 6) * 3
    one.keypoints[4] = 0
    return a_sequence(name, points=points, keypoints=one.keypoints, labels=one.labels, number=number.astype(np.int32),
                      **facts)  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Faces, with gaps, frames left out, and images of which two are of unknown size."""
    people = [
        a_person(f"clip{i}", 10 + i, seed=i, width=640 * (i > 1), height=480 * (i > 1), fps=25.0) for i in range(14)
    ]
    return a_cache(tmp_path_factory.mktemp("data") / "cache", *people, header=Header("face_70", HEADS))


def a_model(folder, arch="ann", *, length=3, target="last", sampling="stride", dilation=1, **preparation):
    """The two files of a model that nobody trained."""
    found = entry(arch)
    settings = {name: value for name, value in SMALL.items() if name in found.settings}
    torch.manual_seed(0)
    network = create(arch, layout_name="face_70", heads=HEADS, frames=length, **settings)
    if found.facts.fitted:
        rng = np.random.default_rng(0)
        keypoints = torch.rand(40, length, 70, 3) * (torch.rand(40, length, 70, 1) > 0.2)
        labels = {"expression": np.arange(40) % 3, "va": rng.uniform(-1, 1, (40, 2))}
        network.fit(
            [(keypoints, torch.ones(40, length, dtype=torch.bool))], labels, np.arange(40), mirror=False, seed=0
        )
    prepared = Preparation(coordinates=found.facts.coordinates, **preparation).to_json()
    window = {"length": length, "dilation": dilation, "target": target, "sampling": sampling}
    write_model(folder, ModelFile(arch, settings, "face_70", HEADS, prepared, window), network.state_dict())
    return folder


def assert_alike(found, expected):
    """Two tables of predictions."""
    assert list(found) == list(expected)
    assert len(found) == len(expected) > 0
    for name in expected:
        if expected[name].dtype.kind == "f":
            np.testing.assert_allclose(found[name], expected[name], atol=1e-4, err_msg=name)
        else:
            assert (found[name] == expected[name]).all(), name


@pytest.fixture(scope="module")
def exported(cache, tmp_path_factory):
    """A model of whole recordings with every step of preparing, and its file."""
    run = a_model(tmp_path_factory.mktemp("run"), target="center", dilation=2, max_gap=4, smooth=3, min_confidence=0.2)
    done = skelemo.export(run, cache=cache)
    assert done.difference <= 1e-4
    return run, done.path


@pytest.fixture(scope="module")
def of_windows(cache, tmp_path_factory):
    """A model with reference: window, and its file."""
    run = a_model(tmp_path_factory.mktemp("run"), "transformer", length=4, reference="window", max_gap=2)
    return run, skelemo.export(run, cache=cache, out=tmp_path_factory.mktemp("out") / "x.onnx").path


ARCHITECTURES = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
    for name in (*list_models(), *list_models(fitted=True))
]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_architecture_predicts_from_its_file_as_it_does(cache, tmp_path, arch):
    run = a_model(tmp_path, arch, reference="window")
    path = skelemo.export(run, cache=cache).path  # compared at batch 1 and 7 before it is written
    assert_alike(onnx.load(path).predict(cache), skelemo.load(run).predict(cache))


def test_whole_recordings_are_prepared_as_in_training(cache, exported):
    run, path = exported
    for options in ({}, {"every": 3, "min_seen": 0.5, "smooth": 3}):
        assert_alike(onnx.load(path).predict(cache, **options), skelemo.load(run).predict(cache, **options))


def test_windows_are_prepared_as_in_training(cache, of_windows):
    run, path = of_windows
    assert_alike(onnx.load(path).predict(cache), skelemo.load(run).predict(cache))


def test_arrays_and_shares_of_an_image_are_taken_as_pixels_are(exported, tmp_path):
    run, path = exported
    points = a_person("one", 9).keypoints
    shares = a_person("one", 9, scale="unit", width=500, height=400)
    shares.keypoints[..., :2] /= [499, 399]
    scaled = a_cache(tmp_path / "cache", shares, header=Header("face_70", HEADS))
    expected = skelemo.load(run).predict(points)
    assert_alike(onnx.load(path).predict(points), expected)
    columns = ["p_glad", "valence"]
    found = onnx.load(path).predict(scaled)
    np.testing.assert_allclose(found[columns], skelemo.load(run).predict(scaled)[columns], atol=1e-4)


@pytest.mark.parametrize("window", [Window(4), Window(5, 3, "center"), Window(6, sampling="clip")])
def test_windows_without_torch_have_the_frames_of_those_with_it(tmp_path, window):
    people = [a_person("a", 12), a_person("b", 9, step=3), a_person("c", 1 + 7, step=2)]
    opened = open_cache(a_cache(tmp_path / "cache", *people, header=Header("face_70", HEADS)))
    corpus = load_corpus(opened, Preparation(reference="window"))
    rows = target_rows(opened.sequences, window, 2)
    found, there = window_frames(opened.sequences, opened.read().number, rows, window)
    gatherer = Gatherer(corpus, window)
    gather = gatherer._spread if window.sampling == "clip" else lambda rows, _: gatherer._around(rows)
    expected, present = gather(torch.from_numpy(rows), None)
    np.testing.assert_array_equal(there, present.numpy())
    np.testing.assert_array_equal(found[there], expected.numpy()[there])


WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "lightning", "torch_geometric"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from skelemo.cli import main
main(sys.argv[1:])
"""


def invoke(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_command_predicts_from_a_file_without_torch(cache, exported, tmp_path):
    run, path = exported
    words = ["predict", str(path), str(cache), "--jobs", "2", "--out"]
    code = [sys.executable, "-c", WITHOUT_TORCH]
    done = subprocess.run([*code, *words, str(tmp_path / "a.csv")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert invoke("predict", run, cache, "--out", tmp_path / "b.csv").exit_code == 0
    found, expected = (pd.read_csv(tmp_path / name) for name in ("a.csv", "b.csv"))
    np.testing.assert_allclose(found[["p_sad", "arousal"]], expected[["p_sad", "arousal"]], atol=1e-4)
    refused = subprocess.run([*code, "predict", str(run), *words[2:], "c.csv"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr == "Error: run folders need torch, which is not installed; name a file of skelemo export\n"


def test_live_accepts_an_exported_file(exported, of_windows):
    points = np.concatenate([np.zeros((30, 25, 3)), a_person("one", 30).keypoints], 1).astype(np.float32)
    here = np.ones(30, bool)
    for (run, path), long in ((exported, True), (of_windows, False)):
        models = [live_model(which) for which in (path, run)]
        shape = models[0].shapes[0]
        assert models[0].shapes == models[1].shapes
        assert [bool(model.notes) for model in models] == [long, long]
        if long:
            view = View(points, np.arange(30), here, np.array([25, 27, 29]), np.array([True, False, True]))
        else:
            view = View(points[: shape.length], np.arange(shape.length), np.array([False, True, True, True]))
        (found, *shares), (expected, *others) = (model([[view, view]], (640, 480))[0] for model in models)
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], atol=1e-4)
        np.testing.assert_allclose(shares, others, atol=1e-6)


def test_folds_are_averaged_in_the_file(cache, tmp_path):
    config = {"data": str(cache), "arch": "ann", "epochs": 1, "device": "cpu", "split": "kfold:2", "head": "both"}
    config |= {"reference": "window", "max_gap": 0}
    train(load_config(overrides=config), tmp_path / "run")
    result = invoke("export", tmp_path / "run", "--out", tmp_path / "x" / "model.onnx", "--cache", cache, "--quantize",
                    "int8")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "in 32 bits" in result.output
    assert "in 8 bits" in result.output
    small, run = onnx.load(tmp_path / "x" / "model.onnx"), skelemo.load(tmp_path / "run")
    assert small.facts["precision"] == "int8"
    assert len(small.facts["weights_sha256"]) == 2
    apart = np.abs(small.predict(cache)["p_glad"] - run.predict(cache)["p_glad"])
    assert 0 < apart.max() < 0.05  # the same model, rounded
    card = (tmp_path / "x" / "README.md").read_text()
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())["test"]["va"]["ccc_mean"]["value"]
    assert card.startswith("---\nlibrary_name: skelemo\n")
    assert f"| {scores:.3f} |" in card
    for told in ("2-fold", "14 sequences", "glad, sad, calm", "## Limits", "8 bits", "skelemo predict model.onnx"):
        assert told in card, told


def test_a_file_for_torch_predicts_as_the_run_and_says_what_it_is(cache, of_windows, tmp_path):
    run, _ = of_windows
    done = skelemo.export(run, to="torch", cache=cache, out=tmp_path / "model.pt2")
    assert done.difference <= 1e-4
    extra = {"skelemo.json": ""}
    given = torch.export.load(done.path, extra_files=extra).module()
    facts = json.loads(extra["skelemo.json"])
    assert [head["name"] for head in facts["heads"]] == ["expression", "va"]
    assert facts["window"]["length"] == 4
    points = torch.from_numpy(a_person("one", 8).keypoints[:4])[None]
    found = given(keypoints=points, mask=torch.ones(1, 4, dtype=torch.bool), number=torch.arange(4)[None])
    expected = skelemo.load(run).predict(points[0].numpy()).iloc[-1]
    assert float(found["va"][0, 0].detach()) == pytest.approx(expected["valence"], abs=1e-4)


def test_metadata_of_an_exported_file(exported):
    run, path = exported
    model, facts = onnx.load(path), onnx.load(path).facts
    assert model.heads == HEADS
    assert model.layout.name == "face_70"
    assert model.window == Window(3, 2, "center")
    assert facts["units"] == "pixels"
    assert facts["skelemo"] == skelemo.__version__
    assert facts["parts"] == ["face_70"]
    assert facts["weights_sha256"] == [json.loads((run / "model.json").read_text())["weights_sha256"]]
    card = (path.parent / "README.md").read_text()
    assert "Unknown: the model was exported without its run folder." in card
    assert "happiness" not in card


def forged(content, **changes):
    """The file with other facts, sealed anew as whoever means harm would."""
    before = content[: -onnx._SEAL]
    text = before[before.index(b"{", before.rindex(b"\x0a\x07skelemo\x12")) :]
    graph = before.removesuffix(onnx._entry(b"skelemo", text))
    made = graph + onnx._entry(b"skelemo", json.dumps(json.loads(text) | changes).encode())
    return made + onnx._entry(b"sha256", hashlib.sha256(made).hexdigest().encode())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda content: b"PK not a model", "is truncated or was not written by skelemo export"),
        (lambda content: b"", "is truncated or was not written by skelemo export"),
        (lambda content: content[:-100], "is truncated or was not written by skelemo export"),
        (lambda content: content[:5000] + b"\x00\x01" + content[5002:], "is damaged or was modified"),
        (lambda content: forged(content, format=2), "format: Input should be 1, found 2"),
        (lambda content: forged(content, least=0), "least: Input should be greater than or equal to 1"),
        (lambda content: forged(content, layout="body_26"), "does not describe a model of this version"),
        (lambda content: forged(content, layout="body_25"), "contradict its metadata"),
        (lambda content: forged(content, heads=[HEADS[1].to_json() | {"outputs": ["a"]}]), "contradict its metadata"),
        (lambda content: forged(content, window={"length": 10**9}), "window"),
    ],
)
def test_a_foreign_or_modified_file_is_a_one_line_error(exported, cache, tmp_path, change, told):
    path = tmp_path / "model.onnx"
    path.write_bytes(change(exported[1].read_bytes()))
    result = invoke("predict", path, cache, "--out", tmp_path / "x.csv")
    assert result.exit_code == 2
    assert told in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "x.csv").exists()
    with pytest.raises(InputError):
        onnx.load(path)


def test_what_cannot_be_exported_is_refused_and_leaves_nothing(exported, cache, tmp_path, monkeypatch):
    run, path = exported
    for options, told in (
        ({"to": "tflite"}, "unknown kind of export 'tflite'"),
        ({"out": tmp_path / "x.bin"}, "ends in .onnx"),
        ({"quantize": "int8"}, "needs the cache"),
        ({"quantize": "int8", "cache": cache}, "needs the whole run folder"),
    ):
        with pytest.raises(ConfigError, match=told):
            skelemo.export(run, **options)
    (tmp_path / "README.md").write_text("# Mine\n")
    with pytest.raises(ConfigError, match="the model card would replace it"):
        skelemo.export(run, out=tmp_path / "x.onnx")
    with pytest.raises(ConfigError, match="cannot be averaged"):
        onnx.open_model([path, run])
    monkeypatch.setattr(onnx.Exported, "outputs", lambda self, *_, **__: {"expression": np.ones((14, 3)), "va": 0})
    monkeypatch.setattr("skelemo.inference.export.exporting.to_onnx", lambda _: path.read_bytes())
    with pytest.raises(ConfigError, match="expression: predictions of the exported model differ from the run's"):
        skelemo.export(run, out=tmp_path / "new" / "x.onnx", cache=cache)
    assert not (tmp_path / "new").exists()


def test_a_network_with_data_dependent_control_flow_is_refused(tmp_path, monkeypatch):
    run = a_model(tmp_path, reference="window", length=1)
    model = skelemo.load(run)

    def looks_at_its_data(keypoints, mask):
        raise RuntimeError("looks at its data\nand more")

    monkeypatch.setattr(model.members[0].network, "forward", looks_at_its_data)
    from skelemo.inference.export.end_to_end import EndToEnd
    from skelemo.inference.export.exporting import program

    with pytest.raises(ConfigError, match="Ann cannot be exported: RuntimeError: looks at its data and more"):
        program(EndToEnd(model))


@pytest.mark.parametrize("parts", ["body_25+face_70", "body_25+hand_21x2"])
def test_simulated_people_are_frames_that_a_cache_takes(tmp_path, parts):
    cache = checks._simulated(tmp_path, layout(parts))
    confidence = cache.read().keypoints[..., 2]
    assert confidence.max() <= 1
    assert (confidence[:, 25:] > 0).mean() > 0.5
