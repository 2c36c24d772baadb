"""Label formats by name: a file of `skelemo.annotations` registers one reader, everybody else asks here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from skelemo.errors import InputError
from skelemo.plugins import Registry
from skelemo.targets import Head
from skelemo.text import count

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
    number: np.ndarray | None = None  # int32 [R], strictly increasing frame numbers; None: one row for the whole clip
    end: np.ndarray | None = None  # int32 [R], last frame that each row is for; None: each is for one frame
    person: str = ""  # "" for whomever --person chooses, "left", "right" or the number of a track
    subject: str = ""
    splits: Mapping[str, str] = field(default_factory=dict)  # column -> "train" | "validation" | "test"
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
            missing = np.nan if given.dtype.kind == "f" else -1
            labels[name] = np.full((len(rows), *given.shape[1:]), missing, given.dtype)
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
        if row is None:
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
    numbered: bool = False  # videos are named by a number, whose leading zeros do not count


Reader = Callable[[Path, Path, Recordings], Annotations]


#: Label formats, each with one phrase for the user: what lies at the path.
FORMATS = Registry("label format", "skelemo.annotations", package="skelemo.annotations", default="labels")


@dataclass(frozen=True)
class Format:
    """A registered label format."""

    name: str
    read: Reader
    labels: str


def reader(name: str, *, labels: str = "labels") -> Callable[[Reader], Reader]:
    """Make ``read(path, source, recordings) -> Annotations`` known as the reader of a label format.

    Parameters
    ----------
    name : the word for ``--labels``.
    labels : one phrase for the user: what lies at ``path``.

    The reader gets the path of the labels, the folder that is ingested and its recordings; most need the first alone.
    """
    return FORMATS.register(name, labels)


def list_formats() -> list[Format]:
    """The registered label formats, sorted by name."""
    return [Format(name, FORMATS[name].function, FORMATS[name].facts) for name in FORMATS]


def read_annotations(spec: str, source: Path, recordings: Recordings = ()) -> Annotations:
    """Read the labels that ``--labels FORMAT[:PATH]`` names.

    Parameters
    ----------
    spec : the format, then after the first colon the path of the labels; without one they are looked for in ``source``.
    source : folder that is ingested.
    recordings : name and source of each recording in it.

    Raises
    ------
    ConfigError
        An unknown format; the message names the nearest known one.
    InputError
        The path does not exist, or a label file is damaged or contradicts itself.
    """
    name, _, rest = spec.partition(":")
    read = FORMATS[name].function
    path = Path(rest).expanduser() if rest else Path(source)
    if not path.exists():
        raise InputError(f"{path}: there is nothing here (labels for {name}; give them as {name}:PATH)")
    found: Annotations = read(path, Path(source), recordings)
    return found
