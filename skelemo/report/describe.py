"""Descriptions of a run: data, split, intervals and model selection."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skelemo.errors import ConfigError
from skelemo.evaluation.bootstrap import FEWEST_GROUPS
from skelemo.evaluation.circumplex import READING
from skelemo.evaluation.metrics import METRICS, main_metric, metrics_of, titles
from skelemo.runs.folder import Run, group_count
from skelemo.skeleton import Part, layout
from skelemo.targets import Head
from skelemo.text import capital

if TYPE_CHECKING:
    from skelemo.report.paired import Paired

#: Maximum number of outputs that tables of runs show individually.
_FEW_OUTPUTS = 3


def figures_of(head: Head) -> dict[str, str]:
    """Metrics of a head in tables of runs, the main one first, with their titles."""
    found = titles(head)
    if head.kind == "classes" or len(head) <= _FEW_OUTPUTS:
        return found
    return {name: title for name, title in found.items() if name.endswith("_mean")}


def figure_of_output(head: Head, metric: str, output: str) -> str:
    """The name of a metric for one value or flag among the scores of its head."""
    return f"{metric}_{output}" if len(head) > 1 else f"{metric}_mean"


def output_metrics(head: Head) -> dict[str, str]:
    """Metrics of single flags, with their titles."""
    return {name: METRICS[name].facts.title for name in metrics_of(head)}


def head_title(head: Head) -> str:
    """A head's heading."""
    if head.kind == "values" and len(head) <= _FEW_OUTPUTS:
        return " and ".join(head.outputs)
    return f"{head.name} ({len(head)} {head.kind})"


def data_name(run: Run) -> str:
    """The names of a run's caches."""
    caches = run.data.get("caches") or run.config.get("data") or "unnamed data"
    caches = [caches] if isinstance(caches, str) else caches
    names = [cache.get("name", "?") if isinstance(cache, Mapping) else cache for cache in caches]
    return " + ".join(str(name).rstrip("/").rpartition("/")[2] for name in names)


def parts_of(run: Run) -> str:
    """The parts that a run uses, as ``body, face``; if folds differ, each choice."""
    chosen = [tuple(fold["parts"]) for fold in run.choices.get("folds", [])]
    if not chosen:
        named = run.config.get("parts") or ["auto"]
        listed = [named] if isinstance(named, str) else [*named]
        chosen = [tuple(str(run.data.get("layout", "")).split("+") if listed == ["auto"] else listed)]
    return " or ".join(dict.fromkeys(", ".join(map(part_title, parts)) for parts in chosen)) or "–"


def part_title(name: str) -> str:
    """A part's name without its model: ``body`` for ``coco_17``, ``left hand`` for ``hand_left_21``."""
    part = find_part(name)
    if part and part.kind in ("body", "face"):
        return part.kind
    words = re.sub(r"_\d+(x\d+)?$", "", name).split("_")
    return "hands" if words == ["hand"] else " ".join(words[::-1] if words[0] == "hand" else words)


def find_part(name: str) -> Part | None:
    """The part of a name; None if it is of a package that is not installed."""
    try:
        return layout(name).part(name)
    except ConfigError:
        return None


def split_name(run: Run) -> str:
    """The split as text."""
    if run.evaluation:
        return f"none: all labeled data are scored; they were {training_use(run)}"
    split = str(run.config.get("split") or run.splits.get("split") or "?")
    kind, _, amount = split.partition(":")
    words = {
        "given": f"as given with the labels{f', column {amount}' if amount else ''}",
        "kfold": f"{amount}-fold, drawn by seed; the {run.subset} subsets of all folds are pooled",
        "loso": "one fold per subject, those in one recording together; "
        f"the {run.subset} subsets of all folds are pooled",
        "holdout": f"{amount} held out as the {run.subset} subset, drawn by seed",
    }.get(kind, split)
    if run.config.get("given_validation") == "score":
        words += "; its validation subset is scored as the test subset"
    grouped = run.splits.get("grouped_by")
    return f"{words}; no {grouped} crosses subsets" if grouped else words


