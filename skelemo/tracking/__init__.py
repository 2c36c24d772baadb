"""People to tracks: who is who from frame to frame, for OpenPose's order of people means nothing.

Over a whole recording, in three steps. *Link*: people of neighboring frames who are close together for their size, and
clearly closer than anyone else, are the same. *Stitch*: the pieces that this leaves, where people came close, were
hidden or got lost, are joined by assignments of least total cost of ends to beginnings, each expected to move on as it
did: first what is nearly certain, then, with longer pieces to judge by, the rest. *Weave*: pieces that alternate, or
overlap where one person was detected twice, are joined too.

`online` does the same frame by frame, as they arrive.
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
