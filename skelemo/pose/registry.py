"""Pose estimators by name, and their options.

A pose estimator is a registered function ``estimator(options)``: a context manager that returns a `Find` and owns any
process shared by videos. ``find(video, notes)`` yields the number of each frame, counted from 0 in display order, and
its OpenPose JSON in pixels of the upright image; `skelemo.pose.extract` validates and writes these.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from skelemo.plugins import Registry
from skelemo.pose.video import Video

#: ``find(video, notes)`` yields frame numbers and JSON, and appends messages for the user to ``notes``.
Find = Callable[[Video, list[str]], Iterator[tuple[int, bytes]]]


@dataclass(frozen=True)
class Options:
    """Options of pose estimators.

    Parameters
    ----------
    program : a name in `PROGRAMS`.
    every : process every n-th frame; the others have no file.
    hands : whether to detect hands.
    people : maximum number of people that MediaPipe tracks at a time.
    openpose : OpenPose's program or folder, or ``docker:IMAGE``; by default ``OPENPOSE_HOME`` or the search path.
    flags : additional flags for OpenPose's command line.
    python : interpreter of an environment with MediaPipe; by default this one, or one that skelemo creates.
    models : folder of MediaPipe's model files, if its package has none.
    """

    program: str
    every: int = 1
    hands: bool = False
    people: int = 8
    openpose: str = ""
    flags: str = ""
    python: str = ""
    models: Path | None = None

    def kept(self) -> dict[str, object]:
        """The options that affect keypoints."""
        return {"program": self.program, "every": self.every, "hands": self.hands, "people": self.people,
                "flags": self.flags, "models": self.models.name if self.models else ""}  # fmt: skip


PROGRAMS: Registry[None] = Registry("pose estimator", "skelemo.pose", "skelemo.pose")
