"""Cost of a model: parameters, FLOPs, and throughput in windows per second."""

import platform
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from skelemo.data.loader import Batches
from skelemo.inference.predictor import batch_outputs
from skelemo.models import registry
from skelemo.targets import Head
from skelemo.text import count

#: Duration of a measurement in seconds, after the warm-up batch.
_SECONDS = 0.25


def size(
    arch: str, layout_name: str, heads: Sequence[Head], frames: int, settings: Mapping[str, Any]
) -> dict[str, int]:
    """``parameters`` and ``flops`` per window of a network; empty for a baseline."""
    if registry.entry(arch).facts.fitted:
        return {}
    settings = registry.lasting(settings)
    found = registry.cost_of(arch, layout_name=layout_name, heads=heads, frames=frames, **settings)
    return dict(zip(("parameters", "flops"), found, strict=True))


def throughput(
    network: nn.Module, batches: Batches, heads: Sequence[Head], precision: str, *, flip: bool = False
) -> dict[str, Any]:
    """Windows per second, from prepared keypoints in memory to predictions on the host.

    Predicts the batches repeatedly for a quarter of a second after one warm-up batch.

    Returns
    -------
    dict
        ``windows_per_second``, ``batch`` (its size) and ``device`` (the name of the hardware).
    """
    done, started, spent, first = 0, 0.0, 0.0, 0
    while spent < _SECONDS:
        for _, seen, _ in batch_outputs(network, batches, heads, precision, flip):
            if not first:
                first, started = len(seen), time.perf_counter()
                continue
            done, spent = done + len(seen), time.perf_counter() - started
            if spent >= _SECONDS:
                break
    return {"windows_per_second": done / spent, "batch": first, "device": device_name(batches.device)}


def device_name(device: torch.device) -> str:
    """Name of the hardware; for a CPU with the number of threads."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{_processor()}, {count(torch.get_num_threads(), 'thread')}" if device.type == "cpu" else str(device)


def _processor() -> str:
    """Model name of the CPU, or its architecture if unknown."""
    try:
        found = re.search(r"^model name\s*:(.+)$", Path("/proc/cpuinfo").read_text("utf-8", "replace"), re.MULTILINE)
    except OSError:
        found = None
    return " ".join(found[1].split()) if found else platform.processor() or platform.machine()
