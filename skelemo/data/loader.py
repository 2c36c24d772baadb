"""Batches on the device: one indexed gather each, no worker processes, no Python per sample."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skelemo.data.augment import Augmentation, augment
from skelemo.data.corpus import KEY_SPAN, Corpus
from skelemo.data.pretext import PRETEXT, Pretext
from skelemo.data.scratch import Visits
from skelemo.data.windows import Gatherer, Targets, Window

#: Tensors by name; ``labels`` has one for each head.
Batch = dict[str, Any]

#: Added to a seed for a stream of its own; in the lower 32 bits, which are all that torch's generator on the CPU takes.
_OTHER = 0x9E3779B9


def inputs(batch: Batch) -> dict[str, Tensor]:
    """What a network is called with: keypoints, mask and, for one that draws, the size of the images."""
    return {name: batch[name] for name in ("keypoints", "mask", "frame_size") if name in batch}


class Batches:
    """The batches of one epoch.

    Iterating yields dictionaries of tensors on ``device``: ``keypoints [B, T, V, 3]``, ``mask [B, T]``,
    ``row [B]`` and ``labels``, a tensor for each head; with coordinates of the image also ``frame_size [B, 2]``, its
    width and height in pixels.

    Parameters
    ----------
    seed : with a seed, for training: order and augmentation are drawn from it alone, give every epoch its own; a last
        batch of a single window is left out. Without one the order is that of the targets and nothing is drawn.
        The windows of a corpus larger than memory are the same, and come block by block, see `skelemo.data.scratch`.
    most : windows of the epoch at most, with a seed; 0 for all.
    balance : with a seed, ``[W]`` how likely each window is to be drawn, again and again, in place of each once.
    process : number of this process, and how many share the windows. With a seed each has its part of every batch,
        drawn and augmented as one process would, with its ``weight`` in the loss; a last batch that leaves one of
        them fewer than two windows is left out. Without one each has a run of the windows, every window once.
    pretext : hides points, in the end, and labels windows with them; without a seed the same ones every time.
    """

    def __init__(
        self,
        corpus: Corpus,
        targets: Targets,
        window: Window,
        batch_size: int,
        device: torch.device,
        *,
        augmentation: Augmentation | None = None,
        seed: int | None = None,
        most: int = 0,
        balance: np.ndarray | None = None,
        process: tuple[int, int] = (0, 1),
        pretext: Pretext | None = None,
    ) -> None:
        self.corpus = corpus
        self.pretext = pretext
        self.gatherer = Gatherer(corpus, window)
        self.batch_size = batch_size
        self.device = device
        self.augmentation = augmentation
        self.seed = seed
        self.process = process
        if seed is None and process[1] > 1:
            targets = targets[np.array_split(np.arange(len(targets)), process[1])[process[0]]]
        self.windows = min(most or len(targets), len(targets))
        self.balance = None if balance is None else torch.as_tensor(balance, device=corpus.device).cumsum(0)
        self.row = torch.as_tensor(targets.row, device=corpus.device)
        self.labels = {name: torch.as_tensor(labels, device=corpus.device) for name, labels in targets.labels.items()}

    def __len__(self) -> int:
        windows = self.windows
        # Batch normalization cannot learn from a last batch of one window; it has its turn in another epoch.
        least = 2 * self.process[1] if self.seed is not None and windows > 1 else 0
        leaves_one_out = windows > self.batch_size and 0 < windows % self.batch_size < least
        return -(-windows // self.batch_size) - leaves_one_out

    def __iter__(self) -> Iterator[Batch]:
        place = self.corpus.device
        if self.seed is None:
            order, here = torch.arange(len(self.row), device=place), None
            there = torch.Generator(self.device).manual_seed(0) if self.pretext else None
        else:
            here = torch.Generator(place).manual_seed(self.seed)
            there = torch.Generator(self.device).manual_seed(self.seed + _OTHER)
            order = self._drawn(here)
        visits = self._visits(order, here)
        order = order[visits.order] if visits else order
        with visits or nullcontext():
            for number, chosen in enumerate(order.split(self.batch_size)[: len(self)]):
                if visits:
                    visits.arrive(number * self.batch_size, len(chosen))
                batch = self._batch(chosen, here, there)
                yield batch if self.seed is None or self.process[1] == 1 else self._own(batch)

    def _visits(self, order: Tensor, generator: torch.Generator | None) -> Visits | None:
        """In which order a corpus larger than memory is gone through."""
        if not self.corpus.scratch or not len(order):
            return None
        start, length = (self.corpus.sequences[name].to_numpy() for name in ("start", "length"))
        window = self.gatherer.window
        reach = 0 if window.sampling == "clip" else int(np.abs(window.offsets).max()) + 1
        return Visits(self.corpus.scratch, self.row[order], start, length, reach, generator)

    def _own(self, batch: Batch) -> Batch:
        """This process's part of a batch."""
        total, (number, processes) = len(batch["row"]), self.process
        own = slice(total * number // processes, total * (number + 1) // processes)
        labels = {name: values[own] for name, values in batch["labels"].items()}
        mine: Batch = {name: values[own] for name, values in batch.items() if name != "labels"}
        return mine | {"labels": labels, "weight": (own.stop - own.start) * processes / total}

    def others(self, batch: Batch) -> Iterator[Batch]:
        """The batch again with the other windows of its clips, where a clip has several."""
        for turn in range(1, self.gatherer.window.clip_windows):
            keypoints, mask = self.gatherer.gather(batch["row"].to(self.corpus.device), turn=turn)
            again = {"keypoints": keypoints, "mask": mask}
            yield batch | {name: value.to(self.device, non_blocking=True) for name, value in again.items()}

    def _drawn(self, generator: torch.Generator) -> Tensor:
        """Which windows an epoch has, in random order."""
        place = self.corpus.device
        if self.balance is None:
            return torch.randperm(len(self.row), generator=generator, device=place)[: self.windows]
        drawn = torch.rand(self.windows, generator=generator, device=place, dtype=self.balance.dtype)
        return torch.searchsorted(self.balance, drawn * self.balance[-1]).clamp(max=len(self.row) - 1)

    def _batch(self, chosen: Tensor, here: torch.Generator | None, there: torch.Generator | None) -> Batch:
        keypoints, mask = self.gatherer.gather(self.row[chosen], here)
        batch: Batch = {"keypoints": keypoints, "mask": mask, "row": self.row[chosen]}
        if self.corpus.frame_size is not None:
            batch["frame_size"] = self.corpus.frame_size[self.corpus.key[batch["row"]] // KEY_SPAN]
        batch = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
        batch["labels"] = {
            name: labels[chosen].to(self.device, non_blocking=True) for name, labels in self.labels.items()
        }
        if self.augmentation and there is not None:
            batch["keypoints"] = augment(
                batch["keypoints"], self.augmentation, self.corpus.layout, there, in_image="frame_size" in batch
            )
        if self.pretext and there is not None:
            hidden = self.pretext(batch["keypoints"], batch["mask"], there)
            batch["keypoints"], batch["mask"], batch["labels"][PRETEXT] = hidden
        return batch
