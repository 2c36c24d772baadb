"""Mapping of other programs' keypoints to OpenPose's order."""

from collections.abc import Mapping, Sequence

import numpy as np

from skelemo.skeleton import COCO_17, FACE_70, HAND_LEFT, HAND_RIGHT, MEDIAPIPE_33, Layout, Part

#: COCO-WholeBody's 17 body and 6 foot keypoints (data_format.md of
#: https://github.com/jin-s13/COCO-WholeBody).
COCO_BODY = (*COCO_17.keypoints, "LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel")

#: Vertices of MediaPipe's face mesh for each point of FACE_70; pairs are averaged. The first 68 points are iBUG's, as
#: in https://github.com/PeizhiYan/Mediapipe_2_Dlib_Landmarks but symmetric; the last two are the centers of the
#: irises, which only the mesh with 478 vertices has.
MEDIAPIPE_FACE: tuple[tuple[int, ...], ...] = (
    (127,), (234,), (93,), (132, 58), (58, 172), (136,), (150,), (176,), (152,),
    (400,), (379,), (365,), (288, 397), (361, 288), (323,), (454,), (356,),  # jaw
    (70,), (63,), (105,), (66,), (107,), (336,), (296,), (334,), (293,), (300,),  # brows
    (168, 6), (197, 195), (5,), (4,), (98,), (97,), (2,), (326,), (327,),  # nose
    (33,), (160,), (158,), (133,), (153,), (144,), (362,), (385,), (387,), (263,), (373,), (380,),  # eyes
    (61,), (39,), (37,), (0,), (267,), (269,), (291,), (321,), (314,), (17,), (84,), (91,),  # outer mouth
    (78,), (82,), (13,), (312,), (308,), (317,), (14,), (87,),  # inner mouth
    (468,), (473,),  # pupils: the subject's right, left
)  # fmt: skip


#: MediaPipe's number of landmarks of each kind; the irises are the last ones of the face.
LANDMARKS = {"pose": 33, "face": 478, "left_hand": 21, "right_hand": 21}
#: Landmarks with a lower visibility are extrapolated by MediaPipe rather than detected.
LEAST_VISIBILITY = 0.1
#: Landmarks farther out than this, in image sizes, are damage rather than extrapolation: kept, to be rejected later.
_FAR = 10.0


def from_mediapipe(where: Layout, landmarks: Mapping[str, np.ndarray], *, relative: bool = True) -> np.ndarray:
    """Keypoints ``[N, V, 3]`` in a layout from MediaPipe's landmarks of each kind, ``[N, landmarks, 3]``.

    Pose landmarks are mapped by name, Neck and MidHip are midpoints, and the face follows `MEDIAPIPE_FACE`, whose jaw
    (0 to 16) is the mesh's outline and so only near OpenPose's. Small toes are missing, and so are landmarks that
    MediaPipe extrapolates: with a visibility below `LEAST_VISIBILITY`, or outside the image.

    Parameters
    ----------
    landmarks : x, y and confidence by the keys of `LANDMARKS`; confidence is the visibility, 1 if unknown.
    relative : whether x and y are in units of the image size; otherwise landmarks outside the image are kept.
    """
    detected = {}
    for name, points in landmarks.items():
        xy = points[..., :2]
        missing = points[..., 2] < LEAST_VISIBILITY
        if relative:
            missing |= ((xy < 0) | (xy > 1)).any(-1) & (np.abs(xy) < _FAR).all(-1)
        detected[name] = np.where(missing[..., None], np.float32(0), points)
    parts = {
        **body_of(where, detected["pose"], MEDIAPIPE_33.keypoints),
        FACE_70.name: face_70(detected["face"]),
        HAND_LEFT.name: detected["left_hand"],
        HAND_RIGHT.name: detected["right_hand"],
    }
    return in_layout(parts, where)


def body_of(layout: Layout, points: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The layout's body ``{name: [N, V, 3]}`` from points ``[N, K, 3]`` with these names; empty if it has none."""
    return {layout.body.name: by_name(layout.body, points, names)} if layout.body else {}


def by_name(part: Part, points: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """A part's points ``[N, V, 3]`` from points ``[N, K, 3]`` with these names.

    Points without a name in the part are dropped, those of the part without a point are missing, with confidence 0.
    A point halfway between two others, such as Neck and MidHip, has the lower confidence of the two unless named, so it
    is missing if either is.
    """
    found = np.zeros((len(points), len(part), 3), np.float32)
    source = [place for place, name in enumerate(names) if name in part.keypoints]
    found[:, [part.index(names[place]) for place in source]] = points[:, source]
    for middle, ends in part.halfway.items():
        if part.keypoints[middle] not in names:
            found[:, middle] = between(found[:, list(ends)])
    return found


def face_70(mesh: np.ndarray) -> np.ndarray:
    """FACE_70 ``[N, 70, 3]`` from MediaPipe's face mesh ``[N, 468 or 478, 3]``."""
    face = np.zeros((len(mesh), len(FACE_70), 3), np.float32)
    ends = np.array([(vertices[0], vertices[-1]) for vertices in MEDIAPIPE_FACE])
    known = ends.max(1) < mesh.shape[1]
    face[:, known] = between(mesh[:, ends[known]])
    return face


def between(points: np.ndarray) -> np.ndarray:
    """Midpoints ``[..., 3]`` of points ``[..., ends, 3]``; missing if any of the ends is."""
    least = points[..., 2].min(-1, keepdims=True)
    middle = np.concatenate([points[..., :2].mean(-2), least], axis=-1)
    return np.where(least > 0, middle, np.float32(0))


def in_layout(parts: Mapping[str, np.ndarray], layout: Layout) -> np.ndarray:
    """Concatenate parts ``[N, points, 3]`` in the order of the layout; parts not given are missing."""
    count = next(len(points) for points in parts.values())
    made = np.zeros((count, len(layout), 3), np.float32)
    for part in layout.parts:
        if part.name in parts:
            made[:, layout.slices[part.name]][:, : parts[part.name].shape[1]] = parts[part.name]
    return made


#: COCO-WholeBody's lists by key: the part, and the length of the list (the face has no pupils).
COCO_LISTS: dict[str, tuple[Part, int]] = {
    "face_kpts": (FACE_70, 68),
    "lefthand_kpts": (HAND_LEFT, 21),
    "righthand_kpts": (HAND_RIGHT, 21),
}
