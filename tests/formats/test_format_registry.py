"""Formats that other packages bring are exported to and imported from like ours."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_caches import a_cache, a_sequence

from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.errors import ConfigError
from skelemo.formats.registry import EXPORTS, IMPORTS

PLUGIN = """
import json
import numpy as np
from skelemo.formats.keypoint_files import Clip
from skelemo.formats.registry import IMPORTS, Files
from skelemo.formats.writing import Exported, choose, read_chosen

def write(cache, out, only=(), report=lambda *_: None):
    done = Exported()
    with out.open("x") as file:
        for one in read_chosen(cache, choose(cache, only), done, report):
            file.write(f"{one.id} {len(one)}\\n")
    return done

@IMPORTS.register("dots", Files((".dots",)))
def read(file, layout, size):
    x = np.array(json.loads(file.read_text()), float)
    points = np.zeros((len(x), len(layout), 3))
    points[:, 0] = np.stack([x, x, np.ones(len(x))], 1)
    return [Clip("", np.arange(len(x)), np.arange(len(x)), points, None, "pixels")]
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A package of somebody else's, installed in a folder."""
    (tmp_path / "their_formats.py").write_text(PLUGIN)
    info = tmp_path / "their_formats-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-formats\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[skelemo.formats]\nlines = their_formats:write\nbroken = nothing_there:write\n"
        "[skelemo.imports]\ndots = their_formats:read\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    EXPORTS._entries.pop("lines", None)
    for name in ("dots", "reading_dots:read"):
        IMPORTS._entries.pop(name, None)
    sys.modules.pop("their_formats", None)


def test_another_packages_formats_are_offered_and_used(tmp_path, plugin):
    assert {"csv", "lines"} <= set(EXPORTS)
    assert {"mediapipe", "dots"} <= set(IMPORTS)
    a_cache(tmp_path / "c", a_sequence())
    words = ["cache", "export", str(tmp_path / "c"), "--to", "lines", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    (one,) = open_cache(tmp_path / "c").sequences.to_dict("records")
    assert (tmp_path / "out").read_text() == f"{one['id']} {one['length']}\n"
    (tmp_path / "walk.dots").write_text(json.dumps([3, 4, 5]))
    words = ["cache", "import", str(tmp_path / "walk.dots"), "--from", "dots", "--out", str(tmp_path / "d")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert open_cache(tmp_path / "d").read().keypoints[:, 0, 0].tolist() == [3, 4, 5]


def test_an_unknown_format_is_refused_and_the_known_ones_are_listed(tmp_path):
    for registry, wrong in ((EXPORTS, "parquett"), (IMPORTS, "mediapip")):
        with pytest.raises(ConfigError, match="did you mean") as error:
            registry.find(wrong)
        assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="mediapipe"):
        IMPORTS.find("csv")
    done = CliRunner().invoke(main, ["cache", "export", str(tmp_path), "--to", "cvs", "--out", "x"])
    assert done.exit_code == 2
    assert "csv" in done.output


def test_a_function_named_by_its_path_reads_files_of_any_ending(tmp_path, plugin):
    (tmp_path / "walk.txt").write_text(json.dumps([3, 4, 5]))
    (tmp_path / "reading_dots.py").write_text(PLUGIN.replace('@IMPORTS.register("dots", Files((".dots",)))', ""))
    words = ["cache", "import", str(tmp_path / "walk.txt"), "--from", "reading_dots:read", "--out", str(tmp_path / "d")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    found = open_cache(tmp_path / "d")
    assert found.sequences["video"].tolist() == ["walk.txt"]
    assert found.read().keypoints[:, 0, 0].tolist() == [3, 4, 5]


def test_every_imports_endings_are_lower_case():
    for name in IMPORTS:
        endings = IMPORTS.find(name).facts.endings
        assert endings
        assert all(ending == ending.lower() and Path("x" + ending).suffix for ending in endings)
