"""Results of a fold: its model, its predictions, and prediction options chosen on the validation subset."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from torch import nn

from skelemo.data.corpus import Corpus
from skelemo.data.window_frames import Window
from skelemo.data.windows import Targets, find_targets, labeled_as_clips, window_columns
from skelemo.evaluation.circumplex import READING, as_emotions, choose_radius, labeled_emotions, with_reading
from skelemo.evaluation.metrics import main_metric
from skelemo.evaluation.scores import measure
from skelemo.inference.predictor import predict
from skelemo.inference.scoring.importance import Budget, Predicting, importance
from skelemo.inference.table import smoothed
from skelemo.models import registry
from skelemo.runs.folder import read_metrics
from skelemo.runs.importance import write_importance
from skelemo.runs.model_file import ModelFile, write_choices, write_model
from skelemo.runs.predictions import prediction_table
from skelemo.targets import Head
from skelemo.text import count

if TYPE_CHECKING:
    from skelemo.training.job import Job

#: Predictions for `skelemo.runs.importance` per trained window: predicting takes a third of the time of training, so
#: this is a tenth of the training. Fitting a baseline to a window takes as long as ``_FITTED`` predictions.
_PREDICTIONS, _FITTED = 0.3, 10
#: Half-widths tried by `choose_width`.
REACHES = (1, 2, 4, 7, 12, 20, 30)
#: Least gain in the metric for more smoothing or flip averaging.
GAIN = 0.001


def save_model(folder: Path, network: nn.Module, job: "Job") -> None:
    """Write ``model.json`` and ``model.safetensors``."""
    corpus, config = job.corpus, job.config
    model = ModelFile(
        config.arch,
        registry.lasting(config.model),
        corpus.layout.name,
        job.heads,
        corpus.preparation.to_json(),
        vars(config.window),
        job.precision,
        flip_average=config.flip_average is True,
        pretext=config.pretrain,
    )
    write_model(folder, model, network.state_dict())


def predict_fold(
    job: "Job",
    model: nn.Module,
    targets: Mapping[str, Targets],
    number: int,
    folder: Path,
    stage: Callable[[str], None],
) -> pd.DataFrame:
    """Predict the validation and test windows of a fold; writes the prediction options to ``model.json``."""
    scored = {subset: targets[subset] for subset in ("validation", "test") if len(targets[subset])}
    flip = _flips(job, scored.get("validation"), model)
    write_choices(folder, flip_average=flip)
    outputs = {}
    for subset, windows in scored.items():
        stage(f"predicting {count(len(windows), f'{subset} window')}")
        outputs[subset] = predict(model, job.batches(windows), job.heads, job.precision, flip=flip)
    if "validation" in scored:
        if job.config.importance:
            stage("measuring the importance of keypoints")
        write_importance(folder, _importance(job, model, targets, number, folder, flip))
    if "validation" in scored and job.config.sampling != "clip":
        write_choices(folder, smoothing=_smoothing(job, scored["validation"], outputs["validation"]))
    labels = {subset: dict(windows.labels) for subset, windows in scored.items()}
    if job.config.neutral_radius is not None:
        emotions = {subset: emotions_of(job, windows) for subset, windows in scored.items()}
        radius = job.config.neutral_radius
        if radius == "auto":
            radius = choose_radius(outputs["validation"], emotions["validation"])
        write_choices(folder, neutral_radius=radius)
        outputs = {subset: with_reading(found, radius) for subset, found in outputs.items()}
        labels = {subset: {**labels[subset], READING.name: found} for subset, found in emotions.items()}
    tables = [
        prediction_table(
            window_columns(job.corpus, windows, fold=number, subset=subset),
            job.all_heads,
            labels[subset],
            outputs[subset],
        )
        for subset, windows in scored.items()
    ]
    return pd.concat(tables, ignore_index=True)


def _importance(
    job: "Job", model: nn.Module, targets: Mapping[str, Targets], number: int, folder: Path, flip: bool
) -> pd.DataFrame:
    """Importance of keypoints on the validation subset, for the same windows with every seed."""
    config = job.config
    if config.importance == "auto":
        learned = len(targets["train"])
        if config.is_baseline:
            learned = _FITTED * min(learned, config.fit_windows)
        else:
            learned = min(learned, config.epoch_windows or learned) * len(read_metrics(folder))
        budget = Budget(predictions=max(1, int(_PREDICTIONS * learned / (1 + flip))))
    else:
        budget = Budget(windows=config.importance)
    predicting = Predicting(model, job.heads, config.window, job.device, config.batch_size, job.precision, flip)
    clips = [head.name for head in job.heads if labeled_as_clips(job.corpus, head)]
    return importance(
        predicting, job.corpus, targets["validation"], budget, clips=clips, seed=config.split_seed + number
    )


def emotions_of(job: "Job", targets: Targets) -> np.ndarray:
    """Labeled emotion ``[W]`` of each window as in `READING`; -1 without a label."""
    rows, labels = job.emotions or ((), ())
    if not len(rows):
        return np.full(len(targets), -1, np.int16)
    at = np.searchsorted(rows, targets.row).clip(max=len(rows) - 1)
    return np.where(rows[at] == targets.row, labels[at], np.int16(-1))


def labeled_windows(corpus: Corpus, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Increasing rows ``[W]`` of all windows with a labeled emotion, and the emotions as in `READING`."""
    head = labeled_emotions(corpus.heads)
    if head is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int16)
    everything = np.arange(len(corpus.sequences))
    known = find_targets(corpus, everything, window, (head.name,), seen_only=False)
    return known.row, as_emotions(head, known.labels[head.name])


def _flips(job: "Job", windows: Targets | None, model: nn.Module) -> bool:
    """Whether to average predictions over a window and its mirror image: as configured, or better on validation."""
    if job.config.flip_average != "auto":
        return job.config.flip_average
    if windows is None:
        return False

    def validation_score(flip: bool) -> float:
        outputs = predict(model, job.batches(windows), job.heads, job.precision, flip=flip)
        found = (
            measure(head, windows.labels[head.name], outputs[head.name]).get(main_metric(head), np.nan)
            for head in job.heads
        )
        return float(np.nan_to_num(np.mean([value for value in found if np.isfinite(value)] or [0.0])))

    return validation_score(True) > validation_score(False) + GAIN


def _smoothing(job: "Job", windows: Targets, outputs: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """The best smoothing widths on the validation subset, except for heads that label whole clips."""
    key = job.corpus.key.cpu().numpy()[windows.row]
    return {
        head.name: choose_width(head, windows.labels[head.name], outputs[head.name], key)
        for head in job.heads
        if not labeled_as_clips(job.corpus, head)
    }


def choose_width(head: Head, labels: np.ndarray, outputs: np.ndarray, key: np.ndarray) -> dict[str, Any]:
    """The smoothing width in frames with the best main metric on validation outputs; 1 if none helps.

    Parameters
    ----------
    labels, outputs, key : of windows in the order of ``key``, see `smoothed`.

    Returns
    -------
    dict
        ``width``, ``metric``, and its values ``plain`` and ``smoothed``, as in ``model.json``.
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
