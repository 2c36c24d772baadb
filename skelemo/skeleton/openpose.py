"""OpenPose's bodies, face and hands.

Names, order, limbs and colors are from OpenPose's ``poseParameters.cpp``, ``poseParametersRender.hpp``,
``faceParameters.hpp`` and ``handParameters.hpp``. Left and right are the subject's.
"""

import re
from collections.abc import Iterable

from skelemo.skeleton.layout import register_layout
from skelemo.skeleton.part import Color, Drawing, Part, Reference, colors, limbs

#: The unit is about the length of the torso. Head and shoulders come first because they are visible in nearly every
#: image of a person. Lengths are rounded means over recordings of walking, sitting and gesturing people. The head has
#: weight 2 so that a hidden shoulder hardly matters if the neck is not the shoulders' midpoint, as in Kinect's.
_BODY_ORIGIN = (
    "Neck 0 0; RShoulder+LShoulder 0 0; RShoulder -.4 0; LShoulder .4 0; Nose 0 -.5; MidHip 0 1; RHip -.2 1; "
    "LHip .2 1; RElbow -.5 .6; LElbow .5 .6; RKnee -.2 1.8; LKnee .2 1.8"
)
_BODY_UNIT = (
    "Neck-Nose .5 2, RShoulder-Neck|LShoulder-Neck .4; Neck-MidHip 1, RShoulder-RHip|LShoulder-LHip 1; "
    "RShoulder-RElbow|LShoulder-LElbow .6, RElbow-RWrist|LElbow-LWrist .5, RHip-RKnee|LHip-LKnee .8, "
    "RKnee-RAnkle|LKnee-LAnkle .8"
)

#: Pattern of keypoint names by region.
_BODY_REGIONS = {
    "head": "Nose|Head|HeadTop|[LR](Eye|EyeInner|EyeOuter|Ear|Mouth)",
    "torso": "Neck|Chest|MidHip|[LR](Shoulder|Hip)",
    "right arm": "R(Elbow|Wrist|Pinky|Index|Thumb)",
    "left arm": "L(Elbow|Wrist|Pinky|Index|Thumb)",
    "right leg": "R(Knee|Ankle|Heel|BigToe|SmallToe)",
    "left leg": "L(Knee|Ankle|Heel|BigToe|SmallToe)",
}


def _body_regions(keypoints: tuple[str, ...]) -> str:
    found = {region: [name for name in keypoints if re.fullmatch(rule, name)] for region, rule in _BODY_REGIONS.items()}
    return "; ".join(f"{region}: {' '.join(points)}" for region, points in found.items() if points)


def body(name: str, keypoints: str, joined: str, rgb: Iterable[Color], root: str = "Neck", ties: str = "") -> Part:
    """A body under OpenPose's key, with the reference and midpoints that its keypoints allow."""
    names, rules = tuple(keypoints.split()), {"Neck": "RShoulder+LShoulder", "MidHip": "RHip+LHip"}
    origin, unit = _BODY_ORIGIN, _BODY_UNIT
    for middle, ends in rules.items():
        if middle not in names:
            origin, unit = (re.sub(rf"\b{middle}\b", ends, text) for text in (origin, unit))
    middles = " ".join(f"{middle}={ends}" for middle, ends in rules.items() if middle in names)
    if "Nose" not in names:
        origin, unit = origin.replace("Nose 0 -.5; ", ""), unit.replace("Neck-Nose .5 2, ", "")
    return Part(
        name,
        names,
        limbs(joined),
        Drawing(tuple(rgb), threshold=0.05, thickness=1 / 75, line_ratio=0.75),
        reference=Reference(origin, unit),
        kind="body",
        key="pose_keypoints_2d",
        old_keys=("pose_keypoints", "body_parts", "joints"),
        root=root,
        ties=ties,
        middles=middles,
        regions=_body_regions(names),
    )


