"""ST-GCN++ and CTR-GCN against the formulas of PYSKL (`gcn.py`, `tcn.py`, `graph.py`), written out in [N, C, T, V]."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelemo.models.graph import center, directed_partition, hops
from skelemo.models.joint_layers import Frames, LinearNorm
from skelemo.models.registry import Spec, entry
from skelemo.skeleton import COCO_18, Layout
from skelemo.targets import EXPRESSION

COCO = Layout("coco_18", (COCO_18,))
# PYSKL's `openpose` skeleton: (child, parent) in the same 18 keypoints. Ours joins knees to hips likewise, hips to the
# neck in place of the shoulders, and so has these pairs in their place.
INWARD = [(4, 3), (3, 2), (7, 6), (6, 5), (13, 12), (12, 11), (10, 9), (9, 8), (11, 1), (8, 1), (5, 1), (2, 1), (0, 1)]
INWARD += [(15, 0), (14, 0), (17, 15), (16, 14)]


def published_adjacency() -> np.ndarray:
    """Identity, inward and outward edges; each matrix divided by the sums of its columns."""
    matrices = np.zeros((3, 18, 18))
    matrices[0] = np.eye(18)
    for child, parent in INWARD:
        matrices[1, parent, child] = 1
        matrices[2, child, parent] = 1
    for matrix in matrices:
        for column in range(18):
            if matrix[:, column].any():
                matrix[:, column] /= matrix[:, column].sum()
    return matrices


def test_the_learned_adjacency_starts_as_published():
    assert center(COCO) == 1
    np.testing.assert_allclose(directed_partition(COCO).numpy(), published_adjacency(), atol=1e-7)
    for name in ("stgcnpp", "ctrgcn"):
        model = entry(name).function(Spec(COCO, (EXPRESSION,), 8), widths=(8,))
        found = [value for key, value in model.named_parameters() if key.endswith("adjacency")]
        np.testing.assert_allclose(found[0].detach().numpy(), published_adjacency(), atol=1e-7)


def test_neighbors_at_one_distance_from_the_center_count_as_inward():
    layout = Layout("coco_18", (COCO_18,))
    distance = hops(layout)[center(layout)]
    inward = directed_partition(layout)[1] > 0
    for source, target in inward.nonzero().tolist():
        assert distance[source] <= distance[target]


def linear_norm(x: Tensor, layer: LinearNorm | nn.Linear) -> Tensor:
    """A 1 × 1 convolution of ``[N, C, T, V]``, with batch norm where the layer has it."""
    linear = layer.linear if isinstance(layer, LinearNorm) else layer
    out = F.conv2d(x, linear.weight[..., None, None], linear.bias)
    return norm(out, layer.norm) if isinstance(layer, LinearNorm) else out


def norm(x: Tensor, layer: nn.BatchNorm1d) -> Tensor:
    return F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=layer.eps)


def shortcut(x: Tensor, layer: nn.Module, stride: int = 1) -> Tensor:
    return x if layer.project is None else linear_norm(x[:, :, ::stride], layer.project)


def branches(x: Tensor, time: nn.Module, stride: int) -> Tensor:
    """``mstcn``: dilated convolutions, a maximum and a 1 × 1 convolution of shares of the channels, mixed."""
    entered = torch.relu(linear_norm(x, time.branch_proj[0]))
    *parts, peak = entered.split(time.widths, 1)
    outputs = [
        F.conv2d(part, conv.weight, conv.bias, (stride, 1), conv.padding, conv.dilation)
        for part, conv in zip(parts, time.convs, strict=True)
    ]
    outputs.append(F.max_pool2d(peak, (3, 1), (stride, 1), (1, 0)))
    outputs.append(linear_norm(x, time.skip_proj)[:, :, ::stride])
    return linear_norm(torch.relu(norm(torch.cat(outputs, 1), time.out_proj[0])), time.out_proj[2])


def published_stgcnpp(x: Tensor, unit: nn.Module) -> Tensor:
    """``unit_gcn`` with ``adaptive="init"``, ``conv_pos="post"`` and a residual way."""
    gathered = torch.einsum("nctv,kvw->nkctw", x, unit.conv.adjacency).flatten(1, 2)
    return torch.relu(linear_norm(gathered, unit.conv.mix) + shortcut(x, unit.shortcut))


def published_ctrgcn(x: Tensor, unit: nn.Module) -> Tensor:
    """``unit_ctrgcn``: one ``CTRGC`` for each matrix, summed."""
    total = torch.zeros(())
    for k in range(3):

        def of(layer: nn.Linear, k: int = k) -> tuple[Tensor, Tensor]:
            return layer.weight.chunk(3)[k][..., None, None], layer.bias.chunk(3)[k]

        source, target = (F.conv2d(x, *of(layer)).mean(2) for layer in (unit.source, unit.target))
        difference = torch.tanh(source[..., :, None] - target[..., None, :])  # [N, R, giving, receiving]
        refined = torch.einsum("cr,nruv->ncuv", unit.refine[k], difference) * unit.alpha + unit.adjacency[k]
        total = total + torch.einsum("ncuv,nctu->nctv", refined, F.conv2d(x, *of(unit.value)))
    return torch.relu(norm(total, unit.norm) + shortcut(x, unit.shortcut))


def a_network(name: str, **settings: object) -> tuple[nn.Module, Tensor, Tensor, Frames]:
    """A network with three blocks and random weights, an input as ``[N, C, T, V]`` and as rows of frames."""
    torch.manual_seed(0)
    model = entry(name).function(Spec(COCO, (EXPRESSION,), 8), widths=(12, 12, 18), **settings)
    for key, value in [*model.named_parameters(), *model.named_buffers()]:
        if "running_var" in key:
            nn.init.uniform_(value, 0.5, 2)
        elif "adjacency" not in key and value.is_floating_point():
            nn.init.normal_(value, std=0.3)
    x = torch.randn(2, 3, 8, 18)
    frames = Frames.of(torch.ones(2, 8, dtype=torch.bool), training=False)
    rows = frames.pack(x.permute(0, 2, 3, 1))
    return model.eval(), x, rows, frames


@pytest.mark.parametrize(("name", "published"), [("stgcnpp", published_stgcnpp), ("ctrgcn", published_ctrgcn)])
def test_every_block_computes_what_was_published(name, published):
    model, x, rows, frames = a_network(name, **({"group": 1} if name == "ctrgcn" else {}))
    with torch.no_grad():
        for number, block in enumerate(model.blocks):
            stride = 2 if number == 2 else 1
            out = branches(published(x, block.graph), block.time, stride)
            x = torch.relu(out if number == 0 else out + shortcut(x, block.shortcut, stride))
            rows, frames = block(rows, frames)
            found = frames.spread(rows).permute(0, 3, 1, 2)
            assert found.shape == x.shape
            assert float(x.std()) > 0.05
            torch.testing.assert_close(found, x, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["stgcn", "stgcnpp", "ctrgcn"])
def test_a_readout_weighs_every_joint_by_itself(name):
    torch.manual_seed(0)
    model = entry(name).function(Spec(COCO, (EXPRESSION,), 8), widths=(8,), readout=5).eval()
    kept: list[Tensor] = []
    model.blocks[-1].register_forward_hook(lambda _module, _inputs, outputs: kept.append(outputs[0]))
    mask = torch.ones(2, 8, dtype=torch.bool)
    mask[1, 3:] = False
    answer = model(torch.rand(2, 8, 18, 3), mask)["expression"]
    rows = kept[0].view(2, 8, 18, 8)
    layer = model.readout.frame_proj.linear
    joints = F.layer_norm(rows, (8,)).flatten(2) @ layer.weight.T + layer.bias
    frames = torch.relu(joints / (1 + model.readout.frame_proj.norm.eps) ** 0.5)
    clips = torch.stack([frames[0].mean(0), frames[1, :3].mean(0)])
    head = model.heads.expression_head
    torch.testing.assert_close(answer, clips @ head.weight.T + head.bias, atol=1e-5, rtol=1e-4)


def test_every_block_of_st_gcn_computes_what_was_published():
    """``st_gcn`` of the published code: graph convolution, ReLU, convolution over time, batch norm, residual, ReLU."""
    model, x, rows, frames = a_network("stgcn", kernel=5)
    with torch.no_grad():
        for number, block in enumerate(model.blocks):
            stride, graph = (2 if number == 2 else 1), block.graph
            gathered = torch.einsum("nctv,kvw->nkctw", x, graph.adjacency * graph.importance).flatten(1, 2)
            moved = F.conv2d(torch.relu(linear_norm(gathered, graph.mix)), block.time.weight, block.time.bias,
                             (stride, 1), (2, 0))  # fmt: skip
            out = norm(moved, block.norm)
            x = torch.relu(out if number == 0 else out + shortcut(x, block.shortcut, stride))
            rows, frames = block(rows, frames)
            torch.testing.assert_close(frames.spread(rows).permute(0, 3, 1, 2), x, atol=2e-5, rtol=1e-4)
            assert float(x.std()) > 0.05
