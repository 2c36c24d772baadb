"""People to tracks: who is who from frame to frame, for OpenPose's order of people means nothing.

Two steps, each over the whole recording at once. *Link*: people of neighboring frames who are close together for
their size, and clearly closer than anybody else, are the same. *Bridge*: the pieces that this leaves, where people came
close, were hidden or got lost, are joined by assignments of least total cost (scipy's) of ends to beginnings, each
expected to move on as it did: first what is nearly certain, then, with longer pieces to judge by, what is less so.
"""

from skelemo.tracking.select import PERSONS, SIDES, choose, choose_sides
from skelemo.tracking.tracks import Track, known_tracks, track

__all__ = ["PERSONS", "SIDES", "Track", "choose", "choose_sides", "known_tracks", "track"]
