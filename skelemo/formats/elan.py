"""ELAN: export a cache's labels, with corrections, as tiers, and import changes as corrections."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from skelemo.annotations.correcting import apply, label_edits, parse_value
from skelemo.atomic import finished
from skelemo.cache.corrections import Correction, Corrections
from skelemo.cache.store import Cache
from skelemo.errors import ConfigError, InputError, unknown
from skelemo.formats.table import label_columns
from skelemo.inference.elan import write_elan
from skelemo.targets import Head, hard_labels
from skelemo.text import count, visible

#: Maximum size of a file.
MOST_BYTES = 64 << 20
#: Annotations that remove labels, unless the head has such a class.
_DOUBTS = ("wrong", "unsure")


@dataclass(frozen=True)
class Imported:
    """Corrections from an ELAN file, and notes on ignored tiers."""

    corrections: tuple[Correction, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Tier:
    """A tier of one person: a head, or one of its outputs."""

    person: str
    head: Head
    output: int


def export_elan(
    cache: Cache, corrections: Corrections, path: Path, *, video: str = "", fps: float = 0, film: Path | None = None
) -> int:
    """Write the corrected labels of a recording, one tier per person and head, and return the number of people.

    Raises `ConfigError`: the recording is unknown or ambiguous, its frame rate is unknown, or the file's folder does
    not exist; `InputError`: ``film`` does not exist.

    Parameters
    ----------
    video : the recording; may be empty if the cache has only one.
    fps : frames per second; by default the cache's.
    film : video file that ELAN opens.
    """
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: the folder {path.parent} does not exist")
    if film and not film.is_file():
        raise InputError(f"{film}: no such file; expected the video that ELAN opens")
    people = _people(cache, corrections, video, fps)
    names, tables = _names(cache.heads), []
    for one in people:
        columns: dict[str, object] = {"video": one.video, "person": one.person, "time": one.time}
        for head in cache.heads:
            values = label_columns(head, one.labels[head.name]).values()
            columns |= dict(zip(names[head.name], values, strict=True))
        tables.append(pd.DataFrame(columns))
    unlabeled = {head.name: "" for head in cache.heads if head.kind == "classes"}
    table = pd.concat(tables, ignore_index=True).fillna(unlabeled)
    with finished(path) as partial:
        write_elan(partial, table, cache.heads, names, out=path, film=film, kind="label")
    return len(people)


def import_elan(cache: Cache, corrections: Corrections, path: Path, *, video: str = "", fps: float = 0) -> Imported:
    """Compare an ELAN file with the corrected labels and return the differences as corrections.

    Tiers are named as by `export_elan`; others are ignored and noted. Annotations ``wrong`` and ``unsure`` remove
    labels. Frames without an annotation keep their labels.

    Raises `InputError`: not an ELAN file, too large, or an annotation is not a class or value of its head;
    `ConfigError`: as `export_elan`.
    """
    people = {one.person: one for one in _people(cache, corrections, video, fps)}
    tiers = _tiers(list(people), cache.heads)
    found: list[Correction] = []
    ignored: Counter[str] = Counter()
    for name, annotations in read_eaf(path).items():
        if name not in tiers:
            ignored[name] += len(annotations)
            continue
        tier = tiers[name]
        for first, last, text in annotations:
            try:
                found += _changes(people[tier.person], tier, first, last, text.strip())
            except ConfigError as error:
                raise InputError(f"{path}: tier {name!r}, {first} ms: {error}") from None
    known = ", ".join(map(repr, tiers))
    notes = [f"ignored tier {name!r} ({count(n, 'annotation')}); expected {known}" for name, n in ignored.items()]
    return Imported(tuple(found), tuple(notes))


@dataclass(frozen=True)
class _Person:
    """One person's corrected labels."""

    video: str
    person: str
    number: np.ndarray  # [T]
    time: np.ndarray  # [T] seconds
    labels: dict[str, np.ndarray]


def _people(cache: Cache, corrections: Corrections, video: str, fps: float) -> list[_Person]:
    videos = list(dict.fromkeys(cache.sequences["video"]))
    if not video and len(videos) > 1:
        raise ConfigError(f"{cache.name} has {len(videos)} recordings; an .eaf file is for one: choose it with "
                          f"--video, as in --video {videos[0]}")  # fmt: skip
    if video and video not in videos:
        raise unknown(f"recording of {cache.name}", video, videos)
    chosen = cache.only(np.flatnonzero(cache.sequences["video"] == (video or videos[0])))
    frames, edits = chosen.read(), label_edits(corrections, cache.heads)
    people = []
    for row in chosen.sequences.to_dict("records"):
        here = slice(row["start"], row["start"] + row["length"])
        number, rate = frames.number[here], fps or row["fps"]
        if not rate:
            raise ConfigError(f"{cache.name}: the frame rate of {row['video']!r} is unknown: give --fps")
        labels = {name: values[here].copy() for name, values in frames.labels.items()}
        apply(edits.get((row["video"], row["person"]), ()), number, labels)
        people.append(_Person(row["video"], row["person"], number, number / rate, labels))
    return people


