import numpy as np
import pytest
from small_caches import BODY, PROBLEM, a_recording, a_sequence

from skelemo.cache.shard import write_shard


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
