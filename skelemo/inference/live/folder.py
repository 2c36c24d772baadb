"""Following a folder that OpenPose is writing.

The next file's name follows from the last one's, so it is polled directly, 2,000 times a second: cheap for any number
of files, and within a millisecond on any file system. The folder is listed only while no file arrives, to detect gaps,
a new recording, or a recording restarted under the same names.
"""

import heapq
import os
import re
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import orjson

from skelemo.errors import InputError, os_reason
from skelemo.inference.live.sources import Frame, decode
from skelemo.ingest.task import video_info
from skelemo.openpose.files import INFO_FILE, is_openpose, read_file, read_info
from skelemo.openpose.names import printable
from skelemo.openpose.stream import FrameReader

_POLL = 0.0005  # seconds between two polls
_LISTING = 0.1  # seconds without a file before the folder is listed
_LISTING_SHARE = 20  # pause between listings, in multiples of their duration
_GAP = 0.1  # seconds to wait for a missing file when a later one exists
_PATIENCE = 1.0  # seconds to wait for a truncated file that no longer grows
_SETTLED = 2_000_000_000  # nanoseconds after which a folder's modification time is reliable
_MOST_WAITING = 10_000  # file numbers in memory

_NUMBERED = re.compile(r"(.*?)([0-9]{1,18})(_keypoints\.json)", re.DOTALL)


@dataclass
class _Series:
    """Files whose names differ only in their number."""

    start: str
    ending: str
    width: int
    low: int  # lowest number in the folder
    high: int
    waiting: list[int] = field(default_factory=list)  # numbers to read, in order

    def name(self, number: int) -> str:
        return f"{self.start}{number:0{self.width}}{self.ending}"


