"""Whether a run has learned from data: what its ``splits.json`` says of its training and validation subsets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from skelemo.errors import ConfigError
from skelemo.runs.folder import TRAINING_FOLDER, read_json
from skelemo.text import count

SPLITS = "splits.json"


@dataclass(frozen=True)
class Overlap:
    """Sequences of some data whose keypoints a run has learned from or was chosen by, and subjects of whom it has."""

    run: str
    sequences: tuple[str, ...]
    subjects: tuple[str, ...]

    @property
    def text(self) -> str:
        """What overlaps, in words."""
        texts = []
        if self.sequences:
            texts.append(f"{count(len(self.sequences), 'sequence')} (as {self.sequences[0]!r})")
        if self.subjects:
            texts.append(f"{count(len(self.subjects), 'subject')} (as {self.subjects[0]!r})")
        one = len(self.sequences) + len(self.subjects) == 1
        return f"{' and '.join(texts)} {'was' if one else 'were'} in the training or validation subset of {self.run}"


def overlap(run: Path, sequences: pd.DataFrame) -> Overlap | None:
    """What sequences of a corpus a run has learned from; None where the run does not tell.

    Raises
    ------
    InputError
        The run's ``splits.json`` is damaged.
    """
    name, subsets = run.resolve().name, _learned(run)
    if subsets is None:
        return None
    ids, splits = subsets
    hashes, subjects = ({splits[key][one] for one in ids if one in splits[key]} for key in ("sha256", "subjects"))
    same = sequences[sequences["content"].isin(hashes)]
    known = sequences[sequences["subject"].isin(subjects)]
    return Overlap(name, tuple(same["id"]), tuple(dict.fromkeys(known["subject"])))


def require_unseen(found: Sequence[Overlap], where: str) -> None:
    """Refuse data that runs have learned from."""
    for one in found:
        if one.sequences or one.subjects:
            other = "; if these are other people of the same names" if not one.sequences else ""
            raise ConfigError(
                f"{where}: {one.text}: name data that it never saw, or score these all the same"
                f"{other} with --allow-overlap"
            )


def _learned(run: Path) -> tuple[set[str], dict[str, Any]] | None:
    """Sequences of the training and validation subsets, of all folds or of the one that is named."""
    path, number = run.resolve(), 0
    while (inner := TRAINING_FOLDER.fullmatch(path.name)) and not (path / SPLITS).is_file():
        number = int(inner[2]) if inner[1] == "fold" else number
        path = path.parent
    if not (path / SPLITS).is_file():
        return None
    splits = read_json(path / SPLITS)
    folds = splits.get("folds", [])
    folds = folds[number - 1 : number] if number else folds
    if not folds or "sha256" not in splits or "subjects" not in splits:
        return None
    return {name for fold in folds for subset in ("train", "validation") for name in fold.get(subset, ())}, splits
