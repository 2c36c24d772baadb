"""Who is who from frame to frame, against simulated people whose identity is known, and on real recordings."""

import tracemalloc
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import pytest
from people_by_hand import crossing_people
from recordings import find_recordings

from skelemo.errors import ConfigError
from skelemo.openpose.people import People, read_people
from skelemo.simulate import Crowd, simulate
from skelemo.skeleton import BODY_25, layout
from skelemo.tracking import choose, choose_sides, track
from skelemo.tracking.features import features_of, nearest

NECK = BODY_25.index("Neck")


def people_of(frames, number=None):
    """People from a list of frames, each a list of [V, 3] arrays."""
    counts = [len(frame) for frame in frames]
    rows = [person for frame in frames for person in frame]
    keypoints = np.array(rows, np.float32) if rows else np.zeros((0, 95, 3), np.float32)
    number = np.arange(len(frames)) if number is None else np.asarray(number)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return People(number.astype(np.int32), start, keypoints, "body_25", "pixels", (), 0, 0)


@dataclass
class Known:
    """People whose identity is known, row by row."""

    people: People
    person: np.ndarray


def known(crowd: Crowd, keep=None) -> Known:
    """A simulated crowd, of which only the rows `keep` were found."""
    keep = np.ones(len(crowd.person), bool) if keep is None else keep
    frame = np.repeat(np.arange(len(crowd.number)), np.diff(crowd.start))[keep]
    start = np.concatenate([[0], np.cumsum(np.bincount(frame, minlength=len(crowd.number)))])
    people = People(crowd.number, start, crowd.keypoints[keep], "body_25", "pixels", (), 0, 0)
    return Known(people, crowd.person[keep])


def switches(known: Known, tracks) -> int:
    """How often a track goes over to another person."""
    return sum(int(np.count_nonzero(np.diff(known.person[one.rows]))) for one in tracks)


def fragments(known: Known, tracks) -> int:
    """How often a person changes the track."""
    label = np.empty(len(known.person), int)
    for index, one in enumerate(tracks):
        label[one.rows] = index
    return sum(int(np.count_nonzero(np.diff(label[known.person == p]))) for p in np.unique(known.person))


def crossings(truth) -> int:
    """How often two people are level in the picture, from the positions of their necks."""
    across = [np.where(points[:, NECK, 2] > 0, points[:, NECK, 0], np.nan) for points in truth]
    count = 0
    for one, other in combinations(across, 2):
        ahead = np.sign(one - other)
        ahead = ahead[~np.isnan(ahead) & (ahead != 0)]
        count += int(np.count_nonzero(np.diff(ahead)))
    return count


# A person of 180 units: across, and up from the hips, joint by joint of BODY_25.
UPRIGHT = [
    *((0, 62), (0, 50), (-18, 50), (-24, 22), (-26, -2), (18, 50), (24, 22), (26, -2), (0, 0), (-10, 0), (-11, -42)),
    *((-11, -84), (10, 0), (11, -42), (11, -84), (-3, 65), (3, 65), (-8, 63), (8, 63), (14, -90), (18, -89), (10, -88)),
    *((-14, -90), (-18, -89), (-10, -88)),
]


def standing(x, y=300.0, size=1.0, seed=0):
    """A person with all 25 joints at a place; another seed is somebody of another build."""
    build = np.random.default_rng(100 + seed).uniform(0.85, 1.15, (1, 2))
    points = np.zeros((95, 3))
    points[:25, :2] = np.array(UPRIGHT) * (1, -1) * build * size + (x, y)
    points[:25, 2] = 0.8
    return points


def assert_a_partition(people, tracks):
    rows = np.concatenate([one.rows for one in tracks])
    assert sorted(rows.tolist()) == list(range(len(people.keypoints)))
    for one in tracks:
        assert (np.diff(one.frames) > 0).all()
        assert (people.start[one.frames] <= one.rows).all()
        assert (one.rows < people.start[one.frames + 1]).all()


