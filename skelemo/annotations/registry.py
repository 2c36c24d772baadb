"""Label formats by name: a file of `skelemo.annotations` registers one reader, everybody else asks here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from skelemo.errors import InputError
from skelemo.plugins import Registry
from skelemo.text import count

EMOTIONS = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")

# How data sets call the parts of a split -> what they are called here
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}

# (name, source) of every recording: the video's stem, and the recording's path below the folder that is ingested; and,
# where that is not to be looked up on the disk, whether this path is that of a folder, its files having no stem
Recordings = Sequence[tuple[str, str] | tuple[str, str, bool]]


@dataclass(frozen=True, eq=False)
class Annotation:
    """The labels of one video, or of one person in it: a row per labelled frame, or one row for the whole clip."""

    video: str  # name of the video without a person's suffix, or path of the recording below the ingested folder
    expression: np.ndarray  # int8 [R], index into the classes, -1 unlabelled
    valence: np.ndarray  # float32 [R] in [-1, 1], NaN unlabelled
    arousal: np.ndarray  # float32 [R] in [-1, 1], NaN unlabelled
    source: str  # the file or files that say so, for messages
    number: np.ndarray | None = None  # int32 [R], strictly increasing frame numbers; None: one row for the whole clip
    person: str = ""  # "" for whomever --person chooses, "left", "right" or the number of a track
    subject: str = ""
    splits: Mapping[str, str] = field(default_factory=dict)  # column -> "train" | "validation" | "test"
    slack: int = 0  # frames by which rows that count a video's every frame may miss its true length

    def at(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels of the frames with these numbers [T], in any order.

        A clip's label is repeated for every frame. Frames that have no row are unlabelled, but up to ``slack`` frames
        beyond the last row have the last row's labels.

        Returns
        -------
        expression int8 [T], valence float32 [T], arousal float32 [T]
        """
        rows = self._rows(np.asarray(numbers))
        found = rows >= 0
        expression = np.full(len(rows), -1, np.int8)
        valence, arousal = np.full((2, len(rows)), np.nan, np.float32)
        for labels, given in ((expression, self.expression), (valence, self.valence), (arousal, self.arousal)):
            labels[found] = given[rows[found]]
        return expression, valence, arousal

    def _rows(self, numbers: np.ndarray) -> np.ndarray:
        """The row of each frame, -1 where there is none."""
        if self.number is None:
            return np.zeros(len(numbers), np.intp)
        if len(self.number) == 0:
            return np.full(len(numbers), -1)
        last = int(self.number[-1])
        rows = np.minimum(np.searchsorted(self.number, numbers), len(self.number) - 1)
        found = (self.number[rows] == numbers) | ((numbers > last) & (numbers <= last + self.slack))
        return np.where(found, rows, -1)

    def mismatch(self, last: int) -> str:
        """What is wrong between these rows and a recording whose highest frame number is ``last``; "" when they fit."""
        if self.number is None or len(self.number) == 0:
            return ""
        row = int(self.number[-1])
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
    """Everything that a set of label files says."""

    classes: tuple[str, ...]
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
