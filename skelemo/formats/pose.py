"""Export to ``.pose`` files of the library pose-format, one per video.

Components have that library's names for OpenPose (``pose_format/utils/openpose.py`` of
https://github.com/sign-language-processing/pose), so that its normalization works; points, limbs and colors are
OpenPose's (`skelemo.skeleton`).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skelemo.cache import sequence as cached
from skelemo.cache.store import Cache
from skelemo.errors import CacheError, ConfigError
from skelemo.formats.registry import EXPORTS
from skelemo.formats.writing import Exported, Report, choose, in_groups, in_pixels, new_file, read_chosen
from skelemo.text import count, file_names

SUFFIX = ".pose"
#: Frames per second if unknown.
FPS = 25.0

#: The header stores width and height in 16 bits.
_LARGEST = 65_535
#: Maximum ratio of the span of frame numbers to the number of frames, plus a constant.
_SPARSEST, _SHORT = 100, 10_000


@EXPORTS.register("pose")
def write_pose(cache: Cache, out: Path, only: Sequence[str] = (), report: Report = lambda *_: None) -> Exported:
    """Write one file per video into a new folder, with all of its sequences.

    Frames range from the first to the last number of a video; numbers that the cache lacks are empty. Coordinates are
    pixels (`in_pixels`). Files are named after their videos, without characters that file systems may reject.

    Raises `ConfigError`: pose-format is not installed; `CacheError`: no sequence matches, a shard is damaged, or a
    video is too sparse or too large for the format; `InputError`: ``out`` exists or cannot be written.
    """
    try:
        from pose_format import Pose
        from pose_format.numpy import NumPyPoseBody
        from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions
    except ImportError:
        raise ConfigError("--to pose needs the library pose-format: pip install 'skelemo[pose]'") from None
    rows = choose(cache, only)
    chosen = cache.sequences.iloc[rows]
    videos = chosen["video"]
    names = dict(zip(videos.unique(), file_names(videos.unique()), strict=True))
    components = [
        PoseHeaderComponent(part.key, list(part.keypoints), list(part.limbs), list(part.drawing.colors), "XYC")
        for part in cache.layout.parts
    ]
    done, guessed = Exported(), 0
    with new_file(out, folder=True) as partial:
        partial.mkdir()
        for people in in_groups(read_chosen(cache, rows, done, report), dict(zip(chosen["id"], videos, strict=True))):
            first = people[0]
            points, width, height = in_pixels(_in_time(people), first.scale, first.width, first.height)
            if max(width, height) > _LARGEST:
                raise CacheError(f"{first.video}: image size {width} x {height}; .pose allows at most {_LARGEST:,}")
            guessed += not first.fps
            header = PoseHeader(0.2, PoseHeaderDimensions(width, height), components)
            body = NumPyPoseBody(first.fps or FPS, points[..., :2], points[..., 2])
            with (partial / f"{names[first.video]}{SUFFIX}").open("xb") as file:
                Pose(header, body).write(file)
    if guessed:
        done.notes = (f"{count(guessed, 'video')} without a known frame rate: written with {FPS:g} frames per second",)
    return done


def _in_time(people: list[cached.Sequence]) -> np.ndarray:
    """Keypoints ``[T, M, V, 3]`` from the first frame number to the last."""
    first = min(int(one.number[0]) for one in people)
    frames = max(int(one.number[-1]) for one in people) - first + 1
    longest = max(len(one) for one in people)
    if frames > _SPARSEST * longest + _SHORT:
        raise CacheError(
            f"{people[0].video}: {longest:,} frames with numbers from {first} to {first + frames - 1}; a .pose file "
            "would be almost empty: choose other sequences with --only"
        )
    points = np.zeros((frames, len(people), *people[0].keypoints.shape[1:]), np.float32)
    for person, one in enumerate(people):
        points[one.number - first, person] = one.keypoints
    return points
