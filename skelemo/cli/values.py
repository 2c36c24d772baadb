"""Parameter types and options shared by commands; invalid values are rejected before any work is done."""

import math
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from skelemo.errors import unknown

_SIZE = re.compile(r"([0-9]+)x([0-9]+)", re.ASCII | re.IGNORECASE)
#: Maximum width in pixels.
_WIDEST = 1_000_000


class NonEmpty(click.ParamType):
    """A nonempty text or path (an unset shell variable gives an empty one)."""

    def __init__(self, name: str, kind: type[str] | type[Path]) -> None:
        self.name, self.kind = name, kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | Path:
        """Reject an empty value."""
        if value == "":
            self.fail("empty value", param, ctx)
        return self.kind(value)


class Known(click.ParamType):
    """A name that is looked up only when given or listed, so ``skelemo --help`` imports no registries.

    Parameters
    ----------
    name : noun in messages and placeholder in help texts.
    names : the known names.
    paths : whether ``package.module:function`` is also accepted.
    """

    def __init__(self, name: str, names: Callable[[], Iterable[str]], *, paths: bool = False) -> None:
        self.name, self.names, self.paths = name, names, paths

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Reject an unknown name."""
        known = list(self.names())
        if value not in known and not (self.paths and ":" in value):
            self.fail(str(unknown(self.name, value, known)), param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Names with this prefix."""
        return [CompletionItem(name) for name in self.names() if name.startswith(incomplete)]


def body_models() -> list[str]:
    """Names for ``--body-model``."""
    from skelemo.skeleton import BODY_25, part_models

    return ["auto", *part_models(BODY_25)]


class Size(click.ParamType):
    """Width and height in pixels, as ``1280x720``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Parse two numbers."""
        if isinstance(value, tuple):
            return value
        found = _SIZE.fullmatch(value)
        sides = [number.lstrip("0") for number in found.groups()] if found else []
        if not sides or not all(0 < len(side) < 8 and int(side) <= _WIDEST for side in sides):
            self.fail(f"{value!r}: expected WIDTHxHEIGHT, each 1 to {_WIDEST:,} pixels, as in 1280x720", param, ctx)
        return int(sides[0]), int(sides[1])


class Rate(click.ParamType):
    """Frames per second; 0 for unknown."""

    name = "float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse a number."""
        rate = click.FLOAT.convert(value, param, ctx)
        if not 0 <= rate < math.inf:
            self.fail(f"{value}: expected frames per second, or 0 for unknown", param, ctx)
        return float(rate)


class Width(click.ParamType):
    """An odd number of frames to average over, 0 for none, or ``auto``."""

    name = "auto|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Parse a number or ``auto``."""
        return "auto" if value == "auto" else int(click.INT.convert(value, param, ctx))


PATH, TEXT = NonEmpty("path", Path), NonEmpty("text", str)
SIZE, RATE, WIDTH = Size(), Rate(), Width()
#: Seeds of random generators, with the same range as in training.
SEED = click.IntRange(0, 2**31 - 1)


Options = Callable[[Callable[..., Any]], Callable[..., Any]]


def together(*options: Options) -> Options:
    """Several options as one decorator, in this order."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


label_options = together(
    click.option("--classes", type=TEXT, metavar="A,B,…",
                 help="All allowed classes; any other word is an error."),
    click.option("--map", type=TEXT, multiple=True, metavar="WORD=CLASS",
                 help="Meaning of a label word, such as froh=happiness; nothing after = means no label."),
    click.option("--unit", type=click.Choice(["auto", "frames", "seconds", "milliseconds"]), default="auto",
                 show_default=True, help="Unit of starts and ends in a table."),
    click.option("--va-scale", type=TEXT, metavar="LOW:HIGH",
                 help="Scale of valence and arousal, such as 1:9; mapped to -1 to 1.  [default: -1:1]"),
)  # fmt: skip
people_options = together(
    click.option("--person", type=click.Choice(["auto", "largest", "left", "right", "all"]), default="auto",
                 show_default=True, help="Person who gets the labels, unless the labels specify one."),
    click.option("--identity", type=click.Choice(["auto", "file", "tracking"]), default="auto", show_default=True,
                 help="Identify people by the files' identities or by tracking."),
)  # fmt: skip
size_and_rate = together(
    click.option("--size", type=SIZE, default=(0, 0), metavar="WxH",
                 help="Image size in pixels, if not given by the names."),
    click.option("--fps", type=RATE, default=0.0, help="Frames per second, if not given by the names."),
)  # fmt: skip
scale_option = click.option("--scale", type=click.Choice(["auto", "pixels", "unit", "signed"]), default="auto",
                            show_default=True, help="Coordinate units.")  # fmt: skip
min_seen_option = click.option("--min-seen", type=click.FloatRange(0, 1), default=0.0, show_default=True,
                               help="Minimum share of visible points in a window.")  # fmt: skip
allow_option = click.option("--allow", multiple=True, metavar="PACKAGE.MODULE:FUNCTION",
                            help="Import this architecture; only allow code that you trust.")  # fmt: skip
device_option = click.option("--device", type=TEXT, default="auto", show_default=True,
                             help="auto, cpu, cuda, cuda:1, mps.")  # fmt: skip
raw_option = click.option("--raw", is_flag=True,
                          help="In CSV, do not quote names that a spreadsheet would run as formulas.")  # fmt: skip
port_option = click.option("--port", type=click.IntRange(0, 65535), default=0,
                           help="Port of the page on 127.0.0.1.  [default: any free port]")  # fmt: skip


def jobs_option(what: str) -> Options:
    """Number of processes or threads."""
    return click.option("--jobs", type=click.IntRange(1), default=lambda: os.cpu_count() or 1,
                        show_default="one per core", help=what)  # fmt: skip


def only_option(*, required: bool = False) -> Options:
    """The filter of sequences."""
    return click.option("--only", multiple=True, required=required, metavar="KEY=GLOB",
                        help="Select sequences by video, id, subject, person, label or split column. Several values of "
                        "one key are alternatives; different keys must all match.")  # fmt: skip


def set_option(whose: str) -> Options:
    """Settings of trainings."""
    return click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help=f"Set a setting{whose}.")
