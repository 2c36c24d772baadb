"""What an epoch leaves behind: the history, the checkpoints, and the decision to stop."""

from types import SimpleNamespace

import pytest
import torch

from skelemo.errors import InputError
from skelemo.training.callbacks import Checkpoints, History, restoring


def a_trainer(epoch=0, step=0, first=True, **metrics):
    """What a callback reads of a trainer; a checkpoint is the number of its epoch."""
    trainer = SimpleNamespace(is_global_zero=first, current_epoch=epoch, global_step=step, should_stop=False)
    trainer.callback_metrics = {name: torch.tensor(value) for name, value in metrics.items()}
    trainer.optimizers = [SimpleNamespace(param_groups=[{"lr": 0.25}, {"lr": 0.5}])]
    trainer.save_checkpoint = lambda path, weights_only: path.write_text(f"{trainer.current_epoch} {weights_only}")
    return trainer


def test_a_resumed_history_replaces_the_epochs_that_are_repeated(tmp_path):
    file = tmp_path / "metrics.csv"
    file.write_text("epoch,train_loss,lr\n0,3.0,0.25\n1,2.0,0.25\n2,1.0,0.25\n")
    history = History(file)
    history.on_train_start(a_trainer(2), None)
    history.on_train_epoch_end(a_trainer(2, train_loss=0.5, validation_loss=0.75), None)
    assert file.read_text().splitlines() == [
        "epoch,train_loss,validation_loss,lr",
        "0,3.0,nan,0.25",
        "1,2.0,nan,0.25",
        "2,0.5,0.75,0.25",
    ]


def test_only_the_first_process_writes_a_history(tmp_path):
    history = History(tmp_path / "metrics.csv")
    history.on_train_start(a_trainer(first=False), None)
    history.on_train_epoch_end(a_trainer(first=False, train_loss=0.5), None)
    assert not any(tmp_path.iterdir())


def test_a_damaged_file_of_a_resumed_run_is_named(tmp_path):
    file = tmp_path / "metrics.csv"
    file.write_text("epoch,train_loss\nnone,3.0\n")
    with pytest.raises(InputError, match=r"metrics\.csv is damaged or .*\(ValueError\): .*another --out"):
        History(file).on_train_start(a_trainer(1), None)
    with pytest.raises(KeyboardInterrupt), restoring(file):
        raise KeyboardInterrupt  # says nothing about the file


def epochs(kept, scores, steps=4):
    """Run epochs of so many steps with these scores; returns in which epoch training would stop, or None."""
    for epoch, score in enumerate(scores):
        trainer = a_trainer(epoch, steps * (epoch + 1), validation_score=score)
        kept.on_train_epoch_end(trainer, None)
        if trainer.should_stop:
            return epoch
    return None


def test_an_equal_score_is_no_improvement_and_the_first_best_epoch_is_kept(tmp_path):
    kept = Checkpoints(tmp_path, "validation_score", "max", patience=0)
    assert epochs(kept, [0.1, 0.3, 0.2, 0.3]) is None
    assert kept.best.read_text() == "1 True"  # weights alone
    assert kept.last.read_text() == "3 False"
    assert epochs(Checkpoints(tmp_path, "validation_score", "max", patience=2), [0.3] * 4) == 2


def test_the_best_epoch_may_have_the_lowest_value_or_be_the_last(tmp_path):
    lowest = Checkpoints(tmp_path, "validation_score", "min", patience=0)
    epochs(lowest, [0.3, 0.1, 0.2])
    assert lowest.best.read_text() == "1 True"
    latest = Checkpoints(tmp_path, None, "max", patience=1)
    assert epochs(latest, [0.3, 0.1, 0.2]) is None
    assert latest.best.read_text() == "2 True"


@pytest.mark.parametrize(("patience", "steps", "stop"), [(2, 0, 3), (2, 10, 4), (4, 10, 5), (0, 0, None)])
def test_training_stops_when_both_epochs_and_steps_have_brought_nothing(tmp_path, patience, steps, stop):
    """The best epoch is the second, after 8 steps: after the fifth, three epochs and 12 steps have gone by."""
    kept = Checkpoints(tmp_path, "validation_score", "max", patience, steps)
    assert epochs(kept, [0.1, 0.9, 0.2, 0.2, 0.2, 0.2]) == stop


def test_a_training_that_was_done_before_it_was_interrupted_stops_at_once(tmp_path):
    before = Checkpoints(tmp_path, "validation_score", "max", patience=2, patience_steps=8)
    assert epochs(before, [0.9, 0.2, 0.2]) == 2
    for waited, stops in ((before.state_dict(), True), (before.state_dict() | {"waited": 1}, False)):
        after = Checkpoints(tmp_path, "validation_score", "max", patience=2, patience_steps=8)
        after.load_state_dict(waited)
        trainer = a_trainer(3, 12)
        after.on_train_start(trainer, None)
        assert trainer.should_stop is stops
