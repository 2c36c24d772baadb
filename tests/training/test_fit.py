import json
import re
import subprocess
import sys
import tempfile
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from small_caches import a_cache, a_sequence
from small_trainings import CutError, cut_after

from skelemo.atomic import PARTIAL
from skelemo.cache.shard import Header
from skelemo.cache.store import open_cache
from skelemo.data.corpus import load_corpus
from skelemo.errors import CacheError, ConfigError, InputError, SkelemoError
from skelemo.inference.predictor import load
from skelemo.runs.folder import read_run
from skelemo.runs.mistakes import read_mistakes
from skelemo.runs.model_file import read_model
from skelemo.targets import Head
from skelemo.training import fold, job, predicting
from skelemo.training.callbacks import History
from skelemo.training.config import Config, load_config
from skelemo.training.fit import train
from skelemo.training.fold import validated
from skelemo.training.module import Training


def test_a_run_folder_is_complete_and_only_checkpoints_are_pickled(config, tmp_path):
    train(config(), tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"config.yaml", "splits.json", "environment.json", "metrics.csv", "model.safetensors", "model.json",
                     "checkpoints", "predictions.parquet", "mistakes.safetensors", "importance.csv",
                     "scores.json"}  # fmt: skip
    assert len(pd.read_csv(tmp_path / "run" / "metrics.csv")) == 3
    tested = json.loads((tmp_path / "run" / "splits.json").read_text())["folds"][0]["test"]
    assert {mistake.sequence for mistake in read_mistakes(tmp_path / "run")} <= set(tested)
    assert json.loads((tmp_path / "run" / "model.json").read_text())["heads"][0]["outputs"] == [
        "happiness",
        "sadness",
        "neutral",
    ]


def test_checkpoints_do_not_pass_through_the_systems_temporary_folder(config, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    train(config(epochs=1), tmp_path / "run")
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").stat().st_size > 0


@pytest.mark.parametrize("head", ["expression", "va", "both"])
def test_the_ann_learns_what_can_be_learned(config, tmp_path, head):
    scores = train(config(head=head, epochs=30, lr=0.01), tmp_path / "run")["test"]
    if head != "va":
        assert scores["expression"]["macro_f1"]["value"] > 0.95
    if head != "expression":
        assert scores["va"]["ccc_mean"]["value"] > 0.9


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "adamax", "sgd"])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "onecycle", "plateau"])
def test_every_optimizer_runs_under_every_schedule(config, tmp_path, optimizer, schedule):
    scores = train(config(optimizer=optimizer, schedule=schedule, epochs=2), tmp_path / "run")
    assert 0 <= scores["test"]["expression"]["accuracy"]["value"] <= 1


@pytest.mark.parametrize(("head", "loss"), [("va", "mse"), ("va", "mse+ccc"), ("va", "huber"), ("expression", "focal")])
def test_a_loss_is_chosen_by_name_for_each_head(config, tmp_path, head, loss):
    train(config(head=head, loss={head: loss}, epochs=12, lr=0.01), tmp_path / "run")
    losses = pd.read_csv(tmp_path / "run" / "metrics.csv")["train_loss"]
    assert losses.iloc[-1] < losses.iloc[0]


def test_no_sequence_is_in_two_subsets_and_every_test_window_is_scored_once(config, tmp_path):
    train(config(split="kfold:5"), tmp_path / "run")
    run = read_run(tmp_path / "run")
    for parts in run.splits["folds"]:
        everyone = [name for part in ("train", "validation", "test") for name in parts[part]]
        assert len(everyone) == len(set(everyone)) == 30
    test = run.windows
    assert len(test) == 30 * 12
    assert not test.duplicated(["sequence", "frame"]).any()


def test_the_chosen_network_is_the_best_on_validation_not_the_last(config, tmp_path):
    train(config(epochs=8, lr=0.05, monitor="loss"), tmp_path / "run")
    losses = pd.read_csv(tmp_path / "run" / "metrics.csv")["validation_loss"]
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["epoch"] == losses.idxmin()
    saved = load_file(tmp_path / "run" / "model.safetensors")
    for name, value in saved.items():
        torch.testing.assert_close(value, best["state_dict"][f"network.{name}"])


