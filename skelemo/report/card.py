"""Model cards, in reports and next to exported models, the latter with the Hugging Face Hub's front matter.

All facts come from the run folder; the text is in ``card.md.j2``.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import skelemo
from skelemo.atomic import finished
from skelemo.cache.corrections import in_words
from skelemo.errors import ConfigError
from skelemo.evaluation.metrics import main_metric
from skelemo.report import describe
from skelemo.report.templates import templates
from skelemo.runs.folder import Run, read_json, training_folders
from skelemo.runs.model_file import FACTS, has_model
from skelemo.skeleton import layout
from skelemo.targets import Head
from skelemo.text import count

CARD = "README.md"
_LIBRARY = "library_name: skelemo"
#: Shape (of windows, of a whole recording) and content of each input of an exported model.
_INPUTS = {
    "keypoints": ("`[W, T, V, 3]`", "`[1, C, V, 3]`", "x, y in pixels and confidence; confidence 0: missing"),
    "mask": ("`[W, T]` bool", "`[1, C]` bool", "which frames exist"),
    "number": ("`[W, T]` int64", "`[1, C]` int64", "frame numbers in the video"),
    "frame_size": ("`[W, 2]`", "`[1, 2]`", "image width and height, 0 if unknown"),
    "frames": ("", "`[W, T]` int64", "indices of each window's frames in the recording, -1 for none"),
}


def require_own(folder: Path) -> None:
    """Raise `ConfigError` if a folder has a ``README.md`` that is not a model card of skelemo."""
    path = folder / CARD
    if path.exists() and (not path.is_file() or _LIBRARY not in path.read_text("utf-8", "replace")[:2000]):
        raise ConfigError(
            f"{path}: the model card would replace it; give the model a folder of its own, as in --out model/x.onnx"
        )


def write_card(path: Path, model: Path, facts: Mapping[str, Any], run: Run | None, costs: Sequence[Any] = ()) -> None:
    """Write the card of an exported model.

    Parameters
    ----------
    model : the exported file.
    facts : its metadata, and the names of its ``inputs``.
    run : the exported run; None if only the model's files are available.
    costs : effect of quantization, see `skelemo.inference.export.checks.Cost`.
    """
    heads = [Head.from_json(head) for head in facts["heads"]]
    front = _front(facts, heads, run)
    text = _card(facts, heads, run, version=skelemo.__version__, model=model, costs=costs, front=front)
    with finished(path) as partial:
        partial.write_text(text, encoding="utf-8")


def run_card(run: Run) -> str:
    """The card of a run's model, in Markdown without front matter; "" without a model."""
    folders = [folder for folder in training_folders(run.path) if has_model(folder)]
    if run.evaluation or not folders:
        return ""
    models = [read_json(folder / FACTS) for folder in folders]
    facts = models[0] | {
        "archs": [models[0]["arch"]],
        "parts": models[0]["layout"].split("+"),
        "weights_sha256": [one["weights_sha256"] for one in models],
    }
    return _card(facts, run.heads, run, version=models[0]["skelemo"], networks=len(models))


def _card(
    facts: Mapping[str, Any],
    heads: Sequence[Head],
    run: Run | None,
    *,
    version: str,
    networks: int = 1,
    model: Path | None = None,
    costs: Sequence[Any] = (),
    front: str = "",
) -> str:
    window, simulated = facts["window"], run is not None and bool(run.data.get("simulated"))
    frames = count(window["length"], "frame")
    if window["sampling"] == "clip":
        frames += " spread evenly over a clip"
    else:
        frames += " at a time" + f", {window['dilation']} apart" * (window["length"] > 1 and window["dilation"] > 1)
    by_clip = facts["preparation"]["reference"] == "clip"
    data = run.data if run else {}
    sizes = [count(int(data[name]), name.rstrip("s"), name) for name in ("sequences", "frames") if name in data]
    weak = {
        name: [
            label
            for label, one in scored.get("per_class", {}).items()
            if one["recall"] is not None and one["recall"] < 0.5
        ]
        for name, scored in (run.shown if run else {}).items()
    }
    text = (
        templates()
        .overlay(autoescape=False)
        .get_template("card.md.j2")
        .render(
            facts=facts,
            heads=heads,
            run=run,
            version=version,
            networks=networks,
            model=model,
            costs=costs,
            front=front,
            frames=frames,
            simulated=simulated,
            amount=", ".join(sizes),
            points=len(layout(facts["layout"])),
            inputs=[(name, _INPUTS[name][by_clip], _INPUTS[name][2]) for name in facts.get("inputs", ())],
            by_clip=by_clip,
            rarely_found=[(name, classes) for name, classes in weak.items() if classes],
            hashes=", ".join(f"`{digest[:16]}…`" for digest in facts["weights_sha256"]),
            describe=describe,
            in_words=in_words,
            main_metric=main_metric,
            figures=_figures,
            count=count,
        )
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


def _front(facts: Mapping[str, Any], heads: Sequence[Head], run: Run | None) -> str:
    tags = ["skelemo", "pose", "keypoints", "emotion-recognition", *facts["archs"]]
    front: dict[str, Any] = {"library_name": "skelemo", "tags": list(dict.fromkeys(tags))}
    results = [
        {
            "task": {"type": "other", "name": f"{head.name} ({head.kind})"},
            "dataset": {"type": "keypoints", "name": describe.data_name(run), "split": run.subset},
            "metrics": [
                {"type": name, "name": title, "value": round(value, 4)} for name, title, value, _ in _figures(run, head)
            ],
        }
        for head in heads
        if run and _figures(run, head)
    ]
    if results:
        front["model-index"] = [{"name": facts["name"], "results": results}]
    return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=110)}---\n"


def _figures(run: Run, head: Head) -> list[tuple[str, str, float, str]]:
    """Name, title, value and interval of each score of a head."""
    found = []
    for name, title in describe.figures_of(head).items():
        figure = run.shown.get(head.name, {}).get(name, {})
        if figure.get("value") is not None:
            low, high = figure.get("low"), figure.get("high")
            interval = "n/a" if low is None or high is None else f"{low:.3f} to {high:.3f}"
            found.append((name, title, float(figure["value"]), interval))
    return found