def test_separate_people_keep_their_identity_in_any_order():
    rng = np.random.default_rng(0)
    frames, person = [], []
    for time in range(200):
        here = [standing(150 + 250 * p + 3 * np.sin(time / 9 + p), seed=p) for p in range(5)]
        order = rng.permutation(5)
        frames.append([here[p] + rng.normal(0, 0.5, (95, 3)) * (here[p] > 0) * (1, 1, 0) for p in order])
        person += order.tolist()
    one = Known(people_of(frames), np.array(person))
    tracks = track(one.people)
    assert len(tracks) == 5
    assert switches(one, tracks) == 0
    assert_a_partition(one.people, tracks)


@pytest.mark.parametrize("seed", range(12))
def test_identity_survives_a_crossing(seed):
    crowd, truth = crossing_people(seed=seed)
    assert crossings(truth) == 1
    one = known(crowd)
    tracks = track(one.people)
    assert switches(one, tracks) == 0
    assert len(tracks) == 2


@pytest.mark.parametrize("missed", [0.2, 0.5])
@pytest.mark.parametrize("seed", range(8))
def test_identity_survives_a_crossing_with_missed_detections(seed, missed):
    crowd, _ = crossing_people(seed=seed, difficulty=1.0)
    found = np.random.default_rng(seed).random(len(crowd.person)) > missed
    one = known(crowd, found)
    tracks = track(one.people)
    assert switches(one, tracks) == 0
    assert fragments(one, tracks) <= 1


def test_in_a_crowd_fewer_than_one_crossing_in_ten_loses_an_identity():
    lost = passed = 0
    for seed in range(8):
        crowd, truth = crossing_people(people=6, frames=240, seed=seed)
        one = known(crowd)
        lost += switches(one, track(one.people))
        passed += crossings(truth)
    assert passed > 40
    assert lost < passed / 10


def test_identity_survives_a_low_frame_rate():
    for seed in range(6):
        crowd, _ = crossing_people(seed=seed)
        frame = np.repeat(np.arange(len(crowd.number)), np.diff(crowd.start))
        chosen = np.arange(0, len(crowd.number), 3)
        rows = np.isin(frame, chosen)
        counts = np.bincount(frame[rows], minlength=len(crowd.number))[chosen]
        start = np.concatenate([[0], np.cumsum(counts)])
        people = People(crowd.number[chosen], start, crowd.keypoints[rows], "body_25", "pixels", (), 0, 0)
        one = Known(people, crowd.person[rows])
        assert switches(one, track(people)) == 0


def test_the_order_of_people_within_frames_does_not_matter():
    crowd, _ = crossing_people(people=4, seed=3)
    frames = np.repeat(np.arange(len(crowd.number)), np.diff(crowd.start))
    order = np.lexsort((np.random.default_rng(0).random(len(frames)), frames))
    one = known(crowd)
    other = Known(People(*one.people.__dict__.values()), one.person[order])
    object.__setattr__(other.people, "keypoints", one.people.keypoints[order])
    sets = [{frozenset(order[t.rows]) for t in track(other.people)}, {frozenset(t.rows) for t in track(one.people)}]
    assert sets[0] == sets[1]


def test_the_actor_of_a_simulated_clip_stays_one_track_among_passers_by():
    clips = [clip for clip in simulate(subjects=8, clips=1, frames=400, seed=11) if clip.passers]
    assert len(clips) >= 2
    for clip in clips:
        one = known(clip.crowd)
        tracks = track(one.people)
        assert_a_partition(one.people, tracks)
        actors = [role.person for role in clip.roles]
        for main in tracks[: len(actors)]:
            assert len(np.unique(one.person[main.rows])) == 1
            assert one.person[main.rows[0]] in actors
        if len(actors) == 1:
            assert len(tracks[0]) == np.count_nonzero(one.person == actors[0])


def test_an_isolated_person_is_one_track_even_if_fast():
    frames = [[standing(300 + 60 * np.sin(t))] for t in range(100)]
    (only,) = track(people_of(frames))
    assert only.rows.tolist() == only.frames.tolist() == list(range(100))


def test_a_jump_across_the_image_begins_a_new_track():
    frames = [[standing(200)]] * 20 + [[standing(900)]] * 30
    first, second = track(people_of(frames))
    assert (len(first), len(second)) == (30, 20), "the more prominent comes first"


