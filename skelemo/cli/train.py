"""``skelemo train`` and ``skelemo pretrain``."""

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from skelemo.cli import on_interrupt
from skelemo.cli.values import PATH, TEXT, set_option, together

if TYPE_CHECKING:
    from skelemo.evaluation.scores import Scores

_run_options = together(
    set_option("; overrides the file's"),
    click.option("--out", required=True, type=PATH, help="Run folder; must not exist yet."),
    click.option("--resume", is_flag=True, help="Continue the interrupted run in --out with its own settings."),
)


def _refuse(ctx: click.Context, _: click.Parameter, words: tuple[str, ...]) -> None:
    """Explain how to pass caches, which `evaluate`, `audit` and `view` take as arguments."""
    if words:
        caches = " ".join(f"--data {word}" for word in words)
        raise click.UsageError(f"unexpected argument {words[0]!r}: train takes caches by --data, as in {caches}", ctx)


@click.command("train")
@click.argument("words", nargs=-1, metavar="", expose_value=False, is_eager=True, callback=_refuse)
@click.option("--arch", type=TEXT, help="Architecture from `skelemo models`.  [default: ann]")
@click.option("--data", multiple=True, type=TEXT, help="Cache folder; repeat to combine several.")
@click.option(
    "--head",
    type=TEXT,
    metavar="NAME,...",
    help="Heads to predict, such as expression,va (for short: both).  [default: the first with labels]",
)
@click.option(
    "--corrections", type=TEXT, metavar="FILE", help="Correction table for the labels, as written by skelemo view."
)
@click.option(
    "--weights",
    type=TEXT,
    metavar="imagenet|FILE",
    help="Initial weights of an image network; short for model.weights.",
)
@click.option(
    "--init",
    type=TEXT,
    metavar="RUN",
    help="Start from another run's weights; heads that differ are newly initialized.",
)
@click.option("--config", type=PATH, help="YAML settings file, as in configs/.")
@_run_options
@click.option(
    "--seeds",
    type=click.IntRange(1),
    help="Number of trainings with different seeds; the run contains all and their mean.",
)
@click.option("--devices", type=click.IntRange(1), help="Devices per machine (on the CPU: processes).")
@click.option("--nodes", type=click.IntRange(1), help="Number of machines (torchrun or SLURM).")
@click.option("--settings", is_flag=True, is_eager=True, expose_value=False, callback=lambda *a: _list_settings(*a),
              help="List every setting with its default, and exit.")  # fmt: skip
@click.pass_context
def command(
    ctx: click.Context,
    weights: str | None,
    config: Path | None,
    assignments: tuple[str, ...],
    out: Path,
    resume: bool,
    **given: Any,
) -> None:
    """Train a model on a cache and score it.

    The model is selected on the validation subset; the test subset is scored once. All results go to the run folder,
    which `skelemo report` turns into a page.

    \b
    skelemo train --arch ann --data cache/faces --head expression --set split=kfold:10 --out runs/faces
    """
    scores = _trained(ctx, given | {"model.weights": weights}, config, assignments, out, resume)

    from skelemo.cache.corrections import in_words
    from skelemo.cli.tables import scores_table
    from skelemo.runs.folder import read_json

    if scores:  # only in the first process
        scores_table(out, scores)
    if started := read_json(out / "environment.json").get("init"):
        click.echo(
            started["text"] + (f"\nthe scores are optimistic: {started['overlap']}" if started["overlap"] else "")
        )
    if corrected := read_json(out / "environment.json").get("corrections"):
        click.echo(f"labels were corrected: {in_words(corrected)}")


def _list_settings(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from skelemo.cli.tables import settings_table

    settings_table()
    ctx.exit()


@click.command("pretrain")
@click.argument("data", metavar="CACHE...", nargs=-1, type=TEXT)
@click.option("--arch", type=TEXT, help="Architecture from `skelemo models`; must match the run to be fine-tuned.")
@click.option("--config", type=PATH, help="YAML settings file; settings about labels are ignored.")
@_run_options
@click.pass_context
def pretrain(
    ctx: click.Context, config: Path | None, assignments: tuple[str, ...], out: Path, resume: bool, **given: Any
) -> None:
    """Pretrain on unlabeled sequences.

    The network learns to reconstruct hidden points and their movement. Fine-tune the run with `skelemo train --init
    RUN`; it cannot predict by itself. Labels are not used. `hide_regions` and `hide_frames` set how much is hidden;
    `skelemo train --settings` lists all settings.

    \b
    skelemo pretrain cache/unlabeled --arch stgcnpp --set length=32 --out runs/body
    skelemo train --arch stgcnpp --set length=32 --init runs/body --data cache/mine --out runs/mine
    """
    scores = _trained(ctx, given | {"pretrain": True}, config, assignments, out, resume)
    if scores:  # only in the first process
        (reconstructed,) = scores["validation"].values()
        click.echo(f"validation loss {reconstructed['loss']['value']:.3f}; 1 corresponds to predicting the mean")
    click.echo(f"run folder: {out}\nskelemo train --init {quote(str(out))} …")


def _trained(
    ctx: click.Context,
    given: Mapping[str, Any],
    config: Path | None,
    assignments: tuple[str, ...],
    out: Path,
    resume: bool,
) -> "Scores":
    """Train with a progress bar and return the scores (in the first process only).

    Ctrl-C prints how to resume.

    Parameters
    ----------
    given : settings from options, None or empty if not given; they override the file, and ``assignments`` override
        both.
    """
    from skelemo.errors import ConfigError
    from skelemo.models.registry import ARCHITECTURES
    from skelemo.training.config import load_config, parse_assignments

    if arch := given["arch"]:
        ARCHITECTURES.find(arch)
    overrides = {name: value for name, value in given.items() if value not in (None, ())} | parse_assignments(
        assignments
    )
    settings = load_config(config, overrides)
    begun = out / "config.yaml"
    pretraining = settings.pretrain or (resume and begun.is_file() and load_config(begun).pretrain)
    if pretraining and not given.get("pretrain"):
        again = f"skelemo pretrain --out {out} --resume" if resume else f"skelemo pretrain CACHE --out {out}"
        raise ConfigError(f"pretrain = True does not train on labels: {again}")

    from skelemo.cli.progress import training_progress
    from skelemo.training.fit import train

    again = f"continue with\nskelemo {ctx.info_name} --out {quote(str(out))} --resume"
    nothing = "nothing was written; run the same command again"
    on_interrupt(lambda: f"interrupted; {again if begun.is_file() else nothing}")
    with training_progress() as report:
        return train(settings, out, resume=resume, report=report)
