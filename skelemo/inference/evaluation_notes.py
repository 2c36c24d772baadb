"""What the reader of an evaluation must know: what a run has learned from, how it sees these data, whether it fails."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.cache.store import Cache
from skelemo.data.calibration import people_of
from skelemo.data.corpus import Corpus
from skelemo.data.windows import Targets
from skelemo.evaluation.metrics import titles
from skelemo.inference.joining import Join
from skelemo.inference.overlap import overlap, require_unseen
from skelemo.inference.predictor import Model
from skelemo.runs.folder import read_json
from skelemo.targets import Head, KindName

#: Figures that show, from 0 for chance to 1, whether a run tells anything, by kind of head.
_TELLING: dict[KindName, str] = {"classes": "uar", "values": "ccc_mean"}
#: A transfer has collapsed with less than this share of what the run reaches at home, if it is this much there.
_COLLAPSED, _AT_HOME = 0.25, 0.1


def overlap_notes(
    runs: Sequence[Path], corpus: Corpus, targets: Targets, cache: Cache, *, allow_overlap: bool
) -> list[str]:
    """Refuse what runs have learned from; notes on what is allowed, and on runs that do not tell."""
    scored = corpus.sequences.iloc[np.unique(corpus.sequence(targets.row))]
    found = [(run, overlap(run, scored)) for run in runs]
    known = [one for _, one in found if one is not None]
    if not allow_overlap:
        require_unseen(known, cache.name)
    notes = [f"overlap: {one.text}; the scores flatter it" for one in known if one.sequences or one.subjects]
    silent = [run.resolve().name for run, one in found if one is None]
    if silent:
        notes.append(f"{', '.join(silent)}: no splits.json tells what it was trained on; these data may be among it")
    return notes


def range_notes(join: Join) -> list[str]:
    """Where values of the run and of the data have another range."""
    ours, theirs = join.ours, join.theirs
    if ours.kind != "values" or (ours.low, ours.high) == (theirs.low, theirs.high):
        return []
    return [
        f"{ours.name}: in [{ours.low:g}, {ours.high:g}] in the run, [{theirs.low:g}, {theirs.high:g}] in these data: "
        "values are compared as they are"
    ]


def preparation_notes(cache: Cache, model: Model, corpus: Corpus) -> list[str]:
    """Which parts are missing to the model, and what it does with these data before it answers."""
    shown = dict(zip((part.name for part in cache.layout.parts), cache.counts.points.sum(0), strict=True))
    hidden = [part.name for part in model.layout.parts if not shown[part.name]]
    notes = [f"no frame shows {' or '.join(hidden)}, which the model sees: missing to it everywhere"] if hidden else []
    if any(one.preparation.standardize != "none" for one in model.members):
        notes.append("standardized: these data, without labels, have the means and deviations of the run's")
    if any(one.preparation.calibrate != "none" for one in model.members):
        notes.append("calibrated: what is usual of each person in these data, without labels, is taken off")
        frames = np.bincount(people_of(corpus.sequences), corpus.sequences["length"])
        if alone := int((frames == 1).sum()):
            notes[-1] += (
                f"; of {alone:,} of {len(frames):,} only one frame is known, whose emotion is partly removed "
                "with it: name subjects in the label table"
            )
    return notes


def collapse_notes(
    runs: Sequence[Path], model: Model, heads: Sequence[Head], scores: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """What may help where a run answers little better than chance, and better on its own data."""
    settings = [one.preparation for one in model.members]
    if any(one.standardize != "none" or one.coordinates == "frame" for one in settings):
        return []
    told = []
    for head in heads:
        here, home = _telling(head, scores.get("test", {})), None
        for run in runs:
            own = read_json(run / "scores.json") if (run / "scores.json").is_file() else {}
            subset = next((one for one in ("test", "validation") if head.name in own.get(one, {})), "")
            found = _telling(head, own.get(subset, {}))
            if found and (home is None or found > home[:2]):
                home = *found, subset
        if here and home and home[0] >= _AT_HOME and here[0] < _COLLAPSED * home[0]:
            title = titles(head)[_TELLING[head.kind]]
            told.append(f"{head.name}: {title} {here[1]:.3f}, on the run's own {home[2]} subset {home[1]:.3f}")
    if not told:
        return []
    return [
        f"{'; '.join(told)}: if these are other people, or points of another program, a run that is trained with "
        "--set standardize=dataset may do better (it gives other data the means and deviations of its own)"
    ]


def _telling(head: Head, scores: Mapping[str, Any]) -> tuple[float, float] | None:
    """How far from chance the scores of a head are, from 0 to 1, and the figure that says so; None if unknown."""
    scored = scores.get(head.name, {})
    value = scored.get(_TELLING.get(head.kind, ""), {}).get("value")
    if value is None:
        return None
    if head.kind == "values":
        return value, value
    classes = sum(row["support"] > 0 for row in scored["per_class"].values())
    return (value - 1 / classes) / (1 - 1 / classes), value
