"""A run told in words: its data, its split, what its intervals mean, how its checkpoint was chosen."""

from collections.abc import Iterable, Mapping
from typing import Any

from skelemo.runs.folder import Run

#: The figures of each head, the deciding one first, and what they are called.
FIGURES = {
    "expression": {"macro_f1": "macro F1", "uar": "UAR", "accuracy": "accuracy"},
    "va": {
        "ccc_mean": "mean CCC",
        "ccc_valence": "CCC valence",
        "ccc_arousal": "CCC arousal",
        "rmse_valence": "RMSE valence",
        "rmse_arousal": "RMSE arousal",
    },
}
HEADS = {"expression": "Emotion classes", "va": "Valence and arousal"}


def data_name(run: Run) -> str:
    """The names of the caches that a run learned from."""
    caches = run.data.get("caches") or run.config.get("data") or "unnamed data"
    caches = [caches] if isinstance(caches, str) else caches
    names = [cache.get("name", "?") if isinstance(cache, Mapping) else cache for cache in caches]
    return " + ".join(str(name).rstrip("/").rpartition("/")[2] for name in names)


def split_name(run: Run) -> str:
    """The split, in words."""
    split = str(run.config.get("split") or run.splits.get("split") or "?")
    kind, _, amount = split.partition(":")
    words = {
        "given": f"as the labels came with it{f', column {amount}' if amount else ''}",
        "kfold": f"{amount}-fold, drawn by seed; the {run.part} parts of all folds together",
        "holdout": f"a {run.part} part of {amount} held out, drawn by seed",
    }.get(kind, split)
    if run.config.get("given_validation") == "score":
        words += "; its validation part is scored as the test part"
    grouped = run.splits.get("grouped_by")
    return f"{words}; no {grouped} in two parts" if grouped else words


def part_sizes(run: Run) -> str:
    """How many sequences trained, validated and tested."""
    folds = _folds(run)
    found = []
    for part in ("train", "validation", "test"):
        low, high = smallest_and_largest(len(fold.get(part, ())) for fold in folds)
        if high:
            found.append(f"{low:,}{f' to {high:,}' if high != low else ''} {part}")
    return ", ".join(found) + (f", in each of {len(folds)} folds" if len(folds) > 1 and found else "")


def _folds(run: Run) -> list[Mapping[str, Any]]:
    return [fold for fold in run.splits.get("folds", []) if isinstance(fold, Mapping)]


def interval_basis(head: Mapping[str, Any]) -> str:
    """What was resampled for the intervals of a head's scores."""
    groups, kind = head.get("groups", 0), str(head.get("grouped_by", "group"))
    if groups < 2:
        return f"none, since all windows are of one {kind}"
    resamples, kinds = head.get("interval", {}).get("resamples", 0), f"{kind.replace(' or ', 's or ')}s"
    few = ", so few that they are rough" if groups < 10 else ""
    return f"95 %, {resamples:,} resamples of {groups:,} {kinds}{few}"


def choice(run: Run) -> str:
    """How the checkpoint was chosen, in a sentence."""
    if run.members:
        return f"The mean of what {', '.join(run.members)} predict; nothing more was chosen."
    if run.metrics.empty:
        return "Fitted once, without epochs to choose from."
    if not any(fold.get("validation") for fold in _folds(run)):
        return (
            "The network as the last epoch left it: no part was held back to choose by; the test part was scored once."
        )
    names = [next(iter(FIGURES[head].values())) for head in run.heads]
    score = names[0] if len(names) == 1 else f"mean of {' and '.join(names)}"
    figure = "lowest loss" if run.config.get("monitor") == "loss" else f"highest {score}"
    test = "; the test part was scored once, with it" if run.part == "test" else ", the part that is shown here"
    return f"The checkpoint with the {figure} on the validation part{test}."


def chosen_epochs(run: Run) -> dict[int, int]:
    """The epoch, from 0, whose checkpoint was chosen, by fold."""
    loss = run.config.get("monitor") == "loss"
    column = "validation_loss" if loss else "validation_score"
    if column not in run.metrics:
        return {}
    known = run.metrics.dropna(subset=[column])
    best = known.groupby("fold")[column].agg("idxmin" if loss else "idxmax")
    chosen = known.loc[best.to_numpy()]
    return dict(zip(chosen["fold"].astype(int).tolist(), chosen["epoch"].astype(int).tolist(), strict=True))


def settings_of(run: Run) -> dict[str, Any]:
    """The settings of a run by name, those of the architecture as ``model.NAME``."""
    found: dict[str, Any] = {}
    for name, value in run.config.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": item for inner, item in value.items()}
        else:
            found[name] = value
    return found


def setting_text(value: Any) -> str:
    """A value of a setting as one would write it."""
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(setting_text, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={setting_text(item)}" for key, item in value.items()) or "–"
    return str(value)


def smallest_and_largest(values: Iterable[int]) -> tuple[int, int]:
    """The least and the greatest of some counts; zeros of none."""
    found = list(values)
    return (min(found), max(found)) if found else (0, 0)
