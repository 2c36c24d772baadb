"""Labels that are folders: the name of the folder that a recording lies in is its class."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from skelemo.annotations.class_names import Words, class_head
from skelemo.annotations.files import some
from skelemo.annotations.registry import SUBSETS, Annotation, Annotations, Recordings, reader
from skelemo.errors import InputError


@reader("folders", labels="class folders: PATH/happy/…, PATH/sad/…, or PATH/train/happy/… and PATH/test/happy/…")
def read_folders(path: Path, source: Path, recordings: Recordings, *, words: Words | None = None) -> Annotations:
    """Label every recording below ``path`` with the first folder on its way down.

    Where all those folders are subsets (train, validation or val, test), they become column ``split`` and the next
    folder down is the class. Names that all mean one of the seven emotions give the seven; otherwise they are the
    classes. Recordings in no class folder have no label.

    Raises `InputError`: there are no class folders, or ``path`` is not above any recording.
    """
    places = dict(_places_below(path, source, recordings))
    tops = {steps[0] for steps, is_folder in places.values() if _folder_at(0, steps, is_folder)}
    if not tops:
        raise InputError(
            f"{path}: no recording of {source} lies in a folder here; expected class folders such as happy/"
        )
    depth = 1 if {top.casefold() for top in tops} <= SUBSETS.keys() else 0
    folders = {video: word for video, place in places.items() if (word := _folder_at(depth, *place))}
    if not folders:
        raise InputError(f"{path}: no recording lies in a class folder inside {some(sorted(tops))}")
    head, index, notes = class_head(folders.values(), path, said=words, noun="recording")
    items = tuple(
        Annotation(
            video=video,
            splits={"split": SUBSETS[places[video][0][0].casefold()]} if depth else {},
            labels={head.name: np.array([index[word]], np.int16)},
            source=str(path.joinpath(*places[video][0][: depth + 1])),
        )
        for video, word in folders.items()
    )
    return Annotations((head,), items, (*notes, *_remarks(folders)))


def _places_below(
    path: Path, source: Path, recordings: Recordings
) -> Iterator[tuple[str, tuple[tuple[str, ...], bool]]]:
    """Source of each recording below ``path``, with the steps down to it and whether the last of them is a folder."""
    top, start = Path(os.path.abspath(path)), Path(os.path.abspath(source))
    for _, video, *said in recordings:
        place = start / video
        if place.is_relative_to(top):
            yield video, (place.relative_to(top).parts, bool(said[0]) if said else place.is_dir())


def _folder_at(depth: int, steps: tuple[str, ...], is_folder: bool) -> str:
    """The folder at that step on the way to a recording; "" when the way is shorter.

    The last step is the stem of the recording's files, or their own folder where the files have no stem.
    """
    if len(steps) > depth + 1 or (len(steps) == depth + 1 and is_folder):
        return steps[depth]
    return ""


def _remarks(folders: dict[str, str]) -> Iterator[str]:
    if len(set(folders.values())) == 1:
        word = next(iter(folders.values()))
        yield f"all {len(folders)} recordings lie in one folder, {word!r}; if the classes are inside it, give its path"
