"""Every architecture that is registered, whoever registers it: one batch, both heads, every device there is."""

import copy
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import pytest
import torch
from small_caches import a_cache, a_recording, a_sequence
from torch import Tensor, nn
from torch.nn import functional as F

from skelemo.cache.shard import Header
from skelemo.cache.store import open_cache
from skelemo.data.corpus import Corpus, load_corpus
from skelemo.data.loader import Batch, Batches, inputs
from skelemo.data.windows import Window, find_targets
from skelemo.models import create, list_models
from skelemo.models.heads import probabilities
from skelemo.models.packing import packed
from skelemo.models.registry import entry
from skelemo.preprocess import Preparation
from skelemo.simulate import simulate
from skelemo.skeleton import BODY_25
from skelemo.targets import EXPRESSION, VA

DEVICES = ("cpu", *(["cuda"] if torch.cuda.is_available() else []))
HALVES = {"cpu": (torch.bfloat16,), "cuda": (torch.bfloat16, torch.float16)}
HEADS = ("expression", "va")
HEAD = {head.name: head for head in (EXPRESSION, VA)}
BODY, BOTH = "body_25", "body_25+face_70"

#: What makes a network small, where it has the setting.
SMALL = {"image_size": 32, "width": 32, "widths": (8, 8, 16), "blocks": 1, "layers": 1, "attention_heads": 2}
SMALL |= {"dropout": 0.0, "block_dropout": 0.0}
#: Networks of pictures with so many layers or weights that they stay large; the others' frame is theirs too.
LARGE = {"resnet18", "resnet34", "resnet50", "densenet121", "densenet201", "vit_s16", "vit_b16"}
#: Rates at which large networks learn by heart.
RATES = {"vit_s16": 3e-4, "vit_b16": 1e-4, "resnet18": 1e-3} | dict.fromkeys(LARGE - {"vit_s16", "vit_b16"}, 5e-4)


