"""A shard is what the documentation of the format says: here read by that page, h5py and numpy alone.

skelemo writes the shard and knows nothing of how it is read.
"""

import hashlib
import json
import struct
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - brings the filter
import numpy as np
import pytest
from small_caches import PROBLEM, a_recording, a_sequence, moods

from skelemo.cache.shard import Header, write_shard
from skelemo.targets import Head

PAGE = Path(__file__).parents[2] / "docs" / "pages" / "cache-format.md"
PARTS = {"body_25": [25], "face_70": [70], "hand_21x2": [21, 21]}
FRAMES = {
    "keypoints": "<f4",
    "number": "<i4",
    "labels/expression": "<i2",
    "labels/va": "<f4",
    "labels/au": "i1",
}
TEXT, INTEGER, FLOAT = "S", "<i8", "<f8"
TABLES = {
    "sequences": dict.fromkeys(("id", "video", "person", "subject"), TEXT)
    | dict.fromkeys(("start", "length", "width", "height"), INTEGER)
    | {"fps": FLOAT, "scale": TEXT, "splits": TEXT}
    | dict.fromkeys(("seen", "points", "labels/expression", "labels/va", "labels/au"), INTEGER)
    | {"sha256": TEXT},
    "recordings": dict.fromkeys(("source", "video", "fingerprint"), TEXT)
    | dict.fromkeys(("files", "frames", "people"), INTEGER)
    | {"body_model": TEXT},
    "problems": {"file": TEXT, "reason": TEXT},
}
ATTRIBUTES = {"format", "version", "layout", "heads", "simulated", "settings", "origin", "tool", "sha256"}
UNITS = Head("au", "flags", ("AU1", "AU2"))
OUTPUTS = [["glad", "sad", "café"], ["valence", "arousal"], ["AU1", "AU2"]]
SETTINGS = {"person": "all", "fps": 12.5, "ort": "Straße"}
ORIGIN = {"source": "Bänder", "labels": "table:labels.csv"}


@pytest.fixture(params=["body_25", "body_25+face_70+hand_21x2"])
def written(request, tmp_path):
    """The sequences and their shard."""
    points = sum(sum(PARTS[name]) for name in request.param.split("+"))
    facts = {"subject": "Zoë", "splits": {"split": "train", "fold_1": "test"}, "fps": 29.97, "width": 640}
    first = a_sequence("one", 1500, points=points, height=480, **facts)
    first.keypoints[::3] = 0
    first.labels["va"][:, 0][::2] = np.frombuffer(struct.pack("<I", 0xFFC12345), np.float32)[0]  # some other NaN
    first.labels["va"][:, 1][::4] = np.nan
    first.labels["au"] = np.random.default_rng(2).integers(-1, 2, (1500, 2), np.int8)
    second = a_sequence("two/left", 3, points=points, video="two", person="left", number=np.array([4, 9, 10]))
    third = a_sequence("三", 1, points=points, keypoints=np.zeros((1, points, 3), np.float32), scale="unit")
    sequences = [first, second, third]
    header = Header(request.param, (*moods("glad", "sad", "café"), UNITS), True, SETTINGS, ORIGIN)
    rows = [a_recording("one", source="Tag 1/eins"), a_recording("two")]
    return sequences, write_shard(tmp_path, header, sequences, rows, [PROBLEM])


@pytest.fixture
def shard(written):
    with h5py.File(written[1], "r") as file:
        yield file


def text(value) -> str:
    return bytes(value).rstrip(b"\0").decode()


def of_sequence(one, name: str) -> np.ndarray:
    """A data set's frames of a sequence; -1 where it has no labels of that head."""
    arrays = {f"labels/{head}": labels for head, labels in one.labels.items()}
    arrays |= {"keypoints": one.keypoints, "number": one.number, "labels/au": np.full((len(one), 2), -1)} | arrays
    return arrays[name]


def parts(shard) -> list[int]:
    return [size for name in text(shard.attrs["layout"]).split("+") for size in PARTS[name]]


def test_the_attributes_are_text(shard):
    assert set(shard.attrs) == ATTRIBUTES
    said = {name: text(shard.attrs[name]) for name in ATTRIBUTES}
    assert all(shard.attrs.get_id(name).dtype.kind == "S" for name in ATTRIBUTES)
    assert (said["format"], said["version"], said["simulated"]) == ("skelemo", "2", "true")
    assert [head["outputs"] for head in json.loads(said["heads"])] == OUTPUTS
    assert json.loads(said["settings"]) == SETTINGS
    assert json.loads(said["origin"]) == ORIGIN
    assert said["tool"].startswith("skelemo ")


def test_data_sets_are_stored_as_specified(shard):
    assert set(shard) == {"frames", *TABLES}
    assert set(shard["frames"]) == {name.split("/")[0] for name in FRAMES}
    for name in [*TABLES, *(f"frames/{name}" for name in FRAMES)]:
        data = shard[name]
        plan = data.id.get_create_plist()
        assert [plan.get_filter(index)[0] for index in range(plan.get_nfilters())] == [32001, 3]
        assert data.chunks[1:] == data.shape[1:]
        assert shard.get(name, getlink=True).__class__ is h5py.HardLink
        assert not data.is_virtual
        assert not data.external


