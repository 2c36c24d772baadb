"""Batches on the device: one indexed gather each, without worker processes or Python code per sample."""

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

#: Tensors by name; ``labels`` is a mapping by head.
Batch = dict[str, Any]

#: Added to a seed for an independent stream; below 2³² as torch's CPU generator requires.
_OTHER = 0x9E3779B9


def inputs(batch: Batch) -> dict[str, Tensor]:
    """A network's arguments: keypoints, mask and, for image networks, the size of the images."""
    return {name: batch[name] for name in ("keypoints", "mask", "frame_size") if name in batch}


class Batches:
    """The batches of one epoch.

    Iterating yields dictionaries of tensors on ``device``: ``keypoints [B, T, V, 3]``, ``mask [B, T]``,
    ``row [B]`` and ``labels``, a tensor for each head; for image networks also ``frame_size [B, 2]``, the width and
    height of the images in pixels.

    Parameters
    ----------
    seed : for training: seed of order and augmentation, different for each epoch; a last batch of a single window is
        dropped. Without a seed windows are in the order of the targets and not augmented. The windows of a corpus
        larger than memory are the same but ordered by block, see `skelemo.data.scratch`.
    most : with a seed, most windows per epoch; 0 for all.
    balance : with a seed, sampling weights ``[W]``, to draw with replacement.
    process : rank of this process and number of processes. With a seed each process gets its share of every batch,
        sampled and augmented as in a single process, with its ``weight`` in the loss; a last batch with fewer than two
        windows for a process is dropped. Without a seed the windows are divided between the processes.
    pretext : finally hides points and labels windows with them; without a seed always the same.
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
        # Batch normalization needs two windows.
        least = 2 * self.process[1] if self.seed is not None and windows > 1 else 0
        drop_last = windows > self.batch_size and 0 < windows % self.batch_size < least
        return -(-windows // self.batch_size) - drop_last

    def __iter__(self) -> Iterator[Batch]:
        source = self.corpus.device
        if self.seed is None:
            order, sampling = torch.arange(len(self.row), device=source), None
            augmenting = torch.Generator(self.device).manual_seed(0) if self.pretext else None
        else:
            sampling = torch.Generator(source).manual_seed(self.seed)
            augmenting = torch.Generator(self.device).manual_seed(self.seed + _OTHER)
            order = self._drawn(sampling)
        visits = self._visits(order, sampling)
        order = order[visits.order] if visits else order
        with visits or nullcontext():
            for number, chosen in enumerate(order.split(self.batch_size)[: len(self)]):
                if visits:
                    visits.arrive(number * self.batch_size, len(chosen))
                batch = self._batch(chosen, sampling, augmenting)
                yield batch if self.seed is None or self.process[1] == 1 else self._own(batch)

    def _visits(self, order: Tensor, generator: torch.Generator | None) -> Visits | None:
        """The order in which to visit a corpus larger than memory."""
        if not self.corpus.scratch or not len(order):
            return None
        start, length = (self.corpus.sequences[name].to_numpy() for name in ("start", "length"))
        window = self.gatherer.window
        reach = 0 if window.sampling == "clip" else int(np.abs(window.offsets).max()) + 1
        return Visits(self.corpus.scratch, self.row[order], start, length, reach, generator)

    def _own(self, batch: Batch) -> Batch:
        """This process's share of a batch."""
        total, (number, processes) = len(batch["row"]), self.process
        own = slice(total * number // processes, total * (number + 1) // processes)
        labels = {name: values[own] for name, values in batch["labels"].items()}
        mine: Batch = {name: values[own] for name, values in batch.items() if name != "labels"}
        return mine | {"labels": labels, "weight": (own.stop - own.start) * processes / total}

    def others(self, batch: Batch) -> Iterator[Batch]:
        """The batch with each of the further windows of its clips, if a clip has several."""
        for turn in range(1, self.gatherer.window.clip_windows):
            keypoints, mask = self.gatherer.gather(batch["row"].to(self.corpus.device), turn=turn)
            again = {"keypoints": keypoints, "mask": mask}
            yield batch | {name: value.to(self.device, non_blocking=True) for name, value in again.items()}

    def _drawn(self, generator: torch.Generator) -> Tensor:
        """The windows of an epoch in random order."""
        source = self.corpus.device
        if self.balance is None:
            return torch.randperm(len(self.row), generator=generator, device=source)[: self.windows]
        drawn = torch.rand(self.windows, generator=generator, device=source, dtype=self.balance.dtype)
        return torch.searchsorted(self.balance, drawn * self.balance[-1]).clamp(max=len(self.row) - 1)

    def _batch(self, chosen: Tensor, sampling: torch.Generator | None, augmenting: torch.Generator | None) -> Batch:
        keypoints, mask = self.gatherer.gather(self.row[chosen], sampling)
        batch: Batch = {"keypoints": keypoints, "mask": mask, "row": self.row[chosen]}
        if self.corpus.frame_size is not None:
            batch["frame_size"] = self.corpus.frame_size[self.corpus.key[batch["row"]] // KEY_SPAN]
        batch = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
        batch["labels"] = {
            name: labels[chosen].to(self.device, non_blocking=True) for name, labels in self.labels.items()
        }
        if self.pretext:
            batch["keypoints"] = self.pretext.with_mean(
                batch["keypoints"], self.corpus.key[self.row[chosen]] // KEY_SPAN
            )
        if self.augmentation and augmenting is not None:
            batch["keypoints"] = augment(
                batch["keypoints"], self.augmentation, self.corpus.layout, augmenting, in_image="frame_size" in batch
            )
        if self.pretext and augmenting is not None:
            hidden = self.pretext(batch["keypoints"], batch["mask"], augmenting)
            batch["keypoints"], batch["mask"], batch["labels"][PRETEXT] = hidden
        return batch
