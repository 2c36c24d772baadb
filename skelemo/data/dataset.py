"""Windows as a ``torch.utils.data.Dataset``, for training loops of one's own.

skelemo's own training gathers whole batches on the device (`skelemo.data.loader.Batches`), which is many times faster
than collating windows one by one; ``__getitems__`` gives a ``DataLoader`` most of that back.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from skelemo.data.corpus import Corpus
from skelemo.data.windows import Gatherer, Window, find_targets


class WindowDataset(Dataset[dict[str, Tensor]]):
    """The labeled windows of a corpus.

    An item is a mapping: ``keypoints [T, V, 3]`` as models see them, ``mask [T]`` (frames in which the person is seen),
    ``row`` (the target frame in the corpus) and one entry per head with its label.

    Parameters
    ----------
    corpus : as `skelemo.data.load_corpus` gives it.
    window : the shape of the windows; a single frame unless given.
    heads : which labels; a window that has none of them is left out. All of the corpus unless given.
    sequences : which rows of ``corpus.sequences``; all unless given. Split by these, never by windows: those of one
        sequence resemble each other.
    every : one in how many frames of a sequence is a target.
    """

    def __init__(
        self,
        corpus: Corpus,
        window: Window | None = None,
        *,
        heads: Sequence[str] = (),
        sequences: Iterable[int] | None = None,
        every: int = 1,
    ) -> None:
        window = window or Window()
        self.heads = tuple(corpus.head(name) for name in heads) or corpus.heads
        rows = np.arange(len(corpus.sequences)) if sequences is None else np.fromiter(sequences, int)
        names = tuple(head.name for head in self.heads)
        self.targets = find_targets(corpus, rows, window, names, every=every, seen_only=True)
        self.gatherer = Gatherer(corpus, window)
        self.rows = torch.as_tensor(self.targets.row, device=corpus.device)
        self.labels = {name: torch.as_tensor(self.targets.labels[name], device=corpus.device) for name in names}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([range(len(self))[index]])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Tensor]]:
        """Several windows by one gather; a ``DataLoader`` asks for a batch so."""
        chosen = torch.as_tensor(list(indices), device=self.rows.device)
        keypoints, mask = self.gatherer.gather(self.rows[chosen])
        labels = {name: values[chosen] for name, values in self.labels.items()}
        columns = {"keypoints": keypoints, "mask": mask, "row": self.rows[chosen]} | labels
        return [{name: values[item] for name, values in columns.items()} for item in range(len(chosen))]
