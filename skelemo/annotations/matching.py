"""Which labels belong to which recording."""

import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache, cached_property
from heapq import nlargest

from skelemo.annotations.files import count, some
from skelemo.annotations.registry import Annotation, Annotations, Recordings
from skelemo.errors import InputError
from skelemo.text import folded, video_names

#: What people and programs write after a video's name.
_ENDING = re.compile(
    r"(?:_[0-9]{12})?_keypoints$"
    r"|\.(?:json(?:\.gz)?|jsonl|ndjson|mp4|avi|mov|mkv|webm|m4v|mpe?g|wmv|flv|mts|m2ts|3gp|ogv|jpe?g|png|bmp|webp|tiff?"
    r"|wav|mp3|m4a|txt|csv|npy|npz|pkl)$",
    re.IGNORECASE,
)
_ARCHIVE = re.compile(r"\.(?:zip|tar(?:\.(?:gz|xz|bz2))?|tgz)$", re.IGNORECASE)
#: Folders that say nothing of what is in them.
_GENERIC = re.compile(
    r"(?:videos?|clips?|data|datasets?|raw|original|mp4|avi|frames?|images?|json|openpose|keypoints|poses?|out(?:put)?s?)",
    re.IGNORECASE,
)
#: What `skelemo` adds to a video's name for one of its people.
_PERSON = re.compile(r"_(?:(left|right)|person([0-9]{1,9}))$")
#: Zeros before a number: ``007``, ``clip01``.
_ZEROS = re.compile(r"(?:^|(?<=[^\W\d]))0+(?=[0-9])")
#: Names that are compared letter by letter, of those that share most pairs of letters.
_MOST_COMPARED = 50


@dataclass(frozen=True, eq=False)
class Matching:
    """Labels and recordings, paired."""

    annotations: tuple[tuple[Annotation, ...], ...]  # of each recording, one per labeled person
    unlabeled: tuple[str, ...]  # sources of the recordings that have none
    unused: tuple[Annotation, ...]  # labels that belong to no recording
    notes: tuple[str, ...] = ()

    def summary(self) -> list[str]:
        """Lines for the user: how many have labels, and who has not, with the most similar name on the other side."""
        recordings = len(self.annotations)
        lines = [f"recordings with labels: {recordings - len(self.unlabeled)} of {recordings}"]
        unused = [_named(label) for label in self.unused]
        for title, names, others in (
            ("recordings without labels", self.unlabeled, unused),
            ("labels without a recording", unused, self.unlabeled),
        ):
            if names:
                told = [*_with_nearest(names[:3], others), *names[3:]]
                lines.append(f"{title}: {count(told)}")
        return [*lines, *self.notes]


def match(annotations: Annotations, recordings: Recordings) -> Matching:
    """Find the recording of each annotation.

    An annotation's video may be called as the recording's path, as its sequences in the cache, or by its name; by any
    end of its path, or by a longer path that ends so; by the folder in which it alone lies; or as the sequence of one
    of its people, ``VIDEO_left``. Names that are written exactly so come first, then those without the endings of
    videos and of OpenPose's files, then those that differ in case, spaces, ``-``, ``_``, or leading zeros of a number,
    then those that have a path for a name, ``Action_Happy_0267``.

    Parameters
    ----------
    annotations : what a reader returned.
    recordings : (name, source) of each recording; the source is its path below the ingested folder.

    Raises
    ------
    InputError
        A name fits several recordings, a person has labels twice, or nothing matches at all.
    """
    finder = _Finder(recordings, [item.video for item in annotations.items])
    found: list[list[Annotation]] = [[] for _ in recordings]
    unused = []
    for annotation in annotations.items:
        index, person = finder.find(annotation)
        if index is None:
            unused.append(annotation)
        else:
            found[index].append(annotation if person == annotation.person else replace(annotation, person=person))
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


def _steps(text: str) -> list[str]:
    """The steps of a path, however it is written: ``C:\\data\\a.mp4``, ``./a``, ``x/../a``."""
    plain = text if text.isascii() else unicodedata.normalize("NFC", text)
    if plain.isascii() and not {*"\\.:"} & {*plain}:
        return [step for step in plain.split("/") if step]
    return [step for step in posixpath.normpath(plain.replace("\\", "/")).split("/") if step not in ("", ".", "..")]


@cache
def _without_archive(step: str) -> str:
    return _ARCHIVE.sub("", step) or step


@cache
def _loose_step(step: str) -> str:
    return _ZEROS.sub("", folded(step))


@cache
def _is_generic(step: str) -> bool:
    return _GENERIC.fullmatch(step) is not None


def _bare(steps: Sequence[str]) -> list[str]:
    """Steps without endings: of a video or an OpenPose file in the last, of an archive in any."""
    bare = [*map(_without_archive, steps)]
    while bare and (shorter := _ENDING.sub("", bare[-1])) not in ("", bare[-1]):
        bare[-1] = shorter
    return bare