def test_without_a_validation_subset_the_last_epoch_is_kept(config, tmp_path):
    train(config(split="kfold:3", validation=0, epochs=2, patience=1), tmp_path / "run")
    split = json.loads((tmp_path / "run" / "splits.json").read_text())
    assert all(not fold["validation"] and len(fold["train"]) == 20 for fold in split["folds"])
    table = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert set(table["subset"]) == {"test"}
    assert table["sequence"].nunique() == 30
    epochs = pd.read_csv(tmp_path / "run" / "fold_1" / "metrics.csv")
    assert epochs["epoch"].tolist() == [0, 1]
    assert "validation_loss" not in epochs
    best = torch.load(tmp_path / "run" / "fold_1" / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["epoch"] == 1


def test_the_same_seed_gives_the_same_predictions_and_another_does_not(config, tmp_path):
    for name, seed in (("first", 1), ("second", 1), ("third", 2)):
        train(config(seed=seed, jitter=0.1, split="given"), tmp_path / name)
    first, second, third = (read_run(tmp_path / name).predictions for name in ("first", "second", "third"))
    pd.testing.assert_frame_equal(first, second)
    assert not np.allclose(first["expression_p_neutral"], third["expression_p_neutral"])


def epochs_done_again(out, **how) -> list[int]:
    """What a resumed run tells of its epochs."""
    told: list[int] = []
    train(load_config(), out, resume=True, report=lambda _, __, done, *___: told.append(done), **how)
    return [done for done in told if done]


def assert_same_run(one, other) -> None:
    first, second = read_run(one), read_run(other)
    pd.testing.assert_frame_equal(first.metrics, second.metrics)
    pd.testing.assert_frame_equal(first.predictions, second.predictions)
    best = [torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["epoch"] for run in (one, other)]
    assert best[0] == best[1]


@pytest.mark.parametrize("schedule", ["constant", "cosine", "onecycle", "plateau"])
def test_a_resumed_run_equals_an_uninterrupted_one(config, tmp_path, schedule):
    settings = {
        "epochs": 8,
        "jitter": 0.1,
        "schedule": schedule,
        "plateau_patience": 0,
        "model": {"width": 16, "dropout": 0.3},
    }
    settings |= {"monitor": "loss", "lr": 0.1, "plateau_patience": 0}
    train(config(**settings), tmp_path / "whole")
    assert (read_run(tmp_path / "whole").metrics["lr"].nunique() > 1) == (schedule != "constant")
    for cut in (3, 6):
        with pytest.raises(CutError):
            train(config(**settings), tmp_path / f"cut{cut}", report=cut_after(cut))
        assert not (tmp_path / f"cut{cut}" / "scores.json").exists()
        assert epochs_done_again(tmp_path / f"cut{cut}")[0] == cut
        assert_same_run(tmp_path / "whole", tmp_path / f"cut{cut}")


#: What draws, averages or counts on its own in training.
WAYS: dict[str, dict[str, object]] = {
    "mean of the weights": {"ema": 0.9},
    "mixup": {"mixup": 0.4},
    "balance": {"balance": True},
    "accumulated gradients": {"accumulate": 2, "batch_size": 16},
    "warm-up": {"warmup": 5, "schedule": "cosine"},
    "warm-up before a plateau": {"warmup": 5, "schedule": "plateau", "plateau_patience": 0},
    "learned weights of losses": {"head": "both", "loss_weighting": "learned"},
    "steps": {"steps": 16},
}


@pytest.mark.parametrize("settings", WAYS.values(), ids=WAYS)
def test_every_way_of_training_learns_and_is_resumed_where_it_stopped(config, tmp_path, settings):
    settings = {"epochs": 8, "lr": 0.03, "monitor": "loss", **settings}
    scores = train(config(**settings), tmp_path / "whole")["test"]
    assert scores["expression"]["accuracy"]["value"] > 0.6
    with pytest.raises(CutError):
        train(config(**settings), tmp_path / "cut", report=cut_after(1))
    epochs_done_again(tmp_path / "cut")
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize("settings", [{"warmup": 5000}, {"warmup": 1, "schedule": "onecycle"}])
def test_a_warm_up_that_does_not_fit_is_refused_before_the_run_folder_is_made(config, tmp_path, settings):
    with pytest.raises(ConfigError, match=r"warmup is 5,000 steps, but the training has only|omit warmup"):
        train(config(**settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_steps_are_the_budget_whatever_the_datas_size(config, tmp_path):
    for batch_size, epochs in ((32, 4), (64, 7)):  # 216 windows of 18 clips: 7 and 4 batches
        train(config(steps=25, batch_size=batch_size), tmp_path / f"{batch_size}")
        assert len(read_run(tmp_path / f"{batch_size}").metrics) == epochs


def test_patience_waits_for_steps_as_well(config, tmp_path, monkeypatch):
    falling(monkeypatch, *[0.9] + [0.1] * 19)
    for name, steps, epochs in (("epochs", 0, 3), ("steps", 35, 6)):  # 7 steps an epoch, the best after the first
        train(config(epochs=20, patience=2, patience_steps=steps), tmp_path / name)
        assert len(read_run(tmp_path / name).metrics) == epochs


def test_the_moving_average_of_the_weights_is_kept(config, tmp_path):
    train(config(ema=0.9, epochs=2), tmp_path / "run")
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    saved = load_file(tmp_path / "run" / "model.safetensors")
    trained = [name for name in saved if not torch.equal(saved[name], best[f"network.{name}"])]
    assert trained
    for name, value in saved.items():
        torch.testing.assert_close(value, best[f"average.module.{name}"])


def falling(monkeypatch, *scores: float) -> None:
    """Validation scores by epoch, whatever the network says."""
    monkeypatch.setattr(
        Training,
        "on_validation_epoch_end",
        lambda task: (task._outputs.clear(), task.log("validation_score", scores[task.current_epoch])),
    )


def test_a_resumed_run_continues_from_its_last_epoch(config, tmp_path, monkeypatch):
    falling(monkeypatch, 0.5, 0.9, 0.8, 0.7, 0.6, 0.5)
    train(config(epochs=6, jitter=0.1), tmp_path / "whole")
    with pytest.raises(CutError):
        train(config(epochs=6, jitter=0.1), tmp_path / "cut", report=cut_after(5))
    assert epochs_done_again(tmp_path / "cut") == [5, 6]
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
    assert torch.load(tmp_path / "cut" / "checkpoints" / "best.ckpt", weights_only=True)["epoch"] == 1


def test_an_epoch_that_is_repeated_replaces_its_row(tmp_path):
    """Cut between metrics and checkpoint, an epoch is in the history although it is trained again."""
    (tmp_path / "metrics.csv").write_text("epoch,lr\n0,1\n1,1\n2,1\n")
    history = History(tmp_path / "metrics.csv")
    history.on_train_start(SimpleNamespace(is_global_zero=True, current_epoch=2), None)
    assert [row["epoch"] for row in history.rows] == ["0", "1"]


def test_a_run_that_is_moved_before_it_is_resumed_keeps_its_best_epoch(config, tmp_path, monkeypatch):
    falling(monkeypatch, 0.5, 0.9, 0.8, 0.7)
    train(config(epochs=4), tmp_path / "whole")
    with pytest.raises(CutError):
        train(config(epochs=4), tmp_path / "cut", report=cut_after(3))
    (tmp_path / "cut").rename(tmp_path / "moved")
    epochs_done_again(tmp_path / "moved")
    assert not (tmp_path / "cut").exists()
    assert_same_run(tmp_path / "whole", tmp_path / "moved")


def test_a_run_out_of_patience_stops_and_has_no_further_epoch_when_resumed(config, tmp_path, monkeypatch):
    falling(monkeypatch, 0.5, 0.9, 0.8, 0.9, 0.7, 1.0)
    train(config(epochs=6, patience=3), tmp_path / "whole")
    assert read_run(tmp_path / "whole").metrics["epoch"].tolist() == [0, 1, 2, 3, 4]
    save_model = predicting.save_model
    monkeypatch.setattr(predicting, "save_model", _fail)
    with pytest.raises(CutError):
        train(config(epochs=6, patience=3), tmp_path / "cut")
    monkeypatch.setattr(predicting, "save_model", save_model)
    assert epochs_done_again(tmp_path / "cut") == []
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"optimizer": "sgd", "lr": 100, "weight_decay": 10, "head": "both"}, "_loss is (nan|inf)"),
        (
            {"optimizer": "sgd", "lr": 100, "weight_decay": 100, "validation": 0, "split": "holdout:0.3"},
            "train_loss|a weight",
        ),
    ],
)
def test_a_training_that_diverges_says_so_and_is_neither_saved_nor_scored(config, tmp_path, settings, said):
    with pytest.raises(ConfigError, match=rf"training diverged in epoch \d+: .*({said}).* lr below 100"):
        train(config(epochs=40, **settings), tmp_path / "run")
    assert not {"model.json", "scores.json"} & {path.name for path in (tmp_path / "run").iterdir()}


