"""Pose programs: video in, OpenPose JSON out. Each is one registered function."""

from skelemo.pose.registry import PROGRAMS, Find, Options

__all__ = ["PROGRAMS", "Find", "Options"]
