"""From a cache to batches on the device."""

from typing import Any

__all__ = ["as_pyg"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from skelemo.data import pyg

        return getattr(pyg, name)
    raise AttributeError(name)