@pytest.mark.parametrize(("size", "third"), [(54, 54), (100, 16)])
def test_a_loss_that_is_not_finite_names_the_first_step_and_its_windows(config, tmp_path, monkeypatch, size, third):
    """18 training clips of 12 frames are 216 windows: the third step, also if it is the last, is spoiled."""
    step, seen = Training.training_step, []

    def spoiled(self, batch, number):
        if number == 2:
            batch["labels"]["va"] = batch["labels"]["va"] + torch.inf
            seen.extend(self.named(batch["row"])[:3])
        return step(self, batch, number)

    monkeypatch.setattr(Training, "training_step", spoiled)
    said = rf"diverged in epoch 1: .* is (nan|inf) .first in step 3, {third} windows"
    with pytest.raises(ConfigError, match=said) as found:
        train(config(head="va", batch_size=size, split="given"), tmp_path / "run")
    assert f"windows: {', '.join(seen)} and {third - 3} more)" in str(found.value)
    assert re.fullmatch(r"clip\d+ frame \d+", seen[0])


def test_accumulated_batches_weigh_as_much_when_fewer_are_left(config, tmp_path):
    """Four batches of 54 windows in one step are about one batch of 216, not 4 of 100 batches."""
    plain = {"arch": "gru", "optimizer": "sgd", "momentum": 0, "epochs": 1, "head": "va", "split": "given"}
    plain |= {"model": {"width": 8, "dropout": 0.0}, "importance": 0}
    ways = {"start": {"lr": 1e-9, "batch_size": 216}, "whole": {"lr": 0.1, "batch_size": 216}}
    ways |= {"parts": {"lr": 0.1, "batch_size": 54, "accumulate": 100}}
    weights = {}
    for name, own in ways.items():
        train(config(**plain, **own), tmp_path / name)
        state = read_model(tmp_path / name)[1]
        weights[name] = torch.cat([value.flatten() for key, value in state.items() if "weight" in key])
    moved = (weights["whole"] - weights["start"]).norm()
    assert moved > 1e-3
    assert (weights["parts"] - weights["whole"]).norm() < 0.2 * moved  # normalized by batch


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_out_of_memory_says_which_settings_to_lower(config, tmp_path, monkeypatch, error):
    def exhausted(*_):
        raise error

    monkeypatch.setattr(Training, "training_step", exhausted)
    with pytest.raises(ConfigError, match=r"out of memory: .* a batch_size below 32 .* length below 1 or"):
        train(config(head="va"), tmp_path / "run")


