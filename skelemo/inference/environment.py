"""Provenance of a run's figures (versions, machine, commit, data), and the choice of a device."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import skelemo
from skelemo.cache.store import Cache
from skelemo.errors import ConfigError
from skelemo.targets import Head
from skelemo.text import count

_PACKAGES = ("torch", "lightning", "torch_geometric", "numpy", "pandas", "scikit-learn", "h5py")


def environment(cache: Cache, heads: tuple[Head, ...], device: torch.device) -> dict[str, Any]:
    """Content of ``environment.json``: versions, machine, commit and data of a training or evaluation."""
    return {
        "skelemo": skelemo.__version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {count(torch.get_num_threads(), 'thread')}",
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


def _git_commit() -> str | None:
    """Commit of the running source, with a plus sign if it has uncommitted changes; None outside a checkout."""
    root = Path(skelemo.__file__).parents[1]
    try:
        commit = subprocess.run(
            [
                "git",
                f"--git-dir={root / '.git'}",
                f"--work-tree={root}",
                "describe",
                "--always",
                "--abbrev=40",
                "--dirty=+",
            ],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.strip()


def choose_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` is the accelerator if available, else the CPU."""
    if name == "auto":
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return found or torch.device("cpu")
    try:
        if name.partition(":")[0] not in ("cpu", "cuda", "mps"):
            raise RuntimeError("expected auto, cpu, cuda, cuda:1 or mps")
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name!r} is not available: {str(error).splitlines()[0]}") from None
    return device
