"""The functions of `import skelemo`, which accept paths as strings, and `register`."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skelemo.errors import ConfigError, unknown
from skelemo.skeleton import Part, register_layout

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn
    from torch.utils.hooks import RemovableHandle

    from skelemo.cache.store import Cache
    from skelemo.inference.export.exporting import Export
    from skelemo.runs.folder import Run
    from skelemo.targets import KindName

StrPath = str | os.PathLike[str]
#: Largest plausible median of prepared coordinates, whose units are torsos, inter-ocular distances or the like.
_MAX_PREPARED = 25.0


def open_cache(*paths: StrPath) -> "Cache":
    """Open one or more cache folders as one `Cache`.

    Raises
    ------
    CacheError
        A folder is not a cache, a shard is damaged, or the caches contradict each other.
    """
    from skelemo.cache import store

    return store.open_cache(paths)


def open_run(path: StrPath) -> "Run":
    """Read a finished run folder: its settings, scores and predictions, but not its model (see `load`).

    Raises
    ------
    InputError
        The folder is not a run, its training has not finished, or a file in it is damaged.
    """
    from skelemo.runs.folder import read_run

    return read_run(Path(path))


def train(
    out: StrPath, config: StrPath | None = None, *, resume: bool = False, **settings: Any
) -> Mapping[str, Mapping[str, Any]]:
    """Train a model on caches, write a run folder, and return its scores ``{subset: {head: {metric: …}}}``.

    Parameters
    ----------
    out : run folder; must not exist yet, except to resume.
    config : YAML settings file.
    settings : any of ``skelemo train --settings`` and of the architecture, such as ``arch="ann"`` and
        ``data=["cache/faces"]``.

    Raises
    ------
    ConfigError, InputError, CacheError
        A setting, a file or the data cannot be used.
    """
    from skelemo.models.registry import ARCHITECTURES
    from skelemo.training.config import load_config
    from skelemo.training.fit import train as run

    if isinstance(settings.get("arch"), str):
        ARCHITECTURES.find(settings["arch"])
    data = settings.get("data")
    if isinstance(data, str | os.PathLike):
        settings["data"] = [str(data)]
    elif isinstance(data, Iterable):
        settings["data"] = [str(path) for path in data]
    return run(load_config(Path(config) if config else None, settings), Path(out), resume=resume)


def create_model(name: str, **settings: Any) -> "nn.Module":
    """Build a network, as `skelemo.models.registry.create` does, for your own training loop.

    The network maps ``(keypoints [B, T, V, 3], mask [B, T])`` to ``{head: [B, K]}`` and expects prepared keypoints,
    from `skelemo.preprocess.prepare` or `skelemo.data.dataset.WindowDataset`. Keypoints in pixels are rejected on the
    first call.

    Raises
    ------
    ConfigError
        An unknown architecture, head or setting; or raw keypoints.
    """
    from skelemo.models.registry import create

    network = create(name, **settings)
    check = _FirstCall(name)
    check.hook = network.register_forward_pre_hook(check, with_kwargs=True)
    return network


@dataclass
class _FirstCall:
    """Rejects keypoints in pixels on a network's first call; copied and pickled with the network."""

    name: str
    hook: "RemovableHandle | None" = None

    def __call__(self, network: "nn.Module", inputs: Any, named: Any) -> None:
        import torch

        if torch.compiler.is_compiling():  # an export has no values to check
            return
        assert self.hook is not None
        self.hook.remove()
        _refuse_pixels(self.name, (*inputs, named.get("keypoints"))[0])


def _refuse_pixels(name: str, keypoints: Any) -> None:
    visible = keypoints[keypoints[..., 2] > 0][:, :2].abs()
    if len(visible) and (median := float(visible.median())) > _MAX_PREPARED:
        raise ConfigError(
            f"{name}: the median coordinate is {median:.0f}, as in pixels; expected prepared keypoints, of a few units "
            "at most: pass them through skelemo.preprocess.prepare, or use skelemo.load(RUN).predict, which prepares"
        )


def predict(runs: StrPath | Iterable[StrPath], source: Any, **options: Any) -> "pd.DataFrame":
    """Predict with a run, or the mean of several, for every person and frame of a source.

    Parameters
    ----------
    runs : folder of a run, or several; or an exported ``.onnx`` file, which needs no torch.
    source, options : as in `skelemo.inference.base.BasePredictor.predict`. To predict for many sources with one
        model, `load` it once.
    """
    from skelemo.inference.onnx import open_model

    return open_model(runs).predict(source, **options)


