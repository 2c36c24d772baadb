"""Which parts a model is to see: all but those without which a quick probe errs less.

A part that is visible but says nothing of the labels costs a model accuracy: it learns the noise by heart. Starting
from all parts, the one without which the probe (`skelemo.training.choice`) errs least is left out, as long as the gain
is more than chance; where it is not, the part stays.
"""

from collections.abc import Callable, Sequence

import numpy as np

from skelemo.data.corpus import Corpus
from skelemo.data.windows import Window
from skelemo.targets import Head
from skelemo.training.choice import FEWEST_GROUPS, Choice, Probe, Trial, some_targets, standard_error


def choose_parts(
    corpus: Corpus,
    sequences: np.ndarray,
    window: Window,
    heads: Sequence[Head],
    *,
    every: int,
    seed: int,
    usable: Callable[[tuple[str, ...]], bool] = lambda parts: True,
) -> Choice:
    """Choose among the parts that a corpus shows.

    Parameters
    ----------
    sequences : rows of the training sequences; no others are looked at.
    seed : of the sample of windows and of the probe's folds.
    usable : whether the model can do with some parts.
    """
    kept = tuple(corpus.layout.slices)
    if len(kept) == 1:
        return Choice(kept)
    targets = some_targets(corpus, sequences, window, heads, every=every, seed=seed)
    probe = Probe(corpus, targets, window, heads, seed)
    count = len(np.unique(probe.group))
    if count < FEWEST_GROUPS:
        return Choice(kept, reason=f"the training subset has {count} subjects or videos to judge them by")
    loss = probe.losses(kept)
    trials = [Trial(kept, float(np.nanmean(loss)))]
    while len(kept) > 1:
        tried = []
        for name in kept:
            rest = tuple(other for other in kept if other != name)
            without = probe.losses(rest)
            tried.append(
                (Trial(rest, float(np.nanmean(without)), *standard_error(loss - without, probe.group)), without)
            )
        trials += [trial for trial, _ in tried]
        better = [(trial, without) for trial, without in tried if trial.better]
        better.sort(key=lambda pair: -pair[0].gain)
        best = next((pair for pair in better if usable(pair[0].parts)), None)
        if best is None:
            break
        kept, loss = best[0].parts, best[1]
    return Choice(kept, tuple(trials))
