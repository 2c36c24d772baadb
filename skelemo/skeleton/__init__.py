"""Parts and layouts: keypoints, their order, limbs and drawing.

Parts are pure data: ingest, cache, preprocessing, renderer, graphs and exports work with any registered part.
"""

from skelemo.skeleton.coco_mediapipe import COCO_17, MEDIAPIPE_33
from skelemo.skeleton.layout import (
    DEFAULT_LAYOUT,
    PARTS,
    Layout,
    layout,
    layout_of,
    part_models,
    register_layout,
    stream_layout,
)
from skelemo.skeleton.openpose import (
    BODY_25,
    BODY_25B,
    BODY_MODELS,
    COCO_18,
    FACE_70,
    HAND_LEFT,
    HAND_RIGHT,
    MPI_15,
)
from skelemo.skeleton.part import Color, Drawing, Limb, Part, Reference

__all__ = [
    "BODY_25",
    "BODY_25B",
    "BODY_MODELS",
    "COCO_17",
    "COCO_18",
    "DEFAULT_LAYOUT",
    "FACE_70",
    "FARTHEST",
    "HAND_LEFT",
    "HAND_RIGHT",
    "MEDIAPIPE_33",
    "MPI_15",
    "PARTS",
    "SCALES",
    "Color",
    "Drawing",
    "Layout",
    "Limb",
    "Part",
    "Reference",
    "layout",
    "layout_of",
    "part_models",
    "register_layout",
    "stream_layout",
]

#: Units of x and y: pixels, or image width and height as [0, 1] or [-1, 1].
SCALES = ("pixels", "unit", "signed")

#: Largest absolute coordinate of a valid keypoint, in any unit.
FARTHEST = 1e6