def test_resuming_nothing_is_refused(config, tmp_path):
    with pytest.raises(ConfigError, match=r"nothing to resume in .*run: start the training without --resume"):
        train(config(), tmp_path / "run", resume=True)
    assert not (tmp_path / "run").exists()


def test_only_one_process_writes_a_run_folder(config, tmp_path):
    messages = []

    def second(*_: object) -> None:
        with pytest.raises(ConfigError) as refused:
            train(config(seed=9), tmp_path / "run", resume=bool(messages))
        messages.append(str(refused.value))

    train(config(), tmp_path / "run", report=second)
    text = "is being written by another process: choose another --out, or wait"
    assert set(messages) == {f"{tmp_path / 'run'} {text}"}
    assert read_run(tmp_path / "run").config["seed"] == 0
    assert not (tmp_path / "run" / ".lock").exists()


def test_only_one_of_simultaneous_processes_gets_the_folder(cache, tmp_path):
    command = [sys.executable, "-m", "skelemo", "train", "--data", str(cache), "--out", str(tmp_path / "run")]
    quick = ["--set", "epochs=2", "--set", "device=cpu"]
    processes = [
        subprocess.Popen([*command, *quick, "--set", f"seed={seed}"], stderr=subprocess.PIPE, text=True)
        for seed in (1, 2, 3)
    ]
    ends = {process.args[-1]: (process.communicate()[1], process.returncode) for process in processes}
    assert sorted(code for _, code in ends.values()) == [0, 2, 2]
    assert not any("Traceback" in text for text, _ in ends.values())
    (winner,) = (name for name, (_, code) in ends.items() if code == 0)
    assert f"seed={read_run(tmp_path / 'run').config['seed']}" == winner


def test_the_split_and_the_weights_have_seeds_of_their_own(config, tmp_path):
    for name, settings in (("one", {}), ("weights", {"seed": 5}), ("split", {"split_seed": 5})):
        train(config(split="holdout:0.3", epochs=1, **settings), tmp_path / name)
    one, weights, split = (read_run(tmp_path / name) for name in ("one", "weights", "split"))
    assert one.splits == weights.splits != split.splits
    assert not np.allclose(one.predictions["expression_p_neutral"], weights.predictions["expression_p_neutral"])


def test_evaluate_every_thins_validation_and_leaves_the_test_subset_whole(config, tmp_path):
    train(config(split="given", evaluate_every=4, epochs=1), tmp_path / "run")
    windows = read_run(tmp_path / "run").predictions["subset"].value_counts()
    assert windows.to_dict() == {"validation": 6 * 3, "test": 6 * 12}


