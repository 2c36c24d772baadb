"""A simulated cache of any size, for the benchmarks beside this file."""

from pathlib import Path

import numpy as np

from skelemo.cache.sequence import Sequence
from skelemo.cache.shard import Header, write_shard
from skelemo.simulate import Clip, simulate
from skelemo.skeleton import DEFAULT_LAYOUT
from skelemo.targets import EXPRESSION, VA

SEQUENCE_FRAMES = 2_700
SHARD_SEQUENCES = 6
SUBJECTS = 6
CLIP_FRAMES = 900


def write_cache(folder: Path, frames: int) -> int:
    """Write sequences of body and face with at least so many frames, and say how many frames they are.

    A few actors are simulated; every sequence is one of them, played to and fro at a size and place of its own, the
    coordinates with as many digits as OpenPose's. Each has its recording, and a few have a file that was not read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    length = min(frames, SEQUENCE_FRAMES)
    clips = list(simulate(subjects=SUBJECTS, clips=SUBJECTS, frames=CLIP_FRAMES))
    random = np.random.default_rng(0)
    header = Header(DEFAULT_LAYOUT, (EXPRESSION, VA), simulated=True, settings={"person": "auto"})
    count = -(-frames // length)
    for first in range(0, count, SHARD_SEQUENCES):
        numbers = range(first, min(first + SHARD_SEQUENCES, count))
        sequences = [_sequence(number, clips[number % len(clips)], length, random) for number in numbers]
        recordings = [_recording(one) for one in sequences]
        problems = [{"file": f"{one.id}/0.json", "reason": "is empty"} for one in sequences[::SHARD_SEQUENCES]]
        write_shard(folder, header, sequences, recordings, problems)
    return count * length


def _sequence(number: int, clip: Clip, length: int, random: np.random.Generator) -> Sequence:
    there_and_back = np.append(np.arange(len(clip.keypoints)), np.arange(len(clip.keypoints))[::-1])
    frames, role = np.resize(there_and_back, length), clip.roles[0]
    points = clip.keypoints[frames]
    there = points[..., 2:] > 0
    points[..., :2] = np.round(points[..., :2] * random.uniform(0.5, 1) + random.uniform(0, 300, 2), 3)
    points[..., 2] = np.minimum(points[..., 2], 1)
    return Sequence(
        id=f"clip {number:05d}",
        video=f"clip {number:05d}",
        subject=f"subject {role.subject}",
        keypoints=np.where(there, points, 0).astype(np.float32),
        number=np.arange(length, dtype=np.int32),
        labels={
            EXPRESSION.name: role.expression[frames].astype(np.int16),
            VA.name: np.stack([role.valence, role.arousal], 1)[frames],
        },
        width=clip.width,
        height=clip.height,
        fps=float(clip.fps),
        splits={"split": clip.split},
    )


def _recording(one: Sequence) -> dict[str, object]:
    people = int(one.points_seen[-1])
    known = {"source": one.video, "video": one.video, "fingerprint": one.sha256[:32], "files": len(one)}
    return known | {"frames": len(one), "people": people, "body_model": "body_25", "scale": "pixels"}
