"""Pretrained weights: torchvision's ImageNet files or a user's own; pickles that could run code are refused."""

import pickle
import re
import sys
import warnings
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from skelemo.errors import ConfigError, InputError
from skelemo.text import some

HOST = "https://download.pytorch.org/models/"

#: Files of torchvision's IMAGENET1K_V1, the ``pretrained=True`` of the paper. Names end in the first digits of the
#: SHA-256 (torchvision/models/resnet.py, densenet.py, vision_transformer.py).
OFFICIAL = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "densenet121": "densenet121-a639ec97.pth",
    "densenet201": "densenet201-c1103571.pth",
    "vit_b16": "vit_b_16-c867db91.pth",
}

_PICKLED = (".pth", ".pt", ".bin", ".ckpt")
_WRAPPED = ("state_dict", "model_state_dict", "model")  # keys of the weights in checkpoints
_PREFIXES = ("module.", "encoder.backbone.")  # DistributedDataParallel, and this project's image networks
_UNCOUNTED = "num_batches_tracked"  # an unused counter that files older than torch 0.4.1 lack


def official_file(architecture: str) -> Path:
    """The ImageNet file of an architecture in torch.hub's folder, downloaded if necessary and verified.

    Raises `ConfigError`: no published weights for the architecture; `InputError`: the download failed, or the file's
    SHA-256 does not match its name.
    """
    if architecture not in OFFICIAL:
        raise ConfigError(
            f"weights: no ImageNet weights for {architecture}; expected one of {', '.join(OFFICIAL)}, or name a file"
        )
    name = OFFICIAL[architecture]
    path, prefix = Path(torch.hub.get_dir()) / "checkpoints" / name, Path(name).stem.rpartition("-")[2]
    if not path.exists():
        _download(HOST + name, path, prefix)
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` or weights-only ``.pth`` file, by name.

    Unwraps the ``state_dict`` of a checkpoint and removes prefixes; of this project's image networks only the backbone
    is read.

    Raises `InputError`: the file is missing, damaged, of another format, or a pickle with more than tensors (which is
    not executed).
    """
    if not path.is_file():
        raise InputError(f"weights {path}: no such file")
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        content: object = _read_safetensors(path)
    elif suffix in _PICKLED:
        content = _read_pickled(path)
    else:
        raise InputError(f"weights {path}: expected a .safetensors file or one of {', '.join(_PICKLED)}")
    return _unwrap(content, path)


def load_weights(network: nn.Module, state: Mapping[str, Tensor], *, source: str, leave: str) -> None:
    """Copy weights into a network, except those whose names start with ``leave`` (the file's classifier).

    Raises `InputError`: names or shapes differ.
    """
    given = {name: tensor for name, tensor in state.items() if not name.startswith(leave)}
    bad = [name for name, tensor in given.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        raise InputError(f"weights {source}: infinite or NaN in {some(bad)}")
    try:
        found = network.load_state_dict(given, strict=False)
    except RuntimeError as error:  # a heading, then a line for each tensor of another shape
        first = str(error).partition("\n")[2].partition("\n")[0] or str(error)
        raise InputError(f"weights {source} belong to another network: {first.strip()}") from None
    missing = [name for name in found.missing_keys if not name.endswith(_UNCOUNTED)]
    findings = [
        f"{len(names)} {what} ({some(names)})"
        for names, what in ((missing, "missing"), (found.unexpected_keys, "unknown"))
        if names
    ]
    if findings:
        raise InputError(f"weights {source} belong to another network: {'; '.join(findings)}")


def _download(url: str, path: Path, prefix: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), prefix, progress=sys.stderr.isatty())
    except RuntimeError as error:
        raise InputError(f"{url}: the download is not the published file ({error}); try again later") from error
    except (OSError, HTTPException) as error:
        raise InputError(
            f"cannot download {url} ({getattr(error, 'reason', error)}): go online, or put the file at {path}"
        ) from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"weights {path}: not a safetensors file, or damaged ({error})") from error


def _read_pickled(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's warnings about the pickle
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        finding = f"imports {asked[1]}" if asked else "contains more than tensors"
        raise InputError(
            f"weights {path}: refused: it {finding}, so loading it could run code; "
            "save only the state_dict, preferably as .safetensors"
        ) from error
    except Exception as error:  # torch's reader raises many kinds for a damaged file
        raise InputError(f"weights {path}: not a file of torch.save, or damaged ({type(error).__name__})") from error


def _unwrap(content: object, path: Path) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        inner = next((content[key] for key in _WRAPPED if isinstance(content.get(key), Mapping)), content)
        state = {str(name): value for name, value in inner.items() if isinstance(value, Tensor)}
        for prefix in _PREFIXES:
            if any(name.startswith(prefix) for name in state):
                state = {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}
        if state:
            return state
    raise InputError(f"weights {path}: no named tensors; expected a network's state_dict")
