"""skelemo: emotion from movement. Train and evaluate models on OpenPose keypoints.

Public names are imported on first use, so ``import skelemo`` is instant::

    import skelemo

    skelemo.ingest("json/", "cache/faces", labels="folders")
    cache = skelemo.open_cache("cache/faces")
    scores = skelemo.train("runs/ann", arch="ann", data=["cache/faces"])
    table = skelemo.predict("runs/ann", "json/")
    skelemo.show(cache, runs="runs/ann")
    scores = skelemo.evaluate("runs/ann", "cache/others", out="runs/ann_on_others")
    network = skelemo.create_model("stgcnpp", heads=cache.heads)

`register` adds architectures, label formats, cache formats, losses, metrics and layouts.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skelemo.api import create_model, export, open_cache, open_run, predict, register, train
    from skelemo.inference.live.stream import live
    from skelemo.inference.predictor import load
    from skelemo.inference.scoring.evaluate import evaluate
    from skelemo.ingest import ingest_folder as ingest
    from skelemo.skeleton import Layout, Part, layout, register_layout
    from skelemo.targets import Head
    from skelemo.view.inline import show

__version__ = "0.1.0"
__all__ = [
    "Head",
    "Layout",
    "Part",
    "create_model",
    "evaluate",
    "export",
    "ingest",
    "layout",
    "live",
    "load",
    "open_cache",
    "open_run",
    "predict",
    "register",
    "register_layout",
    "show",
    "train",
]

_MODULES = dict.fromkeys(__all__, "skelemo.api") | {
    **dict.fromkeys(("Layout", "Part", "layout", "register_layout"), "skelemo.skeleton"),
    "Head": "skelemo.targets",
    "evaluate": "skelemo.inference.scoring.evaluate",
    "live": "skelemo.inference.live.stream",
    "load": "skelemo.inference.predictor",
    "show": "skelemo.view.inline",
}


def __getattr__(name: str) -> Any:
    if name == "ingest":
        return import_module("skelemo.ingest")  # the package is callable
    if name not in _MODULES:
        raise AttributeError(f"module 'skelemo' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
