"""The names of recordings as people write them: paths, endings, case, spaces and zeros."""

import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cache, cached_property

from skelemo.annotations.registry import Recordings
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
#: Zeros before a number: ``007``, ``clip01``.
_ZEROS = re.compile(r"(?:^|(?<=[^\W\d]))0+(?=[0-9])")


def path_steps(text: str) -> list[str]:
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
def is_generic(step: str) -> bool:
    """Whether a folder's name says nothing of what is in it."""
    return _GENERIC.fullmatch(step) is not None


def without_endings(steps: Sequence[str]) -> list[str]:
    """Steps without endings: of a video or an OpenPose file in the last, of an archive in any."""
    bare = [*map(_without_archive, steps)]
    while bare and (shorter := _ENDING.sub("", bare[-1])) not in ("", bare[-1]):
        bare[-1] = shorter
    return bare


def loosely(steps: Sequence[str]) -> list[str]:
    """Bare steps without what people vary, and numbers without leading zeros, which spreadsheets drop."""
    return [*map(_loose_step, without_endings(steps))]


def flattened(steps: Sequence[str]) -> str:
    """A path as one name, as people flatten folders: ``Action/Happy/0267`` and ``Action_Happy_0267`` are one."""
    return _loose_step("_".join(without_endings(steps)))


#: Recordings of one folder that are kept in mind, to be named.
_MOST_NAMED = 8
#: Ways of writing names, from exact to loose.
WAYS: tuple[Callable[[Sequence[str]], list[str]], ...] = (list, without_endings, loosely)


class Index:
    """Every name of each recording, in one way of writing them: text -> positions of recordings."""

    def __init__(self, recordings: Recordings, way: Callable[[Sequence[str]], list[str]]) -> None:
        self.way = way
        sources = [source for _, source, *_ in recordings]
        self.paths = [way(path_steps(source)) for source in sources]
        videos = video_names(sources)
        short = ((at, way(path_steps(videos[at]))) for at in range(len(sources)) if videos[at] != sources[at])
        names = ((at, way(path_steps(one[0]))) for at, one in enumerate(recordings) if not one[1].endswith(one[0]))
        ends = ((at, steps[cut:]) for at, steps in enumerate(self.paths) for cut in range(1, len(steps)))
        self.sources = by_text(enumerate(self.paths))
        self.short = by_text(short)
        self.ends = by_text(pair for pairs in (names, ends) for pair in pairs)

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
        return by_text(
            (at, steps[begin:]) for steps, known in inside.items() for at in known for begin in range(len(steps))
        )


def by_text(names: Iterable[tuple[int, Sequence[str]]]) -> dict[str, list[int]]:
    """Positions by the text of their steps, each once."""
    positions: dict[str, list[int]] = {}
    for position, steps in names:
        known = positions.setdefault("/".join(steps), [])
        if steps and position not in known[-_MOST_NAMED:]:
            known.append(position)
    return positions
