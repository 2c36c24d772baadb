"""Data loading: from a cache to batches on the device."""

import importlib
from typing import Any

_HOMES = {"Corpus": "corpus", "load_corpus": "corpus", "Window": "windows", "WindowDataset": "dataset", "as_pyg": "pyg"}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"skelemo.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'skelemo.data' has no attribute {name!r}")
