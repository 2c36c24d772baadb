"""Model cards: of a run, in its report, and beside an exported model, with the front matter of the Hugging Face Hub.

They say what the run's folder says, and nothing else.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import skelemo
from skelemo.atomic import finished
from skelemo.cache.corrections import in_words
from skelemo.errors import ConfigError
from skelemo.evaluation.metrics import main_metric, titles
from skelemo.report.describe import (
    choice,
    data_name,
    figures_of,
    interval_basis,
    split_name,
    subset_sizes,
)
from skelemo.runs.folder import Run, read_json, training_folders
from skelemo.runs.model_file import FACTS, has_model
from skelemo.skeleton import layout
from skelemo.targets import Head
from skelemo.text import count

CARD = "README.md"
_LIBRARY = "library_name: skelemo"

_USE = """\
Research on expression and emotion from body and face movement: scoring recordings as a whole, comparing conditions,
finding stretches to look at. Keypoints carry no image, but they are data of people: process those who agreed to it.

It estimates what people would see in a movement, not what somebody feels. Do not use it to judge individuals, such as
in hiring, teaching, policing, medicine or at borders. The European Union's AI Act (2024/1689, article 5) prohibits
inferring emotions at workplaces and in education, with narrow exceptions.
"""


def require_own(folder: Path) -> None:
    """`ConfigError` where a ``README.md`` lies that is no model card of ours."""
    path = folder / CARD
    if path.exists() and (not path.is_file() or _LIBRARY not in path.read_text("utf-8", "replace")[:2000]):
        raise ConfigError(
            f"{path} is not a model card of skelemo's; name a file in another folder, as in --out model/x.onnx"
        )


def write_card(path: Path, model: Path, facts: Mapping[str, Any], run: Run | None, costs: Sequence[Any] = ()) -> None:
    """Write the card of an exported model.

    Parameters
    ----------
    model : the exported file.
    facts : what it says of itself.
    run : what it was exported from; None where only the model's own files were there.
    costs : what quantizing cost, see `skelemo.inference.exported_checks.Cost`.
    """
    with finished(path) as partial:
        partial.write_text(card(model, facts, run, costs), encoding="utf-8")


def run_card(run: Run) -> str:
    """The card of a run's own model, in Markdown without front matter; "" where its folder holds none."""
    folders = [folder for folder in training_folders(run.path) if has_model(folder)]
    if run.evaluation or not folders:
        return ""
    models = [read_json(folder / FACTS) for folder in folders]
    facts = models[0] | {
        "archs": [models[0]["arch"]],
        "parts": models[0]["layout"].split("+"),
        "weights_sha256": [one["weights_sha256"] for one in models],
    }
    use = f"```bash\nskelemo predict {run.name} recordings/ --out predictions.csv\n```\n\n"
    use += "`recordings/` is a folder of OpenPose's JSON, an archive, a video or a cache."
    if len(models) > 1:
        use += f" Its {len(models)} networks predict together: the mean of their answers."
    origin = f"Trained by skelemo {models[0]['skelemo']}. SHA-256 of the weights: {_hashes(facts)}."
    sections = [_summary(facts, run.heads), *_sections(use, _main_scores(run), facts, run), origin]
    return "\n".join(section.rstrip("\n") + "\n" for section in sections)


def _sections(use: str, scores: Sequence[str], facts: Mapping[str, Any], run: Run | None) -> list[str]:
    """What any card has, between what the model predicts and where it comes from."""
    return [
        "## Use\n",
        use,
        "## Intended use\n",
        _USE,
        "## Data\n",
        _data(run),
        "## Scores\n",
        *scores,
        "## Limits\n",
        _limits(facts, run),
        "## Origin\n",
    ]


def card(model: Path, facts: Mapping[str, Any], run: Run | None, costs: Sequence[Any] = ()) -> str:
    """The text of the card."""
    heads = [Head.from_json(head) for head in facts["heads"]]
    unknown = "Unknown: the run's scores were not at hand when the model was exported.\n"
    scores = [*(_scores(run) if run else [unknown]), *_quantized(costs)]
    sections = [
        _front(facts, heads, run),
        f"# {facts['name']}\n",
        _summary(facts, heads),
        *_sections(_example(model, facts, heads), scores, facts, run),
        _origin(facts),
    ]
    return "\n".join(section.rstrip("\n") + "\n" for section in sections)


