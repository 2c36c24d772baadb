"""Predictions as an ELAN annotation file (EAF 3.0).

Each person has one tier per head of classes, with an annotation for each run of one class, and one tier per value and
flag, with means over each second. Frame-wise values are written to a linked CSV file per person, which ELAN plots as
configured by ``NAME_tsconf.xml``.
"""

import mimetypes
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from skelemo.atomic import finished
from skelemo.errors import ConfigError
from skelemo.targets import Head
from skelemo.text import file_names, visible

#: Length in milliseconds of the annotations of a value or flag.
STRETCH = 1000

#: Start and end in milliseconds, and value.
Annotations = Iterator[tuple[int, int, str]]

#: Red, green and blue of the curves.
_COLORS = ("0,114,178", "213,94,0", "0,158,115", "204,121,167", "230,159,0", "86,180,233")


def write_elan(
    path: Path,
    table: pd.DataFrame,
    heads: Sequence[Head],
    names: Mapping[str, Sequence[str]],
    *,
    out: Path | None = None,
    film: Path | None = None,
    kind: str = "prediction",
) -> None:
    """Write a table of predictions or labels.

    Raises `ConfigError`: frames without a time, or several videos.

    Parameters
    ----------
    out : final path of the file, beside which linked files are written; default ``path``.
    film : the annotated video.
    kind : ELAN's linguistic type of the annotations.
    """
    require_elan(table["video"].nunique(), timed=not table["time"].isna().any())
    root = ElementTree.Element("ANNOTATION_DOCUMENT", AUTHOR="skelemo", DATE="1970-01-01T00:00:00+00:00", FORMAT="3.0",
                               VERSION="3.0")  # fmt: skip
    header = ElementTree.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    out = Path(os.path.abspath(out or path))
    if film:
        mime = mimetypes.guess_type(film.name)[0] or "video/*"
        _link(header, "MEDIA", Path(os.path.abspath(film)), out, mime)
    _link_values(header, table, heads, names, out)
    order = ElementTree.SubElement(root, "TIME_ORDER")
    count = 0
    for person, rows in table.groupby("person", sort=False):
        start = np.round(rows["time"].to_numpy() * 1000).astype(int)
        step = int(np.median(np.diff(start))) if len(start) > 1 else STRETCH
        for head in heads:
            if head.kind == "classes":
                tiers = [(head.name, _classes(rows[head.name].to_numpy(object), start, step))]
            else:
                tiers = [(name, _means(rows[name].to_numpy(float), start, step)) for name in names[head.name]]
            for name, annotations in tiers:
                who = visible(str(person))
                tier = ElementTree.SubElement(root, "TIER", LINGUISTIC_TYPE_REF=kind,
                                              TIER_ID=f"{who} {visible(name)}".strip(), PARTICIPANT=who)  # fmt: skip
                for first, last, value in annotations:
                    count += 1
                    slots: dict[str, str] = {}
                    for end, at in (("1", first), ("2", last)):
                        slots[f"TIME_SLOT_REF{end}"] = f"ts{count}_{end}"
                        ElementTree.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{count}_{end}", TIME_VALUE=str(at))
                    one = ElementTree.SubElement(ElementTree.SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION",
                                                 {"ANNOTATION_ID": f"a{count}", **slots})  # fmt: skip
                    ElementTree.SubElement(one, "ANNOTATION_VALUE").text = visible(value)
    ElementTree.SubElement(root, "LINGUISTIC_TYPE", GRAPHIC_REFERENCES="false", LINGUISTIC_TYPE_ID=kind,
                           TIME_ALIGNABLE="true")  # fmt: skip
    order[:] = sorted(order, key=lambda slot: int(slot.get("TIME_VALUE", 0)))
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, "utf-8", xml_declaration=True)


def _link(header: ElementTree.Element, what: str, file: Path, out: Path, kind: str) -> None:
    """Link another file by its absolute and relative path."""
    relative = Path(os.path.relpath(file, out.parent)).as_posix()
    relative = relative if relative.startswith("../") else f"./{relative}"
    word = "LINK" if what == "LINKED_FILE" else what
    where = {f"{word}_URL": file.as_uri(), f"RELATIVE_{word}_URL": relative, "MIME_TYPE": kind}
    ElementTree.SubElement(header, f"{what}_DESCRIPTOR", where)


