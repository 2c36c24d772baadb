"""Of two commands that write the same file or folder at once, the second gets one line, and the first all of it."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from small_caches import a_cache, a_sequence

from skelemo.atomic import claimed, reserved
from skelemo.cache.store import open_cache
from skelemo.cli import main

COMMANDS = {
    "cache merge": ("cache", "merge", "one", "two", "--out"),
    "cache subset": ("cache", "subset", "one", "--only", "id=one", "--out"),
    "cache import": ("cache", "import", "clips.json", "--from", "openpifpaf", "--out"),
    "cache export": ("cache", "export", "one", "--to", "csv", "--out"),
    "cache images": ("cache", "images", "one", "--view", "frame", "--out"),
}
#: Of these the folder grows as it is written; it is held from within.
GROWING = {"synth": ("synth", "--subjects", "5", "--clips", "1", "--frames", "30")}


@pytest.fixture
def caches(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        a_cache(tmp_path / name, a_sequence(name, 20))
    points = [value for _ in range(17) for value in (50.0, 60.0, 0.9)]
    frame = {"frame": 1, "predictions": [{"keypoints": points, "bbox": [0, 0, 100, 100], "score": 0.9}]}
    (tmp_path / "clips.json").write_text(
        "".join(json.dumps(frame | {"frame": number}) + "\n" for number in range(1, 9))
    )
    return tmp_path


def invoke(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.parametrize("name", [*COMMANDS, *GROWING])
def test_output_of_another_process_is_a_one_line_error_and_unchanged(caches, name):
    out = caches / ("out.csv" if name == "cache export" else "out")
    hold, words = (reserved, COMMANDS[name]) if name in COMMANDS else (claimed, GROWING[name])
    with hold(out):
        before = sorted(caches.rglob("*"))
        result = invoke(*words, out)
        assert result.exit_code == 2, result.output
        assert (
            result.output.strip() == f"Error: {out} is being written by another process: choose another --out, or wait"
        )
        assert sorted(caches.rglob("*")) == before
    result = invoke(*words, out)
    assert result.exit_code == 0, result.output
    assert out.exists()
    assert not list(caches.rglob(".lock*"))


def test_only_one_process_writes_a_report(caches, run_folder):
    run = run_folder(caches / "run", heads=["va"], subjects=3, videos=2, frames=5, epochs=3)
    with claimed(caches / "report"):
        result = invoke("report", run, "--out", caches / "report")
    assert result.exit_code == 2
    assert "is being written by another process: choose another --out, or wait" in result.output
    assert not (caches / "report").exists()


def test_only_one_of_several_processes_creates_the_cache(caches):
    command = [sys.executable, "-m", "skelemo", "cache", "merge", "one", "two", "--out", "out"]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    ends = [(process.communicate()[1], process.returncode) for process in processes]
    assert sorted(code for _, code in ends) == [0, 2, 2]
    assert all(len(text.strip().splitlines()) == 1 for text, code in ends if code)
    assert len(open_cache(caches / "out").sequences) == 2
    assert sorted(path.name for path in caches.iterdir()) == ["clips.json", "one", "out", "two"]
