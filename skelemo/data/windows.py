"""Windows: the frames of a model's input and their label.

A window is identified by its target frame, a row of the corpus. Its frames are found on the device when a batch is
gathered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skelemo.data.corpus import KEY_SPAN, Corpus
from skelemo.data.novelty import novel_frames
from skelemo.data.window_frames import Window, rows_of, target_rows
from skelemo.targets import Head


@dataclass(frozen=True)
class Targets:
    """Windows of one subset: increasing target rows ``row [W]``, and labels ``[W]`` or ``[W, K]`` by head."""

    row: np.ndarray
    labels: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, keep: np.ndarray) -> "Targets":
        return Targets(self.row[keep], {name: labels[keep] for name, labels in self.labels.items()})

    def sample(self, most: int, seed: int) -> "Targets":
        """At most so many of the windows, at random, in order."""
        if len(self) <= most:
            return self
        return self[np.sort(np.random.default_rng(seed).permutation(len(self))[:most])]


def find_targets(
    corpus: Corpus,
    sequences: np.ndarray,
    window: Window,
    heads: tuple[str, ...],
    *,
    every: int = 1,
    seen_only: bool,
    steps: np.ndarray | None = None,
) -> Targets:
    """The windows of some sequences with a label for at least one of the heads, or all windows without heads.

    Parameters
    ----------
    sequences : rows of ``corpus.sequences``.
    every : use every n-th frame of a sequence as a target (the paper: 10).
    seen_only : leave out targets without a visible person, for training; scores would be optimistic without them.
    steps : ``[N]`` of the whole corpus, see `skelemo.data.novelty`: choose as many targets at equal distances along the
        person's path instead of every n-th.
    """
    chosen = corpus.sequences.iloc[sequences]
    if steps is not None and len(chosen):
        rows = rows_of(chosen)
        rows = rows[novel_frames(steps[rows], chosen["length"].to_numpy(), every)]
    else:
        rows = target_rows(chosen, window, every)
    if window.sampling == "clip":
        targets = Targets(rows, _clip_labels_of(corpus, chosen, heads))
    else:
        targets = Targets(rows, {name: _at(corpus.labels[name], rows) for name in heads})
    keep = np.full(len(targets), not heads)
    for name in heads:
        keep |= corpus.head(name).labeled(targets.labels[name])
    if seen_only:
        keep &= _anything_seen(corpus, targets, window)
    return targets[keep]


def window_columns(corpus: Corpus, targets: Targets, *, fold: int, subset: str) -> dict[str, Any]:
    """The columns `skelemo.runs.predictions.WINDOW` of windows."""
    rows = corpus.sequences.iloc[corpus.sequence(targets.row)]
    return {
        "fold": np.full(len(targets), fold),
        "subset": np.full(len(targets), subset, object),
        "sequence": rows["id"].to_numpy(),
        "video": rows["video"].to_numpy(),
        "subject": rows["subject"].to_numpy(),
        "frame": corpus.number(targets.row),
    }


class Gatherer:
    """Gathers keypoints and mask for target rows, on the corpus's device.

    ``gather(rows [B]) -> keypoints [B, T, V, 3], mask [B, T]``. Frames outside the sequence, missing frames and frames
    without a visible point are zeros with mask False.
    """

    def __init__(self, corpus: Corpus, window: Window) -> None:
        self.corpus = corpus
        self.window = window
        device = corpus.device
        self.start = torch.as_tensor(corpus.sequences["start"].to_numpy(np.int64, copy=True), device=device)
        self.size = torch.as_tensor(corpus.sequences["length"].to_numpy(np.int64, copy=True), device=device)
        self.offset = torch.as_tensor(window.offsets, device=device)  # [T]

    def gather(self, rows: Tensor, generator: torch.Generator | None = None, turn: int = 0) -> tuple[Tensor, Tensor]:
        """Gather windows; with a generator, frames of ``clip`` windows are random within their share of the clip.

        Without a generator, ``turn`` is the index of the clip's window.
        """
        return self.corpus.windows(*self.frames(rows, generator, turn))

    def frames(self, rows: Tensor, generator: torch.Generator | None = None, turn: int = 0) -> tuple[Tensor, Tensor]:
        """The rows ``[B, T]`` of windows, and which are present."""
        return self._spread(rows, generator, turn) if self.window.sampling == "clip" else self._around(rows)

    def _around(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The frame nearest to each wanted number, at most half a step away."""
        key = self.corpus.key
        sequence = key[rows] // KEY_SPAN
        ahead = self.offset * self.corpus.step[sequence, None]  # [B, T] frame numbers
        before = torch.searchsorted(key, key[rows, None] + ahead.floor().long(), right=True) - 1
        around = torch.stack([before.clamp(min=0), (before + 1).clamp(max=len(key) - 1)])
        distance = ((key[around] - key[rows, None]) - ahead).abs()
        nearest = distance.argmin(0, keepdim=True)
        found, distance = around.gather(0, nearest)[0], distance.gather(0, nearest)[0]
        half = self.window.dilation * self.corpus.step[sequence, None] / 2
        return found, (distance <= half) & (key[found] // KEY_SPAN == sequence[:, None])

    def _spread(self, rows: Tensor, generator: torch.Generator | None, turn: int = 0) -> tuple[Tensor, Tensor]:
        sequence = self.corpus.key[rows] // KEY_SPAN
        length = self.window.length
        within = torch.full((len(rows), length), self.window.within(turn), device=rows.device)
        if generator is not None:
            within = torch.rand(within.shape, generator=generator, device=rows.device)
        share = (torch.arange(length, device=rows.device) + within) / length  # [B, T] in [0, 1)
        frame = (share * self.size[sequence, None]).long().clamp(max=self.size[sequence, None] - 1)
        found = self.start[sequence, None] + frame
        return found, torch.ones_like(found, dtype=torch.bool)


def _clip_labels_of(corpus: Corpus, sequences: pd.DataFrame, heads: tuple[str, ...]) -> dict[str, np.ndarray]:
    rows, index = rows_of(sequences), np.repeat(np.arange(len(sequences)), sequences["length"])
    return {
        name: clip_labels(corpus.head(name), _at(corpus.labels[name], rows), index, len(sequences)) for name in heads
    }


def clip_labels(head: Head, labels: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """One label for each group of frames: the most frequent class or flag, the mean share or value.

    Parameters
    ----------
    labels : labels of N frames, by the head's kind.
    group : ``[N]`` group of each frame, below ``groups``.
    """
    if labels.ndim == 1:
        known = labels >= 0
        counts = np.zeros((groups, len(head)), np.int64)
        np.add.at(counts, (group[known], labels[known]), 1)
        return np.where(counts.any(1), counts.argmax(1), -1).astype(labels.dtype)
    values = labels.astype(np.float64)
    known = ~np.isnan(values) if labels.dtype.kind == "f" else labels >= 0
    count, total = np.zeros((groups, len(head))), np.zeros((groups, len(head)))
    np.add.at(count, group, known)
    np.add.at(total, group, np.where(known, values, 0))
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    if head.kind == "flags":
        return np.where(count > 0, mean >= 0.5, -1).astype(labels.dtype)
    return mean.astype(labels.dtype)


def labeled_as_clips(corpus: Corpus, head: Head) -> bool:
    """Whether whole clips are labeled: no labeled sequence has two labels or unlabeled frames.

    False if all sequences have one frame, which are scored the same either way.
    """
    labels = corpus.labels[head.name].cpu().numpy()
    known = head.labeled(labels)
    start, length = (corpus.sequences[name].to_numpy() for name in ("start", "length"))
    inside = np.ones(len(labels), bool)
    inside[start] = False
    values = np.nan_to_num(labels[:, None] if labels.ndim == 1 else labels, nan=-9.0)
    changes = (values[1:] != values[:-1]).any(1) & inside[1:]
    return bool((length > 1).any() and known.any() and not changes.any())


def _anything_seen(corpus: Corpus, targets: Targets, window: Window) -> np.ndarray:
    if window.sampling == "stride":
        return _at(corpus.seen, targets.row)
    sequence = corpus.sequence(targets.row)
    total = np.concatenate([[0], np.cumsum(corpus.seen.cpu().numpy())])
    start = corpus.sequences["start"].to_numpy()[sequence]
    return total[start + corpus.sequences["length"].to_numpy()[sequence]] > total[start]


def _at(values: Tensor, rows: np.ndarray) -> np.ndarray:
    return values[torch.as_tensor(rows, device=values.device)].cpu().numpy()
