"""Caveats of an evaluation: overlap with the training data, differences in preparation, and collapsed predictions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.cache.store import Cache
from skelemo.data.calibration import people_of
from skelemo.data.corpus import Corpus
from skelemo.data.windows import Targets
from skelemo.evaluation.metrics import titles
from skelemo.inference.predictor import Model
from skelemo.inference.scoring.joining import Join
from skelemo.inference.scoring.overlap import overlap, require_unseen
from skelemo.runs.folder import read_json
from skelemo.targets import Head, KindName

#: Metric compared with chance, by kind of head.
_METRICS: dict[KindName, str] = {"classes": "uar", "values": "ccc_mean"}
#: A transfer has collapsed below this share of the chance-corrected score on the run's own data, if that is at least
#: the second number.
_COLLAPSED, _AT_HOME = 0.25, 0.1


def overlap_notes(
    runs: Sequence[Path], corpus: Corpus, targets: Targets, cache: Cache, *, allow_overlap: bool
) -> list[str]:
    """Notes on overlap with training data, which is refused unless ``allow_overlap``, and on runs without splits."""
    scored = corpus.sequences.iloc[np.unique(corpus.sequence(targets.row))]
    found = [(run, overlap(run, scored)) for run in runs]
    known = [one for _, one in found if one is not None]
    if not allow_overlap:
        require_unseen(known, cache.name)
    notes = [f"overlap: {one.text}; the scores are optimistic" for one in known if one.sequences or one.subjects]
    unknown = [run.resolve().name for run, one in found if one is None]
    if unknown:
        notes.append(f"{', '.join(unknown)}: no splits.json; the training data are unknown and may include these")
    return notes


def range_notes(join: Join) -> list[str]:
    """A note if values of the run and of the data differ in range."""
    ours, theirs = join.ours, join.theirs
    if ours.kind != "values" or (ours.low, ours.high) == (theirs.low, theirs.high):
        return []
    return [
        f"{ours.name}: range [{ours.low:g}, {ours.high:g}] in the run, [{theirs.low:g}, {theirs.high:g}] in these "
        "data; values are compared without rescaling"
    ]


def preparation_notes(cache: Cache, model: Model, corpus: Corpus) -> list[str]:
    """Notes on parts that these data lack, and on standardization and calibration."""
    shown = dict(zip((part.name for part in cache.layout.parts), cache.counts.points.sum(0), strict=True))
    missing = [part.name for part in model.layout.parts if not shown[part.name]]
    notes = [f"no frame shows {' or '.join(missing)}, which the model was trained with"] if missing else []
    if any(one.preparation.standardize != "none" for one in model.members):
        notes.append("standardized to the means and standard deviations of the run's data, without labels")
    if any(one.preparation.calibrate != "none" for one in model.members):
        notes.append("calibrated: each person's mean pose in these data is subtracted, without labels")
        frames = np.bincount(people_of(corpus.sequences), corpus.sequences["length"])
        if single := int((frames == 1).sum()):
            notes[-1] += (
                f"; {single:,} of {len(frames):,} people have a single frame, so calibration removes part of what "
                "they show: name subjects in the label table"
            )
    return notes


def collapse_notes(
    runs: Sequence[Path], model: Model, heads: Sequence[Head], scores: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Advice for heads near chance on these data but not on the run's own."""
    settings = [one.preparation for one in model.members]
    if any(one.standardize != "none" or one.coordinates == "frame" for one in settings):
        return []
    collapsed = []
    for head in heads:
        here, home = _above_chance(head, scores.get("test", {})), None
        for run in runs:
            own = read_json(run / "scores.json") if (run / "scores.json").is_file() else {}
            subset = next((one for one in ("test", "validation") if head.name in own.get(one, {})), "")
            found = _above_chance(head, own.get(subset, {}))
            if found and (home is None or found > home[:2]):
                home = *found, subset
        if here and home and home[0] >= _AT_HOME and here[0] < _COLLAPSED * home[0]:
            title = titles(head)[_METRICS[head.kind]]
            collapsed.append(f"{head.name}: {title} {here[1]:.3f}, on the run's own {home[2]} subset {home[1]:.3f}")
    if not collapsed:
        return []
    return [
        f"{'; '.join(collapsed)}: for other people or another pose estimator, a run trained with --set "
        "standardize=dataset may transfer better (it matches means and standard deviations of the keypoints)"
    ]


def _above_chance(head: Head, scores: Mapping[str, Any]) -> tuple[float, float] | None:
    """Score of a head rescaled to 0 (chance) to 1, and the score itself; None if unknown."""
    scored = scores.get(head.name, {})
    value = scored.get(_METRICS.get(head.kind, ""), {}).get("value")
    if value is None:
        return None
    if head.kind == "values":
        return value, value
    classes = sum(row["support"] > 0 for row in scored["per_class"].values())
    return (value - 1 / classes) / (1 - 1 / classes), value
