"""Comparison of predictions of the same windows by a paired bootstrap over groups."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from skelemo.evaluation.bootstrap import (
    FEWEST_GROUPS,
    RESAMPLES,
    LabeledWindows,
    draws,
    fine_resampling_groups,
    interval,
    resample,
    resampling_groups,
)
from skelemo.evaluation.metrics import Floats, main_metric
from skelemo.runs.predictions import output_table
from skelemo.targets import Head


@dataclass(frozen=True)
class Difference:
    """Difference of a metric between two runs on the same windows.

    ``p`` is two-sided: twice the share of resamples in which the difference does not have its sign (counting at least
    one resample). ``p`` and the interval are None with fewer than `FEWEST_GROUPS` groups.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None
    groups: int


def paired_difference(
    one: pd.DataFrame, other: pd.DataFrame, head: Head, figure: str, *, clips: bool = False
) -> Difference:
    """Compare two tables of predictions of the same windows in the same order by a metric with sums."""
    judged = [LabeledWindows.of(table, head, clips) for table in (one, other)]
    codes, _ = resampling_groups(judged[0].windows)
    count = int(codes.max()) + 1
    groups = [side.totals(codes, count) for side in judged]
    value = float(np.subtract(*(side.measure(g.sum(0))[figure] for side, g in zip(judged, groups, strict=True))))
    if count < FEWEST_GROUPS:
        return Difference(value, None, None, None, count)
    drawn = (side.measure(resample(g, RESAMPLES, 0), g.sum(0))[figure] for side, g in zip(judged, groups, strict=True))
    found = np.nan_to_num(np.subtract(*drawn))
    low, high = interval(found)
    against = float(np.mean(found <= 0 if value > 0 else found >= 0))
    return Difference(value, float(low), float(high), min(1.0, max(2 * against, 1 / RESAMPLES)), count)


@dataclass(frozen=True)
class Losses:
    """Decrease of a head's main metric with M alternative predictions of the same windows.

    Parameters
    ----------
    score : the metric of the original predictions, NaN if undefined.
    loss, error, low, high : ``[M]`` the decrease, its standard error and interval; these are NaN with fewer than
        `FEWEST_GROUPS` groups.
    """

    score: float
    loss: Floats
    error: Floats
    low: Floats
    high: Floats
    groups: int
    grouped_by: str


def losses(
    table: pd.DataFrame, others: Floats, head: Head, *, clips: bool = False, resamples: int = 500, seed: int = 0
) -> Losses:
    """Compare alternative outputs ``[M, W, K]`` for the windows of a table of predictions with those in the table.

    Resamples subjects if known, else videos, else sequences, or the next finer groups if there are too few.
    """
    judged = LabeledWindows.of(table, head, clips)
    codes, kind = fine_resampling_groups(judged.windows)
    count = int(codes.max(initial=-1)) + 1
    enough = count >= FEWEST_GROUPS
    times = np.concatenate([np.ones((1, count)), *(draws(count, resamples, seed) if enough else ())])

    def figures(one: LabeledWindows) -> Floats:
        """The main metric of all groups, and of each resample."""
        totals = times @ one.totals(codes, count)
        if not count or one.single_class:
            return np.full(len(totals), np.nan)
        return one.measure(totals, totals[0])[main_metric(head)]

    usual = figures(judged)
    alternatives = (LabeledWindows.of(table.assign(**output_table(head, one)), head, clips) for one in others)
    lost = usual - np.array([*map(figures, alternatives)]).reshape(len(others), len(usual))  # [M, 1 + R]
    if not enough or np.isnan(usual[0]):
        unknown = np.full(len(others), np.nan)
        return Losses(float(usual[0]), lost[:, 0], unknown, unknown, unknown, count, kind)
    low, high = interval(lost[:, 1:].T)
    return Losses(float(usual[0]), lost[:, 0], np.nanstd(lost[:, 1:], axis=1), low, high, count, kind)
