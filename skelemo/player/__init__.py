"""The skeleton player: clips as self-contained HTML, drawn in OpenPose's colors on a canvas."""

from skelemo.player.fragment import (
    Clip,
    Track,
    assets,
    describe,
    fragment,
    head_track,
    html,
    label_track,
    packed,
    script,
    style,
)

__all__ = [
    "Clip",
    "Track",
    "assets",
    "describe",
    "fragment",
    "head_track",
    "html",
    "label_track",
    "packed",
    "script",
    "style",
]
