"""Simulated actors: OpenPose JSON and label files with ground truth, on disk or in memory.

All results derived from them must be labeled as simulated.
"""

from skelemo.simulate.clips import Cast, Clip, long_clip, short_clip, simulate
from skelemo.simulate.scene import Crowd
from skelemo.simulate.writing import Plan, write

__all__ = ["Cast", "Clip", "Crowd", "Plan", "long_clip", "short_clip", "simulate", "write"]
