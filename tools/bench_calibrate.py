"""What calibration gains, and by how many stills: ``python tools/bench.py calibrate --cache cache/faces``."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from skelemo.cache.store import open_cache
from skelemo.data.calibration import people_of
from skelemo.data.corpus import Corpus, load_corpus
from skelemo.evaluation.metrics import main_metric
from skelemo.evaluation.scores import measure
from skelemo.inference.predictor import load
from skelemo.preprocess.calibration import shifts, sums_by
from skelemo.runs.folder import read_json
from skelemo.training.config import load_config, parse_assignments
from skelemo.training.fit import train


@click.command("calibrate")
@click.option("--cache", "folder", type=click.Path(path_type=Path), required=True, help="Labeled stills of subjects.")
@click.option("--arch", default="svm", show_default=True)
@click.option("--head", default="auto", show_default=True)
@click.option("--seeds", default=5, show_default=True, help="Of the split and of the weights.")
@click.option("--stills", multiple=True, type=int, default=(1, 3, 5, 10, 20), show_default=True)
@click.option("--config", type=click.Path(path_type=Path))
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE")
def command(
    folder: Path,
    arch: str,
    head: str,
    seeds: int,
    stills: Sequence[int],
    config: Path | None,
    assignments: Sequence[str],
) -> None:
    """Train without and with calibration, and predict each still by a few other unlabeled ones of its subject."""
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        given = {
            "arch": arch,
            "head": head,
            "data": str(folder),
            "split": "kfold:10",
            "validation": 0.0,
            "device": "cpu",
        }
        given |= {"seed": seed, "split_seed": seed} | parse_assignments(assignments)
        with tempfile.TemporaryDirectory() as out:
            for mode in ("none", "track"):
                scores = train(load_config(config, given | {"calibrate": mode}), Path(out) / mode)
                (only,) = scores["test"].values()
                figure = "uar" if "uar" in only else next(name for name in only if name.endswith("_mean"))
                found.setdefault(mode, []).append(only[figure]["value"])
            for few in stills:
                found.setdefault(f"{few} other stills", []).append(
                    by_few(Path(out) / "track", folder, few, seed, figure)
                )
    table = Table("calibrated by", *(f"seed {seed}" for seed in range(seeds)), f"mean {figure}")
    for name, values in found.items():
        table.add_row(name, *(f"{value:.3f}" for value in values), f"{np.mean(values):.3f}")
    Console(width=110).print(table)


def by_few(run: Path, folder: Path, few: int, seed: int, figure: str) -> float:
    """The figure when each test still is calibrated by a few others of its subject, drawn by seed."""
    folds, truth, answers, cache = read_json(run / "splits.json")["folds"], [], [], open_cache(folder)
    for number, fold in enumerate(folds, 1):
        model = load(run / f"fold_{number}")
        (one,) = model.members
        corpus = load_corpus(cache, one.preparation, [part.name for part in one.layout.parts], keep_absent=True)
        rows = np.flatnonzero(corpus.sequences["id"].isin(fold["test"]))
        outputs, _ = model.outputs([limited(corpus, rows, few, seed)], rows, torch.device("cpu"))
        (head,) = model.heads
        truth.append(corpus.labels[head.name].numpy()[rows])
        answers.append(outputs[head.name])
    return float(measure(head, np.concatenate(truth), np.concatenate(answers))[figure or main_metric(head)])


def limited(corpus: Corpus, rows: np.ndarray, few: int, seed: int) -> Corpus:
    """A corpus of stills in which some are calibrated by a few others of their subject."""
    assert corpus.shift is not None
    rng, person, shift = np.random.default_rng(seed), people_of(corpus.sequences), corpus.shift.clone()
    places, typical = corpus.placed(torch.arange(len(corpus))), torch.tensor(corpus.preparation.typical)
    for row in rows:
        others = np.flatnonzero(person == person[row])
        chosen = torch.as_tensor(rng.permutation(others[others != row])[:few])
        sums = sums_by(places[chosen], torch.zeros(len(chosen), dtype=torch.long), 1)[0]
        shift[row] = shifts(sums, sums[:, 2], typical)
    return replace(corpus, shift=shift)
