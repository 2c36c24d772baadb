"""A cache as a torch_geometric dataset, for graph networks of your own.

skelemo's graph networks do not use it: their graph is the same for every frame, and dense batches are several times
faster than collating `Data` objects (`tools/bench.py models --pyg`).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data, Dataset

from skelemo.cache.store import Cache, open_cache
from skelemo.data.corpus import load_corpus
from skelemo.data.windows import Gatherer, Window, find_targets
from skelemo.models.graph import skeleton_graph
from skelemo.preprocess import Preparation


class SkeletonGraphs(Dataset):
    """Labeled windows of a cache as graphs; see `as_pyg`."""

    def __init__(
        self,
        cache: Cache,
        window: Window,
        preparation: Preparation,
        sequences: np.ndarray,
        every: int,
        mirror: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.corpus = load_corpus(cache, preparation)
        self.gatherer = Gatherer(self.corpus, window)
        self.graph = skeleton_graph(self.corpus.layout, mirror=mirror, frames=window.length)
        self.targets = find_targets(
            self.corpus, sequences, window, tuple(head.name for head in self.corpus.heads), every=every, seen_only=True
        )

    @property
    def num_classes(self) -> int:
        """Number of outputs of the first head."""
        return len(self.corpus.heads[0])

    def len(self) -> int:
        """Number of windows."""
        return len(self.targets)

    def get(self, idx: int) -> Data:
        """One window."""
        row = int(self.targets.row[idx])
        keypoints, mask = self.gatherer.gather(torch.tensor([row], device=self.corpus.device))
        labels = {
            name: torch.as_tensor(values[[idx]]).to(torch.int64 if values.dtype.kind == "i" else torch.float32)
            for name, values in self.targets.labels.items()
        }
        return Data(
            x=keypoints.reshape(-1, keypoints.shape[-1]),
            edge_index=self.graph.edge_index,
            edge_type=self.graph.edge_type,
            part=self.graph.part,
            frame=self.graph.frame,
            seen=mask[0][self.graph.frame],
            y=next(iter(labels.values())),
            sequence=torch.as_tensor(self.corpus.sequence(np.array([row]))),
            **labels,
        )


def as_pyg(
    cache: Cache | Path | str,
    *,
    window: Window | None = None,
    preparation: Preparation | None = None,
    sequences: Iterable[int] | None = None,
    every: int = 1,
    mirror: bool = True,
    **kwargs: Any,
) -> SkeletonGraphs:
    """The labeled windows of a cache as a torch_geometric ``Dataset``.

    Parameters
    ----------
    cache : a cache, or its folder.
    window : shape of the windows; by default a single frame.
    preparation : preparation of the keypoints; by default normalized by part.
    sequences : rows of ``cache.sequences``; by default all. Split by sequence: windows of one sequence resemble each
        other.
    every : use every n-th frame as a target.
    mirror : add edges between left and right keypoints.
    kwargs : ``transform`` and the other arguments of torch_geometric's ``Dataset``.

    Returns
    -------
    Dataset of ``Data`` with ``x [T * V, 3]`` (node ``t * V + v``; missing points and masked frames are zero),
    ``edge_index``, ``edge_type`` (`skelemo.models.graph.EdgeType`, with edges in time), ``part``, ``frame`` and
    ``seen [T * V]``, the labels of each head under its name (``[1]`` or ``[1, K]``), those of the first head also as
    ``y``, and ``sequence [1]``, the row of ``cache.sequences``. Windows without a label, or without a visible point in
    their target frame, are left out.
    """
    opened = cache if isinstance(cache, Cache) else open_cache(Path(cache))
    rows = np.arange(len(opened.sequences)) if sequences is None else np.fromiter(sequences, int)
    return SkeletonGraphs(opened, window or Window(), preparation or Preparation(), rows, every, mirror, **kwargs)
