"""Importance of keypoints by occlusion: the drop in score when a part, a region or a single keypoint is hidden."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import nn

from skelemo.data.calibration import people_of
from skelemo.data.corpus import Corpus
from skelemo.data.occlusion import Occlusions
from skelemo.data.window_frames import Window
from skelemo.data.windows import Gatherer, Targets, window_columns
from skelemo.evaluation.metrics import main_metric
from skelemo.evaluation.paired import losses
from skelemo.inference.predictor import autocast
from skelemo.models.heads import predictions
from skelemo.preprocess import Clips, by_part, place
from skelemo.runs.importance import COLUMNS
from skelemo.runs.predictions import prediction_table
from skelemo.skeleton import Layout
from skelemo.targets import Head

#: Default number of windows, and fewest windows for which single joints are hidden.
_MOST_WINDOWS, _FEWEST_WINDOWS = 400, 100
#: Frames in memory at a time, and most frames sampled under a budget of predictions.
_FRAMES = 10_000
#: Points in a batch; image networks use their training batch size.
_BATCH_POINTS = 2**18


@dataclass(frozen=True)
class PointGroup:
    """A group of keypoints to hide: ``points`` are indices into V."""

    level: str
    part: str
    name: str
    points: tuple[int, ...]


@dataclass(frozen=True)
class Budget:
    """Limits of the computation.

    Parameters
    ----------
    windows : most windows.
    predictions : most windows times hidden groups; 0 for no limit. If too few for single joints, only parts and
        regions are hidden.
    """

    windows: int = _MOST_WINDOWS
    predictions: int = 0


@dataclass(frozen=True, eq=False)
class Predicting:
    """A network and what prediction with it needs."""

    network: nn.Module
    heads: tuple[Head, ...]
    window: Window
    device: torch.device
    batch_size: int = 64
    precision: str = "32-true"
    flip: bool = False

    def outputs(self, occlusions: Occlusions, layout: Layout) -> dict[str, np.ndarray]:
        """Outputs ``[M, W, K]`` of each head for M hidden groups and W windows."""
        size = self.batch_size
        if occlusions.corpus.frame_size is None:
            size = max(size, _BATCH_POINTS // (self.window.length * len(layout)))
        found: dict[str, list[np.ndarray]] = {head.name: [] for head in self.heads}
        self.network.eval()
        with torch.inference_mode(), autocast(self.device, self.precision):
            for turns in occlusions.batches(size, self.device):
                each = [predictions(self.network, given, self.heads, layout, flip=self.flip) for given in turns]
                for name, pieces in found.items():
                    pieces.append(torch.stack([one[name] for one in each]).mean(0).cpu().numpy())
        count = len(occlusions.hidden)
        return {name: np.concatenate(pieces).reshape(count, -1, pieces[0].shape[-1]) for name, pieces in found.items()}


def point_groups(layout: Layout, *, joints: bool = True) -> list[PointGroup]:
    """The empty group, every part, every region and, with ``joints``, every keypoint."""
    found = [PointGroup("none", "", "", ())]
    for part, where in zip(layout.parts, layout.slices.values(), strict=True):
        places = range(len(layout))[where]
        found.append(PointGroup("part", part.name, part.name, tuple(places)))
        found += [
            PointGroup("region", part.name, name, tuple(places[point] for point in points))
            for name, points in part.region_points.items()
        ]
        if joints:
            found += [
                PointGroup("joint", part.name, name, (at,)) for name, at in zip(part.keypoints, places, strict=True)
            ]
    return found


def importance(
    predicting: Predicting,
    corpus: Corpus,
    targets: Targets,
    budget: Budget,
    *,
    clips: Collection[str] = (),
    seed: int = 0,
) -> pd.DataFrame:
    """The table of `skelemo.runs.importance` for one model; empty if no window can be scored.

    Parameters
    ----------
    targets : labeled windows of the validation subset to sample from.
    clips : heads that label whole clips.
    """
    targets, hidden = _planned(corpus, targets, budget, seed)
    if not len(targets) or not budget.windows:
        return pd.DataFrame(columns=list(COLUMNS))
    masks = np.zeros((len(hidden), len(corpus.layout)), bool)
    for row, one in zip(masks, hidden, strict=True):
        row[list(one.points)] = True
    outputs = _outputs(predicting, corpus, targets, masks)
    x, y, seen = _usual_pose(corpus, predicting.window, targets)
    rows = []
    for head in predicting.heads:
        columns = window_columns(corpus, targets, fold=1, subset="validation")
        table = prediction_table(columns, [head], targets.labels, {head.name: outputs[head.name][0]})
        lost = losses(table, outputs[head.name][1:], head, clips=head.name in clips, seed=seed)
        if not np.isfinite(lost.score):
            continue
        figures = np.stack([lost.loss, lost.error, lost.low, lost.high], 1)
        measured = dict(zip(hidden, [np.zeros(4), *figures], strict=True))
        about = ("validation", len(targets), lost.groups, lost.grouped_by)
        for one in point_groups(corpus.layout):
            known = measured.get(one, np.full(4, np.nan))
            at = [values[one.points[0]] for values in (x, y, seen)] if one.level == "joint" else [np.nan] * 3
            what = (head.name, main_metric(head), one.level, one.part, one.name)
            rows.append((*what, lost.score - known[0], *known, *at, *about))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _planned(corpus: Corpus, targets: Targets, budget: Budget, seed: int) -> tuple[Targets, list[PointGroup]]:
    """A sample of windows and the groups to hide, within the budget."""
    hidden, most = point_groups(corpus.layout), min(budget.windows, len(targets))
    if not budget.predictions:
        return _sample(corpus, targets, most, 2**62, seed), hidden
    targets = _sample(corpus, targets, most, _FRAMES, seed)
    if budget.predictions < len(hidden) * min(len(targets), _FEWEST_WINDOWS):
        hidden = point_groups(corpus.layout, joints=False)
    windows = max(budget.predictions // len(hidden), _FEWEST_WINDOWS // 3)
    return _sample(corpus, targets, windows, 2**62, seed), hidden


def _units(corpus: Corpus) -> np.ndarray:
    """``[S]`` what is hidden as a whole: the person for a calibrated model, else the recording."""
    return people_of(corpus.sequences) if corpus.shift is not None else np.arange(len(corpus.sequences))


def _sample(corpus: Corpus, targets: Targets, windows: int, frames: int, seed: int) -> Targets:
    """Random windows from random people or recordings with at most ``frames`` frames in total."""
    rng = np.random.default_rng(seed)
    sequence, unit = corpus.sequence(targets.row), _units(corpus)
    length = np.bincount(unit, corpus.sequences["length"])
    drawn = rng.permutation(np.unique(unit[sequence]))
    kept = drawn[: max(1, int(np.searchsorted(length[drawn].cumsum(), frames, side="right")))]
    targets = targets[np.isin(unit[sequence], kept)]
    return targets[np.sort(rng.permutation(len(targets))[:windows])]


def _outputs(predicting: Predicting, corpus: Corpus, targets: Targets, masks: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs ``[M, W, K]`` of each head, computed for `_FRAMES` frames at a time."""
    unit = _units(corpus)
    here, order = np.unique(unit[corpus.sequence(targets.row)], return_inverse=True)
    block = np.bincount(unit, corpus.sequences["length"])[here].cumsum() // _FRAMES
    found: dict[str, np.ndarray] = {}
    for number in np.unique(block):
        chosen = np.flatnonzero(block[order] == number)
        occlusions = Occlusions(corpus, predicting.window, targets.row[chosen], masks)
        for name, outputs in predicting.outputs(occlusions, corpus.layout).items():
            whole = found.setdefault(name, np.empty((len(masks), len(targets), outputs.shape[-1]), np.float32))
            whole[:, chosen] = outputs
    return found


def _usual_pose(corpus: Corpus, window: Window, targets: Targets) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Median x and y ``[V]`` of each point in its part's coordinates, and the share of frames where it is visible."""
    some = targets.row[:: -(-len(targets) // _MOST_WINDOWS)]
    rows, present = Gatherer(corpus, window).frames(torch.as_tensor(some, device=corpus.device))
    points = torch.where(present[..., None, None], corpus.keypoints[rows], 0).flatten(0, 1)
    numbers = torch.arange(rows.shape[1], device=rows.device).expand(rows.shape)
    placed = place(points, by_part(points, Clips.windows(numbers), corpus.layout), corpus.layout)
    shown = placed[..., 2] > 0
    x, y = torch.where(shown[..., None], placed[..., :2], torch.nan).nanmedian(0).values.cpu().numpy().T
    return x, y, shown.double().mean(0).cpu().numpy()
