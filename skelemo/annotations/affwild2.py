"""Aff-Wild2 and the ABAW challenges: one text file of labels per video and person, one line per frame.

Folders are ``…/EXPR_Set/Training_Set/<video>.txt`` in 2020, ``…/EXPR_Classification_Challenge/Train_Set/`` in 2022 and
so on. Line r after the header, counted from 0, is frame r of the video and of OpenPose. The organizers' frame counts
often differ from a decoder's by one or two: labels are never shifted, and the last label is repeated if the video is
longer.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from skelemo.annotations.affwild2_lists import is_list, read_lists, split_person
from skelemo.annotations.class_names import emotion
from skelemo.annotations.files import files_below, read_rows
from skelemo.annotations.registry import SUBSETS, Annotation, Annotations, Recordings, reader
from skelemo.errors import InputError
from skelemo.targets import AU, EMOTIONS, EXPRESSION, VA, Head
from skelemo.text import some, tally

_SET = re.compile(r"(?P<task>va(?!l)|expr|au).*(set|challenge)", re.IGNORECASE)
_SUBSET = re.compile("train|val(?!ence)|test", re.IGNORECASE)
_SEVERITY = ("train", "validation", "test")
_UNIT = re.compile(r"AU\s*0*(\d{1,2})", re.IGNORECASE)
_INFO = re.compile(r"\d+-(?P<fps>\d{1,3})-(?P<width>\d{1,5})x(?P<height>\d{1,5})(-\d+)?$")
_SLACK = 2  # rows; 450 of 548 videos in the organizers' list differ from a decoder's count by 0, 1 or 2
_EXPECTED = "folders such as EXPR_Set/Train_Set/ and VA_Set/Validation_Set/ with one .txt per video, or MTL lists"


@dataclass(frozen=True, eq=False)
class _Labels:
    """One label file."""

    file: Path
    task: str  # "expr" | "va" | "au"
    subset: str
    video: str
    person: str
    values: np.ndarray  # expr: int16 [R]; va: float32 [R, 2]; au: int8 [R, K]
    outputs: tuple[str, ...]
    blank: bool  # whether there are empty lines between the rows


@reader("affwild2", labels="Aff-Wild2 / ABAW: EXPR, VA and AU sets of any year, or MTL lists, at any depth below PATH")
def read_affwild2(path: Path, source: Path, recordings: Recordings) -> Annotations:
    """Read every EXPR, VA and AU label file below a folder, or else the lists of the multi-task challenge.

    Frames without labels for a task are unlabeled for its head. The split columns ``expr``, ``va`` and ``au`` have the
    subset of the video for each task. Column ``split`` has one subset for the whole video and all its people: the later
    of train, validation and test if tasks disagree, so that no evaluation data of one task trains another.

    Raises `InputError`: there are no labels, a file is damaged, or a video has two files for the same task.
    """
    texts = list(files_below(path, ".txt"))
    labels = [_read_file(file, *found) for file in texts if (found := _task_and_subset(file))]
    lists = [file for file in texts if is_list(file)]
    if not labels and not lists:
        raise InputError(f"{path}: no Aff-Wild2 labels found; expected {_EXPECTED}")
    if not labels:
        return read_lists(lists)
    notes = []
    if lists:
        notes.append(f"read the EXPR, VA and AU sets, ignored the MTL lists ({some(lists)})")
    return _assemble(labels, notes)


def video_facts(name: str) -> tuple[int, int, float]:
    """Width, height and frame rate in an Aff-Wild2 video's name, ``<n>-<fps>-<W>x<H>[-k]``; 0 for unknown."""
    info = _INFO.match(split_person(name)[0])
    return (int(info["width"]), int(info["height"]), float(info["fps"])) if info else (0, 0, 0.0)


def _task_and_subset(file: Path) -> tuple[str, str] | None:
    """Task and subset of a label file from the nearest matching folders above it; None if there are none."""
    folders = [folder.name for folder in file.absolute().parents]
    for depth, name in enumerate(folders):
        if subset := _SUBSET.match(name):
            task = next(filter(None, map(_SET.match, folders[depth:])), None)
            return (task["task"].lower(), SUBSETS[subset[0].lower()]) if task else None
    return None


