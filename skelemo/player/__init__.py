"""The skeleton player: JavaScript that draws OpenPose's colors on a canvas, and clips as self-contained HTML for it."""

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
