"""``skelemo pretrain``."""

from pathlib import Path

import click

from skelemo.cli.values import PATH, TEXT


@click.command("pretrain")
@click.argument("caches", metavar="CACHE...", nargs=-1, type=TEXT)
@click.option("--arch", type=TEXT, help="A network that `skelemo models` lists; the one that will start from it.")
@click.option("--config", type=PATH, help="YAML file of settings; those about labels do not count.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One setting; overrides the file's.")
@click.option("--out", required=True, type=PATH, help="Run folder; must not exist yet.")
@click.option("--resume", is_flag=True, help="Continue the interrupted run in --out with its own settings.")
@click.pass_context
def command(
    ctx: click.Context,
    caches: tuple[str, ...],
    arch: str | None,
    config: Path | None,
    assignments: tuple[str, ...],
    out: Path,
    resume: bool,
) -> None:
    """Learn from unlabeled sequences: hidden points, and their movement, are reconstructed.

    The run is a start for trainings, by `skelemo train --init RUN`; it predicts nothing itself. Labels are not looked
    at. `hide_points` and `hide_frames` say how much is hidden; `skelemo train --settings` lists all settings.

    \b
    skelemo pretrain cache/unlabeled --arch stgcnpp --set length=32 --out runs/body
    skelemo train --arch stgcnpp --set length=32 --init runs/body --data cache/mine --out runs/mine
    """
    from skelemo.cli.running import trained

    scores = trained(ctx, {"pretrain": True, "arch": arch, "data": caches or None}, config, assignments, out, resume)
    if scores:  # of several processes the first has them
        (reconstructed,) = scores["validation"].values()
        click.echo(f"validation loss {reconstructed['loss']['value']:.3f}; 1 is the error of the mean place")
    click.echo(f"run folder: {out}\nskelemo train --init {out} …")
