"""What an architecture costs: parameters, and floating-point operations for one window."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from skelemo.models.registry import Spec, create
from skelemo.skeleton import DEFAULT_LAYOUT, layout
from skelemo.targets import EXPRESSION, Head


def cost(model: nn.Module, spec: Spec) -> tuple[int, int]:
    """Parameters of a network, and operations of its forward pass on one window of ``spec.frames`` seen frames.

    A multiplication and an addition count as two operations. Counted are matrix products, convolutions and attention;
    drawing, normalizing and element-wise steps are not.
    """
    parameters = sum(parameter.numel() for parameter in model.parameters())
    device = next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))
    keypoints = torch.zeros(1, spec.frames, len(spec.layout), spec.channels, device=device)
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
    """The `cost` of a registered architecture, without memory or arithmetic where it can be built on the meta device.

    Raises
    ------
    ConfigError
        As `skelemo.models.create`.
    """
    spec = Spec(layout(layout_name), (), frames)
    setting = {"layout_name": layout_name, "heads": heads, "frames": frames, **settings}
    try:
        with torch.device("meta"):
            return cost(create(name, **setting), spec)
    except Exception:  # an architecture that asks a tensor for its values; a mistake of the caller's comes up again
        return cost(create(name, **setting), spec)
