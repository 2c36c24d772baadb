"""Architectures by name, the heads that all of them end in, and the paper's own."""

import re

import pytest
import torch
from torch import nn

from skelemo import models
from skelemo.errors import ConfigError
from skelemo.models import registry
from skelemo.models.heads import Heads, masked_mean
from skelemo.models.registry import Spec, create, entry, list_models, register
from skelemo.targets import AU, EXPRESSION, VA, Head


class Zeros(nn.Module):
    """Answers zeros for every head."""

    def __init__(self, spec):
        super().__init__()
        self.heads = spec.heads

    def forward(self, keypoints, mask):
        return {head.name: torch.zeros(len(keypoints), len(head)) for head in self.heads}


@pytest.fixture
def toy(monkeypatch):
    """An architecture of this test alone; gives back what it was built with."""
    monkeypatch.setattr(registry.ARCHITECTURES, "_entries", dict(registry.ARCHITECTURES._entries))
    built = {}

    @register("toy", sees="nothing")
    def build(spec: Spec, *, width: int = 8, share: float = 0.5, on: bool = True, kind: str = "a", sizes: tuple = (1,),
              free: object = None) -> nn.Module:  # fmt: skip
        if width == 7:
            raise ValueError("seven does not go")
        built.update(spec=spec, width=width, share=share, on=on, kind=kind, sizes=sizes, free=free)
        return Zeros(spec)

    return built


THREE = Head("expression", "classes", ("a", "b", "c"))


def test_every_file_of_models_is_found_by_name():
    names = list_models()
    assert names == sorted(names)
    assert {"ann", "resnet18", "stgcn"} <= set(names)
    assert list_models("resnet*") == [name for name in names if name.startswith("resnet")]
    assert list_models("no such*") == []
    assert models.list_models is list_models
    assert models.create is create
    with pytest.raises(AttributeError, match="creat"):
        _ = models.creat


def test_every_entry_describes_its_input_and_settings():
    for name in list_models():
        found = entry(name)
        assert found.name == name
        assert found.facts.sees
        assert found.facts.coordinates in ("parts", "frame")
        assert all(default is not None for default in found.settings.values())


def test_a_name_is_given_once(toy):
    with pytest.raises(ConfigError, match="'toy' is registered twice"):
        register("toy", sees="nothing")(lambda spec: nn.Identity())


def test_settings_reach_the_builder_and_the_rest_keep_their_defaults(toy):
    create("toy", layout_name="face_70", heads=["va"], frames=9, width=16, share=1, sizes=[3, 4], free={"a": 1})
    assert toy["spec"].layout.name == "face_70"
    assert (toy["spec"].heads, toy["spec"].frames) == ((VA,), 9)
    assert (toy["width"], toy["share"], toy["on"], toy["kind"], toy["sizes"]) == (16, 1, True, "a", (3, 4))
    create("toy", sizes=5)
    assert toy["sizes"] == (5,)
    assert entry("toy").settings["width"] == 8


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"widht": 3}, "unknown setting of toy 'widht': did you mean 'width'"),
        ({"width": "8"}, "setting width of toy is '8'; expected a whole number, 0 or more, e.g. 8"),
        ({"width": 8.5}, "expected a whole number"),
        ({"width": -8}, "expected a whole number, 0 or more"),
        ({"width": True}, "expected a whole number"),
        ({"width": None}, "expected a whole number"),
        ({"share": "half"}, "share of toy is 'half'; expected a number"),
        ({"share": float("nan")}, "expected a number"),
        ({"on": 1}, "expected true or false"),
        ({"kind": 3}, "expected text"),
        ({"sizes": [3, "4"]}, "expected a list, each item a whole number"),
        ({"sizes": {"a": 1}}, "expected a list"),
        ({"width": 7}, "toy cannot be built with width=7: seven does not go"),
        ({"heads": ("expresion",)}, "unknown head 'expresion': did you mean 'expression'"),
        ({"heads": ()}, "heads"),
        ({"heads": ("va", "va")}, "heads"),
        ({"frames": 0}, "0 frames"),
        ({"layout_name": "body_26"}, "body_26"),
    ],
)
def test_an_unbuildable_network_is_a_one_line_error(toy, settings, said):
    with pytest.raises(ConfigError, match=re.escape(said)) as error:
        create("toy", **settings)
    assert "\n" not in str(error.value)


