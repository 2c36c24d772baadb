"""Simulated recordings: what OpenPose would find, and the truth behind it."""

import numpy as np
import pytest
from people_by_hand import crossing_people

from skelemo.errors import ConfigError
from skelemo.simulate import Cast, long_clip, short_clip, simulate
from skelemo.simulate.detection import Camera, torso_length, visible
from skelemo.simulate.emotions import NAMES
from skelemo.simulate.scene import walk
from skelemo.skeleton import BODY_25

CLIPS = list(simulate(subjects=6, clips=1, frames=240, seed=4))


def test_a_clip_depends_only_on_its_seed_and_number():
    again = long_clip(Cast(6, 0.5, 4), 3, 240)
    assert np.array_equal(again.crowd.keypoints, CLIPS[3].crowd.keypoints)
    other = long_clip(Cast(6, 0.5, 5), 3, 240)
    assert not np.array_equal(other.crowd.keypoints, again.crowd.keypoints)


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_missing_points_are_zero_and_joints_are_in_the_image(clip):
    keypoints = clip.crowd.keypoints
    missing = keypoints[..., 2] == 0
    assert (keypoints[missing] == 0).all()
    body, seen = keypoints[:, :25], ~missing[:, :25]
    assert (body[seen][:, :2] >= 0).all()
    assert (body[seen][:, :2] <= (clip.width - 1, clip.height - 1)).all()
    assert (seen.sum(axis=1) >= 3).all(), "OpenPose gives nobody with fewer than three joints"
    assert keypoints[..., 2].max() <= 1.02


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_a_face_has_all_its_points_or_none(clip):
    seen = (clip.crowd.keypoints[:, 25:, 2] > 0).sum(axis=1)
    assert set(np.unique(seen)) <= {0, 70}


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_detections_are_near_the_truth(clip):
    for role in clip.roles:
        found = clip.crowd.seen(role.person)
        both = (found[..., 2] > 0) & (role.truth[..., 2] > 0)
        assert both.any(axis=1).mean() > 0.8
        assert not ((found[..., 2] > 0) & ~(role.truth[..., 2] > 0)).any(), "nothing is found that cannot be seen"
        error = np.linalg.norm(found[..., :2] - role.truth[..., :2], axis=-1)[both]
        size = torso_length(role.truth[role.truth[:, BODY_25.index("Neck"), 2] > 0][..., :2])
        assert np.median(error) < 0.02 * size


def test_successive_frames_are_as_similar_as_in_videos():
    for clip in CLIPS:
        truth = clip.roles[0].truth
        both = (truth[1:, :25, 2] > 0) & (truth[:-1, :25, 2] > 0)
        step = np.linalg.norm(np.diff(truth[:, :25, :2], axis=0), axis=-1)[both]
        neck, hip = truth[:, BODY_25.index("Neck"), :2], truth[:, BODY_25.index("MidHip"), :2]
        shoulders = np.linalg.norm(truth[:, 2, :2] - truth[:, 5, :2], axis=-1)
        size = max(np.median(np.linalg.norm(neck - hip, axis=-1)), np.median(shoulders))
        assert np.median(step) < 0.01 * size
        assert np.quantile(step, 0.999) < 0.5 * size


def test_rows_locate_each_person_in_the_shuffled_list():
    clip = next(clip for clip in CLIPS if clip.passers or len(clip.roles) > 1)
    people = np.unique(clip.crowd.person)
    rows = np.stack([clip.crowd.rows(person) for person in people])
    assert sorted(rows[rows >= 0]) == list(range(len(clip.crowd.keypoints)))
    several = np.diff(clip.crowd.start) > 1
    assert several.any()
    first = clip.crowd.person[clip.crowd.start[:-1][several]]
    assert len(np.unique(first)) > 1, "the order of people changes"


def test_subjects_keep_their_subset_and_no_subset_is_empty():
    cast = Cast(subjects=10)
    splits = [cast.split(number) for number in range(10)]
    assert sorted(splits) == ["test"] * 2 + ["train"] * 6 + ["validation"] * 2
    assert sorted(cast.fold(number) for number in range(10)) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    for clip in simulate(subjects=10, clips=2, frames=60):
        assert {cast.split(role.subject) for role in clip.roles} == {clip.split}


