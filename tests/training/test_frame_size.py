"""Networks that draw see the picture in which the people were found, whatever its size."""

from pathlib import Path

import numpy as np
import pytest
import torch
from opencv_drawing import agreement, drawn, made_small
from small_caches import BODY_AND_FACE, a_cache, a_sequence

from skelemo.cache.store import open_cache
from skelemo.data.corpus import Corpus, load_corpus
from skelemo.data.loader import Batches, inputs
from skelemo.data.windows import Window, find_targets
from skelemo.inference.predictor import predict
from skelemo.models import create, list_models
from skelemo.models.registry import entry
from skelemo.preprocess import Preparation
from skelemo.render import SkeletonRenderer
from skelemo.simulate import simulate
from skelemo.skeleton import layout
from skelemo.targets import VA

BOTH = layout("body_25+face_70")
SIZES = {"wide": (1920, 800), "tall": (480, 640)}


@pytest.fixture(scope="module")
def people() -> np.ndarray:
    """One simulated person, ``[6, 95, 3]``, in a picture of one by one."""
    clip = next(iter(simulate(subjects=5, clips=1, frames=30, seed=7)))
    shape = np.array([clip.width, clip.height, 1], np.float32)
    return clip.keypoints[::5] / shape


@pytest.fixture
def corpus(tmp_path: Path, people: np.ndarray) -> Corpus:
    """The person in pictures of different sizes."""
    sequences = [
        a_sequence(name, 6, keypoints=people * np.array([*size, 1], np.float32), width=size[0], height=size[1])
        for name, size in SIZES.items()
    ]
    return load_corpus(open_cache(a_cache(tmp_path / "sizes", *sequences, header=BODY_AND_FACE)), Preparation("frame"))


def batches(corpus: Corpus, length: int = 1) -> Batches:
    targets = find_targets(corpus, np.arange(len(SIZES)), Window(length), ("va",), seen_only=False)
    return Batches(corpus, targets, Window(length), 5, torch.device("cpu"))


def images_of(network: torch.nn.Module, corpus: Corpus) -> np.ndarray:
    """What a network draws while it answers for every frame."""
    seen: list[torch.Tensor] = []
    network.encoder.renderer.register_forward_hook(lambda _, __, image: seen.append(image))
    predict(network, batches(corpus), [VA])
    return torch.cat(seen).permute(0, 2, 3, 1).numpy()


def test_a_network_draws_people_as_openpose_drew_them_into_their_own_picture(corpus, people):
    network = create("resnet18_paper", view="frame", heads=("va",), image_size=224)
    images = images_of(network, corpus)
    names = corpus.sequences["id"].tolist()
    for number, name in enumerate(names):
        width, height = SIZES[name]
        found = people * np.array([width, height, 1], np.float32)
        expected = np.stack([made_small(drawn(person, BOTH, width, height), (224, 224)) for person in found])
        overlap, error = agreement(images[6 * number : 6 * number + 6], expected)
        assert overlap >= 0.85, name
        assert error <= 0.01, name


def test_batches_say_how_large_the_picture_of_each_window_is(corpus):
    found = {}
    for batch in batches(corpus):
        assert inputs(batch).keys() == {"keypoints", "mask", "frame_size"}
        for row, size in zip(batch["row"].numpy(), batch["frame_size"].tolist(), strict=True):
            found.setdefault(corpus.sequences["id"].iloc[corpus.sequence(np.array([row]))[0]], set()).add(tuple(size))
    assert found == {name: {size} for name, size in SIZES.items()}


def test_keypoint_networks_get_no_frame_size(tmp_path):
    corpus = load_corpus(open_cache(a_cache(tmp_path / "c", a_sequence())))
    assert corpus.frame_size is None
    targets = find_targets(corpus, np.array([0]), Window(), ("va",), seen_only=False)
    batch = next(iter(Batches(corpus, targets, Window(), 4, torch.device("cpu"))))
    assert inputs(batch).keys() == {"keypoints", "mask"}


@pytest.mark.parametrize(("scale", "expected"), [("pixels", None), ("unit", (1280, 1280)), ("signed", (1280, 1280))])
def test_unknown_image_sizes_come_from_keypoints_or_the_usual_length(tmp_path, scale, expected):
    one = a_sequence("one", scale=scale)
    folder = a_cache(tmp_path / "c", one)
    found = load_corpus(open_cache(folder), Preparation("frame")).frame_size
    wanted = expected or tuple(one.keypoints[..., :2].max((0, 1)).tolist())
    assert found.tolist() == [pytest.approx(wanted)]


@pytest.mark.parametrize("name", [name for name in list_models() if name.startswith(("resnet18_p", "cnn"))])
def test_every_image_network_uses_the_frame_size(corpus, name):
    assert entry(name).facts.coordinates == "frame"
    torch.manual_seed(0)
    network = create(name, view="frame", heads=("va",), frames=2, image_size=64).train()
    for _ in range(2):
        network(torch.rand(4, 2, 95, 3) - 0.2, torch.ones(4, 2, dtype=torch.bool))  # statistics of batch norm
    network.eval()
    for batch in batches(corpus, 2):
        with torch.no_grad():
            told, untold = network(**inputs(batch))["va"], network(batch["keypoints"], batch["mask"])["va"]
        assert told.isfinite().all()
        assert not torch.equal(told, untold)


def test_drawing_is_exported_with_the_size():
    renderer, points = SkeletonRenderer("body_25", 32), torch.rand(2, 1, 25, 3) - 0.3
    exported = torch.export.export(renderer, (points, torch.tensor([[640.0, 480.0], [0.0, 0.0]]))).module()
    other = torch.tensor([[480.0, 640.0], [1920.0, 1080.0]])
    torch.testing.assert_close(exported(points, other), renderer(points, other), rtol=0, atol=1e-5)
