"""Out-of-fold predictions, from the folds of runs or a built-in baseline."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from skelemo.data.corpus import Corpus
from skelemo.data.mistakes import rows_of
from skelemo.data.splits import groups_of, spread_evenly
from skelemo.data.windows import Gatherer, Window, find_targets, labeled_as_clips
from skelemo.models.estimators import Scaler
from skelemo.models.window_features import features
from skelemo.runs.folder import read_run
from skelemo.runs.predictions import outputs_of
from skelemo.targets import Head, hard_labels

#: The baseline's maximum number of predicted and of training windows, its folds, and its kernel's landmarks.
_WINDOWS, _FITTED, FOLDS, _LANDMARKS = 20_000, 10_000, 5, 400
#: Kernel width, as in the baseline svm, and clipping of standardized features in standard deviations.
_GAMMA, _FARTHEST = 0.2, 5.0
_MOMENTS = 3
#: Windows of clips with one label, and of frames with their own labels.
_CLIP, _FRAME = Window(length=16, sampling="clip"), Window(length=9, dilation=2, target="center")

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Predicted:
    """Out-of-fold predictions of a head.

    Parameters
    ----------
    row : ``[W]`` sorted rows of the corpus.
    outputs : ``[W, K]`` probabilities, or values.
    """

    head: Head
    row: np.ndarray
    outputs: np.ndarray


def from_runs(corpus: Corpus, paths: Sequence[Path]) -> tuple[list[Predicted], list[str]]:
    """Predictions of runs for their test sequences (or validation sequences, without a test subset), and notes.

    Predictions of several runs for one frame are averaged.

    Raises `InputError`: a run is damaged or unfinished.
    """
    notes, found = [], []
    unjudged: list[str] = []
    runs = [read_run(path) for path in paths]
    for head in corpus.heads:
        rows, outputs = [], []
        for run in runs:
            if head in run.heads:
                row = rows_of(corpus, run.windows)
                rows.append(row[row >= 0])
                outputs.append(outputs_of(run.windows, head)[row >= 0])
        if not rows:
            unjudged.append(head.name)
            continue
        row, group = np.unique(np.concatenate(rows), return_inverse=True)
        total = np.zeros((len(row), len(head)))
        np.add.at(total, group, np.concatenate(outputs))
        found.append(Predicted(head, row, total / np.bincount(group, minlength=len(row))[:, None]))
        labeled = head.labeled(corpus.labels[head.name].numpy())
        inside = np.unique(corpus.sequence(row))
        total_labeled = len(np.unique(corpus.sequence(np.flatnonzero(labeled))))
        if len(inside) < total_labeled:
            notes.append(
                f"{head.name}: the runs have out-of-fold predictions for {len(inside):,} of {total_labeled:,} labeled "
                "sequences; a run with --set split=kfold:5 has them for all"
            )
    if unjudged:
        notes.append(
            f"{', '.join(unjudged)}: not checked: no run predicts these outputs; give a run that was trained on this "
            "cache with --set split=kfold:5, or no run for a quick baseline"
        )
    return found, notes


def from_baseline(
    corpus: Corpus, *, seed: int = 0, report: Report = lambda *_: None
) -> tuple[list[Predicted], list[str]]:
    """Predictions of a quick baseline, cross-validated by subject and recording, and notes.

    The baseline is a logistic regression (ridge regression for values) on kernel features (Nyström). It is fitted on
    at most `_FITTED` windows of the other folds and predicts at most `_WINDOWS` windows.
    """
    found: list[Predicted] = []
    notes: list[str] = []
    labeled = {head: head.labeled(corpus.labels[head.name].numpy()) for head in corpus.heads}
    heads = [head for head in corpus.heads if labeled[head].any()]
    clips = [head for head in heads if labeled_as_clips(corpus, head)]
    frames = [head for head in heads if head not in clips]
    group_of = groups_of(corpus.sequences)
    for some, window in ((clips, _CLIP), (frames, _FRAME)):
        if not some:
            continue
        total = int(np.any([labeled[head] for head in some], axis=0).sum())
        every = -(-total // _WINDOWS) if window is _FRAME else 1
        names, rows = tuple(head.name for head in some), np.arange(len(corpus.sequences))
        targets = find_targets(corpus, rows, window, names, every=every, seen_only=True)
        inputs, group = _inputs(corpus, window, targets.row, seed), group_of[corpus.sequence(targets.row)]
        for head in some:
            report(len(found), len(heads))
            mine = np.flatnonzero(head.labeled(targets.labels[head.name]))
            if len(np.unique(group[mine])) < FOLDS:
                notes.append(
                    f"{head.name}: not checked: cross-validation needs at least {FOLDS} labeled subjects or "
                    "recordings; score a run of other data on this cache (skelemo evaluate) and give the folder as "
                    "--runs"
                )
                continue
            labels = targets.labels[head.name][mine]
            outputs = _cross_validated(inputs[mine], labels, head, group[mine], seed)
            order = np.argsort(targets.row[mine], kind="stable")
            found.append(Predicted(head, targets.row[mine][order], outputs[order]))
    report(len(heads), len(heads))
    return found, notes


def _inputs(corpus: Corpus, window: Window, rows: np.ndarray, seed: int) -> np.ndarray:
    """Kernel features of windows, ``[W, L]`` float32."""
    from sklearn.kernel_approximation import Nystroem

    gatherer = Gatherer(corpus, window)
    pieces = [features(*gatherer.gather(some), moments=_MOMENTS) for some in torch.as_tensor(rows).split(1024)]
    inputs = Scaler().fit(torch.cat(pieces).numpy()).astype(np.float32).clip(-_FARTHEST, _FARTHEST)
    kernel = Nystroem(gamma=_GAMMA / inputs.shape[1], n_components=min(_LANDMARKS, len(inputs)), random_state=seed)
    return np.asarray(kernel.fit_transform(inputs), np.float32)


def _cross_validated(inputs: np.ndarray, labels: np.ndarray, head: Head, group: np.ndarray, seed: int) -> np.ndarray:
    """Predictions ``[W, K]`` of each window by a model fitted on the other folds."""
    strata = hard_labels(labels) if head.kind == "classes" else np.zeros(len(labels), int)
    fold = spread_evenly(group, strata, FOLDS, seed)
    outputs = np.zeros((len(labels), len(head)))
    random = np.random.default_rng(seed)
    for number in range(FOLDS):
        test, train = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        train = random.permutation(train)[:_FITTED]
        outputs[test] = _fitted(head, inputs[train], labels[train], inputs[test], seed)
    return outputs


def _fitted(head: Head, inputs: np.ndarray, labels: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression, Ridge

    classifier = LogisticRegression(C=10.0, tol=1e-3, max_iter=200, random_state=seed)
    made = np.zeros((len(test), len(head)))
    if head.kind == "values":
        known = ~np.isnan(labels).any(1)
        return np.asarray(Ridge(alpha=1.0).fit(inputs[known], labels[known]).predict(test)).reshape(made.shape)
    if head.kind == "classes":
        wanted = hard_labels(labels)
        present = np.unique(wanted)
        if len(present) == 1:
            made[:, present[0]] = 1
            return made
        made[:, present] = classifier.fit(inputs, wanted).predict_proba(test)
        return made
    for output in range(len(head)):
        known = labels[:, output] >= 0
        wanted = labels[known, output]
        if len(np.unique(wanted)) < 2:
            made[:, output] = wanted.mean() if len(wanted) else 0.5
            continue
        made[:, output] = classifier.fit(inputs[known], wanted).predict_proba(test)[:, 1]
    return made
