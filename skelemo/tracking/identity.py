"""Identities from the files if they are consistent, otherwise from tracking."""

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skelemo.errors import ConfigError, unknown
from skelemo.tracking.features import Array
from skelemo.tracking.tracks import Scene, Track, track

if TYPE_CHECKING:
    from skelemo.openpose.people import People

IDENTITIES = ("auto", "file", "tracking")

# Identities that change in more of the certain links, as share and number, are arbitrary in each frame.
_MAX_CHANGES, _FEW_CHANGES = 0.1, 4


class Identified(NamedTuple):
    """The people of a recording."""

    tracks: list[Track]  # the most prominent first
    by: str  # "file", "tracking", or "" if nobody is visible
    note: str  # why the files' identities are ignored, or ""


def identify(people: "People", identity: str = "auto") -> Identified:
    """Group the detections of a recording by person.

    Raises `ConfigError`: an unknown choice; or with ``file``, missing identities or duplicates in a frame.

    Parameters
    ----------
    identity : ``file`` uses ``people.identity``, ``tracking`` ignores it, ``auto`` uses it if it is consistent: no
        identity occurs twice in a frame, and identities do not change between detections that are certainly the same
        person. Detections without an identity join the person whom they continue, or are separate people.
    """
    if identity not in IDENTITIES:
        raise unknown("identity", identity, IDENTITIES)
    if not len(people.keypoints):
        return Identified([], "", "")
    identities = people.identity
    known = identities is not None and bool((identities >= 0).any())
    if identity == "tracking" or (identity == "auto" and not known):
        return Identified(track(people), "tracking", "")
    if identities is None or not known:
        raise ConfigError("its files have no identities (--identity file): use --identity auto or tracking")
    fault = _duplicates(people, identities)
    if fault and identity == "file":
        raise ConfigError(f"{fault}: use --identity tracking")
    scene = Scene.of(people)
    fault = fault or ("" if identity == "file" else _changes(scene, identities))
    if fault:
        return Identified(track(people), "tracking", f"{fault}, so people are identified by tracking")
    tracks = scene.tracks(scene.pieces(identities))
    return Identified([replace(found, identity=int(identities[found.rows].max())) for found in tracks], "file", "")


def _duplicates(people: "People", identity: Array) -> str:
    """Message if an identity occurs twice in a frame, else ""."""
    frame = np.repeat(np.arange(len(people.number)), np.diff(people.start))
    order = np.lexsort((identity, frame))
    frame, identity = frame[order], identity[order]
    same = (np.diff(frame) == 0) & (np.diff(identity) == 0) & (identity[1:] >= 0)
    if not same.any():
        return ""
    first = int(same.argmax())
    return f"its files have the identity {identity[first]} twice in frame {people.number[frame[first]]}"


def _changes(scene: Scene, identity: Array) -> str:
    """Message if identities do not follow people, else ""."""
    follower = scene.certain(np.ones(len(identity), bool))
    rows = np.flatnonzero((follower >= 0) & (identity >= 0))
    rows = rows[identity[follower[rows]] >= 0]
    changes = np.count_nonzero(identity[rows] != identity[follower[rows]])
    if changes <= max(_FEW_CHANGES, _MAX_CHANGES * len(rows)):
        return ""
    return f"its files' identities change in {changes / len(rows):.0%} of the steps with little movement"
