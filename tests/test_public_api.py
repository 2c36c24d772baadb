"""`import skelemo` is light, complete and found by tab; other packages register theirs by entry points alone."""

import copy
import inspect
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import skelemo
from skelemo.annotations import read_annotations
from skelemo.cli import main
from skelemo.errors import ConfigError
from skelemo.plugins import Registry
from skelemo.preprocess import Preparation, prepare

NAMES = ("ann", "bob", "cleo", "dan", "eve", "fay")
#: A package as somebody else would write it.
PACKAGE = """
import torch
from torch import nn
from skelemo.models.heads import Heads


def net(spec, *, width: int = 4):
    return Net(spec, width)


class Net(nn.Module):
    def __init__(self, spec, width):
        super().__init__()
        self.layer = nn.Linear(len(spec.layout) * 3, width)
        self.heads = Heads(width, spec.heads)

    def forward(self, keypoints, mask):
        return self.heads(torch.relu(self.layer(keypoints.flatten(2))).mean(1))
"""
#: What else a package may bring: labels, a loss, a metric and a cache format.
MORE = """
import numpy as np
from skelemo.annotations import Annotation, Annotations
from skelemo.api import register
from skelemo.evaluation.metrics import Metric
from skelemo.formats.writing import Exported, choose, read_chosen
from skelemo.targets import Head


@register.labels("initials", labels="nothing: the first letter of a clip is its class")
def read(path, source, recordings):
    head = Head("initial", "classes", ("h", "s"))
    items = [
        Annotation(name, {"initial": np.array(["hs".index(name[0])], np.int16)}, "initials") for name, *_ in recordings
    ]
    return Annotations((head,), tuple(items))


@register.loss("margin", "classes")
def margin(outputs, labels, known, context):
    return (1 - outputs.gather(1, labels[:, None])).relu().mean()


@register.metric("errors", Metric("classes", "confusion", "errors"))
def errors(matrix):
    return np.asarray(matrix).sum((-2, -1)) - np.trace(matrix, axis1=-2, axis2=-1)


@register.export_format("names")
def write(cache, out, only=(), report=lambda *_: None):
    done = Exported()
    out.write_text(" ".join(one.id for one in read_chosen(cache, choose(cache, only), done, report)))
    return done
"""
ENTRY_POINTS = """
[skelemo.models]
theirs = their_package:net
[skelemo.annotations]
initials = their_more:read
[skelemo.losses]
margin = their_more:margin
[skelemo.metrics]
errors = their_more:errors
[skelemo.formats]
names = their_more:write
"""


def python(code, *paths, cwd=None):
    places = os.pathsep.join([*map(str, paths), str(Path(skelemo.__file__).parent.parent)])
    result = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": places}, cwd=cwd, capture_output=True, text=True
    )
    return result.returncode, result.stdout.strip(), result.stderr.strip()


