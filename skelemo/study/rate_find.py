"""``skelemo tune --lr-find``: the curve of the learning-rate finder as a file and a figure."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from skelemo.report.style import BLUE, COLUMN, INK, ORANGE, canvas, save, styled
from skelemo.runs.folder import write_json
from skelemo.training.config import Config
from skelemo.training.fold import RATE, rate_curve, require_windows
from skelemo.training.rate import RateCurve
from skelemo.training.validation import ValidationScorer


def find(config: Config, out: Path) -> RateCurve:
    """Find the rate for a training on its first fold, and write ``lr_find.json`` and ``lr_find.svg``.

    Raises `ConfigError`: the settings do not fit the data, or no rate lowers the loss.
    """
    scorer = ValidationScorer(config)
    job = scorer.job(config, out)
    require_windows(job, scorer.fold, scorer.number)
    curve = rate_curve(job, job.targets(scorer.fold), config.seed)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / RATE, curve.to_json())
    save(figure_of(curve), out / Path(RATE).stem, ["svg"])
    return curve


@styled
def figure_of(curve: RateCurve) -> Figure:
    """Smoothed loss by rate; the suggestion is marked."""
    figure, (axes,) = canvas(COLUMN, 2.4)
    axes.plot(curve.rate, curve.loss, color=BLUE)
    height = float(np.interp(curve.suggestion, curve.rate, curve.loss))
    axes.plot(curve.suggestion, height, "o", color=ORANGE, markersize=5)
    axes.annotate(f"{curve.suggestion:.2g}", (curve.suggestion, height), xytext=(6, 4),
                  textcoords="offset points", color=INK, fontsize=7)  # fmt: skip
    low, high = min(curve.loss), curve.loss[0]
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss, smoothed")
    axes.set_ylim(low - 0.1 * (high - low), high + 1.5 * (high - low))
    return figure
