"""Tables printed by commands, using rich."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from rich.table import Table

from skelemo.cli.screen import Screen, lines, notes
from skelemo.text import count

if TYPE_CHECKING:
    import pandas as pd

    from skelemo.cache.corrections import Corrections
    from skelemo.cache.store import Cache
    from skelemo.ingest.plan import Plan
    from skelemo.ingest.result import Tally


def table(title: str, *columns: str, words: Collection[int] = (0,)) -> Table:
    """A table whose columns ``words`` are aligned to the left, the others, of numbers, to the right."""
    made = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        if index in words:
            made.add_column(column, overflow="fold")
        else:
            made.add_column(column, justify="right", overflow="ellipsis")
    return made


def corrections_table(corrections: "Corrections") -> None:
    """Corrections with author and time, including undone ones."""
    title = f"{count(len(corrections.effective), 'correction')} in effect"
    shown = table(title, "id", "time (UTC)", "author", "what", "where", words=(0, 3, 4))
    for row in corrections.rows:
        what = " ".join(filter(None, (row.action, row.head, row.value, "(undone)" if row.undone else "")))
        time = row.time[:16].replace("T", " ")
        shown.add_row(row.id, time, row.author, what, _place(row.video, row.person, row.first, row.last))
    shown.columns[1].no_wrap = True
    shown.columns[1].min_width = 16
    Screen().print(shown)


def _place(video: str, person: str, first: int, last: int | None) -> str:
    """A range of frames, in short form."""
    frames = str(first) if first == last else f"{first} to {'the end' if last is None else last}"
    return " ".join(filter(None, (video, person, frames)))


def suspects_table(suspects: "pd.DataFrame", most: int = 20) -> None:
    """The most confident suspects of an audit."""
    shown = table(f"{count(len(suspects), 'suspect')}", "rank", "kind", "where", "score", "finding",
                  words=(0, 2, 4))  # fmt: skip
    for row in suspects.head(most).to_dict("records"):
        where = _place(row["video"], row["person"], row["first"], row["last"])
        shown.add_row(str(row["rank"]), row["kind"], where, f"{row['score']:.2f}", row["found"])
    Screen().print(shown)


def scores_table(out: Path, scores: Mapping[str, Mapping[str, Any]]) -> None:
    """A finished run's scores with intervals, and its location."""
    from skelemo.evaluation.metrics import title_of

    console = Screen()
    seeds = max((len(scored.get("seeds", ())) for heads in scores.values() for scored in heads.values()), default=0)
    title = f"scores of {out}" + (f": mean predictions of {seeds} seeds" if seeds else "")
    shown = table(title, "subset", "head", "metric", "value", "95 % interval", words=range(3))
    for subset, heads in scores.items():
        for head, scored in heads.items():
            for name, figure in scored.items():
                if isinstance(figure, dict) and figure.get("value") is not None:
                    shown.add_row(subset, head, title_of(name, scored), *_figure(figure, scored))
            if not any(isinstance(figure, dict) and figure.get("value") is not None for figure in scored.values()):
                console.print(f"{subset}, {head}: no scores: the labels do not vary", soft_wrap=True)
            if scored.get("note"):
                console.print(f"{subset}, {head}: {scored['note']}", soft_wrap=True)
    console.print(shown)
    for shown in _tables_by(scores):
        console.print(shown)
    console.print(f"run folder: {out}")
    console.print(f"skelemo report {quote(str(out))} --out {quote(f'{out}/report')}", soft_wrap=True)