@pytest.mark.parametrize(("lost", "tracks"), [(30, 1), (31, 2)])
def test_a_person_may_be_invisible_for_thirty_frames(lost, tracks):
    frames = [[standing(300)]] * 10 + [[]] * lost + [[standing(300)]] * 10
    assert len(track(people_of(frames))) == tracks


def test_gaps_are_measured_in_the_recordings_typical_step():
    frames = [[standing(300)]] * 40
    assert len(track(people_of(frames, number=np.arange(40) * 10))) == 1
    with_gap = np.concatenate([np.arange(20), np.arange(20) + 20 + 31])
    assert len(track(people_of(frames, number=with_gap))) == 2
    assert len(track(people_of(frames, number=with_gap * 10))) == 2


def test_a_person_is_recovered_after_an_occlusion():
    walker = [standing(100 + 12 * t, seed=1) for t in range(80)]
    frames = [[standing(560)] + ([walker[t]] if not 30 <= t < 48 else []) for t in range(80)]
    tracks = track(people_of(frames))
    assert sorted(map(len, tracks)) == [62, 80]


def face_only(x, y, smile=0.0):
    angle = np.linspace(0, 2 * np.pi, 70, endpoint=False)
    points = np.zeros((95, 3))
    points[25:, 0], points[25:, 1], points[25:, 2] = x + 60 * np.cos(angle), y + 80 * np.sin(angle) + smile, 0.7
    return points


def test_faces_without_bodies_are_tracked():
    frames = [[face_only(200 + t, 200), face_only(600 - t, 210)][:: 1 if t % 2 else -1] for t in range(50)]
    people = people_of(frames)
    tracks = track(people)
    assert [len(one) for one in tracks] == [50, 50]
    for one in tracks:
        assert np.abs(np.diff(people.keypoints[one.rows, 25, 0])).max() < 2


@pytest.mark.parametrize("points", [25, 42, 67, 70, 95, 112, 137, 33])
def test_any_layout_is_tracked(points):
    rng = np.random.default_rng(0)
    shapes = np.concatenate([rng.uniform(0, 100, (2, points, 2)), np.ones((2, points, 1))], axis=-1)
    shapes[1, :, 0] += 400
    frames = [list(shapes[rng.permutation(2)]) for _ in range(30)]
    assert [len(one) for one in track(people_of(frames))] == [30, 30]


def test_units_of_the_coordinates_do_not_matter():
    crowd, _ = crossing_people(seed=5)
    one = known(crowd)
    expected = [one.rows.tolist() for one in track(one.people)]
    seen = one.people.keypoints[..., 2:] > 0
    signed = one.people.keypoints * (2 / 1280, 2 / 1280, 1) - (1, 1, 0) * seen
    object.__setattr__(one.people, "keypoints", signed.astype(np.float32))
    assert [one.rows.tolist() for one in track(one.people)] == expected


def test_no_people_are_no_tracks():
    assert track(people_of([[], [], []])) == []
    assert choose(people_of([[]]), [], "auto") == []
    assert choose(people_of([[]]), [], "left") == []


def test_a_single_point_is_a_separate_track():
    point = np.zeros((95, 3))
    point[0] = (5, 5, 0.5)
    people = people_of([[point], [point]])
    assert_a_partition(people, track(people))


def test_in_a_still_every_detection_is_a_track():
    people = people_of([[standing(100), standing(400), standing(700)]])
    tracks = track(people)
    assert [len(one) for one in tracks] == [1, 1, 1]
    assert len(choose(people, tracks, "all")) == 3


# 100 frames of a man on the left, a larger woman on the right from frame 20, and a giant who stays for 12 frames.
def a_conversation():
    man, woman, giant = standing(200, size=1.0), standing(700, size=1.2, seed=1), standing(1500, size=3.0, seed=2)
    frames = []
    for time in range(100):
        here = [man] + ([woman] if time >= 20 else []) + ([giant] if 60 <= time < 72 else [])
        frames.append(here[:: 1 if time % 3 else -1])
    people = people_of(frames)
    return people, track(people)


