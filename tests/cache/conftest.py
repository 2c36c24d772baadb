import numpy as np
import pytest
from small_caches import BODY, PROBLEM, a_cache, a_recording, a_sequence

from skelemo.cache.shard import open_shard, write_shard
from skelemo.cache.store import shard_files


@pytest.fixture
def sequences():
    return [
        a_sequence("one", 5, subject="Ann", splits={"split": "train"}, fps=25.0, width=640, height=480),
        a_sequence("two/left", 3, person="left", number=np.array([4, 9, 10])),
        a_sequence("三", 1),
    ]


@pytest.fixture
def path(tmp_path, sequences):
    return write_shard(tmp_path, BODY, sequences, [a_recording("one"), a_recording("two")], [PROBLEM])


@pytest.fixture
def cache(tmp_path):
    """Four shards: Kick 0 to 3, two sequences each, of which the first is of the training part and glad."""
    for index in range(4):
        kinds = {"train": np.zeros(40, np.int8), "test": np.full(40, 2, np.int8)}
        a_cache(
            tmp_path / "cache",
            *(
                a_sequence(
                    f"Kick {index}_{part}", 40, video=f"Kick {index}", splits={"split": part}, expression=classes
                )
                for part, classes in kinds.items()
            ),
            recordings=[a_recording(f"Kick {index}")],
        )
    return tmp_path / "cache"


@pytest.fixture
def changed(cache, tmp_path):
    """The cache after an ingest --replace of Kick 1: one sequence is another, the shard is a new one."""
    changed = tmp_path / "changed"
    changed.mkdir()
    for path in shard_files(cache):
        if "Kick 1_test" not in set(open_shard(path).sequences["id"]):
            (changed / path.name).write_bytes(path.read_bytes())
    train = a_sequence("Kick 1_train", 40, video="Kick 1", splits={"split": "train"}, expression=np.zeros(40, np.int8))
    return a_cache(changed, train, a_sequence("Kick 1_test", 40, seed=9), recordings=[a_recording("Kick 1")])
