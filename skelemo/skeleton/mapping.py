"""Other programs' keypoints in OpenPose's order."""

from collections.abc import Mapping, Sequence

import numpy as np

from skelemo.skeleton import COCO_17, FACE_70, HAND_LEFT, HAND_RIGHT, MEDIAPIPE_33, Layout, Part

#: Names of COCO-WholeBody's 17 points of the body and 6 of the feet (data_format.md of
#: https://github.com/jin-s13/COCO-WholeBody).
COCO_BODY = (*COCO_17.keypoints, "LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel")

#: Vertices of MediaPipe's face mesh for each point of FACE_70; two are averaged. The first 68 points are iBUG's, as in
#: https://github.com/PeizhiYan/Mediapipe_2_Dlib_Landmarks but symmetric; the last two are the centers of the irises,
#: which only the mesh of 478 vertices has.
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


#: MediaPipe's landmarks of each kind; the face's with the irises, which come last.
LANDMARKS = {"pose": 33, "face": 478, "left_hand": 21, "right_hand": 21}
#: A landmark less visible than this is where MediaPipe expects it to be hidden, not where it was seen.
LEAST_VISIBILITY = 0.1
#: Landmarks farther out than this, in pictures, are no guess of MediaPipe's but damage: they are kept, to be refused.
_FAR = 10.0


def from_mediapipe(where: Layout, landmarks: Mapping[str, np.ndarray], *, shares: bool = True) -> np.ndarray:
    """Keypoints ``[N, V, 3]`` in a layout from MediaPipe's landmarks of each kind, ``[N, landmarks, 3]``.

    Landmarks become points by name; Neck and MidHip lie halfway, the face's points are `MEDIAPIPE_FACE`, of which the
    jaw (0 to 16) is the mesh's outline and so only near where OpenPose draws it. Small toes are missing. So is what
    MediaPipe places without seeing it: a landmark less visible than `LEAST_VISIBILITY`, or outside the picture.

    Parameters
    ----------
    landmarks : x, y and confidence by the keys of `LANDMARKS`; confidence is the visibility, and 1 where there is none.
    shares : whether x and y are shares of the picture, so that it is known what lies outside.
    """
    seen = {}
    for name, points in landmarks.items():
        xy = points[..., :2]
        out = ((xy < 0) | (xy > 1)).any(-1) & (np.abs(xy) < _FAR).all(-1) if shares else np.zeros(xy.shape[:-1], bool)
        hidden = points[..., 2] < LEAST_VISIBILITY
        seen[name] = np.where((out | hidden)[..., None], np.float32(0), points)
    made = {
        **body_of(where, seen["pose"], MEDIAPIPE_33.keypoints),
        FACE_70.name: face_70(seen["face"]),
        HAND_LEFT.name: seen["left_hand"],
        HAND_RIGHT.name: seen["right_hand"],
    }
    return in_layout(made, where)


def body_of(layout: Layout, points: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The layout's body ``{name: [N, V, 3]}`` from points ``[N, K, 3]`` with these names; empty if it has none.

    A missing point has confidence 0. Neck and MidHip lie halfway between the shoulders and the hips.
    """
    part = layout.body
    if part is None:
        return {}
    made = np.zeros((len(points), len(part), 3), np.float32)
    for place, name in enumerate(names):
        if name in part.keypoints:
            made[:, part.index(name)] = points[:, place]
    for middle, (one, other) in part.halfway.items():
        if part.keypoints[middle] not in names:
            made[:, middle] = between(made[:, [one, other]])
    return {part.name: made}


def face_70(mesh: np.ndarray) -> np.ndarray:
    """FACE_70 ``[N, 70, 3]`` from MediaPipe's face mesh ``[N, 468 or 478, 3]``."""
    made = np.zeros((len(mesh), len(FACE_70), 3), np.float32)
    ends = np.array([(vertices[0], vertices[-1]) for vertices in MEDIAPIPE_FACE])
    known = ends.max(1) < mesh.shape[1]
    made[:, known] = between(mesh[:, ends[known]])
    return made


def between(points: np.ndarray) -> np.ndarray:
    """The middle of points ``[..., ends, 3]``, ``[..., 3]``; missing where one of them is."""
    least = points[..., 2].min(-1, keepdims=True)
    middle = np.concatenate([points[..., :2].mean(-2), least], axis=-1)
    return np.where(least > 0, middle, np.float32(0))


def in_layout(parts: Mapping[str, np.ndarray], layout: Layout) -> np.ndarray:
    """Concatenate parts ``[N, points, 3]`` in the order of the layout; others are missing."""
    count = next(len(points) for points in parts.values())
    made = np.zeros((count, len(layout), 3), np.float32)
    for part in layout.parts:
        if part.name in parts:
            made[:, layout.slices[part.name]][:, : parts[part.name].shape[1]] = parts[part.name]
    return made


#: COCO-WholeBody's lists by name: the part, and its number of points there (a face without pupils).
COCO_LISTS: dict[str, tuple[Part, int]] = {
    "face_kpts": (FACE_70, 68),
    "lefthand_kpts": (HAND_LEFT, 21),
    "righthand_kpts": (HAND_RIGHT, 21),
}