def export(
    run: StrPath,
    *,
    to: str = "onnx",
    out: StrPath | None = None,
    cache: StrPath | None = None,
    quantize: str | None = None,
    allow: Iterable[str] = (),
) -> "Export":
    """Export a run's model as a single file that takes raw keypoints in pixels, with a model card.

    The file includes preparation, drawing, the network (or the mean of all folds) and softmax. It is only written if
    its predictions match the run's to 1e-4, for one window and seven at a time.

    Parameters
    ----------
    run : run folder, or a copy of its ``model.json`` and ``model.safetensors``.
    to : ``onnx``, or ``torch`` for a file of ``torch.export``. skelemo only reads back ONNX:
        ``torch.export.load`` unpickles, and runs any code in the file.
    out : output file; ``RUN/export/model.onnx`` or ``model.pt2`` by default.
    cache : frames to compare predictions on; simulated ones by default.
    quantize : ``int8`` for 8-bit integers, with ranges from the training subset of ``cache``.
    allow : architectures ``package.module:function`` that may be imported.

    Raises
    ------
    ConfigError
        The model cannot be exported or its predictions differ, or an option is invalid.
    InputError, CacheError
        The run or the cache cannot be read.
    """
    from skelemo.inference import predictor
    from skelemo.inference.export.end_to_end import EndToEnd
    from skelemo.inference.export.exporting import export_model, facts_of
    from skelemo.report.card import CARD, require_own, write_card
    from skelemo.runs.folder import read_run

    suffix = {"onnx": ".onnx", "torch": ".pt2"}.get(to)
    if suffix is None:
        raise unknown("kind of export", to, ("onnx", "torch"))
    if quantize not in (None, "int8"):
        raise unknown("way to quantize", quantize, ("int8",))
    if quantize and (cache is None or to != "onnx"):
        raise ConfigError("quantizing writes ONNX and needs the cache that the run was trained on: --cache CACHE")
    folder = Path(run)
    path = Path(out) if out else folder / "export" / f"model{suffix}"
    if path.suffix.lower() != suffix or path.is_dir():
        raise ConfigError(f"{path}: expected a file name that ends in {suffix}")
    require_own(path.parent)
    model = predictor.load(folder, allow=tuple(allow))
    whole = read_run(folder) if (folder / "scores.json").is_file() else None
    if quantize and whole is None:
        raise ConfigError(f"{folder}: no splits.json and scores.json; quantizing needs the whole run folder")
    frames = open_cache(cache) if cache else None
    done = export_model(model, path, cache=frames, quantize=bool(quantize), splits=whole.splits if whole else {})
    module = EndToEnd(model)
    facts = facts_of(model, module) | {"precision": quantize or "float32", "inputs": module.inputs}
    write_card(path.parent / CARD, path, facts, whole, done.costs)
    return done


class register:  # noqa: N801  # used as a namespace of decorators
    """Decorators that register functions by name; other packages may declare entry points instead."""

    @staticmethod
    def model(name: str, **facts: Any) -> Callable[[Any], Any]:
        """Register ``build(spec, *, setting=default) -> nn.Module``; see `skelemo.models.registry.register`."""
        from skelemo.models.registry import register as add

        return add(name, **facts)

    @staticmethod
    def labels(name: str, *, labels: str = "labels") -> Callable[[Any], Any]:
        """Register ``read(path, source, recordings) -> Annotations`` as the label format ``--labels NAME:PATH``.

        Keyword-only arguments ``words``, ``unit`` and ``va_scale`` are passed to functions that have them
        (`skelemo.annotations.options.Options`).
        """
        from skelemo.annotations.registry import reader

        return reader(name, labels=labels)

    @staticmethod
    def loss(name: str, kind: "KindName") -> Callable[[Any], Any]:
        """Register ``loss(outputs, labels, known, context) -> Tensor`` for a kind; see `skelemo.training.losses`."""
        from skelemo.training.losses import LOSSES

        return LOSSES.register(name, kind)

    @staticmethod
    def metric(name: str, facts: Any) -> Callable[[Any], Any]:
        """Register a pure function of predictions and labels; ``facts`` is a `skelemo.evaluation.metrics.Metric`."""
        from skelemo.evaluation.metrics import METRICS

        return METRICS.register(name, facts)

    @staticmethod
    def export_format(name: str) -> Callable[[Any], Any]:
        """Register ``write(cache, out, only, report) -> Exported``; see `skelemo.formats.writing`."""
        from skelemo.formats.registry import EXPORTS

        return EXPORTS.register(name)

    @staticmethod
    def import_format(name: str, *endings: str) -> Callable[[Any], Any]:
        """Register ``read(file, layout, size) -> [Clip, ...]`` for files with these endings (default: all)."""
        from skelemo.formats.registry import IMPORTS, Files

        return IMPORTS.register(name, Files(endings or ("",)))

    @staticmethod
    def layout(name: str, *parts: Part) -> None:
        """Register parts as a layout; see `skelemo.skeleton.register_layout`."""
        register_layout(name, *parts)
