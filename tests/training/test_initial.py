"""Starting from another run's weights."""

import json
from hashlib import sha256

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_trainings import CutError, cut_after

from skelemo.errors import ConfigError, InputError
from skelemo.inference.scoring.overlap import learned
from skelemo.models import create
from skelemo.report.comparison import initial
from skelemo.runs.folder import read_run
from skelemo.targets import VA, Head
from skelemo.training import module
from skelemo.training.fit import train
from skelemo.training.initial import initialize
from skelemo.training.optimizers import make_optimizer
from skelemo.training.validation import ValidationScorer

SMALL = {"arch": "stgcnpp", "epochs": 1, "length": 4, "model": {"widths": [8, 8]}, "every": 4, "evaluate_every": 4}


@pytest.fixture
def first(config, tmp_path):
    train(config(**SMALL, head="va"), tmp_path / "first")
    return tmp_path / "first"


def state(run):
    return load_file(run / "model.safetensors")


def test_the_body_is_taken_and_frozen_and_another_head_is_new(config, tmp_path, first):
    train(config(**SMALL, head="expression", init=str(first), init_freeze="body"), tmp_path / "run")
    before, after = state(first), state(tmp_path / "run")
    body = [name for name in after if "_head" not in name]
    assert len(body) > 20
    assert any("running_mean" in name for name in body)
    for name in body:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)
    text = f"from {first}: {len(body)} of {len(after)} tensors; head expression new; {len(body)} frozen"
    assert initial(read_run(tmp_path / "run")) == text


def test_a_head_of_the_same_shape_with_other_outputs_is_new(config, first):
    swapped = Head("va", "values", ("arousal", "valence"), -1, 1)
    network = create("stgcnpp", layout_name="body_25", heads=(swapped,), frames=4, widths=(8, 8))
    before = network.heads.va_head.weight.clone()
    start = initialize(network, first, config(**SMALL, head="va", init=str(first)), "body_25", (swapped,))
    assert "head va new" in start.text
    assert torch.equal(network.heads.va_head.weight, before)
    assert start.taken
    assert not any("_head" in name for name in start.taken)


def test_a_frozen_body_leaves_loaded_heads_to_learn(config, first):
    network = create("stgcnpp", layout_name="body_25", heads=(VA,), frames=4, widths=(8, 8))
    settings = config(**SMALL, head="va", init=str(first), init_freeze="body")
    start = initialize(network, first, settings, "body_25", (VA,))
    assert start.taken - start.frozen == {"heads.va_head.weight", "heads.va_head.bias"}
    learning = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert learning == start.taken - start.frozen


def test_without_freezing_the_body_learns(config, tmp_path, first):
    train(config(**SMALL, head="va", init=str(first)), tmp_path / "run")
    before, after = state(first), state(tmp_path / "run")
    assert any(not torch.equal(after[name], before[name]) for name in after if name.endswith("weight"))


def test_loaded_weights_have_their_own_learning_rate(config):
    network = create("stgcnpp", layout_name="body_25", widths=(8, 8))
    taken = {name for name, _ in network.named_parameters() if "_head" not in name}
    groups = make_optimizer(network, config(init="run", init_rate=0.1, lr=0.01), (), taken).param_groups
    rate = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert {rate[id(p)] for name, p in network.named_parameters() if name in taken} == {0.01 * 0.1}
    assert {rate[id(p)] for name, p in network.named_parameters() if name not in taken} == {0.01}


def test_the_rate_is_found_with_loaded_weights_at_their_own_and_recorded_for_the_others(
    config, tmp_path, first, monkeypatch
):
    made = []
    monkeypatch.setattr(module, "make_optimizer", lambda *given: made.append(make_optimizer(*given)) or made[-1])
    settings = SMALL | {"every": 1, "batch_size": 4, "init": str(first), "init_rate": 0.5, "lr": "auto"}
    train(config(**settings, head="expression"), tmp_path / "run")
    lr = json.loads((tmp_path / "run" / "lr_find.json").read_text())["suggestion"]
    finder, training = ({group["lr"] for group in optimizer.param_groups} for optimizer in made)
    assert max(finder) == pytest.approx(2 * min(finder))
    assert training == {lr, lr / 2}
    assert pd.read_csv(tmp_path / "run" / "metrics.csv")["lr"].item() == pytest.approx(lr)


def test_initialization_from_the_test_data_is_refused(config, tmp_path, first):
    other = config(**SMALL, split="holdout:0.4", split_seed=3, init=str(first), head="va")
    with pytest.raises(ConfigError, match=r"in the test subset here.*allow_overlap=true"):
        train(other, tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()
    train(other.model_copy(update={"allow_overlap": True}), tmp_path / "run")
    assert "the scores are optimistic" in initial(read_run(tmp_path / "run"))
    assert learned(tmp_path / "run")["sha256"] >= learned(first)["sha256"]


def test_what_chose_the_initial_model_must_not_be_tested(config, tmp_path, first):
    scored = config(**SMALL, split="given", given_validation="score", validation=0, init=str(first), head="va")
    with pytest.raises(ConfigError, match="in the test subset here"):
        train(scored, tmp_path / "run")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arch": "ann", "model": {}}, "arch stgcnpp; expected ann as in this training"),
        ({"init_freeze": ["nowhere"]}, "init_freeze 'nowhere' matches nothing"),
        ({"init_freeze": ["*"], "head": "va"}, "all weights are frozen"),
    ],
)
def test_what_cannot_fit_is_refused(config, tmp_path, first, settings, message):
    with pytest.raises(ConfigError, match=message):
        train(config(**SMALL | settings, init=str(first)), tmp_path / "run")


