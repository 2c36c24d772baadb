"""Content of ``skelemo view``: a cache's sequences, frames, labels, predictions and corrections."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.annotations.correcting import parse_value
from skelemo.cache import corrections as table
from skelemo.cache.store import Cache
from skelemo.errors import ConfigError, InputError, unknown
from skelemo.player import describe, packed
from skelemo.pose.extract import match_videos
from skelemo.runs.folder import Run, distinct_names
from skelemo.text import count
from skelemo.view.frames import MOST_FRAMES, Frames
from skelemo.view.run_predictions import RunPredictions
from skelemo.view.sequence_table import MOST_ROWS, Query, SequenceTable

#: Maximum number of suspects in a queue.
MOST_SUSPECTS = 2000
#: Endings of files that a browser may be able to play.
VIDEOS = (".mp4", ".m4v", ".webm", ".mov", ".mkv", ".avi", ".ogv")
#: Settings of the first run that coordinates are prepared with.
_PREPARING = ("min_confidence", "max_gap", "smooth", "causal")


class Viewer:
    """Answers the page's requests.

    Raises `InputError`: a run has no predictions for the cache, a folder does not exist, or a table is damaged.

    Parameters
    ----------
    runs : runs to show predictions of.
    videos : folder with the recordings' videos.
    queue : table of suspects from ``skelemo audit``.
    """

    def __init__(
        self, cache: Cache, runs: Sequence[Run] = (), videos: Path | None = None, queue: Path | None = None
    ) -> None:
        self.cache = cache
        ids = cache.sequences["id"].to_numpy(object)
        for path in cache.paths:  # reject a damaged table now, not at the first click
            table.read_corrections(table.corrections_file(path), missing_ok=True)
        self.runs = [RunPredictions(run, ids, name) for run, name in zip(runs, distinct_names(runs), strict=True)]
        for one in self.runs:
            if not one.matched:
                raise InputError(
                    f"{one.run.path}: no predictions for sequences of {cache.name}; expected a run on this cache"
                )
        settings = {name: runs[0].config[name] for name in _PREPARING if name in runs[0].config} if runs else {}
        self.frames, self.table = Frames(cache, settings), SequenceTable(cache, self.runs)
        self.videos = find_videos(videos, set(cache.sequences["video"])) if videos else {}
        self.queue = self._queue(queue) if queue else []

    def _queue(self, path: Path) -> list[dict[str, Any]]:
        """Suspects in the cache, with their rows."""
        from skelemo.audit.suspects import read_suspects

        names = zip(*(self.cache.sequences[name] for name in ("video", "person", "id")), strict=True)
        rows = {(video, person): (row, name) for row, (video, person, name) in enumerate(names)}
        table = read_suspects(path).sort_values("rank", kind="stable")
        suspects: Any = table.to_dict("records")
        found = [{**one, "row": place[0], "id": place[1]} for one in suspects
                 if (place := rows.get((one["video"], one["person"])))]  # fmt: skip
        if not len(table):
            raise InputError(f"{path}: no suspects; expected at least one to review")
        if not found:
            size = count(len(table), "suspect")
            raise InputError(f"{path}: none of {size} is in {self.cache.name}: open the cache that was audited")
        return found[:MOST_SUSPECTS]

    def suspects(self) -> list[dict[str, Any]]:
        """The queue, and whether any frame of each suspect has been corrected."""
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
        """Corrections in effect, by recording."""
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
            "runs": [run.name for run in self.runs],
            "columns": list(self.table.numbers),
            "labels": list(self.table.labels),
            "choices": self.table.choices(),
        }

    def sequences(self, given: Mapping[str, str]) -> dict[str, Any]:
        """A page of the rows that match a query."""
        fields = {name: given.get(name, "") for name in Query.__dataclass_fields__ if name != "descending"}
        query = Query(**fields, descending=given.get("descending") == "1")
        corrected: frozenset[tuple[str, str]] = frozenset()
        if query.problem == "corrected":
            corrected = frozenset((row.video, row.person) for rows in self._effective().values() for row in rows)
        rows = self.table.find(query, corrected)
        first, number = _whole(given, "first", 0), min(_whole(given, "count", 100), MOST_ROWS)
        return {"total": len(rows), "first": first, "rows": self.table.page(rows[first : first + number])}

    def sequence(self, row: int) -> dict[str, Any]:
        """All of a sequence except its frames."""
        facts, numbers = self.frames.facts(row), self.frames.numbers(row)
        tracks = self.frames.label_tracks(row) + [track for run in self.runs for track in run.tracks(row, numbers)]
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
        """Consecutive frames as stored, prepared, or of another person (``as`` raw, prepared or beside)."""
        first = _whole(given, "first", 0)
        last = min(first + min(_whole(given, "count", MOST_FRAMES), MOST_FRAMES), self.frames.length(row))
        if first >= last:
            raise ConfigError(f"first = {first}; the sequence has {count(self.frames.length(row), 'frame')}")
        kind = given.get("as", "raw")
        if kind == "beside":
            other = _whole(given, "other", -1)
            if other not in self.frames.people(row):
                raise ConfigError(f"row {other} is not a person of the same recording")
            return self.frames.beside(other, row, first, last)
        readers: dict[str, Callable[..., np.ndarray]] = {"raw": self.frames.keypoints, "prepared": self.frames.prepared}
        if kind not in readers:
            raise unknown("kind of coordinates", kind, [*readers, "beside"])
        return readers[kind](row, first, last)

    def corrections(self, row: int) -> dict[str, Any]:
        """The corrections of a sequence's recording, in order."""
        found, video = self.frames.corrections(row), self.frames.facts(row)["video"]
        return {"version": found.sha256, "rows": [vars(one) for one in found.rows if one.video == video]}

    def correct(self, row: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Add a correction, or undo or redo corrections."""
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
    """Playable videos below a folder by recording; links to the outside are ignored.

    Raises `InputError`: no such folder, or no video of these recordings.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: not found; expected a folder of videos")
    root, matched = folder.resolve(), match_videos(folder, names)
    found = {name: path for name, path in matched.items()
             if path.suffix.lower() in VIDEOS and path.resolve().is_relative_to(root)}  # fmt: skip
    if not found:
        example = min(names, default="NAME")
        raise InputError(f"{folder}: no videos of these recordings; expected files such as {example}.mp4")
    return found
