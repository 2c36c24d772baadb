"""Weights of image networks: what is read, from where, and what is refused."""

import hashlib
import pickle
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from skelemo.errors import ConfigError, InputError
from skelemo.models import create, weights
from skelemo.models.image import BACKBONES
from skelemo.models.registry import entry


def state_of(name: str, classes: int = 1000) -> dict[str, Tensor]:
    """A file's content as torchvision would write it: with its classifier."""
    entry(name)
    torch.manual_seed(3)
    return BACKBONES[name](classes=classes).state_dict()


def assert_has(name: str, file: Path | str, state: dict[str, Tensor], *, image_size: int = 32) -> None:
    network = create(name, view="person", image_size=image_size, weights=str(file))
    loaded = network.encoder.backbone.state_dict()
    assert loaded, "a backbone has weights"
    for key, tensor in loaded.items():
        torch.testing.assert_close(tensor, state[key], rtol=0, atol=0, msg=key)


@pytest.fixture
def resnet() -> dict[str, Tensor]:
    return state_of("resnet18_paper")


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_a_file_initializes_the_backbone_and_leaves_its_classifier(
    tmp_path: Path, resnet: dict[str, Tensor], suffix: str
) -> None:
    file = tmp_path / f"weights{suffix}"
    save_file(resnet, file) if suffix == ".safetensors" else torch.save(resnet, file)
    assert_has("resnet18_paper", file, resnet)


def test_a_file_in_torchs_old_format_and_without_counters_is_read(tmp_path: Path, resnet: dict[str, Tensor]) -> None:
    old = {key: tensor for key, tensor in resnet.items() if not key.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert_has("resnet18_paper", tmp_path / "old.pth", resnet)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_weights_are_found_in_a_checkpoint_of_parallel_training(
    tmp_path: Path, resnet: dict[str, Tensor], key: str
) -> None:
    wrapped = {key: {f"module.{name}": tensor for name, tensor in resnet.items()}, "epoch": 3}
    torch.save(wrapped, tmp_path / "checkpoint.pth")
    assert_has("resnet18_paper", tmp_path / "checkpoint.pth", resnet)


def test_a_trained_network_of_ones_own_starts_another(tmp_path: Path) -> None:
    trained = create("resnet18_paper", heads=("va",), image_size=32)
    save_file(trained.state_dict(), tmp_path / "model.safetensors")
    assert_has("resnet18_paper", tmp_path / "model.safetensors", trained.encoder.backbone.state_dict())


def test_half_precision_files_fill_a_network_in_full_precision(tmp_path: Path, resnet: dict[str, Tensor]) -> None:
    half = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in resnet.items()}
    save_file(half, tmp_path / "half.safetensors")
    network = create("resnet18_paper", image_size=32, weights=str(tmp_path / "half.safetensors"))
    assert network.encoder.backbone.conv1.weight.dtype == torch.float32
    torch.testing.assert_close(network.encoder.backbone.conv1.weight, half["conv1.weight"].float())


def test_densenet_files_with_dotted_layer_names_are_read(tmp_path: Path) -> None:
    state = state_of("densenet121")
    old = {re.sub(r"(denselayer\d+)\.(norm|conv)([12])\.", r"\1.\2.\3.", key): t for key, t in state.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    assert "features.transition1.norm.weight" in old
    torch.save(old, tmp_path / "densenet121.pth")
    assert_has("densenet121", tmp_path / "densenet121.pth", state)


def test_transformer_files_with_older_names_of_the_perceptron_are_read(tmp_path: Path) -> None:
    state = state_of("vit_s16")
    old = {key.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): t for key, t in state.items()}
    torch.save(old, tmp_path / "vit.pth")
    assert_has("vit_s16", tmp_path / "vit.pth", state, image_size=224)