def _tables_by(scores: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """Each head's main metric per group, for the columns that scores are broken down by."""
    from skelemo.evaluation.metrics import title_of

    found: dict[str, Table] = {}
    for heads in scores.values():
        for head, scored in heads.items():
            for group in scored.get("by", ()):
                one, column = group["scores"], group["column"]
                titles = (column, "head", "metric", "value", "95 % interval", "n")
                made = found.setdefault(column, table(f"by {column}", *titles, words=range(3)))
                name, figure = next((name, found) for name, found in one.items() if isinstance(found, dict))
                made.add_row(group["group"], head, title_of(name, one), *_figure(figure, one),
                             count(one["windows"], one["unit"]))  # fmt: skip
    return list(found.values())


def ingest_table(plan: "Plan", tally: "Tally") -> None:
    """Summary of an ingest: people, frames, missing points, labels, problems."""
    console = Screen()
    notes((*plan.notes, *_merged(tally.notes)))
    shown = table(f"ingested into {plan.out}", "", "")
    shown.show_header = False
    shown.add_row("recordings", f"{tally.recordings:,}")
    if plan.unchanged:
        shown.add_row("  already in the cache, unchanged", f"{plan.unchanged:,}")
    for title, number in (("sequences", tally.sequences), ("frames", tally.frames), ("detections", tally.people)):
        shown.add_row(title, f"{number:,}")
    if tally.left_out["detections"]:
        people, detections = tally.left_out["people"], tally.left_out["detections"]
        who = f" of {count(people, 'other person', 'other people')}" if people else ""
        shown.add_row(f"left out by --person {plan.settings.person}", f"{count(detections, 'detection')}{who}")
    sources = (("coordinates", tally.scales), ("body model", tally.body_models), ("identities by", tally.identities))
    for title, found in sources:
        known = [(name, number) for name, number in found.most_common() if name]
        texts = [name if len(known) == 1 else f"{name} ({number:,})" for name, number in known]
        if texts:
            shown.add_row(title, ", ".join(texts))
    for part, points in tally.points.items():
        shown.add_row(f"missing points, {part}", f"{1 - tally.seen[part] / points:.1%}" if points else "-")
    for title, text in plan.facts:
        shown.add_row(title, text)
    for name, frames in tally.labels.items():
        if frames:
            shown.add_row(f"frames labeled {name}", f"{frames:,}")
    shown.add_row("unreadable files", f"{tally.unread:,}")
    if tally.damaged:
        shown.add_row("partly unreadable files", f"{tally.damaged:,}")
    shown.add_row("unusable recordings", f"{len(tally.failures):,}")
    console.print(shown)
    for problem in (*tally.failures, *tally.problems)[:5]:
        console.print(f"{problem.file}: {problem.reason}", style="yellow", soft_wrap=True)
    if tally.problems or tally.failures:
        console.print(f"full list: {plan.out / 'problems.csv'}")


def _merged(notes: "list[str]") -> "list[str]":
    """Notes, with those on three or more recordings in the same words merged."""
    sources: dict[str, list[str]] = {}
    for note in notes:
        source, _, text = note.partition(": ")
        sources.setdefault(text or note, []).append(source)
    found = []
    for text, names in sources.items():
        if len(names) >= 3:
            names = [f"{len(names):,} recordings, such as {names[0]}"]
        found += [f"{name}: {text}" if name != text else text for name in names]
    return found


def cache_table(caches: "list[Cache]") -> None:
    """One row per cache."""
    shown = table("caches", "cache", "sequences", "frames", "heads", "splits", "layout", words=(0, 3, 4, 5))
    for column in shown.columns[1:3]:
        column.no_wrap = True
    for cache in caches:
        splits = {name for splits in cache.sequences["splits"] for name in splits}
        shown.add_row(
            cache.name + ", simulated" * cache.simulated,
            f"{len(cache.sequences):,}",
            f"{cache.frames:,}",
            lines(head.name for head in cache.heads),
            lines(sorted(splits)),
            lines(cache.layout.name.replace("+", " +").split()),
        )
    Screen().print(shown)


def sequences_table(cache: "Cache") -> None:
    """One row per sequence."""
    shown = table(
        f"sequences of {cache.name}", "sequence", "frames", "subject", "size", "fps", "splits", words=(0, 2, 5)
    )
    for row in cache.sequences.to_dict("records"):
        size = f"{row['width']}x{row['height']}" if row["width"] else ""
        splits = ", ".join(f"{column}={subset}" for column, subset in row["splits"].items())
        fps = f"{row['fps']:g}" if row["fps"] else ""
        shown.add_row(row["id"], f"{row['length']:,}", row["subject"], size, fps, splits)
    Screen().print(shown)


def settings_table() -> None:
    """All training settings."""
    shown = table("settings of skelemo train", "setting", "default", "meaning", words=range(3))
    for row in setting_rows():
        shown.add_row(*row)
    Screen().print(shown)


def setting_rows() -> Iterator[tuple[str, str, str]]:
    """Name, default in YAML and meaning of each training setting."""
    from skelemo.training.config import Config

    for name, field in Config.model_fields.items():
        choices = map(in_yaml, get_args(field.annotation)) if get_origin(field.annotation) is Literal else ()
        meaning = ": ".join(filter(None, (field.description, " | ".join(choices))))
        yield name, in_yaml(field.get_default(call_default_factory=True)), meaning


def in_yaml(value: Any) -> str:
    """A setting's value as a user writes it."""
    if isinstance(value, tuple | list):
        return f"[{','.join(map(in_yaml, value))}]"  # without spaces, for --set
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "''" if value == "" else str(value)


def _figure(figure: Mapping[str, float | None], scored: Mapping[str, Any]) -> tuple[str, str]:
    from skelemo.report.describe import missing_interval

    value, low, high = (figure.get(name) for name in ("value", "low", "high"))
    interval = f"{low:.3f} to {high:.3f}" if low is not None and high is not None else missing_interval(scored)
    return ("-" if value is None else f"{value:.3f}"), interval or "n/a"
