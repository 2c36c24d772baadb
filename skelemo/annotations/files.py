"""Finds label files, and reads their text."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from skelemo.errors import InputError


def files_below(path: Path, *endings: str) -> Iterator[Path]:
    """Files with one of the endings at any depth below a folder, folder by folder; the path itself if it is a file.

    Links to folders are followed, each folder once; hidden files and ``__MACOSX`` are skipped.

    Raises `InputError`: a folder cannot be listed.
    """
    if path.is_file():
        yield path
        return
    seen = set()
    for root, folders, names in os.walk(path, onerror=_refuse, followlinks=True):
        status = os.stat(root)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        wanted = [name for name in names if name.lower().endswith(endings) and not name.startswith(".")]
        yield from (Path(root, name) for name in sorted(wanted))


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be listed ({error.strerror})") from None


def read_text(path: Path, errors: str = "strict") -> str:
    """Read a UTF-8 file, without byte order mark and with line feeds as line ends."""
    try:
        text = path.read_bytes().decode("utf-8-sig", errors)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start} is not UTF-8 (a spreadsheet, or another encoding?); save it as UTF-8 text"
        ) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{path}, line {line}: a NUL character (another encoding?); save it as UTF-8 text")
    return text


def read_rows(path: Path) -> tuple[str, list[str], np.ndarray]:
    """Header and rows of a text file, stripped and without blank lines, and each row's line number [R]."""
    lines = [line.strip() for line in read_text(path).split("\n")]
    filled = [number for number, line in enumerate(lines) if line]
    if not filled:
        raise InputError(f"{path}: the file is empty")
    rows = [lines[number] for number in filled[1:]]
    return lines[filled[0]], rows, np.array(filled[1:], np.int64) + 1
