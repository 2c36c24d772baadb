"""Smoothing of predictions over adjacent frames, and choosing its width on the validation subset."""

from typing import Any

import numpy as np

from skelemo.evaluation.metrics import main_metric
from skelemo.evaluation.scores import measure
from skelemo.targets import Head

#: Half-widths that `choose_width` tries.
REACHES = (1, 2, 4, 7, 12, 20, 30)
#: Least gain of the figure for a wider mean.
GAIN = 0.001


def smoothed(outputs: np.ndarray, key: np.ndarray, width: int) -> np.ndarray:
    """Centered mean of outputs ``[N, K]`` over ``width`` frames; rows without a prediction (NaN) are kept and ignored.

    Parameters
    ----------
    key : ``[N]`` int64, increasing: frame numbers, those of different sequences far apart.
    width : odd; up to 1 leaves the outputs as they are.
    """
    if width <= 1 or not len(outputs):
        return outputs
    known = ~np.isnan(outputs).any(1)
    first = np.searchsorted(key, key - width // 2, "left")
    last = np.searchsorted(key, key + width // 2, "right")
    total = np.concatenate([np.zeros((1, outputs.shape[1])), np.cumsum(np.where(known[:, None], outputs, 0.0), 0)])
    count = np.concatenate([[0], np.cumsum(known)])
    mean = (total[last] - total[first]) / np.maximum(count[last] - count[first], 1)[:, None]
    return np.where(known[:, None], mean, np.nan).astype(outputs.dtype)


def choose_width(head: Head, labels: np.ndarray, outputs: np.ndarray, key: np.ndarray) -> dict[str, Any]:
    """The width, in frames, with the best main metric of smoothed validation outputs; 1 if none helps.

    Parameters
    ----------
    labels, outputs, key : of windows in the order of ``key``, as `smoothed` takes them.

    Returns
    -------
    dict
        ``width``, ``metric`` and its value ``plain`` and ``smoothed``, as ``model.json`` keeps them.
    """
    name = main_metric(head)
    steps = np.diff(key)
    steps = steps[steps < 1 << 31]  # within sequences
    step = int(np.median(steps)) if len(steps) else 0
    plain = best = measure(head, labels, outputs).get(name, np.nan)
    width = 1
    for reach in REACHES if step else ():
        value = measure(head, labels, smoothed(outputs, key, 2 * reach * step + 1)).get(name, np.nan)
        if value > best + GAIN:
            width, best = 2 * reach * step + 1, value
    return {"width": width, "metric": name, "plain": plain, "smoothed": best}