def _loose(steps: Sequence[str]) -> list[str]:
    """Bare steps without what people vary, and numbers without leading zeros, which spreadsheets drop."""
    return [*map(_loose_step, _bare(steps))]


def _flat(steps: Sequence[str]) -> str:
    """A path as one name, as people flatten folders: ``Action/Happy/0267`` and ``Action_Happy_0267`` are one."""
    return _loose_step("_".join(_bare(steps)))


#: Recordings of one folder that are kept in mind, to be named.
_MOST_NAMED = 8
#: Ways of writing names, from exact to loose.
_WAYS: tuple[Callable[[Sequence[str]], list[str]], ...] = (list, _bare, _loose)


class _Index:
    """Every name of each recording, in one way of writing them: text -> positions of recordings."""

    def __init__(self, recordings: Recordings, way: Callable[[Sequence[str]], list[str]]) -> None:
        self.way = way
        sources = [source for _, source, *_ in recordings]
        self.paths = [way(_steps(source)) for source in sources]
        videos = video_names(sources)
        short = ((at, way(_steps(videos[at]))) for at in range(len(sources)) if videos[at] != sources[at])
        names = ((at, way(_steps(one[0]))) for at, one in enumerate(recordings) if not one[1].endswith(one[0]))
        ends = ((at, steps[cut:]) for at, steps in enumerate(self.paths) for cut in range(1, len(steps)))
        self.sources = _positions(enumerate(self.paths))
        self.short = _positions(short)
        self.ends = _positions(pair for pairs in (names, ends) for pair in pairs)

    def whole(self, text: str) -> list[int] | None:
        """Recordings whose path, or whose sequences' name, a text is."""
        return self.sources.get(text) or self.short.get(text)

    @cached_property
    def folders(self) -> dict[str, list[int]]:
        """Some of the recordings below each folder, by any piece of its path."""
        inside: dict[tuple[str, ...], list[int]] = {}
        for at, steps in enumerate(self.paths):
            for end in range(1, len(steps)):
                if len(known := inside.setdefault(tuple(steps[:end]), [])) < _MOST_NAMED:
                    known.append(at)
        return _positions(
            (at, steps[begin:]) for steps, known in inside.items() for at in known for begin in range(len(steps))
        )


class _Finder:
    """Recordings by all their names."""

    def __init__(self, recordings: Recordings, videos: Sequence[str]) -> None:
        self.recordings = recordings
        self._made: dict[int, _Index] = {}
        self._flattened: dict[str, list[int]] | None = None
        self._root = _common([_steps(video)[:-1] for video in videos])

    def _indices(self) -> Iterator[_Index]:
        """From exact names to loose ones; each is made when it is needed."""
        for at, way in enumerate(_WAYS):
            if at not in self._made:
                self._made[at] = _Index(self.recordings, way)
            yield self._made[at]

    def find(self, annotation: Annotation) -> tuple[int | None, str]:
        """Position of the recording that an annotation is for, None when there is none; and its person."""
        steps = _steps(annotation.video)
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
            paths = enumerate(_steps(source) for _, source, *_ in self.recordings)
            self._flattened = _positions((at, [_flat(path[cut:])]) for at, path in paths for cut in range(len(path)))
        for cut in range(max(1, len(steps) - 1)):
            if (flat := _flat(steps[cut:])) in self._flattened:
                return self._flattened[flat]
        return None

    def _without_root(self, steps: list[str]) -> list[str]:
        """A path without the folder that all labels have in common, where what it says is not lost.

        The name alone is left only where that folder has a name such as ``videos``: ``anna/clip1`` is not ``clip1``.
        """
        root = self._root
        generic = [at for at, step in enumerate(steps[:-1]) if _is_generic(step)]
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


def _positions(names: Iterable[tuple[int, Sequence[str]]]) -> dict[str, list[int]]:
    positions: dict[str, list[int]] = {}
    for position, steps in names:
        known = positions.setdefault("/".join(steps), [])
        if steps and position not in known[-_MOST_NAMED:]:
            known.append(position)
    return positions


def _common(paths: Sequence[list[str]]) -> list[str]:
    """The steps that all paths begin with."""
    if not paths:
        return []
    low, high = min(paths), max(paths)
    same = next((at for at, (one, other) in enumerate(zip(low, high, strict=False)) if one != other), len(low))
    return low[: min(same, len(high))]


def _with_nearest(names: Sequence[str], others: Sequence[str]) -> Iterator[str]:
    """Names, each with the most similar of the others."""
    plain = {_last(other): other for other in others}
    pairs = {name: _letter_pairs(name) for name in plain}
    for name in names:
        mine = _letter_pairs(key := _last(name))
        likely = nlargest(_MOST_COMPARED, pairs, key=lambda other: len(mine & pairs[other]))
        near = get_close_matches(key, likely, n=1, cutoff=0.7)
        yield f"{name}; most similar is {plain[near[0]]}" if near else name


def _last(name: str) -> str:
    return posixpath.basename("/".join(_loose(_steps(name))))


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
