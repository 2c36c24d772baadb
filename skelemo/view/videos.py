"""The video files of recordings, found by name in one folder."""

from collections.abc import Collection
from pathlib import Path

from skelemo.errors import InputError

#: What a browser may play.
SUFFIXES = (".mp4", ".m4v", ".webm", ".mov", ".mkv", ".avi", ".ogv")


def find_videos(folder: Path, names: Collection[str]) -> dict[str, Path]:
    """The files in a folder, and in folders in it, that are named as recordings, without their endings.

    The folder is listed and its files are compared with the names: a name is never followed as a path, nor is a link
    that leads outside.

    Raises `InputError`: there is no such folder, or it has no video of these recordings.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of videos")
    root = folder.resolve()
    listed = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file()]
    inside = [path for path in listed if path.resolve().is_relative_to(root)]
    whole = {path.relative_to(folder).with_suffix("").as_posix(): path for path in reversed(inside)}
    stems: dict[str, list[Path]] = {}
    for path in inside:
        stems.setdefault(path.stem, []).append(path)
    found: dict[str, Path] = {}
    for name in names:
        same = [whole[name]] if name in whole else stems.get(name.rpartition("/")[2], [])
        if len(same) == 1:
            found[name] = same[0]
    if not found:
        example = min(names, default="NAME")
        raise InputError(f"{folder}: no video of these recordings; expected files such as {example}.mp4")
    return found
