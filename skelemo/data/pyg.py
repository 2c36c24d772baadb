"""A cache as a torch_geometric dataset, for graph networks of your own.

skelemo's graph networks do not use it: their graph is the same for every frame, and dense batches are several times
faster than collating `Data` objects (`tools/bench.py models --pyg`).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data, Dataset

from skelemo.cache.store import Cache, open_cache
from skelemo.data.corpus import load_corpus
from skelemo.data.dataset import WindowDataset
from skelemo.data.window_frames import Window
from skelemo.models.graph import skeleton_graph
from skelemo.preprocess import Preparation


class SkeletonGraphs(Dataset):
    """Labeled windows of a cache as graphs; see `as_pyg`."""

    def __init__(self, windows: WindowDataset, mirror: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.windows = windows
        self.corpus, frames = windows.gatherer.corpus, windows.gatherer.window.length
        self.graph = skeleton_graph(self.corpus.layout, mirror=mirror, frames=frames)

    @property
    def num_classes(self) -> int:
        """Number of outputs of the first head."""
        return len(self.corpus.heads[0])

    def len(self) -> int:
        """Number of windows."""
        return len(self.windows)

    def get(self, idx: int) -> Data:
        """One window."""
        item = self.windows[idx]
        labels = {head.name: item[head.name][None] for head in self.corpus.heads}
        labels = {name: label.float() if label.is_floating_point() else label.long() for name, label in labels.items()}
        return Data(
            x=item["keypoints"].flatten(0, 1),
            edge_index=self.graph.edge_index,
            edge_type=self.graph.edge_type,
            part=self.graph.part,
            frame=self.graph.frame,
            seen=item["mask"][self.graph.frame],
            y=next(iter(labels.values())),
            sequence=torch.as_tensor(self.corpus.sequence(item["row"][None].numpy())),
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
    corpus = load_corpus(cache if isinstance(cache, Cache) else open_cache(Path(cache)), preparation)
    return SkeletonGraphs(WindowDataset(corpus, window, sequences=sequences, every=every), mirror, **kwargs)
