import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as reference

from skelemo.errors import InputError
from skelemo.evaluation import metrics
from skelemo.evaluation.scores import RESAMPLES, class_numbers, resample, score, write_scores

CLASSES = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
Predictions = Callable[..., pd.DataFrame]


def test_all_labelled_windows_of_a_part_count_together(predictions: Predictions) -> None:
    frame = predictions(CLASSES, folds=3)
    frame.loc[::5, "expression"] = ""
    frame.loc[::7, ["valence", "arousal"]] = np.nan
    scores = score(frame, CLASSES)
    test = frame[frame["part"] == "test"]

    known = test[test["expression"] != ""]
    truth, guess = known["expression"], known["predicted"]
    expression = scores["test"]["expression"]
    assert expression["windows"] == len(known)
    assert expression["macro_f1"]["value"] == pytest.approx(
        reference.f1_score(truth, guess, average="macro", labels=truth.unique())
    )
    assert expression["uar"]["value"] == pytest.approx(reference.balanced_accuracy_score(truth, guess))
    assert expression["accuracy"]["value"] == pytest.approx(reference.accuracy_score(truth, guess))
    assert expression["confusion"] == reference.confusion_matrix(truth, guess, labels=CLASSES).tolist()
    assert expression["per_class"]["anger"]["support"] == (truth == "anger").sum()

    known = test[test["valence"].notna()]
    va = scores["test"]["va"]
    valence = metrics.ccc(known["valence"], known["predicted_valence"])
    arousal = metrics.ccc(known["arousal"], known["predicted_arousal"])
    assert va["ccc_valence"]["value"] == pytest.approx(valence)
    assert va["ccc_mean"]["value"] == pytest.approx((valence + arousal) / 2)
    assert va["rmse_arousal"]["value"] == pytest.approx(metrics.rmse(known["arousal"], known["predicted_arousal"]))


@pytest.mark.filterwarnings("ignore:y_pred contains")
def test_folds_are_also_scored_one_by_one_and_averaged(predictions: Predictions) -> None:
    frame = predictions(CLASSES, folds=4, parts=["test"])
    expression = score(frame, CLASSES)["test"]["expression"]
    by_fold = [reference.balanced_accuracy_score(f["expression"], f["predicted"]) for _, f in frame.groupby("fold")]
    assert [fold["uar"] for fold in expression["folds"].values()] == pytest.approx(by_fold)
    assert expression["fold_mean"]["uar"]["mean"] == pytest.approx(np.mean(by_fold))
    assert expression["fold_mean"]["uar"]["sd"] == pytest.approx(np.std(by_fold, ddof=1))
    assert expression["folds"]["2"]["windows"] == len(frame) // 4
    assert "folds" not in score(frame[frame["fold"] == 1], CLASSES)["test"]["expression"]


def test_the_interval_is_that_of_naive_resampling_of_subjects(predictions: Predictions) -> None:
    frame = predictions(CLASSES, parts=["test"], subjects=20)
    found = score(frame, CLASSES)["test"]
    rows = list(frame.groupby("subject").indices.values())
    names, truth, guess = np.array(CLASSES), frame["expression"].to_numpy(str), frame["predicted"].to_numpy(str)
    truth, guess = ((column[:, None] == names).argmax(1) for column in (truth, guess))
    rng = np.random.default_rng(99)
    f1, ccc = [], []
    for _ in range(400):
        drawn = np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])
        present = np.unique(truth[drawn])
        f1.append(reference.f1_score(truth[drawn], guess[drawn], average="macro", labels=present, zero_division=0))
        ccc.append(metrics.ccc(frame["valence"].to_numpy()[drawn], frame["predicted_valence"].to_numpy()[drawn]))
    for figure, naive in ((found["expression"]["macro_f1"], f1), (found["va"]["ccc_valence"], ccc)):
        low, high = np.percentile(naive, [2.5, 97.5])
        width = high - low
        assert figure["low"] == pytest.approx(low, abs=0.15 * width)
        assert figure["high"] == pytest.approx(high, abs=0.15 * width)
        assert figure["low"] < figure["value"] < figure["high"]


def test_resampled_totals_are_those_of_the_groups_drawn() -> None:
    groups = np.eye(6)  # a total then counts how often each group was drawn
    totals = resample(groups, 500, seed=3)
    assert (totals.sum(1) == 6).all()
    assert totals.mean(0) == pytest.approx(np.ones(6), abs=0.15)
    assert totals.var(0) == pytest.approx(np.full(6, 5 / 6), abs=0.2)  # binomial(6, 1/6)
    assert (totals == resample(groups, 500, seed=3)).all()
    assert (totals != resample(groups, 500, seed=4)).any()


def test_neighboring_frames_do_not_narrow_the_interval(predictions: Predictions) -> None:
    frame = predictions(CLASSES, parts=["test"], frames=5)
    once = score(frame, CLASSES)["test"]["expression"]["uar"]
    often = score(pd.concat([frame] * 20, ignore_index=True), CLASSES)["test"]["expression"]["uar"]
    assert often == pytest.approx(once)


