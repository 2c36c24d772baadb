"""The page of a search: history, importance of settings, parallel coordinates."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import skelemo
from skelemo.report.page import Drawn
from skelemo.report.style import BLUE, COLUMN, INK, MUTED, ORANGE, PAGE, canvas, name_rows, shorten, styled, to_svg
from skelemo.report.templates import templates
from skelemo.study.space import Choices
from skelemo.study.tune import Found, importances
from skelemo.text import count, duration, safe_cells, visible

#: Most trials in the page's table; ``trials.csv`` has all.
_SHOWN = 20


def table(found: Found) -> pd.DataFrame:
    """One row per ended trial with its settings, score and reason of failure."""
    rows = []
    for trial in found.ended:
        drawn = {name: found.search.text(name, trial.params[name]) for name in trial.params}
        figures = {f"validation_{name}": value for name, value in trial.user_attrs.get("figures", {}).items()}
        ended = {"COMPLETE": "scored", "PRUNED": "ended early", "FAIL": "failed"}[trial.state.name]
        rows.append(
            {"trial": trial.number, "ended": ended, **drawn}
            | {"score": trial.value if ended == "scored" else None, **figures}
            | {"seconds": _seconds(trial), "reason": trial.user_attrs.get("reason", "")}
        )
    return safe_cells(pd.DataFrame(rows))


def html(found: Found) -> str:
    """The page as self-contained HTML without scripts."""
    weights, best = importances(found), found.best
    figures = [
        ("history", "Score of each trial; the line is the best so far.", history(found)),
        ("lines", "Parallel coordinates of all scored trials; the best is orange.", lines(found)),
    ]
    if weights:
        caption = "Share of the variance of scores explained by each setting (PED-ANOVA)."
        figures.insert(1, ("importances", caption, bars(weights)))
    drawn = [Drawn(name, caption, to_svg(figure, caption, name), ()) for name, caption, figure in figures]
    scored = sorted(found.trials("COMPLETE"), key=lambda trial: (-trial.value, trial.number))
    content = {
        "title": visible(found.search.title),
        "version": skelemo.__version__,
        "about": f"{found.summary}, written {datetime.now(UTC):%Y-%m-%d %H:%M UTC} by skelemo {skelemo.__version__}",
        "simulated": found.scorer.cache.simulated,
    }
    return (
        templates("study")
        .get_template("tune.html.j2")
        .render(
            content=content,
            facts=_facts(found),
            drawn=drawn,
            names=[*found.search.space],
            best=[(name, visible(found.search.text(name, value))) for name, value in best.params.items()],
            rows=[
                (trial, [visible(found.search.text(name, trial.params[name])) for name in found.search.space])
                for trial in scored[:_SHOWN]
            ],
            hidden=max(0, len(scored) - _SHOWN),
            failures={number: visible(reason) for number, reason in found.failures.items()},
        )
    )


def _facts(found: Found) -> dict[str, str]:
    scorer, search, best = found.scorer, found.search, found.best
    fold = f", fold {scorer.number} of {len(scorer.folds)}" if len(scorer.folds) > 1 else ""
    sizes = f"{count(len(scorer.fold.train), 'sequence')} to train on, {len(scorer.fold.validation)} to validate"
    spent = sum(_seconds(trial) or 0 for trial in found.ended)
    pruned = f"median of {search.prune_after} epochs or more" if search.pruner == "median" else "none"
    return {
        "Best score": f"{best.value:.3f} (trial {best.number})",
        "Score": f"mean of the main metrics of {', '.join(scorer.config.heads)} on the validation subset",
        "Data": visible(scorer.cache.name),
        "Split": f"{scorer.config.split}{fold}; {sizes}",
        "Sampler": search.sampler,
        "Pruning": pruned,
        "Time in all": duration(spent),
    }


@styled
def history(found: Found) -> Figure:
    """Scores by trial (of the last epoch for pruned trials), and the best so far."""
    scored, early = found.trials("COMPLETE"), [t for t in found.trials("PRUNED") if t.value is not None]
    figure, (axes,) = canvas(COLUMN, 2.4)
    if early:
        numbers, values = [trial.number for trial in early], [trial.value for trial in early]
        axes.plot(numbers, values, "x", color=MUTED, markersize=4, label="ended early")
    numbers, values = np.array([(trial.number, trial.value) for trial in scored]).T
    axes.plot(numbers, values, "o", color=BLUE, markersize=3.5, label="scored")
    axes.step(numbers, np.maximum.accumulate(values), where="post", color=ORANGE, label="best so far")
    axes.set(xlabel="trial", ylabel="validation score")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside upper right", ncols=3, handlelength=1.4, columnspacing=1.2)
    return figure


@styled
def bars(weights: Any) -> Figure:
    """Importances in descending order."""
    names = sorted(weights, key=lambda name: -weights[name])
    figure, (axes,) = canvas(COLUMN, 0.6 + 0.28 * len(names))
    axes.barh(range(len(names)), [weights[name] for name in names], height=0.55, color=BLUE, alpha=0.6, linewidth=0)
    axes.set(ylim=(len(names) - 0.5, -0.5), xlabel="importance")
    name_rows(axes, range(len(names)), [shorten(name) for name in names])
    return figure


@styled
def lines(found: Found) -> Figure:
    """Parallel coordinates with an axis for each setting and the score."""
    trials, names = found.trials("COMPLETE"), [*found.search.space]
    scores = np.array([trial.value for trial in trials])
    spread = float(np.ptp(scores)) or 1.0
    places = np.array([[_place(found, name, trial.params[name]) for name in names] for trial in trials])
    places = np.column_stack([places, (scores - scores.min()) / spread])
    figure, (axes,) = canvas(PAGE, 2.9)
    order = np.argsort(scores, kind="stable")
    for index in order:
        first = index == order[-1]
        alpha = 1.0 if first else 0.12 + 0.6 * places[index, -1]
        axes.plot(places[index], color=ORANGE if first else BLUE, alpha=alpha, linewidth=2 if first else 1)
    ticks = [(at, *tick) for at, name in enumerate(names) for tick in _ticks(found, name)]
    ticks += [(len(names), height, f"{value:.3f}") for height, value in ((0.0, scores.min()), (1.0, scores.max()))]
    for at, height, text in ticks:
        style: dict[str, Any] = {"textcoords": "offset points", "fontsize": 6, "color": MUTED, "va": "center"}
        axes.annotate(text, (at, height), xytext=(3, 0), **style)
    axes.set(ylim=(-0.05, 1.05), xlim=(-0.1, len(names) + 0.35), yticks=[])
    axes.set_xticks(range(len(names) + 1), [*(shorten(name, 16) for name in names), "score"], color=INK)
    axes.grid(False, axis="y")
    axes.spines[:].set_visible(False)
    return figure


def _place(found: Found, name: str, value: Any) -> float:
    """Position of a value on its axis, from 0 to 1."""
    axis = found.search.space[name]
    if isinstance(axis, Choices):
        return axis.grid().index(value) / max(len(axis.values) - 1, 1)
    low, high = np.log([axis.low, axis.high]) if axis.log else (axis.low, axis.high)
    return float(((np.log(value) if axis.log else value) - low) / (high - low))


def _ticks(found: Found, name: str) -> list[tuple[float, str]]:
    axis = found.search.space[name]
    ends = axis.grid() if isinstance(axis, Choices) else [axis.low, axis.high]
    return [(_place(found, name, value), shorten(found.search.text(name, value), 14)) for value in ends]


def _seconds(trial: Any) -> float | None:
    return round(trial.duration.total_seconds(), 1) if trial.duration else None
