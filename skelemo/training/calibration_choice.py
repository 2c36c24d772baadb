"""Whether what is usual of a person is taken off: where a quick probe then errs less.

It helps where a person is seen with several expressions. Where all that is known of a person shows one of them, the
usual face is that expression, and taking it off takes off what is to be learned.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from skelemo.data.calibration import people_of
from skelemo.data.corpus import Corpus
from skelemo.data.windows import Window
from skelemo.targets import Head, hard_labels
from skelemo.training.choice import FEWEST_GROUPS, Choice, Probe, Trial, some_targets, standard_error


def choose_calibration(
    choice: Choice,
    corpus: Corpus,
    sequences: np.ndarray,
    window: Window,
    heads: Sequence[Head],
    *,
    every: int,
    seed: int,
) -> Choice:
    """The choice, with calibration by track where that is worth it.

    Parameters
    ----------
    corpus : of the chosen parts, not calibrated.
    sequences : rows of the training sequences; labels of no others are looked at.
    seed : of the sample of windows and of the probe's folds.
    """
    if corpus.preparation.coordinates == "frame":  # the network draws
        return choice
    targets = some_targets(corpus, sequences, window, heads, every=every, seed=seed)
    plain, other = (Probe(one, targets, window, heads, seed) for one in (corpus, corpus.calibrated("track", sequences)))
    if len(np.unique(plain.group)) < FEWEST_GROUPS:
        return choice
    parts = tuple(corpus.layout.slices)
    before, after = plain.losses(parts), other.losses(parts)
    gain, deviation = standard_error(before - after, plain.group)
    trial = Trial(parts, float(np.nanmean(after)), gain, deviation, "track")
    return replace(choice, trials=(*choice.trials, trial), calibrate="track" if trial.better else "none")


def caution(corpus: Corpus, sequences: np.ndarray, heads: Sequence[Head]) -> str:
    """A warning where most people of some sequences show a single class; "" where they do not."""
    people = people_of(corpus.sequences)
    chosen = np.isin(np.repeat(np.arange(len(people)), corpus.sequences["length"]), sequences)
    person = np.repeat(people, corpus.sequences["length"])[chosen]
    for head in heads:
        if head.kind != "classes":
            continue
        label = hard_labels(corpus.labels[head.name].cpu().numpy()[chosen])
        shown = np.unique(np.stack([person[label >= 0], label[label >= 0].astype(int)]), axis=1)
        classes = np.unique(shown[0], return_counts=True)[1]
        single = int((classes == 1).sum())
        if 2 * single > len(classes):
            return (
                f"careful: {single:,} of {len(classes):,} people show one {head.name} alone, which calibrating takes "
                "off with what is usual of them; name subjects in the label table, or take calibrate: auto or none"
            )
    return ""
