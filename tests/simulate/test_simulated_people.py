"""Simulated bodies and faces move as people do."""

from itertools import pairwise

import numpy as np
import pytest

from skelemo.simulate.acting import Episode, envelope, long_script, perform
from skelemo.simulate.body import POSTURE, figure, random_build
from skelemo.simulate.emotions import FACES, HANDS, NAMES, PROTOTYPES, posture
from skelemo.simulate.face import ACTIONS, face_points, random_actions, random_face
from skelemo.simulate.subject import Level, random_subject
from skelemo.skeleton import BODY_25, FACE_70

JOINT = BODY_25.index


def plain_face():
    rng = np.random.default_rng(0)
    return random_face(rng, 0.0), random_actions(rng, 0.0)


def face_of(emotion, strength=1.0):
    shape, moves = plain_face()
    return face_points(shape, moves, strength * FACES[[NAMES.index(emotion)]])[0]


def standing(rows):
    build = random_build(np.random.default_rng(1), 1.0)
    frames = len(rows)
    root = np.tile([0.0, build.standing, 0.0], (frames, 1))
    ankles = np.tile([[-0.12, build.ankle, 0.0], [0.12, build.ankle, 0.0]], (frames, 1, 1))
    shape, _ = plain_face()
    return build, figure(build, rows, root, np.zeros(frames), ankles, np.tile(shape, (frames, 1, 1)))


def test_the_resting_face_is_symmetric():
    shape, _ = plain_face()
    assert np.allclose(shape[list(FACE_70.mirror)] * (-1, 1, 1), shape)


def test_happiness_raises_the_corners_of_the_mouth_and_widens_it():
    smile, rest = face_of("happiness"), face_of("neutral")
    assert (smile[[48, 54], 1] > rest[[48, 54], 1] + 4).all()
    assert smile[54, 0] - smile[48, 0] > rest[54, 0] - rest[48, 0] + 8


def test_sadness_lowers_the_corners_of_the_mouth_and_raises_the_inner_brows():
    sad, rest = face_of("sadness"), face_of("neutral")
    assert (sad[[48, 54], 1] < rest[[48, 54], 1] - 4).all()
    assert (sad[[21, 22], 1] > rest[[21, 22], 1] + 3).all()


def test_surprise_opens_mouth_and_eyes_and_lifts_the_brows():
    surprised, rest = face_of("surprise"), face_of("neutral")
    assert surprised[62, 1] - surprised[66, 1] > 12
    assert surprised[37, 1] - surprised[41, 1] > rest[37, 1] - rest[41, 1] + 2
    assert (surprised[17:27, 1] > rest[17:27, 1] + 5).all()


def test_anger_draws_the_brows_down_and_together():
    angry, rest = face_of("anger"), face_of("neutral")
    assert (angry[[21, 22], 1] < rest[[21, 22], 1] - 5).all()
    assert angry[22, 0] - angry[21, 0] < rest[22, 0] - rest[21, 0] - 5


def test_lids_and_lips_never_cross():
    rng = np.random.default_rng(3)
    shape, moves = random_face(rng, 1.0), random_actions(rng, 1.0)
    faces = face_points(shape, moves, rng.uniform(-1, 2, (500, len(ACTIONS))))
    assert (faces[:, [37, 38, 43, 44], 1] > faces[:, [41, 40, 47, 46], 1]).all()
    assert (faces[:, [61, 62, 63], 1] > faces[:, [67, 66, 65], 1]).all()


def test_prototypes_use_existing_actions_columns_and_hands():
    for emotion in PROTOTYPES:
        assert set(emotion.actions) <= set(ACTIONS)
        assert set(emotion.trunk) <= set(POSTURE)
        assert {word for pair in emotion.hands for word in pair.split()} <= set(HANDS)


def test_bones_keep_their_length_in_every_posture():
    rng = np.random.default_rng(2)
    hands = list(HANDS)
    rows = np.array([posture({}, rng.choice(hands), rng.choice(hands)) for _ in range(200)])
    rows += rng.normal(0, 0.05, rows.shape)
    build, points = standing(rows)
    for names, length in {
        ("RShoulder", "RElbow"): build.upper_arm,
        ("LElbow", "LWrist"): build.forearm,
        ("RHip", "RKnee"): build.thigh,
        ("LKnee", "LAnkle"): build.shin,
    }.items():
        a, b = (points[:, JOINT(name)] for name in names)
        assert np.linalg.norm(a - b, axis=-1) == pytest.approx(length, abs=1e-9)


def test_a_standing_body_has_human_proportions():
    build, points = standing(posture({}, "hanging", "hanging")[None])
    height = points[0, :, 1]
    assert height[JOINT("Neck")] == pytest.approx(0.82 * build.stature, abs=0.08)
    assert height[JOINT("MidHip")] == pytest.approx(0.53 * build.stature, abs=0.06)
    assert height[JOINT("RBigToe")] < 0.03
    assert points[0, JOINT("LShoulder"), 0] > 0 > points[0, JOINT("RShoulder"), 0]
    assert points[0, JOINT("Nose"), 2] > points[0, JOINT("REar"), 2], "the nose points to the camera"
    assert height[JOINT("RWrist")] < height[JOINT("MidHip")] + 0.05


