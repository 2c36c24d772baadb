"""Shards with damaged bytes: each costs one line, found before HDF5 sees them, and none crashes or takes long."""

import time

import numpy as np
import pytest
from small_caches import BODY, a_recording, a_sequence

from skelemo.cache import hdf5
from skelemo.cache.reading import damaged_sequences
from skelemo.cache.shard import open_shard, write_shard
from skelemo.errors import CacheError


def mutate(content, random):
    """Flip bits, overwrite, cut, repeat or insert bytes of a file."""
    data, size = bytearray(content), len(content)
    at, kind = int(random.integers(size)), int(random.integers(6))
    if kind == 0:
        data[at] ^= 1 << int(random.integers(8))
    elif kind == 1:
        for place in random.integers(0, size, int(random.integers(2, 64))).tolist():
            data[place] = (data[place] + 1 + int(random.integers(254))) % 256
    elif kind == 2:
        del data[at:]
    elif kind == 3:
        data[at : at + 64] = random.bytes(64)
    elif kind == 4:
        data[at:at] = random.bytes(int(random.integers(1, 64)))
    else:
        data[at : at + 8] = bytes([255] * 8)  # sizes and addresses beyond everything
    return bytes(data)


def survive(folder, mutants):
    """Open and check mutated shards; every one that differs is refused in one line, within two seconds."""
    whole = write_shard(folder, BODY, [a_sequence("one", 600), a_sequence("two", 5)], [a_recording("one")]).read_bytes()
    random, path = np.random.default_rng(28), folder / "mutant.h5"
    for number in range(mutants):
        mutant = mutate(whole, random)
        path.write_bytes(mutant)
        start = time.process_time()
        refused = ""
        try:
            damaged = damaged_sequences(open_shard(path))
        except CacheError as error:
            damaged, refused = [], str(error)
        assert damaged or mutant == whole or refused.startswith(f"{path}: "), number
        assert "\n" not in refused, number
        assert time.process_time() - start < 2, number


def test_two_thousand_mutated_shards_are_one_error_each(tmp_path):
    survive(tmp_path, 2_000)


@pytest.mark.slow
def test_twenty_thousand_mutated_shards_are_one_error_each(tmp_path):
    survive(tmp_path, 20_000)


def test_hdf5_never_opens_damaged_structures(tmp_path, monkeypatch):
    path = write_shard(tmp_path, BODY, [a_sequence("one", 600)])
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(hdf5.h5py, "File", lambda *_, **__: pytest.fail("HDF5 was asked"))
    with pytest.raises(CacheError, match="do not match the hash in the seal"):
        open_shard(path)
