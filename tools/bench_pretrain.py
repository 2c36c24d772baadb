"""What `skelemo pretrain` is worth where labels are few: trainings on simulated actors with and without it.

    python tools/bench_pretrain.py FOLDER --seeds 5

Of the actors to learn from, a tenth has labels (two thirds of these train, one third chooses the epoch); the others'
clips are written without labels and pretrained on. All other actors are tested on. Prints the figures of both runs,
mean and deviation over the seeds, and the paired difference of the seeds' mean predictions, its interval over actors.
"""

import argparse
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import yaml

from skelemo.cache.sequence import Sequence
from skelemo.cache.shard import Header, write_shard
from skelemo.evaluation.metrics import main_metric
from skelemo.evaluation.paired import paired_difference
from skelemo.runs.folder import Run, read_run
from skelemo.simulate import Clip, simulate
from skelemo.skeleton import DEFAULT_LAYOUT
from skelemo.targets import EXPRESSION, VA
from skelemo.training.config import load_config
from skelemo.training.fit import train

#: Actors by use.
UNLABELED, TRAIN, VALIDATION, TEST = 108, 8, 4, 48
#: Of both trainings and of the pretraining, which takes what is not about labels.
SETTINGS = {
    **{"length": 16, "dilation": 3, "every": 5, "evaluate_every": 5, "loss": {"va": "mse+ccc"}, "jitter": 0.01},
    **{"optimizer": "adamw", "weight_decay": 0.01, "lr": 1e-3, "batch_size": 64, "schedule": "cosine", "warmup": 50},
    **{"parts": ["all"], "device": "cpu"},
}


def main() -> None:
    """Write the caches, train, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--arch", default="transformer")
    parser.add_argument("--actors", type=int, default=21, help="seed of the simulated actors")
    parser.add_argument("--seeds", type=int, default=5, help="of the trainings")
    parser.add_argument(
        "--pretrain-seeds", type=int, default=1, help="pretrainings; with as many as trainings, one for each"
    )
    parser.add_argument("--pretrain-steps", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of all three")
    parser.add_argument("--start", action="append", default=[], metavar="KEY=VALUE", help="of what starts from it")
    parser.add_argument("--hide", type=float, nargs=2, default=(0.5, 0.5), metavar=("REGIONS", "FRAMES"))
    parser.add_argument("--subset", default="test", choices=["validation", "test"], help="whose figures are printed")
    given = parser.parse_args()
    caches = given.folder / "cache"
    if not caches.exists():
        _write(caches, given.actors)
    settings = SETTINGS | {"arch": given.arch, "seeds": given.seeds} | _assigned(given.set)
    hidden = {"hide_regions": given.hide[0], "hide_frames": given.hide[1], "every": 3}
    before = {
        "data": str(caches / "unlabeled"),
        "pretrain": True,
        "seeds": given.pretrain_seeds,
        "steps": given.pretrain_steps,
        **hidden,
    }
    labeled = {"data": str(caches / "labeled"), "head": "expression,va", "steps": given.steps, "patience": 0}
    start = {"init": str(given.folder / "pretrained")} | _assigned(given.start)
    for name, own in (("pretrained", before), ("without", labeled), ("with", labeled | start)):
        begun = time.monotonic()
        if not (given.folder / name / "scores.json").exists():
            scores = train(load_config(None, settings | own), given.folder / name)
            note = (
                f", validation loss {scores.validation['pretext']['loss']['value']:.3f}" if name == "pretrained" else ""
            )
            print(f"{name}: {time.monotonic() - begun:.0f} s{note}", flush=True)
    _compare(read_run(given.folder / "without"), read_run(given.folder / "with"), given.subset)


def _assigned(texts: Iterable[str]) -> dict[str, object]:
    return {key: yaml.safe_load(value) for key, _, value in (text.partition("=") for text in texts)}


def _write(folder: Path, seed: int) -> None:
    """Two caches of body and face: without labels, and with labels and a given split."""
    actors = UNLABELED + TRAIN + VALIDATION + TEST
    uses = np.repeat(["", "train", "validation", "test"], [UNLABELED, TRAIN, VALIDATION, TEST])
    found: dict[bool, list[Sequence]] = {False: [], True: []}
    for number, clip in enumerate(simulate(subjects=actors, clips=2, frames=300, difficulty=0.5, seed=seed)):
        use = str(uses[clip.roles[0].subject % actors])
        found[bool(use)].append(_sequence(number, clip, use))
    for name, heads, sequences in (("unlabeled", (), found[False]), ("labeled", (EXPRESSION, VA), found[True])):
        (folder / name).mkdir(parents=True)
        write_shard(folder / name, Header(DEFAULT_LAYOUT, heads, simulated=True), sequences)


def _sequence(number: int, clip: Clip, use: str) -> Sequence:
    role = clip.roles[0]
    labels: dict[str, np.ndarray] = {
        EXPRESSION.name: role.expression.astype(np.int16),
        VA.name: np.stack([role.valence, role.arousal], 1).astype(np.float32),
    }
    keypoints = clip.keypoints.astype(np.float32)
    keypoints[..., 2] = keypoints[..., 2].clip(max=1)
    return Sequence(
        id=f"clip {number:04d}",
        video=f"clip {number:04d}",
        subject=f"actor {role.subject}",
        keypoints=np.where(keypoints[..., 2:] > 0, keypoints, 0),
        number=np.arange(len(keypoints), dtype=np.int32),
        labels=labels if use else {},
        width=clip.width,
        height=clip.height,
        fps=float(clip.fps),
        splits={"split": use} if use else {},
    )


def _compare(without: Run, started: Run, subset: str) -> None:
    """Print what both reached."""
    tables = [run.predictions[run.predictions["subset"] == subset].reset_index(drop=True) for run in (without, started)]
    for head in without.heads:
        figure = main_metric(head)
        for name, run in (("without", without), ("with", started)):
            scored = run.scores[subset][head.name]
            by_seed = [seed.get(figure) for seed in scored.get("seeds", {}).values()] or [scored[figure]["value"]]
            print(
                f"{head.name} {figure} {name}: {np.mean(by_seed):.3f} ± {np.std(by_seed, ddof=len(by_seed) > 1):.3f}, "
                f"mean prediction {scored[figure]['value']:.3f} ({', '.join(f'{value:.3f}' for value in by_seed)})"
            )
        print(f"{head.name}: {paired_difference(tables[1], tables[0], head, figure)}")


if __name__ == "__main__":
    main()
