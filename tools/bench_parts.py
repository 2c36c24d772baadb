"""What parts that carry nothing cost in accuracy: ``python tools/bench.py parts --cache cache/actions``."""

import tempfile
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
from skelemo.preprocess import Clips, Preparation, find_reference
from skelemo.skeleton import layout


@click.command("parts")
@click.option("--cache", "folder", type=click.Path(path_type=Path), required=True, help="Labeled bodies, body_25.")
@click.option("--arch", "archs", multiple=True, default=("svm", "ann"), show_default=True)
@click.option("--seeds", default=2, show_default=True)
@click.option("--config", type=click.Path(path_type=Path), help="Settings of the networks.")
def command(folder: Path, archs: Sequence[str], seeds: int, config: Path | None) -> None:
    """Train on bodies alone and with simulated hands that say nothing about the label, in a share of frames each."""
    from skelemo.training.config import load_config
    from skelemo.training.fit import train

    table = Table("model", "parts", *(f"seed {seed}" for seed in range(seeds)), "mean accuracy")
    for arch in archs:
        for name, shares in (("body", None), ("body + stray hands", (0.3, 0.6))):
            found = []
            for seed in range(seeds):
                given = {"arch": arch, "data": str(folder), "seed": seed}
                alone = config is None or arch == "svm"
                shape = {"sampling": "clip", "length": 24, "mirror": 0.0} if alone else {}
                settings = load_config(None if alone else config, {**given, **shape})
                load = partial(loaded, shares, seed)
                with tempfile.TemporaryDirectory() as out, mock.patch("skelemo.training.fit.load_corpus", load):
                    scores = train(settings, Path(out) / "run")
                (only,) = scores["test"].values()
                found.append(only["accuracy"]["value"])
            table.add_row(arch, name, *(f"{one:.3f}" for one in found), f"{np.mean(found):.3f}")
    Console().print(table)


def loaded(
    shares: Sequence[float] | None, seed: int, cache: Cache, prepared: Preparation, parts: Sequence[str]
) -> Corpus:
    """What `train` loads, with hands added."""
    corpus = load_corpus(cache, prepared, parts)
    return with_stray_hands(corpus, shares, seed) if shares else corpus


def with_stray_hands(corpus: Corpus, shares: Sequence[float], seed: int) -> Corpus:
    """The corpus with two hands that hang at random places of the image in a share of each clip's frames."""
    random = np.random.default_rng(seed)
    whole = layout("body_25+hand_21x2")
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
    reference = find_reference(keypoints, clips, whole, corpus.preparation, corpus.image_size)
    return replace(corpus, layout=whole, keypoints=keypoints, reference=reference)


if __name__ == "__main__":
    command()
