"""Calibration of a corpus to each person's mean pose, and standardization to another data set."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skelemo.data.scratch import ScratchFile
from skelemo.data.window_frames import KEY_SPAN
from skelemo.errors import ConfigError
from skelemo.preprocess.calibration import (
    evidence_of,
    moments_by,
    running_sums,
    shifts,
    standardizing,
    statistics_of,
    sums_by,
    typical_of,
    without,
)
from skelemo.preprocess.prepare import CalibrationKind, prepare

if TYPE_CHECKING:
    from skelemo.data.corpus import Corpus


def people_of(sequences: pd.DataFrame) -> np.ndarray:
    """Person ``[S]`` of each sequence: its subject, or without one a person per track."""
    own = "\0" + pd.Series(np.arange(len(sequences)).astype(str), sequences.index)
    return np.asarray(pd.factorize(sequences["subject"].where(sequences["subject"] != "", own))[0])


def calibrated(corpus: "Corpus", mode: CalibrationKind, sequences: np.ndarray | None = None) -> "Corpus":
    """The corpus with each person's mean pose subtracted, see `skelemo.preprocess.calibration`.

    Uses no labels. ``track`` uses all clips of a person, whatever their subset.

    Parameters
    ----------
    mode : ``track`` or ``running``; ``none`` returns the corpus unchanged.
    sequences : rows of the sequences that define the average person, if the corpus' preparation does not; default all.

    Raises
    ------
    ConfigError
        The coordinates are the image's, in which a mean pose is meaningless.
    """
    if mode == "none" or not len(corpus):
        return corpus
    _require_places(corpus, f"calibrate: {mode}")
    person = torch.as_tensor(people_of(corpus.sequences))
    by_clip = torch.zeros(len(person), len(corpus.layout), 3, dtype=torch.float64)
    for first, places in measured(corpus):
        clip = corpus.key[first : first + len(places)] // KEY_SPAN
        low, high = int(clip[0]), int(clip[-1]) + 1
        by_clip[low:high] += sums_by(places, clip - low, high - low).cpu()
    people = int(person.max()) + 1

    def together(values: Tensor) -> Tensor:
        return values.new_zeros(people, *values.shape[1:]).index_add_(0, person, values)

    typical = torch.tensor(corpus.preparation.typical)
    if not len(typical):
        chosen = torch.zeros(len(person), dtype=torch.float64)
        chosen[slice(None) if sequences is None else torch.as_tensor(sequences)] = 1
        typical = typical_of(together(by_clip * chosen[:, None, None]))
    settings = replace(corpus.preparation, calibrate=mode, typical=_rows(typical))
    if mode == "track":
        shift = shifts(together(by_clip), together(evidence_of(by_clip[..., 2])), typical)[person]
    else:
        file = ScratchFile(len(corpus), len(corpus.layout), 2) if corpus.scratch else None
        shift = torch.zeros(len(corpus), len(corpus.layout), 2) if file is None else file.rows
        if corpus.scratch and file:
            corpus = replace(corpus, scratch=corpus.scratch.adding("shift", file))
        start = torch.as_tensor(corpus.sequences["start"].to_numpy(np.int64, copy=True))
        before = torch.zeros_like(by_clip[0])
        for first, places in measured(corpus):
            rows = slice(first, first + len(places))
            sums = running_sums(places, start[corpus.key[rows] // KEY_SPAN], first, before)
            shift[rows], before = shifts(sums, evidence_of(sums[..., 2]), typical), sums[-1]
        if file:
            file.settle()
    return replace(corpus, preparation=settings, shift=shift)


def standardized(corpus: "Corpus") -> "Corpus":
    """The corpus standardized to the means and standard deviations of a model's training data.

    If the corpus' preparation has none yet (in training), those of the corpus are recorded.

    Raises
    ------
    ConfigError
        The coordinates are the image's.
    """
    settings = replace(corpus.preparation, standardize="dataset")
    _require_places(corpus, "standardize: dataset")
    if settings.source:
        source = torch.tensor(settings.source, dtype=torch.float64)
    else:
        source = source_of([corpus])
    if not settings.standard:
        return replace(corpus, preparation=replace(settings, standard=_rows(source[:, :4])))
    own = torch.tensor(settings.standard, dtype=torch.float64)
    factor, offset = standardizing(own, source[:, :4], source[:, 4])
    return replace(corpus, preparation=settings, factor=factor, offset=offset)


def source_of(corpora: "Iterable[Corpus]") -> Tensor:
    """Means, standard deviations and evidence ``[V, 5]`` of the calibrated keypoints of some corpora."""
    total: Tensor | None = None
    for corpus in corpora:
        moments = torch.zeros(len(corpus.layout), 6, dtype=torch.float64)
        seen = torch.zeros(len(corpus.sequences), len(corpus.layout), dtype=torch.float64)
        for first, places in measured(corpus):
            clip = corpus.key[first : first + len(places)] // KEY_SPAN
            if corpus.shift is not None:
                running = corpus.preparation.calibrate == "running"
                places = without(places, corpus.shift[first : first + len(places)] if running else corpus.shift[clip])
            moments[:, :5] += moments_by(places)
            seen.index_add_(0, clip, (places[..., 2] > 0).double())
        moments[:, 5] = evidence_of(seen).sum(0)
        total = moments if total is None else total + moments
    assert total is not None
    return torch.cat([statistics_of(total[:, :5]), total[:, 5:]], -1)


def _rows(values: Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, values.tolist()))


def _require_places(corpus: "Corpus", setting: str) -> None:
    if corpus.preparation.coordinates == "frame":
        raise ConfigError(f"{setting} does not apply to image networks: set it to none")


def measured(corpus: "Corpus") -> Iterator[tuple[int, Tensor]]:
    """Blocks of normalized frames ``[N, V, 3]`` with their first row; with ``reference: window`` frame by frame."""
    for rows in corpus.blocks():
        if corpus.reference is not None:
            yield rows.start, corpus.placed(rows)
        else:
            size = corpus.image_size[corpus.key[rows] // KEY_SPAN]
            places, _ = prepare(corpus.keypoints[rows][:, None], corpus.layout, corpus.preparation, size=size)
            yield rows.start, places[:, 0]
