"""Windows with some keypoints hidden before preparation, as if they had not been detected."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from skelemo.data.calibration import calibrated, people_of
from skelemo.data.corpus import Corpus
from skelemo.data.window_frames import KEY_SPAN, Window, rows_of
from skelemo.data.windows import Gatherer
from skelemo.preprocess import Clips, by_part
from skelemo.skeleton import Layout


class Occlusions:
    """Windows of some target rows with each of several masks of hidden keypoints.

    A point is hidden in the whole recording. Since gaps and smoothing are computed per point, it can be removed after
    cleaning; references and calibration are recomputed if they depend on it.

    Parameters
    ----------
    rows : ``[W]`` target rows of the corpus.
    hidden : ``[M, V]`` bool, masks of hidden points.
    """

    def __init__(self, corpus: Corpus, window: Window, rows: np.ndarray, hidden: np.ndarray) -> None:
        sequences = np.unique(corpus.sequence(rows))
        if corpus.shift is not None:  # depends on all clips of a person
            people = people_of(corpus.sequences)
            sequences = np.flatnonzero(np.isin(people, people[sequences]))
        self.corpus, place = _excerpt(corpus, sequences)
        self.hidden = torch.as_tensor(hidden, device=corpus.device)
        gatherer, targets = Gatherer(self.corpus, window), torch.as_tensor(place[rows], device=corpus.device)
        frames = [gatherer.frames(targets, turn=turn) for turn in range(window.clip_windows)]
        self.rows, self.present = (torch.stack(some) for some in zip(*frames, strict=True))  # [turns, W, T]

    def batches(self, size: int, device: torch.device) -> Iterator[list[dict[str, Tensor]]]:
        """A network's arguments for each mask in turn, at most ``size`` windows at a time.

        Each batch has one input per window of a clip; predictions for them are to be averaged.
        """
        for mask in self.hidden:
            corpus = self._without(mask)
            for rows, present in zip(self.rows.split(size, 1), self.present.split(size, 1), strict=True):
                turns = []
                for keypoints, visible in map(corpus.windows, rows, present):
                    turns.append({"keypoints": keypoints.to(device), "mask": visible.to(device)})
                    if corpus.frame_size is not None:
                        sequence = corpus.key[rows[0, :, 0]] // KEY_SPAN
                        turns[-1]["frame_size"] = corpus.frame_size[sequence].to(device)
                yield turns

    def _without(self, hidden: Tensor) -> Corpus:
        """The corpus as loaded without these points."""
        corpus, layout = self.corpus, self.corpus.layout
        points = corpus.keypoints.index_fill(1, hidden.nonzero()[:, 0], 0)
        reference = corpus.reference
        if reference is not None and corpus.preparation.coordinates == "parts":
            reference = reference.clone()
            clips = Clips(corpus.key // KEY_SPAN, corpus.key & (KEY_SPAN - 1))
            for number, (part, where) in enumerate(zip(layout.parts, layout.slices.values(), strict=True)):
                if hidden[where].any():
                    reference[:, number] = by_part(points[:, where], clips, Layout(part.name, (part,)))[:, 0]
        changed = replace(corpus, keypoints=points, reference=reference, seen=points[..., 2].sum(1) > 0)
        if corpus.shift is None:
            return changed
        if reference is not None and corpus.reference is not None and torch.equal(reference, corpus.reference):
            return changed  # shifts of the other points are the same
        return calibrated(changed.to(torch.device("cpu")), corpus.preparation.calibrate).to(corpus.device)


def _excerpt(corpus: Corpus, sequences: np.ndarray) -> tuple[Corpus, np.ndarray]:
    """A corpus of some sequences, and the new row ``[N]`` of each row of the corpus (-1: absent)."""
    table = corpus.sequences.iloc[sequences]
    lengths, rows = table["length"].to_numpy(np.int64), rows_of(table)
    place = np.full(len(corpus), -1, np.int64)
    place[rows] = np.arange(len(rows))
    device = corpus.device
    frame, clip = torch.as_tensor(rows, device=device), torch.as_tensor(sequences, device=device)
    own = torch.as_tensor(np.repeat(np.arange(len(sequences)), lengths), device=device)
    by_frame = corpus.preparation.calibrate == "running"
    some = replace(
        corpus,
        sequences=table.assign(start=np.cumsum(lengths) - lengths),
        keypoints=corpus.keypoints[frame],
        reference=None if corpus.reference is None else corpus.reference[frame],
        seen=corpus.seen[frame],
        key=own * KEY_SPAN + (corpus.key[frame] & (KEY_SPAN - 1)),
        labels={},
        step=corpus.step[clip],
        image_size=corpus.image_size[clip],
        frame_size=None if corpus.frame_size is None else corpus.frame_size[clip],
        shift=None if corpus.shift is None else corpus.shift[frame if by_frame else clip],
        scratch=None,
    )
    return some, place
