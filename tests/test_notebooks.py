"""The tutorials run as they stand, on simulated actors, and become pages."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOKS = sorted((DOCS / "pages" / "notebooks").glob("*.ipynb"))
_spec = importlib.util.spec_from_file_location("notebooks", DOCS / "notebooks.py")
assert _spec
assert _spec.loader
notebooks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(notebooks)

#: What a reader of each has to see.
SHOWN = {
    "researcher": {
        r"cache actors, simulated": 1,
        r'class="skelemo-player"': 3,
        r"<td[^>]*>macro f1</td><td[^>]*>0\.\d{3}": 2,
        r"report: report/report\.html": 1,
        r"expression: corrected": 1,
        r"expression: ann": 1,
    },
    "engineer": {
        r"model small": 1,
        r'class="skelemo-player"': 2,
        r"\d\d+ frames, largest difference [\d.]+e-0[678]": 1,
        r"\d\.\d MB\nlargest difference [\d.]+e-0[5-9]": 1,
    },
    "paper": {
        r"3 of 3 cells trained": 1,
        r"comparison_1_expression\.tex": 1,
        r"<td>resnet18_paper": 1,
        r"run ann-adam": 1,
    },
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_unchanged(path):
    outputs = notebooks.run(path)
    whole = "\n".join(outputs)
    for pattern, fewest in SHOWN[path.stem].items():
        assert len(re.findall(pattern, whole)) >= fewest, pattern
    page = notebooks.filled(notebooks.page(path), outputs)
    assert "notebook output" not in page
    assert page.count("class Player") == min(1, whole.count("class Player"))
    assert len(page) < 1_000_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_is_a_notebook_without_outputs(path):
    content = json.loads(path.read_text("utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in content["cells"]]
    assert len({*ids}) == len(ids)
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert content["cells"][0]["source"][0].startswith("# ")


def test_a_cell_that_fails_is_named(tmp_path):
    def notebook(*sources):
        cells = [{"cell_type": "code", "source": [source]} for source in sources]
        (tmp_path / "n.ipynb").write_text(json.dumps({"cells": cells}))
        return tmp_path / "n.ipynb"

    first, second, third = notebooks.run(notebook("a = 1\nprint('<b>')", "a + 1", "a = 2"))
    assert ">&lt;b&gt;</pre>" in first
    assert ">2</pre>" in second
    assert third == ""
    with pytest.raises(RuntimeError, match=r"n\.ipynb, cell 1: NameError: name 'b'"):
        notebooks.run(notebook("a = 1", "b"))
    with pytest.raises(RuntimeError, match=r"n\.ipynb, cell 0: RuntimeError: skelemo report nowhere"):
        notebooks.run(notebook("!skelemo report nowhere --out out"))
