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
from skelemo.preprocess import Clips, find_reference
from skelemo.skeleton import Layout, Part


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
        self._find_variants()

    def __len__(self) -> int:
        return len(self.hidden) * self.rows.shape[1]

    def batches(self, size: int, device: torch.device) -> Iterator[list[dict[str, Tensor]]]:
        """A network's arguments for all masks in turn and all windows, ``size`` at a time.

        Each batch has one input per window of a clip; predictions for them are to be averaged.
        """
        for chosen in torch.arange(len(self), device=self.hidden.device).split(size):
            mask, window = chosen // self.rows.shape[1], chosen % self.rows.shape[1]
            turns = [self._inputs(mask, rows[window], present[window])
                     for rows, present in zip(self.rows, self.present, strict=True)]  # fmt: skip
            yield [{name: value.to(device) for name, value in turn.items()} for turn in turns]

    def _inputs(self, mask: Tensor, rows: Tensor, present: Tensor) -> dict[str, Tensor]:
        """Inputs for windows of frames ``[B, T]``, as a corpus with one sequence per window."""
        corpus, (batch, frames) = self.corpus, rows.shape
        points = torch.where(self.hidden[mask][:, None, :, None], 0, corpus.keypoints[rows])
        sequence, number = corpus.key[rows[:, 0]] // KEY_SPAN, corpus.key[rows] & (KEY_SPAN - 1)
        own = torch.arange(batch, device=rows.device)[:, None]
        variant, shift = self.variant[mask], None
        if corpus.shift is not None:
            running = corpus.preparation.calibrate == "running"
            shift = self.shift[variant[:, None], rows].flatten(0, 1) if running else self.shift[variant, sequence]
        separate = replace(
            corpus,
            keypoints=points.flatten(0, 1),
            reference=None if corpus.reference is None else self.reference[variant[:, None], rows].flatten(0, 1),
            seen=(points[..., 2] > 0).any(-1).flatten(),
            key=(own * KEY_SPAN + number).flatten(),
            image_size=corpus.image_size[sequence],
            shift=shift,
        )
        everything = torch.arange(batch * frames, device=rows.device).view(batch, frames)
        keypoints, visible = separate.windows(everything, present)
        given = {"keypoints": keypoints, "mask": visible}
        return given if corpus.frame_size is None else given | {"frame_size": corpus.frame_size[sequence]}

    def _find_variants(self) -> None:
        """Compute references ``[R, N, P, 4]`` and shifts ``[R, ...]``, original and for each mask that affects them.

        ``variant [M]`` is the index for each mask.
        """
        corpus = self.corpus
        references, shifts = [corpus.reference], [corpus.shift]
        self.variant = torch.zeros(len(self.hidden), dtype=torch.long, device=corpus.device)
        if corpus.preparation.coordinates == "parts" and (corpus.reference is not None or corpus.shift is not None):
            for mask in (self.hidden & self._deciding()).any(1).nonzero()[:, 0].tolist():
                without = self._without(self.hidden[mask])
                self.variant[mask] = len(references)
                references.append(without.reference)
                shifts.append(without.shift)
        self.reference = torch.stack([one for one in references if one is not None] or [torch.empty(0)])
        self.shift = torch.stack([one for one in shifts if one is not None] or [torch.empty(0)])

    def _without(self, hidden: Tensor) -> Corpus:
        """The corpus as loaded without these points."""
        corpus = self.corpus
        points = torch.where(hidden[:, None], 0, corpus.keypoints)
        reference = corpus.reference
        if reference is not None:
            reference = reference.clone()
            for number, (part, where) in enumerate(self.parts):
                if bool(hidden[where].any()):
                    reference[:, number] = self._reference(points[:, where], part)
        changed = replace(corpus, keypoints=points, reference=reference)
        if corpus.shift is None:
            return changed
        return calibrated(changed.to(torch.device("cpu")), corpus.preparation.calibrate).to(corpus.device)

    @property
    def parts(self) -> list[tuple[Part, slice]]:
        """The parts and their slices of V."""
        layout = self.corpus.layout
        return [*zip(layout.parts, layout.slices.values(), strict=True)]

    def _reference(self, points: Tensor, part: Part) -> Tensor:
        """Reference ``[N, 4]`` of a part from its points."""
        corpus = self.corpus
        clips, layout = Clips(corpus.key // KEY_SPAN, corpus.key & (KEY_SPAN - 1)), Layout(part.name, (part,))
        return find_reference(points, clips, layout, corpus.preparation, corpus.image_size)[:, 0]

    def _deciding(self) -> Tensor:
        """Mask ``[V]`` of points that references depend on: the rule's, or all if the rule falls back on others."""
        found = torch.zeros(len(self.corpus.layout), dtype=torch.bool, device=self.corpus.device)
        for part, where in self.parts:
            points = self.corpus.keypoints[:, where]
            rule, seen = found[where], (points[..., 2] > 0).any(1)
            rule[_ruling(part)] = True
            usual, ruled = self._reference(points, part), self._reference(torch.where(rule[:, None], points, 0), part)
            if not torch.equal(usual[seen], ruled[seen]):
                rule[:] = True
        return found


def _ruling(part: Part) -> list[int]:
    """Indices of the points of a part that define its reference."""
    distances = [pair for rank in part.units for pairs, *_ in rank for pair in pairs]
    places = [place for pair in distances for place in pair] + [place for place, *_ in part.origins]
    return sorted({point for place in (*places, *(part.level or ())) for term in place for point in term})


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
