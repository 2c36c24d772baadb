"""Recognizes OpenPose's JSON by content, and reads whole videos in one JSON file."""

import errno
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import simdjson

#: Number of first bytes to recognize a file by.
HEAD_BYTES = 1 << 16
#: Largest whole video in one file, which is held in memory.
MAX_VIDEO = 256 << 20

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')
_PEOPLE = re.compile(rb'"(?:people|bodies)"\s*:\s*(?:[\[{]|null)')
_NUMBER = re.compile(r"([0-9]+)\D*$", re.ASCII)
_ANY_NUMBER = re.compile("[0-9]+")
_BOM = b"\xef\xbb\xbf"
_NAMES = ("frame", "frame_id", "frame_index", "frame_number", "image_id", "image", "file_name")


class Sniffer:
    """Recognizes the first file of each name pattern; other files of the pattern are assumed to be of the same kind."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}

    def kind(self, name: str, read: Callable[[str], str], default: str = "") -> str:
        """``"frame"``, ``"video"`` or ``""``; ``default`` if the file cannot be read."""
        pattern = _ANY_NUMBER.sub("#", name)
        if pattern not in self._kinds:
            self._kinds[pattern] = default
            with suppress(OSError):
                self._kinds[pattern] = read(name) or default
        return self._kinds[pattern]


class VideoError(ValueError):
    """A file that is not a whole video in JSON. The message follows its name in a sentence."""


def decompressed(data: bytes, most: int) -> bytes:
    """Decompress gzip, up to ``most + 1`` bytes; other data is returned unchanged. Raises `OSError`: it is damaged."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, most + 1)
    except zlib.error:
        raise OSError(0, "is damaged: gzip cannot decompress it") from None


def file_kind(path: str) -> str:
    """Kind of a file by content: ``"frame"``, ``"video"`` or ``""``. A list of a single frame is a frame."""
    with open(path, "rb") as file:
        head = decompressed(file.read(HEAD_BYTES), HEAD_BYTES)
    kind = content_kind(head)
    if kind == "video" and len(head) < HEAD_BYTES:
        with suppress(VideoError):
            return "video" if len(frames_of(head)[0]) > 1 else "frame"
    return kind


def read_video(path: str) -> bytes:
    """Read a whole video in one file. Raises `OSError`: it cannot be read, or is larger than `MAX_VIDEO`."""
    with open(path, "rb") as file:
        data = file.read(MAX_VIDEO + 1)
    if len(data) <= MAX_VIDEO:
        data = decompressed(data, MAX_VIDEO)
    if len(data) > MAX_VIDEO:
        raise OSError(errno.EFBIG, f"has more than {MAX_VIDEO >> 20} MB in one file: split it into frames")
    return data


def content_kind(head: bytes) -> str:
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

    Numbers are those in the frames or names if they are distinct, otherwise ranks.

    Raises `VideoError`: it is not a video.
    """
    try:
        found = list(_frames(data.removeprefix(_BOM)))
    except (ValueError, TypeError, RuntimeError, UnicodeDecodeError) as error:
        raise VideoError(f"is not JSON: {error}") from None
    if not found:
        raise VideoError("has no frames")
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
