"""Values and options that verbs share; a value that nobody can mean is refused before anything is done."""

import difflib
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

_SIZE = re.compile(r"([0-9]+)x([0-9]+)", re.ASCII | re.IGNORECASE)
#: Pixels; no picture is wider.
_WIDEST = 1_000_000


class Said(click.ParamType):
    """A text, or a path, that is not empty, as where a variable of the shell is not set."""

    def __init__(self, name: str, kind: type[str] | type[Path]) -> None:
        self.name, self.kind = name, kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | Path:
        """As it is given."""
        if value == "":
            self.fail("it is empty", param, ctx)
        return self.kind(value)


class Known(click.ParamType):
    """A name that is looked up when it is given or listed: registries are not imported for ``skelemo --help``.

    Parameters
    ----------
    name : what stands for the value in help texts.
    names : the known names.
    paths : whether ``package.module:function`` is a name too.
    """

    def __init__(self, name: str, names: Callable[[], Iterable[str]], *, paths: bool = False) -> None:
        self.name, self.names, self.paths = name, names, paths

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it is given."""
        known = list(self.names())
        if value not in known and not (self.paths and ":" in value):
            near = difflib.get_close_matches(value, known, 1)
            guess = f"did you mean {near[0]!r}? " if near else ""
            self.fail(f"{value!r} is not known; {guess}known are {', '.join(known)}", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names that begin so."""
        return [CompletionItem(name) for name in self.names() if name.startswith(incomplete)]


def different(ctx: click.Context, param: click.Parameter, value: tuple[Path, ...]) -> tuple[Path, ...]:
    """The folders of an argument or option, none of them given twice."""
    places = [path.resolve() for path in value]
    for index, path in enumerate(value):
        if places[index] in places[:index]:
            raise click.BadParameter(f"{path} is given twice", ctx, param)
    return value


def body_models() -> list[str]:
    """Names for ``--body-model``."""
    from skelemo.skeleton import BODY_25, part_models

    return ["auto", *part_models(BODY_25)]


class Size(click.ParamType):
    """Width and height in pixels, as ``1280x720``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """As two numbers."""
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
        """As a number."""
        rate = click.FLOAT.convert(value, param, ctx)
        if not 0 <= rate < math.inf:
            self.fail(f"{value}: expected frames per second, or 0 for unknown", param, ctx)
        return float(rate)


class Width(click.ParamType):
    """An odd number of frames to average over, 0 for none, or ``auto``."""

    name = "auto|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """As a number, or ``auto``."""
        return "auto" if value == "auto" else int(click.INT.convert(value, param, ctx))


PATH, TEXT = Said("path", Path), Said("text", str)
SIZE, RATE, WIDTH = Size(), Rate(), Width()
#: Numbers that random generators begin with; those that training takes, too.
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
                 help="All classes of the labels; any other word is an error."),
    click.option("--map", type=TEXT, multiple=True, metavar="WORD=CLASS",
                 help="What a word in the labels means, as in froh=happiness; nothing after = for no label."),
    click.option("--unit", type=click.Choice(["auto", "frames", "seconds", "milliseconds"]), default="auto",
                 show_default=True, help="What the starts and ends in a table are."),
    click.option("--va-scale", type=TEXT, metavar="LOW:HIGH",
                 help="Scale of valence and arousal, as in 1:9; it becomes -1 to 1.  [default: -1:1]"),
)  # fmt: skip
people_options = together(
    click.option("--person", type=click.Choice(["auto", "largest", "left", "right", "all"]), default="auto",
                 show_default=True, help="Who carries the labels, where these do not say."),
    click.option("--identity", type=click.Choice(["auto", "file", "tracking"]), default="auto", show_default=True,
                 help="What tells people apart: the files' identities, or tracking."),
)  # fmt: skip
size_and_rate = together(
    click.option("--size", type=SIZE, default=(0, 0), metavar="WxH",
                 help="Size of the pictures in pixels, where names do not tell."),
    click.option("--fps", type=RATE, default=0.0, help="Frames per second, where names do not tell."),
)  # fmt: skip
scale_option = click.option("--scale", type=click.Choice(["auto", "pixels", "unit", "signed"]), default="auto",
                            show_default=True, help="Units of the coordinates.")  # fmt: skip
min_seen_option = click.option("--min-seen", type=click.FloatRange(0, 1), default=0.0, show_default=True,
                               help="Share of a window's points that must be visible.")  # fmt: skip
allow_option = click.option("--allow", multiple=True, metavar="PACKAGE.MODULE:FUNCTION",
                            help="An architecture to be imported.")  # fmt: skip
device_option = click.option("--device", type=TEXT, default="auto", show_default=True,
                             help="auto, cpu, cuda, cuda:1, mps.")  # fmt: skip
raw_option = click.option("--raw", is_flag=True,
                          help="In CSV, leave names as they are that a spreadsheet would run as formulas.")  # fmt: skip
port_option = click.option("--port", type=click.IntRange(0, 65535), default=0,
                           help="Port of the page, on 127.0.0.1.  [default: any that is free]")  # fmt: skip


def only_option(*, required: bool = False) -> Options:
    """The filter of sequences."""
    return click.option("--only", multiple=True, required=required, metavar="KEY=GLOB",
                        help="Just these sequences, by video, id, subject, person, label or a column of the splits. "
                        "Values of one key are alternatives; different keys must all match.")  # fmt: skip


def set_option(whose: str) -> Options:
    """Settings of trainings."""
    return click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help=f"One setting; {whose}.")
