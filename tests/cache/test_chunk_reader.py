"""Data sets read chunk by chunk, against HDF5's own reading of them."""

from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest

from skelemo.cache import hdf5
from skelemo.errors import CacheError

TABLE = np.dtype([("name", "S7"), ("length", "<i8"), ("seen", "<i8", (3,))])


def arrays():
    random = np.random.default_rng(0)
    walk = random.normal(size=(1000, 5, 3)).cumsum(0).astype("<f4")
    table = np.zeros(77, TABLE)
    table["name"], table["seen"] = b"somebody", np.arange(231).reshape(77, 3)
    noise = random.integers(0, 256, 70_000, np.uint8).view("<i4")  # which Blosc cannot shrink
    return {"walk": walk, "table": table, "noise": noise, "nothing": np.zeros((0, 3), "<f4")}


def exactly(*kind):
    """Whether an array has this type and this shape behind its first axis."""
    return lambda *found: found == (kind if len(kind) == 2 else (*kind, ()))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A file of such arrays in chunks of 64 rows, and where they lie in it."""
    path = tmp_path_factory.mktemp("chunks") / "arrays.h5"

    def fill(file):
        for name, array in arrays().items():
            hdf5.write_array(file, name, array, 64 if name != "noise" else 4096)

    path.write_bytes(hdf5.image(fill))
    with hdf5.opened(path) as file:
        return path, {
            name: hdf5.find_array(file, name, exactly(array.dtype, array.shape[1:])) for name, array in arrays().items()
        }


@pytest.mark.parametrize("name", arrays())
def test_reads_the_same_as_h5py(stored, name):
    path, found = stored
    with h5py.File(path) as file:
        expected = file[name][()]
    assert found[name].read().tobytes() == expected.tobytes() == arrays()[name].tobytes()


@pytest.mark.parametrize("rows", [(0, 1000), (0, 64), (64, 128), (63, 65), (1, 999), (960, 1000), (999, 1000), (5, 5)])
def test_reads_any_range_of_rows(stored, rows):
    first, last = rows
    array = np.full((last - first, 5, 3), np.nan, "<f4")
    stored[1]["walk"].read_into(array, first)
    np.testing.assert_array_equal(array, arrays()["walk"][first:last])


def test_threads_read_concurrently(stored):
    with ThreadPoolExecutor(4) as pool:
        for read in pool.map(lambda _: stored[1]["walk"].read(), range(40)):
            np.testing.assert_array_equal(read, arrays()["walk"])


@pytest.mark.parametrize("name", ["walk", "table", "noise"])
def test_any_changed_byte_of_a_chunk_is_detected(stored, tmp_path, name, monkeypatch):
    monkeypatch.setattr(hdf5, "require_sealed", lambda _: None)
    path, found = stored
    whole, random = path.read_bytes(), np.random.default_rng(1)
    offset, size, _ = found[name].extents[-1].tolist()
    for place in random.choice(size, 50, replace=False).tolist():
        changed = bytearray(whole)
        changed[offset + place] ^= 1 << int(random.integers(8))
        other = tmp_path / "changed.h5"
        other.write_bytes(changed)
        with hdf5.opened(other) as file:
            chunks = hdf5.find_array(file, name, exactly(found[name].dtype, found[name].shape[1:]))
        with pytest.raises(CacheError, match=r"changed\.h5"), hdf5.reading(other):
            chunks.read()


def test_a_file_truncated_after_opening_is_refused(stored, tmp_path):
    path, found = stored
    other = tmp_path / "cut.h5"
    other.write_bytes(path.read_bytes())
    with hdf5.opened(other) as file:
        chunks = hdf5.find_array(file, "noise", exactly(found["noise"].dtype))
    other.write_bytes(path.read_bytes()[: chunks.extents[-1, 0] + 100])
    with pytest.raises(CacheError, match="the wrong length"), hdf5.reading(other):
        chunks.read()
