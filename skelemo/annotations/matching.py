"""Which labels belong to which recording."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from skelemo.annotations.files import count, some
from skelemo.annotations.registry import Annotation, Annotations, Recordings
from skelemo.errors import InputError

_VIDEO_ENDING = re.compile(r"\.(mp4|avi|mov|mkv|webm|m4v|mpe?g|wmv|flv)$", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Matching:
    """Labels and recordings, paired."""

    annotations: tuple[tuple[Annotation, ...], ...]  # of each recording, one per labeled person
    unlabeled: tuple[str, ...]  # sources of the recordings that have none
    unused: tuple[Annotation, ...]  # labels that belong to no recording
    notes: tuple[str, ...] = ()

    def summary(self) -> list[str]:
        """Lines for the user: how many have labels, and who has not."""
        recordings = len(self.annotations)
        lines = [f"recordings with labels: {recordings - len(self.unlabeled)} of {recordings}"]
        if self.unlabeled:
            lines.append(f"recordings without labels: {count(self.unlabeled)}")
        if self.unused:
            lines.append(f"labels without a recording: {count([_named(label) for label in self.unused])}")
        return [*lines, *self.notes]


def match(annotations: Annotations, recordings: Recordings) -> Matching:
    """Find the recording of each annotation.

    An annotation's video is the recording of exactly that source; else of exactly that name; else the same without a
    video file's ending; else, where videos are named by numbers, of the same number. Names are compared as Unicode NFC.

    Parameters
    ----------
    annotations : what a reader returned.
    recordings : (name, source) of each recording; the source is its path below the ingested folder.

    Raises
    ------
    InputError
        A name fits several recordings, a person has labels twice, or nothing matches at all.
    """
    finder = _Finder(recordings, annotations.numbered)
    found: list[list[Annotation]] = [[] for _ in recordings]
    unused = []
    for annotation in annotations.items:
        index = finder.find(annotation)
        if index is None:
            unused.append(annotation)
        else:
            found[index].append(annotation)
    if not any(found):
        raise _nothing_matches(annotations, recordings)
    sources = [source for _, source, *_ in recordings]
    for source, labels in zip(sources, found, strict=True):
        _check_persons(source, labels)
    return Matching(
        annotations=tuple(tuple(sorted(labels, key=lambda label: label.person)) for labels in found),
        unlabeled=tuple(source for source, labels in zip(sources, found, strict=True) if not labels),
        unused=tuple(unused),
        notes=tuple(_mixed_persons(zip(sources, found, strict=True))),
    )


class _Finder:
    """Recordings by source, by name and by number."""

    def __init__(self, recordings: Recordings, numbered: bool) -> None:
        self.sources = [source for _, source, *_ in recordings]
        self.by_source = _positions(self.sources)
        self.by_name = _positions(name for name, *_ in recordings)
        self.by_number = _positions(_number(name) for name, *_ in recordings) if numbered else {}

    def find(self, annotation: Annotation) -> int | None:
        """Position of the recording that the annotation is for; None when there is none."""
        video = _canonical(annotation.video)
        for text in dict.fromkeys((video, _VIDEO_ENDING.sub("", video))):
            for positions in (self.by_source.get(text), self.by_name.get(text), self.by_number.get(_number(text))):
                if positions:
                    return self._only(positions, annotation)
        return None

    def _only(self, positions: list[int], annotation: Annotation) -> int:
        if len(positions) == 1:
            return positions[0]
        sources = [repr(self.sources[position]) for position in positions]
        raise InputError(
            f"{annotation.source}: labels for {annotation.video!r} could be for {some(sources, 2)}; "
            "name the recording by its path below the ingested folder"
        )


def _positions(keys: Iterable[str]) -> dict[str, list[int]]:
    positions = defaultdict(list)
    for position, key in enumerate(keys):
        if key:
            positions[_canonical(key)].append(position)
    return dict(positions)


def _canonical(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _number(text: str) -> str:
    """A whole number without its leading zeros; "" for any other text."""
    return (text.lstrip("0") or "0") if text.isascii() and text.isdigit() else ""


def _named(annotation: Annotation) -> str:
    return f"{annotation.video} ({annotation.person})" if annotation.person else annotation.video


def _check_persons(source: str, labels: list[Annotation]) -> None:
    first: dict[str, Annotation] = {}
    for label in labels:
        other = first.setdefault(label.person, label)
        if other is not label:
            person = f"person {label.person!r} of recording" if label.person else "recording"
            raise InputError(
                f"{person} {source!r} has labels twice: as {other.video!r} in {other.source} "
                f"and as {label.video!r} in {label.source}; keep one"
            )


def _mixed_persons(found: Iterable[tuple[str, list[Annotation]]]) -> Iterator[str]:
    mixed = [source for source, labels in found if len(labels) > 1 and any(not label.person for label in labels)]
    if mixed:
        yield (
            "recordings with labels for a named person and for nobody in particular, who is chosen by --person and "
            f"may be the same: {count(mixed)}"
        )


def _nothing_matches(annotations: Annotations, recordings: Recordings) -> InputError:
    if not annotations.items:
        return InputError("there are no labels to match: the label files name no video")
    if not recordings:
        return InputError("there are no recordings to match the labels with")
    videos = [repr(video) for video in dict.fromkeys(item.video for item in annotations.items)]
    names = [repr(name) for name in dict.fromkeys(name for name, *_ in recordings)]
    return InputError(
        f"no label is for any recording: labels are for {some(videos)}; recordings are {some(names)} "
        f"(or by path {recordings[0][1]!r}); are they of the same data set?"
    )
