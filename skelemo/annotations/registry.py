"""Label formats by name: a file of `skelemo.annotations` registers one reader, everybody else asks here."""

import importlib.util
import re
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from skelemo.annotations.class_names import Words, class_head
from skelemo.annotations.options import Options
from skelemo.errors import ConfigError, InputError, SkelemoError
from skelemo.plugins import Registry
from skelemo.targets import Head, hard_labels, unlabeled_like
from skelemo.text import count, folded

#: What data sets call the subsets of a split, and what they are called here.
SUBSETS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}

# (name, source) of every recording: the video's stem, and the recording's path below the folder that is ingested; and,
# where that is not to be looked up on the disk, whether this path is that of a folder, its files having no stem
Recordings = Sequence[tuple[str, str] | tuple[str, str, bool]]


@dataclass(frozen=True, eq=False)
class Annotation:
    """The labels of one video, or of one person in it: a row per labeled frame, or one row for the whole clip."""

    video: str  # name of the video without a person's suffix, or path of the recording below the ingested folder
    labels: Mapping[str, np.ndarray]  # by head, [R] or [R, K] as its kind has them (`skelemo.targets`)
    source: str  # the file or files that they come from, for messages
    number: np.ndarray | None = None  # int [R], strictly increasing frame numbers or times; None: one row for the clip
    end: np.ndarray | None = None  # int [R], last frame or microsecond of each row, included; None: each is for one
    unit: Literal["frames", "microseconds", "unknown"] = "frames"  # of number and end, until the recording is known
    person: str = ""  # "" for whomever --person chooses, "left", "right" or the number of a track
    subject: str = ""
    splits: Mapping[str, str] = field(default_factory=dict)  # column -> "train" | "validation" | "test"
    open_end: bool = False  # the last row may reach beyond the recording
    slack: int = 0  # frames by which rows that count every frame of a video may miss its true length

    def at(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Labels by head of the frames with these numbers ``[T]``, in any order.

        A clip's label is repeated for every frame. Frames without a row are unlabeled, but up to ``slack`` frames
        beyond the last row have the last row's labels.
        """
        rows = self._rows(np.asarray(numbers))
        found = rows >= 0
        labels = {}
        for name, given in self.labels.items():
            labels[name] = unlabeled_like(given, len(rows))
            labels[name][found] = given[rows[found]]
        return labels

    def _rows(self, numbers: np.ndarray) -> np.ndarray:
        """The row of each frame, -1 where there is none."""
        if self.number is None:
            return np.zeros(len(numbers), np.intp)
        if len(self.number) == 0:
            return np.full(len(numbers), -1)
        limit = np.array(self.number if self.end is None else self.end, np.int64)
        limit[-1] += self.slack
        rows = np.searchsorted(self.number, numbers, side="right") - 1
        return np.where((rows >= 0) & (numbers <= limit[rows]), rows, -1)

    @property
    def last(self) -> int | None:
        """The last frame with a row; None for a clip, or without rows."""
        ends = self.number if self.end is None else self.end
        return None if ends is None or not len(ends) else int(ends[-1])

    def mismatch(self, last: int) -> str:
        """What is wrong between these rows and a recording whose highest frame number is ``last``; "" when they fit."""
        row = self.last
        if row is None or self.open_end:
            return ""
        if self.slack and abs(row - last) > self.slack:
            return (
                f"{self.source}: {count(row + 1, 'label row')}, but the recording runs to frame {last} "
                f"({count(last + 1, 'frame')}); "
                f"they should differ by {self.slack} at most: is this the whole video?"
            )
        if not self.slack and row > last:
            return f"{self.source}: {self.video} has labels up to frame {row}, but its recording ends at frame {last}"
        return ""


@dataclass(frozen=True, eq=False)
class Annotations:
    """The content of a set of label files."""

    heads: tuple[Head, ...]
    items: tuple[Annotation, ...]
    notes: tuple[str, ...] = ()  # what the user should know, one line each
    read_as: tuple[tuple[str, str, int], ...] = ()  # words that became classes of another name, and how many rows


Reader = Callable[..., Annotations]


#: Label formats, each with one phrase for the user: what lies at the path.
FORMATS = Registry("label format", "skelemo.annotations", package="skelemo.annotations", default="labels")


def reader(name: str, *, labels: str = "labels") -> Callable[[Reader], Reader]:
    """Make ``read(path, source, recordings) -> Annotations`` known as the reader of a label format.

    Parameters
    ----------
    name : the word for ``--labels``.
    labels : one phrase for the user: what lies at ``path``.

    The reader gets the path of the labels, the folder that is ingested and its recordings; most need the first alone.
    Of the user's options (`skelemo.annotations.options.Options`) it gets those that it has keyword-only arguments for:
    ``words``, ``unit``, ``va_scale``.
    """
    return FORMATS.register(name, labels)


_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def split_spec(spec: str) -> tuple[str, str]:
    """Name and path of ``FORMAT[:PATH]``; the name may be ``package.module:function``."""
    name, _, rest = spec.partition(":")
    function, _, path = rest.partition(":")
    if name in FORMATS or not (_DOTTED.fullmatch(name) and _DOTTED.fullmatch(function)):
        return name, rest
    if "." in name or importlib.util.find_spec(name):
        return f"{name}:{function}", path
    return name, rest


def read_annotations(
    spec: str, source: Path, recordings: Recordings = (), options: Options | None = None
) -> Annotations:
    """Read the labels that ``--labels FORMAT[:PATH]`` names.

    Raises `ConfigError`: an unknown format; the message names the nearest known one; or an option that the format
    has no use for; `InputError`: the path does not exist, or a label file is damaged or contradicts itself.

    Parameters
    ----------
    spec : the format or ``package.module:function``, then after a colon the path of the labels; without one they are
        looked for in ``source``.
    source : folder that is ingested.
    recordings : name and source of each recording in it.
    options : how to read them.
    """
    options = options or Options()
    name, rest = split_spec(spec)
    if ":" not in spec and name not in FORMATS and Path(spec).expanduser().exists():
        raise ConfigError(f"labels {spec!r}: name the format before the path, as in table:{spec}")
    entry = FORMATS.find(name)
    path = Path(rest).expanduser() if rest else Path(source)
    if not path.exists():
        raise InputError(f"{path}: there is nothing here (labels for {name}; give them as {name}:PATH)")
    try:
        takes = entry.settings.keys() & {"words", "unit", "va_scale"}
    except ValueError:  # a function that tells nothing of its arguments, as some in C
        takes = set()
    for option, flag in options.given().items():
        if option not in takes | {"words"}:
            raise ConfigError(f"labels of the format {name} are always in the same units: they take no {flag}")
    try:
        found = entry.function(path, Path(source), recordings, **{option: getattr(options, option) for option in takes})
    except (SkelemoError, OSError):
        raise
    except Exception as error:
        if str(getattr(entry.function, "__module__", "")).startswith("skelemo."):
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigError(
            f"label format {name!r} failed at {place.filename}, line {place.lineno}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, Annotations):
        raise ConfigError(f"label format {name!r} returned {type(found).__name__}; expected skelemo's Annotations")
    if options.words and "words" not in takes:
        found = relabeled(found, options.words, path)
    words = options.words
    unused = [word for word in words.meanings if folded(word) not in words.used]
    notes = [f"--map {word}={words.meanings[word]}: no label is {word!r}" for word in unused]
    read_as = tuple((word, became, rows) for (word, became), rows in words.read_as.most_common())
    return replace(found, notes=(*found.notes, *notes), read_as=read_as)


def relabeled(found: Annotations, words: Words, where: object) -> Annotations:
    """Annotations whose classes are called, put together or left out as the user says.

    For readers that take no ``words`` themselves, such as those of numbered classes. Shares of a class that is left out
    go to the others in proportion.

    Raises `InputError`: as `class_head`.
    """
    heads: list[Head] = []
    columns: dict[str, np.ndarray] = {}
    for head in found.heads:
        if head.kind != "classes":
            heads.append(head)
            continue
        given = [hard_labels(item.labels[head.name]) for item in found.items if head.name in item.labels]
        numbers = Counter(np.concatenate(given).tolist()) if given else Counter[int]()
        rows = {name: numbers[at] for at, name in enumerate(head.outputs) if numbers[at] or not words.classes}
        if not rows:
            heads.append(head)
            continue
        classes = class_head(rows, where, head.name, words)
        heads.append(replace(head, outputs=classes.head.outputs))
        columns[head.name] = np.array([classes.numbers.get(name, -1) for name in head.outputs], np.int16)
    outputs = {head.name: len(head) for head in heads}
    items = []
    for item in found.items:
        changed = {
            name: _renumbered(item.labels[name], index, outputs[name])
            for name, index in columns.items()
            if name in item.labels
        }
        items.append(replace(item, labels={**item.labels, **changed}))
    return replace(found, heads=tuple(heads), items=tuple(items))


def _renumbered(labels: np.ndarray, index: np.ndarray, outputs: int) -> np.ndarray:
    """Class numbers or shares of other classes; ``index`` has the new class of each old one, -1 for none."""
    if labels.ndim == 1:
        return np.asarray(np.append(index, np.int16(-1))[labels])
    shares = np.zeros((len(labels), outputs), np.float32)
    for old, new in enumerate(index.tolist()):
        if new >= 0:
            shares[:, new] += labels[:, old]
    total: Any = shares.sum(1, keepdims=True)
    return np.where(total > 0, shares / np.where(total > 0, total, 1), np.nan).astype(np.float32)
