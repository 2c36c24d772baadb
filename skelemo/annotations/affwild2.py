"""Aff-Wild2 and the ABAW challenges: one text file of labels per video and person, one line per frame.

Folders are ``…/EXPR_Set/Training_Set/<video>.txt`` in 2020, ``…/EXPR_Classification_Challenge/Train_Set/`` in 2022 and
so on. Line r after the header, counted from 0, is frame r of the video and thus OpenPose's frame r. The organizers'
count of frames is often one or two off a decoder's: labels are never shifted for it, and the last one is repeated
where the video runs on.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from skelemo.annotations.affwild2_lists import is_list, read_lists, split_person
from skelemo.annotations.class_names import emotion
from skelemo.annotations.files import count, files_below, read_rows, some
from skelemo.annotations.registry import SUBSETS, Annotation, Annotations, Recordings, reader
from skelemo.errors import InputError
from skelemo.targets import AU, EMOTIONS, EXPRESSION, VA, Head

_SET = re.compile(r"(?P<task>va(?!l)|expr|au).*(set|challenge)", re.IGNORECASE)
_SUBSET = re.compile("train|val(?!ence)|test", re.IGNORECASE)
_SEVERITY = ("train", "validation", "test")
_UNIT = re.compile(r"AU\s*0*(\d{1,2})", re.IGNORECASE)
_FACTS = re.compile(r"\d+-(?P<fps>\d{1,3})-(?P<width>\d{1,5})x(?P<height>\d{1,5})(-\d+)?$")
_SLACK = 2  # rows; of 548 videos in the organizers' list 450 differ from a decoder's count by 0, 1 or 2
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
    blank: bool  # there were empty lines between the rows


@reader("affwild2", labels="Aff-Wild2 / ABAW: EXPR, VA and AU sets of any year, or MTL lists, at any depth below PATH")
def read_affwild2(path: Path, source: Path, recordings: Recordings) -> Annotations:
    """Read every EXPR, VA and AU label file below a folder; without any, the lists of the multi-task challenge.

    Frames without labels for a task are unlabeled for its head. Columns ``expr``, ``va`` and ``au`` of the splits hold
    the subset of the video for each task. Column ``split`` is one subset for the whole video, with all its people:
    where the tasks disagree it is the later one of train, validation and test, so that nothing that is evaluated in
    one task is trained on in the other.

    Raises
    ------
    InputError
        Nothing is found, a file is damaged, or one video has two files for the same task.
    """
    texts = list(files_below(path, ".txt"))
    found = [(file, *place) for file in texts if (place := _place(file))]
    lists = [file for file in texts if is_list(file)]
    labels = [_read_file(file, task, subset) for file, task, subset in found]
    if not labels and not lists:
        raise InputError(f"{path}: no Aff-Wild2 labels found; expected {_EXPECTED}")
    if not labels:
        return read_lists(lists)
    notes = []
    if lists:
        notes.append(f"read the EXPR, VA and AU sets, not the MTL lists beside them ({some(lists)})")
    return _assemble(labels, notes)


def video_facts(name: str) -> tuple[int, int, float]:
    """Width, height and frame rate that an Aff-Wild2 video's name tells, ``<n>-<fps>-<W>x<H>[-k]``; 0 for unknown."""
    facts = _FACTS.match(split_person(name)[0])
    if not facts:
        return 0, 0, 0.0
    return int(facts["width"]), int(facts["height"]), float(facts["fps"])


def _place(file: Path) -> tuple[str, str] | None:
    """Task and subset of a label file, which the nearest fitting folders above it tell; None if they do not."""
    above = [folder.name for folder in file.absolute().parents]
    for depth, name in enumerate(above):
        if subset := _SUBSET.match(name):
            task = next((found for folder in above[depth:] if (found := _SET.match(folder))), None)
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
    blank = bool(len(lines)) and int(lines[-1]) - int(lines[0]) + 1 != len(lines)
    return _Labels(file, task, subset, video, person, values, outputs, blank)


def _unit_header(names: Sequence[str], file: Path) -> tuple[str, ...]:
    """Action units of an AU file, as ``AU1``."""
    units = [_UNIT.fullmatch(name) for name in names]
    if not all(units):
        raise InputError(f"{file}: the first line is {','.join(names)[:80]!r}; expected action units such as AU1,AU2")
    return tuple(f"AU{int(unit[1])}" for unit in units if unit)