def subset_sizes(run: Run) -> str:
    """Number of sequences in the training, validation and test subsets."""
    folds = run.splits.get("folds", [])
    found = []
    for subset in ("train", "validation", "test"):
        sizes = [len(fold.get(subset, ())) for fold in folds] or [0]
        if max(sizes):
            found.append(f"{min(sizes):,}{f' to {max(sizes):,}' if max(sizes) > min(sizes) else ''} {subset}")
    return ", ".join(found) + (f", in each of {len(folds)} folds" if len(folds) > 1 and found else "")


def interval_basis(scored: Mapping[str, Any]) -> str:
    """How the intervals of a head's scores were computed."""
    if few := missing_interval(scored):
        return few
    return f"95 %, {scored.get('interval', {}).get('resamples', 0):,} resamples of {group_count(scored)}"


def missing_interval(scored: Mapping[str, Any]) -> str:
    """The reason for missing intervals of a head's scores; otherwise ""."""
    return f"n/a ({group_count(scored)})" if scored["groups"] < FEWEST_GROUPS else ""


def pairs_basis(paired: "Paired") -> str:
    """How runs were compared with the best run."""
    if paired.groups < FEWEST_GROUPS:
        return f"With only {group_count(vars(paired))}, any difference may be due to chance."
    return (
        f"Paired bootstrap: both runs' windows are resampled together, by {paired.grouped_by} ({paired.groups:,}). The "
        "p values are two-sided, with Holm's correction for the number of runs. The best run was chosen by the same "
        "scores, which favors it."
    )


def trained_heads(run: Run) -> tuple[Head, ...]:
    """A run's heads without the emotions mapped from its values."""
    mapped = run.config.get("neutral_radius") is not None
    return tuple(head for head in run.heads if not (mapped and head == READING))


def choice(run: Run) -> str:
    """How the checkpoint was selected."""
    if run.evaluation:
        return evaluated(run)
    if run.members:
        return f"The mean of the predictions of {', '.join(run.members)}."
    if run.metrics.empty:
        most = run.config.get("fit_windows")
        return f"Not trained iteratively{f'; fitted on at most {most:,} windows' if most else ''}."
    if not any(fold.get("validation") for fold in run.splits.get("folds", [])):
        return (
            "Last epoch's weights: there is no validation subset for model selection. The test subset was scored once."
        )
    mains = {f"validation_{head.name}_{main_metric(head)}": head for head in trained_heads(run)}
    names = [titles(head)[main_metric(head)] for column, head in mains.items() if column in run.metrics]
    score = names[0] if len(names) == 1 else f"mean of {' and '.join(names)}"
    figure = f"highest {score}" if names and run.config.get("monitor") != "loss" else "lowest loss"
    test = "; the test subset was scored once" if run.subset == "test" else ", the subset shown here"
    return f"The checkpoint with the {figure} on the validation subset{test}."


def evaluated(run: Run) -> str:
    """Which runs were evaluated, and what they were trained on."""
    named = []
    for one in run.evaluation.get("runs", []):
        trained = f", trained on {' + '.join(one['data'])}" if one["data"] else ""
        named.append(f"{one['name']} ({one['arch']}{trained})")
    mean = "the mean of " if len(named) > 1 else ""
    of = f" of {mean}{' and '.join(named)}" if named else ""
    return f"An evaluation{of} on other data, {data_name(run)}, which were {training_use(run)}."


def training_use(run: Run) -> str:
    """Whether the data of an evaluation were also used for training, from its notes."""
    notes = [str(note) for note in run.evaluation.get("notes", ())]
    known = any(note.startswith("overlap: ") for note in notes)
    unknown = any(": no splits.json; " in note for note in notes)
    return f"{'partly' if known else 'possibly' if unknown else 'not'} used for training or model selection"


#: Usual spelling of optimizers, in the order of the paper's tables.
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "adamax": "Adamax"}

#: Titles of columns whose names are not self-explanatory.
_GROUPED_BY = {"missing": "share of missing points", "visible": "visible parts"}