@pytest.fixture(scope="module", params=list_models())
def name(request: pytest.FixtureRequest) -> str:
    """Each architecture, with all tests one after another, so that its networks need not be kept for long."""
    return request.param


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each device of this machine."""
    return torch.device(request.param)


@pytest.fixture(scope="module", autouse=True)
def actors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """35 simulated clips of one emotion each, for `windows`."""
    sequences = [
        a_sequence(
            clip.name,
            len(clip.keypoints),
            keypoints=clip.keypoints.clip(max=[np.inf, np.inf, 1]),
            width=clip.width,
            height=clip.height,
            **{name: getattr(clip.roles[0], name) for name in ("expression", "valence", "arousal")},
        )
        for clip in simulate(subjects=5, clips=1, frames=24, difficulty=0, seed=3, short=True)
    ]
    recordings = [a_recording(sequence.video) for sequence in sequences]
    folder = a_cache(
        tmp_path_factory.mktemp("actors") / "c",
        *sequences,
        header=Header(BOTH, (EXPRESSION, VA)),
        recordings=recordings,
    )
    CORPORA.update({kind: load_corpus(open_cache(folder), Preparation(kind)) for kind in ("parts", "frame")})
    yield
    CORPORA.clear()
    network.cache_clear()


CORPORA: dict[str, Corpus] = {}


def windows(name: str, count: int, frames: int, layout: str, device: torch.device) -> Batch:
    """A batch as training makes it for that architecture, with its labels."""
    corpus = CORPORA[entry(name).facts.coordinates]
    window = Window(frames, sampling="clip")
    targets = find_targets(corpus, np.arange(len(corpus.sequences)), window, HEADS, seen_only=True)
    batch = next(iter(Batches(corpus, targets, window, count, device)))
    if layout == BODY:
        batch["keypoints"] = batch["keypoints"][:, :, : len(BODY_25)]
    return batch


def with_people_missing(batch: Batch, *, most: bool) -> Batch:
    """The same, the first window (or all of them) seen in one frame of eight, the last one never."""
    mask = batch["mask"].clone()
    if mask.shape[1] > 1:
        mask[: None if most else 1] &= torch.arange(mask.shape[1], device=mask.device) % 8 == 3
    mask[-1] = False
    return batch | {"mask": mask, "keypoints": batch["keypoints"] * mask[..., None, None]}


@lru_cache(maxsize=8)
def network(name: str, frames: int, layout: str, device: torch.device) -> nn.Module:
    """A small network of that architecture, built once."""
    torch.manual_seed(0)
    return create(name, layout_name=layout, heads=HEADS, frames=frames, **small(name)).to(device)


def small(name: str) -> dict[str, object]:
    return {setting: value for setting, value in SMALL.items() if setting in entry(name).settings}


def of(name: str, frames: int, layout: str, device: torch.device) -> nn.Module:
    """That network without gradients; one that draws is the same for all numbers of frames."""
    found = network(name, 1 if entry(name).facts.coordinates == "frame" else frames, layout, device)
    found.zero_grad()
    return found


def loss_of(outputs: dict[str, Tensor], batch: Batch) -> Tensor:
    return F.cross_entropy(outputs["expression"].float(), batch["labels"]["expression"].long()) + F.mse_loss(
        outputs["va"].float(), batch["labels"]["va"]
    )


@pytest.mark.parametrize("frames", [1, 32])
def test_both_heads_predict_and_train_with_missing_people(name, frames, device):
    for layout in (BODY, BOTH):
        if name in LARGE and (frames == 1) != (layout == BODY):
            continue
        model = of(name, frames, layout, device).train()
        batch = with_people_missing(windows(name, 3, frames, layout, device), most=name in LARGE)
        outputs = model(**inputs(batch))
        assert outputs["expression"].shape == (3, 7)
        assert outputs["va"].shape == (3, 2)
        assert outputs["va"].abs().max() <= 1
        loss_of(outputs, batch).backward()
        idle = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
        assert not idle


def test_masked_frames_do_not_affect_predictions(name, device):
    model = of(name, 4, BODY, device).eval()
    batch = windows(name, 2, 4, BODY, device)
    batch["mask"][0, 1:3] = batch["mask"][1, 0] = False
    loud = batch["keypoints"] + 3 * ~batch["mask"][..., None, None]
    with torch.no_grad():
        expected, found = model(**inputs(batch)), model(**inputs(batch | {"keypoints": loud}))
    for head in HEADS:
        torch.testing.assert_close(found[head], expected[head], rtol=1e-4, atol=1e-5)


def test_a_packed_network_predicts_the_same(name):
    if name in LARGE - {"resnet18"}:
        pytest.skip("their layers are those of resnet18 and the transformers")
    model = copy.deepcopy(of(name, 4, BOTH, torch.device("cpu"))).eval()
    torch.manual_seed(1)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):  # as if trained
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    ready = packed(model)
    batch = with_people_missing(windows(name, 3, 4, BOTH, torch.device("cpu")), most=False)
    for rows in (slice(0, 1), slice(0, 3)):
        mine = {key: value[rows] for key, value in inputs(batch).items()}
        with torch.inference_mode():
            expected, found = model(**mine), ready(**mine)
        for head in HEADS:
            torch.testing.assert_close(found[head], expected[head], rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("training", [True, False])
def test_a_batch_without_visible_frames_has_finite_outputs(name, training, device):
    model = of(name, 4, BODY, device).train(training)
    outputs = model(torch.zeros(2, 4, 25, 3, device=device), torch.zeros(2, 4, dtype=torch.bool, device=device))
    sum(output.sum() for output in outputs.values()).backward()
    assert all(output.isfinite().all() for output in outputs.values())
    assert all(buffer.isfinite().all() for buffer in model.buffers())
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_half_precision_is_close_to_single_and_trains(name, device):
    model = of(name, 4, BODY, device)
    batch = windows(name, 3, 4, BODY, device)
    with torch.no_grad():
        single = model.eval()(**inputs(batch))
    for kind in HALVES[device.type]:
        with torch.no_grad(), torch.autocast(device.type, kind):
            half = model.eval()(**inputs(batch))
        for head in HEADS:
            assert (half[head].float() - single[head]).abs().max() < 0.05 * (1 + single[head].abs().max())
        if name in LARGE and device.type == "cpu":
            continue
        with torch.autocast(device.type, kind):
            outputs = model.train()(**inputs(batch))
        loss_of(outputs, batch).backward()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_one_head_is_built_without_the_other(name, device):
    where = torch.device("meta") if name in LARGE else device
    for head in HEADS:
        with where:
            model = create(name, layout_name=BODY, heads=(head,), frames=2, **small(name))
        batch = windows(name, 2, 2, BODY, device)
        answers = model.eval()(**{key: value.to(where) for key, value in inputs(batch).items()})
        assert answers.keys() == {head}


def test_32_windows_are_learned_by_heart(name, device):
    if name not in LARGE:
        learn_by_heart(name, 2, device)


@pytest.mark.slow
@pytest.mark.parametrize("large", sorted(LARGE))
def test_large_networks_learn_32_windows_by_heart(large, device):
    learn_by_heart(large, 1, device)


def learn_by_heart(name: str, frames: int, device: torch.device) -> None:
    torch.manual_seed(0)
    draws = entry(name).facts.coordinates == "frame"
    layout = BOTH if draws else BODY
    model = of(name, frames, layout, device).train()
    batch = windows(name, 32, frames, layout, device)
    optimizer = torch.optim.Adam(model.parameters(), RATES.get(name, 3e-3 if draws else 1e-2))
    warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, 0.05, total_iters=20)  # without it, transformers go astray
    for _ in range(300):
        loss = loss_of(model(**inputs(batch)), batch)
        if loss < 0.02:  # a mean of 32: one window can still be wrong at 0.05
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        warm_up.step()
    outputs = model(**inputs(batch))
    assert (outputs["expression"].argmax(1) == batch["labels"]["expression"].long()).all()
    assert F.mse_loss(outputs["va"], batch["labels"]["va"]) < 0.05


@pytest.mark.parametrize("name", list_models())
def test_how_sure_the_detector_is_hardly_moves_a_prediction(name):
    """Another build, another camera: confidences scaled by 0.6, everything else the same."""
    batch = windows(name, 8, 4, BOTH, torch.device("cpu"))
    less_sure = batch | {"keypoints": batch["keypoints"] * torch.tensor([1, 1, 0.6])}
    model = of(name, 4, BOTH, torch.device("cpu")).eval()
    if entry(name).facts.coordinates == "frame":  # none may cross the thresholds of OpenPose's drawing
        sure = batch["keypoints"].clone()
        sure[..., 2] = (sure[..., 2] > 0).float()
        batch = batch | {"keypoints": sure}
        less_sure = batch | {"keypoints": sure * torch.tensor([1, 1, 0.7])}
    with torch.no_grad():
        one, other = model(**inputs(batch)), model(**inputs(less_sure))
    for head in one:
        assert (probabilities(HEAD[head], one[head]) - probabilities(HEAD[head], other[head])).abs().max() < 0.02


@pytest.mark.parametrize("name", list_models())
def test_missing_points_do_not_affect_predictions(name):
    batch = windows(name, 8, 4, BOTH, torch.device("cpu"))
    missing = batch["keypoints"][..., 2] == 0
    assert missing.any()
    loud = batch["keypoints"].clone()
    loud[missing] = torch.tensor([0.3, -0.2, 0.0])
    model = of(name, 4, BOTH, torch.device("cpu")).eval()
    with torch.no_grad():
        one, other = model(**inputs(batch)), model(**inputs(batch | {"keypoints": loud}))
    for head in one:
        torch.testing.assert_close(one[head], other[head])
