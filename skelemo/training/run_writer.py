"""What a training writes into its run folder beside the figures, and how it reads it again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from skelemo.errors import InputError
from skelemo.models import registry
from skelemo.runs.model_file import ModelFile, write_model

if TYPE_CHECKING:
    from skelemo.training.fold import Job


def save_model(folder: Path, network: nn.Module, job: "Job", precision: str) -> None:
    """Write ``model.json`` and ``model.safetensors``."""
    corpus, config = job.corpus, job.config
    settings = registry.lasting(config.model)
    prepared, window = corpus.preparation.to_json(), vars(config.window)
    model = ModelFile(
        config.arch,
        settings,
        corpus.layout.name,
        job.heads,
        prepared,
        window,
        precision,
        flip_average=config.flip_average is True,
        pretext=config.pretrain,
    )
    write_model(folder, model, network.state_dict())


@contextmanager
def restoring(path: Path) -> Iterator[None]:
    """Take over what an interrupted training has left in a file: whatever fails on the way, `InputError` names it."""
    try:
        yield
    except Exception as error:  # a damaged file fails in the readers of torch and safetensors in any of a dozen ways
        raise InputError(
            f"{path} is damaged, or not of this run and version ({type(error).__name__}): "
            "the run cannot go on; begin it again with another --out"
        ) from error