def grouped_title(column: str) -> str:
    """The title of a column of `groups_by`."""
    return _GROUPED_BY.get(column, column)


def groups_by(scored: Mapping[str, Any]) -> dict[str, list[tuple[str, Mapping[str, Any]]]]:
    """Groups with their scores, by the column that a head's scores are broken down by."""
    found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for one in scored.get("by", ()):
        found.setdefault(one["column"], []).append((one["group"], one["scores"]))
    return found


def choices(run: Run) -> str:
    """How parts and calibration were chosen; "" without a choice."""
    folds = run.choices.get("folds", [])
    texts = []
    for chosen in dict.fromkeys(tuple(fold["parts"]) for fold in folds):
        alike = [fold for fold in folds if tuple(fold["parts"]) == chosen]
        where = f" in {len(alike)} of {len(folds)} folds" if len(alike) < len(folds) else ""
        trials = [_trials(fold, calibrated=False) for fold in alike]
        left = [name for name in trials[0][0]["parts"] if name not in chosen] if trials[0] else []
        if left:
            errors = [
                [next(float(trial["error"]) for trial in some if trial["parts"] == [*chosen]), some[0]["error"]]
                for some in trials
            ]
            one, all_parts = (sum(column) / len(column) for column in zip(*errors, strict=True))
            why = f"{one:.3f} of the labels' variance is unexplained, compared with {all_parts:.3f} for all parts"
            texts.append(f"Dropped {' and '.join(left)}{where}, based on a probe on the training subset: {why}.")
        elif trials[0] or alike[0]["reason"]:
            texts.append(f"All parts kept{where}: {alike[0]['reason'] or ' and '.join(chosen)}.")
    tried = [(fold, trial) for fold in folds for trial in _trials(fold, calibrated=True)]
    if tried:
        done = sum(fold["calibrate"] != "none" for fold, _ in tried)
        where = f" in {done} of {len(tried)} folds" if 0 < done < len(tried) else ""
        error = sum(trial["error"] for _, trial in tried) / len(tried)
        plain = sum(trial["error"] + trial["gain"] for _, trial in tried) / len(tried)
        texts.append(
            f"{'Calibrated' if done else 'Not calibrated'} to the person{where}, based on a probe on the training "
            f"subset: {error:.3f} of the labels' variance is unexplained with calibration, {plain:.3f} without."
        )
    texts += [f"{capital(text)}." for text in dict.fromkeys(fold["caution"] for fold in folds) if text]
    return " ".join(texts)


def _trials(fold: Mapping[str, Any], *, calibrated: bool) -> list[Mapping[str, Any]]:
    return [trial for trial in fold["trials"] if (trial["calibrate"] != "none") is calibrated]


def chosen_epochs(run: Run) -> dict[int, int]:
    """The epoch (from 0) of the selected checkpoint, by fold."""
    loss = run.config.get("monitor") == "loss"
    column = "validation_loss" if loss else "validation_score"
    if column not in run.metrics:
        return {}
    known = run.metrics.dropna(subset=[column])
    best = known.groupby("fold")[column].agg("idxmin" if loss else "idxmax")
    chosen = known.loc[best.to_numpy()]
    return dict(zip(chosen["fold"].astype(int).tolist(), chosen["epoch"].astype(int).tolist(), strict=True))


def settings_of(run: Run) -> dict[str, Any]:
    """A run's settings by name; the architecture's as ``model.NAME``."""
    found: dict[str, Any] = {}
    for name, value in run.config.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": item for inner, item in value.items()}
        else:
            found[name] = value
    return found


def optimizer_of(run: Run) -> str:
    """The optimizer's usual spelling; empty if there is none."""
    name = str(run.config.get("optimizer") or "")
    return OPTIMIZERS.get(name, name)


def setting_text(value: Any) -> str:
    """A setting's value as text, with YAML's words."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(setting_text, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={setting_text(item)}" for key, item in value.items()) or "–"
    return str(value)
