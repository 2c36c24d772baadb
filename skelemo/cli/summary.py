"""Output of ``skelemo cache info``, using rich."""

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from skelemo.cli.screen import Screen
from skelemo.cli.tables import table
from skelemo.text import some

if TYPE_CHECKING:
    import pandas as pd

    from skelemo.cache.store import Cache

#: Maximum values listed per row; the others are counted.
MOST_VALUES = 5


def provenance_table(cache: "Cache", known: Mapping[str, Any], unusable: int) -> None:
    """A cache's provenance and how many recordings could not be used; settings unless they are the defaults."""
    from skelemo.ingest.task import Settings

    usual = {field.name: field.default for field in fields(Settings)}
    shown = table(f"provenance of {cache.name}", "", "", words=(0, 1))
    shown.show_header = False
    size, names = sum(known["shards"].values()), list(known["shards"])
    each = f", {size / cache.frames:,.0f} bytes per frame" if cache.frames else ""
    shown.add_row("hash of the content", known["hash"])
    shown.add_row("format", f"skelemo {known['version']}")
    shown.add_row("written by", _listed(known["tools"], len(names)))
    shown.add_row("shards", f"{len(names):,}: {names[0]}{f' to {names[-1]}' if len(names) > 1 else ''}")
    shown.add_row("size", f"{size / 1e6:,.1f} MB{each}")
    shown.add_row("layout", known["layout"])
    for head in known["heads"]:
        shown.add_row(f"head {head['name']}", f"{head['kind']}: {', '.join(head['outputs'])}")
    shown.add_row("simulated", "yes" if known["simulated"] else "no")
    for name, values in known["settings"].items():
        if name == "layout" or set(values) == {str(usual.get(name))}:
            continue
        shown.add_row(f"setting {name}", _listed(values, len(names)))
    shown.add_row("coordinates", _listed(known["scales"], sum(known["scales"].values())))
    for name, values in known["origin"].items():
        shown.add_row(name, _listed(values, len(names)))
    shown.add_row("subjects", f"{known['subjects']:,}")
    shown.add_row("recordings", f"{known['recordings']:,}")
    shown.add_row("  others, not usable", f"{unusable:,}{' (see problems.csv)' if unusable else ''}")
    if folders := {folder: number for folder, number in known["folders"].items() if folder}:
        shown.add_row("  by folder", _listed(folders))
    bodies = {model or "none": number for model, number in known["body_models"].items()}
    shown.add_row("  bodies", _listed(bodies, known["recordings"]))
    shown.add_row("  files", f"{known['files']:,}, {known['unread']:,} unreadable")
    shown.add_row("  people in them", f"{known['people']:,}")
    Screen().print(shown)


def labels_table(cache: "Cache") -> None:
    """Number of frames per label."""
    from skelemo.cache.summary import labeled

    if not cache.heads:
        Screen().print("no labels")
        return
    shown = table("labels", "", "", "frames", "share", words=(0, 1))
    for head, counts in labeled(cache).items():
        for name, frames in counts.items():
            share = f"{frames / cache.frames:.1%}" if cache.frames else ""
            shown.add_row("" if name else head, name or "(labeled)", f"{frames:,}", share)
    Screen().print(shown)


def missing_table(cache: "Cache", recordings: "pd.DataFrame", most: int) -> None:
    """Missing points by part, overall and for the recordings with the most missing."""
    from skelemo.cache.summary import overall

    parts = [part.name for part in cache.layout.parts]
    title = "missing points by part, and frames with nobody visible"
    shown = table(title, "recording", "frames", "nobody", *parts, "unreadable files")
    listed = recordings.head(most) if most else recordings
    rows: list[dict[Any, Any]] = [overall(cache), *listed.to_dict("records")]
    for row in rows:
        shares = (f"{row[name]:.1%}" for name in ("nobody", *parts))
        unread = int(row["unread"] if "unread" in row else recordings["unread"].sum())
        name = row.get("video", f"all {len(recordings):,}")
        shown.add_row(name, f"{row['frames']:,}", *shares, f"{unread:,}", end_section="video" not in row)
    console = Screen()
    console.print(shown)
    if len(listed) < len(recordings):
        console.print(f"and {len(recordings) - len(listed):,} more with fewer missing; --recordings 0 lists all")


def _listed(values: Mapping[str, int], total: int = 0) -> str:
    """Values, each with its count unless all are the same."""
    if len(values) == 1 and set(values.values()) == {total}:
        return next(iter(values))
    return some([f"{value} ({count:,})" for value, count in values.items()], MOST_VALUES)
