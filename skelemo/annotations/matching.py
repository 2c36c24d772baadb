"""Which labels belong to which recording."""

import itertools
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from heapq import nlargest

import numpy as np

from skelemo.annotations.files import count, some
from skelemo.annotations.registry import Annotation, Annotations, Recordings
from skelemo.annotations.spellings import WAYS, Index, by_text, flattened, is_generic, loosely, path_steps
from skelemo.errors import InputError

#: What `skelemo` adds to a video's name for one of its people.
_PERSON = re.compile(r"_(?:(left|right)|person([0-9]{1,9}))$")
#: Frames of a sequence at most; what a longer recording's are called says from which frame they are.
LONGEST = 65_536
_PIECE = re.compile(r"_from([0-9]{1,9})(?=_left$|_right$|_person[0-9]{1,9}$|$)")
#: Names that are compared letter by letter, of those that share most pairs of letters.
_MOST_COMPARED = 50


@dataclass(frozen=True, eq=False)
class Matching:
    """Labels and recordings, paired."""

    annotations: tuple[tuple[Annotation, ...], ...]  # of each recording, one per labeled person
    unlabeled: tuple[str, ...]  # sources of the recordings that have none
    unused: tuple[Annotation, ...]  # labels that belong to no recording
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()  # of all recordings
    videos: tuple[str, ...] = ()  # of all labels

    def summary(self) -> list[str]:
        """Lines for the user: how many have labels, and who has not, with the most similar name on the other side."""
        recordings = len(self.annotations)
        lines = [f"recordings with labels: {recordings - len(self.unlabeled)} of {recordings}"]
        unused = [_named(label) for label in self.unused]
        for title, names, others, rest in (
            ("recordings without labels", self.unlabeled, unused, self.videos),
            ("labels without a recording", unused, self.unlabeled, self.sources),
        ):
            if names:
                told = [*_with_nearest(names[:3], others, rest), *names[3:]]
                lines.append(f"{title}: {count(told)}")
        return [*lines, *self.notes]


