"""A cache as ``.pose`` files of the library pose-format, one for each video.

Components are called as that library calls OpenPose's (``pose_format/utils/openpose.py`` of
https://github.com/sign-language-processing/pose), so that its normalizing knows them; points, limbs and colors are
OpenPose's own (`skelemo.skeleton`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.cache import sequence as cached
from skelemo.cache.store import Cache
from skelemo.errors import CacheError, ConfigError
from skelemo.formats.registry import FORMATS, Format
from skelemo.formats.writing import Exported, Report, choose, in_pixels, new_file, told
from skelemo.skeleton import Layout
from skelemo.text import count, file_names

SUFFIX = ".pose"
#: Frames per second of a video of which nobody knows them.
FPS = 25.0

#: The header has 16 bits for the width and the height.
_LARGEST = 65_535
#: Frames in a row that may be missing for each that is there, and some more.
_SPARSEST, _SHORT = 100, 10_000


@FORMATS.register("pose", Format(summary="a .pose file of pose-format for each video"))
def write_pose(cache: Cache, out: Path, only: Sequence[str] = (), report: Report = lambda *_: None) -> Exported:
    """Write one file per video into a new folder, with everybody who has a sequence of it.

    Frames stand from the first number of a video to the last; where a number is not in the cache, nobody is seen.
    Coordinates are pixels (`in_pixels`). Files are called after their videos, without what a file system may not take.

    Raises
    ------
    ConfigError
        pose-format is not installed.
    CacheError
        Nothing is chosen, a shard is damaged, or a video is too sparse or too large for the format.
    InputError
        ``out`` is there already or cannot be written.
    """
    try:
        from pose_format import Pose
        from pose_format.numpy import NumPyPoseBody
        from pose_format.pose_header import PoseHeader, PoseHeaderDimensions
    except ImportError:
        raise ConfigError("--to pose needs the library pose-format: pip install 'skelemo[pose]'") from None
    rows = choose(cache, only)
    videos = cache.sequences["video"].iloc[rows]
    names = dict(zip(videos.unique(), file_names(videos.unique()), strict=True))
    components, done, guessed = _components(cache.layout), Exported(), 0
    with new_file(out, folder=True) as partial:
        partial.mkdir()
        for people in _by_video(told(cache, rows, done, report), Counter(videos)):
            first = people[0]
            points, width, height = in_pixels(_in_time(people), first.scale, first.width, first.height)
            if max(width, height) > _LARGEST:
                raise CacheError(f"{first.video}: a picture of {width} x {height}; the format has at most {_LARGEST:,}")
            guessed += not first.fps
            header = PoseHeader(0.2, PoseHeaderDimensions(width, height), components)
            body = NumPyPoseBody(first.fps or FPS, points[..., :2], points[..., 2])
            with (partial / f"{names[first.video]}{SUFFIX}").open("xb") as file:
                Pose(header, body).write(file)
    if guessed:
        done.notes = (
            f"{count(guessed, 'video has', 'videos have')} no known frame rate and got {FPS:g} frames per second",
        )
    return done


def _components(layout: Layout) -> list[Any]:
    from pose_format.pose_header import PoseHeaderComponent

    return [
        PoseHeaderComponent(part.key, list(part.keypoints), list(part.limbs), list(part.drawing.colors), "XYC")
        for part in layout.parts
    ]


def _by_video(sequences: Iterable[cached.Sequence], people: Counter[str]) -> Iterator[list[cached.Sequence]]:
    waiting: dict[str, list[cached.Sequence]] = {}
    for sequence in sequences:
        there = waiting.setdefault(sequence.video, [])
        there.append(sequence)
        if len(there) == people[sequence.video]:
            yield waiting.pop(sequence.video)


def _in_time(people: list[cached.Sequence]) -> np.ndarray:
    """Keypoints ``[T, M, V, 3]`` from the first frame number to the last."""
    first = min(int(one.number[0]) for one in people)
    frames = max(int(one.number[-1]) for one in people) - first + 1
    there = max(len(one) for one in people)
    if frames > _SPARSEST * there + _SHORT:
        raise CacheError(
            f"{people[0].video}: {there:,} frames between the numbers {first} and {first + frames - 1}; "
            "a .pose file would be all but empty: choose other sequences by --only"
        )
    points = np.zeros((frames, len(people), *people[0].keypoints.shape[1:]), np.float32)
    for person, one in enumerate(people):
        points[one.number - first, person] = one.keypoints
    return points
