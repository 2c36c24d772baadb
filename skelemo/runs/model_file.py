"""The model in a run folder: ``model.json`` and ``model.safetensors``.

These two files are sufficient to predict from raw keypoints and contain no code. ``model.json`` has the SHA-256 of the
weights, which is verified.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import skelemo
from skelemo.atomic import finished
from skelemo.errors import ConfigError, InputError, one_line
from skelemo.runs.folder import read_json, write_json
from skelemo.targets import Head

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
FACTS, WEIGHTS = "model.json", "model.safetensors"


@dataclass(frozen=True)
class ModelFile:
    """Architecture and preprocessing of a model.

    Parameters
    ----------
    arch, settings : architecture and its settings.
    layout : name of the layout of its input, such as ``face_70``.
    heads : heads that it predicts.
    preparation : preparation of raw keypoints, see `skelemo.preprocess.Preparation`.
    window : see `skelemo.data.windows.Window`.
    precision : precision in training.
    smoothing : result of `skelemo.training.predicting.choose_width` by head.
    flip_average : average predictions over a window and its mirror image.
    pretext : a pretrained model, only for initialization.
    neutral_radius : also map values to emotions, see `skelemo.evaluation.circumplex.with_reading`.
    weights_sha256 : hash of the weights' file.
    """

    arch: str
    settings: Mapping[str, Any]
    layout: str
    heads: tuple[Head, ...]
    preparation: Mapping[str, Any]
    window: Mapping[str, Any]
    precision: str = "32-true"
    smoothing: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    flip_average: bool = False
    neutral_radius: float | None = None
    pretext: bool = False
    weights_sha256: str = ""


def write_model(folder: Path, model: ModelFile, state: Mapping[str, "Tensor"]) -> None:
    """Write the weights, then ``model.json``, which marks the model as complete."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    with finished(folder / WEIGHTS) as partial:
        # Unlike save_file, whose files only their owner may read.
        partial.write_bytes(save({name: value.detach().cpu().contiguous() for name, value in state.items()}))
        digest = _sha256(partial)
    heads = [head.to_json() for head in model.heads]
    facts = {"format": FORMAT, "skelemo": skelemo.__version__, **vars(model), "heads": heads, "weights_sha256": digest}
    write_json(folder / FACTS, facts)


def write_choices(folder: Path, **choices: Any) -> None:
    """Add ``smoothing``, ``flip_average`` or ``neutral_radius`` to ``model.json``."""
    write_json(folder / FACTS, read_json(folder / FACTS) | choices)


def has_model(folder: Path) -> bool:
    """Whether the folder contains a complete model."""
    return (folder / FACTS).is_file()


def read_model(folder: Path) -> tuple[ModelFile, dict[str, "Tensor"]]:
    """Read a model and its weights.

    Raises `InputError`: a file is missing, damaged or of another format, or the hash of the weights differs.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not has_model(folder):
        raise InputError(f"no {FACTS} in {folder}: expected the folder of a finished run, or a copy of its model files")
    facts, weights = read_json(folder / FACTS), folder / WEIGHTS
    if not weights.is_file():
        raise InputError(f"no {WEIGHTS} in {folder}: copy it from the run, beside {FACTS}")
    if _sha256(weights) != facts["weights_sha256"]:
        raise InputError(
            f"{weights} is damaged or was modified (its SHA-256 differs from {FACTS}); copy both from the run again"
        )
    try:
        heads = tuple(Head.from_json(head) for head in facts["heads"])
        state = load_file(weights)
    except ConfigError as error:
        raise InputError(f"{folder / FACTS}: {error}") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{weights}: not a safetensors file ({one_line(error)})") from None
    given = {name: facts[name] for name in ModelFile.__dataclass_fields__ if name in facts}
    return ModelFile(**given | {"heads": heads}), state


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