def test_a_short_clip_shows_its_one_emotion():
    cast = Cast(subjects=5)
    for number in range(0, 35, 5):
        clip = short_clip(cast, number, 60)
        role = clip.roles[0]
        assert clip.emotion == NAMES[number // 5]
        assert set(np.unique(role.expression)) <= {NAMES.index("neutral"), NAMES.index(clip.emotion)}
        assert (role.expression == NAMES.index(clip.emotion)).mean() > 0.5


def test_difficulty_increases_missing_points():
    def missed(difficulty):
        shares = []
        for clip in simulate(subjects=5, clips=1, frames=200, difficulty=difficulty):
            found, truth = clip.keypoints[..., 2] > 0, clip.roles[0].truth[..., 2] > 0
            shares.append((truth & ~found).sum() / truth.sum())
        return np.mean(shares)

    assert missed(0.0) < missed(1.0)


@pytest.mark.parametrize("cast", [(4, 0.5, 0), (10, 1.5, 0), (10, -0.1, 0), (10, float("nan"), 0), (10, 0.5, -1)])
def test_an_invalid_cast_is_refused(cast):
    with pytest.raises(ConfigError):
        Cast(*cast)


def test_crossing_people_pass_each_other():
    crowd, truth = crossing_people(seed=1)
    left, right = (np.where(t[:, 1, 2] > 0, t[:, 1, 0], np.nan) for t in truth)
    ahead = np.sign(left - right)
    ahead = ahead[~np.isnan(ahead)]
    assert ahead[0] == -ahead[-1]
    assert set(np.unique(crowd.person)) == {0, 1}
    assert len(crowd.start) == 151
    assert crowd.start[-1] == len(crowd.keypoints) == len(crowd.person)


def face_geometry(clip):
    """Face points at the middle of a clip, centered between the eyes and in units of their distance; None if unseen."""
    face = clip.keypoints[len(clip.keypoints) // 2, 25:]
    if not face[:, 2].all():
        return None
    right, left = face[36:42, :2].mean(axis=0), face[42:48, :2].mean(axis=0)
    return ((face[:68, :2] - (right + left) / 2) / np.linalg.norm(left - right)).ravel()


def recognized(difficulty):
    """Accuracy of the nearest class mean on the faces of subjects it was not made from."""
    known, asked = ([], []), ([], [])
    for clip in simulate(subjects=15, clips=1, frames=40, difficulty=difficulty, short=True, seed=6):
        face = face_geometry(clip)
        if face is not None:
            faces, names = asked if clip.split == "test" else known
            faces.append(face)
            names.append(clip.emotion)
    faces, names = np.array(known[0]), np.array(known[1])
    means = np.stack([faces[names == name].mean(axis=0) for name in NAMES])
    nearest = np.linalg.norm(np.array(asked[0])[:, None] - means, axis=-1).argmin(axis=1)
    return float(np.mean([NAMES[index] == name for index, name in zip(nearest, asked[1], strict=True)]))


def test_emotions_are_recognizable_across_subjects_depending_on_difficulty():
    easy, hard = recognized(0.0), recognized(1.0)
    assert easy > 0.6
    assert hard < easy - 0.2


def test_two_actors_are_on_the_sides_that_their_labels_name_and_in_one_subset():
    cast = Cast(8, 0.5, 1)
    pairs = [clip for clip in (long_clip(cast, number, 30) for number in range(40)) if len(clip.roles) == 2]
    assert len(pairs) >= 2
    for clip in pairs:
        seen = {role.side: role.truth[role.truth[..., 2] > 0][:, 0].mean() for role in clip.roles}
        assert seen["left"] < seen["right"]
        assert {cast.split(role.subject) for role in clip.roles} == {clip.split}
        assert len({role.subject for role in clip.roles}) == 2


@pytest.mark.parametrize(
    ("facing", "hidden", "face"),
    [
        (0.0, set(), True),
        (1.0, {"LEar"}, True),  # turned to the own left: the camera sees the right side
        (-1.0, {"REar"}, True),
        (np.pi, {"Nose", "REye", "LEye"}, False),
    ],
)
def test_the_head_hides_the_points_on_its_far_side(facing, hidden, face):
    rng = np.random.default_rng(0)
    person = walk(rng, Cast(5, 0.0).subject(0), 3, 30, start=(0.0, 0.0), speed=0.01, facing=facing)
    camera = Camera(1920, 1080, 30, 1700.0, (0.0, 1.2, 3.5), 0.0)
    pixels, depth = camera.project(person.points)
    seen = visible(person.points, pixels, depth, camera)
    head = ("Nose", "REye", "LEye", "REar", "LEar")
    assert {name for name in head if not seen[:, BODY_25.index(name)].any()} == hidden
    assert seen[:, 25:].all() == seen[:, 25:].any() == face
