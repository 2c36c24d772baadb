"""What a notebook shows of runs and scores: small tables of HTML."""

from collections.abc import Mapping
from typing import Any

from skelemo.text import count, duration, html_table

#: Most figures of a head; the page of ``skelemo report`` has all.
_MOST = 3


def scores_html(scores: Mapping[str, Mapping[str, Mapping[str, Any]]], title: str = "scores") -> str:
    """A row for each figure of each head and subset, with its interval."""
    rows = []
    for subset, heads in scores.items():
        for head, scored in heads.items():
            figures = [(name, one) for name, one in scored.items() if isinstance(one, Mapping) and "value" in one]
            for name, one in figures[:_MOST]:
                first = name == figures[0][0]
                value = "–" if one["value"] is None else f"{one['value']:.3f}"
                rows.append((subset * first, head * first, name.replace("_", " "), value, _interval(one),
                             _size(scored) * first))  # fmt: skip
    if not rows:
        return html_table(f"{title}: nothing was scored", (), ())
    return html_table(title, ("subset", "head", "figure", "value", "95 % interval", "of"), rows)


def run_html(name: str, config: Mapping[str, Any], environment: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """What was trained on what, and its scores."""
    data = environment.get("data")
    data = data if isinstance(data, Mapping) else {}
    caches = ", ".join(map(str, data.get("caches") or config.get("data") or ()))
    facts = {
        "architecture": str(config.get("arch", "fused")),
        "data": caches + ", simulated" * bool(data.get("simulated")),
        "split": str(config.get("split", "")),
        "parameters": f"{environment['parameters']:,}" if isinstance(environment.get("parameters"), int) else "",
        "trained in": duration(environment["seconds"]) if "seconds" in environment else "",
    }
    return html_table(f"run {name}", (), [item for item in facts.items() if item[1]]) + scores_html(scores)


def model_html(name: str, heads: Mapping[str, tuple[str, ...]], parts: tuple[str, ...], networks: int) -> str:
    """What a model sees and predicts."""
    rows = [("sees", ", ".join(parts))]
    rows += [(f"predicts {head}", ", ".join(outputs)) for head, outputs in heads.items()]
    return html_table(f"model {name}" + (f", the mean of {networks:,}" if networks > 1 else ""), (), rows)


def _interval(figure: Mapping[str, Any]) -> str:
    low, high = figure.get("low"), figure.get("high")
    return f"{low:.3f} to {high:.3f}" if low is not None and high is not None else "n/a"


def _size(scored: Mapping[str, Any]) -> str:
    groups, kind = scored.get("groups"), str(scored.get("grouped_by", "group"))
    size = count(scored.get("windows", 0), str(scored.get("unit", "window")))
    return size + (f", {count(groups, kind, kind.replace(' or ', 's or ') + 's')}" if groups else "")