BODY_25 = body(
    "body_25",
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip LKnee LAnkle "
    "REye LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel",
    "1-8 1-2 1-5 2-3 3-4 5-6 6-7 8-9 9-10 10-11 8-12 12-13 13-14 1-0 0-15 15-17 0-16 16-18 "
    "14-19 19-20 14-21 11-22 22-23 11-24",
    colors(
        "255,0,85 255,0,0 255,85,0 255,170,0 255,255,0 170,255,0 85,255,0 0,255,0 255,0,0 0,255,85 0,255,170 "
        "0,255,255 0,170,255 0,85,255 0,0,255 255,0,170 170,0,255 255,0,255 85,0,255 0,0,255 0,0,255 0,0,255 "
        "0,255,255 0,255,255 0,255,255"
    ),
)
COCO_18 = body(
    "coco_18",
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee LAnkle REye LEye REar LEar",
    "1-2 1-5 2-3 3-4 5-6 6-7 1-8 8-9 9-10 1-11 11-12 12-13 1-0 0-14 14-16 0-15 15-17",
    colors(
        "255,0,85 255,0,0 255,85,0 255,170,0 255,255,0 170,255,0 85,255,0 0,255,0 0,255,85 0,255,170 0,255,255 "
        "0,170,255 0,85,255 0,0,255 255,0,170 170,0,255 255,0,255 85,0,255"
    ),
)
MPI_15 = body(
    "mpi_15",
    "Head Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee LAnkle Chest",
    "0-1 1-2 2-3 3-4 1-5 5-6 6-7 1-14 14-8 8-9 9-10 14-11 11-12 12-13",
    colors(
        "255,0,85 255,0,0 255,85,0 255,170,0 255,255,0 170,255,0 85,255,0 43,255,0 0,255,0 0,255,85 0,255,170 "
        "0,255,255 0,170,255 0,85,255 0,0,255"
    ),
)
BODY_25B = body(
    "body_25b",
    "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LAnkle RAnkle "
    "Neck HeadTop LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel",
    "0-1 0-2 1-3 2-4 5-7 6-8 7-9 8-10 5-11 6-12 11-13 12-14 13-15 14-16 15-19 19-20 15-21 16-22 22-23 16-24 5-17 6-17 "
    "17-18 11-12",
    colors(
        "255,0,85 170,0,255 255,0,170 85,0,255 255,0,255 170,255,0 255,85,0 85,255,0 255,170,0 0,255,0 255,255,0 "
        "0,170,255 0,255,85 0,85,255 0,255,170 0,0,255 0,255,255 255,0,0 255,0,0 0,0,255 0,0,255 0,0,255 0,255,255 "
        "0,255,255 0,255,255"
    ),
)

# iBUG's 68 points and OpenPose's two pupils after a horizontal flip.
_FACE_MIRROR = (
    *range(16, -1, -1),  # jaw
    *range(26, 16, -1),  # brows
    *range(27, 31),  # bridge of the nose
    *range(35, 30, -1),  # base of the nose
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),  # eyes
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),  # outer mouth
    *(64, 63, 62, 61, 60, 67, 66, 65),  # inner mouth
    *(69, 68),  # pupils
)

# OpenPose draws the face as ten separate contours. These pairs connect adjacent contours (brow and bridge, nose and
# lip, lip and chin) and opposite sides of the openings (eyes, mouth).
_FACE_TIES = (
    "Jaw0-RBrow0 Jaw16-LBrow4 Jaw8-OuterMouth9 RBrow4-NoseBridge0 LBrow0-NoseBridge0 "
    "RBrow0-REye0 RBrow2-REye1 LBrow4-LEye3 LBrow2-LEye2 NoseBridge0-REye3 NoseBridge0-LEye0 "
    "REye1-REye5 REye2-REye4 LEye1-LEye5 LEye2-LEye4 REye0-RPupil REye3-RPupil LEye0-LPupil LEye3-LPupil "
    "NoseBridge3-NoseBase2 NoseBase2-OuterMouth3 OuterMouth0-InnerMouth0 OuterMouth6-InnerMouth4 "
    "OuterMouth3-InnerMouth2 OuterMouth9-InnerMouth6 InnerMouth2-InnerMouth6"
)


