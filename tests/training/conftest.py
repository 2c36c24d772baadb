from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_trainings import HEADS, QUICK, separable_sequence

from skelemo.cache.shard import Header, write_shard
from skelemo.training.config import Config, load_config


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Thirty clips that a small network learns at once."""
    folder = tmp_path / "cache"
    folder.mkdir()
    write_shard(folder, Header("body_25", HEADS), [separable_sequence(index) for index in range(30)])
    return folder


@pytest.fixture
def config(cache: Path) -> Callable[..., Config]:
    """A quick configuration on that cache, with other settings in its place."""

    def make(**settings: Any) -> Config:
        return load_config(None, {"data": str(cache), **QUICK, **settings})

    return make


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Throughput is measured for a hundredth of a second."""
    monkeypatch.setattr("skelemo.inference.scoring.cost._SECONDS", 0.01)
