"""What is usual of a person: worked by hand, from whom it comes, and that nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_caches import a_cache, a_sequence
from torch.testing import assert_close

from skelemo.cache.store import open_cache
from skelemo.data.calibration import calibrated, people_of, source_of, standardized
from skelemo.data.corpus import load_corpus
from skelemo.data.windows import Gatherer, Window
from skelemo.errors import ConfigError
from skelemo.inference.base import chunks
from skelemo.preprocess import Preparation, calibration
from skelemo.preprocess.calibration import (
    evidence_of,
    moments_by,
    running_sums,
    scaled,
    shifts,
    standardizing,
    statistics_of,
    sums_by,
    typical_of,
    without,
)

#: Two people of two points; the second person never shows the second point.
PLACES = torch.tensor(
    [[[1.0, 0, 0.9], [4, 4, 0.5]], [[3, 2, 0.1], [0, 0, 0]], [[6, 6, 1], [0, 0, 0]]]
)  # the first two frames are the first person's
WHO = torch.tensor([0, 0, 1])


def test_the_usual_place_is_the_mean_over_seen_points_drawn_towards_the_average_person():
    sums = sums_by(PLACES, WHO, 2)
    assert sums.tolist() == [[[4, 2, 2], [4, 4, 1]], [[6, 6, 1], [0, 0, 0]]]
    typical = typical_of(sums)
    assert typical.tolist() == [[4, 3.5], [4, 4]]  # of means (2, 1) and (6, 6); of the first person alone
    # Two stills of evidence against two of the average person: half of (2, 1) - (4, 3.5); one: a third of (6, 6) - …
    assert calibration.PRIOR == 2
    found = shifts(sums, sums[..., 2], typical)
    assert_close(found, torch.tensor([[[-1, -1.25], [0, 0]], [[2 / 3, 2.5 / 3], [0, 0]]]))
    placed = without(PLACES, found[WHO])
    assert_close(placed[0], torch.tensor([[2, 1.25, 0.9], [4, 4, 0.5]]))
    assert placed[1, 1].tolist() == [0, 0, 0], "a missing point stays missing"


def test_frames_of_a_video_are_worth_less_than_stills():
    assert evidence_of(torch.tensor([0.0, 1, 31, 61])).tolist() == [0, 1, 2, 3]


def test_running_sums_are_those_of_each_clip_so_far():
    torch.manual_seed(0)
    places = torch.rand(20, 3, 3) * (torch.rand(20, 3, 1) > 0.3)
    start = torch.tensor([0] * 7 + [7] * 1 + [8] * 12)
    before, found = torch.zeros(3, 3, dtype=torch.float64), []
    for first, last in ((0, 5), (5, 8), (8, 20)):  # in the middle of a clip, and at the end of one
        found.append(running_sums(places[first:last], start[first:last], first, before))
        before = found[-1][-1]
    for row, sums in enumerate(torch.cat(found)):
        clip = places[start[row] : row + 1]
        assert_close(sums, sums_by(clip, torch.zeros(len(clip), dtype=torch.long), 1)[0])


def clips(count=6, subjects=("anna", "anna", "ben", "ben", "", "")):
    return [
        a_sequence(f"clip{n}", 5 + n, seed=n, width=640, height=480, subject=subjects[n % len(subjects)])
        for n in range(count)
    ]


@pytest.mark.parametrize("reference", ["clip", "window"])
def test_a_persons_clips_share_a_mean_and_a_track_without_a_subject_has_its_own(tmp_path, reference):
    cache = open_cache(a_cache(tmp_path / "cache", *clips()))
    assert people_of(cache.sequences).tolist() == [0, 0, 1, 1, 2, 3]
    plain = load_corpus(cache, Preparation(reference=reference))
    corpus = calibrated(plain, "track", np.array([0, 1, 2]))
    rows = torch.arange(len(plain))
    places, _ = Gatherer(plain, Window()).gather(rows)
    places = places[:, 0]
    person = torch.as_tensor(people_of(cache.sequences)[plain.sequence(rows.numpy())])
    usual = typical_of(torch.stack([sums_by(places[person == k], rows[person == k] * 0, 1)[0] for k in range(2)]))
    # Of the three clips that make the average person, two are anna's and one is ben's.
    third = plain.sequence(rows.numpy()) == 2
    anna, ben = (sums_by(places[of], rows[of] * 0, 1)[0] for of in (person == 0, torch.as_tensor(third)))
    usual = typical_of(torch.stack([anna, ben]))
    assert_close(torch.tensor(corpus.preparation.typical), usual, atol=1e-6, rtol=0)
    found, _ = Gatherer(corpus, Window()).gather(rows)
    for k in range(4):
        mine = person == k
        of = plain.sequence(rows.numpy())[mine]
        seen = torch.stack([(places[mine][of == one][..., 2] > 0).sum(0) for one in np.unique(of)])
        evidence = ((seen > 0) + (seen - 1).clamp(min=0) / 30).sum(0)
        mean = places[mine][..., :2].sum(0) / seen.sum(0)[:, None]
        off = (mean - usual) * (evidence / (evidence + 2))[:, None]
        expected = torch.where(places[mine][..., 2:] > 0, places[mine][..., :2] - off, 0)
        assert_close(found[mine, 0, :, :2], expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(found[:, 0, :, 2], places[..., 2])


@pytest.mark.parametrize("mode", ["track", "running"])
@pytest.mark.parametrize("reference", ["clip", "window"])
def test_what_was_trained_with_is_what_a_model_predicts_with(tmp_path, mode, reference):
    cache = open_cache(a_cache(tmp_path / "cache", *clips()))
    plain = load_corpus(cache, Preparation(reference=reference, max_gap=2))
    trained = calibrated(plain, mode, np.array([0, 3]))
    settings = Preparation.from_json(trained.preparation.to_json())
    assert settings == trained.preparation
    for chunk in chunks(cache.sequences, 4, by_subject=True):
        here = load_corpus(cache.only(chunk), settings)
        rows = np.flatnonzero(np.isin(plain.sequence(np.arange(len(plain))), chunk))
        for one, other in zip(
            Gatherer(here, Window(3)).gather(torch.arange(len(here))),
            Gatherer(trained, Window(3)).gather(torch.as_tensor(rows)),
            strict=True,
        ):
            assert_close(one, other, atol=1e-6, rtol=0)


def test_chunks_keep_a_subject_together_where_it_matters(tmp_path):
    cache = open_cache(a_cache(tmp_path / "cache", *clips(6, ("anna", "ben", "", "anna", "ben", ""))))
    assert [rows.tolist() for rows in chunks(cache.sequences, 1)] == [[0], [1], [2], [3], [4], [5]]
    assert [rows.tolist() for rows in chunks(cache.sequences, 1, by_subject=True)] == [[0, 3], [1, 4], [2], [5]]


@pytest.mark.parametrize("reference", ["clip", "window"])
def test_a_running_mean_knows_nothing_of_the_future(tmp_path, reference):
    people = clips(2, ("",))
    later = []
    for one in people:
        keypoints = one.keypoints.copy()
        keypoints[4:, :, :2] = keypoints[4:, ::-1, :2] * (keypoints[4:, :, 2:] > 0)
        keypoints[4:] *= (keypoints[4:, :, :2] > 0).all(-1, keepdims=True)
        later.append(a_sequence(one.id, len(one), keypoints=keypoints, width=640, height=480))
    corpora = [
        load_corpus(open_cache(a_cache(tmp_path / name, *some)), Preparation(reference="window"))
        for name, some in (("as it is", people), ("another future", later))
    ]
    average = calibrated(corpora[0], "running").preparation
    rows = torch.tensor([0, 1, 3, 5, 8])  # of both clips, each before its fifth frame
    found = []
    for one in corpora:
        fixed = load_corpus(open_cache(tmp_path / ("as it is" if one is corpora[0] else "another future")), average)
        found.append(Gatherer(fixed, Window(2)).gather(rows)[0])
    assert torch.equal(*found)


@pytest.mark.parametrize("reference", ["clip", "window"])
@pytest.mark.parametrize(("target", "ahead"), [("last", 0), ("center", 1)])
def test_a_window_is_calibrated_by_the_person_up_to_its_newest_frame(tmp_path, reference, target, ahead):
    plain = load_corpus(open_cache(a_cache(tmp_path / "cache", *clips(3, ("",)))), Preparation(reference=reference))
    corpus, rows, window = calibrated(plain, "running"), torch.arange(len(plain)), Window(3, target=target)
    ends = torch.tensor([4, 10, 17])  # clips of 5, 6 and 7 frames
    newest = torch.minimum(rows + ahead, ends[torch.as_tensor(plain.sequence(rows.numpy()))])
    before, mask = Gatherer(plain, window).gather(rows)
    found, _ = Gatherer(corpus, window).gather(rows)
    assert_close(found, without(before, corpus.shift[newest][:, None]), atol=1e-6, rtol=0)
    assert (corpus.shift[4] - corpus.shift[2]).abs().max() > 0.01
    assert not mask.all()


def test_parts_alone_keep_what_was_taken_off(tmp_path):
    from small_caches import BODY_AND_FACE

    people = [a_sequence(f"clip{n}", 6, points=95, seed=n) for n in range(3)]
    corpus = calibrated(load_corpus(open_cache(a_cache(tmp_path / "cache", *people, header=BODY_AND_FACE))), "track")
    face, rows = corpus.only(["face_70"]), torch.arange(len(corpus))
    assert len(face.preparation.typical) == 70
    both, _ = Gatherer(corpus, Window()).gather(rows)
    assert torch.equal(Gatherer(face, Window()).gather(rows)[0], both[:, :, 25:])
    others = [a_sequence(f"clip{n}", 6, points=95, seed=n) for n in range(9, 12)]
    cache = open_cache(a_cache(tmp_path / "others", *others, header=BODY_AND_FACE))
    other = load_corpus(cache, standardized(corpus).preparation)
    assert (other.factor[25:] != 1).any()
    both, _ = Gatherer(other, Window()).gather(rows)
    assert torch.equal(Gatherer(other.only(["face_70"]), Window()).gather(rows)[0], both[:, :, 25:])


def test_a_network_that_draws_is_refused(tmp_path):
    corpus = load_corpus(open_cache(a_cache(tmp_path / "cache", *clips())), Preparation("frame"))
    with pytest.raises(ConfigError, match=r"calibrate: track does not apply to image networks"):
        calibrated(corpus, "track")


@pytest.mark.parametrize("typical", [3, [1, 2], [[1, 2, 3]], [["a", "b"]]])
def test_an_average_person_that_is_none_is_one_line(typical):
    with pytest.raises(ConfigError, match="typical of a preparation"):
        Preparation.from_json({"calibrate": "track", "typical": typical})


def test_other_data_are_given_ones_own_means_and_deviations_as_far_as_there_is_evidence():
    places = torch.tensor([[[1.0, 5, 1], [2, 2, 1]], [[3, 9, 1], [0, 0, 0]]])
    found = statistics_of(moments_by(places))
    assert_close(found, torch.tensor([[2, 7, 1, 2], [2, 2, 0, 0]], dtype=torch.float64))
    own = torch.tensor([[0, 0, 2, 2], [1, 1, 1, 1]], dtype=torch.float64)
    assert calibration.DATASET_PRIOR == 20
    # Of the first point 20 stills: half way. Deviations 2 for 1 make √2, means go from (2, 7) half way to the own ones.
    factor, offset = standardizing(own, found, torch.tensor([20.0, 0]))
    moved = scaled(places, factor, offset)
    mean, root = torch.tensor([1, 3.5]), 2**0.5
    expected = torch.stack([(1 - mean[0]) * root, 5 - mean[1]])  # y: deviations 2 and 2, no change of scale
    assert_close(moved[0, 0, :2], expected)
    assert moved[0, 1].tolist() == [2, 2, 1], "without evidence nothing changes"
    assert moved[1, 1].tolist() == [0, 0, 0]


def test_a_point_that_does_not_move_in_either_data_set_keeps_its_scale():
    """Its mean goes the usual way: from 4 half way to 0, so that 5 becomes 3."""
    still, moving = torch.tensor([[0.0, 0, 0, 0]]), torch.tensor([[4.0, 4, 2, 2]])
    factor, offset = standardizing(still.double(), moving.double(), torch.tensor([20.0]))
    assert (factor.tolist(), offset.tolist()) == ([[1, 1]], [[-2, -2]])
    factor, _ = standardizing(moving.double(), still.double(), torch.tensor([20.0]))
    assert factor.tolist() == [[1, 1]]


def test_the_evidence_of_a_data_set_are_the_stills_that_show_each_point(tmp_path):
    """A point in 4 and 31 frames of two videos is worth 1 + 3 / 30 and 1 + 30 / 30 stills."""
    videos = [a_sequence(f"clip{n}", 31, seed=n) for n in range(2)]
    for one, frames in zip(videos, (4, 31), strict=True):
        one.keypoints[..., 2] = 1
        one.keypoints[:, 7] = 0
        one.keypoints[frames:, 5] = 0
    found = source_of([load_corpus(open_cache(a_cache(tmp_path, *videos)))])
    assert found[5, 4].item() == pytest.approx(1 + 3 / 30 + 2)
    assert found[4, 4].item() == pytest.approx(2 + 2)
    assert found[7].tolist() == [0] * 5


@pytest.mark.parametrize("reference", ["clip", "window"])
@pytest.mark.parametrize("mode", ["none", "track", "running"])
def test_data_that_differ_by_size_and_place_of_features_alone_come_out_alike(tmp_path, reference, mode):
    """Another landmarker puts every point elsewhere; as stills, so that units are those of each frame."""
    rng = np.random.default_rng(0)
    people = [a_sequence(f"clip{n:03}", 1, seed=n, subject=f"s{n % 20}") for n in range(200)]
    stance = rng.uniform(100, 300, (25, 2))
    for one in people:
        one.keypoints[:, :, :2] = stance + rng.normal(0, 4, (1, 25, 2))
        one.keypoints[..., 2] = 1
    moved = rng.normal(0, 10, (25, 2))
    moved[[0, 1, 2, 5, 8, 15, 16, 17, 18]] = 0  # the reference is measured by these
    others = []
    for one in people:
        keypoints = one.keypoints.copy()
        keypoints[..., :2] += moved
        others.append(a_sequence(one.id, 1, keypoints=keypoints, subject=one.subject))
    ours, theirs = (open_cache(a_cache(tmp_path / name, *some)) for name, some in (("a", people), ("b", others)))
    trained = standardized(calibrated(load_corpus(ours, Preparation(reference=reference)), mode))
    rows = torch.arange(200)
    seen, _ = Gatherer(trained, Window()).gather(rows)
    plain, _ = Gatherer(calibrated(load_corpus(ours, Preparation(reference=reference)), mode), Window()).gather(rows)
    assert torch.equal(seen, plain), "one's own data stay as they are"
    settings = Preparation.from_json(trained.preparation.to_json())
    foreign, _ = Gatherer(load_corpus(theirs, settings), Window()).gather(rows)
    before, _ = Gatherer(load_corpus(theirs, replace(settings, standardize="none")), Window()).gather(rows)
    apart = [(values[..., :2] - seen[..., :2]).abs().mean() for values in (before, foreign)]
    assert apart[1] < 0.2 * apart[0]
    again, _ = Gatherer(load_corpus(ours, settings), Window()).gather(rows)
    assert_close(again, seen, atol=1e-5, rtol=0)
    part = load_corpus(theirs, settings).only(["body_25"])
    assert len(part.preparation.standard) == 25