@pytest.fixture
def installed(tmp_path):
    """A folder into which a package with entry points is installed, by hand as pip would."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "their_package.py").write_text(PACKAGE)
    (tmp_path / "site" / "their_more.py").write_text(MORE)
    facts = tmp_path / "site" / "their_package-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(ENTRY_POINTS)
    return tmp_path / "site"


def test_the_callable_package_shows_the_functions_signature_and_documentation() -> None:
    assert list(inspect.signature(skelemo.ingest).parameters)[:3] == ["source", "out", "labels"]
    assert "Read OpenPose's JSON" in (inspect.getdoc(skelemo.ingest) or "")


def test_importing_skelemo_imports_nothing_heavy():
    code = "import sys, skelemo; print([m for m in ('torch', 'pandas', 'numpy', 'h5py', 'click') if m in sys.modules])"
    assert python(code) == (0, "[]", "")
    assert python(code.replace("print", "skelemo.Head, skelemo.Layout; print"))[1].find("torch") == -1


def test_every_public_name_is_documented_and_found_by_tab():
    assert set(skelemo.__all__) <= set(dir(skelemo))
    for name in skelemo.__all__:
        assert getattr(skelemo, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = skelemo.trian


def test_an_architecture_of_another_package_is_found_by_its_entry_point(installed):
    code = "import skelemo; print(sum(p.numel() for p in skelemo.create_model('theirs', heads=['va']).parameters()))"
    code_of, out, error = python(code, installed)
    assert (code_of, out) == (0, str(95 * 3 * 4 + 4 + 4 * 2 + 2)), error


def test_a_function_by_its_path_is_imported_for_a_user_and_never_for_a_file(installed):
    path = "their_package:net"
    asked = f"from skelemo.models.registry import ARCHITECTURES as a; print(a.find('{path}').name)"
    assert python(asked, installed)[:2] == (0, path)
    code, _, error = python(asked.replace(".find('", "['").replace("')", "']"), installed)
    assert code == 1
    assert "is not part of skelemo: import their_package first, if you trust it" in error


def test_an_entry_point_that_cannot_be_imported_is_named(installed):
    (installed / "their_package.py").write_text("import nowhere")
    code, _, error = python("import skelemo; skelemo.create_model('theirs')", installed)
    assert code == 1
    assert "their_package:net of skelemo.models cannot be imported: No module named 'nowhere'" in error


def write_clips(tmp_path):
    """Six clips of three frames for each of two classes."""
    for emotion in ("happy", "sad"):
        for clip in range(6):
            folder = tmp_path / "clips" / emotion / f"{emotion}_{NAMES[clip]}"
            folder.mkdir(parents=True)
            for frame in range(3):
                keypoints = [float(10 + 7 * clip + frame + index % (9 + clip)) for index in range(75)]
                person = {"pose_keypoints_2d": [n + 200 * (emotion == "sad") for n in keypoints]}
                text = json.dumps({"version": 1.3, "people": [person]})
                (folder / f"{emotion}_{NAMES[clip]}_{frame:012d}_keypoints.json").write_text(text)


def test_ingest_and_train_take_paths_as_text(tmp_path):
    write_clips(tmp_path)
    skelemo.ingest(str(tmp_path / "clips"), str(tmp_path / "cache"), "folders", layout="body_25")
    assert len(skelemo.open_cache(str(tmp_path / "cache")).sequences) == 12
    with pytest.raises(ConfigError, match="unknown setting of ingest 'layuot': did you mean 'layout'"):
        skelemo.ingest(str(tmp_path), str(tmp_path / "c"), layuot="body_25")
    data = str(tmp_path / "cache")
    scores = skelemo.train(str(tmp_path / "run"), arch="ann", data=data, epochs=1, device="cpu", split="holdout:0.4")
    assert set(scores["test"]) == {"expression"}


def test_a_registry_rejects_two_functions_with_one_name():
    things = Registry("thing", "skelemo.no_such_group")
    things.register("one")(len)
    with pytest.raises(ConfigError, match="thing 'one' is registered twice"):
        things.register("one")(max)
    with pytest.raises(ConfigError, match="thing 'json:__name__' has the wrong type: str"):
        things.find("json:__name__")
    with pytest.raises(ConfigError, match="unknown thing 'onee': did you mean 'one'"):
        things.find("onee")


def test_a_package_brings_everything_by_entry_points_and_the_commands_use_it(installed, tmp_path):
    write_clips(tmp_path)
    train = "train --data cache --arch theirs --set loss.initial=margin --set epochs=2 --set device=cpu"
    for words in (
        "ingest clips --labels initials --layout body_25 --out cache",
        train + " --set split=holdout:0.4 --out run",
        "cache export cache --to names --out names.txt",
        "predict run clips --out predictions.csv",
    ):
        code = f"from skelemo.cli import main; main({words.split()!r})"
        answer, _, error = python(code, installed, cwd=tmp_path)
        assert answer == 0, f"{words}: {error}"
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert "errors" in json.dumps(scores)
    assert len((tmp_path / "names.txt").read_text().split()) == 12
    assert (tmp_path / "predictions.csv").read_text().startswith("video,person,frame,time,initial,p_h,p_s,seen")


@pytest.mark.parametrize("arch", ["ann", "stgcnpp", "resnet18"])
def test_a_network_refuses_raw_keypoints_and_takes_prepared_ones(arch):
    import torch

    network = skelemo.create_model(arch, frames=4, **({"image_size": 32} if arch == "resnet18" else {})).eval()
    raw = torch.rand(2, 4, 95, 3) * torch.tensor([640.0, 480, 1])
    mask = torch.ones(2, 4, dtype=torch.bool)
    with pytest.raises(ConfigError, match=r"prepared keypoints.*skelemo\.preprocess\.prepare"):
        network(raw, mask)
    network = skelemo.create_model(arch, frames=4, **({"image_size": 32} if arch == "resnet18" else {})).eval()
    settings = Preparation(coordinates="frame" if arch == "resnet18" else "parts")
    prepared, mask = prepare(raw, skelemo.layout("body_25+face_70"), settings)
    size = {"frame_size": None} if arch == "resnet18" else {}
    assert network(keypoints=prepared, mask=mask, **size)["expression"].shape == (2, 7)


def test_a_new_network_can_be_copied_pickled_and_exported():
    import torch

    network, raw = skelemo.create_model("ann", frames=4).eval(), torch.rand(2, 4, 95, 3) * 500
    mask = torch.ones(2, 4, dtype=torch.bool)
    torch.export.export(network, (raw / 500, mask))
    for made in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)), network):
        with pytest.raises(ConfigError, match="prepared keypoints"):
            made(raw, mask)
        assert not made._forward_pre_hooks  # checked once


def recipe(title, tmp_path, name):
    """The module that CONTRIBUTING shows below a title, as a file of another package."""
    text = (Path(skelemo.__file__).parents[1] / "CONTRIBUTING.md").read_text()
    code = text.split(f"## {title}\n")[1].split("```python\n")[1].split("```")[0]
    (tmp_path / f"{name}.py").write_text(code)


def test_the_architecture_of_contributing_ignores_missing_points(tmp_path):
    recipe("An architecture", tmp_path, "their_net")
    code = """
