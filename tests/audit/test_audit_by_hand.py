"""What an audit measures, worked out by hand on tracks of a few points."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_audit import MOOD, a_person, a_walk, audited, only

from skelemo.audit.labels import label_errors, shifted
from skelemo.audit.movement import steps_of
from skelemo.audit.out_of_fold import Predicted, _fitted, from_runs
from skelemo.audit.suspects import Places, Suspect, ranked, runs_of
from skelemo.cache.shard import Header, write_shard
from skelemo.cache.store import open_cache
from skelemo.data.corpus import load_corpus
from skelemo.preprocess import Preparation
from skelemo.runs.folder import Run
from skelemo.runs.predictions import output_table
from skelemo.targets import VA, Head

CORNERS = np.array([[0, 0], [2, 0], [2, 2], [0, 2]], float)  # of a size (RMS distance from the center) of √2


def square(*places: tuple[float, float], sizes: tuple[float, ...] = ()) -> np.ndarray:
    """Keypoints ``[T, 25, 3]`` of somebody of whom four points are visible, the corners of a square."""
    points = np.zeros((len(places), 25, 3), np.float32)
    for frame, (place, size) in enumerate(zip(places, sizes or (1,) * len(places), strict=True)):
        points[frame, :4, :2] = 50 + np.array(place) + size * (CORNERS - 1)
        points[frame, :4, 2] = 1
    return points


def corpus_of(folder, *sequences):
    folder.mkdir()
    write_shard(folder, Header("body_25", (MOOD, VA)), sequences)
    corpus = load_corpus(open_cache(folder), Preparation(reference="window"))
    return corpus, Places(corpus)


def test_runs_end_with_their_sequence():
    flags = np.array([1, 1, 1, 0, 1, 1], bool)
    first, last = runs_of(flags, np.array([0, 0, 1, 1, 1, 2]))
    assert list(zip(first.tolist(), last.tolist(), strict=True)) == [(0, 1), (2, 2), (4, 4), (5, 5)]


def test_the_most_confident_suspects_of_each_kind_come_first():
    found = [Suspect("frozen", "v", "", 0, 9, score, str(score)) for score in (0.2, 0.9, 0.5)]
    found += [Suspect("outside", "v", "", 0, 9, 0.6, "x"), Suspect("empty", "v", "", 0, 9, 0.6, "y")]
    table = ranked(found, 2)
    assert table["found"].tolist() == ["0.9", "y", "x", "0.5"]  # equal scores by kind
    assert table["rank"].tolist() == [1, 2, 3, 4]


def test_steps_are_in_sizes_of_the_person_and_per_frame(tmp_path):
    keypoints = square((0, 0), (3, 4), (3, 4), (3, 20), (3, 20), sizes=(1, 1, 1, 1, 2))
    number = np.array([0, 1, 2, 6, 7], np.int32)
    corpus, places = corpus_of(tmp_path / "c", replace(a_person("one", keypoints), number=number))
    steps = steps_of(corpus, places)
    root = np.sqrt(2)
    # 5 to the side; none; 16 in four frames; none, but twice as large
    np.testing.assert_allclose(steps.move, [5 / root, 0, 16 / root / 4, 0], atol=1e-5)
    np.testing.assert_allclose(steps.scale, [0, 0, 0, np.log(2)], atol=1e-5)
    assert steps.still.tolist() == [False, True, False, False]


def test_a_move_is_a_jump_only_in_a_track_that_seldom_moves_so_far(tmp_path):
    """A move by 1.2 is 0.85 sizes. Of somebody who does so every fifth frame, it is one of the 90 % of usual moves."""

    def moving(far: list[int]):
        steps = np.where(np.isin(np.arange(60), far), 1.2, 0.05)
        return square(*[(x, 0) for x in steps.cumsum()])

    people = a_person("once", moving([30])), a_person("often", moving([*range(4, 60, 5)]))
    (found,) = only(audited(tmp_path / "c", *people), "identity").itertuples()
    assert (found.video, found.first, found.last) == ("once", 30, 30)
    assert found.found == "moves by 0.8 of its size; 90% of steps are below 0.04"
    assert found.score == pytest.approx(0.9 * (1 - 0.35 / (1.2 / np.sqrt(2))), abs=1e-4)


def test_two_who_change_places_are_swapped_and_one_who_takes_anothers_place_jumps(tmp_path):
    def track(person: str, video: str, *places: tuple[float, float]):
        return a_person(video, square(*[(x + 0.05 * n, y) for n, (x, y) in enumerate(places)]), person)

    left, right = (0, 0), (100, 0)
    people = [
        track("ann", "swap", *[left] * 30, *[right] * 30),
        track("ben", "swap", *[right] * 30, *[left] * 30),
        track("ann", "jump", *[left] * 30, *[right] * 30),
        track("ben", "jump", *[right] * 60),
    ]
    swap, jump = sorted(only(audited(tmp_path / "c", *people), "identity").itertuples(), key=lambda row: row.video)[
        ::-1
    ]
    assert (swap.video, swap.first, {swap.person, swap.value}) == ("swap", 30, {"ann", "ben"})
    assert swap.found == f"swaps places with {swap.value} in frame 30"
    assert swap.score > 0.9
    assert (jump.video, jump.person, jump.first, jump.value) == ("jump", "ann", 30, "")
    assert jump.found.startswith("moves by 70.7 of its size")


def test_the_longer_a_person_is_frozen_the_surer_it_is(tmp_path):
    people = [
        a_person(f"{still}", square(*[(3 * n, 0) for n in range(10)], *[(30, 0)] * still, (33, 0)))
        for still in (4, 5, 8)
    ]
    found = only(audited(tmp_path / "c", *people), "frozen").sort_values("video")
    assert found["found"].tolist() == ["no point moves for 5 frames", "no point moves for 8 frames"]
    np.testing.assert_allclose(found["score"], [1 - 4 / 5, 1 - 4 / 8])


def test_a_person_who_loses_a_point_is_not_frozen_and_two_points_are_too_few_to_judge(tmp_path):
    losing, few = square((0, 0), (0, 0)), square((0, 0), (90, 0))
    losing[1, 3] = 0
    few[:, 2:] = 0
    corpus, places = corpus_of(tmp_path / "c", a_person("losing", losing), a_person("few", few))
    steps = steps_of(corpus, places)
    assert steps.still.tolist() == [False, False]
    assert steps.move[places.sequence[steps.after] == 1].tolist() == [0]


@pytest.mark.parametrize(("point", "share"), [((-128, 9), 10), ((9, -72), 10), ((9, 720 * 1.2), 20)])
def test_points_are_outside_on_every_side_of_the_image(tmp_path, point, share):
    keypoints = square(*[(n, n) for n in range(10)])
    keypoints[4, 2, :2] = point
    (found,) = only(audited(tmp_path / "c", a_person("one", keypoints)), "outside").itertuples()
    assert (found.first, found.last) == (4, 4)
    assert found.found == f"points up to {share}% of the image size outside it, in 1 frame"
    assert found.score == pytest.approx(0.4 + 0.5 * 0.1)


def test_two_people_of_one_recording_who_move_alike_are_no_duplicates(tmp_path):
    pair = [a_person("talk", a_walk(7, 50, at=at), person) for at, person in ((0, "left"), (300, "right"))]
    assert only(audited(tmp_path / "c", *pair), "duplicate").empty
    assert len(only(audited(tmp_path / "d", pair[0], replace(pair[1], video="other")), "duplicate")) == 1


def test_an_empty_sequence_is_a_suspect_however_short_and_an_unlabeled_one_is_not(tmp_path):
    nobody, labels = np.zeros((10, 25, 3), np.float32), {"mood": np.zeros(10, np.int16)}
    walk = a_person("walk", square(*[(n, 3 * n) for n in range(10)]), labels=labels)
    found = audited(tmp_path / "c", a_person("gone", nobody, labels=labels), a_person("unknown", nobody), walk)
    (one,) = only(found, "empty").itertuples()
    assert (one.video, one.first, one.last) == ("gone", 0, 9)
    assert one.found == "labeled, but nobody is visible in the whole sequence"


def test_a_label_is_a_suspect_if_another_is_more_probable_and_a_missing_label_is_not(tmp_path):
    """Sad and calm clips are predicted as such, but for one; clips without a label are predicted, too."""
    labels = [1] * 20 + [2] * 20 + [-1] * 10
    outputs = np.array([[0.03, 0.9, 0.07]] * 20 + [[0.03, 0.07, 0.9]] * 20 + [[0.03, 0.9, 0.07]] * 10)
    outputs[5] = 0.01, 0.04, 0.95
    people = [
        a_person(f"clip{n:02}", square((n, n)), labels={"mood": np.array([label], np.int16)})
        for n, label in enumerate(labels)
    ]
    corpus, places = corpus_of(tmp_path / "c", *people)
    (found,) = label_errors(corpus, places, Predicted(MOOD, np.arange(50), outputs))
    assert (found.video, found.head, found.value) == ("clip05", "mood", "calm")
    assert found.found == "labeled sad; predicted calm 96%, sad 4%"  # nothing is labeled glad
    assert found.score > 0.5


@pytest.mark.parametrize(("lag", "text"), [(12, "12 frames (0.5 s) later"), (-12, "12 frames (0.5 s) earlier")])
def test_a_lag_is_in_frames_of_the_video_also_if_every_second_one_is_predicted(tmp_path, lag, text):
    wave = np.convolve(np.random.default_rng(0).normal(0, 1, 360), np.ones(20) / 20, "valid")
    values = np.stack([wave[20 - lag : 320 - lag], np.zeros(300)], 1).astype(np.float32).clip(-1, 1)
    person = a_person("one", np.ones((300, 25, 3), np.float32), labels={"va": values})
    corpus, places = corpus_of(tmp_path / "c", person)
    rows = np.arange(0, 300, 2)
    outputs = np.stack([wave[20:320][rows], np.zeros(len(rows))], 1)
    (found,) = shifted(corpus, places, Predicted(VA, rows, outputs))
    assert f"va comes {text} than the movement" in found.found
    before, after = (float(word.split()[0].rstrip(",")) for word in re.split("correlation |, ", found.found)[1:3])
    assert found.score == pytest.approx(after - max(before, 0), abs=0.011)
    assert list(shifted(corpus, places, Predicted(VA, rows[:39], outputs[:39]))) == []  # too short to judge


def test_predictions_of_several_runs_for_a_frame_are_averaged(tmp_path, monkeypatch):
    labels = {"mood": np.zeros(3, np.int16)}
    people = [a_person(name, square((0, 0), (1, 0), (2, 0)), labels=labels) for name in ("one", "two")]
    corpus, _ = corpus_of(tmp_path / "c", *people)

    predictions = {
        "first": [("one", 2, 0.6, 0.3), ("elsewhere", 0, 0.0, 1.0), ("one", 0, 0.8, 0.1)],
        "second": [("one", 2, 0.2, 0.7)],
    }

    def a_run(path):
        names, frames, glad, sad = zip(*predictions[path], strict=True)
        columns = {"fold": 1, "subset": "test", "sequence": names, "video": names, "subject": "", "frame": frames}
        outputs = output_table(MOOD, np.stack([glad, sad, 1 - np.add(glad, sad)], 1))
        table = pd.DataFrame(columns | {"mood": "glad"} | outputs)
        return Run(Path(path), {}, {"heads": [MOOD.to_json()]}, {}, pd.DataFrame(), table, {}, path)

    monkeypatch.setattr("skelemo.audit.out_of_fold.read_run", a_run)
    (found,), notes = from_runs(corpus, ["first", "second"])
    assert found.row.tolist() == [0, 2]
    np.testing.assert_allclose(found.outputs, [[0.8, 0.1, 0.1], [0.4, 0.5, 0.1]])
    assert notes == [
        "mood: the runs have out-of-fold predictions for 1 of 2 labeled sequences; a run with --set split=kfold:5 has "
        "them for all",
        "va: not checked: no run predicts these outputs; give a run that was trained on this cache with --set "
        "split=kfold:5, or no run for a quick baseline",
    ]


def test_the_baseline_predicts_what_its_training_windows_have():
    inputs = np.random.default_rng(0).normal(0, 0.1, (40, 3)) + np.repeat([[0, 0, 0], [5, 0, 0]], 20, 0)
    test = inputs[[0, 39]]
    moods = _fitted(MOOD, inputs, np.repeat(np.int16([1, 2]), 20), test, 0)  # nobody is glad
    np.testing.assert_allclose(moods, [[0, 1, 0], [0, 0, 1]], atol=0.05)
    assert _fitted(MOOD, inputs, np.full(40, 2, np.int16), test, 0).tolist() == [[0, 0, 1]] * 2
    units = Head("au", "flags", ("AU1", "AU2", "AU4"))
    flags = np.stack([np.repeat([1, 0], 20), np.repeat([1, -1], 20), np.full(40, -1)], 1).astype(np.int8)
    np.testing.assert_allclose(_fitted(units, inputs, flags, test, 0), [[1, 1, 0.5], [0, 1, 0.5]], atol=0.05)
    values = np.stack([inputs[:, 0] / 5, np.zeros(40)], 1)
    values[3:9] = np.nan
    np.testing.assert_allclose(_fitted(VA, inputs, values, test, 0), values[[0, 39]], atol=0.05)