def _face_names() -> tuple[str, ...]:
    groups = (("Jaw", 17), ("RBrow", 5), ("LBrow", 5), ("NoseBridge", 4), ("NoseBase", 5), ("REye", 6), ("LEye", 6))
    mouths = (("OuterMouth", 12), ("InnerMouth", 8))
    counted = tuple(f"{group}{number}" for group, count in groups + mouths for number in range(count))
    return (*counted, "RPupil", "LPupil")


FACE_70 = Part(
    "face_70",
    _face_names(),
    limbs(
        "0-1 1-2 2-3 3-4 4-5 5-6 6-7 7-8 8-9 9-10 10-11 11-12 12-13 13-14 14-15 15-16 17-18 18-19 19-20 20-21 "
        "22-23 23-24 24-25 25-26 27-28 28-29 29-30 31-32 32-33 33-34 34-35 36-37 37-38 38-39 39-40 40-41 41-36 "
        "42-43 43-44 44-45 45-46 46-47 47-42 48-49 49-50 50-51 51-52 52-53 53-54 54-55 55-56 56-57 57-58 58-59 59-48 "
        "60-61 61-62 62-63 63-64 64-65 65-66 66-67 67-60"
    ),
    Drawing(threshold=0.4, thickness=1 / 75, line_ratio=0.334),
    _FACE_MIRROR,
    Reference(
        origin="REye*+LEye* 0 0; NoseBridge0 0 0; NoseBase2 0 .7; OuterMouth0 -.4 1.1; OuterMouth6 .4 1.1",
        unit="REye*-LEye* 1; NoseBridge0-NoseBase2 .7, OuterMouth0-OuterMouth6 .8",
        level="REye*-LEye*",
    ),
    kind="face",
    key="face_keypoints_2d",
    old_keys=("face_keypoints",),
    root="NoseBridge0",
    ties=_FACE_TIES,
    links="Nose-NoseBridge3 REye-RPupil LEye-LPupil REar-Jaw0 LEar-Jaw16",
    regions="brows: RBrow* LBrow*; eyes: REye* LEye* RPupil LPupil; nose: Nose*; mouth: OuterMouth* InnerMouth*; "
    "jaw: Jaw*",
)


def _hand(side: str, other: str) -> Part:
    fingers = ("Thumb", "Index", "Middle", "Ring", "Pinky")
    rgb = (
        "100,100,100 100,0,0 150,0,0 200,0,0 255,0,0 100,100,0 150,150,0 200,200,0 255,255,0 0,100,50 0,150,75 "
        "0,200,100 0,255,125 0,50,100 0,75,150 0,100,200 0,125,255 100,0,100 150,0,150 200,0,200 255,0,255"
    )
    return Part(
        f"hand_{side}_21",
        ("Wrist", *(f"{finger}{joint}" for finger in fingers for joint in range(1, 5))),
        limbs("0-1 1-2 2-3 3-4 0-5 5-6 6-7 7-8 0-9 9-10 10-11 11-12 0-13 13-14 14-15 15-16 0-17 17-18 18-19 19-20"),
        Drawing(colors(rgb), threshold=0.2, thickness=1 / 50, line_ratio=0.75),
        tuple(range(21)),
        Reference(
            origin="Wrist 0 0",
            unit="Wrist-Middle1 1; Wrist-Index1 1, Wrist-Ring1 .95, Wrist-Pinky1 .9, Middle1-Middle2 .45",
        ),
        kind="hand",
        key=f"hand_{side}_keypoints_2d",
        old_keys=(f"hand_{side}_keypoints",),
        twin=f"hand_{other}_21",
        links=f"{side[0].upper()}Wrist-Wrist",
        regions="palm: Wrist; " + "; ".join(f"{finger.lower()}: {finger}*" for finger in fingers),
    )


HAND_LEFT = _hand("left", "right")
HAND_RIGHT = _hand("right", "left")

#: OpenPose's body models.
BODY_MODELS = {part.name: part for part in (BODY_25, COCO_18, MPI_15, BODY_25B)}

for _part in (*BODY_MODELS.values(), FACE_70):
    register_layout(_part.name, _part)
register_layout("hand_21x2", HAND_LEFT, HAND_RIGHT)