import torch
from skelemo.models.registry import ARCHITECTURES, create
ARCHITECTURES.find("their_net:mine")
net = create("their_net:mine", frames=4, heads=("expression", "va"), width=8).eval()
keypoints, mask = torch.rand(2, 4, 95, 3) + 0.1, torch.tensor([[1, 1, 1, 0]] * 2, dtype=torch.bool)
keypoints[:, :, 3] = 0
other = keypoints.clone()
other[:, :, 3, :2], other[:, 3] = 9, 9
one, two = net(keypoints, mask), net(other, mask)
print({head: (list(one[head].shape), torch.equal(one[head], two[head])) for head in one})
"""
    code_of, out, error = python(code, tmp_path)
    assert (code_of, out) == (0, "{'expression': ([2, 7], True), 'va': ([2, 2], True)}"), error


def test_the_recipe_for_a_label_format_in_contributing_reads_lines_of_json(tmp_path):
    recipe("A label format", tmp_path, "their_labels")
    rows = [("a", 2, 3.5, "sad"), ("a", 0, 2, "happy"), ("b", 0, 1, "happy")]
    lines = [json.dumps(dict(zip(("video", "start", "end", "emotion"), row, strict=True))) for row in rows]
    (tmp_path / "good.jsonl").write_text("\n".join(lines))
    (tmp_path / "bad.jsonl").write_text(lines[0] + "\n{}")
    code = """
from skelemo.annotations import read_annotations
found = read_annotations("their_labels:read:FILE", ".")
print([(one.video, one.number.tolist(), one.end.tolist(), one.labels["expression"].tolist()) for one in found.items])
"""
    code_of, out, error = python(code.replace("FILE", "good.jsonl"), tmp_path, cwd=tmp_path)
    expected = [("a", [0, 2_000_000], [1_999_999, 3_499_999], [0, 1]), ("b", [0], [999_999], [0])]
    assert (code_of, out) == (0, str(expected)), error
    code_of, _, error = python(code.replace("FILE", "bad.jsonl"), tmp_path, cwd=tmp_path)
    assert "bad.jsonl, line 2: KeyError('start'); expected video, start, end and emotion" in error


def test_labels_without_a_format_and_a_misplaced_cache_get_a_hint(tmp_path):
    (tmp_path / "labels.csv").write_text("video,label\n")
    with pytest.raises(ConfigError, match="name the format before the path, as in table:"):
        read_annotations(str(tmp_path / "labels.csv"), tmp_path)
    trained, audited = (CliRunner().invoke(main, words) for words in (["train", "cache/x"], ["audit", "--data", "x"]))
    assert "train takes caches by --data, as in --data cache/x" in trained.output
    assert "pass the cache as an argument" in audited.output
    assert trained.exit_code == audited.exit_code == 2