def test_groups_are_subjects_where_known_and_else_videos_and_else_sequences(predictions: Predictions) -> None:
    frame = predictions(CLASSES, parts=["test"], subjects=5, videos=3)
    head = score(frame, CLASSES)["test"]["va"]
    assert (head["groups"], head["grouped_by"]) == (5, "subject")
    head = score(frame.assign(subject=""), CLASSES)["test"]["va"]
    assert (head["groups"], head["grouped_by"]) == (15, "video")
    head = score(frame.assign(subject=np.nan, video=""), CLASSES)["test"]["va"]
    assert (head["groups"], head["grouped_by"]) == (15, "sequence")
    frame.loc[frame["subject"] == frame["subject"].iloc[0], "subject"] = ""
    head = score(frame, CLASSES)["test"]["va"]
    assert (head["groups"], head["grouped_by"]) == (4 + 3, "subject or video")


def test_a_single_group_has_no_interval(predictions: Predictions) -> None:
    frame = predictions(CLASSES, parts=["test"], subjects=1)
    figure = score(frame, CLASSES)["test"]["expression"]["accuracy"]
    assert figure["value"] is not None
    assert (figure["low"], figure["high"]) == (None, None)


def test_a_class_that_a_single_group_shows_has_no_interval(predictions: Predictions) -> None:
    frame = predictions(CLASSES, parts=["test"])
    first = frame["subject"] == frame["subject"].iloc[0]
    frame.loc[frame["expression"] == "anger", "expression"] = "sadness"
    frame.loc[first, "expression"] = "anger"
    table = score(frame, CLASSES)["test"]["expression"]["per_class"]
    assert table["anger"]["recall"] is not None
    assert table["anger"]["recall_low"] is None
    assert table["anger"]["f1_high"] is None
    assert table["sadness"]["recall_low"] < table["sadness"]["recall"] < table["sadness"]["recall_high"]


def test_only_parts_and_heads_with_labels_and_predictions_are_scored(predictions: Predictions) -> None:
    assert list(score(predictions(CLASSES, parts=["validation"]), CLASSES)) == ["validation"]
    assert list(score(predictions(CLASSES, heads=["va"]), CLASSES)["test"]) == ["va"]
    unlabelled = predictions(CLASSES).assign(expression="", valence=np.nan)
    assert list(score(unlabelled, CLASSES)["test"]) == ["va"]  # arousal is labelled still
    assert score(unlabelled, CLASSES)["test"]["va"]["ccc_valence"] == {"value": None, "low": None, "high": None}
    assert score(unlabelled.assign(arousal=np.nan), CLASSES) == {}


def test_a_diverged_training_is_an_error_that_says_so(predictions: Predictions) -> None:
    frame = predictions(CLASSES)
    frame.loc[frame.index[-3:], "predicted_arousal"] = np.nan
    with pytest.raises(InputError, match="3 of 1,200 windows have predicted valence or arousal that is not a number"):
        score(frame, CLASSES)
    frame = predictions(CLASSES, heads=["expression"])
    frame.loc[frame.index[-1], "predicted"] = ""
    with pytest.raises(InputError, match="1 of 1,200 windows have no predicted class"):
        score(frame, CLASSES)
    frame = predictions(CLASSES, heads=["expression"])
    frame.loc[frame.index[:2], "p_fear"] = [np.nan, np.inf]  # whose argmax is a class nevertheless
    with pytest.raises(InputError, match="2 of 1,200 windows have a predicted share of a class that is not a number"):
        score(frame, CLASSES)


def test_a_class_that_the_run_does_not_know_is_an_error(predictions: Predictions) -> None:
    with pytest.raises(InputError, match="'fear'; the run's classes are happiness, sadness"):
        score(predictions(CLASSES), CLASSES[:-1])


def test_class_names_may_be_any_text() -> None:
    names = pd.Series(["NA", "", "nan", None, "NA"])
    assert class_numbers(names, ["nan", "NA"]).tolist() == [1, -1, 0, -1, 1]


def test_scores_are_valid_json_even_where_a_figure_does_not_exist(tmp_path: Path, predictions: Predictions) -> None:
    frame = predictions(CLASSES, subjects=1, videos=1, frames=1)  # one window, constant, one class, one group
    write_scores(tmp_path / "scores.json", frame, CLASSES)

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    found = json.loads((tmp_path / "scores.json").read_text(), parse_constant=refuse)
    assert found == score(frame, CLASSES)
    assert found["test"]["va"]["ccc_mean"]["value"] == 0


def test_a_thousand_resamples_take_milliseconds(predictions: Predictions) -> None:
    frame = predictions(CLASSES, subjects=200, videos=5, frames=20, parts=["test"])
    score(frame, CLASSES, resamples=1)
    start = time.perf_counter()
    score(frame, CLASSES, resamples=1)
    without, start = time.perf_counter() - start, time.perf_counter()
    score(frame, CLASSES, resamples=RESAMPLES)
    assert time.perf_counter() - start - without < 0.5  # 20,000 windows of 200 subjects, both heads
