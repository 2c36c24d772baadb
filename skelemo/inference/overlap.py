"""Whether a run has learned from data: what its ``splits.json`` says of its training and validation subsets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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


def overlap(run: Path, sequences: pd.DataFrame, subsets: Sequence[str] = ("train", "validation")) -> Overlap | None:
    """What sequences of a corpus a run has learned from; None where the run does not tell.

    Raises `InputError`: the run's ``splits.json`` is damaged.
    """
    name, facts = run.resolve().name, learned(run, subsets)
    if facts is None:
        return None
    same = sequences[sequences["content"].isin(facts["sha256"])]
    known = sequences[sequences["subject"].isin(facts["subjects"])]
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


def learned(run: Path, subsets: Sequence[str] = ("train", "validation")) -> dict[str, set[str]] | None:
    """``sha256`` and ``subjects`` of these subsets, of all folds or the one named, and of what it began with.

    None where the run does not tell.
    """
    path, number = run.resolve(), 0
    while (inner := TRAINING_FOLDER.fullmatch(path.name)) and not (path / SPLITS).is_file():
        number = int(inner[2]) if inner[1] == "fold" else number
        path = path.parent
    if not (path / SPLITS).is_file():
        return None
    splits = read_json(path / SPLITS)
    folds, before = splits.get("folds", []), splits.get("learned_before", [])
    if number:
        folds, before = folds[number - 1 : number], before[number - 1 : number]
    if not folds or "sha256" not in splits or "subjects" not in splits:
        return None
    ids = {name for fold in folds for subset in subsets for name in fold.get(subset, ())}
    return {
        key: {splits[key][one] for one in ids if one in splits[key]} | {one for facts in before for one in facts[key]}
        for key in ("sha256", "subjects")
    }
