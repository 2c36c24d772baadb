"""Windows as a ``torch.utils.data.Dataset``, for your own training loop.

skelemo's training gathers whole batches on the device (`skelemo.data.loader.Batches`), which is many times faster than
collating single windows; ``__getitems__`` gives a ``DataLoader`` most of that speed.
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

    An item is a mapping: normalized ``keypoints [T, V, 3]``, ``mask [T]`` (frames in which the person is visible),
    ``row`` (the target frame in the corpus) and the label of each head.

    Parameters
    ----------
    corpus : see `skelemo.data.load_corpus`.
    window : shape of the windows; default a single frame.
    heads : heads to use, default all; windows without any of their labels are left out.
    sequences : rows of ``corpus.sequences``, default all. Split by sequence, never by window: windows of one sequence
        resemble each other.
    every : use every n-th frame as a target.
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
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Tensor]]:
        """A batch of windows, as requested by a ``DataLoader``."""
        chosen = torch.as_tensor(list(indices), device=self.rows.device)
        keypoints, mask = self.gatherer.gather(self.rows[chosen])
        labels = {name: values[chosen] for name, values in self.labels.items()}
        columns = {"keypoints": keypoints, "mask": mask, "row": self.rows[chosen]} | labels
        return [{name: values[item] for name, values in columns.items()} for item in range(len(chosen))]
