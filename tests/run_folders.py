"""Run folders as a training leaves them, with predictions that have the structure of real ones."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from skelemo.evaluation.circumplex import PROTOTYPES
from skelemo.evaluation.scores import score
from skelemo.runs.folder import write_json
from skelemo.runs.predictions import write_predictions
from skelemo.targets import VA, Head

EMOTIONS = tuple(PROTOTYPES)


def make_predictions(
    classes: Sequence[str] = EMOTIONS,
    *,
    heads: Sequence[str] = ("expression", "va"),
    skill: float = 1.5,
    subjects: int = 12,
    videos: int = 4,
    frames: int = 25,
    folds: int = 1,
    subsets: Sequence[str] = ("validation", "test"),
    know_subjects: bool = True,
    seed: int = 0,
    data_seed: int = 7,
) -> pd.DataFrame:
    """Windows of subjects in videos: some classes are rare, like emotions are confused, errors cluster by video."""
    world, model = np.random.default_rng(data_seed), np.random.default_rng(seed)
    weights = world.dirichlet(np.linspace(3, 0.6, len(classes)))
    centers = np.array([PROTOTYPES.get(name, (0.1 * i, -0.1 * i)) for i, name in enumerate(classes)])
    tables = []
    for fold in range(1, folds + 1):
        for part in subsets:
            for subject in range(subjects):
                for video in range(videos):
                    label = world.choice(len(classes), p=weights)
                    time = np.linspace(0, 3 * np.pi, frames)
                    swing = np.stack([np.sin(time + subject), np.cos(time * 0.7 + video)], 1) * 0.25
                    va = np.clip(centers[label] * 0.8 + swing + world.normal(0, 0.03, (frames, 2)), -1, 1)
                    logits = model.normal(0, 1, (frames, len(classes))) * 0.6 + model.normal(0, 0.8, len(classes))
                    near = ((centers - centers[label]) ** 2).sum(1)
                    logits += skill * np.exp(-near / 0.15)
                    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
                    name = f"{part[:3]} subject {subject:02d} take {video}"
                    table = {
                        "fold": fold,
                        "subset": part,
                        "sequence": f"f{fold}/{name}",
                        "video": f"f{fold}/{name}",
                        "subject": f"f{fold} {part[:3]} {subject:02d}" if know_subjects else "",
                        "frame": np.arange(frames) * 10,
                        "expression": classes[label],
                        "va_valence": va[:, 0],
                        "va_arousal": va[:, 1],
                    }
                    if "expression" in heads:
                        table["expression_predicted"] = np.array(classes, dtype=object)[chances.argmax(1)]
                        table |= {f"expression_p_{name}": chances[:, i] for i, name in enumerate(classes)}
                    if "va" in heads:
                        guess = np.tanh(0.5 * skill * va + model.normal(0, 0.25, 2) + model.normal(0, 0.1, va.shape))
                        table |= {"va_valence_predicted": guess[:, 0], "va_arousal_predicted": guess[:, 1]}
                    tables.append(pd.DataFrame(table))
    frame = pd.concat(tables, ignore_index=True)
    return frame.astype(dict.fromkeys(frame.select_dtypes("float64").columns, np.float32))  # as a network gives them


def run_heads(classes: Sequence[str], heads: Sequence[str]) -> list[Head]:
    return [Head("expression", "classes", tuple(classes)) if name == "expression" else VA for name in heads]


def make_curves(epochs: int, skill: float, heads: Sequence[str], seed: int) -> pd.DataFrame:
    rng, epoch = np.random.default_rng(seed), np.arange(epochs)
    fall = np.exp(-epoch / (epochs / 4))
    table = {
        "epoch": epoch,
        "train_loss": 0.3 + 1.6 * fall + rng.normal(0, 0.01, epochs),
        "validation_loss": 0.9 + 1.0 * fall + 0.15 * epoch / epochs + rng.normal(0, 0.03, epochs),
    }
    if "expression" in heads:
        table["validation_expression_macro_f1"] = 0.1 + 0.25 * skill * (1 - fall) + rng.normal(0, 0.015, epochs)
    if "va" in heads:
        table["validation_va_ccc_mean"] = 0.3 * skill * (1 - fall) + rng.normal(0, 0.015, epochs)
    found = [table[name] for name in ("validation_expression_macro_f1", "validation_va_ccc_mean") if name in table]
    table["validation_score"] = np.mean(found, axis=0)
    table["lr"] = 1e-3 * 0.97**epoch
    return pd.DataFrame(table)


def write_run(
    folder: Path,
    *,
    arch: str = "ann",
    optimizer: str = "adam",
    seed: int = 0,
    classes: Sequence[str] = EMOTIONS,
    heads: Sequence[str] = ("expression", "va"),
    skill: float = 1.5,
    folds: int = 1,
    simulated: bool = True,
    caches: Sequence[str] = ("cache/actors",),
    settings: dict[str, Any] | None = None,
    epochs: int = 30,
    **predictions: Any,
) -> Path:
    """A finished run folder."""
    frame = make_predictions(classes, heads=heads, skill=skill, folds=folds, seed=seed, **predictions)
    folder.mkdir(parents=True, exist_ok=True)
    head = "both" if len(heads) == 2 else heads[0]
    split = f"kfold:{folds}" if folds > 1 else "given"
    config = {"arch": arch, "data": list(caches), "head": head, "split": split, "optimizer": optimizer, "lr": 1e-3}
    config |= {"seed": seed, "batch_size": 256, "epochs": epochs, "length": 1, "monitor": "score"}
    config |= settings or {}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    split_folds = []
    for _, rows in frame.groupby("fold"):
        names = {part: sorted(rows.loc[rows["subset"] == part, "sequence"].unique()) for part in ("validation", "test")}
        split_folds.append({"train": [f"train {i}" for i in range(60)], **names})
    write_json(folder / "splits.json", {"split": split, "folds": split_folds, "grouped_by": "subject"})
    data = {"layout": "body_25+face_70", "simulated": simulated, "caches": list(caches)}
    data |= {"sequences": 60 + len(frame["sequence"].unique()), "frames": 25 * len(frame)}
    environment = {
        "skelemo": "0.1.0",
        "python": "3.11.9",
        "packages": {"torch": "2.13.0", "numpy": "2.4"},
        "device": "cpu",
        "git_commit": "0123abc",
    }
    environment |= {
        "cache_hash": hashlib.sha256("".join(caches).encode()).hexdigest(),
        "data": data,
        "heads": [head.to_json() for head in run_heads(classes, heads)],
        "parameters": 123_456,
        "flops": 246_800,
        "throughput": {"windows_per_second": 5432.1, "batch": 256, "device": "Some CPU, 2 threads"},
        "seconds": 321.5,
    }
    write_json(folder / "environment.json", environment)
    for fold in range(1, folds + 1):
        place = folder / f"fold_{fold}" if folds > 1 else folder
        place.mkdir(exist_ok=True)
        make_curves(epochs, skill, heads, seed + fold).to_csv(place / "metrics.csv", index=False)
    trained = run_heads(classes, heads)
    write_predictions(folder / "predictions.parquet", frame, trained)
    write_json(folder / "scores.json", score(frame, trained))
    return folder


@pytest.fixture(scope="session")
def predictions() -> Callable[..., pd.DataFrame]:
    """`make_predictions`, for tests that want a table of their own."""
    return make_predictions


@pytest.fixture(scope="session")
def run_folder() -> Callable[..., Path]:
    """`write_run`, for tests that want a run folder of their own."""
    return write_run
