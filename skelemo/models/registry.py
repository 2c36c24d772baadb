"""Architectures by name: a file of `skelemo.models` registers one function per variant, everybody else asks here."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from typing import Any, Literal

from torch import nn

import skelemo.models
from skelemo.errors import ConfigError, unknown
from skelemo.skeleton import DEFAULT_LAYOUT, Layout, layout

Coordinates = Literal["parts", "frame"]
HEADS = ("expression", "va")


@dataclass(frozen=True)
class Spec:
    """What a network is built for: the batch it will see and the heads that it must serve."""

    layout: Layout
    heads: tuple[str, ...]
    classes: int
    frames: int
    channels: int = 3


@dataclass(frozen=True)
class Entry:
    """A registered architecture."""

    name: str
    build: Callable[..., nn.Module]
    sees: str
    coordinates: Coordinates

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the architecture takes, with their defaults."""
        parameters = inspect.signature(self.build).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


_ENTRIES: dict[str, Entry] = {}


def register(
    name: str, *, sees: str, coordinates: Coordinates = "parts"
) -> Callable[[Callable[..., nn.Module]], Callable[..., nn.Module]]:
    """Make ``build(spec, *, setting=default, …) -> nn.Module`` known as an architecture.

    Parameters
    ----------
    name : the word for ``--arch``.
    sees : one phrase for ``skelemo models``: what reaches the network.
    coordinates : ``parts`` for keypoints normalised by part, ``frame`` for keypoints in the picture.
    """

    def add(build: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        if name in _ENTRIES:
            raise ConfigError(f"architecture {name!r} is registered twice, by {build.__module__} and another")
        _ENTRIES[name] = Entry(name, build, sees, coordinates)
        return build

    return add


@cache
def _load_all() -> None:
    for module in pkgutil.iter_modules(skelemo.models.__path__, "skelemo.models."):
        importlib.import_module(module.name)


def entry(name: str) -> Entry:
    """The architecture of that name; an unknown one raises `ConfigError` with the known ones."""
    _load_all()
    if name not in _ENTRIES:
        raise unknown("architecture", name, _ENTRIES)
    return _ENTRIES[name]


def list_models(pattern: str = "*") -> list[str]:
    """Names of the registered architectures that match a shell pattern, sorted."""
    _load_all()
    return sorted(name for name in _ENTRIES if fnmatch(name, pattern))


def create(
    name: str,
    *,
    layout_name: str = DEFAULT_LAYOUT,
    heads: Sequence[str] = ("expression",),
    classes: int = 7,
    frames: int = 1,
    channels: int = 3,
    **settings: Any,
) -> nn.Module:
    """Build a network that maps ``(keypoints [B, T, V, C], mask [B, T])`` to ``{head: tensor}``.

    ``expression`` gives logits ``[B, classes]``, ``va`` gives valence and arousal ``[B, 2]`` in [-1, 1].

    Raises
    ------
    ConfigError
        An unknown architecture, head or setting; the message names the nearest known one.
    """
    chosen = entry(name)
    for head in heads:
        if head not in HEADS:
            raise unknown("head", head, HEADS)
    for setting in settings:
        if setting not in chosen.settings:
            raise unknown(f"setting of {name}", setting, chosen.settings)
    spec = Spec(layout(layout_name), tuple(heads), classes, frames, channels)
    return chosen.build(spec, **settings)
