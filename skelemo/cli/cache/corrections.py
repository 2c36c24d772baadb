"""``skelemo cache corrections``."""

from pathlib import Path

import click

from skelemo.cli.values import PATH, RATE, TEXT


@click.command("corrections")
@click.argument("cache", type=PATH)
@click.option("--file", type=PATH, help="Correction table.  [default: corrections.csv in the cache]")
@click.option("--to", "to", type=PATH, metavar="FILE.eaf", help="Write the corrected labels to an ELAN file.")
@click.option("--from", "from_", type=PATH, metavar="FILE.eaf", help="Add the changes made in an ELAN file.")
@click.option("--video", type=TEXT, help="Recording, if the cache has several.")
@click.option("--film", type=PATH, help="With --to, the video for ELAN to open.")
@click.option("--fps", type=RATE, default=0.0, help="Frames per second.  [default: the cache's]")
@click.option("--author", type=TEXT, help="Author of the corrections.  [default: your user name]")
def command(
    cache: Path,
    file: Path | None,
    to: Path | None,
    from_: Path | None,
    video: str | None,
    film: Path | None,
    fps: float,
    author: str | None,
) -> None:
    """List the corrections of a cache, and exchange them with ELAN.

    The ELAN file has a tier for each person and head. Changes made in ELAN are imported as corrections. An annotation
    `wrong` or `unsure` removes labels; frames without an annotation keep theirs.

    \b
    skelemo cache corrections cache/faces --video interview --to interview.eaf
    skelemo cache corrections cache/faces --video interview --from interview.eaf --author anna
    """
    from skelemo.cache import corrections as table
    from skelemo.cache.store import open_cache
    from skelemo.cli.screen import Screen, notes
    from skelemo.cli.tables import corrections_table
    from skelemo.errors import ConfigError
    from skelemo.text import count

    path = file or table.corrections_file(cache)
    opened = open_cache(cache)
    for wanted in (to, from_):
        if wanted and wanted.suffix.lower() != ".eaf":
            raise ConfigError(f"{wanted}: expected an ELAN file, NAME.eaf")
    known = table.read_corrections(path, missing_ok=file is None or bool(from_))
    console = Screen(soft_wrap=True)
    if from_:
        from skelemo.formats.elan import import_elan

        found = import_elan(opened, known, from_, video=video or "", fps=fps)
        notes(found.notes)
        if found.corrections:
            table.add(path, found.corrections, author=author or "")
        console.print(f"{count(len(found.corrections), 'correction')} added to {path}")
        known = table.read_corrections(path, missing_ok=True)
    if to:
        from skelemo.formats.elan import export_elan

        people = export_elan(opened, known, to, video=video or "", fps=fps, film=film)
        console.print(f"labels of {count(people, 'person', 'people')} written to {to}")
    if not (to or from_):
        corrections_table(known)
