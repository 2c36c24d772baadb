"""Tracking frame by frame: as good as with the whole recording where people keep apart; a bounded loss elsewhere."""

import numpy as np
import pytest
from people_by_hand import crossing_people
from test_tracking import (
    FAULTS,
    SPANS,
    Known,
    crossings,
    fragments,
    known,
    people_of,
    standing,
    switches,
    walker,
)

from skelemo.tracking import Track, track
from skelemo.tracking.online import NOBODY, OnlineTracker


def identities(people):
    """The identity of each row, frame by frame."""
    tracker = OnlineTracker()
    spans = zip(people.number.tolist(), people.start[:-1], people.start[1:], strict=True)
    return np.concatenate([tracker.update(people.keypoints[a:b], number) for number, a, b in spans])


def online(people):
    found = identities(people)
    frame = np.repeat(np.arange(len(people.number)), np.diff(people.start))
    rows = [np.flatnonzero(found == one) for one in np.unique(found[found != NOBODY])]
    return [Track(one, frame[one], np.ones(len(one))) for one in rows]


def test_separate_people_have_the_identities_of_offline_tracking():
    rng = np.random.default_rng(0)
    frames = []
    for t in range(200):
        here = [standing(150 + 250 * p + 40 * np.sin(t / 9 + p), seed=p) for p in range(5)]
        noise = rng.normal(0, 1, (5, 95, 3)) * (np.array(here) > 0) * (1, 1, 0)
        frames.append([here[p] + noise[p] for p in rng.permutation(5) if rng.random() > 0.1])
    people = people_of(frames)
    assert {tuple(one.rows) for one in online(people)} == {tuple(one.rows) for one in track(people)}


def lost(people, missed, of):
    """Identities lost in simulated crossings, by the way of tracking, and how many crossings there are."""
    counts, passed = dict.fromkeys(of, 0), 0
    for seed in range(8):
        crowd, truth = crossing_people(people=people, frames=240, seed=seed)
        one = known(crowd, np.random.default_rng(seed).random(len(crowd.person)) >= missed)
        passed += crossings(truth)
        for way in of:
            counts[way] += switches(one, way(one.people))
    return counts, passed


@pytest.mark.parametrize("missed", [0, 0.2])
def test_two_crossing_people_keep_their_identities(missed):
    for seed in range(12):
        crowd, _ = crossing_people(seed=seed)
        one = known(crowd, np.random.default_rng(seed).random(len(crowd.person)) >= missed)
        tracks = online(one.people)
        assert switches(one, tracks) == 0
        assert fragments(one, tracks) == 0


def test_in_a_crowd_fewer_than_one_crossing_in_four_loses_an_identity():
    counts, passed = lost(6, 0, (online, track))
    assert passed > 40
    assert counts[track] <= counts[online] < passed / 4


@pytest.mark.parametrize("fault", FAULTS)
def test_a_second_skeleton_does_not_take_a_persons_identity(fault):
    for seed in range(4):
        for speed in (0, 5, 25):
            rng = np.random.default_rng(seed)
            steps, faulty = walker(rng, speed), set(SPANS["now and then"](rng))
            frames, person = [], []
            for t, now in enumerate(steps):
                here = FAULTS[fault](rng, now, steps[t - 1]) if t in faulty else [now]
                frames.append([here[i] for i in rng.permutation(len(here))])
                person += [0] * len(here)
            one = Known(people_of(frames), np.array(person))
            assert max(map(len, online(one.people))) >= 114, (seed, speed)


def test_a_second_skeleton_has_no_identity():
    rng = np.random.default_rng(0)
    steps = walker(rng, 5)
    people = people_of([[now, FAULTS["a fainter double"](rng, now, now)[1]] for now in steps])
    assert identities(people).reshape(120, 2).tolist() == [[0, NOBODY]] * 120


def test_a_person_who_leaves_returns_with_a_new_identity():
    tracker = OnlineTracker()
    for t in range(50):
        assert tracker.update(np.stack([standing(300), standing(900)]), t).tolist() == [0, 1]
    for t in range(50, 80):
        assert tracker.update(np.stack([standing(300)]), t).tolist() == [0]
    assert len(tracker) == 2
    assert tracker.update(np.stack([standing(900), standing(300)]), 80).tolist() == [1, 0]
    for t in range(81, 113):
        tracker.update(np.stack([standing(300)]), t)
    assert len(tracker) == 1
    assert tracker.update(np.stack([standing(900), standing(300)]), 113).tolist() == [2, 0]


def test_memory_is_bounded_by_visible_people():
    rng, tracker, most = np.random.default_rng(0), OnlineTracker(), 0
    for _ in range(2000):  # somebody else, somewhere else, in every frame
        tracker.update(np.stack([standing(300), standing(rng.uniform(0, 1e5), y=rng.uniform(1000, 1e5))]))
        most = max(most, len(tracker))
    assert most <= 6


def test_frame_numbers_may_have_gaps_and_must_increase():
    tracker = OnlineTracker()
    for number in (*range(0, 200, 5), *range(345, 400, 5)):
        assert tracker.update(np.stack([standing(300)]), number).tolist() == [0]
    assert tracker.update(np.zeros((0, 95, 3)), 400).tolist() == []
    with pytest.raises(ValueError, match="frame 400 after frame 400: expected increasing numbers"):
        tracker.update(np.stack([standing(300)]), 400)
