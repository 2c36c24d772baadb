"""Tracking: OpenPose lists people in arbitrary order; tracks follow each of them through a recording.

A whole recording is tracked in three steps. *Link*: detections of adjacent frames that are close relative to their
size, and clearly closer than any other, are the same person. *Stitch*: the resulting tracklets, interrupted where
people met, were occluded or missed, are joined end to start by minimum-cost assignment under a constant-velocity model,
nearly certain joins first. *Weave*: tracklets that alternate, or overlap where one person was detected twice, are
joined too.

`online` tracks frame by frame.
"""

from skelemo.tracking.identity import IDENTITIES, Identified, identify
from skelemo.tracking.select import LONG, PERSONS, SIDES, choose, choose_sides
from skelemo.tracking.tracks import Track, track

__all__ = [
    "IDENTITIES",
    "LONG",
    "PERSONS",
    "SIDES",
    "Identified",
    "Track",
    "choose",
    "choose_sides",
    "identify",
    "track",
]