class Follower:
    """Yields the frames of a folder as they are written, each once.

    Parameters
    ----------
    context : number of existing files to read first, as the past of the first new one.
    from_start : read all existing files.
    every_frame : mark no frame as late.
    """

    def __init__(
        self, folder: Path, reader: FrameReader, *, context: int, from_start: bool, every_frame: bool = False
    ) -> None:
        self.folder, self.reader = folder, reader
        self.from_start, self.every_frame = from_start, every_frame
        self._context, self._given_size = context, reader.size
        self._fps = 0.0  # of the recording followed
        self._place = os.path.join(folder, "")
        self._series: _Series | None = None
        self._others: set[tuple[str, str]] = set()  # series that are not followed
        self._last = -1  # number of the last frame read
        self._step = 1
        self._waiting: deque[int] = deque()  # existing numbers, in order
        self._fresh = 0  # nanoseconds; older files belong to the previous recording
        self._first = 0  # modification time of the lowest file, which changes on a restart; 0 if unknown
        self._cut_off = (-1, 0, 0.0)  # number, size and first sighting of an incomplete file
        self._arrived = self._listed = self._gap_since = time.monotonic()
        self._listing_took = 0.0
        self._stamp = 0
        self._unnumbered = ""  # a file of OpenPose's without a number

    def frames(self, stop_after: float = 0.0) -> Iterator[Frame]:
        """The frames; stops after ``stop_after`` seconds without one, unless 0.

        Raises `InputError`: the folder disappears, or no file in it has a frame number.
        """
        self._look_round()
        while True:
            frame = self._next()
            if frame is not None:
                yield frame
                self._arrived = self._gap_since = time.monotonic()  # excludes the time that prediction took
                continue
            now = time.monotonic()
            quiet = now - self._arrived
            if stop_after and quiet > stop_after + (_PATIENCE if self._cut_off[0] >= 0 else 0):
                return
            if quiet > _LISTING and now - self._listed > max(_LISTING, _LISTING_SHARE * self._listing_took):
                self._look_round()
            time.sleep(_POLL)

    def _next(self) -> Frame | None:
        """The next frame, if its file exists and is complete."""
        series = self._series
        if series is None:
            return None
        for number in (self._last + 1, self._last + self._step):
            if not self._waiting or number <= self._waiting[0]:
                frame = self._read(series, number)
                if frame is not None or self._cut_off[0] == number:
                    return frame
        if self._waiting:
            old = time.time() - self._changed(series.name(self._waiting[0])) / 1e9 > _GAP  # the gap will not be filled
            if old or time.monotonic() - self._gap_since > _GAP:
                return self._read(series, self._waiting[0])
        return None

    def _read(self, series: _Series, number: int) -> Frame | None:
        name = series.name(number)
        arrived = time.monotonic()
        try:
            data, changed = read_file(self._place + name)
        except FileNotFoundError:
            if self._waiting and self._waiting[0] == number:
                self._waiting.popleft()  # deleted
            return None
        except OSError as error:
            return self._frame(series, number, None, f"{printable(name)} cannot be read: {os_reason(error)}", arrived)
        if changed < self._fresh:
            return None
        if number == series.low:
            self._first = changed
        people, problem = decode(self.reader, data, printable(name))
        if people is None and not _is_json(data) and self._may_grow(number, len(data), arrived):
            return None
        return self._frame(series, number, people, problem, arrived)

    def _frame(self, series: _Series, number: int, people: np.ndarray | None, problem: str, arrived: float) -> Frame:
        self._step = number - self._last
        self._last, self._cut_off = number, (-1, 0, 0.0)
        while self._waiting and self._waiting[0] <= number:
            self._waiting.popleft()
        late = not self.every_frame and (bool(self._waiting) or self._is_there(series.name(number + self._step)))
        seconds = number / self._fps if self._fps else None
        return Frame(number, people, self._video(series), seconds, late=late, problem=problem, arrived=arrived)

    def _video(self, series: _Series) -> str:
        return printable(series.start.rstrip("_-. ") or self.folder.resolve().name)

    def _may_grow(self, number: int, size: int, now: float) -> bool:
        """Whether an incomplete file has grown recently."""
        if self._cut_off[:2] != (number, size):
            self._cut_off = (number, size, now)
        return now - self._cut_off[2] < _PATIENCE

    def _is_there(self, name: str) -> bool:
        changed = self._changed(name)
        return changed > 0 and changed >= self._fresh

    def _look_round(self) -> None:
        """List the folder if it may have changed, and update what to read next."""
        self._listed = time.monotonic()
        try:
            stamp = os.stat(self.folder).st_mtime_ns
            anew = self._began_anew()
            if stamp == self._stamp and not anew and time.time_ns() - stamp > _SETTLED:
                return
            found = self._list(-1 if anew else self._last)
        except OSError as error:
            read = f" after frame {self._last}" if self._series else ""
            raise InputError(f"{self.folder}: the folder has disappeared{read} ({os_reason(error)})") from None
        self._stamp = stamp
        self._listing_took = time.monotonic() - self._listed
        mine = self._series and found.get((self._series.start, self._series.ending))
        new = [one for key, one in found.items() if key not in self._others]
        if not found and self._unnumbered and self._series is None:
            raise InputError(
                f"{self.folder}: {self._unnumbered} has no frame number; expected names such as "
                "take_000000000000_keypoints.json (stills are for skelemo predict)"
            )
        if self._series is None and found:
            self._others |= found.keys()
            self._follow(max(found.values(), key=lambda one: self._changed(one.name(one.high))))
        elif mine and (anew or mine.high < self._last):
            self._follow(mine)
        elif mine and mine.waiting:
            if not self._waiting:
                self._gap_since = time.monotonic()
            self._waiting = deque(mine.waiting)
        elif new:
            self.reader.restart()
            self._fresh = 0
            self._follow(new[0])

    def _follow(self, series: _Series) -> None:
        """Switch to a series, starting with its first waiting number."""
        self._others.add((series.start, series.ending))
        self._series, self._waiting, self._step = series, deque(series.waiting), 1
        first = series.waiting[0] if series.waiting else series.low
        self._last = first - 1
        self._first = self._changed(series.name(series.low)) if first > series.low else 0
        info = video_info(self._video(series), read_info(os.path.join(self.folder, INFO_FILE)))
        self._fps, self.reader.size = info.fps, (info.width, info.height) if info.width else self._given_size

    def _began_anew(self) -> bool:
        """Whether the lowest file was rewritten, which makes the files of the previous recording stale."""
        if not self._first or self._series is None:
            return False
        changed = self._changed(self._series.name(self._series.low))
        if changed <= self._first:
            return False
        self._fresh = changed
        return True

    def _changed(self, name: str) -> int:
        """Modification time of a file in nanoseconds; 0 if it does not exist."""
        try:
            return os.stat(self._place + name).st_mtime_ns
        except OSError:
            return 0

    def _list(self, after: int) -> dict[tuple[str, str], _Series]:
        """Series in the folder by start and ending of the names, without the followed one's numbers up to ``after``.

        Before a series is followed, its last `context` numbers wait; otherwise the first ones.
        """
        found: dict[tuple[str, str], _Series] = {}
        newest = self._series is None and not self.from_start
        followed = (self._series.start, self._series.ending) if self._series else None
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if not is_openpose(entry.name):
                    continue
                match = _NUMBERED.fullmatch(entry.name)
                self._unnumbered = self._unnumbered if match else printable(entry.name)
                if match is None or (self._fresh and entry.stat().st_mtime_ns < self._fresh):
                    continue
                start, digits, ending = match.groups()
                number = int(digits)
                one = found.get((start, ending))
                if one is None:
                    one = found[start, ending] = _Series(start, ending, len(digits), number, number)
                one.width, one.low, one.high = min(one.width, len(digits)), min(one.low, number), max(one.high, number)
                if newest or (start, ending) != followed or number > after:
                    full = len(one.waiting) >= (self._context if newest else _MOST_WAITING)
                    (heapq.heappushpop if full else heapq.heappush)(one.waiting, number if newest else -number)
        for one in found.values():
            one.waiting = sorted(abs(number) for number in one.waiting)
        return found


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        return False
    return True
