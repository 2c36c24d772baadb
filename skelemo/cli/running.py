"""One training, as ``skelemo train`` and ``skelemo pretrain`` start it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from skelemo.evaluation.scores import Scores


def trained(
    ctx: click.Context,
    given: Mapping[str, Any],
    config: Path | None,
    assignments: tuple[str, ...],
    out: Path,
    resume: bool,
) -> "Scores":
    """Train under a bar and return the scores, which of several processes the first one has.

    Ctrl-C says how to go on.

    Parameters
    ----------
    given : settings by options of their own, None where the option is not given; they override the file's, and
        ``assignments`` override both.
    """
    from skelemo.errors import ConfigError
    from skelemo.models.registry import ARCHITECTURES
    from skelemo.training.config import load_config, parse_assignments

    if arch := given["arch"]:
        ARCHITECTURES.find(arch)
    overrides = {name: value for name, value in given.items() if value is not None} | parse_assignments(assignments)
    settings = load_config(config, overrides)
    begun = out / "config.yaml"
    pretraining = settings.pretrain or (resume and begun.is_file() and load_config(begun).pretrain)
    if pretraining and not given.get("pretrain"):
        again = f"skelemo pretrain --out {out} --resume" if resume else f"skelemo pretrain CACHE --out {out}"
        raise ConfigError(f"pretrain = True is no training with labels: {again}")

    from skelemo.cli.progress import training_progress
    from skelemo.training.fit import train

    try:
        with training_progress() as report:
            return train(settings, out, resume=resume, report=report)
    except KeyboardInterrupt:
        click.echo(f"interrupted; continue with\nskelemo {ctx.info_name} --out {out} --resume", err=True)
        ctx.exit(130)
