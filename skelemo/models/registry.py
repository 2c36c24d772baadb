"""Registry of architectures, and their cost."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from skelemo import plugins
from skelemo.errors import ConfigError, unknown
from skelemo.skeleton import DEFAULT_LAYOUT, Layout, layout
from skelemo.targets import EXPRESSION, USUAL, Head

Coordinates = Literal["parts", "frame"]
Build = TypeVar("Build", bound=Callable[..., nn.Module])
#: Settings that only initialize a network.
INITIAL = ("weights",)


@dataclass(frozen=True)
class Spec:
    """Shape of a network's input, and its heads."""

    layout: Layout
    heads: tuple[Head, ...]
    frames: int


@dataclass(frozen=True)
class Facts:
    """Properties of a registered architecture."""

    sees: str = "normalized keypoints of the window"
    coordinates: Coordinates = "parts"
    fitted: bool = False


ARCHITECTURES = plugins.Registry("architecture", "skelemo.models", package="skelemo.models", default=Facts())


def register(
    name: str, *, sees: str = Facts.sees, coordinates: Coordinates = "parts", fitted: bool = False
) -> Callable[[Build], Build]:
    """Register ``build(spec, *, setting=default, …) -> nn.Module`` as an architecture.

    Parameters
    ----------
    name : for ``--arch``.
    sees : the input in one phrase, for ``skelemo models``.
    coordinates : ``parts`` for keypoints normalized by part, ``frame`` for keypoints in image coordinates; such a
        network also takes ``frame_size [B, 2]``, the width and height of the images in pixels, or None if unknown.
    fitted : a baseline, trained by `skelemo.models.baselines.Baseline.fit` instead of gradients.
    """
    return ARCHITECTURES.register(name, Facts(sees, coordinates, fitted))


def entry(name: str) -> plugins.Entry[Facts]:
    """The architecture called ``name``; raises `ConfigError` with the known ones if unknown."""
    return ARCHITECTURES[name]


def list_models(pattern: str = "*", *, fitted: bool = False) -> list[str]:
    """Names of the registered networks (or of the baselines) that match a shell pattern, sorted."""
    return [name for name in ARCHITECTURES.names(pattern) if ARCHITECTURES[name].facts.fitted == fitted]


def create(
    name: str,
    *,
    layout_name: str = DEFAULT_LAYOUT,
    heads: Sequence[Head | str] = (EXPRESSION,),
    frames: int = 1,
    **settings: Any,
) -> nn.Module:
    """Build a network that maps ``(keypoints [B, T, V, 3], mask [B, T])`` to ``{head: [B, K]}``.

    Outputs are logits for classes and flags, and values within the head's range.

    Parameters
    ----------
    heads : `Head` objects, or names of `skelemo.targets.USUAL`.

    Raises
    ------
    ConfigError
        An unknown architecture, head or setting (the message names the nearest known one); a setting of the wrong type,
        or with which the architecture cannot be built.
    """
    chosen = entry(name)
    found = []
    for head in heads:
        if not isinstance(head, Head) and head not in USUAL:
            raise unknown("head", head, USUAL)
        found.append(head if isinstance(head, Head) else USUAL[head])
    names = [head.name for head in found]
    if not names or len(set(names)) < len(names) or frames < 1:
        raise ConfigError(
            f"{name}: heads {names}, {frames} frames; expected at least one of each, heads without repeats"
        )
    spec = Spec(layout(layout_name), tuple(found), frames)
    given = {setting: checked(name, chosen.settings, setting, value) for setting, value in settings.items()}
    try:
        network = chosen.function(spec, **given)
    except (ValueError, ArithmeticError, RuntimeError, TypeError, MemoryError) as error:
        listed = ", ".join(f"{setting}={value}" for setting, value in given.items())
        why = str(error).partition("\n")[0]
        raise ConfigError(f"{name} cannot be built with {listed or 'its defaults'}: {why}") from error
    if not chosen.facts.fitted and not chosen.function.__module__.startswith("skelemo."):
        _require_usable(chosen, network, spec)
    return network


def _require_usable(chosen: plugins.Entry[Facts], network: nn.Module, spec: Spec) -> None:
    """Test another package's network on two windows.

    Raises `ConfigError`: not a module, an error in forward, or outputs of the wrong shape.
    """
    name = chosen.name
    if not isinstance(network, nn.Module):
        raise ConfigError(f"{name} returned {type(network).__name__}; expected a torch.nn.Module")
    keypoints = torch.rand(2, spec.frames, len(spec.layout), 3)
    inputs: list[Tensor | None] = [keypoints, torch.ones(2, spec.frames, dtype=torch.bool)]
    training = network.training
    try:
        with torch.no_grad():
            found = network.eval()(*inputs, *([None] if chosen.facts.coordinates == "frame" else []))
    except Exception as error:
        why = (str(error).splitlines() or [""])[0]
        raise ConfigError(
            f"{name} fails on keypoints {list(keypoints.shape)} and mask {[2, spec.frames]}: "
            f"{type(error).__name__}: {why}"
        ) from error
    finally:
        network.train(training)
    expected = {head.name: (2, len(head)) for head in spec.heads}
    shapes = (
        {key: tuple(getattr(value, "shape", ())) for key, value in found.items()} if isinstance(found, dict) else {}
    )
    if shapes != expected:
        got = shapes if isinstance(found, dict) else type(found).__name__
        raise ConfigError(f"{name} returned {got} for two windows; expected {expected}")


def cost(model: nn.Module, spec: Spec) -> tuple[int, int]:
    """Number of parameters, and FLOPs of a forward pass on one window of ``spec.frames`` visible frames.

    A multiply-add counts as two. Only matrix products, convolutions and attention are counted.
    """
    parameters = sum(parameter.numel() for parameter in model.parameters())
    device = next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))
    keypoints = torch.zeros(1, spec.frames, len(spec.layout), 3, device=device)
    mask = torch.ones(1, spec.frames, dtype=torch.bool, device=device)
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(keypoints, mask)
    finally:
        model.train(training)
    return parameters, counter.get_total_flops()


def cost_of(
    name: str,
    *,
    layout_name: str = DEFAULT_LAYOUT,
    heads: Sequence[Head | str] = (EXPRESSION,),
    frames: int = 1,
    **settings: Any,
) -> tuple[int, int]:
    """The `cost` of a registered architecture, on the meta device if it can be built there.

    Raises as `skelemo.models.create`.
    """
    spec = Spec(layout(layout_name), (), frames)
    setting = {"layout_name": layout_name, "heads": heads, "frames": frames, **settings}
    try:
        with torch.device("meta"):
            return cost(create(name, **setting), spec)
    except Exception:  # the network inspects values
        return cost(create(name, **setting), spec)


def lasting(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings needed to rebuild a network whose weights are loaded afterwards."""
    return {name: value for name, value in settings.items() if name not in INITIAL}


def checked(name: str, defaults: Mapping[str, Any], setting: str, value: Any) -> Any:
    """Validate the type of a setting against its default; lists become tuples.

    Raises `ConfigError`: an unknown setting or another type.
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
    raise ConfigError(f"setting {setting} of {name} is {value!r}; expected {expected}, e.g. {default!r}")


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