def _read_file(file: Path, task: str, subset: str) -> _Labels:
    header, rows, lines = read_rows(file)
    names = [name.strip() for name in header.rstrip(" ,\t").split(",")]
    outputs: tuple[str, ...] = VA.outputs
    if task == "expr":
        outputs, order = _expression_header(names, file)
        values = _expression_values(rows, order, file, lines)
    elif task == "va":
        values = _va_values(rows, names, file, lines)
    else:
        outputs = _unit_header(names, file)
        numbers = _numbers(rows, len(outputs), file, lines)
        fits = np.isin(numbers, (-1, 0, 1)).all(axis=1)
        _refuse(~np.asarray(fits), rows, file, lines, f"{len(outputs)} flags, each 0, 1 or -1 for none")
        values = numbers.astype(np.int8)
    video, person = split_person(file.stem)
    blank = bool((np.diff(lines) > 1).any())
    return _Labels(file, task, subset, video, person, values, outputs, blank)


def _unit_header(names: Sequence[str], file: Path) -> tuple[str, ...]:
    """Action units of an AU file, as ``AU1``."""
    units = [_UNIT.fullmatch(name) for name in names]
    if not all(units):
        raise InputError(f"{file}: the first line is {','.join(names)[:80]!r}; expected action units such as AU1,AU2")
    return tuple(f"AU{int(unit[1])}" for unit in units if unit)


