"""Provenance of a cache and its missing points, from the tables; reads no frames."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from skelemo.cache.shard import VERSION
from skelemo.cache.statistics import name_counts
from skelemo.cache.store import Cache
from skelemo.text import count, duration, html_table

#: Columns of `by_recording` before those of the parts.
RECORDING_COLUMNS = ("video", "sequences", "frames", "nobody", "unread")
_MOST_LABELS = 12  # of a head in a notebook


def provenance(cache: Cache) -> dict[str, Any]:
    """The provenance of a cache; counts by value are the number of shards, or of recordings or sequences."""
    recordings = cache.recordings
    headers = [shard.header for shard in cache.shards]
    return {
        "hash": cache.hash,
        "version": VERSION,
        "layout": cache.layout.name,
        "heads": [head.to_json() for head in cache.heads],
        "simulated": cache.simulated,
        "shards": {shard.path.name: shard.path.stat().st_size for shard in cache.shards},  # bytes
        "tools": _counted(shard.tool for shard in cache.shards),
        "origin": _counted_by_name(header.origin for header in headers),
        "settings": _counted_by_name(header.settings for header in headers),
        "folders": _counted(source.split("/")[0] if "/" in source else "" for source in recordings["source"]),
        "body_models": _counted(recordings["body_model"]),
        "scales": _counted(cache.sequences["scale"]),
        "subjects": len({*cache.sequences["subject"]} - {""}),
        "recordings": len(recordings),
        "files": int(recordings["files"].sum()),
        "unread": int(_unread(recordings).sum()),
        "people": int(recordings["people"].sum()),
    }


def by_recording(cache: Cache) -> pd.DataFrame:
    """Missing points of each recording, the worst first.

    Returns
    -------
    A row per ``video``: number of ``sequences`` and ``frames``, share of frames in which ``nobody`` is visible, number
    of ``unread`` files, and for each part of the layout the share of missing points. In a recording without sequences,
    everything is missing.
    """
    rows = _sums(cache)
    groups = rows.groupby("video", sort=False).sum()
    unread = unread_files(cache)
    parts = [part.name for part in cache.layout.parts]
    found = _shares(groups, cache).set_index(groups.index)
    empty = unread.index.difference(groups.index)
    found = found.reindex(found.index.append(empty), fill_value=0)
    found.loc[empty, ["nobody", *parts]] = 1.0
    found = found.assign(unread=unread.reindex(found.index, fill_value=0)).rename_axis("video").reset_index()
    found["worst"] = found[parts].mean(axis=1)
    found = found.sort_values(["worst", "video"], ascending=[False, True], ignore_index=True)
    return found[[*RECORDING_COLUMNS, *parts]]


def unread_files(cache: Cache) -> pd.Series:
    """Number of files that could not be read, by ``video``."""
    recordings = cache.recordings
    return _unread(recordings).groupby(recordings["video"]).sum()


def overall(cache: Cache) -> dict[str, Any]:
    """`by_recording` for the whole cache, without ``video`` and ``unread``."""
    total = _sums(cache).drop(columns="video").sum().to_frame().T
    row = {str(name): value for name, value in _shares(total, cache).to_dict("records")[0].items()}
    return row | {"sequences": int(row["sequences"]), "frames": int(row["frames"])}


def hours(cache: Cache) -> float | None:
    """Duration of a cache; None unless all frame rates are known."""
    rates = cache.sequences["fps"]
    return float((cache.sequences["length"] / rates).sum() / 3600) if (rates > 0).all() else None


def labeled(cache: Cache) -> dict[str, dict[str, int]]:
    """Number of labeled frames by head and class, flag or value, in total under an empty name."""
    return {head.name: name_counts(head, cache.counts.labels[head.name].sum(0)) for head in cache.heads}


def as_plain(cache: Cache) -> dict[str, Any]:
    """The whole summary as plain data for JSON."""
    plain = provenance(cache) | {"frames": cache.frames, "sequences": len(cache.sequences)}
    plain |= {"labeled": labeled(cache), "missing": overall(cache)}
    return plain | {"by_recording": by_recording(cache).to_dict("records")}


def as_html(cache: Cache) -> str:
    """A notebook's view of a cache: sizes, the most frequent labels of each head, and missing points."""
    rows = [("sequences", f"{len(cache.sequences):,} of {count(cache.sequences['video'].nunique(), 'recording')}")]
    if subjects := len({*cache.sequences["subject"]} - {""}):
        rows.append(("subjects", f"{subjects:,}"))
    length = hours(cache)
    rows.append(("frames", f"{cache.frames:,}" + (f" ({duration(3600 * length)})" if length else "")))
    for name, found in labeled(cache).items():
        total = found.pop("", 0)
        different = found if len(set(found.values())) > 1 else {}  # a frame usually has all values of a head
        sizes = sorted(different.items(), key=lambda item: -item[1])
        texts = [f"{output} {frames:,}" for output, frames in sizes[:_MOST_LABELS]]
        texts += [f"{len(sizes) - _MOST_LABELS:,} more"] if len(sizes) > _MOST_LABELS else []
        rows.append((f"labels: {name}", f"{total:,} frames" + (f": {', '.join(texts)}" if texts else "")))
    shares = overall(cache)
    rows.append(("missing points", ", ".join(f"{part.name} {shares[part.name]:.1%}" for part in cache.layout.parts)))
    return html_table(f"cache {cache.name}" + ", simulated" * cache.simulated, (), rows)


def _unread(recordings: pd.DataFrame) -> pd.Series:
    """Number of each recording's files without a frame; files of other programs may have many frames."""
    return (recordings["files"] - recordings["frames"]).clip(lower=0)


def _sums(cache: Cache) -> pd.DataFrame:
    """Number of frames, of frames with a visible person, and of visible points of each part, by sequence."""
    rows = cache.sequences[["video"]].assign(sequences=1, frames=cache.sequences["length"], seen=cache.counts.seen)
    return rows.assign(**{part.name: cache.counts.points[:, index] for index, part in enumerate(cache.layout.parts)})


def _shares(sums: pd.DataFrame, cache: Cache) -> pd.DataFrame:
    """Convert `_sums` to shares of missing frames and points; 0 without frames."""
    frames = sums["frames"].clip(lower=1)
    parts = {part.name: 1 - sums[part.name] / (frames * len(part)) for part in cache.layout.parts}
    shares = {"sequences": sums["sequences"], "frames": sums["frames"], "nobody": 1 - sums["seen"] / frames, **parts}
    found = pd.DataFrame(shares)
    found.loc[sums["frames"] == 0, ["nobody", *parts]] = 0.0
    return found.reset_index(drop=True)


def _counted(values: Iterable[str]) -> dict[str, int]:
    """Number of occurrences by value, the most frequent first."""
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))


def _counted_by_name(mappings: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    values: dict[str, list[str]] = {}
    for mapping in mappings:
        for name, value in mapping.items():
            values.setdefault(str(name), []).append(str(value).lower() if isinstance(value, bool) else str(value))
    return {name: _counted(texts) for name, texts in sorted(values.items())}