# Today's name of every parameter of timm's first block and of its ends.
TIMM = {
    "cls_token": "class_token",
    "pos_embed": "encoder.pos_embedding",
    "patch_embed.proj.weight": "conv_proj.weight",
    "patch_embed.proj.bias": "conv_proj.bias",
    "blocks.0.norm1.weight": "encoder.layers.encoder_layer_0.ln_1.weight",
    "blocks.0.norm1.bias": "encoder.layers.encoder_layer_0.ln_1.bias",
    "blocks.0.attn.qkv.weight": "encoder.layers.encoder_layer_0.self_attention.in_proj_weight",
    "blocks.0.attn.qkv.bias": "encoder.layers.encoder_layer_0.self_attention.in_proj_bias",
    "blocks.0.attn.proj.weight": "encoder.layers.encoder_layer_0.self_attention.out_proj.weight",
    "blocks.0.attn.proj.bias": "encoder.layers.encoder_layer_0.self_attention.out_proj.bias",
    "blocks.0.norm2.weight": "encoder.layers.encoder_layer_0.ln_2.weight",
    "blocks.0.norm2.bias": "encoder.layers.encoder_layer_0.ln_2.bias",
    "blocks.0.mlp.fc1.weight": "encoder.layers.encoder_layer_0.mlp.0.weight",
    "blocks.0.mlp.fc1.bias": "encoder.layers.encoder_layer_0.mlp.0.bias",
    "blocks.0.mlp.fc2.weight": "encoder.layers.encoder_layer_0.mlp.3.weight",
    "blocks.0.mlp.fc2.bias": "encoder.layers.encoder_layer_0.mlp.3.bias",
    "norm.weight": "encoder.ln.weight",
    "norm.bias": "encoder.ln.bias",
    "head.weight": "heads.head.weight",
    "head.bias": "heads.head.bias",
}


def test_transformer_files_with_timms_names_are_read(tmp_path: Path) -> None:
    state = state_of("vit_s16")
    timm = {old: state[new] for old, new in TIMM.items() if not old.startswith("blocks")}
    for block in range(12):
        for old, new in TIMM.items():
            if old.startswith("blocks"):
                timm[old.replace(".0.", f".{block}.", 1)] = state[new.replace("layer_0", f"layer_{block}")]
    torch.save(timm, tmp_path / "timm.pth")
    assert_has("vit_s16", tmp_path / "timm.pth", state, image_size=224)


def test_positions_of_a_transformer_file_are_interpolated(tmp_path: Path) -> None:
    state = state_of("vit_s16")
    torch.save(state, tmp_path / "vit.pth")
    network = create("vit_s16", view="person", image_size=64, weights=str(tmp_path / "vit.pth"))
    found = network.encoder.backbone.encoder.pos_embedding
    assert found.shape == (1, 17, 384)
    torch.testing.assert_close(found[:, [0, 1, 16]], state["encoder.pos_embedding"][:, [0, 1, 196]])


class Attack:
    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.flag,)


@pytest.mark.parametrize("wrap", [lambda attack: attack, lambda attack: {"state_dict": {}, "hook": attack}])
def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path: Path, wrap) -> None:
    flag, file = tmp_path / "ran", tmp_path / "evil.pth"
    torch.save(wrap(Attack(flag)), file)
    with pytest.raises(InputError, match=r"evil\.pth: refused: it imports .*could run code") as error:
        create("resnet18_paper", image_size=32, weights=str(file))
    assert "\n" not in str(error.value)
    assert not flag.exists()
    pickle.loads(pickle.dumps(Attack(flag)))
    assert flag.exists(), "the attack is a real one"


def test_a_bare_pickle_that_would_run_code_is_refused_and_not_run(tmp_path: Path) -> None:
    flag, file = tmp_path / "ran", tmp_path / "evil.bin"
    file.write_bytes(pickle.dumps(Attack(flag)))
    with pytest.raises(InputError, match=r"evil\.bin: refused"):
        create("resnet18_paper", image_size=32, weights=str(file))
    assert not flag.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights", "half"])
def test_a_damaged_file_is_a_one_line_error(
    tmp_path: Path, resnet: dict[str, Tensor], suffix: str, content: bytes | str
) -> None:
    file = tmp_path / f"damaged{suffix}"
    save_file(resnet, file) if suffix == ".safetensors" else torch.save(resnet, file)
    file.write_bytes(file.read_bytes()[:100_000] if isinstance(content, str) else content)
    with pytest.raises(InputError, match=r"damaged\.\w+: (not a|refused)") as error:
        create("resnet18_paper", image_size=32, weights=str(file))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [3, {}, {"epoch": 3}, [torch.zeros(2)], torch.zeros(2)])
def test_a_file_without_named_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(InputError, match="no named tensors"):
        create("resnet18_paper", image_size=32, weights=str(tmp_path / "other.pth"))