def across(people, tracks):
    return [round(float(people.keypoints[one.rows, :25, 0].mean()), -2) for one in tracks]


@pytest.mark.parametrize(
    ("person", "where"),
    [("auto", [200]), ("left", [200]), ("right", [700]), ("largest", [1500]), ("all", [200, 700, 1500])],
)
def test_persons_are_selected_by_choice(person, where):
    people, tracks = a_conversation()
    assert across(people, choose(people, tracks, person)) == where


def test_after_a_cut_the_selection_continues_with_the_next_person():
    frames = [[standing(200)]] * 40 + [[standing(900)]] * 60 + [[standing(210), standing(1300, size=0.2, seed=3)]] * 20
    people = people_of(frames)
    tracks = track(people)
    chosen = choose(people, tracks, "auto")
    assert across(people, chosen) == [200, 900, 200]
    assert [int(one.frames[0]) for one in chosen] == [0, 40, 100]
    assert np.unique(np.concatenate([one.frames for one in chosen])).tolist() == list(range(120))


def test_left_and_right_of_one_person_are_the_same():
    people = people_of([[standing(300)]] * 20)
    tracks = track(people)
    assert choose(people, tracks, "left") == choose(people, tracks, "right") == tracks


def test_both_sides_are_different_people():
    people = people_of([[standing(300)]] * 40)
    tracks = track(people)
    where = [{side: across(people, found) for side, found in choose_sides(people, tracks, middle).items()}
             for middle in (640, 100, None)]  # fmt: skip
    assert where == [{"left": [300], "right": []}, {"left": [], "right": [300]}, {"left": [], "right": []}]


def test_both_sides_of_two_visible_people_need_no_image_width():
    people, tracks = a_conversation()
    assert {side: across(people, found) for side, found in choose_sides(people, tracks, 5.0).items()} == {
        side: across(people, choose(people, tracks, side)) for side in ("left", "right")
    }


def test_both_sides_separated_by_a_cut_have_their_own_frames():
    people = people_of([[standing(200)]] * 40 + [[standing(900)]] * 60)
    found = choose_sides(people, track(people), 640)
    assert {side: across(people, tracks) for side, tracks in found.items()} == {"left": [200], "right": [900]}


def test_all_excludes_short_tracks():
    people = people_of([[standing(200)] + ([standing(800)] if t < 9 else []) for t in range(30)])
    assert across(people, choose(people, track(people), "all")) == [200]
    people = people_of([[standing(200)] + ([standing(800)] if t < 10 else []) for t in range(30)])
    assert across(people, choose(people, track(people), "all")) == [200, 800]


def test_an_unknown_person_is_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match="did you mean 'largest'"):
        choose(people_of([[]]), [], "larges")


def test_a_real_crowd_is_tracked(shared_data):
    (recording,) = find_recordings(shared_data / "openpose" / "v1.3-body25-crowd")
    people = read_people(recording, layout())
    tracks = track(people)
    assert_a_partition(people, tracks)
    lengths = sorted((len(one) for one in tracks), reverse=True)
    assert lengths[9] >= 280
    assert len(tracks) < 60, "14 to 18 people in 300 frames"


def test_a_real_kicker_is_one_track(shared_data):
    for recording in find_recordings(shared_data / "openpose" / "v1.3-body25-kicks"):
        people = read_people(recording, layout())
        tracks = track(people)
        assert_a_partition(people, tracks)
        assert share_followed(people, tracks) >= 0.95, recording.name


def share_followed(people, tracks):
    """Share of the frames with people that the labeled tracks have."""
    chosen = choose(people, tracks, "auto")
    followed = np.concatenate([one.frames for one in chosen])
    assert len(np.unique(followed)) == len(followed)
    return len(followed) / np.count_nonzero(np.diff(people.start))


# One person who walks to the right, 300 units tall, in 120 frames. Each kind of fault adds skeletons to some of them.
UPPER = [BODY_25.index(name) for name in BODY_25.keypoints[:8] + BODY_25.keypoints[15:17]]
LEFT = [index for index, name in enumerate(BODY_25.keypoints) if name.startswith("L")]


