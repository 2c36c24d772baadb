"""Weights from files: torchvision's official ImageNet files, and a user's own; never a pickle that runs code."""

import hashlib
import logging
import os
import pickle
import re
import tempfile
import urllib.request
import warnings
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

import safetensors.torch
import torch
from rich.console import Console
from rich.progress import wrap_file
from safetensors import SafetensorError
from torch import Tensor, nn

from skelemo.errors import ConfigError, InputError

_LOG = logging.getLogger(__name__)

HOST = "https://download.pytorch.org/models/"

#: What torchvision publishes as IMAGENET1K_V1, the ``pretrained=True`` of the paper: name, and in it the first digits
#: of the file's SHA-256 (torchvision/models/resnet.py, densenet.py, vision_transformer.py).
OFFICIAL = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "densenet121": "densenet121-a639ec97.pth",
    "densenet201": "densenet201-c1103571.pth",
    "vit_b16": "vit_b_16-c867db91.pth",
}

_TIMEOUT = 30  # seconds without an answer
_PICKLED = (".pth", ".pt", ".bin", ".ckpt")
_WRAPPED = ("state_dict", "model_state_dict", "model")  # where training programs put the weights in their checkpoints
_PREFIXES = ("module.", "encoder.backbone.")  # of DistributedDataParallel, and of this project's image networks
_UNCOUNTED = "num_batches_tracked"  # files older than torch 0.4.1 lack this counter, and nothing here uses it


def official_file(architecture: str) -> Path:
    """The ImageNet file of an architecture, in torch.hub's folder; downloaded the first time, checked every time.

    Raises
    ------
    ConfigError
        Nothing is published for that architecture.
    InputError
        The download failed, or the file's SHA-256 does not begin as its name says.
    """
    if architecture not in OFFICIAL:
        raise ConfigError(
            f"weights: there are no ImageNet weights for {architecture}, only for {', '.join(OFFICIAL)}; "
            "leave weights empty or name a file"
        )
    name = OFFICIAL[architecture]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.exists():
        _download(HOST + name, path)
    elif not _is_genuine(path, _digest(path)):
        raise InputError(
            f"{path}: the SHA-256 does not begin as the name says; delete the file to have it fetched again"
        )
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` or weights-only ``.pth`` file, by name.

    A checkpoint's ``state_dict`` is found, and the prefixes of wrappers are taken off. The weights of one of this
    project's own image networks become those of its backbone.

    Raises
    ------
    InputError
        The file is missing, damaged, of another kind, or a pickle that holds more than tensors: it is not run.
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
    """Copy weights into a network, all but those whose names begin with ``leave`` (the classifier of a file).

    Raises
    ------
    InputError
        Names or shapes differ; the message counts them and shows the first few.
    """
    wanted = network.state_dict()
    given = {name: tensor for name, tensor in state.items() if not name.startswith(leave)}
    missing = [name for name in wanted if name not in given and not name.endswith(_UNCOUNTED)]
    strange = [name for name in given if name not in wanted]
    misshapen = [
        f"{name} is {list(given[name].shape)}, expected {list(wanted[name].shape)}"
        for name in wanted
        if name in given and given[name].shape != wanted[name].shape
    ]
    findings = [
        f"{len(names)} {what} ({_few(names)})"
        for names, what in ((missing, "missing"), (strange, "unknown"), (misshapen, "of another shape"))
        if names
    ]
    if findings:
        raise InputError(f"weights {source} are of another network: {'; '.join(findings)}")
    bad = [name for name, tensor in given.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        raise InputError(f"weights {source}: infinite or NaN in {_few(bad)}")
    network.load_state_dict(given, strict=False)


def _few(names: Sequence[str], count: int = 3) -> str:
    return ", ".join(names[:count]) + (", …" if len(names) > count else "")


def _download(url: str, path: Path) -> None:
    """Fetch beside the target and rename when complete and genuine, so that processes cannot meet half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _LOG.info("downloading %s to %s", url, path)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".partial")
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as target:
            digest = _copy(url, target, path.name)
        if not _is_genuine(path, digest):
            raise InputError(f"{url}: what came is not the published file (SHA-256 {digest[:12]}…); try again later")
        partial.replace(path)
    except (OSError, HTTPException) as error:
        raise InputError(
            f"cannot download {url} ({getattr(error, 'reason', error)}): go online, or put the file at {path}"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _copy(url: str, target: BinaryIO, description: str) -> str:
    """Write what a server answers into a file, with a bar on stderr, and give its SHA-256."""
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
        size = int(answer.headers.get("Content-Length") or 0)
        console = Console(stderr=True)
        with wrap_file(
            answer, size, description=description, console=console, disable=not console.is_interactive
        ) as source:
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                target.write(chunk)
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_genuine(path: Path, digest: str) -> bool:
    """Whether a digest begins with the digits in the file's name, torch.hub's convention."""
    return digest.startswith(path.stem.rpartition("-")[2])


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"weights {path}: not a safetensors file, or damaged ({error})") from error


def _read_pickled(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks on the pickle come on top of the error
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        finding = f"it asks for {asked[1]}" if asked else "it holds more than tensors"
        raise InputError(
            f"weights {path}: refused, {finding}, and loading it could run code; "
            "save the state_dict alone, best as .safetensors"
        ) from error
    except Exception as error:  # a damaged file fails in torch's reader in any of a dozen ways
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
    raise InputError(f"weights {path}: no tensors by name in it; expected a network's state_dict")
