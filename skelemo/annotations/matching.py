"""Matches labels with recordings."""

import itertools
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from heapq import nlargest

import numpy as np

from skelemo.annotations.registry import Annotation, Annotations, Recordings
from skelemo.annotations.spellings import SPELLINGS, Index, by_text, flattened, is_generic, loose, path_steps
from skelemo.errors import InputError
from skelemo.text import some, tally, video_names

#: Suffix of a sequence's name for one of a video's people.
_PERSON = re.compile(r"_(?:(left|right)|person([0-9]{1,9}))$")
#: Largest number of frames of a sequence; longer recordings are split into pieces named by their first frame.
LONGEST = 65_536
_PIECE = re.compile(r"_from([0-9]{1,9})(?=_left$|_right$|_person[0-9]{1,9}$|$)")
#: Number of names compared letter by letter, those with the most common pairs of letters.
_MOST_COMPARED = 50


#: Between a name and the most similar one.
_NEAREST = ", most similar to "


@dataclass(frozen=True, eq=False)
class Matching:
    """Labels and recordings, paired."""

    annotations: tuple[tuple[Annotation, ...], ...]  # of each recording, one per labeled person
    unlabeled: tuple[str, ...]  # sources of the recordings without labels
    unused: tuple[Annotation, ...]  # labels without a recording
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()  # of all recordings
    videos: tuple[str, ...] = ()  # of all labels

    def summary(self, outside: int = 0) -> list[str]:
        """Lines for the user: the number of labeled recordings, and unmatched names with the most similar other one.

        ``outside`` is the number of recordings whose labels are all outside their frames.
        """
        recordings = len(self.annotations)
        lines = [f"recordings with labels: {recordings - len(self.unlabeled) - outside} of {recordings}"]
        unused = [_named(label) for label in self.unused]
        shown = dict(zip(self.sources, video_names(self.sources), strict=True))
        unlabeled = [shown[source] for source in self.unlabeled]
        for title, names, others, rest in (
            ("recordings without labels", unlabeled, unused, self.videos),
            ("labels without a recording", unused, unlabeled, [*shown.values()]),
        ):
            if names:
                named = "; ".join(_with_nearest(names[:3], others, rest))
                more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
                lines.append(f"{title}: {len(names):,} ({named}{more})")
        return [*lines, *self.notes]


def match(annotations: Annotations, recordings: Recordings) -> Matching:
    """Find the recording of each annotation.

    An annotation's video may be the recording's path, name, or the name of its sequences in the cache; any end of its
    path, or a longer path with this end; the folder that contains only this recording; or the sequence of one of its
    people, ``VIDEO_left``. Exact names are preferred, then names without the endings of videos and of OpenPose's files,
    then names that differ in case, spaces, ``-``, ``_`` or leading zeros, then paths joined to a name,
    ``Action_Happy_0267``.

    Raises `InputError`: a name matches several recordings, a person has two labels, or nothing matches.
    """
    finder = _Finder(recordings, [item.video for item in annotations.items])
    found: list[list[Annotation]] = [[] for _ in recordings]
    unused = []
    for annotation in annotations.items:
        index, person = finder.find(annotation)
        if index is None and (piece := _PIECE.search(annotation.video)):
            annotation = _from_frame(annotation, piece)
            index, person = finder.find(annotation)
        if index is None:
            unused.append(annotation)
        else:
            found[index].append(annotation if person == annotation.person else replace(annotation, person=person))
    if not any(found):
        raise _nothing_matches(annotations, recordings)
    sources = [source for _, source, *_ in recordings]
    found = [_join_pieces(labels) for labels in found]
    for source, labels in zip(sources, found, strict=True):
        _check_persons(source, labels)
    return Matching(
        annotations=tuple(tuple(sorted(labels, key=lambda label: label.person)) for labels in found),
        unlabeled=tuple(source for source, labels in zip(sources, found, strict=True) if not labels),
        unused=tuple(unused),
        notes=tuple(_mixed_persons(zip(sources, found, strict=True))),
        sources=tuple(sources),
        videos=tuple(_named(item) for item in annotations.items),
    )


def _from_frame(annotation: Annotation, piece: re.Match[str]) -> Annotation:
    """Convert labels of a piece of a long recording to labels of the recording, for the frames of the piece."""
    video, first = annotation.video[: piece.start()] + annotation.video[piece.end() :], int(piece[1])
    if annotation.number is not None:
        return replace(annotation, video=video)
    last = np.array([first + LONGEST - 1], np.int32)
    return replace(annotation, video=video, number=np.array([first], np.int32), end=last, open_end=True)


def _join_pieces(labels: list[Annotation]) -> list[Annotation]:
    """Concatenate annotations of successive frames of one person."""
    if len(labels) < 2:
        return labels
    found: list[Annotation] = []
    for label in sorted(labels, key=lambda label: (label.person, -1 if label.last is None else label.last)):
        before = found[-1] if found else None
        if before and label.number is not None and _continues(before, label):
            number, end = (
                np.concatenate([getattr(piece, name) for piece in (before, label)]) for name in ("number", "end")
            )
            joined = {name: np.concatenate([before.labels[name], label.labels[name]]) for name in label.labels}
            found[-1] = replace(before, number=number, end=end, labels=joined, open_end=label.open_end)
        else:
            found.append(label)
    return found


def _continues(before: Annotation, label: Annotation) -> bool:
    """Whether an annotation can be appended to another."""
    same = all(
        getattr(before, name) == getattr(label, name) for name in ("person", "subject", "splits", "unit", "source")
    )
    intervals = before.end is not None and label.end is not None and before.labels.keys() == label.labels.keys()
    last = before.last
    return same and intervals and last is not None and label.number is not None and last < int(label.number[0])