def only(person, joints):
    rest = np.zeros_like(person)
    rest[joints] = person[joints]
    return rest


def noisy(rng, person, joints=range(25), noise=2.0, confidence=0.4):
    double = only(person, list(joints))
    seen = double[:, 2] > 0
    double[seen, :2] += rng.normal(0, noise, (np.count_nonzero(seen), 2))
    double[seen, 2] = confidence
    return double


def some(rng, fewest):
    return rng.choice(25, int(rng.integers(fewest, 25)), replace=False)


def split(person, joints):
    return [only(person, joints), only(person, np.setdiff1d(np.arange(25), joints))]


# What a frame shows instead of the person alone: of the generator, the person now, and in the frame before.
FAULTS = {
    "a fainter double": lambda rng, now, before: [now, noisy(rng, now)],
    "a double as sure": lambda rng, now, before: [now, noisy(rng, now, confidence=0.8)],
    "a rough double": lambda rng, now, before: [now, noisy(rng, now, noise=8.0)],
    "a few points twice": lambda rng, now, before: [now, noisy(rng, now, some(rng, 3))],
    "three skeletons": lambda rng, now, before: [now, noisy(rng, now, some(rng, 4)), noisy(rng, now, some(rng, 4))],
    "upper and lower half": lambda rng, now, before: split(now, UPPER),
    "left and right half": lambda rng, now, before: split(now, LEFT),
    "halves at random": lambda rng, now, before: split(now, some(rng, 8)),
    "the skeleton before": lambda rng, now, before: [now, before.copy()],
}
# In which frames of 120: one, some here and there, or many in a row.
SPANS = {
    "once": lambda rng: [int(rng.integers(5, 115))],
    "now and then": lambda rng: rng.choice(np.arange(1, 119), 15, replace=False),
    "in a row": lambda rng: np.arange(25) + int(rng.integers(5, 85)),
}


def walker(rng, speed):
    body = standing(300, seed=int(rng.integers(50)), size=300 / 180)
    steps = np.stack([body] * 120)
    steps[:, :25, 0] += speed * np.arange(120)[:, None]
    steps[:, :25, :2] += rng.normal(0, 3, (120, 25, 2))
    return steps


# The skeleton before in many frames in a row is a second person, one step behind.
@pytest.mark.parametrize(
    ("fault", "span"),
    [one for one in product(FAULTS, SPANS) if one != ("the skeleton before", "in a row")],
)
def test_a_second_skeleton_does_not_take_a_persons_identity(fault, span):
    for seed in range(6):
        for speed in (0, 5, 25):
            rng = np.random.default_rng(seed)
            steps, faulty = walker(rng, speed), set(SPANS[span](rng))
            frames = [FAULTS[fault](rng, now, steps[t - 1]) if t in faulty else [now] for t, now in enumerate(steps)]
            people = people_of([[frame[i] for i in rng.permutation(len(frame))] for frame in frames])
            tracks = track(people)
            assert_a_partition(people, tracks)
            assert max(map(len, tracks)) >= 114, (seed, speed)
            assert share_followed(people, tracks) >= 0.95, (seed, speed)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_second_skeleton_does_not_take_the_identity_of_one_of_two_people(fault):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        one, other = walker(rng, 5), walker(rng, -3)
        other[:, :25, 0] += 900
        faulty = set(SPANS["now and then"](rng))
        frames, person = [], []
        for t in range(120):
            here = FAULTS[fault](rng, one[t], one[t - 1]) if t in faulty else [one[t]]
            order = rng.permutation(len(here) + 1)
            frames.append([[*here, other[t]][i] for i in order])
            person += [int(i == len(here)) for i in order]
        crowd = Known(people_of(frames), np.array(person))
        tracks = track(crowd.people)
        assert switches(crowd, tracks) == 0
        assert [len(each) for each in tracks[:2]] >= [114, 114]


def test_two_close_people_are_two_tracks():
    rng = np.random.default_rng(0)
    one, other = walker(rng, 0), walker(rng, 0)
    other[:, :25, 0] += 60
    people = people_of([[one[t], other[t]][:: 1 if t % 3 else -1] for t in range(120)])
    assert [len(each) for each in track(people)] == [120, 120]


