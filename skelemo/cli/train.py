"""``skelemo train``."""

from pathlib import Path

import click

from skelemo.cli.values import PATH, TEXT


def _refuse(ctx: click.Context, _: click.Parameter, words: tuple[str, ...]) -> None:
    """Say how caches are named: `evaluate`, `audit` and `view` take them as arguments."""
    if words:
        caches = " ".join(f"--data {word}" for word in words)
        raise click.UsageError(f"unexpected argument {words[0]!r}: train takes caches by --data, as in {caches}", ctx)


@click.command("train")
@click.argument("words", nargs=-1, metavar="", expose_value=False, is_eager=True, callback=_refuse)
@click.option("--arch", type=TEXT, help="An architecture that `skelemo models` lists.  [default: ann]")
@click.option("--data", multiple=True, type=TEXT, help="A cache folder; several are read as one.")
@click.option(
    "--head",
    type=TEXT,
    metavar="NAME,...",
    help="Heads to predict, as expression,va (or both, short for these).  [default: the first that has labels]",
)
@click.option("--corrections", type=TEXT, metavar="FILE", help="Table that corrects labels, as skelemo view writes it.")
@click.option(
    "--weights", type=TEXT, metavar="imagenet|FILE", help="What an image network starts from; short for model.weights."
)
@click.option("--init", type=TEXT, metavar="RUN", help="Start from another run's weights; other heads are new.")
@click.option("--config", type=PATH, help="YAML file of settings, as in configs/.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One setting; overrides the file's.")
@click.option("--out", required=True, type=PATH, help="Run folder; must not exist yet.")
@click.option("--seeds", type=click.IntRange(1), help="Train so many times; the run holds all and their mean.")
@click.option("--devices", type=click.IntRange(1), help="Devices of each machine; on the CPU processes.")
@click.option("--nodes", type=click.IntRange(1), help="Machines that train together (torchrun or SLURM).")
@click.option("--resume", is_flag=True, help="Continue the interrupted run in --out with its own settings.")
@click.option("--settings", is_flag=True, is_eager=True, expose_value=False, callback=lambda *a: _list_settings(*a),
              help="List every setting with its default, and exit.")  # fmt: skip
@click.pass_context
def command(
    ctx: click.Context,
    arch: str | None,
    data: tuple[str, ...],
    head: str | None,
    corrections: str | None,
    weights: str | None,
    init: str | None,
    config: Path | None,
    assignments: tuple[str, ...],
    out: Path,
    seeds: int | None,
    devices: int | None,
    nodes: int | None,
    resume: bool,
) -> None:
    """Train a model on a cache and score it.

    The validation subset chooses the model, the test subset is scored once. Everything is left in the run folder, from
    which `skelemo report` makes its pages.

    \b
    skelemo train --arch ann --data cache/faces --head expression --set split=kfold:10 --out runs/faces
    """
    from skelemo.cli.running import trained

    given = {"arch": arch, "data": data or None, "head": head, "model.weights": weights, "seeds": seeds}
    given |= {"devices": devices, "nodes": nodes, "corrections": corrections, "init": init}
    scores = trained(ctx, given, config, assignments, out, resume)

    from skelemo.cache.corrections import in_words
    from skelemo.cli.tables import scores_table
    from skelemo.runs.folder import read_json

    if scores:  # of several processes the first has them
        scores_table(out, scores)
    if started := read_json(out / "environment.json").get("init"):
        click.echo(started["text"] + (f"\nthe scores flatter: {started['overlap']}" if started["overlap"] else ""))
    if corrected := read_json(out / "environment.json").get("corrections"):
        click.echo(f"with {in_words(corrected)}")


def _list_settings(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from skelemo.cli.tables import settings_table

    settings_table()
    ctx.exit()