def test_tables_have_the_specified_columns_without_padding(shard):
    lists = {"points": (len(parts(shard)),), "labels/expression": (4,), "labels/va": (3,), "labels/au": (3,)}
    for name, columns in TABLES.items():
        kind = shard[name].dtype
        assert kind.names == tuple(columns)
        assert kind.itemsize == sum(kind[column].itemsize for column in columns)
        for column, expected in columns.items():
            if expected is TEXT:
                assert kind[column].kind == "S"
                assert h5py.check_string_dtype(kind[column]).encoding == "utf-8"
            else:
                assert kind[column] == np.dtype((expected, lists.get(column, ())))


def test_frames_are_those_written(shard, written):
    frames = {name: shard[f"frames/{name}"][()] for name in FRAMES}
    assert frames["keypoints"].shape[1:] == (sum(parts(shard)), 3)
    assert {name: array.dtype for name, array in frames.items()} == {n: np.dtype(kind) for n, kind in FRAMES.items()}
    end = 0
    for row, one in zip(shard["sequences"][()], written[0], strict=True):
        assert row["start"] == end
        end += row["length"]
        for name, array in frames.items():
            assert np.array_equal(array[row["start"] : end], of_sequence(one, name), equal_nan=True)
    assert {len(array) for array in frames.values()} == {end}


def test_sequences_are_those_written(shard, written):
    for row, one in zip(shard["sequences"][()], written[0], strict=True):
        known = (one.id, one.video, one.person, one.subject, one.scale)
        assert tuple(text(row[name]) for name in ("id", "video", "person", "subject", "scale")) == known
        assert (row["width"], row["height"], row["fps"]) == (one.width, one.height, one.fps)
        assert json.loads(text(row["splits"])) == one.splits
    assert text(shard["recordings"][0]["source"]) == "Tag 1/eins"
    assert text(shard["problems"][0]["reason"]) == PROBLEM["reason"]


def test_counts_match_the_frames(shard):
    confidence, expression = shard["frames/keypoints"][..., 2], shard["frames/labels/expression"][()]
    rated, flags = ~np.isnan(shard["frames/labels/va"][()]), shard["frames/labels/au"][()]
    ends = np.cumsum(parts(shard))
    for row in shard["sequences"][()]:
        here = slice(row["start"], row["start"] + row["length"])
        there = confidence[here] > 0
        assert row["seen"] == there.any(1).sum()
        assert row["points"].tolist() == [part.sum() for part in np.split(there, ends[:-1], axis=1)]
        named = [(expression[here] == label).sum() for label in (0, 1, 2)]
        assert row["labels/expression"].tolist() == [sum(named), *named]
        assert row["labels/va"].tolist() == [rated[here].any(1).sum(), *rated[here].sum(0)]
        assert row["labels/au"].tolist() == [(flags[here] >= 0).any(1).sum(), *(flags[here] == 1).sum(0)]


def test_sequence_hashes_follow_the_specification(shard):
    for row in shard["sequences"][()]:
        digest = hashlib.sha256()
        for name in ("id", "video", "person", "subject", "splits", "scale"):
            digest.update(text(row[name]).encode() + b"\0")
        digest.update(struct.pack("<qqd", row["width"], row["height"], row["fps"]))
        for name in sorted(FRAMES):
            frames = shard[f"frames/{name}"][row["start"] : row["start"] + row["length"]]
            if name.startswith("labels/") and frames.dtype.kind == "f":
                assert set(frames[np.isnan(frames)].view("<u4").tolist()) <= {0x7FC00000}
            missing = np.isnan(frames) if frames.dtype.kind == "f" else frames < 0
            if name.startswith("labels/") and missing.all():
                continue  # as if the sequence had no labels of that head
            digest.update(name.encode() + b"\0" + frames.tobytes())
        assert digest.hexdigest() == text(row["sha256"])


def test_the_shard_hash_follows_the_specification_and_names_the_file(shard, written):
    digest = hashlib.sha256()
    for name in sorted(ATTRIBUTES - {"origin", "tool", "sha256"}):
        digest.update(name.encode() + b"\0" + text(shard.attrs[name]).encode() + b"\0")
    for name, columns in TABLES.items():
        table = shard[name][()]
        types = [f"{column}={spelled(table.dtype[column])}" for column in columns]
        digest.update(f"{name} {len(table)} {' '.join(types)}\n".encode() + table.tobytes())
    assert digest.hexdigest() == text(shard.attrs["sha256"])
    assert written[1].name == digest.hexdigest()[:20] + ".h5"


def spelled(kind: np.dtype) -> str:
    """``S12``, ``i8``, ``f8`` or ``i8[2]``."""
    numbers = f"[{kind.shape[0]}]" if kind.shape else ""
    return f"S{kind.itemsize}" if kind.kind == "S" else kind.base.str[1:] + numbers


def test_the_example_in_the_documentation_reads_a_shard(written):
    code = PAGE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    quoted = code.split('h5py.File("')[1].split('"')[0]
    found: dict = {}
    exec(code.replace(quoted, str(written[1])), found)
    assert np.array_equal(found["keypoints"], written[0][0].keypoints)