def _expression_header(names: Sequence[str], file: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Classes of an EXPR file, and the index among them of each number in the file."""
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
    if not rows:
        return np.zeros((0, columns))
    try:
        numbers = np.array([row.split(",") for row in rows], dtype=np.float64)
        if numbers.shape[1] == columns:
            return numbers
    except ValueError:
        pass
    wrong = np.array([not _is_numbers(row, columns) for row in rows])
    raise _refusal(wrong, rows, file, lines, f"{columns} numbers" if columns > 1 else "one number")


def _is_numbers(row: str, columns: int) -> bool:
    try:
        return len([float(cell) for cell in row.split(",")]) == columns
    except ValueError:
        return False


def _refuse(wrong: np.ndarray, rows: list[str], file: Path, lines: np.ndarray, expected: str) -> None:
    if wrong.any():
        raise _refusal(wrong, rows, file, lines, expected)


def _refusal(wrong: np.ndarray, rows: list[str], file: Path, lines: np.ndarray, expected: str) -> InputError:
    first = int(wrong.argmax())
    return InputError(f"{file}, line {lines[first]}: {rows[first][:80]!r} found; expected {expected}")


def _assemble(labels: list[_Labels], notes: list[str]) -> Annotations:
    tasks: dict[tuple[str, str], dict[str, _Labels]] = defaultdict(dict)
    for one in labels:
        other = tasks[one.video, one.person].setdefault(one.task, one)
        if other is not one:
            raise InputError(
                f"{one.video}: labeled twice for {one.task}, in {other.file} and in {one.file}; "
                "are these two years' sets? Give the path of one"
            )
    heads = _heads(labels)
    subsets: dict[str, list[str]] = defaultdict(list)
    for one in labels:
        subsets[one.video].append(one.subset)
    latest = {video: max(of_video, key=_SEVERITY.index) for video, of_video in subsets.items()}
    items = tuple(_merge(video, person, files, latest[video], heads) for (video, person), files in tasks.items())
    return Annotations(tuple(heads.values()), items, (*notes, *_remarks(labels, tasks.values(), latest)))


def _heads(labels: list[_Labels]) -> dict[str, Head]:
    """The head of each task that has files; of years that differ, the longer list of classes and all action units."""
    heads = {}
    of = {task: [one for one in labels if one.task == task] for task in ("expr", "va", "au")}
    if of["expr"]:
        heads["expr"] = replace(EXPRESSION, outputs=max((one.outputs for one in of["expr"]), key=len))
    if of["va"]:
        heads["va"] = VA
    if of["au"]:
        units = {unit for one in of["au"] for unit in one.outputs}
        heads["au"] = Head(AU.name, "flags", tuple(sorted(units, key=lambda unit: int(unit.removeprefix("AU")))))
    return heads


def _merge(video: str, person: str, files: dict[str, _Labels], split: str, heads: Mapping[str, Head]) -> Annotation:
    """The rows of a person for all tasks; a file that is a few rows shorter is extended by its last label."""
    frames = max(len(one.values) for one in files.values())
    labels = {}
    for task, head in heads.items():
        out = labels[head.name] = head.unlabeled(frames)
        if task not in files or not len(values := files[task].values):
            continue
        columns = [head.outputs.index(unit) for unit in files[task].outputs] if task == "au" else ...
        target = out[:, columns] if task == "au" else out
        target[: len(values)] = values
        if frames - len(values) <= _SLACK:
            target[len(values) :] = values[-1]
        if task == "au":
            out[:, columns] = target
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
    sizes = {len(one.outputs) for one in labels if one.task == "expr"}
    if len(sizes) > 1:
        yield "some EXPR files have 7 classes and some have 8: files of different years, of which 7 never say 'other'"
    moved = sorted({one.video for one in labels if one.subset != latest[one.video]})
    if moved:
        yield (
            "videos in different subsets for different tasks or people, which column split has in the later of train, "
            f"validation and test: {count(moved)}"
        )
    empty = [one.file for one in labels if not len(one.values)]
    if empty:
        yield f"label files with a header and no rows: {count(empty)}"
    blank = [one.file for one in labels if one.blank]
    if blank:
        yield f"label files with empty lines between their rows, which do not count: {count(blank)}"
    uneven = []
    for pair in pairs:
        lengths = {task: len(one.values) for task, one in pair.items()}
        if max(lengths.values()) - min(lengths.values()) > _SLACK:
            first = next(iter(pair.values()))
            uneven.append(f"{first.file.stem} ({' and '.join(f'{n} {task}' for task, n in sorted(lengths.items()))})")
    if uneven:
        yield f"videos whose numbers of rows differ by more than {_SLACK} between tasks: {count(uneven)}"