def _front(facts: Mapping[str, Any], heads: Sequence[Head], run: Run | None) -> str:
    tags = ["skelemo", "pose", "keypoints", "emotion-recognition", *facts["archs"]]
    front: dict[str, Any] = {"library_name": "skelemo", "tags": list(dict.fromkeys(tags))}
    results = []
    for head in heads if run else ():
        scored = run.shown.get(head.name) if run else None
        if not scored or run is None:
            continue
        metrics = [
            {"type": name, "name": title, "value": round(float(scored[name]["value"]), 4)}
            for name, title in figures_of(head).items()
            if _known(scored.get(name))
        ]
        if metrics:
            results.append(
                {
                    "task": {"type": "other", "name": f"{head.name} ({head.kind})"},
                    "dataset": {"type": "keypoints", "name": data_name(run), "split": run.subset},
                    "metrics": metrics,
                }
            )
    if results:
        front["model-index"] = [{"name": facts["name"], "results": results}]
    return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=110)}---\n"


def _summary(facts: Mapping[str, Any], heads: Sequence[Head]) -> str:
    window, parts = facts["window"], " and ".join(part.replace("_", " ") for part in facts["parts"])
    frames = "one frame" if window["length"] == 1 else f"{window['length']} frames"
    if window["sampling"] == "clip":
        frames += " spread evenly over a clip"
    elif window["dilation"] > 1:
        frames += f", every {window['dilation']} of the recording"
    lines = [f"`{' + '.join(facts['archs'])}` on OpenPose keypoints ({parts}), {frames} at a time. It predicts:\n"]
    for head in heads:
        what = {
            "classes": f"one of {len(head)} classes, with a probability each: {', '.join(head.outputs)}",
            "values": f"{', '.join(head.outputs)}, each from {head.low:g} to {head.high:g}",
            "flags": f"the probability of each of {', '.join(head.outputs)}",
        }[head.kind]
        lines.append(f"- **{head.name}**: {what}")
    return "\n".join(lines)


def _example(model: Path, facts: Mapping[str, Any], heads: Sequence[Head]) -> str:
    onnx = model.suffix == ".onnx"
    if not onnx:
        return (
            "```python\nimport torch\n\n"
            f'model = torch.export.load("{model.name}").module()  # unpickles: load it only from people you trust\n'
            "```\n\n"
            "The extra file `skelemo.json` says which inputs it takes and what its outputs are."
        )
    points = f"`[W, T, V, 3]`, W windows of T = {facts['window']['length']} frames. `mask` says which frames there are"
    if facts["preparation"]["reference"] == "clip":
        points = (
            "`[1, C, V, 3]`, a person's whole recording of C frames. `mask` says which frames there are, "
            f"and `frames [W, T]` which of them each of W windows of T = {facts['window']['length']} frames has: -1 "
            "for none"
        )
    return (
        "```bash\npip install skelemo onnxruntime\n"
        f"skelemo predict {model.name} recordings/ --out predictions.csv\n"
        "```\n\n`recordings/` is a folder of OpenPose's JSON, an archive or a cache; torch is not needed.\n\n"
        f"Or with ONNX Runtime alone: `keypoints` are x and y in pixels, and confidence, of the V = "
        f"{len(layout(facts['layout']))} points of `{facts['layout']}` in OpenPose's order, {points}. Preparing, "
        "drawing and softmax are inside. Outputs are "
        f"{', '.join(f'`{head.name}`' for head in heads)}, and the shares of each window's frames and points that are "
        "visible. The metadata entry `skelemo` is JSON: heads, classes, parts, window, preparation."
    )


def _data(run: Run | None) -> str:
    if run is None:
        return "Unknown: the run's folder was not at hand when the model was exported."
    data = run.data
    amount = [count(int(data[name]), name.rstrip("s"), name) for name in ("sequences", "frames") if name in data]
    kind = "**Simulated people**, not recordings. " if data.get("simulated") else ""
    lines = [
        f"{kind}{data_name(run)}{f' ({chr(44).join(amount)})'.replace(',', ', ', 1) if amount else ''}.",
        "",
        f"Split: {split_name(run)}. {subset_sizes(run)} sequences.",
        "",
        choice(run),
    ]
    if changes := run.environment.get("corrections"):
        lines += ["", f"Labels were corrected, with {in_words(changes)}."]
    return "\n".join(lines)