def test_settings_about_a_run_need_one(config):
    with pytest.raises(ConfigError, match="set init=RUN"):
        config(init_freeze="body")


def test_a_run_without_known_training_data_is_refused(config, tmp_path, first):
    splits = json.loads((first / "splits.json").read_text())
    del splits["sha256"]
    (first / "splits.json").write_text(json.dumps(splits))
    with pytest.raises(ConfigError, match="its training data are unknown"):
        train(config(**SMALL, init=str(first), head="va"), tmp_path / "run")


def test_each_fold_and_seed_starts_from_that_of_the_same_fold_and_seed(config, tmp_path):
    settings = SMALL | {"split": "kfold:2", "seeds": 2, "every": 6}
    train(config(**settings), tmp_path / "first")
    train(config(**settings, init=str(tmp_path / "first"), init_freeze="body"), tmp_path / "run")
    found = []
    for place in ("seed_0/fold_1", "seed_0/fold_2", "seed_1/fold_1", "seed_1/fold_2"):
        before, after = state(tmp_path / "first" / place), state(tmp_path / "run" / place)
        body = [name for name in after if "_head" not in name]
        assert all(torch.equal(before[name], after[name]) for name in body), place
        found.append(before[next(name for name in body if name.endswith("weight") and before[name].ndim > 1)])
    assert not any(torch.equal(found[0], other) for other in found[1:])
    with pytest.raises(ConfigError, match="4 models, but none of seed 2 for fold 1 of 2"):
        train(config(**settings | {"seeds": 3}, init=str(tmp_path / "first")), tmp_path / "more")
    assert not (tmp_path / "more" / "config.yaml").exists(), "refused before the first training"


def test_a_fold_that_the_first_run_lacks_is_refused(config, tmp_path):
    train(config(**SMALL, split="kfold:2", head="va"), tmp_path / "first")
    with pytest.raises(ConfigError, match="2 models, but none of seed 0 for fold 3 of 3: name one"):
        train(config(**SMALL, split="kfold:3", init=str(tmp_path / "first"), allow_overlap=True), tmp_path / "run")


def test_a_resumed_training_ends_as_the_uninterrupted_one(config, tmp_path, first):
    settings = config(**SMALL | {"epochs": 3}, head="expression", init=str(first), init_freeze="blocks.0", dropout=0.2)

    with pytest.raises(CutError):
        train(settings, tmp_path / "cut", report=cut_after(1))
    train(settings, tmp_path / "cut", resume=True)
    train(settings, tmp_path / "whole")
    torch.testing.assert_close(state(tmp_path / "cut"), state(tmp_path / "whole"), rtol=0, atol=0)


def test_a_run_of_another_layout_is_refused(config, tmp_path, first):
    facts = json.loads((first / "model.json").read_text())
    (first / "model.json").write_text(json.dumps(facts | {"layout": "face_70"}))
    with pytest.raises(ConfigError, match="layout face_70; expected body_25 as in this training"):
        train(config(**SMALL, head="va", init=str(first)), tmp_path / "run")


def test_a_search_starts_from_the_first_run_and_not_from_its_test_data(config, tmp_path, first):
    settings = SMALL | {"init": str(first), "head": "va"}
    job = ValidationScorer(config(**settings)).job(config(**settings), tmp_path)
    assert job.origin == first
    other = config(**settings, split="holdout:0.4", split_seed=3)
    with pytest.raises(ConfigError, match="in the test subset here"):
        ValidationScorer(other).job(other, tmp_path)


def test_loaded_weights_without_a_learning_rate_leave_nothing_to_train(config, tmp_path, first):
    with pytest.raises(ConfigError, match="init_rate 0: all weights are frozen; none is left to train"):
        train(config(**SMALL, head="va", init=str(first), init_rate=0), tmp_path / "run")


def test_an_unfinished_or_damaged_run_is_refused(config, tmp_path, first):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "nowhere"):
        with pytest.raises(InputError, match=r"no model\.json; expected the folder of a finished run"):
            train(config(**SMALL, head="va", init=str(tmp_path / name)), tmp_path / "run")
    weights = state(first)
    name = next(name for name in weights if name.endswith("weight") and "_head" not in name)
    weights[name].view(-1)[0] = float("nan")
    save_file(weights, first / "model.safetensors")
    model = json.loads((first / "model.json").read_text())
    model["weights_sha256"] = sha256((first / "model.safetensors").read_bytes()).hexdigest()
    (first / "model.json").write_text(json.dumps(model))
    with pytest.raises(InputError, match=f"init {first}: infinite or NaN in {name}"):
        train(config(**SMALL, head="va", init=str(first)), tmp_path / "run")
    assert not (tmp_path / "run").exists()
