"""Batches and networks on a device other than the CPU, by torch's fake tensors, which need no such device.

They have a shape and a device but no values: an operation that mixes devices fails, and so does Python code that waits
for a value, which would stop a GPU's queue.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_caches import BODY_AND_FACE, a_cache, a_sequence
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from skelemo.cache.store import open_cache
from skelemo.data.augment import Augmentation
from skelemo.data.corpus import load_corpus
from skelemo.data.loader import Batches, inputs
from skelemo.data.pretext import Pretext, pretext_head, region_of
from skelemo.data.windows import Window, find_targets
from skelemo.models import create, image, joint_layers, list_models
from skelemo.preprocess import Preparation
from skelemo.targets import EXPRESSION, VA

DEVICE = torch.device("lazy:0")  # any that this build of torch knows
EVERYTHING = Augmentation(mirror=0.5, rotate=5, scale=0.1, shift=0.1, jitter=0.01, drop=0.1, drop_part=0.1)
WINDOWS = [Window(), Window(8, 2), Window(8, sampling="clip", clip_windows=2)]
PREPARATIONS = [{}, {"reference": "window"}, {"calibrate": "track"}, {"calibrate": "running"}, {"coordinates": "frame"}]
PREPARATIONS += [{"standardize": "dataset"}, {"reference": "window", "calibrate": "track", "smooth": 3}]
#: Networks of the same kinds as others, with so many weights that they take long to make.
LARGE = {"resnet34", "resnet50", "densenet121", "densenet201", "vit_b16"}


@pytest.fixture(scope="module")  # tensors of different modes do not mix, and some are cached
def fake():
    return FakeTensorMode(allow_non_fake_inputs=True)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    sequences = [a_sequence(f"v{index}", 30, points=95) for index in range(3)]
    return open_cache(a_cache(tmp_path_factory.mktemp("cache"), *sequences, header=BODY_AND_FACE))


def moved(fake, values):
    return {
        name: fake.from_tensor(value).to(DEVICE) for name, value in values.items() if isinstance(value, torch.Tensor)
    }


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: f"{window.length}-{window.sampling}")
@pytest.mark.parametrize("settings", PREPARATIONS, ids=lambda settings: "-".join(map(str, settings.values())) or "clip")
def test_batches_come_on_the_device_without_waiting_for_it(cache, fake, monkeypatch, window, settings):
    corpus = load_corpus(cache, Preparation(**settings))
    targets = find_targets(corpus, np.arange(3), window, ("va",), seen_only=True)
    generator = torch.Generator
    monkeypatch.setattr(torch, "Generator", lambda device: generator())
    outputs = len(pretext_head(corpus.layout, window.length))
    task = Pretext(0.5, 0.5, region_of(corpus.layout), torch.zeros(outputs), torch.ones(outputs))
    with fake:
        there = replace(corpus, **moved(fake, vars(corpus)), labels=moved(fake, corpus.labels))
        in_memory = [corpus] if corpus.reference is not None else []  # else prepared on the CPU, looking at values
        for source, pretext in [(there, None), (there, task), *((one, task) for one in in_memory)]:
            loader = Batches(source, targets, window, 2, DEVICE, augmentation=EVERYTHING, seed=0, pretext=pretext)
            first = next(iter(loader))
            for batch in (first, *loader.others(first)):
                assert {value.device for value in (*inputs(batch).values(), *batch["labels"].values())} == {DEVICE}
                assert batch["keypoints"].shape == (2, window.length, 95, 3)


@pytest.mark.parametrize("name", sorted(set(list_models()) - LARGE))
def test_networks_make_all_their_tensors_on_the_device(fake, monkeypatch, name):
    for module in (image, joint_layers):  # as in an exported program: otherwise they look for visible frames
        monkeypatch.setattr(module, "fixed_shapes", lambda *_: True)
    frames = 1 if name.startswith(("resnet", "densenet", "vit")) else 8
    network = create(name, layout_name="body_25+face_70", heads=(EXPRESSION, VA), frames=frames)
    with fake:
        for module in network.modules():
            for parameter, value in moved(fake, module._parameters).items():
                module._parameters[parameter] = nn.Parameter(value)
            module._buffers.update(moved(fake, module._buffers))
        given = {"keypoints": torch.rand(4, frames, 95, 3, device=DEVICE)}
        given["mask"] = torch.ones(4, frames, dtype=torch.bool, device=DEVICE)
        if hasattr(network, "encoder"):
            given["frame_size"] = torch.full((4, 2), 640.0, device=DEVICE)
        outputs = network.train()(**given)
        sum(output.sum() for output in outputs.values()).backward()
        assert {output.device for output in (*outputs.values(), *network.eval()(**given).values())} == {DEVICE}
