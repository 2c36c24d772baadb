"""Training on a corpus larger than memory."""

import numpy as np
import pytest

from skelemo.errors import ConfigError
from skelemo.runs.folder import read_run
from skelemo.training.config import load_config
from skelemo.training.fit import train

MEMORY = "80KB"  # of 114


@pytest.mark.parametrize("split", ["given", "kfold:3"])
def test_steps_of_whole_epochs_are_those_of_memory(config, tmp_path, split):
    """In one batch for the whole epoch there is no order."""
    settings = {"split": split, "batch_size": 1000, "lr": 0.01, "parts": "all", "calibrate": "track"}
    for name, memory in (("held", ""), ("mapped", MEMORY)):
        train(config(**settings, memory=memory), tmp_path / name)
    held, mapped = (read_run(tmp_path / name) for name in ("held", "mapped"))
    for name in ("train_loss", "validation_loss"):
        np.testing.assert_allclose(mapped.metrics[name], held.metrics[name], atol=1e-5)
    assert (mapped.predictions["sequence"] == held.predictions["sequence"]).all()
    name = "expression_p_sadness"
    np.testing.assert_allclose(mapped.predictions[name], held.predictions[name], atol=1e-4)


def test_the_same_seed_gives_the_same_run(config, tmp_path):
    for name in ("one", "two"):
        train(config(memory=MEMORY, jitter=0.05), tmp_path / name)
    one, two = (read_run(tmp_path / name) for name in ("one", "two"))
    assert (one.metrics["train_loss"] == two.metrics["train_loss"]).all()
    assert len(one.metrics) == 3
    assert one.predictions.equals(two.predictions)
    train(config(jitter=0.05), tmp_path / "held")
    assert (read_run(tmp_path / "held").metrics["train_loss"] != one.metrics["train_loss"]).any(), "another order"


def test_a_size_is_written_as_for_ingest():
    assert load_config(None, {"memory": "1.5 GiB"}).bytes == 3 << 29
    assert load_config(None, {"memory": 4096}).bytes == 4096
    assert load_config(None, {}).bytes is None
    with pytest.raises(ConfigError, match="setting memory 'much': expected a number and a unit, as in 512MB"):
        load_config(None, {"memory": "much"})
