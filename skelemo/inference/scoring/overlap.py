"""Overlap of data with a run's training and validation subsets, from its ``splits.json``."""

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
    """Sequences and subjects of some data that are in a run's training or validation subset."""

    run: str
    sequences: tuple[str, ...]
    subjects: tuple[str, ...]

    @property
    def text(self) -> str:
        """The overlap as a sentence."""
        texts = []
        if self.sequences:
            texts.append(f"{count(len(self.sequences), 'sequence')} (e.g. {self.sequences[0]!r})")
        if self.subjects:
            texts.append(f"{count(len(self.subjects), 'subject')} (e.g. {self.subjects[0]!r})")
        verb = "was" if self.single else "were"
        return f"{' and '.join(texts)} {verb} in the training or validation subset of {self.run}"

    @property
    def single(self) -> bool:
        """Whether it is a single sequence or subject."""
        return len(self.sequences) + len(self.subjects) == 1


def overlap(run: Path, sequences: pd.DataFrame, subsets: Sequence[str] = ("train", "validation")) -> Overlap | None:
    """Overlap of a corpus's sequences with a run's subsets; None if the run has no splits.

    Raises `InputError`: the run's ``splits.json`` is damaged.
    """
    name, facts = run.resolve().name, learned(run, subsets)
    if facts is None:
        return None
    same = sequences[sequences["content"].isin(facts["sha256"])]
    known = sequences[sequences["subject"].isin(facts["subjects"])]
    return Overlap(name, tuple(same["id"]), tuple(dict.fromkeys(known["subject"])))


def require_unseen(found: Sequence[Overlap], where: str) -> None:
    """Raise `ConfigError` for overlapping data."""
    for one in found:
        if one.sequences or one.subjects:
            other = "" if one.sequences else " if these are different people with the same names"
            raise ConfigError(f"{where}: {one.text}: use data it has not seen, or pass --allow-overlap{other}")


def learned(run: Path, subsets: Sequence[str] = ("train", "validation")) -> dict[str, set[str]] | None:
    """``sha256`` and ``subjects`` of a run's subsets (of one fold, if ``run`` is a fold), pretraining included.

    None if the run has no splits.
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
