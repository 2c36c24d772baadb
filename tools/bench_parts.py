"""What parts that carry nothing cost in accuracy: ``python tools/bench.py parts --cache cache/actions``."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest import mock

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from skelemo.cache.store import Cache
from skelemo.data.corpus import Corpus, load_corpus
from skelemo.preprocess import Clips, Preparation, by_part
from skelemo.skeleton import layout

#: Share of each clip's frames in which the left and the right hand are seen.
SHARES = (0.3, 0.6)


@click.command("parts")
@click.option("--cache", "folder", type=click.Path(path_type=Path), required=True, help="Labeled people, no hands.")
@click.option("--arch", "archs", multiple=True, default=("svm", "ann"), show_default=True)
@click.option("--seeds", default=2, show_default=True)
@click.option("--config", type=click.Path(path_type=Path), help="Settings of the networks.")
@click.option(
    "--stray/--as-it-is", default=True, show_default=True, help="Add hands, or compare the cache's own parts."
)
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Settings of baselines and networks.")
def command(
    folder: Path, archs: Sequence[str], seeds: int, config: Path | None, stray: bool, assignments: Sequence[str]
) -> None:
    """Train with all parts and with chosen ones, simulated hands that say nothing about the label among them."""
    from skelemo.evaluation.metrics import main_metric
    from skelemo.runs.folder import read_run
    from skelemo.training.config import load_config, parse_assignments
    from skelemo.training.fit import train

    table = Table("model", "parts", *(f"seed {seed}" for seed in range(seeds)), "mean", "seen", "seconds")
    own, added = "the cache's own", "with stray hands"
    cases = [(own, False, "all"), (added, True, "all"), (added, True, "auto")]
    if not stray:
        cases = [(own, False, "all"), (own, False, "auto")]
    for arch in archs:
        for name, hands, parts in cases:
            found, seen, start = [], [], time.perf_counter()
            for seed in range(seeds):
                given = {"arch": arch, "data": str(folder), "seed": seed, "parts": parts, "device": "cpu"}
                settings = load_config(None if arch == "svm" else config, given | parse_assignments(assignments))
                load = partial(loaded, SHARES if hands else None, seed)
                with tempfile.TemporaryDirectory() as out, mock.patch("skelemo.training.settling.load_corpus", load):
                    train(settings, Path(out) / "run")
                    run = read_run(Path(out) / "run")
                (only,) = run.scores["test"].values()
                metric = "accuracy" if "accuracy" in only else main_metric(run.heads[0])
                found.append(only[metric]["value"])
                seen += [len(fold["parts"]) for fold in run.choices["folds"]] if run.choices else []
            few = f"{np.mean(seen):.2f}" if seen else "all"
            seconds = f"{(time.perf_counter() - start) / seeds:.1f}"
            table.add_row(
                arch, f"{name}, {parts}", *(f"{one:.3f}" for one in found), f"{np.mean(found):.3f}", few, seconds
            )
    Console(width=110).print(table)


def loaded(
    shares: Sequence[float] | None, seed: int, cache: Cache, prepared: Preparation, parts: Sequence[str]
) -> Corpus:
    """What `train` loads, with hands added."""
    corpus = load_corpus(cache, prepared, parts)
    return with_stray_hands(corpus, shares, seed) if shares else corpus


def with_stray_hands(corpus: Corpus, shares: Sequence[float], seed: int) -> Corpus:
    """The corpus with two hands that hang at random places of the image in a share of each clip's frames."""
    random = np.random.default_rng(seed)
    whole = layout(f"{corpus.layout.name}+hand_21x2")
    length = corpus.sequences["length"].to_numpy()
    sequence = np.repeat(np.arange(len(length)), length)
    hands = []
    for share in shares:
        shape = random.normal(0, 10, (len(length), 21, 2))[sequence]
        place = random.uniform(0, 300, (len(length), 1, 2))[sequence] + random.normal(0, 3, (len(sequence), 21, 2))
        confidence = np.full((len(sequence), 21, 1), 0.6)
        hand = np.concatenate([shape + place, confidence], -1) * (random.random((len(sequence), 1, 1)) < share)
        hands.append(torch.from_numpy(hand.astype(np.float32)))
    keypoints = torch.cat([corpus.keypoints, *hands], 1)
    clips = Clips(torch.from_numpy(sequence), torch.from_numpy(corpus.number(np.arange(len(sequence)))))
    reference = by_part(keypoints, clips, whole)
    return replace(corpus, layout=whole, keypoints=keypoints, reference=reference)


if __name__ == "__main__":
    command()
