"""Baselines without deep learning: `svm`, `logistic` and `boosting` on statistics of a window's keypoints.

What a network must beat. They are scikit-learn estimators, not registered networks: `features` turns windows into
rows of numbers, `build` makes the estimator that learns from them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from skelemo.errors import ConfigError, unknown
from skelemo.models.registry import checked
from skelemo.skeleton import Layout
from skelemo.targets import Head, KindName

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

#: What reaches them, as `skelemo models` says it.
SEES = "normalized keypoints and their statistics over the window"
#: How many moments of a window, evenly spread, are features as they are.
MOMENTS = 12


def features(keypoints: np.ndarray, mask: np.ndarray, *, moments: int = MOMENTS) -> np.ndarray:
    """Windows as rows of numbers, for estimators that know neither time nor joints.

    Parameters
    ----------
    keypoints : ``[N, T, V, C]``, normalized; a missing point is zero.
    mask : ``[N, T]`` bool, which frames were seen. The others change nothing.
    moments : how many points in time are taken as they are.

    Returns
    -------
    ``[N, F]`` float32. Of a single frame: x and y of every point and whether it was seen. Of longer windows: mean,
    deviation, minimum, maximum and last value of x and y over the frames in which the point was seen, the share of
    frames in which it was, its position at the moments between the first and the last seen frame, and the differences
    from moment to moment. A missing point stays where it was seen last (at first: where it is seen next); what is never
    seen is zero.
    """
    points = np.asarray(keypoints, np.float32)
    seen = _seen(points) & np.asarray(mask, bool)[..., None]  # [N, T, V]
    place = np.where(seen[..., None], points[..., :2], 0)
    if points.shape[1] == 1:
        return _rows(place[:, 0], seen[:, 0])
    share = seen.mean(1)[..., None] * points.shape[1] / np.maximum(np.sum(mask, 1), 1)[:, None, None]
    held = _hold(place, seen)
    chosen = _moments(held, np.asarray(mask, bool), moments)  # [N, moments, V, 2]
    return _rows(*_statistics(place, seen), chosen[:, -1], share, chosen, np.diff(chosen, axis=1))


def build(name: str, head: Head, seed: int = 0, **settings: Any) -> Pipeline:
    """An untrained scikit-learn pipeline, standardizing first: ``fit(rows [N, F], labels)``.

    Parameters
    ----------
    name : one of `CLASSICAL`.
    head : decides what is fitted: a classifier of ``[N]`` class numbers, a regressor of ``[N, K]``, or a classifier
        for each of K flags.
    seed : of everything that it draws.
    settings : keyword arguments of `svm`, `logistic` or `boosting`.

    Raises
    ------
    ConfigError
        An unknown baseline or setting, or a value that the setting cannot have.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if name not in CLASSICAL:
        raise unknown("baseline", name, CLASSICAL)
    known = settings_of(name)
    given = {setting: _checked(name, known, setting, value) for setting, value in settings.items()}
    steps = CLASSICAL[name](head.kind, seed, **given)
    if head.kind == "flags":
        from sklearn.multioutput import MultiOutputClassifier

        steps[-1] = MultiOutputClassifier(steps[-1])
    return make_pipeline(StandardScaler(), *steps)


