"""Each command in the README, BENCHMARKS, pages, help texts and configs has options and settings that exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from skelemo.cli import main
from skelemo.models import list_models
from skelemo.models.registry import entry
from skelemo.study.grid import read_study
from skelemo.training.config import Config, load_config, parse_assignments

ROOT = Path(__file__).parents[1]
PROSE = sorted([*ROOT.glob("*.md"), *(ROOT / "docs" / "pages").glob("*.md")])
COMMENTED = sorted([*(ROOT / "configs").rglob("*.yaml"), *(ROOT / "skelemo" / "cli").rglob("*.py")])
#: Prints the command lines of a block as the shell passes them on. PATH is empty, so nothing is executed.
SHELL = """
skelemo() { printf '%q ' skelemo "$@"; echo; }
python() { [ "$1" != tools/bench.py ] || { shift; printf '%q ' bench "$@"; echo; }; }
chrt() { shift 2; "$@"; }
command_not_found_handle() { :; }
"""
#: Settings in a sentence: `--set length=1`, `head=both length=1`.
SETTINGS = re.compile(r"`(?:--set )?([a-z_.]+=[^\s\"`]+(?: (?:--set )?[a-z_.]+=[^\s\"`]+)*)`")


def in_blocks(text: str) -> str:
    """The lines of all shell blocks; of a console, what was typed."""
    blocks = re.findall(r"^```(bash|console)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    return "\n".join(
        block if form == "bash" else "\n".join(re.findall(r"^\$ (.*)$", block, flags=re.MULTILINE))
        for form, block in blocks
    )


def between_blocks(text: str) -> str:
    """Everything else, with sentences on one line."""
    return re.sub(r"(?<!\n)\n *(?![\n|])", " ", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def as_passed(lines: str, folder: Path) -> list[list[str]]:
    """The words of every command line, loops and variables expanded."""
    done = subprocess.run(
        ["/bin/bash", "-c", SHELL + lines], env={"PATH": ""}, cwd=folder, capture_output=True, text=True, check=True
    )
    return [shlex.split(line) for line in done.stdout.splitlines()]


def bench() -> click.Command:
    """The command of ``tools/bench.py``."""
    from bench import main as command  # type: ignore[import-not-found]  # in tools/

    return command  # type: ignore[no-any-return]


def parsed(command: click.Command, words: list[str], *, whole: bool) -> dict[str, Any]:
    """The options of a command line; one in a sentence may omit values or have placeholders."""
    parent = None
    while isinstance(command, click.Group) and words[1:] and not words[1].startswith("-"):
        parent = click.Context(command, parent)
        words = words[1:]
        found = command.get_command(parent, words[0])
        assert found, f"no command {words[0]}"
        command = found
    try:
        return command.make_context(words[0], words[1:], parent).params
    except (click.BadParameter, click.BadOptionUsage):
        assert not whole
    except click.exceptions.Exit:  # --help, --settings
        pass
    return {}


def check_settings(verb: str, options: dict[str, Any]) -> None:
    """Load the settings of a training or study as its command does."""
    given = parse_assignments(options.get("assignments", ()))
    if verb == "study" and (ROOT / options["file"]).is_file():
        read_study(ROOT / options["file"], given)
    if verb in ("train", "pretrain"):
        named = {name: options[name] for name in ("arch", "init") if (options.get(name) or "A").islower()}
        file = ROOT / options["config"] if options["config"] else None
        config = load_config(file if file and file.is_file() else None, named | given)
        assert set(config.model) <= set(entry(config.arch).settings)


def check(words: list[str], *, whole: bool) -> None:
    options = parsed(bench() if words[0] == "bench" else main, words, whole=whole)
    if options and words[0] == "skelemo":
        check_settings(words[1], options)


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.stem)
def test_commands_and_settings_in_prose_exist(page, tmp_path):
    text = page.read_text(encoding="utf-8")
    for words in as_passed(in_blocks(text), tmp_path):
        check(words, whole=True)
    rest = between_blocks(text)
    spans = [span.replace("…", "") for span in re.findall(r"`((?:skelemo|python tools/bench.py) [^`|]+)`", rest)]
    for words in as_passed("\n".join(spans), tmp_path):
        check(words, whole=False)
    known = {*Config.model_fields} | {
        name for arch in [*list_models(), *list_models(fitted=True)] for name in entry(arch).settings
    }
    for settings in SETTINGS.findall(rest):
        for word in settings.replace("--set ", "").split():
            names = word.partition("=")[0].removeprefix("model.").split(".")
            assert names[0] in known, word


def test_commands_in_comments_and_help_texts_exist(tmp_path):
    checked = 0
    for file in COMMENTED:
        text = re.sub(r"\\\n#? *", "", file.read_text(encoding="utf-8"))  # a line that goes on
        lines = re.findall(r"^#? +(skelemo .*)$", text, flags=re.MULTILINE)
        for words in as_passed("\n".join(lines), tmp_path):
            check(words, whole=True)
            checked += 1
    assert checked > 50
