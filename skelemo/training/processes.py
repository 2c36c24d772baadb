"""Distributed training: the rank of this process, and communication between processes.

Lightning starts the processes of one machine by rerunning the command; torchrun and SLURM start them in advance. Only
rank 0 writes files.
"""

import os
from typing import Any

import lightning
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from skelemo.errors import ConfigError
from skelemo.text import count
from skelemo.training.config import Config

#: Devices per machine in a distributed training, inherited by the processes that Lightning starts.
_DEVICES = "SKELEMO_DEVICES"


def rank() -> int:
    """Rank of this process; 0 without distributed training."""
    if _DEVICES not in os.environ:  # a cluster may number unrelated processes
        return 0
    for name in ("RANK", "SLURM_PROCID"):
        if name in os.environ:
            return int(os.environ[name])
    return int(os.environ.get("NODE_RANK", "0")) * int(os.environ[_DEVICES]) + int(os.environ.get("LOCAL_RANK", "0"))


def join_processes(config: Config) -> None:
    """Prepare the environment for `rank`.

    Raises `ConfigError`: a setting does not support several devices, or the machine has fewer devices.
    """
    if config.devices * config.nodes == 1:
        os.environ.pop(_DEVICES, None)
        return
    if config.is_baseline:
        raise ConfigError(f"{config.arch} is fitted in one process: omit --devices and --nodes")
    if config.lr == "auto":
        raise ConfigError("lr: auto needs a single device: train on one, and set the rate in its lr_find.json")
    if config.device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device {config.device} with several devices: expected auto, cpu or cuda")
    on_cpu = config.device == "cpu" or not torch.cuda.is_available()
    most = (os.cpu_count() or 1) if on_cpu else torch.cuda.device_count()
    if config.devices > most:
        what = count(most, "core") if on_cpu else count(most, "GPU")
        raise ConfigError(f"devices = {config.devices}: this machine has {what}")
    os.environ[_DEVICES] = str(config.devices)


def own_device(device: torch.device, config: Config) -> torch.device:
    """The device of this process."""
    if device.type == "cuda" and config.devices > 1:
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0"))))
    return device


def options(config: Config, device: torch.device) -> dict[str, Any]:
    """Options of Lightning's Trainer on devices and processes."""
    if config.devices * config.nodes == 1:
        return {"devices": [device.index or 0] if device.type == "cuda" else 1}
    return {
        "devices": config.devices,
        "num_nodes": config.nodes,
        "strategy": DDPStrategy(broadcast_buffers=False, find_unused_parameters=True),
        "sync_batchnorm": device.type == "cuda",
        "use_distributed_sampler": False,
    }


def place(trainer: lightning.Trainer | None) -> tuple[int, int]:
    """Rank of this process and number of processes."""
    return (trainer.global_rank, trainer.world_size) if trainer else (0, 1)


def agree_on_statistics(network: nn.Module) -> None:
    """Broadcast the buffers (statistics of normalization) of rank 0."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        for values in network.buffers():
            torch.distributed.broadcast(values, 0)


def gathered(items: list[Any]) -> list[Any]:
    """The items of all processes in order of rank."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return items
    each: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(each, items)
    return [item for some in each for item in some]