def _link_values(
    header: ElementTree.Element,
    table: pd.DataFrame,
    heads: Sequence[Head],
    names: Mapping[str, Sequence[str]],
    out: Path,
) -> None:
    """Write each person's frame-wise values beside the annotations, and ELAN's configuration for plotting them."""
    tracks = [(name, head) for head in heads if head.kind == "values" for name in names[head.name]]
    columns = [name for name, _ in tracks]
    if not tracks:
        return
    root = ElementTree.Element("timeseries", date="1970-01-01T00:00:00+00:00", version="1.0")
    people = list(table.groupby("person", sort=False))
    for (person, rows), name in zip(people, file_names(str(person) or "values" for person, _ in people), strict=True):
        file = out.with_name(f"{out.stem}_{name}.csv")
        known = rows.loc[rows[columns].notna().all(axis=1), ["time", *columns]]
        with finished(file) as partial:
            known.to_csv(partial, index=False, float_format="%.4f")
        _link(header, "LINKED_FILE", file, out, "text/plain")
        source = ElementTree.SubElement(
            root, "tracksource", {"source-url": file.as_uri(), "sample-type": "Discontinuous Rate", "time-column": "0"}
        )
        provider = "mpi.eudico.client.annotator.timeseries.csv.CSVServiceProvider"
        ElementTree.SubElement(source, "property", key="provider", value=provider)
        for number, (column, head) in enumerate(tracks):
            title = f"{visible(str(person))} {visible(column)}".strip()
            track = ElementTree.SubElement(source, "track", name=title, derivative="0")
            ElementTree.SubElement(track, "property", key="detect-range", value="false")
            ElementTree.SubElement(
                ElementTree.SubElement(track, "sample-position"), "pos", row="0", col=str(number + 1)
            )
            ElementTree.SubElement(track, "description")
            ElementTree.SubElement(track, "units")
            ElementTree.SubElement(track, "range", min=str(head.low), max=str(head.high))
            ElementTree.SubElement(track, "color").text = _COLORS[number % len(_COLORS)]
    ElementTree.indent(root)
    settings = out.with_name(f"{out.stem}_tsconf.xml")
    with finished(settings) as partial:
        ElementTree.ElementTree(root).write(partial, "utf-8", xml_declaration=True)
    _link(header, "LINKED_FILE", settings, out, "text/xml")


def require_elan(videos: int, *, timed: bool) -> None:
    """Raise `ConfigError` for several videos or frames without times."""
    if not timed:
        raise ConfigError("ELAN needs times, but the source has no frame rate: pass --fps")
    if videos > 1:
        raise ConfigError(f"an .eaf file annotates one video, but the source has {videos}: predict one at a time")


def _classes(classes: np.ndarray, start: np.ndarray, step: int) -> Annotations:
    """Runs of one class without gaps or missing predictions."""
    ends = np.flatnonzero((classes[1:] != classes[:-1]) | (np.diff(start) > 2 * step)) + 1
    for first, last in zip([0, *ends], [*ends, len(classes)], strict=True):
        if classes[first]:
            yield int(start[first]), _end(start, last - 1, step), str(classes[first])


def _means(values: np.ndarray, start: np.ndarray, step: int) -> Annotations:
    """Means over segments of `STRETCH` milliseconds."""
    for segment in np.unique(start // STRETCH):
        here = (start // STRETCH == segment) & ~np.isnan(values)
        if here.any():
            yield int(start[here][0]), _end(start, int(np.flatnonzero(here)[-1]), step), f"{values[here].mean():.3f}"


def _end(start: np.ndarray, row: int, step: int) -> int:
    """End of a frame: at most the start of the next one, since rounded frames may be a millisecond too long."""
    return min([int(start[row]) + step, *start[row + 1 : row + 2].tolist()])