class _Finder:
    """Finds recordings by all their names."""

    def __init__(self, recordings: Recordings, videos: Sequence[str]) -> None:
        self.recordings = recordings
        self._indices = [Index(recordings, spelling) for spelling in SPELLINGS]
        self._root = os.path.commonprefix([path_steps(video)[:-1] for video in videos])  # noqa: RUF071 - lists of steps

    @cached_property
    def _flattened(self) -> dict[str, list[int]]:
        """Recordings by any end of their path, joined to one name."""
        paths = enumerate(path_steps(source) for _, source, *_ in self.recordings)
        return by_text((at, [flattened(path[cut:])]) for at, path in paths for cut in range(len(path)))

    def find(self, annotation: Annotation) -> tuple[int | None, str]:
        """Index of an annotation's recording, None without a match; and its person."""
        steps = path_steps(annotation.video)
        if (found := self._look_up(steps)) is not None:
            return self._only(found, annotation), annotation.person
        if steps and not annotation.person and (person := _PERSON.search(steps[-1])):
            found = self._look_up([*steps[:-1], steps[-1][: person.start()]])
            if found is not None:
                return self._only(found, annotation), person[1] or str(int(person[2]))
        return None, annotation.person

    def _look_up(self, steps: list[str]) -> list[int] | None:
        for index in self._indices:
            spelled = index.spelling(steps)
            text = "/".join(spelled)
            if found := index.exact.get(text) or index.ends.get(text):
                return found
            for cut in range(1, len(spelled)):
                if found := index.exact.get("/".join(spelled[cut:])):
                    return found
            if found := index.ends.get("/".join(self._without_root(spelled))):
                return found
        for index in self._indices:
            if (text := "/".join(index.spelling(steps))) in index.folders:
                return index.folders[text]
        for cut in range(max(1, len(steps) - 1)):
            if (name := flattened(steps[cut:])) in self._flattened:
                return self._flattened[name]
        return None

    def _without_root(self, steps: list[str]) -> list[str]:
        """A path without the common folder of all labels.

        Only generic folders such as ``videos`` are removed down to the bare name: ``anna/clip1`` is not ``clip1``.
        """
        root = self._root
        generic = [at for at, step in enumerate(steps[:-1]) if is_generic(step)]
        cut = len(root) if len(steps) - len(root) > 1 else 0
        return steps[max([cut, *(at + 1 for at in generic)]) :]

    def _only(self, positions: list[int], annotation: Annotation) -> int:
        if len(positions) == 1:
            return positions[0]
        sources = [repr(self.recordings[position][1]) for position in positions]
        raise InputError(
            f"{annotation.source}: labels for {annotation.video!r} match {some(sources)}; "
            "name the recording by its path in the ingested folder"
        )


def _with_nearest(names: Sequence[str], *candidates: Sequence[str]) -> Iterator[str]:
    """Names, each with the most similar one of the first candidates with a similar name."""
    plain = [{_last(other): other for other in others} for others in candidates]
    pairs = [{name: _letter_pairs(name) for name in keys} for keys in plain]
    for name in names:
        near = next(filter(None, map(_nearest, itertools.repeat(_last(name)), pairs, plain)), "")
        yield f"{name}{_NEAREST}{near}" if near else name


def _nearest(key: str, pairs: Mapping[str, set[str]], plain: Mapping[str, str]) -> str:
    mine = _letter_pairs(key)
    likely = nlargest(_MOST_COMPARED, pairs, key=lambda other: len(mine & pairs[other]))
    near = get_close_matches(key, likely, n=1, cutoff=0.7)
    return plain[near[0]] if near else ""


def _last(name: str) -> str:
    return posixpath.basename("/".join(loose(path_steps(name))))


def _letter_pairs(name: str) -> set[str]:
    return {name[at : at + 2] for at in range(len(name) - 1)}


def _named(annotation: Annotation) -> str:
    return f"{annotation.video} ({annotation.person})" if annotation.person else annotation.video


def _check_persons(source: str, labels: list[Annotation]) -> None:
    first: dict[str, Annotation] = {}
    for label in labels:
        other = first.setdefault(label.person, label)
        if other is not label:
            person = f"person {label.person!r} of recording" if label.person else "recording"
            raise InputError(
                f"{person} {source!r} is labeled twice: as {other.video!r} in {other.source} "
                f"and as {label.video!r} in {label.source}; keep one"
            )


def _mixed_persons(found: Iterable[tuple[str, list[Annotation]]]) -> Iterator[str]:
    mixed = [source for source, labels in found if len(labels) > 1 and any(not label.person for label in labels)]
    if mixed:
        yield (
            "recordings with labels for a named and an unnamed person, who is selected by --person and may be the "
            f"same: {tally(mixed)}"
        )


def _nothing_matches(annotations: Annotations, recordings: Recordings) -> InputError:
    if not annotations.items:
        return InputError("the label files contain no labels")
    if not recordings:
        return InputError("there are no recordings to match with the labels")
    listed = [*dict.fromkeys(item.video for item in annotations.items)]
    sources = [source for _, source, *_ in recordings]
    names = [repr(name) for name in dict.fromkeys(name for name, *_ in recordings)]
    near = [text for text in _with_nearest(listed[:50], sources) if _NEAREST in text]
    hint = f"the most similar pair is {near[0].replace(_NEAREST, ' and ')}; " if near else ""
    return InputError(
        f"no label matches a recording: labels are for {some([repr(video) for video in listed])}; recordings are "
        f"{some(names)} (or by path {recordings[0][1]!r}); {hint}are they from the same data set?"
    )