class Wrong(nn.Module):
    """A network of a user's with one of the usual faults."""

    def __init__(self, spec, fault):
        super().__init__()
        self.fault, self.zeros = fault, Zeros(spec)
        self.layer = nn.Linear(3, 3)

    def forward(self, keypoints, mask):
        if self.fault == "typo":
            return self.zeroes(keypoints, mask)
        if self.fault == "size":
            return self.layer(keypoints.flatten(1))
        found = self.zeros(keypoints, mask)
        return found["expression"] if self.fault == "tensor" else {"expression": found["expression"][:, :3]}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("typo", "wrong fails on keypoints [2, 4, 95, 3] and mask [2, 4]: AttributeError: 'Wrong' object has no"),
        ("size", "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x1140 and 3x3)"),
        ("tensor", "wrong returned Tensor for two windows; expected {'expression': (2, 7)}"),
        ("shape", "wrong returned {'expression': (2, 3)} for two windows; expected {'expression': (2, 7)}"),
        ("none", "wrong returned NoneType; expected a torch.nn.Module"),
    ],
)
@pytest.mark.usefixtures("toy")
def test_an_error_in_a_users_network_is_one_line(fault, said):
    register("wrong")(lambda spec: None if fault == "none" else Wrong(spec, fault))
    with pytest.raises(ConfigError, match=re.escape(said)) as error:
        create("wrong", frames=4)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("toy")
def test_lazy_layers_of_a_users_network_get_their_sizes_when_it_is_created():
    @register("lazy")
    class Lazy(nn.Module):
        def __init__(self, spec):
            super().__init__()
            self.layer = nn.LazyLinear(7)

        def forward(self, keypoints, mask):
            return {"expression": self.layer(keypoints.flatten(1))}

    assert create("lazy", frames=4).layer.weight.shape == (7, 4 * 95 * 3)


def test_an_unknown_architecture_offers_the_nearest():
    with pytest.raises(ConfigError, match="unknown architecture 'resnet_18': did you mean 'resnet18'"):
        create("resnet_18")


# Heads


def test_heads_are_linear_layers_and_values_stay_in_range():
    pain = Head("pain", "values", ("pain",), 0, 10)
    heads = Heads(5, (EXPRESSION, VA, pain, AU))
    features = torch.randn(4, 5) * 100
    found = heads(features)
    expression, va, scale = heads.expression_head, heads.va_head, heads.pain_head
    torch.testing.assert_close(found["expression"], features @ expression.weight.T + expression.bias)
    torch.testing.assert_close(found["va"], torch.tanh(features @ va.weight.T + va.bias))
    assert found["expression"].shape == (4, 7)
    assert found["va"].abs().max() <= 1
    torch.testing.assert_close(found["pain"], 5 + 5 * torch.tanh(features @ scale.weight.T + scale.bias))
    torch.testing.assert_close(found["au"], heads.au_head(features))
    assert set(Heads(5, (VA,))(features)) == {"va"}


def test_the_mean_counts_only_visible_frames():
    values, mask = torch.randn(3, 6, 2), torch.rand(3, 6) < 0.5
    mask[2] = False
    found = masked_mean(values, mask)
    for index in range(2):
        torch.testing.assert_close(found[index], values[index][mask[index]].mean(0))
    assert torch.equal(found[2], torch.zeros(2))


# The paper's linear layers


def linear(model):
    return [(layer.in_features, layer.out_features) for layer in model.modules() if isinstance(layer, nn.Linear)]


