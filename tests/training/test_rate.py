"""The learning-rate finder: a tenth of the rate at which the loss is lowest."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from small_trainings import CutError, cut_after

from skelemo.errors import ConfigError
from skelemo.training import rate
from skelemo.training.config import load_config
from skelemo.training.fit import train
from skelemo.training.rate import curve_of


def test_the_suggestion_is_a_tenth_of_the_rate_with_the_lowest_loss():
    steps = np.arange(rate.STEPS)
    curve = curve_of(1 + ((steps - 80) / 40) ** 2)
    assert curve.rate[0] == pytest.approx(1e-6)
    assert curve.rate[-1] == pytest.approx(10)
    smooth = pd.Series(1 + ((steps - 80) / 40) ** 2).ewm(alpha=0.1, adjust=True).mean()
    assert 80 < smooth.argmin() < 90  # a mean by 0.9 lags by 9 steps
    assert curve.suggestion == pytest.approx(10 ** (-6 + 7 * smooth.argmin() / 139) / 10)
    assert curve.loss == pytest.approx(smooth.to_numpy())


def test_a_loss_that_never_falls_has_no_rate():
    with pytest.raises(ConfigError, match="found no rate at which the loss falls"):
        curve_of(np.linspace(1, 2, 50))
    with pytest.raises(ConfigError, match="set lr"):
        curve_of(np.array([1.0]))


def test_a_loss_that_falls_by_less_than_it_varies_between_steps_has_no_rate():
    falling = np.where(np.arange(rate.STEPS) > 60, 0.9, 1.0)
    for spread, clear in ((0.02, True), (0.4, False)):
        losses = falling + spread * np.tile([-1, 1], rate.STEPS // 2)
        if clear:
            assert curve_of(losses).suggestion > 1e-4
        else:
            with pytest.raises(ConfigError, match=r"by more than its noise: .*increase batch_size"):
                curve_of(losses)


def test_rates_rise_together_and_stop_at_four_times_the_lowest_smoothed_loss():
    """A backbone that learns at a tenth of the rate does so in the search, too."""
    heads, backbone = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    groups = [{"params": [heads]}, {"params": [backbone], "lr": rate.LOWEST / 10}]
    optimizer = torch.optim.SGD(groups, lr=rate.LOWEST)
    trainer = SimpleNamespace(optimizers=[optimizer], global_step=0, should_stop=False)
    sweep, losses = rate._Sweep(), [2.0] * 40 + [60.0, 10.0]  # smoothed: 7.9 and 8.1
    for step, loss in enumerate(losses):
        sweep.on_train_batch_start(trainer, None, None, step)
        expected = 10 ** (-6 + 7 * step / 139)
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([expected, expected / 10])
        assert not trainer.should_stop
        trainer.global_step += 1
        sweep.on_train_batch_end(trainer, None, {"loss": torch.tensor(loss)}, None, step)
    assert trainer.should_stop
    assert sweep.losses == pytest.approx(losses)


def test_the_loss_of_a_step_is_the_mean_over_the_batches_that_it_accumulates(config, tmp_path):
    """Nine batches, eight to a step: every other step has one batch and is not taken for divergence."""
    train(config(lr="auto", epochs=1, batch_size=24, accumulate=8), tmp_path / "run")
    found = json.loads((tmp_path / "run" / "lr_find.json").read_text())
    assert found["loss"][:20] == pytest.approx([np.log(3)] * 20, abs=0.15), "before anything is learned"


def test_a_rate_search_stops_at_the_first_loss_that_is_not_finite():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate.LOWEST)
    trainer = SimpleNamespace(optimizers=[optimizer], global_step=2, should_stop=False)
    sweep = rate._Sweep()
    sweep.losses = [3.0]
    sweep.on_train_batch_end(trainer, None, {"loss": torch.tensor(torch.nan)}, None, 1)
    assert trainer.should_stop
    assert sweep.losses == [3.0], "the curve has finite losses only"


def test_auto_finds_a_rate_that_learns_and_a_resumed_run_keeps_it(config, tmp_path):
    scores = train(config(lr="auto", epochs=15), tmp_path / "run")["test"]
    assert scores["expression"]["macro_f1"]["value"] > 0.95
    found = json.loads((tmp_path / "run" / "lr_find.json").read_text())
    assert len(found["rate"]) == len(found["loss"]) > 50
    assert 1e-5 < found["suggestion"] < 1
    used = pd.read_csv(tmp_path / "run" / "metrics.csv")["lr"]
    assert used.unique() == pytest.approx([found["suggestion"]])

    with pytest.raises(CutError):
        train(config(lr="auto", epochs=3), tmp_path / "cut", report=cut_after(1))
    file = tmp_path / "cut" / "lr_find.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"suggestion": 0.0123}))
    train(load_config(), tmp_path / "cut", resume=True)
    assert pd.read_csv(tmp_path / "cut" / "metrics.csv")["lr"].iloc[-1] == pytest.approx(0.0123, rel=0.5)


def test_looking_for_a_rate_leaves_the_network_as_it_was(config, tmp_path):
    """The training with the rate that was found is the one in which it was written down from the start."""
    train(config(lr="auto", epochs=2), tmp_path / "found")
    lr = json.loads((tmp_path / "found" / "lr_find.json").read_text())["suggestion"]
    train(config(lr=lr, epochs=2), tmp_path / "set")
    first, second = (
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for name in ("found", "set")
    )
    for name, value in first.items():
        torch.testing.assert_close(value, second[name])


def test_ctrl_c_while_the_rate_is_found_is_an_interruption(config, tmp_path, monkeypatch):
    """SIGTERM takes the same path; Lightning would exit with code 0 after it."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rate._Sweep, "on_train_batch_start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(config(lr="auto"), tmp_path / "run")
