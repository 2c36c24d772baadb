"""Architectures by name: a file of `skelemo.models` registers one function per variant, everybody else asks here."""

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from typing import Any, Literal

from torch import nn

import skelemo.models
from skelemo.errors import ConfigError, unknown
from skelemo.skeleton import DEFAULT_LAYOUT, Layout, layout
from skelemo.targets import AU, EXPRESSION, VA, Head

Coordinates = Literal["parts", "frame"]
#: Heads that `create` knows by name; any other is given as a `Head`.
HEADS = {head.name: head for head in (EXPRESSION, VA, AU)}
#: Settings that say where training begins, and nothing of the network that comes of it.
INITIAL = ("weights",)


@dataclass(frozen=True)
class Spec:
    """What a network is built for: the batch it will see and the heads that it must serve."""

    layout: Layout
    heads: tuple[Head, ...]
    frames: int
    channels: int = 3


@dataclass(frozen=True)
class Entry:
    """A registered architecture."""

    name: str
    build: Callable[..., nn.Module]
    sees: str
    coordinates: Coordinates
    fitted: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the architecture takes, with their defaults."""
        parameters = inspect.signature(self.build).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


_ENTRIES: dict[str, Entry] = {}


def register(
    name: str, *, sees: str, coordinates: Coordinates = "parts", fitted: bool = False
) -> Callable[[Callable[..., nn.Module]], Callable[..., nn.Module]]:
    """Make ``build(spec, *, setting=default, …) -> nn.Module`` known as an architecture.

    Parameters
    ----------
    name : the word for ``--arch``.
    sees : one phrase for ``skelemo models``: what reaches the network.
    coordinates : ``parts`` for keypoints normalized by part, ``frame`` for keypoints in the picture; such a network
        also takes ``frame_size [B, 2]``, the width and height of the pictures in pixels, or None where unknown.
    fitted : a baseline, which has `skelemo.models.baselines.Baseline.fit` in place of gradients.
    """

    def add(build: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        if name in _ENTRIES:
            raise ConfigError(f"architecture {name!r} is registered twice, by {build.__module__} and another")
        _ENTRIES[name] = Entry(name, build, sees, coordinates, fitted)
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


def list_models(pattern: str = "*", *, fitted: bool = False) -> list[str]:
    """Names of the registered networks (or of the baselines) that match a shell pattern, sorted."""
    _load_all()
    return sorted(name for name, one in _ENTRIES.items() if fnmatch(name, pattern) and one.fitted == fitted)


def create(
    name: str,
    *,
    layout_name: str = DEFAULT_LAYOUT,
    heads: Sequence[Head | str] = (EXPRESSION,),
    frames: int = 1,
    channels: int = 3,
    **settings: Any,
) -> nn.Module:
    """Build a network that maps ``(keypoints [B, T, V, C], mask [B, T])`` to ``{head: [B, K]}``.

    Classes and flags are logits, values lie within the head's range.

    Parameters
    ----------
    heads : `Head` objects, or names of `HEADS`.

    Raises
    ------
    ConfigError
        An unknown architecture, head or setting, where the message names the nearest known one; a setting of another
        type than its default, or one that the architecture, or this machine's memory, cannot be built with.
    """
    chosen = entry(name)
    found = []
    for head in heads:
        if not isinstance(head, Head) and head not in HEADS:
            raise unknown("head", head, HEADS)
        found.append(head if isinstance(head, Head) else HEADS[head])
    names = [head.name for head in found]
    if not names or len(set(names)) < len(names) or min(frames, channels) < 1:
        raise ConfigError(f"{name} for the heads {names} and {frames} frames: expected one or more, each head once")
    spec = Spec(layout(layout_name), tuple(found), frames, channels)
    given = {setting: checked(name, chosen.settings, setting, value) for setting, value in settings.items()}
    try:
        return chosen.build(spec, **given)
    except (ValueError, ArithmeticError, RuntimeError, TypeError, MemoryError) as error:
        said = ", ".join(f"{setting}={value}" for setting, value in given.items())
        why = str(error).partition("\n")[0]
        raise ConfigError(f"{name} cannot be built with {said or 'its defaults'}: {why}") from error


def lasting(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a network is built with again when its own weights are at hand."""
    return {name: value for name, value in settings.items() if name not in INITIAL}


def checked(name: str, defaults: Mapping[str, Any], setting: str, value: Any) -> Any:
    """The value of a setting of ``name``, which is of the same kind as its default; lists become tuples.

    Raises
    ------
    ConfigError
        It is of another kind, or there is no such setting.
    """
    if setting not in defaults:
        raise unknown(f"setting of {name}", setting, defaults)
    default = defaults[setting]
    if isinstance(default, tuple):
        items = tuple(value) if isinstance(value, list | tuple) else (value,)
        if not default or all(_is_like(item, default[0]) for item in items):
            return items
        expected = f"a list, each item {_kind(default[0])}"
    elif _is_like(value, default):
        return value
    else:
        expected = _kind(default)
    raise ConfigError(f"setting {setting} of {name} is {value!r}; expected {expected}, as in {default!r}")


def _is_like(value: Any, default: Any) -> bool:
    if default is None:
        return True
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, float):
        return isinstance(value, int | float) and -math.inf < value < math.inf
    if isinstance(default, int):
        return isinstance(value, int) and value >= 0
    return isinstance(value, type(default))


def _kind(default: Any) -> str:
    kinds = {bool: "true or false", int: "a whole number, 0 or more", float: "a number", str: "text"}
    return kinds.get(type(default), type(default).__name__)
