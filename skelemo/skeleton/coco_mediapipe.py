"""COCO's 17 keypoints and MediaPipe's 33 pose landmarks."""

from skelemo.skeleton.layout import register_layout
from skelemo.skeleton.openpose import BODY_25, body
from skelemo.skeleton.part import Color


def _colors(names: str) -> tuple[Color, ...]:
    """OpenPose's colors of keypoints, or of the nearest joint that OpenPose has."""
    near = {"Inner": "Eye", "Outer": "Eye", "Mouth": "Nose", "Pinky": "Wrist", "Index": "Wrist", "Thumb": "Wrist"}
    found = []
    for name in names.split():
        joint = next((name[0] + to if to != "Nose" else to for word, to in near.items() if word in name), name)
        found.append(BODY_25.drawing.color(BODY_25.index(joint)))
    return tuple(found)


_COCO = (
    "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LAnkle RAnkle"
)  # fmt: skip
#: ``keypoints`` and ``skeleton`` of the category person in COCO's annotations (person_keypoints_val2017.json).
COCO_17 = body(
    "coco_17",
    _COCO,
    "15-13 13-11 16-14 14-12 11-12 5-11 6-12 5-6 5-7 6-8 7-9 8-10 1-2 0-1 0-2 1-3 2-4 3-5 4-6",
    _colors(_COCO),
    root="Nose",
)

_MEDIAPIPE = (
    "Nose LEyeInner LEye LEyeOuter REyeInner REye REyeOuter LEar REar LMouth RMouth LShoulder RShoulder LElbow RElbow "
    "LWrist RWrist LPinky RPinky LIndex RIndex LThumb RThumb LHip RHip LKnee RKnee LAnkle RAnkle LHeel RHeel "
    "LBigToe RBigToe"
)
#: ``PoseLandmark`` and ``POSE_CONNECTIONS`` of mediapipe/python/solutions/pose.py. Its foot index is our big toe.
#: MediaPipe does not connect head and trunk; graphs connect nose and shoulders.
MEDIAPIPE_33 = body(
    "mediapipe_33",
    _MEDIAPIPE,
    "0-1 1-2 2-3 3-7 0-4 4-5 5-6 6-8 9-10 11-12 11-13 13-15 15-17 15-19 15-21 17-19 12-14 14-16 16-18 16-20 16-22 "
    "18-20 11-23 12-24 23-24 23-25 24-26 25-27 26-28 27-29 28-30 29-31 30-32 27-31 28-32",
    _colors(_MEDIAPIPE),
    root="Nose",
    ties="Nose-LMouth Nose-RMouth Nose-LShoulder Nose-RShoulder",
)

for _part in (COCO_17, MEDIAPIPE_33):
    register_layout(_part.name, _part)
