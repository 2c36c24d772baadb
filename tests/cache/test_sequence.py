"""What a sequence may say, and the hash of it."""

import hashlib
import struct

import numpy as np
import pytest
from small_caches import a_sequence

from skelemo.errors import CacheError


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


ONE = a_sequence()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("id", "", "id or video is missing"),
        ("video", "", "id or video is missing"),
        ("subject", "a\0b", "cannot be stored"),
        ("person", "caf\udce9", "cannot be stored"),
        ("splits", {"split": 3}, "3 is not text"),
        ("width", -1, "width -1"),
        ("fps", float("nan"), "fps nan"),
        ("fps", float("inf"), "fps inf"),
        ("keypoints", ONE.keypoints[0], r"shape \(25, 3\)"),
        ("keypoints", ONE.keypoints[..., :2], r"shape \(7, 25, 2\)"),
        ("keypoints", ONE.keypoints[:0], "no frame"),
        ("keypoints", changed(ONE.keypoints, (3, 4), np.nan), "not all numbers"),
        ("keypoints", changed(ONE.keypoints, (3, 4, 0), np.inf), "not all numbers"),
        ("keypoints", changed(ONE.keypoints, (3, 4, 1), -1e30), "not all numbers"),
        ("keypoints", changed(ONE.keypoints, (3, 4, 2), 1.5), r"expected \[0, 1\]"),
        ("keypoints", changed(ONE.keypoints, (3, 4), (9, 9, -0.1)), r"expected \[0, 1\]"),
        ("keypoints", changed(ONE.keypoints, (3, 4), (9, 0, 0)), r"expected \(0, 0, 0\)"),
        ("number", np.arange(6), "expected \\(7,\\)"),
        ("number", np.arange(7)[::-1].copy(), "strictly increasing"),
        ("number", np.array([0, 1, 2, 2, 3, 4, 5]), "strictly increasing"),
        ("number", np.arange(-1, 6), "negative or not strictly increasing"),
        ("number", np.arange(7) + 2**31, "integers up to 2147483647"),
        ("number", np.arange(7.0), "integers"),
        ("expression", np.full(7, -2), "integers"),
        ("expression", np.full(7, 2**15), "integers from -1 to 32767"),
        ("labels", {"va": np.zeros((6, 2))}, "for each of 7 frames"),
    ],
)
def test_invalid_sequences_are_refused_with_their_id(field, value, message):
    with pytest.raises(CacheError, match=message) as error:
        a_sequence(**{field: value})
    assert str(error.value).startswith("sequence ")
    assert "\n" not in str(error.value)


def test_names_may_use_any_script():
    assert a_sequence(id="视频 №1 🎬", video="café").id == "视频 №1 🎬"


def test_the_hash_is_the_documented_one():
    one = a_sequence(subject="Ann", splits={"split": "train", "fold_1": "test"}, fps=25, width=640, height=480)
    texts = b'one\0one\0\0Ann\0{"fold_1": "test", "split": "train"}\0pixels\0'
    expected = hashlib.sha256(texts + struct.pack("<q", 640) + struct.pack("<q", 480) + struct.pack("<d", 25))
    for name, kind in (
        ("keypoints", "<f4"),
        ("labels/expression", "<i2"),
        ("labels/va", "<f4"),
        ("number", "<i4"),
    ):
        expected.update(name.encode() + b"\0" + one.frame_arrays()[name].astype(kind).tobytes())
    assert one.sha256 == expected.hexdigest()


def test_the_hash_ignores_dtype_memory_order_and_nan_payload():
    one = a_sequence(valence=np.full(7, np.nan, np.float32), splits={"a": "train", "b": "test"})
    other_nan = np.full(7, 0xFFC12345, np.uint32).view(np.float32)
    same = a_sequence(
        valence=other_nan,
        keypoints=np.asfortranarray(one.keypoints.astype(np.float64)),
        number=one.number.astype(np.int64),
        expression=one.labels["expression"].astype(np.int32),
        splits={"b": "test", "a": "train"},
    )
    assert same.sha256 == one.sha256


@pytest.mark.parametrize(
    "fact", [{"subject": "Bob"}, {"fps": 24.0}, {"splits": {"split": "test"}}, {"number": np.arange(1, 8)}, {"seed": 1}]
)
def test_the_hash_depends_on_every_fact(fact):
    assert a_sequence(**fact).sha256 != ONE.sha256
