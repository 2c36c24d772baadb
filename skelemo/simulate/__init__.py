"""Simulated actors: OpenPose JSON and label files with a known truth, and the same in memory.

Everything made from them is to be called simulated.
"""

from skelemo.simulate.clips import Cast, Clip, Role, crossing_people, long_clip, short_clip, simulate
from skelemo.simulate.scene import Crowd
from skelemo.simulate.writing import FORMS, Plan, Written, write

__all__ = [
    "FORMS",
    "Cast",
    "Clip",
    "Crowd",
    "Plan",
    "Role",
    "Written",
    "crossing_people",
    "long_clip",
    "short_clip",
    "simulate",
    "write",
]
