"""Notebooks as pages: text and code, and with ``SKELEMO_RUN_NOTEBOOKS=1`` what the cells print and show.

Cells run in this process, one after another in a folder of their own, without a Jupyter kernel; a line
``!skelemo …`` is the command. A cell that fails fails the build, as does a command that does.
"""

import ast
import contextlib
import html
import io
import json
import os
import re
import shlex
import tempfile
from pathlib import Path
from typing import Any

_ASSETS = re.compile(r"^<style>.*?</style>\s*<script>.*?</script>(?=<div class='skelemo-inline')", re.DOTALL)
_PRINTED = '<pre style="overflow-x:auto">{}</pre>'
_PLACE = "<!-- notebook output {} -->"
_outputs: dict[str, list[str]] = {}


def on_files(files: Any, config: Any) -> Any:
    """Add a page for each notebook; the file itself stays beside it, to be downloaded."""
    from mkdocs.structure.files import File

    for file in [one for one in files if one.src_uri.endswith(".ipynb")]:
        path, name = Path(file.abs_src_path), Path(file.src_uri).with_suffix(".md").as_posix()
        _outputs[name] = run(path) if os.environ.get("SKELEMO_RUN_NOTEBOOKS") == "1" else []
        files.append(File.generated(config, name, content=page(path)))
    return files


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Put the outputs in their places, after the search has read the page."""
    return filled(output, _outputs[page.file.src_uri]) if page.file.src_uri in _outputs else output


def page(path: Path) -> str:
    """A notebook as Markdown, with a place below each cell of code for what it shows."""
    pieces = []
    for number, (kind, source) in enumerate(cells(path)):
        if kind == "markdown":
            pieces.append(source)
        else:
            command = all(line.startswith("!") for line in source.split("\n"))
            form, text = ("bash", re.sub("^!", "", source, flags=re.MULTILINE)) if command else ("python", source)
            pieces.append(f"```{form}\n{text}\n```\n\n{_PLACE.format(number)}")
    title, rest = "\n\n".join(pieces).split("\n", 1)
    return f"{title}\n\n*[Download this notebook]({path.name}).*\n{rest}\n"


def filled(text: str, outputs: list[str]) -> str:
    """A page with outputs in their places; the player's script is there once."""
    known = ""
    for number, output in enumerate(outputs):
        if (assets := _ASSETS.match(output)) and assets[0] == known:
            output = output[assets.end() :]
        elif assets:
            known = assets[0]
        text = text.replace(_PLACE.format(number), output)
    return text


def cells(path: Path) -> list[tuple[str, str]]:
    """Kind and text of each cell."""
    content = json.loads(path.read_text("utf-8"))
    return [(cell["cell_type"], "".join(cell["source"])) for cell in content["cells"]]


def run(path: Path) -> list[str]:
    """Run a notebook in a new folder: the HTML of each cell's output, empty where there is none."""
    names: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory(prefix="skelemo-notebook-") as folder, contextlib.chdir(folder):
        outputs = []
        for number, (kind, source) in enumerate(cells(path)):
            try:
                outputs.append(_run(source, names, f"{path.name}, cell {number}") if kind == "code" else "")
            except Exception as error:
                raise RuntimeError(f"{path.name}, cell {number}: {type(error).__name__}: {error}") from error
    return outputs


def _run(source: str, names: dict[str, Any], name: str) -> str:
    """Run a cell: what it prints, and its last expression as a notebook shows it."""
    lines = [re.sub(r"^!(.*)$", lambda found: f"__command__({found[1]!r})", line) for line in source.split("\n")]
    tree, printed = ast.parse("\n".join(lines), name), io.StringIO()
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    names["__command__"] = _command
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, name, "exec"), names)
        value = eval(compile(ast.Expression(last.value), name, "eval"), names) if last else None
    text = _PRINTED.format(html.escape(printed.getvalue().rstrip())) if printed.getvalue() else ""
    if value is None:
        return text
    shown = value._repr_html_() if hasattr(value, "_repr_html_") else _PRINTED.format(html.escape(repr(value)))
    return f"{text}{shown}"


def _command(line: str) -> None:
    """A command of skelemo, in this process: it need not load everything again."""
    from click.testing import CliRunner

    from skelemo.cli import main

    words = shlex.split(line)
    if words[0] != "skelemo":
        raise ValueError(f"expected a command of skelemo's: {line}")
    done = CliRunner().invoke(main, words[1:])
    if done.exit_code:
        raise RuntimeError(f"{line}\n{done.output}")
    print(done.output.rstrip())
