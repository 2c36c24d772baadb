"""One content is in one order."""

import pytest
from small_caches import a_cache, a_recording, a_sequence

from skelemo.cache.store import open_cache


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_sequences_does_not_depend_on_shard_names(tmp_path, seed):
    for name in ("10", "9", "2", "30"):  # what was read when is part of a shard's name
        a_cache(tmp_path, a_sequence(name), recordings=[a_recording(name, fingerprint=f"{seed}" * 32)])
    assert list(open_cache(tmp_path).sequences["id"]) == ["2", "9", "10", "30"]