def test_epoch_windows_bounds_an_epoch_but_not_the_scores(config, tmp_path, monkeypatch):
    seen, step = [], Training.validation_step

    def watch(self, batch, index):
        seen.append(batch["row"].tolist())
        step(self, batch, index)

    monkeypatch.setattr(Training, "validation_step", watch)
    train(config(split="given", epoch_windows=40, batch_size=64, epochs=2), tmp_path / "run")
    first, second = seen
    assert first == second
    assert len(first) == 40
    assert read_run(tmp_path / "run").predictions["subset"].value_counts().to_dict() == {"validation": 72, "test": 72}


@pytest.mark.parametrize(
    ("settings", "learned", "most"),
    [
        ({}, 400_000, 120_000),  # a third of the cost of a window to learn from, a tenth of the epoch
        ({}, 2_000, 1_000),
        ({"epoch_windows": 20_000}, 400_000, 6_000),
        ({"epoch_windows": 500}, 400_000, 500),
        ({"evaluate_every": 1, "epoch_windows": 20_000}, 400_000, 20_000),
    ],
)
def test_validation_takes_a_tenth_of_an_epoch(settings, learned, most):
    assert validated(Config(**settings), learned) == most


def test_a_resumed_k_fold_keeps_its_finished_folds(config, tmp_path):
    def stop_in_third(number: int, *_: object) -> None:
        if number == 3:
            raise CutError

    with pytest.raises(CutError):
        train(config(split="kfold:4"), tmp_path / "run", report=stop_in_third)
    before = (tmp_path / "run" / "fold_1" / "model.safetensors").stat().st_mtime_ns
    scores = train(config(), tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "fold_1" / "model.safetensors").stat().st_mtime_ns == before
    assert scores["test"]["expression"]["windows"] == 30  # clips, labeled as a whole
    assert "seconds" not in json.loads((tmp_path / "run" / "environment.json").read_text()), "only the last part's"


def test_a_folder_that_exists_is_refused_unless_resumed(config, tmp_path):
    train(config(), tmp_path / "run")
    with pytest.raises(ConfigError, match="exists"):
        train(config(), tmp_path / "run")
    with pytest.raises(ConfigError, match="is finished"):
        train(config(), tmp_path / "run", resume=True)


def cut_run(config, out, **settings):
    """A run that ended in its third epoch."""
    with pytest.raises(CutError):
        train(config(**settings), out, report=cut_after(3))
    return out


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", b"lr: ["),
        ("config.yaml", b"lr: -1"),
        ("environment.json", b"{"),
        ("environment.json", None),
        ("splits.json", b"[]"),
        ("splits.json", b'{"folds": []}'),
        ("splits.json", b'{"split": "", "grouped_by": "", "folds": [{"train": ["a"], "validation": [], "test": []}]}'),
        ("checkpoints/last.ckpt", b"not a checkpoint"),
        ("checkpoints/last.ckpt", b""),
        ("checkpoints/last.ckpt", "checkpoints/best.ckpt"),
        ("metrics.csv", b"epoch,lr\nfirst,1\n"),
    ],
)
def test_resuming_names_a_damaged_file(config, tmp_path, name, content):
    file = cut_run(config, tmp_path / "run") / name
    if content is None:
        file.unlink()
    else:
        file.write_bytes((tmp_path / "run" / content).read_bytes() if isinstance(content, str) else content)
    with pytest.raises(SkelemoError, match=name) as error:
        train(config(), tmp_path / "run", resume=True)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["model.safetensors", "checkpoints/best.ckpt", "metrics.csv"])
def test_resuming_a_trained_network_names_a_damaged_file(config, tmp_path, monkeypatch, name):
    monkeypatch.setattr(predicting, "predict", _fail)  # when the first network is saved
    with pytest.raises(CutError):
        train(config(), tmp_path / "run")
    monkeypatch.undo()
    if name == "checkpoints/best.ckpt":
        (tmp_path / "run" / "model.json").unlink()
    (tmp_path / "run" / name).write_bytes(b"\xff neither a network nor text")
    with pytest.raises(InputError, match=f"{name} is damaged"):
        train(config(), tmp_path / "run", resume=True)


def test_a_run_resumes_with_moved_data_on_another_machine(config, cache, tmp_path):
    train(config(epochs=4), tmp_path / "whole")
    cut_run(config, tmp_path / "cut", epochs=4, device="auto")
    cache.rename(tmp_path / "elsewhere")
    with pytest.raises(CacheError, match="no such cache"):
        train(load_config(), tmp_path / "cut", resume=True)
    moved = load_config(None, {"data": str(tmp_path / "elsewhere"), "device": "cpu"})
    train(moved, tmp_path / "cut", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
    assert load_config(tmp_path / "cut" / "config.yaml") == config(
        epochs=4, data=moved.data, split="given", head="expression", parts="body_25"
    )


def test_partial_files_of_a_killed_training_are_removed(config, tmp_path):
    dead = subprocess.run(
        [sys.executable, "-c", "import skelemo.atomic as u; print(u.owner())"], capture_output=True, text=True
    ).stdout.strip()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / f"{PARTIAL}{dead}-config").write_text("lr:")
    train(config(), tmp_path / "run")
    assert not any(path.name.startswith(PARTIAL) for path in (tmp_path / "run").iterdir())


