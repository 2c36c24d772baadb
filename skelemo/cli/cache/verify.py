"""``skelemo cache verify``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skelemo.cli.values import PATH, TEXT

if TYPE_CHECKING:
    from rich.text import Text

    from skelemo.cache.verify import Finding
    from skelemo.ingest.repair import Repair

#: Names shown of each kind, and lines of what is lost.
MOST_NAMES, MOST_LINES = 8, 20
#: Of a table that goes into a file.
_WIDTH = 160


@click.command("verify")
@click.argument("caches", nargs=-1, required=True, type=PATH, metavar="CACHE...")
@click.option("--repair", "source", type=PATH, metavar="SOURCE",
              help="Read what is damaged again from SOURCE, the folder that the cache was ingested from.")  # fmt: skip
@click.option("--labels", type=TEXT, metavar="FORMAT[:PATH]", help="For --repair: the labels, as at the ingest.")
@click.option("--jobs", type=click.IntRange(1), help="Threads that read.  [default: one per core]")
@click.pass_context
def command(
    ctx: click.Context, caches: tuple[Path, ...], source: Path | None, labels: str | None, jobs: int | None
) -> None:
    """Read every byte of caches, compare it with its hashes, and name what is damaged.

    With --repair, healthy sequences of damaged shards are kept, the others are read again, and a damaged shard is set
    aside (NAME.h5.damaged) when all that it held is whole again.

    Exit code 0 when everything is whole, 1 when damage remains, 2 when something cannot be checked.

    \b
    skelemo cache verify cache/affwild2 --repair openpose/ --labels affwild2:annotations/
    """
    import os

    from skelemo.cache.cache import find_caches
    from skelemo.errors import CacheError

    folders = [folder for path in caches for folder in find_caches(path)]
    if source and len(folders) > 1:
        raise click.UsageError("--repair takes one cache at a time: each has a source of its own")
    if labels and not source:
        raise click.UsageError("--labels is for --repair SOURCE")
    damaged, errors = False, []
    for folder in folders:
        try:
            damaged |= _is_damaged(folder, source, labels, jobs or os.cpu_count() or 1)
        except CacheError as error:  # the others are checked all the same
            errors.append(str(error))
    if errors:
        raise CacheError("; ".join(errors))
    ctx.exit(1 if damaged else 0)


def _is_damaged(folder: Path, source: Path | None, labels: str | None, jobs: int) -> bool:
    """Whether damage remains when a cache has been checked and, with a source, repaired."""
    from skelemo.cache.cache import open_cache
    from skelemo.cli.progress import progress

    findings = _findings(folder, jobs)
    _tell_findings(folder, findings)
    if findings and source is None:
        return True
    if findings and source:
        from skelemo.ingest.repair import repair

        with progress("reading again", "files") as told:
            repaired = repair(folder, findings, source, labels, jobs=jobs, report=told)
        _tell_repair(repaired)
        if repaired.lost:
            return True
    open_cache(folder)  # each shard is whole, but they may contradict each other
    return False


def _findings(folder: Path, jobs: int) -> "list[Finding]":
    """What is wrong with a cache; what is known of it is told where a part of it cannot be checked."""
    from skelemo.cache.verify import UncheckedError, verify
    from skelemo.cli.progress import byte_progress

    try:
        with byte_progress(f"checking {folder}") as told:
            return verify(folder, jobs=jobs, report=told)
    except UncheckedError as error:
        if error.findings:
            _tell_findings(folder, error.findings)
        raise


def _tell_findings(folder: Path, findings: "list[Finding]") -> None:
    from skelemo.cli.screen import Screen
    from skelemo.cli.tables import table

    console = Screen()
    console.width = console.width if console.is_terminal else _WIDTH
    if not findings:
        console.print(f"{folder}: whole")
        return
    shown = table(f"damaged in {folder}", "shard", "sequences", "recordings", "what is wrong")
    for finding in findings:
        shown.add_row(
            finding.path.name,
            *(_listed(names) for names in (finding.damaged, finding.recordings)),
            finding.reason or "frames are not those that were written",
        )
    for column in shown.columns:
        column.justify, column.overflow = "left", "fold"
    console.print(shown)


def _tell_repair(repaired: "Repair") -> None:
    from skelemo.cli.screen import Screen
    from skelemo.text import count

    console = Screen(soft_wrap=True)
    for note in repaired.tally.notes:
        console.print(f"note: {note}")
    console.print(f"read again: {count(repaired.tally.recordings, 'recording')}, {count(repaired.tally.files, 'file')}")
    for path in repaired.aside:
        console.print(f"{path}: set aside, nothing needs it any more")
    for line in repaired.lost[:MOST_LINES]:
        console.print(line, style="yellow")
    if len(repaired.lost) > MOST_LINES:
        console.print(f"and {len(repaired.lost) - MOST_LINES:,} more", style="yellow")


def _listed(names: "tuple[str, ...] | None") -> "Text":
    """The first few of many names."""
    from skelemo.cli.screen import lines

    if names is None:
        return lines(["unknown"])
    more = [f"… {len(names):,} in all"] if len(names) > MOST_NAMES else []
    return lines([*names[:MOST_NAMES], *more])
