import math

import pytest
import torch
from torch import nn

from skelemo.errors import ConfigError
from skelemo.models.registry import create
from skelemo.training.config import load_config
from skelemo.training.optimizers import OPTIMIZERS, SCHEDULES, make_optimizer, make_schedules, parameter_groups


def rates(schedule: str, epochs: int) -> list[float]:
    """The learning rate at the start of each step."""
    config = load_config(None, {"schedule": schedule, "lr": 0.1})
    optimizer = make_optimizer(nn.Linear(2, 2), config)
    scheduler = make_schedules(optimizer, epochs, config)[0]["scheduler"]
    found = []
    for _ in range(epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_any_optimizer_of_torch_takes_a_step_downhill(name: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False))
    optimizer = make_optimizer(network, load_config(None, {"optimizer": name, "lr": 0.01}))
    inputs = torch.randn(16, 4)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = network(inputs).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_an_unknown_optimizer_or_schedule_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown optimizer 'nadm': did you mean 'nadam'"):
        load_config(None, {"optimizer": "nadm"})
    with pytest.raises(ConfigError, match="unknown schedule 'cosin': did you mean 'cosine'"):
        load_config(None, {"schedule": "cosin"})
    assert set(SCHEDULES) == {"constant", "cosine", "onecycle", "plateau"}


@pytest.mark.parametrize(
    ("arch", "undecayed"),
    [
        ("ann", {"bias"}),
        ("graph_transformer", {"bias", "hop_bias", "kind_bias", "joint"}),
        ("gat", {"bias", "joint"}),
        ("vit_s16", {"bias", "class_token", "pos_embedding"}),
        ("gru", {"bias"}),
    ],
)
def test_norms_biases_and_embeddings_of_positions_are_not_decayed(arch: str, undecayed: set[str]) -> None:
    network = create(arch, frames=4)
    free = {id(p) for group in parameter_groups(network, 1.0) if "weight_decay" in group for p in group["params"]}
    norms = (nn.LayerNorm, nn.BatchNorm1d, nn.BatchNorm2d)
    in_norms = {id(p) for module in network.modules() if isinstance(module, norms) for p in module.parameters()}
    named = {name: p for name, p in network.named_parameters() if p.requires_grad}
    assert in_norms <= free
    for name, parameter in named.items():
        last = name.rpartition(".")[2]
        expected = id(parameter) in in_norms or parameter.ndim < 2 or last in undecayed
        assert (id(parameter) in free) == expected, name
    assert undecayed <= {name.rpartition(".")[2] for name in named}


def test_a_decayed_weight_shrinks_and_a_bias_does_not() -> None:
    network = nn.Linear(2, 2)
    nn.init.ones_(network.weight)
    nn.init.ones_(network.bias)
    optimizer = make_optimizer(network, load_config(None, {"optimizer": "adamw", "lr": 0.1, "weight_decay": 0.5}))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(network.weight, torch.full((2, 2), 0.95))
    torch.testing.assert_close(network.bias, torch.ones(2))


def test_a_backbone_learns_at_its_own_rate() -> None:
    network = nn.ModuleDict({"encoder": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    network.backbone_parameters = network["encoder"].parameters  # type: ignore[assignment]
    optimizer = make_optimizer(network, load_config(None, {"lr": 0.1, "backbone_lr": 0.01}))
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {rate[id(p)] for p in network["encoder"].parameters()} == {0.1 * 0.01}
    assert {rate[id(p)] for p in network["head"].parameters()} == {0.1}


def test_a_cosine_falls_from_the_rate_to_zero() -> None:
    expected = [0.05 * (1 + math.cos(math.pi * step / 10)) for step in range(10)]
    assert rates("cosine", 10) == pytest.approx(expected)


def test_onecycle_peaks_at_the_rate_and_keeps_momentum() -> None:
    config = load_config(None, {"optimizer": "sgd", "schedule": "onecycle", "lr": 0.1, "momentum": 0.7})
    optimizer = make_optimizer(nn.Linear(2, 2), config)
    scheduler = make_schedules(optimizer, 20, config)[0]["scheduler"]
    momenta, found = set(), []
    for _ in range(20):
        momenta.add(optimizer.param_groups[0]["momentum"])
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert momenta == {0.7}
    assert max(found) == pytest.approx(0.1)
    assert found[0] < 0.01 > found[-1]


@pytest.mark.parametrize("best", [0.5, -0.5])
@pytest.mark.parametrize(("patience", "expected"), [(0, [0.1, 0.1, 0.01, 0.001]), (1, [0.1, 0.1, 0.1, 0.01])])
def test_a_plateau_waits_for_its_patience_even_0(patience: int, expected: list[float], best: float) -> None:
    config = load_config(None, {"schedule": "plateau", "lr": 0.1, "plateau_patience": patience})
    optimizer = make_optimizer(nn.Linear(2, 2), config)
    scheduler = make_schedules(optimizer, 4, config)[0]["scheduler"]
    found = []
    for score in (best, best, best - 0.1, best - 0.2):
        found.append(optimizer.param_groups[0]["lr"])
        scheduler.step(score)
    assert found == pytest.approx(expected)


def rates_with_warmup(schedule: str) -> list[float]:
    config = load_config(None, {"schedule": schedule, "lr": 0.1, "warmup": 4})
    optimizer = make_optimizer(nn.Linear(2, 2), config)
    schedulers = [one["scheduler"] for one in make_schedules(optimizer, 14, config)]
    found = []
    for _ in range(14):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedulers[0].step()
    return found


def test_a_warm_up_rises_in_a_line_and_the_schedule_has_the_rest() -> None:
    rising = [0.1 * (0.001 + 0.999 * step / 4) for step in range(4)]
    falling = [0.05 * (1 + math.cos(math.pi * step / 10)) for step in range(10)]
    assert rates_with_warmup("cosine") == pytest.approx(rising + falling)
    assert rates_with_warmup("constant") == pytest.approx(rising + [0.1] * 10)
    assert rates_with_warmup("plateau") == pytest.approx(rising + [0.1] * 10)


def test_a_warm_up_that_does_not_fit_is_refused() -> None:
    optimizer = make_optimizer(nn.Linear(2, 2), load_config(None, {}))
    with pytest.raises(ConfigError, match="warmup is 20 steps, but the training has only 14"):
        make_schedules(optimizer, 14, load_config(None, {"warmup": 20}))
    with pytest.raises(ConfigError, match="onecycle includes a warm-up"):
        make_schedules(optimizer, 14, load_config(None, {"warmup": 2, "schedule": "onecycle"}))


def test_learned_weights_of_losses_are_not_decayed() -> None:
    extra = nn.Parameter(torch.zeros(2))
    groups = make_optimizer(nn.Linear(2, 2), load_config(None, {"weight_decay": 0.1}), [extra]).param_groups
    decay = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    assert decay[id(extra)] == 0
    assert max(decay.values()) == 0.1


def test_sgd_has_nesterov_momentum() -> None:
    for momentum in (0.9, 0.0):
        config = load_config(None, {"optimizer": "sgd", "momentum": momentum})
        (group, *_) = make_optimizer(nn.Linear(2, 2), config).param_groups
        assert (group["momentum"], group["nesterov"]) == (momentum, momentum > 0)