def test_resuming_with_other_settings_is_refused_with_both_values(config, tmp_path):
    with pytest.raises(CutError):
        train(config(), tmp_path / "run", report=_fail)
    with pytest.raises(ConfigError, match=r"lr = 0\.001, not 0\.5"):
        train(config(lr=0.5), tmp_path / "run", resume=True)


def _fail(*_: object, **__: object) -> None:
    raise CutError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": "nowhere"}, "no such cache"),
        ({"arch": "an"}, "did you mean 'ann'"),
        ({"model": {"widht": 3}}, "did you mean 'width'"),
        ({"split": "given:fold_9"}, "no split column 'fold_9'"),
        ({"split": "kfold:200"}, "cannot be divided into 200 subsets"),
        ({"device": "cuda:7"}, "device 'cuda:7'"),
        ({"device": "meta"}, "device 'meta' is not available: expected auto, cpu, cuda, cuda:1 or mps"),
        ({"model": {"width": 99999999999}}, "ann cannot be built with width=99999999999: .*allocate[^\n]*$"),
        (
            {"arch": "cnn_lstm", "model": {"freeze": "two"}},
            "setting freeze of cnn_lstm is 'two'; expected a whole number",
        ),
        ({"arch": "svm", "model": {"c": -1}}, "settings of svm: .* Got -1"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_a_folder_is_made(config, tmp_path, settings, message):
    with pytest.raises(Exception, match=message):
        train(config(**settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_flag_that_a_baseline_cannot_learn_is_named(tmp_path, config):
    au = Head("au", "flags", ("AU1", "AU2", "AU4"))
    folder = tmp_path / "flags"
    for index, subset in enumerate(("train", "train", "train", "validation", "test")):
        flags = np.tile(np.array([[index % 2, 0, 1]], np.int8), (4, 1))
        flags[0, 1], flags[3] = (-1 if subset == "train" else 1), -1  # what is unknown does not count
        one = a_sequence(f"v{index}", 4, labels={"au": flags}, splits={"split": subset})
        a_cache(folder, one, header=Header("body_25", (au,)))
    given = {"data": str(folder), "split": "given", "head": "au", "arch": "svm", "optimizer": None, "model": {}}
    with pytest.raises(ConfigError) as error:
        train(config(**given), tmp_path / "run")
    assert str(error.value) == (
        "fold 1: svm cannot learn AU2 of au, AU4 of au, constant or unlabeled in the train subset (of 3 sequences); "
        "choose a network (--arch ann), another split (split_seed), or labels without these flags"
    )
    assert not (tmp_path / "run").exists()


UNWATCHED = {"head": "va", "validation": 0, "schedule": "plateau"}


def labeled(config, folder, *, expression=None, va=None, splits=("train", "train", "validation", "test"), frames=4):
    """A configuration on clips with these labels, one given part each."""
    for index, part in enumerate(splits):
        label = {"expression": np.full(frames, -1 if expression is None else expression[index], np.int8)}
        rate = np.full(frames, np.nan if va is None else va[index], np.float32)
        clip = a_sequence(f"v{index}", frames, **label, valence=rate, arousal=rate, splits={"split": part})
        a_cache(folder, clip)
    return lambda **settings: config(data=str(folder), split="given", **settings)


@pytest.mark.parametrize(
    ("labels", "settings", "message"),
    [
        (
            {"expression": (0, 1, 2, 0)},
            {"head": "both"},
            "no window in the train subset .of 2 sequences. has .* head va",
        ),
        ({"expression": (0, 1, 2, 0)}, {"head": "both", "arch": "svm"}, "fold 1: no window in the train .* head va"),
        ({"expression": (1, 1, 2, 0)}, {"arch": "logistic"}, "have the same class of expression; logistic needs two"),
        (
            {"expression": (1, 1, 2, 0)},
            {},
            "all windows in .* have the same class of expression; ann needs two: add data",
        ),
        ({"va": (0, 1, 0, 1)}, {"head": "va", "balance": True}, "balance needs a head of classes; va has none"),
        ({"va": (0, 1, 0, 1)}, {"head": "va", "loss_weight": {"va": 0}}, "loss_weight is 0 for va: nothing to train"),
        (
            {"va": (0, 1, 0, 1)},
            {"head": "va", "loss_weight": {"vaa": 1}},
            "unknown head in loss_weight 'vaa': did you mean 'va'",
        ),
        (
            {"expression": (0, 1, 2, 0)},
            {"head": "expression", "neutral_radius": 0.2},
            "neutral_radius maps valence and arousal to emotions: use --head va",
        ),
        (
            {"expression": (0, 1, 2, 0)},
            {"head": "expression", "optimizer": None},
            "ann is a network and needs an optimizer, e.g. --set optimizer=adam",
        ),
        ({"va": (0, 1, 0, 1)}, {"head": "expression"}, "no frame of .* has a label for the head 'expression'"),
        ({"va": (0, 1, 0, 1)}, {"head": "va", "optimizer": "muon"}, "optimizer muon does not suit ann: .*2D.*; choose"),
        ({"va": (0, 1, 0, 1), "splits": ("train",) * 4}, {"head": "va", "validation": 0}, "nothing to score"),
        (
            {"va": (0, 1, 0, 1), "splits": ("train",) * 3 + ("test",)},
            UNWATCHED,
            "schedule plateau needs a validation subset; choose another, e.g. cosine",
        ),
        ({"va": (0, 1, 0), "splits": ("train", "validation", "test"), "frames": 1}, {"head": "va"}, "only one"),
    ],
)
def test_what_no_window_serves_is_refused_before_a_folder_is_made(config, tmp_path, labels, settings, message):
    model = {} if "arch" in settings else {"width": 16}
    with pytest.raises(ConfigError, match=message):
        train(labeled(config, tmp_path / "few", **labels)(**settings, model=model), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("class_weights", ["sqrt", "balanced"])
def test_a_class_that_only_validation_shows_has_a_validation_loss(config, tmp_path, class_weights):
    few = labeled(config, tmp_path / "few", expression=(0, 1, 2, 0))
    train(few(class_weights=class_weights, epochs=4, patience=3, monitor="loss"), tmp_path / "run")
    losses = read_run(tmp_path / "run").metrics["validation_loss"]
    assert len(losses) == 4
    assert losses.between(0.1, 100).all()


@pytest.mark.parametrize("batch_size", [2, 3, 4, 7])
def test_no_batch_is_too_small_for_a_network_to_learn_from(config, tmp_path, batch_size):
    few = labeled(config, tmp_path / "few", va=(-1, 0, 1), splits=("train", "validation", "test"), frames=7)
    scores = train(few(head="va", batch_size=batch_size, epochs=1), tmp_path / "run")
    assert scores["test"]["va"]["windows"] == 1  # one clip


def test_a_plateau_may_watch_a_validation_part_that_came_with_the_labels(config, tmp_path):
    train(config(split="given", validation=0, schedule="plateau", epochs=2), tmp_path / "run")
    assert "validation_score" in read_run(tmp_path / "run").metrics


def test_a_validation_part_that_came_with_the_labels_can_be_scored_instead_of_choosing(config, tmp_path):
    train(config(split="given", given_validation="score"), tmp_path / "run")
    parts = read_run(tmp_path / "run").splits["folds"][0]
    assert set(parts["test"]) == {f"clip{index}" for index in range(30) if index // 3 % 5 in (3, 4)}
    assert parts["validation"]


def test_targets_without_a_visible_person_are_scored_but_not_trained_on(config, cache):
    made = config(head="expression")
    corpus = load_corpus(open_cache(cache))
    corpus.keypoints[:6] = 0
    corpus.seen[:6] = False
    ids = corpus.sequences["id"]
    targets = job.Job(made, corpus, torch.device("cpu")).targets(
        fold.Fold(tuple(ids[:3]), tuple(ids[3:6]), tuple(ids[:3]))
    )
    assert (len(targets["train"]), len(targets["test"])) == (30, 36)


def test_resuming_with_other_data_is_refused(config, cache, tmp_path):
    with pytest.raises(CutError):
        train(config(), tmp_path / "run", report=_fail)
    a_cache(cache, a_sequence("one more"), header=open_cache(cache).shards[0].header)
    with pytest.raises(ConfigError, match="cache has changed since the run was started"):
        train(config(), tmp_path / "run", resume=True)


@pytest.mark.parametrize("arch", ["svm", "logistic", "boosting"])
def test_a_baseline_leaves_a_run_that_is_scored_and_read_like_a_networks(config, tmp_path, arch):
    scores = train(config(arch=arch, head="both", model={}), tmp_path / "run")["test"]
    run = read_run(tmp_path / "run")
    assert run.config["optimizer"] is None
    assert {head.name for head in run.heads} == {"expression", "va"}
    if arch != "boosting":  # trees need more than eighteen clips
        assert scores["expression"]["macro_f1"]["value"] > 0.6  # six clips; 0.33 knows nothing
        assert scores["va"]["ccc_mean"]["value"] > 0.8


def test_a_baseline_is_fitted_to_a_sample_of_at_most_so_many_windows(config, tmp_path):
    train(config(arch="svm", head="va", model={}, fit_windows=20, mirror=0.0), tmp_path / "run")
    vectors = load_file(tmp_path / "run" / "model.safetensors")["estimators.va.vectors"]
    assert 0 < len(vectors) <= 2 * 20  # of two values; without the limit there are 216 windows


def test_a_baseline_is_fitted_in_each_fold(config, tmp_path):
    train(config(arch="logistic", split="kfold:3", model={}), tmp_path / "run")
    assert read_run(tmp_path / "run").predictions["fold"].nunique() == 3
    assert all((tmp_path / "run" / f"fold_{number}" / "model.json").exists() for number in (1, 2, 3))


def test_a_scikit_learn_error_is_one_line(config, tmp_path):
    with pytest.raises(ConfigError, match=r"svm cannot learn the head va: [^\n]*too large[^\n]*$"):
        train(config(arch="svm", head="va", model={"c": 10**400}), tmp_path / "run")


@pytest.mark.parametrize("c", [0, 1e-320])
def test_a_value_that_scikit_learn_rejects_is_refused_before_a_folder_is_made(config, tmp_path, c):
    with pytest.raises(ConfigError, match=r"settings of logistic: [^\n]*alpha[^\n]*$"):
        train(config(arch="logistic", head="va", model={"c": c}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unknown_setting_of_a_baseline_is_refused_before_a_folder_is_made(config, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'gamma'"):
        train(config(arch="svm", model={"gama": 1}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_several_seeds_are_one_run_with_metrics_per_seed_and_their_mean(config, tmp_path):
    settings = {"epochs": 2, "seed": 5, "split": "kfold:2"}
    train(config(seeds=2, **settings), tmp_path / "run")
    run = read_run(tmp_path / "run")
    single = []
    for seed in (5, 6):
        train(config(**{**settings, "seed": seed}), tmp_path / f"{seed}")
        single.append(read_run(tmp_path / f"{seed}"))
        model = load_file(tmp_path / f"{seed}" / "fold_2" / "model.safetensors")
        for name, value in load_file(tmp_path / "run" / f"seed_{seed}" / "fold_2" / "model.safetensors").items():
            assert torch.equal(value, model[name])
    column = "expression_p_neutral"
    mean = np.mean([one.predictions[column] for one in single], 0)
    np.testing.assert_allclose(run.predictions[column], mean, rtol=1e-6)
    scored = run.shown["expression"]
    own = [one.shown["expression"]["macro_f1"]["value"] for one in single]
    assert [scored["seeds"][seed]["macro_f1"] for seed in ("5", "6")] == own
    assert scored["seed_mean"]["macro_f1"]["mean"] == pytest.approx(np.mean(own))
    assert scored["seed_mean"]["macro_f1"]["sd"] == pytest.approx(np.std(own, ddof=1))
    assert run.metrics["fold"].nunique() == 4
    assert len(load(tmp_path / "run").members) == 4


def test_an_interrupted_run_of_several_seeds_resumes(config, tmp_path):
    settings = {"epochs": 2, "seeds": 3}
    train(config(**settings), tmp_path / "whole")
    told: list[int] = []

    def cut(at: int, *_: object) -> None:
        told.append(at)
        if at == 2:
            raise CutError

    with pytest.raises(CutError):
        train(config(**settings), tmp_path / "cut", report=cut)
    train(load_config(), tmp_path / "cut", resume=True)
    pd.testing.assert_frame_equal(read_run(tmp_path / "whole").predictions, read_run(tmp_path / "cut").predictions)


def test_progress_names_what_follows_the_last_epoch(config, tmp_path):
    told = []
    train(config(epochs=2), tmp_path / "run", report=lambda *event: told.append(event))
    last = [index for index, (*_, done, most, _text) in enumerate(told) if done == most == 2][-1]
    windows = len(pd.read_parquet(tmp_path / "run" / "predictions.parquet").query("subset == 'test'"))
    stages = told[last + 1 :]
    assert [event[:4] for event in stages] == [(1, 1, 0, 0)] * len(stages)
    assert [text.split(" ")[0] for *_, text in stages] == ["predicting", "predicting", "measuring"]
    assert stages[1][-1] == f"predicting {windows} test windows"
