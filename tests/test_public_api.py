"""`import skelemo` is light, complete and found by tab; other packages register theirs by entry points alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import skelemo
from skelemo.errors import ConfigError
from skelemo.plugins import Registry

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
        self.layer = nn.Linear(len(spec.layout) * spec.channels, width)
        self.heads = Heads(width, spec.heads)

    def forward(self, keypoints, mask):
        return self.heads(torch.relu(self.layer(keypoints.flatten(2))).mean(1))
"""
ENTRY_POINTS = "[skelemo.models]\ntheirs = their_package:net\n"


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
    facts = tmp_path / "site" / "their_package-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(ENTRY_POINTS)
    return tmp_path / "site"


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
    assert "is another program's: import their_package first, if you trust it" in error


def test_an_entry_point_that_cannot_be_imported_is_named(installed):
    (installed / "their_package.py").write_text("import nowhere")
    code, _, error = python("import skelemo; skelemo.create_model('theirs')", installed)
    assert code == 1
    assert "their_package:net of the group skelemo.models cannot be imported: No module named 'nowhere'" in error


def test_ingest_and_train_take_paths_as_text(tmp_path):
    for emotion in ("happy", "sad"):
        for clip in range(6):
            folder = tmp_path / "clips" / emotion / f"{emotion}_{NAMES[clip]}"
            folder.mkdir(parents=True)
            for frame in range(3):
                keypoints = [float(10 + 7 * clip + frame + index % (9 + clip)) for index in range(75)]
                person = {"pose_keypoints_2d": [n + 200 * (emotion == "sad") for n in keypoints]}
                text = json.dumps({"version": 1.3, "people": [person]})
                (folder / f"{emotion}_{NAMES[clip]}_{frame:012d}_keypoints.json").write_text(text)
    skelemo.ingest(str(tmp_path / "clips"), str(tmp_path / "cache"), "folders", layout="body_25")
    assert len(skelemo.open_cache(str(tmp_path / "cache")).sequences) == 12
    with pytest.raises(ConfigError, match="unknown setting of ingest 'layuot': did you mean 'layout'"):
        skelemo.ingest(str(tmp_path), str(tmp_path / "c"), layuot="body_25")
    data = str(tmp_path / "cache")
    scores = skelemo.train(str(tmp_path / "run"), arch="ann", data=data, epochs=1, device="cpu", split="holdout:0.4")
    assert set(scores["test"]) == {"expression"}


def test_a_registry_takes_no_two_functions_under_one_name():
    things = Registry("thing", "skelemo.no_such_group")
    things.register("one")(len)
    with pytest.raises(ConfigError, match="thing 'one' is registered twice"):
        things.register("one")(max)
    with pytest.raises(ConfigError, match="thing 'json:__name__' cannot be of the type str"):
        things.find("json:__name__")
    with pytest.raises(ConfigError, match="unknown thing 'onee': did you mean 'one'"):
        things.find("onee")
