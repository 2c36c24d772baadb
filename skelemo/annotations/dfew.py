"""DFEW: one label per clip, five folds of train and test clips, and the votes of ten annotators.

The folds are ``EmoLabel_DataSplit/train(single-labeled)/set_1.csv`` and ``test(single-labeled)/`` in the release,
``label/single_trainset_1.csv`` and ``single_testset_1.csv`` in the authors' code, or other names with subset and fold,
such as ``train_set_1.csv`` or ``DFEW_set_1_train.txt``. Lines are ``video_name,label`` with labels 1 to 7 (happiness,
sadness, neutral, anger, surprise, disgust, fear), or, in lists of other authors, ``path frames label`` with labels 0
to 6. Clips are named by five digits, in the lists by a number.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np

from skelemo.annotations.dfew_votes import Votes, read_votes
from skelemo.annotations.files import files_below
from skelemo.annotations.lists import Line, parse_name, read_list
from skelemo.annotations.registry import Annotation, Annotations, Recordings, reader
from skelemo.errors import InputError
from skelemo.targets import EMOTIONS, EXPRESSION
from skelemo.text import some, tally

_CLIP = re.compile(r"(?:.*/)?0*([1-9][0-9]{0,8})(?:\.\w+)?")
_LISTED = "a clip's number and a label from"
_EXPECTED = "EmoLabel_DataSplit/{train,test}(single-labeled)/set_1.csv, label/single_{train,test}set_1.csv"


@dataclass(frozen=True)
class _Fold:
    """The lists of a fold by subset, with label (0 to 6) and line by clip number."""

    files: dict[str, Path] = field(default_factory=dict)
    clips: dict[str, dict[int, tuple[int, int]]] = field(default_factory=dict)


@reader("dfew", labels="DFEW: the five folds (set_1.csv or single_trainset_1.csv, …), annotation.xlsx for the votes")
def read_dfew(path: Path, source: Path, recordings: Recordings) -> Annotations:
    """Read the fold lists below a folder, and the labels of ``annotation.xlsx`` if it exists.

    Splits are columns ``fold_1`` to ``fold_5`` with "train" or "test". Clips that are only in ``annotation.xlsx`` have
    its label if any (0 means that no emotion won), and no fold.

    Raises `InputError`: there are no labels, a list is damaged or missing, a clip has two labels, is in both subsets of
    a fold, or is tested in two folds.
    """
    return _read(path, shares=False)


@reader("dfew-votes", labels="DFEW with soft labels: the shares of the ten annotators' votes in annotation.xlsx")
def read_dfew_votes(path: Path, source: Path, recordings: Recordings) -> Annotations:
    """As `read_dfew`, with the shares of votes for each emotion as labels.

    Clips without votes have their label with a share of 1. Votes for other emotions are ignored.

    Raises `InputError`: as `read_dfew`, or ``annotation.xlsx`` is missing.
    """
    return _read(path, shares=True)


def _read(path: Path, *, shares: bool) -> Annotations:
    files = list(files_below(path, ".csv", ".txt", ".xlsx"))
    folds, notes = _read_folds(files, path)
    votes = _find_votes(files)
    if shares and not votes:
        raise InputError(f"{path}: no annotation.xlsx with votes found")
    if not folds and not votes:
        raise InputError(f"{path}: no DFEW labels found; expected {_EXPECTED} or annotation.xlsx")
    _check_subsets(folds)
    labels = _collect_labels(folds)
    items = tuple(_annotation(clip, labels, votes, folds, path, shares) for clip in sorted({*labels, *votes}))
    winners = {clip: _most_votes(one) if shares else one.winner for clip, one in votes.items()}
    different = sorted(clip for clip, label in labels.items() if winners.get(clip, label) != label)
    if different and shares:
        notes.append(f"clips with most votes for another emotion than their label (votes are used): {tally(different)}")
    elif different:
        notes.append(f"clips with another label in annotation.xlsx (the folds' label is used): {tally(different)}")
    return Annotations((EXPRESSION,), items, tuple(notes))


def _read_folds(files: list[Path], root: Path) -> tuple[dict[int, _Fold], list[str]]:
    folds: dict[int, _Fold] = defaultdict(_Fold)
    ignored = []
    for file in files:
        subset, number, _ = parse_name(file, root)
        if not (subset and number) or file.suffix.lower() == ".xlsx" or "multi" in file.absolute().parent.name.lower():
            continue
        fold = folds[number]
        if subset == "validation":
            ignored.append(file)
        elif subset in fold.files:
            raise InputError(f"fold {number} has two {subset} lists, {fold.files[subset]} and {file}; keep one")
        else:
            fold.files[subset] = file
    for number, fold in folds.items():
        for subset, other in (("train", "test"), ("test", "train")):
            if subset not in fold.files:
                raise InputError(
                    f"{fold.files.get(other, root)}: fold {number} has this list for {other} but none for {subset}"
                )
    lists = {
        file: read_list(file, expected=f"{_LISTED} 1 to 7") for fold in folds.values() for file in fold.files.values()
    }
    first, certain = _first_label(lists)
    for fold in folds.values():
        fold.clips.update({subset: _clips(file, lists[file], first) for subset, file in fold.files.items()})
    notes = [f"ignored validation lists, which DFEW's folds do not have: {tally(ignored)}"] if ignored else []
    if lists and not first:
        notes.append(f"{root}: labels count from 0 ({EMOTIONS[0]}) to 6 ({EMOTIONS[6]}), not from 1 as in the release")
    if lists and not certain:
        notes.append(f"{root}: no label is 0 or 7, so labels count from 1 ({EMOTIONS[0]}) to 7, as in the release")
    return dict(sorted(folds.items())), notes


def _first_label(lists: dict[Path, list[Line]]) -> tuple[int, bool]:
    """The number of the first emotion, 0 if any list has a 0, otherwise 1; and whether it is certain."""
    zeros = [(file, line) for file, lines in lists.items() for line in lines if line.label == "0"]
    sevens = [(file, line) for file, lines in lists.items() for line in lines if line.label == "7"]
    if zeros and sevens:
        (file, line), (other, seven) = zeros[0], sevens[0]
        raise InputError(
            f"{file}, line {line.line}: {line.text[:80]!r} found; expected {_LISTED} 1 to 7 (because of the 7 in "
            f"{other}, line {seven.line})"
        )
    return 0 if zeros else 1, bool(zeros or sevens)


def _clips(file: Path, lines: list[Line], first: int) -> dict[int, tuple[int, int]]:
    clips: dict[int, tuple[int, int]] = {}
    for path, word, line, text in lines:
        named = _CLIP.fullmatch(path)
        if not (named and word.isdecimal() and len(word) == 1 and 0 <= int(word) - first < len(EMOTIONS)):
            raise InputError(f"{file}, line {line}: {text[:80]!r} found; expected {_LISTED} {first} to {first + 6}")
        clip, label = int(named[1]), int(word) - first
        if clips.setdefault(clip, (label, line))[0] != label:
            raise InputError(f"{file}: clip {clip} has two labels, in lines {clips[clip][1]} and {line}")
    return clips


def _check_subsets(folds: dict[int, _Fold]) -> None:
    """Raise `InputError` for a clip that is in both lists of a fold, or in the test lists of two folds."""
    pairs = [(fold, "train", fold) for fold in folds.values()]
    pairs += [(fold, "test", other) for fold, other in combinations(folds.values(), 2)]
    for fold, subset, other in pairs:
        if shared := sorted(fold.clips[subset].keys() & other.clips["test"].keys()):
            raise InputError(
                f"clips in both {fold.files[subset]} and {other.files['test']}: {tally(shared)}; expected each in one"
            )


def _collect_labels(folds: dict[int, _Fold]) -> dict[int, int]:
    """The label of each clip, which must be equal in all lists."""
    labels: dict[int, tuple[int, str]] = {}
    for fold in folds.values():
        for subset, clips in fold.clips.items():
            for clip, (label, line) in clips.items():
                where = f"{fold.files[subset]}, line {line}"
                first, before = labels.setdefault(clip, (label, where))
                if first != label:
                    raise InputError(f"clip {clip} is {EMOTIONS[first]} in {before}, but {EMOTIONS[label]} in {where}")
    return {clip: label for clip, (label, _) in labels.items()}


def _find_votes(files: list[Path]) -> dict[int, Votes]:
    sheets = [file for file in files if file.name.lower() == "annotation.xlsx"]
    if len(sheets) > 1:
        raise InputError(f"{len(sheets)} files of votes: {some(sheets)}; keep one")
    return read_votes(sheets[0]) if sheets else {}


def _annotation(
    clip: int, labels: dict[int, int], votes: dict[int, Votes], folds: dict[int, _Fold], path: Path, shares: bool
) -> Annotation:
    label = labels.get(clip, votes[clip].winner if clip in votes else -1)
    return Annotation(
        video=f"{clip:05d}",
        splits={
            f"fold_{number}": subset
            for number, fold in folds.items()
            for subset in fold.clips
            if clip in fold.clips[subset]
        },
        labels={EXPRESSION.name: _shares(label, votes.get(clip)) if shares else np.array([label], np.int16)},
        source=str(path),
    )


def _most_votes(votes: Votes) -> int:
    """The emotion with the most votes, the first of equals; without votes the winner."""
    return int(np.argmax(votes.counts)) if any(votes.counts) else votes.winner


def _shares(label: int, votes: Votes | None) -> np.ndarray:
    """Shares of the votes, float32 ``[1, 7]``; NaN without votes or label."""
    counts = np.array(votes.counts if votes else np.zeros(len(EMOTIONS)), np.float32)
    if not counts.any() and label >= 0:
        counts[label] = 1
    return (counts / counts.sum() if counts.any() else np.full(len(EMOTIONS), np.nan, np.float32))[None]