def _scores(run: Run) -> list[str]:
    found = []
    for head in run.heads:
        scored = run.shown.get(head.name)
        if not scored:
            found.append(f"{head.name}: not scored, no window of the {run.subset} subset is labeled.\n")
            continue
        unit = count(int(scored["windows"]), scored["unit"])
        basis = interval_basis(scored)
        rows = [f"| {head.name} | value | 95 % interval |", "|---|---|---|"]
        for name, title in figures_of(head).items():
            if _known(scored.get(name)):
                rows.append(f"| {title} | {float(scored[name]['value']):.3f} | {_interval(scored[name])} |")
        found.append(
            f"{head.name}, on {unit} of the {run.subset} subset; intervals: {basis}:\n\n" + "\n".join(rows) + "\n"
        )
        if scored.get("per_class"):
            per = ["| class | precision | recall | F1 | support |", "|---|---|---|---|---|"]
            per += [
                f"| {name} | {_three(one['precision'])} | {_three(one['recall'])} | {_three(one['f1'])} "
                f"| {one['support']:,} |"
                for name, one in scored["per_class"].items()
            ]
            found.append("\n".join(per) + "\n")
    return found


def _main_scores(run: Run) -> list[str]:
    """The main figure of each head; its report has the others."""
    found = []
    for head in run.heads:
        name, scored = main_metric(head), run.shown.get(head.name, {})
        if _known(scored.get(name)):
            where = f"{count(int(scored['windows']), scored['unit'])} of the {run.subset} subset"
            interval = _interval(scored[name])
            told = "" if interval == "n/a" else f" (95 % interval {interval})"
            found.append(f"- {head.name}: {titles(head)[name]} {float(scored[name]['value']):.3f}{told}, on {where}")
    return found or ["Not scored: no window is labeled."]


def _quantized(costs: Sequence[Any]) -> list[str]:
    if not costs:
        return []
    rows = ["| 8-bit integers | 32 bits | 8 bits |", "|---|---|---|"]
    rows += [f"| {one.head}: {one.figure} | {one.before:.3f} | {one.after:.3f} |" for one in costs]
    return [
        "This file computes with 8-bit integers; the figures above are of the 32-bit model. On "
        f"{count(costs[0].windows, 'window')} of the validation subset:\n\n" + "\n".join(rows) + "\n"
    ]


def _limits(facts: Mapping[str, Any], run: Run | None) -> str:
    lines = [
        "- Scores hold for people, cameras and labels like those above. Score it on data of your own first: "
        "`skelemo evaluate`.",
        "- Keypoints only: gaze, voice, words, skin and the situation are not seen. Missing and wrong keypoints weaken "
        "it.",
        "- Labels are what raters saw. Raters of another culture, or actors and people unobserved, differ.",
    ]
    if run and run.data.get("simulated"):
        lines.insert(0, "- **It was trained on simulated people**: the scores say nothing about real ones.")
    if run:
        for head in run.heads:
            scored = run.shown.get(head.name, {})
            found = scored.get("per_class", {}).items()
            weak = [name for name, one in found if one["recall"] is not None and one["recall"] < 0.5]
            if weak:
                lines.append(f"- Fewer than half are found of: {', '.join(weak)} ({head.name}).")
    if facts["preparation"]["reference"] == "clip":
        lines.append("- It was trained on units and gaps of whole recordings; on a live stream it sees the past alone.")
    return "\n".join(lines)


def _origin(facts: Mapping[str, Any]) -> str:
    return (
        f"Exported by skelemo {skelemo.__version__} from weights with the SHA-256 {_hashes(facts)}. "
        "This card says what the run's folder says; terms of the data may bind the model, too: add its license."
    )


def _hashes(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"`{digest[:16]}…`" for digest in facts["weights_sha256"])


def _known(figure: Any) -> bool:
    value = figure.get("value") if isinstance(figure, Mapping) else None
    return isinstance(value, int | float) and math.isfinite(value)


def _interval(figure: Mapping[str, Any]) -> str:
    low, high = figure.get("low"), figure.get("high")
    return "n/a" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _three(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