def test_weights_of_another_network_are_refused_with_the_first_few_names(
    tmp_path: Path, resnet: dict[str, Tensor]
) -> None:
    torch.save(resnet, tmp_path / "paper.pth")
    with pytest.raises(InputError, match=r"another network: size mismatch for conv1\.weight: .*\[64, 3, 7, 7\]\)\.$"):
        create("resnet18", image_size=32, weights=str(tmp_path / "paper.pth"))
    other = {name.replace("layer4.1", "layer4.2"): value for name, value in resnet.items()}
    torch.save(other, tmp_path / "other.pth")
    listed = r"10 {} \(layer4\.{}\.conv1\.weight, layer4\.{}\.bn1\.weight, layer4\.{}\.bn1\.bias and 7 more\)"
    missing, unknown = (listed.format(*words) for words in (("missing", 1, 1, 1), ("unknown", 2, 2, 2)))
    with pytest.raises(InputError, match=missing):
        create("resnet18_paper", image_size=32, weights=str(tmp_path / "other.pth"))
    with pytest.raises(InputError, match=unknown.replace("10", "12").replace("7 more", "9 more")):
        create("resnet18_paper", image_size=32, weights=str(tmp_path / "other.pth"))


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, resnet: dict[str, Tensor]) -> None:
    resnet["layer2.0.conv1.weight"][0, 0, 0, 0] = float("nan")
    torch.save(resnet, tmp_path / "nan.pth")
    with pytest.raises(InputError, match=r"NaN in layer2\.0\.conv1\.weight"):
        create("resnet18_paper", image_size=32, weights=str(tmp_path / "nan.pth"))


@pytest.mark.parametrize(("file", "message"), [("gone.pth", "no such file"), ("here.txt", r"expected a \.safetensors")])
def test_a_missing_file_and_one_of_another_kind_are_named(tmp_path: Path, file: str, message: str) -> None:
    (tmp_path / "here.txt").write_text("weights")
    with pytest.raises(InputError, match=message):
        create("resnet18_paper", image_size=32, weights=str(tmp_path / file))


# --- the official files: here a folder stands for torchvision's server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resnet: dict[str, Tensor]) -> Path:
    """A server that offers a file for resnet18_paper, and an empty folder of torch.hub."""
    folder = tmp_path / "server"
    folder.mkdir()
    torch.save(resnet, folder / "plain.pth")
    digest = hashlib.sha256((folder / "plain.pth").read_bytes()).hexdigest()
    file = (folder / "plain.pth").rename(folder / f"resnet18-{digest[:8]}.pth")
    monkeypatch.setattr(weights, "HOST", folder.as_uri() + "/")
    monkeypatch.setitem(weights.OFFICIAL, "resnet18_paper", file.name)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return file


def test_the_official_file_is_fetched_once_and_kept(server: Path, resnet: dict[str, Tensor], tmp_path: Path) -> None:
    assert_has("resnet18_paper", "imagenet", resnet)
    server.unlink()
    assert_has("resnet18_paper", "imagenet", resnet)
    assert [file.name for file in (tmp_path / "torch/hub/checkpoints").iterdir()] == [server.name]


def test_a_download_with_another_hash_is_thrown_away(server: Path, tmp_path: Path) -> None:
    server.write_bytes(server.read_bytes()[:-1])
    with pytest.raises(InputError, match="not the published file"):
        create("resnet18_paper", image_size=32, weights="imagenet")
    assert list((tmp_path / "torch/hub/checkpoints").iterdir()) == []


def test_offline_says_what_failed_and_where_the_file_may_be_put(server: Path, tmp_path: Path) -> None:
    server.unlink()
    with pytest.raises(
        InputError, match=r"cannot download .*go online, or put the file at .*resnet18-\w{8}\.pth"
    ) as error:
        create("resnet18_paper", image_size=32, weights="imagenet")
    assert "\n" not in str(error.value)
    assert list((tmp_path / "torch/hub/checkpoints").iterdir()) == []


def test_an_architecture_without_published_weights_says_which_have_them() -> None:
    with pytest.raises(ConfigError, match="no ImageNet weights for vit_s16; expected one of resnet18"):
        create("vit_s16", weights="imagenet")


def test_every_official_name_carries_the_digits_of_its_hash() -> None:
    assert all(re.fullmatch(r"\w+-[0-9a-f]{8}\.pth", name) for name in weights.OFFICIAL.values())
