"""Class folders: the name of a recording's folder is its label."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from skelemo.annotations.class_names import Words, class_head
from skelemo.annotations.registry import SUBSETS, Annotation, Annotations, Recordings, reader
from skelemo.errors import InputError
from skelemo.text import some


@reader("folders", labels="class folders: PATH/happy/…, PATH/sad/…, or PATH/train/happy/… and PATH/test/happy/…")
def read_folders(path: Path, source: Path, recordings: Recordings, *, words: Words | None = None) -> Annotations:
    """Label every recording below ``path`` with its topmost folder.

    If all of these folders are subsets (train, validation or val, test), they become column ``split``, and the next
    folders are the classes. Recordings outside class folders are unlabeled.

    Raises `InputError`: there are no class folders, or no recording is below ``path``.
    """
    folders = dict(_folders_below(path, source, recordings))
    tops = {steps[0] for steps in folders.values() if steps}
    if not tops:
        raise InputError(f"{path}: no recording of {source} is in a subfolder; expected class folders such as happy/")
    depth = 1 if {top.casefold() for top in tops} <= SUBSETS.keys() else 0
    classes = {video: steps[depth] for video, steps in folders.items() if len(steps) > depth}
    if not classes:
        raise InputError(f"{path}: no recording is in a class folder inside {some(sorted(tops))}")
    head, index, notes = class_head(classes.values(), path, given=words, noun="recording")
    if len(set(classes.values())) == 1:
        (word,) = set(classes.values())
        notes += (
            f"all {len(classes)} recordings are in one folder, {word!r}; if it contains the classes, give its path",
        )
    items = tuple(
        Annotation(
            video=video,
            splits={"split": SUBSETS[folders[video][0].casefold()]} if depth else {},
            labels={head.name: np.array([index[word]], np.int16)},
            source=str(path.joinpath(*folders[video][: depth + 1])),
        )
        for video, word in classes.items()
    )
    return Annotations((head,), items, notes)


def _folders_below(path: Path, source: Path, recordings: Recordings) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Source of each recording below ``path``, and the folders from there to its files."""
    top, start = Path(os.path.abspath(path)), Path(os.path.abspath(source))
    for _, video, *given in recordings:
        location = start / video
        if location.is_relative_to(top):
            steps = location.relative_to(top).parts
            is_folder = bool(given[0]) if given else location.is_dir()  # otherwise the last step is the files' stem
            yield video, steps if is_folder else steps[:-1]
