"""Networks and baselines, created by name: `create("ann", layout_name=…, heads=…)`."""

from typing import Any

__all__ = ["create", "list_models"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from skelemo.models import registry

        return getattr(registry, name)
    raise AttributeError(name)
