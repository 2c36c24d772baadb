"""What a training writes into its run folder beside the figures: environment, windows, weights."""

import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

import skelemo
from skelemo.cache.store import Cache
from skelemo.data.corpus import Corpus
from skelemo.data.windows import Targets
from skelemo.errors import InputError
from skelemo.models import registry
from skelemo.runs.model_file import ModelFile, write_model
from skelemo.targets import Head

if TYPE_CHECKING:
    from skelemo.training.fold import Job

_PACKAGES = ("torch", "lightning", "torch_geometric", "numpy", "pandas", "scikit-learn", "h5py")


def environment(cache: Cache, heads: tuple[Head, ...], device: torch.device) -> dict[str, Any]:
    """Versions, machine, commit and data of a training; ``environment.json``."""
    return {
        "skelemo": skelemo.__version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "git_commit": _git_commit(),
        "cache_hash": cache.hash,
        "data": {
            "caches": [path.name for path in cache.paths],
            "layout": cache.layout.name,
            "simulated": cache.simulated,
            "sequences": len(cache.sequences),
            "frames": cache.frames,
        },
        "heads": [head.to_json() for head in heads],
    }


def window_columns(corpus: Corpus, targets: Targets, *, fold: int, subset: str) -> dict[str, Any]:
    """The columns of `skelemo.runs.predictions.WINDOW` for some windows."""
    rows = corpus.sequences.iloc[corpus.sequence(targets.row)]
    return {
        "fold": np.full(len(targets), fold),
        "subset": np.full(len(targets), subset, object),
        "sequence": rows["id"].to_numpy(),
        "video": rows["video"].to_numpy(),
        "subject": rows["subject"].to_numpy(),
        "frame": corpus.number(targets.row),
    }


def save_model(folder: Path, network: nn.Module, job: "Job", precision: str) -> None:
    """Write ``model.json`` and ``model.safetensors``."""
    corpus, config = job.corpus, job.config
    settings = registry.lasting(config.model)
    prepared, window = corpus.preparation.to_json(), vars(config.window)
    model = ModelFile(config.arch, settings, corpus.layout.name, job.heads, prepared, window, precision)
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


def _git_commit() -> str | None:
    """Commit of the source that runs, with a plus sign where it has been changed since."""
    here = Path(skelemo.__file__).parent
    try:
        commit = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--abbrev=40", "--dirty=+"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.strip()