def _expression_header(names: Sequence[str], file: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Classes of an EXPR file, and the index of each of the file's numbers."""
    meanings = [emotion(name) for name in names]
    for classes in (EMOTIONS, (*EMOTIONS, "other")):
        if sorted(meanings) == sorted(classes):
            return classes, np.array([classes.index(meaning) for meaning in meanings], np.int16)
    raise InputError(
        f"{file}: the first line {','.join(names)[:80]!r} does not name the classes; expected "
        "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise (and Other from 2022 on)"
    )


def _expression_values(rows: list[str], order: np.ndarray, file: Path, lines: np.ndarray) -> np.ndarray:
    numbers = _numbers(rows, 1, file, lines)[:, 0]
    unlabeled = (numbers == -1) | (numbers == -5)
    fits = np.isin(numbers, np.arange(len(order)))
    _refuse(~(unlabeled | fits), rows, file, lines, f"a class number from 0 to {len(order) - 1}, or -1 for none")
    return np.where(unlabeled, np.int16(-1), order[np.where(unlabeled, 0, numbers).astype(np.intp)])


def _va_values(rows: list[str], names: Sequence[str], file: Path, lines: np.ndarray) -> np.ndarray:
    lower = [name.lower() for name in names]
    if sorted(lower) != ["arousal", "valence"]:
        raise InputError(f"{file}: the first line is {','.join(names)[:80]!r}; expected valence,arousal")
    numbers = _numbers(rows, 2, file, lines)[:, [lower.index("valence"), lower.index("arousal")]]
    unlabeled = (numbers == -5).any(axis=1)
    fits = (np.abs(numbers) <= 1).all(axis=1)
    _refuse(~(unlabeled | fits), rows, file, lines, "valence and arousal in [-1, 1], or -5 for none")
    return np.where(unlabeled[:, None], np.nan, numbers).astype(np.float32)


def _numbers(rows: list[str], columns: int, file: Path, lines: np.ndarray) -> np.ndarray:
    """Rows of comma-separated numbers as float64 [R, columns]."""
    try:
        return np.array([row.split(",") for row in rows], np.float64).reshape(len(rows), columns)
    except ValueError:
        wrong = np.array([not _is_numbers(row, columns) for row in rows])
        _refuse(wrong, rows, file, lines, f"{columns} numbers" if columns > 1 else "one number")
        raise


def _is_numbers(row: str, columns: int) -> bool:
    try:
        return len([float(cell) for cell in row.split(",")]) == columns
    except ValueError:
        return False


def _refuse(wrong: np.ndarray, rows: list[str], file: Path, lines: np.ndarray, expected: str) -> None:
    if wrong.any():
        first = int(wrong.argmax())
        raise InputError(f"{file}, line {lines[first]}: {rows[first][:80]!r} found; expected {expected}")


def _assemble(labels: list[_Labels], notes: list[str]) -> Annotations:
    tasks: dict[tuple[str, str], dict[str, _Labels]] = defaultdict(dict)
    subsets: dict[str, list[str]] = defaultdict(list)
    for one in labels:
        other = tasks[one.video, one.person].setdefault(one.task, one)
        if other is not one:
            raise InputError(
                f"{one.video}: labeled twice for {one.task}, in {other.file} and in {one.file}; "
                "if these are sets of two years, give the path of one"
            )
        subsets[one.video].append(one.subset)
    heads = _heads(labels)
    latest = {video: max(of_video, key=_SEVERITY.index) for video, of_video in subsets.items()}
    items = tuple(_merge(video, person, files, latest[video], heads) for (video, person), files in tasks.items())
    return Annotations(tuple(heads.values()), items, (*notes, *_remarks(labels, tasks.values(), latest)))


def _heads(labels: list[_Labels]) -> dict[str, Head]:
    """The head of each task with files; of different years, the longer list of classes and all action units."""
    heads = {}
    outputs = {task: [one.outputs for one in labels if one.task == task] for task in ("expr", "va", "au")}
    if outputs["expr"]:
        heads["expr"] = replace(EXPRESSION, outputs=max(outputs["expr"], key=len))
    if outputs["va"]:
        heads["va"] = VA
    if outputs["au"]:
        units = {unit for units in outputs["au"] for unit in units}
        heads["au"] = Head(AU.name, "flags", tuple(sorted(units, key=lambda unit: int(unit.removeprefix("AU")))))
    return heads


def _merge(video: str, person: str, files: dict[str, _Labels], split: str, heads: Mapping[str, Head]) -> Annotation:
    """The rows of a person for all tasks; a slightly shorter file is extended by its last label."""
    frames = max(len(one.values) for one in files.values())
    labels = {}
    for task, head in heads.items():
        out = labels[head.name] = head.unlabeled(frames)
        if task not in files or not len(values := files[task].values):
            continue
        if frames - len(values) <= _SLACK:
            values = np.concatenate([values, np.repeat(values[-1:], frames - len(values), axis=0)])
        if task == "au":
            out[: len(values), [head.outputs.index(unit) for unit in files[task].outputs]] = values
        else:
            out[: len(values)] = values
    return Annotation(
        video=video,
        person=person,
        splits={**{task: one.subset for task, one in sorted(files.items())}, "split": split},
        number=np.arange(frames, dtype=np.int32),
        labels=labels,
        source=" and ".join(str(one.file) for _, one in sorted(files.items())),
        slack=_SLACK,
    )


def _remarks(labels: list[_Labels], pairs: Iterable[dict[str, _Labels]], latest: dict[str, str]) -> Iterator[str]:
    moved = sorted({one.video for one in labels if one.subset != latest[one.video]})
    if moved:
        yield (
            "videos in different subsets by task or person, in column split assigned to the later of train, validation "
            f"and test: {tally(moved)}"
        )
    blank = [one.file for one in labels if one.blank]
    if blank:
        yield f"label files with empty lines, which are skipped: {tally(blank)}"
    uneven = []
    for pair in pairs:
        lengths = {task: len(one.values) for task, one in pair.items()}
        if max(lengths.values()) - min(lengths.values()) > _SLACK:
            first = next(iter(pair.values()))
            uneven.append(f"{first.file.stem} ({' and '.join(f'{n} {task}' for task, n in sorted(lengths.items()))})")
    if uneven:
        yield f"videos with row counts that differ by more than {_SLACK} between tasks: {tally(uneven)}"