def settings_of(name: str) -> dict[str, Any]:
    """The settings that a baseline takes, with their defaults."""
    parameters = inspect.signature(CLASSICAL[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def answers(pipeline: Pipeline, rows: np.ndarray, head: Head) -> np.ndarray:
    """What a fitted pipeline predicts for ``rows [N, F]``, float32 ``[N, K]``, as a network would.

    Classes get probabilities, those that it never saw 0; a support vector machine's are the softmax of its decision
    values, so that the largest belongs to its answer. Values are clipped to the head's range; flags get probabilities.
    """
    if head.kind == "values":
        return np.clip(pipeline.predict(rows), head.low, head.high).reshape(len(rows), -1).astype(np.float32)
    if head.kind == "flags":
        transformed = pipeline[:-1].transform(rows)
        found = [_shares(one, transformed, 2)[:, 1] for one in pipeline[-1].estimators_]
        return np.stack(found, 1)
    return _shares(pipeline, rows, len(head))


def _shares(estimator: Any, rows: np.ndarray, classes: int) -> np.ndarray:
    if hasattr(estimator, "predict_proba"):
        known = estimator.predict_proba(rows)
    else:
        values = estimator.decision_function(rows)
        values = np.stack([-values, values], 1) if values.ndim == 1 else values
        known = np.exp(values - values.max(1, keepdims=True))
        known /= known.sum(1, keepdims=True)
    shares = np.zeros((len(rows), classes), np.float32)
    shares[:, estimator.classes_.astype(int)] = known
    return shares


def mirrored(keypoints: np.ndarray, layout: Layout) -> np.ndarray:
    """The same windows with left and right exchanged, to learn from both: ``[N, T, V, C]``, normalized by part."""
    twin = keypoints[:, :, list(layout.mirror)]
    twin[..., 0] *= -1
    return twin


def svm(kind: KindName, seed: int, *, c: float = 10.0, gamma: float = 0.2, balanced: bool = False) -> list[Any]:
    """Support vector machine; its time grows with the square of the number of windows.

    The kernel is ``exp(-gamma * mean squared difference of the standardized features)``: with the mean in the place of
    the sum the same gamma serves single frames and long windows.
    """
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.preprocessing import FunctionTransformer
    from sklearn.svm import SVC, SVR

    spread = FunctionTransformer(_times, kw_args={"factor": gamma**0.5})
    if kind == "values":
        return [spread, MultiOutputRegressor(SVR(C=c, gamma="auto", epsilon=0.05))]
    weight = "balanced" if balanced else None
    return [spread, SVC(C=c, gamma="auto", class_weight=weight, break_ties=True, random_state=seed)]


def logistic(kind: KindName, seed: int, *, c: float = 0.03, balanced: bool = False) -> list[Any]:
    """Multinomial logistic regression; for values, linear regression with the same penalty."""
    from sklearn.linear_model import LogisticRegression, Ridge

    if kind == "values":
        return [Ridge(alpha=1 / c, random_state=seed)]
    weight = "balanced" if balanced else None
    return [LogisticRegression(C=c, class_weight=weight, max_iter=2000, random_state=seed)]


def boosting(
    kind: KindName,
    seed: int,
    *,
    trees: int = 100,
    rate: float = 0.1,
    leaves: int = 8,
    share: float = 0.1,
    balanced: bool = False,
) -> list[Any]:
    """Gradient boosting of small trees on binned features, each split looking at a ``share`` of the features."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.multioutput import MultiOutputRegressor

    common = {"max_iter": trees, "learning_rate": rate, "max_leaf_nodes": leaves, "max_features": share}
    common |= {"early_stopping": False, "random_state": seed}
    if kind == "values":
        return [MultiOutputRegressor(HistGradientBoostingRegressor(**common))]
    return [HistGradientBoostingClassifier(**common, class_weight="balanced" if balanced else None)]


#: Above what, and up to what, the numbers among their settings can be.
LIMITS = {
    "c": (0, 1_000_000),
    "gamma": (0, 1_000_000),
    "trees": (0, 100_000),
    "rate": (0, 10),
    "leaves": (1, 10_000),
    "share": (0, 1),
}
#: The baselines by name: ``make(kind, seed, **settings)`` gives the steps that follow standardizing.
CLASSICAL: dict[str, Callable[..., list[Any]]] = {"svm": svm, "logistic": logistic, "boosting": boosting}


def _checked(name: str, defaults: dict[str, Any], setting: str, value: Any) -> Any:
    value = checked(name, defaults, setting, value)
    above, most = LIMITS.get(setting, (-np.inf, np.inf))
    if not above < value <= most:
        raise ConfigError(f"setting {setting} of {name} is {value!r}; expected above {above:,} and up to {most:,}")
    return type(defaults[setting])(value)  # scikit-learn tells 1 from 1.0


def _times(rows: np.ndarray, factor: float) -> np.ndarray:
    return rows * factor


def _seen(points: np.ndarray) -> np.ndarray:
    return np.asarray(points[..., 2] > 0) if points.shape[-1] > 2 else (points != 0).any(-1)


def _rows(*parts: np.ndarray) -> np.ndarray:
    """Arrays ``[N, …]`` laid out flat, side by side."""
    return np.concatenate([part.reshape(len(part), -1) for part in parts], 1, dtype=np.float32)


def _hold(place: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Fill a point's missing frames with where it was seen last, before its first one with where it is seen next."""
    frame = np.arange(seen.shape[1])[:, None]
    before = np.maximum.accumulate(np.where(seen, frame, -1), axis=1)
    first = np.where(seen.any(1), seen.argmax(1), 0)[:, None]
    source = np.where(before >= 0, before, first)
    return np.take_along_axis(place, source[..., None], 1)


def _moments(held: np.ndarray, mask: np.ndarray, count: int) -> np.ndarray:
    """Positions ``[N, count, V, 2]`` at moments spread evenly from the first seen frame to the last, interpolated."""
    length = mask.shape[1]
    any_seen = mask.any(1)
    first = np.where(any_seen, mask.argmax(1), 0)
    last = np.where(any_seen, length - 1 - mask[:, ::-1].argmax(1), 0)
    time = first[:, None] + np.linspace(0, 1, count) * (last - first)[:, None]  # [N, count]
    early = np.floor(time).astype(int)
    late = np.minimum(early + 1, last[:, None])
    share = (time - early)[..., None, None].astype(np.float32)
    row = np.arange(len(held))[:, None]
    return held[row, early] * (1 - share) + held[row, late] * share


def _statistics(place: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, ...]:
    """Mean, deviation, minimum and maximum over the frames in which a point was seen, zero where it never was."""
    known = seen[..., None]  # [N, T, V, 1]
    count = np.maximum(known.sum(1), 1)
    mean = place.sum(1) / count
    deviation = np.sqrt(((place - mean[:, None]) ** 2 * known).sum(1) / count)
    ever = known.any(1)
    low = np.where(ever, np.where(known, place, np.inf).min(1), 0)
    high = np.where(ever, np.where(known, place, -np.inf).max(1), 0)
    return mean, deviation, low, high
