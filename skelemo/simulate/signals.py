"""Random signals over time, vectorized."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Array = NDArray[np.float64]


def smooth_noise(rng: np.random.Generator, frames: int, columns: int, period: float) -> Array:
    """Smooth noise of mean 0 and variance about 1, [frames, columns]: a cubic B-spline with a knot per period."""
    at = np.arange(frames) / max(period, 1.0) + rng.random()
    knots = rng.normal(size=(int(at[-1] if frames else 0) + 4, columns))
    first = at.astype(np.int64)
    u = (at - first)[:, None]
    weights = ((1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3)
    total = sum(weight * knots[first + shift] for shift, weight in enumerate(weights))
    return np.asarray(total) / 6 / np.sqrt(0.479)  # mean of the squared weights' sum over u in [0, 1]


def sticky_noise(rng: np.random.Generator, shape: tuple[int, ...], keep: float) -> Array:
    """Autoregressive noise of variance 1 along the first axis, with correlation `keep`."""
    fresh = rng.normal(size=shape) * np.sqrt(1 - keep**2)
    if len(fresh):
        fresh[0] /= np.sqrt(1 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], fresh, axis=0))


def spells(rng: np.random.Generator, frames: int, columns: int, share: float, length: float) -> NDArray[np.bool_]:
    """Random intervals of mean `length` frames that cover about `share` of the time, [frames, columns]."""
    length = max(length, 1.0)
    begins = rng.random((frames, columns)) < share / max(1 - share, 1e-6) / length
    last = np.maximum.accumulate(np.where(begins, np.arange(frames)[:, None], -1), axis=0)
    durations = rng.geometric(1 / length, size=(frames, columns))
    durations = np.take_along_axis(durations, np.maximum(last, 0), axis=0)
    return (last >= 0) & (np.arange(frames)[:, None] - last < durations)


def impulses(rng: np.random.Generator, frames: int, rate: float, kernel: Array) -> Array:
    """A kernel at random events, `rate` per frame: [frames]."""
    return np.convolve(rng.random(frames) < rate, kernel)[:frames]


def steps(rng: np.random.Generator, frames: int, columns: int, length: float) -> Array:
    """Piecewise constant levels of variance 1 and mean duration `length`, smoothed, [frames, columns]."""
    level = np.cumsum(rng.random(frames) < 1 / length)
    levels = rng.normal(size=(int(level[-1] if frames else 0) + 1, columns))[level]
    return np.asarray(lfilter([0.5], [1.0, -0.5], levels, axis=0))
