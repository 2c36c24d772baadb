"""How often intervals of macro F1 hold the truth where classes are rare: ``python tools/bench_intervals.py``.

Subjects show each class with a probability of its own and are recognized with rates of their own; the truth is that of
20,000 of them. Compared are F1 of 0 for a class that a resample predicts and lacks, and the house's: unknown.
"""

import click
import numpy as np

from skelemo.evaluation.bootstrap import resample
from skelemo.evaluation.metrics import macro_f1, macro_f1_of_resamples

CASES = {
    12: ((0.9, 0.9, 0.7, 0.5, 0.3, 0.2, 0.2), "12 subjects, two classes shown by a fifth of them"),
    20: ((0.9, 0.9, 0.7, 0.4, 0.2, 0.12, 0.1), "20 subjects, two classes shown by a tenth"),
    40: ((0.9, 0.9, 0.7, 0.4, 0.2, 0.08, 0.06), "40 subjects, two classes shown by 7 %"),
    13: ((0.9,) * 7, "13 subjects, all classes shown by 90 %"),
}
RATES = np.linspace(0.85, 0.35, 7)


def a_subject(rng: np.random.Generator, shown: tuple[float, ...]) -> np.ndarray:
    """Confusion matrix ``[7, 7]`` of one subject."""
    matrix, rate = np.zeros((7, 7)), np.clip(RATES + rng.normal(0, 0.15, 7), 0.05, 0.97)
    for label in np.flatnonzero(rng.random(7) < shown):
        clips = rng.integers(2, 9)
        matrix[label, label] = hits = rng.binomial(clips, rate[label])
        matrix[label, np.arange(7) != label] += rng.multinomial(clips - hits, np.full(6, 1 / 6))
    return matrix


@click.command()
@click.option("--trials", default=400, show_default=True)
@click.option("--resamples", default=500, show_default=True)
def main(trials: int, resamples: int) -> None:
    """Print coverage, and how often the truth lies above and below the interval."""
    rng = np.random.default_rng(1)
    for subjects, (shown, words) in CASES.items():
        truth = float(macro_f1(sum(a_subject(rng, shown) for _ in range(20_000))))
        found: dict[str, list[tuple[bool, bool, float]]] = {"0": [], "unknown": []}
        for trial in range(trials):
            groups = np.array([a_subject(rng, shown) for _ in range(subjects)])
            if not groups.sum((0, 2)).all():
                continue
            drawn = resample(groups.reshape(subjects, -1), resamples, trial).reshape(-1, 7, 7)
            figures = {"0": macro_f1(drawn), "unknown": macro_f1_of_resamples(drawn, groups.sum(0))}
            for name, values in figures.items():
                low, high = np.percentile(values, [2.5, 97.5])
                found[name].append((truth > high, truth < low, high - low))
        for name, rows in found.items():
            above, below, width = np.mean(np.array(rows, float), 0)
            click.echo(f"{words}: F1 of a missing class {name:<8} covers {1 - above - below:.3f}, above {above:.3f}, "
                       f"below {below:.3f}, width {width:.3f} ({len(rows)} trials)")  # fmt: skip


if __name__ == "__main__":
    main()
