"""Calibration of a corpus: who its people are, how each differs from the average person, and other data sets."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skelemo.data.scratch import ScratchFile
from skelemo.data.window import KEY_SPAN
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

#: Frames that are measured at a time.
_BLOCK = 16_384


def people_of(sequences: pd.DataFrame) -> np.ndarray:
    """``[S]`` the person of each sequence: its subject; where none is known, each track is a person of its own."""
    own = "\0" + pd.Series(np.arange(len(sequences)).astype(str), sequences.index)
    return np.asarray(pd.factorize(sequences["subject"].where(sequences["subject"] != "", own))[0])


def calibrated(corpus: "Corpus", mode: CalibrationKind, sequences: np.ndarray | None = None) -> "Corpus":
    """The corpus with what is usual of each person taken off, see `skelemo.preprocess.calibration`.

    No label is looked at. With ``track`` all clips of a person count, in whatever subset they are.

    Parameters
    ----------
    mode : ``track`` or ``running``; ``none`` leaves the corpus as it is.
    sequences : rows of those that make the average person, where the corpus' preparation has none yet; all unless
        given.

    Raises
    ------
    ConfigError
        The coordinates are those of the image, in which a person has no usual place.
    """
    if mode == "none" or not len(corpus):
        return corpus
    _require_places(corpus, f"calibrate: {mode}")
    person = torch.as_tensor(people_of(corpus.sequences))
    by_clip = torch.zeros(len(person), len(corpus.layout), 3, dtype=torch.float64)
    for first, places in measured(corpus):
        clip = corpus.key[first : first + len(places)] // KEY_SPAN
        low, high = int(clip[0]), int(clip[-1]) + 1
        by_clip[low:high] += sums_by(places, clip - low, high - low)
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
    """The corpus with the means and deviations of the data that a model was trained on.

    Where the corpus' preparation has none of these yet, those of the corpus are recorded, and nothing changes.

    Raises
    ------
    ConfigError
        The coordinates are those of the image.
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
    """Means, deviations and evidence ``[V, 5]`` of what models would see of some corpora, were it not standardized."""
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
        raise ConfigError(f"{setting} is for networks that take coordinates, and this one draws; leave it at none")


def measured(corpus: "Corpus") -> Iterator[tuple[int, Tensor]]:
    """Blocks of normalized frames ``[N, V, 3]``, each with its first row; of windows each frame by itself, as live."""
    block = min(_BLOCK, corpus.scratch.run) if corpus.scratch else _BLOCK
    for first in range(0, len(corpus), block):
        rows = torch.arange(first, min(first + block, len(corpus)))
        if corpus.reference is not None:
            yield first, corpus.placed(rows)
        else:
            size = corpus.image_size[corpus.key[rows] // KEY_SPAN]
            alone = replace(corpus.preparation, calibrate="none", typical=())
            yield first, prepare(corpus.keypoints[rows][:, None], corpus.layout, alone, size=size)[0][:, 0]
        corpus.forget(first, first + block)
