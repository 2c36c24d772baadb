"""Baselines without deep learning: fitted once on the training windows, then scored as networks are."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from skelemo.data.windows import Targets
from skelemo.errors import ConfigError
from skelemo.models import baselines
from skelemo.targets import hard_labels

if TYPE_CHECKING:
    from skelemo.training.fold import Job

#: Windows whose features are computed at a time.
_BLOCK = 8192

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
    config, layout = job.config, job.corpus.layout
    if len(learn) > config.fit_windows:
        learn = learn[np.sort(np.random.default_rng(seed).permutation(len(learn))[: config.fit_windows])]
    keypoints, mask = _gather(job, learn)
    rows = baselines.features(keypoints, mask)
    flipped = baselines.features(baselines.mirrored(keypoints, layout), mask) if config.mirror else rows[:0]
    fitted = {}
    for head in job.heads:
        labels = hard_labels(learn.labels[head.name]) if head.kind == "classes" else learn.labels[head.name]
        known = head.labeled(labels) if head.kind == "classes" else _fully_labeled(labels)
        chosen = [rows[known], flipped[known]] if config.mirror else [rows[known]]
        pipeline = baselines.build(config.arch, head, seed, **config.model)
        try:
            fitted[head.name] = pipeline.fit(np.concatenate(chosen), np.concatenate([labels[known]] * len(chosen)))
        except ValueError as error:  # how scikit-learn refuses anything
            why = str(error).partition("\n")[0]
            raise ConfigError(f"{config.arch} cannot learn the head {head.name}: {why}") from error

    def answer(targets: Targets) -> dict[str, np.ndarray]:
        pieces = [
            baselines.features(*_gather(job, targets[np.arange(first, min(first + _BLOCK, len(targets)))]))
            for first in range(0, len(targets), _BLOCK)
        ]
        asked = np.concatenate(pieces)
        return {head.name: baselines.answers(fitted[head.name], asked, head) for head in job.heads}

    return answer


def _fully_labeled(labels: np.ndarray) -> np.ndarray:
    """Which rows have all outputs labeled: scikit-learn learns no others."""
    return np.asarray((~np.isnan(labels) if labels.dtype.kind == "f" else labels >= 0).all(1))


def _gather(job: "Job", targets: Targets) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints ``[W, T, V, 3]`` and mask ``[W, T]`` of some windows, unchanged."""
    batches = [(batch["keypoints"].cpu().numpy(), batch["mask"].cpu().numpy()) for batch in job.batches(targets)]
    keypoints, mask = zip(*batches, strict=True)
    return np.concatenate(keypoints), np.concatenate(mask)