def match(annotations: Annotations, recordings: Recordings) -> Matching:
    """Find the recording of each annotation.

    An annotation's video may be called as the recording's path, as its sequences in the cache, or by its name; by any
    end of its path, or by a longer path that ends so; by the folder in which it alone lies; or as the sequence of one
    of its people, ``VIDEO_left``. Names that are written exactly so come first, then those without the endings of
    videos and of OpenPose's files, then those that differ in case, spaces, ``-``, ``_``, or leading zeros of a number,
    then those that have a path for a name, ``Action_Happy_0267``.

    Raises `InputError`: a name fits several recordings, a person has labels twice, or nothing matches at all.
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
    found = [_joined(labels) for labels in found]
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
    """Labels for a sequence of a long recording as labels of the recording, for these frames alone."""
    video, first = annotation.video[: piece.start()] + annotation.video[piece.end() :], int(piece[1])
    if annotation.number is not None:
        return replace(annotation, video=video)
    last = np.array([first + LONGEST - 1], np.int32)
    return replace(annotation, video=video, number=np.array([first], np.int32), end=last, open_end=True)


def _joined(labels: list[Annotation]) -> list[Annotation]:
    """Labels for frames that follow each other, of one person of a recording, as one; others as they are."""
    if len(labels) < 2:
        return labels
    found: list[Annotation] = []
    for one in sorted(labels, key=lambda label: (label.person, -1 if label.last is None else label.last)):
        before = found[-1] if found else None
        if before and before.person == one.person and one.number is not None and _follows(before, one):
            number, end = (
                np.concatenate([getattr(which, name) for which in (before, one)]) for name in ("number", "end")
            )
            joined = {name: np.concatenate([before.labels[name], one.labels[name]]) for name in one.labels}
            found[-1] = replace(before, number=number, end=end, labels=joined, open_end=one.open_end)
        else:
            found.append(one)
    return found


def _follows(before: Annotation, one: Annotation) -> bool:
    """Whether two annotations in order can be one."""
    same = (one.subject, one.splits, one.unit, one.source) == (
        before.subject,
        before.splits,
        before.unit,
        before.source,
    )
    known = before.end is not None and one.end is not None and before.labels.keys() == one.labels.keys()
    last = before.last
    return same and known and last is not None and one.number is not None and last < int(one.number[0])


class _Finder:
    """Recordings by all their names."""

    def __init__(self, recordings: Recordings, videos: Sequence[str]) -> None:
        self.recordings = recordings
        self._made: dict[int, Index] = {}
        self._flattened: dict[str, list[int]] | None = None
        self._root = os.path.commonprefix([path_steps(video)[:-1] for video in videos])  # noqa: RUF071 - lists of steps

    def _indices(self) -> Iterator[Index]:
        """From exact names to loose ones; each is made when it is needed."""
        for at, way in enumerate(WAYS):
            if at not in self._made:
                self._made[at] = Index(self.recordings, way)
            yield self._made[at]

    def find(self, annotation: Annotation) -> tuple[int | None, str]:
        """Position of the recording that an annotation is for, None when there is none; and its person."""
        steps = path_steps(annotation.video)
        if (found := self._look_up(steps)) is not None:
            return self._only(found, annotation), annotation.person
        if steps and not annotation.person and (person := _PERSON.search(steps[-1])):
            found = self._look_up([*steps[:-1], steps[-1][: person.start()]])
            if found is not None:
                return self._only(found, annotation), person[1] or str(int(person[2]))
        return None, annotation.person

    def _look_up(self, steps: list[str]) -> list[int] | None:
        for index in self._indices():
            mine = index.way(steps)
            text = "/".join(mine)
            if found := index.whole(text) or index.ends.get(text):
                return found
            for cut in range(1, len(mine)):
                if found := index.whole("/".join(mine[cut:])):
                    return found
            rest = self._without_root(mine)
            if rest and (end := "/".join(rest)) in index.ends:
                return index.ends[end]
        for index in self._indices():
            if (text := "/".join(index.way(steps))) in index.folders:
                return index.folders[text]
        if self._flattened is None:
            paths = enumerate(path_steps(source) for _, source, *_ in self.recordings)
            self._flattened = by_text((at, [flattened(path[cut:])]) for at, path in paths for cut in range(len(path)))
        for cut in range(max(1, len(steps) - 1)):
            if (name := flattened(steps[cut:])) in self._flattened:
                return self._flattened[name]
        return None

    def _without_root(self, steps: list[str]) -> list[str]:
        """A path without the folder that all labels have in common, where what it says is not lost.

        The name alone is left only where that folder has a name such as ``videos``: ``anna/clip1`` is not ``clip1``.
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
            f"{annotation.source}: labels for {annotation.video!r} could be for {some(sources)}; "
            "name the recording by its path below the ingested folder"
        )


def _with_nearest(names: Sequence[str], *candidates: Sequence[str]) -> Iterator[str]:
    """Names, each with the most similar one of the first candidates among which there is any."""
    plain = [{_last(other): other for other in others} for others in candidates]
    pairs = [{name: _letter_pairs(name) for name in keys} for keys in plain]
    for name in names:
        near = next(filter(None, map(_nearest, itertools.repeat(_last(name)), pairs, plain)), "")
        yield f"{name}; most similar is {near}" if near else name


def _nearest(key: str, pairs: Mapping[str, set[str]], plain: Mapping[str, str]) -> str:
    mine = _letter_pairs(key)
    likely = nlargest(_MOST_COMPARED, pairs, key=lambda other: len(mine & pairs[other]))
    near = get_close_matches(key, likely, n=1, cutoff=0.7)
    return plain[near[0]] if near else ""


def _last(name: str) -> str:
    return posixpath.basename("/".join(loosely(path_steps(name))))


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
    listed = [*dict.fromkeys(item.video for item in annotations.items)]
    sources = [source for _, source, *_ in recordings]
    names = [repr(name) for name in dict.fromkeys(name for name, *_ in recordings)]
    near = [told for told in _with_nearest(listed[:50], sources) if "; most similar is " in told]
    hint = f"the most similar pair is {near[0].replace('; most similar is ', ' and ')}; " if near else ""
    return InputError(
        f"no label is for any recording: labels are for {some([repr(video) for video in listed])}; recordings are "
        f"{some(names)} (or by path {recordings[0][1]!r}); {hint}are they of the same data set?"
    )
