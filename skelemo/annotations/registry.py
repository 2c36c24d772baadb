"""Label formats by name, and the form into which their readers convert labels."""

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

#: Names of subsets in data sets.
SUBSETS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}

#: Name and source of every recording: the video's stem, and the recording's path in the ingested folder; optionally
#: whether this path is a folder, whose files have no stem (otherwise it is looked up on the disk).
Recordings = Sequence[tuple[str, str] | tuple[str, str, bool]]


@dataclass(frozen=True, eq=False)
class Annotation:
    """The labels of one video, or of one person in it: a row per labeled frame, or one row for the whole clip."""

    video: str  # name of the video without a person's suffix, or path of the recording in the ingested folder
    labels: Mapping[str, np.ndarray]  # by head, [R] or [R, K] (`skelemo.targets`)
    source: str  # the label file or files, for messages
    number: np.ndarray | None = None  # int [R], strictly increasing frame numbers or times; None: one row for the clip
    end: np.ndarray | None = None  # int [R], last frame or microsecond of each row, inclusive; None: one frame each
    unit: Literal["frames", "microseconds", "unknown"] = "frames"  # of number and end, until matched with a recording
    person: str = ""  # "left", "right", the number of a track, or "" for the person selected by --person
    subject: str = ""
    splits: Mapping[str, str] = field(default_factory=dict)  # "train" | "validation" | "test" by column
    open_end: bool = False  # whether the last row may extend beyond the recording
    slack: int = 0  # frames by which the number of rows may differ from the length of the video

    def at(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Labels by head of the frames with these numbers ``[T]``, in any order.

        A clip's label is repeated for every frame. Frames without a row are unlabeled, except for up to ``slack``
        frames after the last row, which have its labels.
        """
        rows = self._rows(np.asarray(numbers))
        labeled = rows >= 0
        labels = {}
        for name, given in self.labels.items():
            labels[name] = unlabeled_like(given, len(rows))
            labels[name][labeled] = given[rows[labeled]]
        return labels

    def _rows(self, numbers: np.ndarray) -> np.ndarray:
        """The row of each frame, -1 without one."""
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
        """A message if the rows do not fit a recording with the highest frame number ``last``, otherwise empty."""
        row = self.last
        if row is None or self.open_end:
            return ""
        if self.slack and abs(row - last) > self.slack:
            return (
                f"{self.source}: {count(row + 1, 'label row')}, but the recording ends at frame {last} "
                f"({count(last + 1, 'frame')}); "
                f"expected a difference of at most {self.slack}: is this the whole video?"
            )
        if not self.slack and row > last:
            return f"{self.source}: {self.video} has labels up to frame {row}, but its recording ends at frame {last}"
        return ""


@dataclass(frozen=True, eq=False)
class Annotations:
    """The content of a set of label files."""

    heads: tuple[Head, ...]
    items: tuple[Annotation, ...]
    notes: tuple[str, ...] = ()  # for the user, one line each
    read_as: tuple[tuple[str, str, int], ...] = ()  # words that became classes of another name, with number of rows


Reader = Callable[..., Annotations]


#: Label formats, each with a phrase that describes the content of the path.
FORMATS = Registry("label format", "skelemo.annotations", package="skelemo.annotations", default="labels")


def reader(name: str, *, labels: str = "labels") -> Callable[[Reader], Reader]:
    """Register ``read(path, source, recordings) -> Annotations`` as the reader of a label format.

    Parameters
    ----------
    name : for ``--labels``.
    labels : a phrase that describes the content of ``path``.

    The reader receives the path of the labels, the ingested folder and its recordings; most need only the path. It
    receives those of the user's options (`skelemo.annotations.options.Options`) that are its keyword-only arguments:
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
    """Read the labels given by ``--labels FORMAT[:PATH]``.

    Raises `ConfigError`: the format is unknown, or does not support an option; `InputError`: the path does not exist,
    or a label file is damaged or contradicts itself.

    Parameters
    ----------
    spec : the format or ``package.module:function``, and optionally a colon and the path of the labels; the default
        path is ``source``.
    source : the ingested folder.
    recordings : name and source of each recording in it.
    """
    options = options or Options()
    name, rest = split_spec(spec)
    if ":" not in spec and name not in FORMATS and Path(spec).expanduser().exists():
        raise ConfigError(f"labels {spec!r}: name the format before the path, as in table:{spec}")
    entry = FORMATS.find(name)
    path = Path(rest).expanduser() if rest else Path(source)
    if not path.exists():
        raise InputError(f"{path}: not found; give the labels as {name}:PATH")
    supported = entry.settings.keys() & {"words", "unit", "va_scale"}
    for option, flag in options.given().items():
        if option not in supported | {"words"}:
            raise ConfigError(f"labels of the format {name} have fixed units: {flag} is not supported")
    try:
        arguments = {option: getattr(options, option) for option in supported}
        found = entry.function(path, Path(source), recordings, **arguments)
    except (SkelemoError, OSError):
        raise
    except Exception as error:
        if str(getattr(entry.function, "__module__", "")).startswith("skelemo."):
            raise
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigError(
            f"label format {name!r} failed at {frame.filename}, line {frame.lineno}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, Annotations):
        raise ConfigError(f"label format {name!r} returned {type(found).__name__}; expected skelemo's Annotations")
    words = options.words
    if words.given and "words" not in supported:
        found = relabeled(found, words, path)
    unused = [word for word in words.meanings if folded(word) not in words.used]
    notes = [f"--map {word}={words.meanings[word]}: no label is {word!r}" for word in unused]
    read_as = tuple((word, class_, rows) for (word, class_), rows in words.read_as.most_common())
    return replace(found, notes=(*found.notes, *notes), read_as=read_as)


def relabeled(found: Annotations, words: Words, where: object) -> Annotations:
    """Rename, combine or drop the classes of annotations, for readers that do not support ``words``.

    Shares of a dropped class are distributed among the others in proportion.

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
    """Map class numbers or shares to new classes; ``index`` has the new class of each old one, -1 to drop it."""
    if labels.ndim == 1:
        return np.asarray(np.append(index, np.int16(-1))[labels])
    shares = labels @ (index[:, None] == np.arange(outputs)).astype(np.float32)
    total: Any = shares.sum(1, keepdims=True)
    return np.where(total > 0, shares / np.where(total > 0, total, 1), np.nan).astype(np.float32)
