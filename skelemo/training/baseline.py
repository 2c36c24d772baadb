"""Baselines without deep learning: fitted once on the training windows, then scored as networks are."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from skelemo.data.windows import Targets
from skelemo.errors import ConfigError
from skelemo.models import baselines

if TYPE_CHECKING:
    from skelemo.training.fold import Job

Answer = Callable[[Targets], dict[str, np.ndarray]]


def fit_baseline(job: "Job", learn: Targets, seed: int) -> Answer:
    """Fit one estimator per head and give back what answers for other windows, as `inference.predictor.predict` does.

    Where the configuration mirrors at all, every window is learned both ways round. Nothing is chosen by validation:
    a baseline's settings are those of the configuration.

    Raises
    ------
    ConfigError
        scikit-learn refuses the settings or the windows.
    """
    config, layout, classes = job.config, job.corpus.layout, len(job.corpus.classes)
    keypoints, mask = _gather(job, learn)
    rows = baselines.features(keypoints, mask)
    labels = {"expression": learn.expression, "va": learn.va}
    known = {"expression": learn.expression >= 0, "va": np.isfinite(learn.va).all(1)}
    if config.mirror:
        rows = np.concatenate([rows, baselines.features(baselines.mirrored(keypoints, layout), mask)])
        labels = {head: np.concatenate([label, label]) for head, label in labels.items()}
        known = {head: np.concatenate([flag, flag]) for head, flag in known.items()}
    fitted = {}
    for head in config.heads:
        pipeline = baselines.build(config.arch, seed, target="va" if head == "va" else "expression", **config.model)
        try:
            fitted[head] = pipeline.fit(rows[known[head]], labels[head][known[head]])
        except ValueError as error:  # scikit-learn's word for all that it does not take
            why = str(error).partition("\n")[0]
            raise ConfigError(f"{config.arch} cannot learn the head {head}: {why}") from error

    def answer(targets: Targets) -> dict[str, np.ndarray]:
        asked = baselines.features(*_gather(job, targets))
        return {head: baselines.answers(pipeline, asked, classes) for head, pipeline in fitted.items()}

    return answer


def _gather(job: "Job", targets: Targets) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints ``[W, T, V, 3]`` and mask ``[W, T]`` of some windows, unchanged."""
    batches = [(batch["keypoints"].cpu().numpy(), batch["mask"].cpu().numpy()) for batch in job.batches(targets)]
    keypoints, mask = zip(*batches, strict=True)
    return np.concatenate(keypoints), np.concatenate(mask)