def test_a_person_with_occasional_pose_flips_is_one_track():
    rng = np.random.default_rng(0)
    steps = walker(rng, 5)
    for t in (40, 41, 80, 90, 92):
        steps[t, :25] = steps[t, list(layout().mirror[:25])]
    (main,) = track(people_of([[step] for step in steps] + [[steps[-1], standing(2500)]]))[:1]
    assert len(main) == 121


def test_a_person_detected_twice_in_every_frame_is_two_tracks():
    body = np.zeros((95, 3), np.float32)
    body[:25] = [[100 + 9 * n, 50 + 7 * n, 0.9] for n in range(25)]
    tracks = track(people_of([[body, body]] * 20))
    assert all((np.diff(one.frames) > 0).all() for one in tracks)
    assert sorted(np.concatenate([one.rows for one in tracks])) == list(range(40))


@pytest.mark.parametrize("order", ["C", "F"])
def test_tracking_does_not_change_keypoints(order):
    keypoints = np.asarray(np.random.default_rng(0).random((4, 25, 3)), np.float32, order=order)
    before = keypoints.copy()
    features_of(keypoints)
    assert np.array_equal(keypoints, before)


def test_memory_grows_with_people_instead_of_pairs():
    rng = np.random.default_rng(0)
    frames = [[standing(400 + rng.normal(0, 9), 300 + rng.normal(0, 9), seed=n) for n in range(300)] for _ in range(4)]
    people = people_of(frames)
    tracemalloc.start()
    tracks = track(people)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert_a_partition(people, tracks)
    assert peak < 60e6


def test_the_nearest_candidates_are_kept():
    rng = np.random.default_rng(1)
    group, cost = rng.integers(5, 9, 500), rng.random(500)
    kept = nearest(group, cost)
    for one in np.unique(group):
        assert sorted(cost[kept & (group == one)]) == sorted(cost[group == one])[:32]


def test_a_much_smaller_person_does_not_continue_the_selection():
    people = people_of([[standing(200)]] * 40 + [[standing(900, size=0.3, seed=3)]] * 60)
    tracks = track(people)
    assert sorted(map(len, tracks)) == [40, 60]
    assert across(people, choose(people, tracks, "auto")) == [200]


def test_a_person_seen_beside_the_selected_one_does_not_continue_the_selection():
    one, other = standing(200, size=1.8), standing(900)
    people = people_of([[one, other] if t < 60 else [other] for t in range(100)])
    tracks = track(people)
    assert sorted(map(len, tracks)) == [60, 100]
    assert across(people, choose(people, tracks, "auto")) == [200]


def test_the_size_of_a_person_is_that_of_the_box_and_the_median_for_a_single_point():
    points = [[(0, 0), (100, 0), (50, 0)], [(0, 0), (100, 25), (0, 25)], [(7, 7)]]
    keypoints = np.zeros((3, 3, 3), np.float32)
    for person, places in zip(keypoints, points, strict=True):
        person[: len(places)] = [(x + 1, y + 1, 0.5) for x, y in places]
    assert features_of(keypoints).size.tolist() == [40, 50, 45], "0.4 of a thin box's side; sqrt(100 * 25)"


def test_two_limbs_give_the_size_of_a_person_who_is_mostly_hidden():
    people = np.zeros((2, 25, 3), np.float32)
    for name, y in (("Nose", 281), ("Neck", 300), ("MidHip", 350)):  # a fifth and half of the height
        people[:, BODY_25.index(name)] = (200, y, 0.9)
    people[1, BODY_25.index("Nose")] = 0
    np.testing.assert_allclose(features_of(people).size, [100, 20], rtol=1e-5, err_msg="one limb may be misplaced")


def test_a_large_person_for_a_while_is_more_prominent_than_a_small_one_for_longer():
    big, small = standing(1500, size=3.0, seed=2), standing(200)
    assert [len(one) for one in track(people_of([[small, big] if t < 12 else [small] for t in range(30)]))] == [12, 30]