def test_the_ann_has_the_papers_layers():
    inputs = 95 * 3
    assert linear(create("ann", width=512)) == [(inputs, 512), (512, 256), (256, 128), (128, 7)]
    shared = [(inputs, 512), (512, 256), (256, 128)]
    assert sorted(linear(create("ann", width=512, heads=("va",)))) == sorted([*shared, (128, 2)])
    both = create("ann", width=512, heads=(THREE, VA), frames=4, layout_name="body_25")
    assert len(linear(both)) == 8
    assert linear(both)[0] == (4 * 25 * 3, 512)


@pytest.mark.parametrize("heads", [("expression",), ("va",), ("expression", "va")])
@pytest.mark.parametrize("standardize", [True, False])
def test_the_ann_predicts_the_requested_heads_and_trains(heads, standardize):
    torch.manual_seed(0)
    chosen = [THREE if head == "expression" else head for head in heads]
    model = create("ann", layout_name="body_25", heads=chosen, frames=2, width=32, standardize=standardize)
    keypoints, mask = torch.randn(16, 2, 25, 3), torch.ones(16, 2, dtype=torch.bool)
    found = model(keypoints, mask)
    assert set(found) == set(heads)
    assert all(output.shape == (16, {"expression": 3, "va": 2}[head]) for head, output in found.items())
    if "va" in found:
        assert found["va"].abs().max() <= 1
    sum(output.square().sum() for output in found.values()).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


def test_masked_frames_do_not_affect_the_ann():
    model = create("ann", layout_name="body_25", frames=3).eval()
    keypoints, mask = torch.randn(5, 3, 25, 3), torch.tensor([[True, False, True]]).expand(5, 3)
    other = keypoints.clone()
    other[:, 1] = 99
    assert torch.equal(model(keypoints, mask)["expression"], model(other, mask)["expression"])


def test_the_ann_standardizes_what_it_was_trained_on():
    torch.manual_seed(0)
    model = create("ann", layout_name="body_25", dropout=0.0)
    keypoints, mask = torch.randn(4096, 1, 25, 3) * 3 + 7, torch.ones(4096, 1, dtype=torch.bool)
    for _ in range(60):
        model(keypoints, mask)
    keypoints[:, :, 4] = 0  # never visible
    keypoints[::2, :, 7] = 0
    standardized = model.eval().streams(keypoints, mask)[:, 0, :, :2]
    visible = keypoints[:, 0, :, 2] > 0
    for joint in (0, 7):
        values = standardized[visible[:, joint], joint]
        torch.testing.assert_close(values.mean(0), torch.zeros(2), atol=0.05, rtol=0)
        torch.testing.assert_close(values.std(0), torch.ones(2), atol=0.05, rtol=0)
    assert not standardized[~visible].any()


def test_an_ann_too_narrow_for_its_third_layer_is_refused():
    with pytest.raises(ConfigError, match="width 3 of ann"):
        create("ann", width=3)


def test_the_anns_activation_lies_between_its_layers():
    keypoints, mask = torch.randn(5, 1, 25, 3).abs(), torch.ones(5, 1, dtype=torch.bool)
    keypoints[..., 2] = 1
    for activation, formula in (("relu", lambda x: x.clamp(min=0)), ("silu", lambda x: x / (1 + torch.exp(-x)))):
        model = create("ann", layout_name="body_25", activation=activation, standardize=False).eval()
        first, second, third, last = (layer for layer in model.modules() if isinstance(layer, nn.Linear))
        expected = last(formula(third(formula(second(formula(first(keypoints.flatten(1))))))))
        torch.testing.assert_close(model(keypoints, mask)["expression"], expected)


def test_an_unknown_activation_is_refused():
    with pytest.raises(ConfigError, match="unknown activation 'selu': did you mean 'silu'"):
        create("ann", activation="selu")
