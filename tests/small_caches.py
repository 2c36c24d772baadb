"""Sequences and caches small enough to reckon with by hand."""

from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from skelemo.cache import hdf5
from skelemo.cache.sequence import Sequence
from skelemo.cache.shard import Header, frame_types, open_shard, write_shard
from skelemo.targets import VA, Head

CLASSES = ("glad", "sad", "calm")
MOOD = Head("expression", "classes", CLASSES)
HEADS = (MOOD, VA)
BODY = Header("body_25", HEADS)
BODY_AND_FACE = Header("body_25+face_70", HEADS)
PROBLEM = {"file": "one/7.json", "reason": "cut off"}


def moods(*names: str) -> tuple[Head, ...]:
    """The heads of `HEADS` with other classes."""
    return Head("expression", "classes", names), VA


def a_sequence(name: str = "one", frames: int = 7, *, points: int = 25, seed: int = 0, **facts) -> Sequence:
    """A person who walks about at random, a fifth of the points missing; any field or label can be given."""
    rng = np.random.default_rng([seed, *name.encode()])
    keypoints = rng.uniform(1, 400, (frames, points, 3)).astype(np.float32)
    keypoints[..., 2] = rng.uniform(0.1, 1, (frames, points))
    keypoints[rng.random((frames, points)) < 0.2] = 0
    known = {
        "id": name,
        "video": name,
        "keypoints": keypoints,
        "number": np.arange(frames, dtype=np.int32),
    }
    drawn = {
        "expression": rng.integers(-1, 3, frames).astype(np.int16),
        "valence": rng.uniform(-1, 1, frames).astype(np.float32),
        "arousal": rng.uniform(-1, 1, frames).astype(np.float32),
    }
    labels = facts.pop("labels", None)
    if labels is None:
        given = {label: np.asarray(facts.pop(label, values)) for label, values in drawn.items()}
        labels = {"expression": given["expression"], "va": np.stack([given["valence"], given["arousal"]], -1)}
    return Sequence(**{**known, **facts}, labels=labels)


def a_recording(video: str = "one", **facts) -> dict:
    """The row of ``/recordings`` for a video."""
    known = {"source": video, "video": video, "fingerprint": "f" * 32, "files": 7, "frames": 7, "people": 7}
    return known | {"body_model": "body_25"} | facts


def a_cache(folder: Path, *sequences: Sequence, header: Header = BODY, **tables) -> Path:
    """A folder with one shard of these sequences."""
    folder.mkdir(parents=True, exist_ok=True)
    write_shard(folder, header, sequences, **tables)
    return folder


def everything_in(path: Path) -> tuple:
    """Everything that a shard says, as plain values."""
    opened = open_shard(path)
    types = frame_types(opened.header, opened.shares)
    arrays = {name: np.full((opened.frames, *shape), 77, kind) for name, (shape, kind) in types.items()}
    opened.read_into(arrays)
    tables = (opened.sequences, opened.recordings, opened.problems)
    frames = {name: array.tobytes() for name, array in arrays.items()}
    return opened.header, opened.tool, [table.to_dict("records") for table in tables], frames


@contextmanager
def rewritten(path):
    """A shard opened to be changed, and sealed anew as whoever means harm would."""
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        yield file
    path.write_bytes(hdf5.sealed(path.read_bytes()))


def sizes(folder):
    """The shards in a folder, each with its bytes."""
    return {path.name: path.stat().st_size for path in folder.iterdir() if path.suffix == ".h5"}
