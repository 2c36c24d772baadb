"""Recognizes OpenPose's JSON by content, and reads whole videos in one JSON file."""

import errno
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import simdjson

#: Bytes read to recognize a file.
LOOK = 1 << 16
#: Largest whole video in one file, which is held in memory.
MOST_VIDEO = 256 << 20

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')
_PEOPLE = re.compile(rb'"(?:people|bodies)"\s*:\s*(?:[\[{]|null)')
_NUMBER = re.compile(r"([0-9]+)\D*$", re.ASCII)
_ANY_NUMBER = re.compile("[0-9]+")
_BOM = b"\xef\xbb\xbf"
_NAMES = ("frame", "frame_id", "frame_index", "frame_number", "image_id", "image", "file_name")


class Sniffer:
    """Recognizes the first file of each name pattern in a folder; others of the pattern are assumed to be alike."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}

    def kind(self, name: str, look: Callable[[str], str], otherwise: str = "") -> str:
        """``"frame"``, ``"video"`` or ``""``; ``otherwise`` if the file cannot be read."""
        pattern = _ANY_NUMBER.sub("#", name)
        if pattern not in self._kinds:
            try:
                self._kinds[pattern] = look(name) or otherwise
            except (OSError, zlib.error):
                self._kinds[pattern] = otherwise
        return self._kinds[pattern]


class VideoError(ValueError):
    """A file that is not a video in one JSON. The message continues a sentence that starts with its name."""


def unpacked(data: bytes, most: int) -> bytes:
    """Decompress gzip, or return other bytes unchanged; the result is longer than ``most`` if it would exceed it.

    Raises `OSError`: it is damaged.
    """
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, most + 1)
    except zlib.error:
        raise OSError(0, "is damaged: gzip cannot unpack it") from None


def kind_of_file(path: str) -> str:
    """Kind of a file by content: ``"frame"``, ``"video"`` or ``""``. A list of a single frame is a frame."""
    with open(path, "rb") as file:
        head = file.read(LOOK)
    if head[:2] == b"\x1f\x8b":
        head = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(head, LOOK)
    kind = kind_of(head)
    if kind == "video" and len(head) < LOOK:
        with suppress(VideoError):
            return "video" if len(frames_of(head)[0]) > 1 else "frame"
    return kind


def read_video(path: str) -> bytes:
    """Read a whole video in one file. Raises `OSError`: it cannot be read, or is larger than `MOST_VIDEO`."""
    with open(path, "rb") as file:
        data = file.read(MOST_VIDEO + 1)
    if len(data) <= MOST_VIDEO:
        data = unpacked(data, MOST_VIDEO)
    if len(data) > MOST_VIDEO:
        raise OSError(errno.EFBIG, f"has more than {MOST_VIDEO >> 20} MB in one file: split it into frames")
    return data


def kind_of(head: bytes) -> str:
    """Kind of a file by its first bytes: ``"frame"``, ``"video"`` or ``""``."""
    text = head.removeprefix(_BOM).lstrip()
    found = _PEOPLE.search(text)
    if not found or text[:1] not in (b"{", b"["):
        return ""
    before = _TEXT.sub(b"", text[: found.start()])
    open_objects = before.count(b"{") - before.count(b"}")
    if open_objects == 1 and text[:1] == b"{" and before.count(b"[") == before.count(b"]"):
        line, _, rest = text.partition(b"\n")
        return "video" if rest.lstrip()[:1] == b"{" and line.rstrip().endswith(b"}") else "frame"
    return "video" if open_objects in (1, 2) else ""


def frames_of(data: bytes) -> tuple[list[int], list[bytes]]:
    """Numbers and JSON of the frames of a whole video: a list, an object by image name, or one frame per line.

    Numbers are those in the frames or names if all have different ones, otherwise ranks.

    Raises `VideoError`: it is not a video.
    """
    try:
        found = list(_frames(data.removeprefix(_BOM)))
    except (ValueError, TypeError, RuntimeError, UnicodeDecodeError) as error:
        raise VideoError(f"is not JSON: {error}") from None
    if not found:
        raise VideoError("holds no frame")
    parsed = [_number(name) for name, _ in found]
    numbers = [number for number in parsed if number is not None]
    if len(set(numbers)) < len(found) or max(numbers) >= 2**31:
        return list(range(len(found))), [text for _, text in found]
    order = sorted(range(len(found)), key=numbers.__getitem__)
    return [numbers[row] for row in order], [found[row][1] for row in order]


def _frames(data: bytes) -> Iterator[tuple[Any, bytes]]:
    try:
        document: Any = simdjson.Parser().parse(data)
    except ValueError:
        lines = data.splitlines()
        if len(lines) < 2:
            raise
        for line in filter(None, map(bytes.strip, lines)):
            yield from _frames(b"[%s]" % line)
        return
    if isinstance(document, simdjson.Object):
        for key in ("frames", "data", "results"):
            if key in document and isinstance(document[key], simdjson.Array):
                document = document[key]
                break
    if isinstance(document, simdjson.Array):
        for frame in document:
            yield _name_in(frame), _text(frame)
    elif isinstance(document, simdjson.Object):
        for name in list(document):
            yield name, _text(document[name])


def _text(frame: Any) -> bytes:
    mini: Any = frame.mini if isinstance(frame, simdjson.Object | simdjson.Array) else b"null"  # stubs say str
    return bytes(mini)


def _name_in(frame: Any) -> Any:
    names = (key for key in _NAMES if isinstance(frame, simdjson.Object) and key in frame)
    return next((frame[key] for key in names), None)


def _number(name: Any) -> int | None:
    if isinstance(name, int) and not isinstance(name, bool):
        return name if name >= 0 else None
    found = _NUMBER.search(name) if isinstance(name, str) else None
    return int(found[1]) if found and len(found[1]) < 10 else None
