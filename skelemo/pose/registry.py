"""Pose programs by name, and what a user asks of one.

A program is one registered function, called ``program(options)``: a context manager that gives a `Find`, and holds
whatever is started once for many videos. ``find(video, notes)`` yields the number of each frame, counted from 0 in
decoding order, and its OpenPose JSON in pixels of the upright picture; `skelemo.pose.extract` checks and keeps these.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from skelemo.plugins import Registry
from skelemo.pose.video import Video

#: ``find(video, notes)``: frame numbers and their JSON; what the user should know is added to ``notes``.
Find = Callable[[Video, list[str]], Iterator[tuple[int, bytes]]]


@dataclass(frozen=True)
class Options:
    """How keypoints are found.

    Parameters
    ----------
    program : a name in `PROGRAMS`.
    every : look at one frame in so many; the others have no file.
    hands : find the hands too.
    people : the most that MediaPipe follows at a time.
    openpose : OpenPose's program or folder, or ``docker:IMAGE``; by default ``OPENPOSE_HOME``, then the search path.
    flags : more of OpenPose's own, as on its command line.
    python : of an environment that has MediaPipe; by default this one, then one that skelemo makes.
    models : folder of MediaPipe's model files, where its package carries none.
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
        """What changes the keypoints."""
        return {"program": self.program, "every": self.every, "hands": self.hands, "people": self.people,
                "flags": self.flags, "models": self.models.name if self.models else ""}  # fmt: skip


PROGRAMS: Registry[None] = Registry("pose program", "skelemo.pose", "skelemo.pose")
