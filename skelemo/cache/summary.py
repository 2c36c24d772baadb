"""Where a cache comes from and what it lacks, told from its tables alone: no frame is read."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from skelemo.cache.shard import VERSION
from skelemo.cache.statistics import name_counts
from skelemo.cache.store import Cache
from skelemo.targets import Head

#: Columns of `by_recording` before those of the parts.
RECORDING_COLUMNS = ("video", "sequences", "frames", "nobody", "unread")


@dataclass(frozen=True)
class Provenance:
    """What a cache was made of, by what and how; each value with how many shards or recordings say so.

    Parameters
    ----------
    hash : of what the cache says, whatever its shards.
    shards : by file name, the bytes of each.
    origin : what was ingested, ``source`` and ``labels``: by name, then shards.
    settings : of the ingests: name, then value as JSON would have it, then shards.
    folders : at the top of the ingested sources, with the recordings below each.
    """

    hash: str
    version: int
    layout: str
    heads: tuple[Head, ...]
    simulated: bool
    shards: Mapping[str, int]
    tools: Mapping[str, int]
    origin: Mapping[str, Mapping[str, int]]
    settings: Mapping[str, Mapping[str, int]]
    folders: Mapping[str, int]
    body_models: Mapping[str, int]
    scales: Mapping[str, int]
    recordings: int
    files: int
    unread: int
    people: int


def provenance(cache: Cache) -> Provenance:
    """The provenance of a cache."""
    recordings = cache.recordings
    headers = [shard.header for shard in cache.shards]
    return Provenance(
        hash=cache.hash,
        version=VERSION,
        layout=cache.layout.name,
        heads=cache.heads,
        simulated=cache.simulated,
        shards={shard.path.name: shard.path.stat().st_size for shard in cache.shards},
        tools=_counted(shard.tool for shard in cache.shards),
        origin=_counted_by_name(header.origin for header in headers),
        settings=_counted_by_name(header.settings for header in headers),
        folders=_counted(source.split("/")[0] if "/" in source else "" for source in recordings["source"]),
        body_models=_counted(recordings["body_model"]),
        scales=_counted(cache.sequences["scale"]),
        recordings=len(recordings),
        files=int(recordings["files"].sum()),
        unread=int(_unread(recordings).sum()),
        people=int(recordings["people"].sum()),
    )


def by_recording(cache: Cache) -> pd.DataFrame:
    """What is missing of each recording, the worst first.

    Returns
    -------
    A row for each ``video``: its ``sequences`` and their ``frames``, the share of these in which ``nobody`` was seen,
    files that could not be read (``unread``), and for each part of the layout the share of its points that are missing.
    A recording of which there is no sequence, for nobody is seen in it, lacks everything.
    """
    rows = _sums(cache)
    groups = rows.groupby("video", sort=False).sum()
    recordings = cache.recordings
    unread = _unread(recordings).groupby(recordings["video"]).sum()
    parts = [part.name for part in cache.layout.parts]
    found = _shares(groups, cache).set_index(groups.index)
    empty = unread.index.difference(groups.index)
    found = found.reindex(found.index.append(empty), fill_value=0)
    found.loc[empty, ["nobody", *parts]] = 1.0
    found = found.assign(unread=unread.reindex(found.index, fill_value=0)).rename_axis("video").reset_index()
    found["worst"] = found[parts].mean(axis=1)
    found = found.sort_values(["worst", "video"], ascending=[False, True], ignore_index=True)
    return found[[*RECORDING_COLUMNS, *parts]]


def overall(cache: Cache) -> dict[str, Any]:
    """The same of the whole cache, as one row without ``video`` and ``unread``."""
    total = _sums(cache).drop(columns="video").sum().to_frame().T
    row = {str(name): value for name, value in _shares(total, cache).to_dict("records")[0].items()}
    return row | {"sequences": int(row["sequences"]), "frames": int(row["frames"])}


def hours(cache: Cache) -> float | None:
    """How long a cache lasts; None unless all frame rates are known."""
    rates = cache.sequences["fps"]
    return float((cache.sequences["length"] / rates).sum() / 3600) if (rates > 0).all() else None


def labeled_share(cache: Cache) -> float | None:
    """The share of frames with a label of the head that has most of them; None without frames or heads."""
    labeled = [int(counts[:, 0].sum()) for counts in cache.counts.labels.values()]
    return max(labeled) / cache.frames if cache.frames and labeled else None


def labeled(cache: Cache) -> dict[str, dict[str, int]]:
    """By head, its labeled frames under an empty name, then those of each class, or with each flag or value."""
    return {head.name: name_counts(head, cache.counts.labels[head.name].sum(0)) for head in cache.heads}


def as_plain(cache: Cache) -> dict[str, Any]:
    """All of it as JSON can hold it."""
    plain = asdict(provenance(cache)) | {"heads": [head.to_json() for head in cache.heads]}
    plain |= {"frames": cache.frames, "sequences": len(cache.sequences)}
    plain |= {"labeled": labeled(cache), "missing": overall(cache)}
    return plain | {"by_recording": by_recording(cache).to_dict("records")}


def _unread(recordings: pd.DataFrame) -> pd.Series:
    """Files of each recording that are no frame; a file of another program's holds many frames."""
    return (recordings["files"] - recordings["frames"]).clip(lower=0)


def _sums(cache: Cache) -> pd.DataFrame:
    """Frames, frames with anybody and points seen of each part, by sequence."""
    counts = cache.counts
    rows = {
        "video": cache.sequences["video"].to_numpy(),
        "sequences": 1,
        "frames": cache.sequences["length"].to_numpy(),
    }
    points = {part.name: counts.points[:, index] for index, part in enumerate(cache.layout.parts)}
    return pd.DataFrame({**rows, "seen": counts.seen, **points})


def _shares(sums: pd.DataFrame, cache: Cache) -> pd.DataFrame:
    """Sums as shares of what is missing; 0 where there is nothing at all."""
    frames = sums["frames"].clip(lower=1)
    parts = {part.name: 1 - sums[part.name] / (frames * len(part)) for part in cache.layout.parts}
    shares = {"sequences": sums["sequences"], "frames": sums["frames"], "nobody": 1 - sums["seen"] / frames, **parts}
    found = pd.DataFrame(shares)
    found.loc[sums["frames"] == 0, ["nobody", *parts]] = 0.0
    return found.reset_index(drop=True)


def _counted(values: Iterable[str]) -> dict[str, int]:
    """How often each value occurs, the most frequent first."""
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))


def _counted_by_name(said: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """How often each value of each name occurs."""
    values: dict[str, list[str]] = {}
    for one in said:
        for name, value in one.items():
            values.setdefault(str(name), []).append(_spelled(value))
    return {name: _counted(found) for name, found in sorted(values.items())}


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
