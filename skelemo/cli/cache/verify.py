"""``skelemo cache verify``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skelemo.cli.values import PATH, jobs_option

if TYPE_CHECKING:
    from rich.text import Text

    from skelemo.cache.verify import Finding

#: Names shown per kind.
MOST_NAMES = 8
#: Table width when output goes to a file.
_WIDTH = 160


@click.command("verify")
@click.argument("caches", nargs=-1, required=True, type=PATH, metavar="CACHE...")
@click.option(
    "--quarantine", is_flag=True, help="Take damaged shards out of the cache by renaming them to NAME.h5.damaged."
)
@jobs_option("Reader threads.")
@click.pass_context
def command(ctx: click.Context, caches: tuple[Path, ...], quarantine: bool, jobs: int) -> None:
    """Verify every byte of caches, and list damage.

    After --quarantine, rerun the `skelemo ingest` that made the cache to restore what is missing. Exit code 0: no
    damage; 1: damage found; 2: something could not be checked.

    \b
    skelemo cache verify cache/affwild2 --quarantine
    skelemo ingest openpose/ --labels affwild2:annotations/ --out cache/affwild2
    """
    from skelemo.cache.store import find_caches, open_cache
    from skelemo.cache.verify import quarantine as set_aside
    from skelemo.cache.verify import verify
    from skelemo.cli.progress import byte_progress
    from skelemo.errors import CacheError

    damaged, errors = False, []
    for folder in [folder for path in caches for folder in find_caches(path)]:
        try:
            with byte_progress(f"checking {folder}") as report:
                findings = verify(folder, jobs=jobs, report=report)
            _show(folder, findings)
            damaged |= bool(findings)
            if not findings:
                open_cache(folder)  # intact shards may contradict each other
            elif quarantine:
                for finding in findings:
                    click.echo(f"set aside: {set_aside(finding.path)}")
                click.echo("Rerun the ingest that made this cache to restore what is missing.")
        except CacheError as error:  # check the other caches, too
            errors.append(str(error))
    if errors:
        raise CacheError("; ".join(errors))
    ctx.exit(1 if damaged else 0)


def _show(folder: Path, findings: "list[Finding]") -> None:
    from skelemo.cli.screen import Screen
    from skelemo.cli.tables import table

    console = Screen()
    console.width = console.width if console.is_terminal else _WIDTH
    if not findings:
        console.print(f"{folder}: no damage")
        return
    shown = table(f"damaged in {folder}", "shard", "sequences", "recordings", "problem", words=range(4))
    for finding in findings:
        shown.add_row(
            finding.path.name,
            *(_listed(names) for names in (finding.sequences, finding.recordings)),
            finding.reason or "frames differ from what was written",
        )
    console.print(shown)


def _listed(names: tuple[str, ...]) -> "Text":
    """The first few names."""
    from skelemo.cli.screen import lines

    more = [f"… {len(names):,} in all"] if len(names) > MOST_NAMES else []
    return lines([*names[:MOST_NAMES], *more] or ["unknown"])
