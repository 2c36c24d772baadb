"""Spellings of recordings' names in labels: paths, endings, case, spaces and zeros."""

import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cache, cached_property
from itertools import chain

from skelemo.annotations.registry import Recordings
from skelemo.text import folded, video_names

#: Endings after a video's name.
_ENDING = re.compile(
    r"(?:_[0-9]{12})?_keypoints$"
    r"|\.(?:json(?:\.gz)?|jsonl|ndjson|mp4|avi|mov|mkv|webm|m4v|mpe?g|wmv|flv|mts|m2ts|3gp|ogv|jpe?g|png|bmp|webp|tiff?"
    r"|wav|mp3|m4a|txt|csv|npy|npz|pkl)$",
    re.IGNORECASE,
)
_ARCHIVE = re.compile(r"\.(?:zip|tar(?:\.(?:gz|xz|bz2))?|tgz)$", re.IGNORECASE)
#: Generic names of folders.
_GENERIC = re.compile(
    r"(?:videos?|clips?|data|datasets?|raw|original|mp4|avi|frames?|images?|json|openpose|keypoints|poses?|out(?:put)?s?)",
    re.IGNORECASE,
)
#: Zeros before a number: ``007``, ``clip01``.
_ZEROS = re.compile(r"(?:^|(?<=[^\W\d]))0+(?=[0-9])")


def path_steps(text: str) -> list[str]:
    """The components of a path in any notation: ``C:\\data\\a.mp4``, ``./a``, ``x/../a``."""
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
def is_generic(step: str) -> bool:
    """Whether a folder's name is generic, such as ``videos``."""
    return _GENERIC.fullmatch(step) is not None


def without_endings(steps: Sequence[str]) -> list[str]:
    """A path without the ending of a video or an OpenPose file, and without endings of archives."""
    bare = [*map(_without_archive, steps)]
    while bare and (shorter := _ENDING.sub("", bare[-1])) not in ("", bare[-1]):
        bare[-1] = shorter
    return bare


def loose(steps: Sequence[str]) -> list[str]:
    """A path without endings, case, separators and leading zeros, which spreadsheets drop."""
    return [*map(_loose_step, without_endings(steps))]


def flattened(steps: Sequence[str]) -> str:
    """A path joined to one name: ``Action/Happy/0267`` and ``Action_Happy_0267`` are equal."""
    return _loose_step("_".join(without_endings(steps)))


#: Recordings listed per folder, for messages.
_MOST_LISTED = 8
#: Spellings of names, from exact to loose.
SPELLINGS: tuple[Callable[[Sequence[str]], list[str]], ...] = (list, without_endings, loose)


class Index:
    """Indices of recordings by every name, in one spelling."""

    def __init__(self, recordings: Recordings, spelling: Callable[[Sequence[str]], list[str]]) -> None:
        self.recordings, self.spelling = recordings, spelling

    @cached_property
    def paths(self) -> list[list[str]]:
        """The path of each recording."""
        return [self.spelling(path_steps(source)) for _, source, *_ in self.recordings]

    @cached_property
    def exact(self) -> dict[str, list[int]]:
        """Recordings by path, or else by the name of their sequences."""
        sources = [source for _, source, *_ in self.recordings]
        renamed = [(at, name) for at, name in enumerate(video_names(sources)) if name != sources[at]]
        return by_text((at, self.spelling(path_steps(name))) for at, name in renamed) | by_text(enumerate(self.paths))

    @cached_property
    def ends(self) -> dict[str, list[int]]:
        """Recordings by name, and by any end of their path."""
        others = ((at, name) for at, (name, source, *_) in enumerate(self.recordings) if not source.endswith(name))
        names = ((at, self.spelling(path_steps(name))) for at, name in others)
        return by_text(
            chain(names, ((at, path[cut:]) for at, path in enumerate(self.paths) for cut in range(1, len(path))))
        )

    @cached_property
    def folders(self) -> dict[str, list[int]]:
        """Some of the recordings below each folder, by any end of the folder's path."""
        inside: dict[tuple[str, ...], list[int]] = {}
        for at, steps in enumerate(self.paths):
            for end in range(1, len(steps)):
                if len(listed := inside.setdefault(tuple(steps[:end]), [])) < _MOST_LISTED:
                    listed.append(at)
        return by_text(
            (at, steps[begin:]) for steps, listed in inside.items() for at in listed for begin in range(len(steps))
        )


def by_text(names: Iterable[tuple[int, Sequence[str]]]) -> dict[str, list[int]]:
    """Distinct indices by path."""
    found: dict[str, list[int]] = {}
    for at, steps in names:
        listed = found.setdefault("/".join(steps), [])
        if steps and at not in listed[-_MOST_LISTED:]:
            listed.append(at)
    return found
