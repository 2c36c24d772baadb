"""Tracks the people of a recording, whom OpenPose lists in arbitrary order.

A whole recording is tracked in three steps. *Link*: detections of adjacent frames that are close relative to their
size, and clearly closer than any other, are the same person. *Stitch*: the resulting tracklets, interrupted by
crossings, occlusions and missed detections, are joined end to start by minimum-cost assignment under a
constant-velocity model, the most certain first. *Weave*: tracklets that alternate, or overlap because a person was
detected twice, are joined.

`online` tracks frame by frame.
"""

from skelemo.tracking.identity import IDENTITIES, identify
from skelemo.tracking.select import LONG, PERSONS, SIDES, choose, choose_sides
from skelemo.tracking.tracks import Track, track

__all__ = ["IDENTITIES", "LONG", "PERSONS", "SIDES", "Track", "choose", "choose_sides", "identify", "track"]