def test_sadness_slumps_and_joy_does_not():
    happy, sad = (next(e for e in PROTOTYPES if e.name == name) for name in ("happiness", "sadness"))
    _, points = standing(np.array([posture(e.trunk, "hanging", "hanging") for e in (happy, sad)]))
    nose, neck = points[:, JOINT("Nose")], points[:, JOINT("Neck")]
    assert nose[1, 1] < nose[0, 1] - 0.08
    assert neck[1, 2] > neck[0, 2] + 0.08


def test_an_episode_rises_holds_and_falls():
    episode = Episode(0, start=1.0, onset=0.5, apex=2.0, offset=1.0, peak=0.8)
    at = envelope(episode, np.array([0.9, 1.25, 1.5, 3.4, 4.0, 4.6]))
    assert at == pytest.approx([0, 0.4, 0.8, 0.8, 0.4, 0], abs=1e-9)


def acted(emotion, difficulty=0.0, seed=0):
    level = Level(difficulty)
    rng = np.random.default_rng(seed)
    subject = random_subject(np.random.default_rng(5), 0, level)
    script = [Episode(NAMES.index(emotion), 2.0, 0.5, 6.0, 0.5, 1.0)]
    return perform(rng, subject, script, 300, 30.0, level)


def test_motion_distinguishes_anger_from_joy_and_sadness():
    def hand_speed(emotion):
        up = np.mean([np.abs(np.diff(acted(emotion, seed=s).posture[90:240, [14, 17]], axis=0)) for s in range(5)])
        return float(up)

    assert hand_speed("anger") > 1.5 * hand_speed("happiness") > 3 * hand_speed("sadness")


def test_fear_trembles_at_the_highest_frequency():
    def trembling(emotion):
        hands = acted(emotion).posture[90:240, 13:19]
        power = np.abs(np.fft.rfft(hands - hands.mean(0), axis=0)) ** 2
        hertz = np.fft.rfftfreq(150, 1 / 30)
        return power[(hertz > 6) & (hertz < 8)].sum()

    assert trembling("fear") > 5 * max(trembling(name) for name in ("happiness", "sadness", "disgust", "surprise"))


def test_valence_and_arousal_follow_the_intensity():
    done = acted("happiness")
    assert done.valence[150] == pytest.approx(0.81, abs=0.15)
    assert done.arousal[150] == pytest.approx(0.51, abs=0.15)
    assert abs(done.valence[:50]).max() < 0.15
    assert (done.expression[:60] == NAMES.index("neutral")).all()
    assert (done.expression[90:230] == NAMES.index("happiness")).all()


def test_a_long_script_has_every_emotion_one_at_a_time():
    script = long_script(np.random.default_rng(0), 60.0)
    assert {episode.emotion for episode in script} == set(range(7)) - {NAMES.index("neutral")}
    assert all(b.start > a.end for a, b in pairwise(script))


@pytest.mark.parametrize(
    ("column", "point", "axis", "sign"),
    [
        ("turn", "Nose", 0, 1),
        ("tilt", "LEar", 1, -1),
        ("nod", "Nose", 1, -1),
        ("thrust", "Nose", 2, 1),
        ("lean", "Neck", 2, 1),
        ("side", "Neck", 0, 1),
        ("twist", "RShoulder", 2, 1),
        ("sway", "MidHip", 0, 1),
        ("crouch", "MidHip", 1, -1),
        ("step", "MidHip", 2, 1),
        ("right_out", "RWrist", 0, -1),
        ("left_out", "LWrist", 0, 1),
        ("left_up", "LWrist", 1, 1),
        ("right_fore", "RWrist", 2, 1),
        ("left_elbow", "LElbow", 0, 1),
    ],
)
def test_a_column_of_the_posture_moves_its_point_where_its_name_says(column, point, axis, sign):
    """Axes: x to the subject's left, y up, z to the camera."""
    rest = posture({}, "belly", "belly")
    moved = rest + np.array([0.2 if name == column else 0.0 for name in POSTURE])
    _, joints = standing(np.stack([rest, moved]))
    way = joints[1, BODY_25.index(point)] - joints[0, BODY_25.index(point)]
    assert sign * way[axis] > 0.01


def test_both_eyes_look_to_the_same_side():
    shape, moves = plain_face()
    looks = np.array([[float(name == "look_left") for name in ACTIONS]])
    moved = face_points(shape, moves, looks)[0] - shape
    assert (moved[[68, 69], 0] > 4).all()
    assert np.count_nonzero(moved) == 2