def _names(heads: Sequence[Head]) -> dict[str, tuple[str, ...]]:
    """Names of each head's tiers: its own for classes, else its outputs, with the head as a prefix if not unique."""
    times = Counter([head.name for head in heads] + [output for head in heads for output in head.outputs])

    def names(head: Head) -> Iterator[str]:
        if head.kind == "classes":
            yield head.name
        else:
            yield from (output if times[output] == 1 else f"{head.name}_{output}" for output in head.outputs)

    return {head.name: tuple(names(head)) for head in heads}


def _tiers(people: Sequence[str], heads: Sequence[Head]) -> dict[str, _Tier]:
    names = _names(heads)
    return {
        f"{visible(person)} {visible(name)}".strip(): _Tier(person, head, index)
        for person in people
        for head in heads
        for index, name in enumerate(names[head.name])
    }


def _changes(one: _Person, tier: _Tier, first: int, last: int, text: str) -> list[Correction]:
    """Corrections for one annotation, from ``first`` up to ``last`` milliseconds, where it differs from the labels."""
    start, head = np.round(one.time * 1000).astype(int), tier.head
    rows = np.flatnonzero((start >= first) & (start < last))
    if not len(rows):
        return []
    note = "ELAN"
    if text in _DOUBTS and text not in head.outputs:
        rows = rows[head.labeled(one.labels[head.name][rows])]
        return [Correction(one.video, text, one.person, a, b, head.name, note=note) for a, b in _runs(rows, one.number)]  # type: ignore[arg-type]
    labels = one.labels[head.name][rows]
    if head.kind == "classes":
        wanted = int(parse_value(head, text).argmax())
        rows = rows[hard_labels(labels) != wanted]
        value = text
    else:
        words = ["-"] * len(head)
        words[tier.output] = text
        column = labels[:, tier.output].astype(float)
        known = column[column >= 0] if head.kind == "flags" else column[~np.isnan(column)]
        if len(known) and f"{known.mean():.3f}" == _three_decimals(text):
            return []
        value = " ".join(words)
        parse_value(head, value)
    return [Correction(one.video, "set", one.person, a, b, head.name, value, note) for a, b in _runs(rows, one.number)]


def _three_decimals(text: str) -> str:
    try:
        return f"{float(text):.3f}"
    except ValueError:
        return text


def _runs(rows: np.ndarray, number: np.ndarray) -> list[tuple[int, int]]:
    """First and last frame number of each run of neighboring rows."""
    ends = np.flatnonzero(np.diff(rows) > 1)
    firsts, lasts = rows[np.r_[0, ends + 1]] if len(rows) else rows, rows[np.r_[ends, -1]] if len(rows) else rows
    return [(int(number[a]), int(number[b])) for a, b in zip(firsts, lasts, strict=True)]


def read_eaf(path: Path) -> dict[str, list[tuple[int, int, str]]]:
    """Annotations of an ELAN file by tier: start and end in milliseconds, and text.

    Entities and document types are rejected, and nothing is fetched.

    Raises `InputError`: cannot be read, too large, or not an ELAN file.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(content) > MOST_BYTES:
        raise InputError(f"{path}: more than {MOST_BYTES >> 20} MB; expected an ELAN file of one recording")
    try:
        root = ElementTree.fromstring(content, ElementTree.XMLParser(target=_Tree()))
        if root.tag != "ANNOTATION_DOCUMENT":
            raise ConfigError(f"the root is <{root.tag[:40]}>")
        return _annotations(root)
    except (ElementTree.ParseError, ConfigError, LookupError, ValueError) as error:  # the latter two: of the encoding
        raise InputError(f"{path}: {error}; expected an ELAN file (.eaf)") from None


class _Tree(ElementTree.TreeBuilder):
    """A document without a type."""

    def doctype(self, *_: object) -> None:
        """Reject a declaration before any of its entities is read."""
        raise ConfigError("declares a document type")


def _annotations(root: ElementTree.Element) -> dict[str, list[tuple[int, int, str]]]:
    slots = {slot.get("TIME_SLOT_ID"): _time(slot.get("TIME_VALUE", "")) for slot in root.iter("TIME_SLOT")}
    found: dict[str, list[tuple[int, int, str]]] = {}
    for tier in root.iter("TIER"):
        name = tier.get("TIER_ID", "")
        rows = found.setdefault(name, [])
        for one in tier.iter("ALIGNABLE_ANNOTATION"):
            first, last = (slots.get(one.get(f"TIME_SLOT_REF{end}")) for end in (1, 2))
            if first is None or last is None:
                raise ConfigError(f"tier {name[:60]!r}: an annotation without a start or end time")
            rows.append((first, last, one.findtext("ANNOTATION_VALUE") or ""))
    return found


def _time(text: str) -> int | None:
    if text and not (text.isascii() and text.isdecimal() and len(text) <= 12):
        raise ConfigError(f"a time slot at {text[:20]!r}")
    return int(text) if text else None
