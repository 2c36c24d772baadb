"""What ``skelemo view`` shows: a cache's sequences, frames, labels, predictions and corrections, as its page asks."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.annotations.correcting import parse_value
from skelemo.cache import corrections as table
from skelemo.cache.store import Cache
from skelemo.errors import ConfigError, InputError, unknown
from skelemo.player import describe, packed
from skelemo.runs.folder import Run, distinct_names
from skelemo.text import count
from skelemo.view.answers import RunAnswers
from skelemo.view.frames import MOST_FRAMES, Frames
from skelemo.view.sequence_table import MOST_ROWS, Query, SequenceTable

#: Most suspects of a queue; the surest are kept.
MOST_SUSPECTS = 2000
#: What a browser may play.
VIDEOS = (".mp4", ".m4v", ".webm", ".mov", ".mkv", ".avi", ".ogv")
#: Settings of a run under which coordinates are prepared.
_PREPARING = ("min_confidence", "max_gap", "smooth", "causal")


class Viewer:
    """What is looked at, and the answers to what the page asks.

    Raises `InputError`: a run predicts for none of the cache's sequences, there is no such folder, or a table is
    damaged.

    Parameters
    ----------
    runs : whose predictions are shown.
    videos : folder with the video files of recordings.
    queue : table of suspects, as ``skelemo audit`` writes it.
    """

    def __init__(
        self, cache: Cache, runs: Sequence[Run] = (), videos: Path | None = None, queue: Path | None = None
    ) -> None:
        self.cache = cache
        ids = cache.sequences["id"].to_numpy(object)
        for path in cache.paths:  # a damaged table is refused now, not at the first click
            table.read_corrections(table.corrections_file(path), missing_ok=True)
        self.answers = [RunAnswers(run, ids, name) for run, name in zip(runs, distinct_names(runs), strict=True)]
        for one in self.answers:
            if not one.matched:
                raise InputError(
                    f"{one.run.path} predicts for no sequence of {cache.name}; expected a run on this cache"
                )
        settings = {name: runs[0].config[name] for name in _PREPARING if name in runs[0].config} if runs else {}
        self.frames, self.table = Frames(cache, settings), SequenceTable(cache, self.answers)
        self.videos = find_videos(videos, set(cache.sequences["video"])) if videos else {}
        self.queue = self._queue(queue) if queue else []

    def _queue(self, path: Path) -> list[dict[str, Any]]:
        """Suspects of people whom the cache has, with their rows."""
        from skelemo.audit.suspects import read_suspects

        names = zip(*(self.cache.sequences[name] for name in ("video", "person", "id")), strict=True)
        rows = {(video, person): (row, name) for row, (video, person, name) in enumerate(names)}
        table = read_suspects(path).sort_values("rank", kind="stable")
        suspects: Any = table.to_dict("records")
        found = [{**one, "row": place[0], "id": place[1]} for one in suspects
                 if (place := rows.get((one["video"], one["person"])))]  # fmt: skip
        if not found:
            size = count(len(table), "suspect")
            raise InputError(
                f"{path}: of its {size} none is in {self.cache.name}; name the cache that was audited"
                if len(table)
                else f"{path}: no suspect in it, so there is nothing to go through"
            )
        return found[:MOST_SUSPECTS]

    def suspects(self) -> list[dict[str, Any]]:
        """The queue, each with whether any of its stretch is corrected by now."""
        done = self._effective()
        return [
            {
                **one,
                "corrected": any(
                    row.person == one["person"]
                    and row.first <= one["last"]
                    and (row.last is None or row.last >= one["first"])
                    for row in done.get(one["video"], ())
                ),
            }
            for one in self.queue
        ]

    def _effective(self) -> dict[str, list[table.Correction]]:
        """Corrections in force, by recording."""
        found: dict[str, list[table.Correction]] = {}
        for path in self.cache.paths:
            for row in table.read_corrections(table.corrections_file(path), missing_ok=True).effective:
                found.setdefault(row.video, []).append(row)
        return found

    def about(self) -> dict[str, Any]:
        """The cache as a whole."""
        return {
            "name": self.cache.name,
            "sequences": len(self.cache.sequences),
            "frames": self.cache.frames,
            "simulated": self.cache.simulated,
            "parts": describe(self.cache.layout),
            "heads": [head.to_json() for head in self.cache.heads],
            "runs": [one.name for one in self.answers],
            "columns": list(self.table.numbers),
            "labels": list(self.table.labels),
            "choices": self.table.choices(),
        }

    def sequences(self, given: Mapping[str, str]) -> dict[str, Any]:
        """A page of the rows that a query finds."""
        fields = {name: given.get(name, "") for name in Query.__dataclass_fields__ if name != "descending"}
        query = Query(**fields, descending=given.get("descending") == "1")
        corrected: frozenset[tuple[str, str]] = frozenset()
        if query.problem == "corrected":
            corrected = frozenset((row.video, row.person) for rows in self._effective().values() for row in rows)
        rows = self.table.find(query, corrected)
        first, number = _whole(given, "first", 0), min(_whole(given, "count", 100), MOST_ROWS)
        return {"total": len(rows), "first": first, "rows": self.table.page(rows[first : first + number])}

    def sequence(self, row: int) -> dict[str, Any]:
        """All of a sequence but its frames."""
        facts, numbers = self.frames.facts(row), self.frames.numbers(row)
        tracks = self.frames.label_tracks(row) + [t for one in self.answers for t in one.tracks(row, numbers)]
        heads = list(dict.fromkeys(track.head.name for track in tracks))
        tracks.sort(key=lambda track: heads.index(track.head.name))
        others = [(other, self.frames.numbers(other)) for other in self.frames.people(row)]
        names = ("id", "video", "person", "subject", "length", "width", "height", "fps", "scale", "splits")
        return {
            **{name: facts[name] for name in names},
            "row": row,
            "numbers": packed(numbers, "<i4"),
            "tracks": [track.to_json() for track in tracks],
            "others": [{"row": other, "person": self.frames.facts(other)["person"], "first": int(found[0]),
                        "last": int(found[-1])} for other, found in others],
            "film": facts["video"] in self.videos,
            "unread": int(self.table.unread.get(facts["video"], 0)),
            "corrections": self.corrections(row),
        }  # fmt: skip

    def keypoints(self, row: int, given: Mapping[str, str]) -> np.ndarray:
        """A stretch of frames: as the cache has them, prepared, or of another person beside."""
        first = _whole(given, "first", 0)
        last = min(first + min(_whole(given, "count", MOST_FRAMES), MOST_FRAMES), self.frames.length(row))
        if first >= last:
            raise ConfigError(f"frames {first} to {last} of a sequence of {self.frames.length(row)}")
        kind = given.get("as", "raw")
        if kind == "beside":
            other = _whole(given, "other", -1)
            if other not in self.frames.people(row):
                raise ConfigError(f"row {other} is nobody of the same recording")
            return self.frames.beside(other, row, first, last)
        ways: dict[str, Callable[..., np.ndarray]] = {"raw": self.frames.keypoints, "prepared": self.frames.prepared}
        if kind not in ways:
            raise unknown("kind of coordinates", kind, [*ways, "beside"])
        return ways[kind](row, first, last)

    def corrections(self, row: int) -> dict[str, Any]:
        """The corrections of a sequence's recording, in their order."""
        found, video = self.frames.corrections(row), self.frames.facts(row)["video"]
        return {"version": found.sha256, "rows": [vars(one) for one in found.rows if one.video == video]}

    def correct(self, row: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Add a correction, or undo or redo some."""
        path = table.corrections_file(self.frames.folder(row))
        for name, change in (("undo", table.undo), ("redo", table.redo)):
            if name in given:
                ids = given[name]
                if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
                    raise ConfigError(f"{name}: expected a list of ids")
                change(path, ids)
                return self.corrections(row)
        facts = self.frames.facts(row)
        fields = {name: given[name] for name in ("action", "first", "last", "head", "value", "note") if name in given}
        for name in ("first", "last"):
            if type(fields.get(name, 0)) not in (int, type(None)):
                raise ConfigError(f"{name} is {fields[name]!r}; expected a frame number")
        try:
            made = table.Correction(video=facts["video"], person=facts["person"], **fields)
        except TypeError as error:
            raise ConfigError(f"not a correction: {error}") from None
        if made.action == "set":
            heads = {head.name: head for head in self.cache.heads}
            if made.head not in heads:
                raise unknown("head", made.head, heads)
            parse_value(heads[made.head], made.value)
        elif made.action in table.TRACKS:
            people = [self.frames.facts(other)["person"] for other in self.frames.people(row)]
            if made.value not in people:
                raise unknown("person of this recording", made.value, people)
        table.add(path, [made])
        return self.corrections(row)


def _whole(given: Mapping[str, str], name: str, otherwise: int) -> int:
    text = given.get(name, "")
    if text and not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise ConfigError(f"{name} is {text[:20]!r}; expected a number")
    return int(text) if text else otherwise


def find_videos(folder: Path, names: Collection[str]) -> dict[str, Path]:
    """The files in a folder, and in folders in it, that are named as recordings, without their endings.

    The folder is listed and its files are compared with the names: a name is never followed as a path, nor is a link
    that leads outside.

    Raises `InputError`: there is no such folder, or it has no video of these recordings.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of videos")
    root = folder.resolve()
    listed = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in VIDEOS and path.is_file()]
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
