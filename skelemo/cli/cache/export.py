"""``skelemo cache export``."""

from pathlib import Path

import click

from skelemo.cli.values import PATH, Known


def _names() -> list[str]:
    from skelemo.formats.registry import names

    return names("export")


@click.command("export")
@click.argument("cache", type=PATH)
@click.option("--to", "form", required=True, type=Known("format", _names, paths=True),
              help="What to write.")  # fmt: skip
@click.option("--out", required=True, type=PATH, help="The file, or for pose the folder.")
@click.option("--only", multiple=True, metavar="KEY=GLOB",
              help="Just these sequences, by video, id, subject, person, label or a column of the splits. Repeated for "
              "one key: either; for several keys: all must hold.")  # fmt: skip
@click.option("--raw", is_flag=True, help="In csv, leave names as they are that a spreadsheet would run as formulas.")
def command(cache: Path, form: str, out: Path, only: tuple[str, ...], raw: bool) -> None:
    """Write a cache for other programs.

    \b
    pyskl    the annotation file of PYSKL and MMAction2 (a pickle): clips with one label each, people by clip
    pose     a .pose file of the library pose-format for each video
    csv      a row for each frame; OUT.gz is compressed
    parquet  the same, typed

    \b
    skelemo cache export cache/faces --to parquet --out faces.parquet --only split=train
    """
    from skelemo.cache.store import open_cache
    from skelemo.cli.progress import progress
    from skelemo.cli.screen import Screen
    from skelemo.errors import ConfigError
    from skelemo.formats.registry import find
    from skelemo.text import count

    entry = find(form, "export")
    if raw and not entry.facts.raw:
        raise ConfigError(f"--raw is for csv, {form} holds every text as it is")
    options = {"raw": True} if raw else {}
    with progress("exporting", "frames") as report:
        done = entry.function(open_cache(cache), out, only, report, **options)
    console = Screen(soft_wrap=True)
    for note in done.notes:
        console.print(f"note: {note}")
    console.print(f"{count(done.sequences, 'sequence')}, {count(done.frames, 'frame')} written to {out}")
