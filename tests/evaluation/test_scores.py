from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as reference
from numpy.typing import ArrayLike

from skelemo.errors import InputError
from skelemo.evaluation import metrics
from skelemo.evaluation.bootstrap import RESAMPLES, fine_resampling_groups, interval, resample, resampling_groups
from skelemo.evaluation.metrics import METRICS, Metric, main_metric, title_of, titles
from skelemo.evaluation.scores import measure, score
from skelemo.runs.predictions import outputs_of, truth_of
from skelemo.targets import AU, EMOTIONS, EXPRESSION, VA, Head

CLASSES = EMOTIONS
HEADS = (EXPRESSION, VA)
Predictions = Callable[..., pd.DataFrame]


def concordance(x: ArrayLike, y: ArrayLike) -> float:
    """Lin's, by its definition."""
    return float(2 * np.cov(x, y, ddof=0)[0, 1] / (np.var(x) + np.var(y) + (np.mean(x) - np.mean(y)) ** 2))


def test_all_labeled_windows_of_a_subset_count_together(predictions: Predictions) -> None:
    frame = predictions(CLASSES, folds=3)
    frame.loc[::5, "expression"] = ""
    frame.loc[::7, ["va_valence", "va_arousal"]] = np.nan
    scores = score(frame, HEADS)
    test = frame[frame["subset"] == "test"]

    known = test[test["expression"] != ""]
    truth, guess = known["expression"], known["expression_predicted"]
    expression = scores["test"]["expression"]
    assert expression["windows"] == len(known)
    assert expression["macro_f1"]["value"] == pytest.approx(
        reference.f1_score(truth, guess, average="macro", labels=sorted({*truth, *guess}))
    )
    assert expression["uar"]["value"] == pytest.approx(reference.balanced_accuracy_score(truth, guess))
    assert expression["accuracy"]["value"] == pytest.approx(reference.accuracy_score(truth, guess))
    assert expression["confusion"] == reference.confusion_matrix(truth, guess, labels=CLASSES).tolist()
    assert expression["per_class"]["anger"]["support"] == (truth == "anger").sum()

    known = test[test["va_valence"].notna()]
    va = scores["test"]["va"]
    valence = concordance(known["va_valence"], known["va_valence_predicted"])
    arousal = concordance(known["va_arousal"], known["va_arousal_predicted"])
    assert va["ccc_valence"]["value"] == pytest.approx(valence)
    assert va["ccc_mean"]["value"] == pytest.approx((valence + arousal) / 2)
    assert va["rmse_arousal"]["value"] == pytest.approx(
        np.sqrt(np.mean((known["va_arousal"] - known["va_arousal_predicted"]) ** 2))
    )


@pytest.mark.filterwarnings("ignore:y_pred contains")
def test_folds_are_also_scored_one_by_one_and_averaged(predictions: Predictions) -> None:
    frame = predictions(CLASSES, folds=4, subsets=["test"])
    expression = score(frame, HEADS)["test"]["expression"]
    by_fold = [
        reference.balanced_accuracy_score(f["expression"], f["expression_predicted"]) for _, f in frame.groupby("fold")
    ]
    assert [fold["uar"] for fold in expression["folds"].values()] == pytest.approx(by_fold)
    assert expression["fold_mean"]["uar"]["mean"] == pytest.approx(np.mean(by_fold))
    assert expression["fold_mean"]["uar"]["sd"] == pytest.approx(np.std(by_fold, ddof=1))
    assert expression["folds"]["2"]["windows"] == len(frame) // 4
    assert "folds" not in score(frame[frame["fold"] == 1], HEADS)["test"]["expression"]


def test_the_interval_is_that_of_naive_resampling_of_subjects(predictions: Predictions) -> None:
    frame = predictions(CLASSES, subsets=["test"], subjects=20)
    found = score(frame, HEADS)["test"]
    rows = list(frame.groupby("subject").indices.values())
    names, truth, guess = (
        np.array(CLASSES),
        frame["expression"].to_numpy(str),
        frame["expression_predicted"].to_numpy(str),
    )
    truth, guess = ((column[:, None] == names).argmax(1) for column in (truth, guess))
    rng = np.random.default_rng(99)
    f1, ccc = [], []
    for _ in range(400):
        drawn = np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])
        present = [*{*truth[drawn]} | ({*guess} - {*truth})]  # a class that is not drawn is unknown, not 0
        f1.append(reference.f1_score(truth[drawn], guess[drawn], average="macro", labels=present, zero_division=0))
        ccc.append(concordance(frame["va_valence"].to_numpy()[drawn], frame["va_valence_predicted"].to_numpy()[drawn]))
    for figure, naive in ((found["expression"]["macro_f1"], f1), (found["va"]["ccc_valence"], ccc)):
        low, high = np.percentile(naive, [2.5, 97.5])
        width = high - low
        assert figure["low"] == pytest.approx(low, abs=0.15 * width)
        assert figure["high"] == pytest.approx(high, abs=0.15 * width)
        assert figure["low"] < figure["value"] < figure["high"]


def test_f1_of_a_class_that_a_resample_lacks_is_unknown_and_of_one_that_never_occurs_zero() -> None:
    whole = np.array([[4, 0, 1, 0], [0, 4, 0, 1], [0, 0, 2, 0], [0, 0, 0, 0]], float)  # the last is only ever predicted
    lacks_third = np.array([[4, 0, 2, 0], [0, 4, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], float)
    found = metrics.macro_f1_of_resamples(np.stack([whole, lacks_third]), whole)
    # first: 8/9, 8/9, 4/5 and 0 of the class that is only predicted; then 8/10 and 1, the third unknown, the fourth 0
    assert found == pytest.approx([(8 / 9 + 8 / 9 + 4 / 5) / 4, (8 / 10 + 1) / 3])
    assert found[0] == pytest.approx(metrics.macro_f1(whole))
    assert metrics.macro_f1_of_resamples(whole[:2, :2], whole[:2, :2]) == 1.0
    flags = np.array([[[3, 1], [0, 2]], [[6, 0], [0, 0]]], float)  # the second never occurs: 0 as ever
    lost = np.array([[[5, 1], [0, 0]], [[6, 0], [0, 0]]], float)
    np.testing.assert_array_equal(metrics.flag_f1_of_resamples(np.stack([flags, lost]), flags), [[0.8, 0], [np.nan, 0]])


def test_a_class_of_few_subjects_does_not_pull_the_interval_down(predictions: Predictions) -> None:
    frame = predictions(CLASSES, heads=["expression"], subsets=["test"], subjects=20)
    people = frame.loc[frame["expression"] == "sadness", "subject"].unique()
    frame["expression"] = np.where(frame["expression"].isin(["fear", "anger"]), "neutral", frame["expression"])
    rare = frame["subject"].isin(people[:2]) & (frame["expression"] == "sadness")
    frame.loc[(frame["expression"] == "sadness") & ~rare, "expression"] = "neutral"
    answers = frame["expression"].to_numpy(object).copy()
    wrong = np.flatnonzero(frame["expression"] == "neutral")[::9]
    answers[wrong] = "sadness"  # so that it is predicted in resamples that do not hold it
    frame[[f"expression_p_{name}" for name in CLASSES]] = np.array([[n == a for n in CLASSES] for a in answers], float)
    found = score(frame, [EXPRESSION])["test"]["expression"]
    table = found["per_class"]
    assert table["sadness"]["recall"] == table["sadness"]["recall_low"] == 1
    assert 0 < table["sadness"]["f1_low"] < table["sadness"]["f1"]
    others = [row["f1"] for name, row in table.items() if row["support"] and name != "sadness"]
    assert found["macro_f1"]["low"] > (sum(others) - 0.2) / (len(others) + 1), "as if its F1 were 0"
    assert found["macro_f1"]["low"] < found["macro_f1"]["value"] < found["macro_f1"]["high"]


def test_resampled_totals_are_those_of_the_groups_drawn() -> None:
    groups = np.eye(6)  # a total then counts how often each group was drawn
    totals = resample(groups, 500, seed=3)
    assert (totals.sum(1) == 6).all()
    assert totals.mean(0) == pytest.approx(np.ones(6), abs=0.15)
    assert totals.var(0) == pytest.approx(np.full(6, 5 / 6), abs=0.2)  # binomial(6, 1/6)
    assert (totals == resample(groups, 500, seed=3)).all()
    assert (totals != resample(groups, 500, seed=4)).any()


def test_an_interval_holds_the_middle_95_percent_of_the_defined_resamples() -> None:
    drawn = np.arange(1001.0)
    low, high = interval(np.stack([drawn, np.full(1001, np.nan), np.where(drawn % 2, np.nan, drawn)], 1))
    np.testing.assert_allclose(low, [25, np.nan, 25])
    np.testing.assert_allclose(high, [975, np.nan, 975])


def test_neighboring_frames_do_not_narrow_the_interval(predictions: Predictions) -> None:
    frame = predictions(CLASSES, subsets=["test"], frames=5)
    once = score(frame, HEADS)["test"]["expression"]["uar"]
    often = score(pd.concat([frame] * 20, ignore_index=True), HEADS)["test"]["expression"]["uar"]
    assert often == pytest.approx(once)


def test_groups_are_subjects_where_known_and_else_videos_and_else_sequences(predictions: Predictions) -> None:
    frame = predictions(CLASSES, subsets=["test"], subjects=5, videos=3)
    head = score(frame, HEADS)["test"]["va"]
    assert (head["groups"], head["grouped_by"]) == (5, "subject")
    head = score(frame.assign(subject=""), HEADS)["test"]["va"]
    assert (head["groups"], head["grouped_by"]) == (15, "video")
    head = score(frame.assign(subject=np.nan, video=""), HEADS)["test"]["va"]
    assert (head["groups"], head["grouped_by"]) == (15, "sequence")
    frame.loc[frame["subject"] == frame["subject"].iloc[0], "subject"] = ""
    head = score(frame, HEADS)["test"]["va"]
    assert (head["groups"], head["grouped_by"]) == (4 + 3, "subject or video")


@pytest.mark.parametrize(("subjects", "bounded"), [(1, False), (9, False), (10, True)])
def test_fewer_than_ten_groups_have_no_interval(predictions: Predictions, subjects: int, bounded: bool) -> None:
    found = score(predictions(CLASSES, subsets=["test"], subjects=subjects), HEADS)["test"]["expression"]
    assert found["accuracy"]["value"] is not None
    assert (found["accuracy"]["low"] is not None) == bounded
    assert (found["interval"]["resamples"] == RESAMPLES) == bounded


def test_a_class_that_a_single_group_shows_has_no_interval(predictions: Predictions) -> None:
    frame = predictions(CLASSES, subsets=["test"])
    first = frame["subject"] == frame["subject"].iloc[0]
    frame.loc[frame["expression"] == "anger", "expression"] = "sadness"
    frame.loc[first, "expression"] = "anger"
    table = score(frame, HEADS)["test"]["expression"]["per_class"]
    assert table["anger"]["recall"] is not None
    assert table["anger"]["recall_low"] is None
    assert table["anger"]["f1_high"] is None
    assert table["sadness"]["recall_low"] < table["sadness"]["recall"] < table["sadness"]["recall_high"]


def test_only_subsets_and_heads_with_labels_are_scored(predictions: Predictions) -> None:
    assert list(score(predictions(CLASSES, subsets=["validation"]), HEADS)) == ["validation"]
    assert list(score(predictions(CLASSES, heads=["va"]), [VA])["test"]) == ["va"]
    unlabeled = predictions(CLASSES).assign(expression="", va_valence=np.nan)
    assert list(score(unlabeled, HEADS)["test"]) == ["va"]  # arousal still has labels
    assert score(unlabeled, HEADS)["test"]["va"]["ccc_valence"] == {"value": None, "low": None, "high": None}
    assert score(unlabeled.assign(va_arousal=np.nan), HEADS) == {}


def test_one_class_scores_nothing_and_says_so(predictions: Predictions) -> None:
    frame = predictions(CLASSES, heads=["expression"]).assign(expression="anger")
    found = score(frame, [EXPRESSION])["test"]["expression"]
    assert found["macro_f1"] == {"value": None, "low": None, "high": None}
    assert found["note"] == "all are anger: a single class cannot be scored"


def test_macro_f1_counts_classes_that_are_only_predicted_and_names_those_left_out(predictions: Predictions) -> None:
    frame = predictions(CLASSES, heads=["expression"], subsets=["test"])
    frame["expression"] = np.where(frame["expression"].isin(["fear", "disgust"]), "sadness", frame["expression"])
    frame["expression_predicted"] = np.where(frame["expression_predicted"] == "fear", "anger", frame["expression"])
    shares = [f"expression_p_{name}" for name in CLASSES]
    frame[shares] = np.array([[name == answer for name in CLASSES] for answer in frame["expression_predicted"]], float)
    frame.loc[0, shares] = np.eye(7)[CLASSES.index("disgust")]
    truth, guess = frame["expression"], frame["expression_predicted"].astype(object)
    guess[0] = "disgust"
    found = score(frame, [EXPRESSION])["test"]["expression"]
    assert found["macro_f1"]["value"] == pytest.approx(
        reference.f1_score(truth, guess, average="macro", labels=sorted({*truth, *guess}), zero_division=0)
    )
    assert found["left_out"] == ["fear"]


def test_clips_get_one_answer_the_mean_over_their_windows(predictions: Predictions) -> None:
    frame = predictions(CLASSES, heads=["expression"], subsets=["test"])
    found = score(frame, [EXPRESSION], clips=["expression"])["test"]["expression"]
    shares = frame.groupby("sequence", sort=False)[[f"expression_p_{name}" for name in CLASSES]].mean()
    truth = frame.groupby("sequence", sort=False)["expression"].first()
    assert (found["unit"], found["windows"]) == ("clip", len(truth))
    answers = np.array(CLASSES)[shares.to_numpy().argmax(1)]
    assert found["accuracy"]["value"] == pytest.approx(reference.accuracy_score(truth, answers))


def test_unlabeled_windows_do_not_count_between_epochs() -> None:
    mood = Head("mood", "classes", ("glad", "sad"))
    outputs = np.eye(2)[[1, 0, 1, 0, 0]]
    assert measure(mood, np.int16([-1, 0, 1, -1, 1]), outputs)["accuracy"] == pytest.approx(2 / 3)
    shares = np.float32([[np.nan] * 2, [0.75, 0.25], [0.25, 0.75], [np.nan] * 2, [0, 1]])
    assert measure(mood, shares, outputs)["accuracy"] == pytest.approx(2 / 3)
    pain = Head("pain", "values", ("pain",), 0, 10)
    labels = np.float32([[np.nan], [1], [np.nan], [3]])
    assert measure(pain, labels, np.array([[9.0], [2], [9], [5]]))["rmse_mean"] == pytest.approx(np.sqrt((1 + 4) / 2))
    assert np.isnan(measure(pain, labels * np.nan, np.ones((4, 1)))["ccc_mean"])


def test_a_clip_of_two_folds_has_one_answer_in_each() -> None:
    one = {"fold": 1, "subset": "validation", "sequence": "a", "video": "a", "subject": "", "frame": 0}
    frame = pd.DataFrame([one, one | {"fold": 2}, one | {"sequence": "b", "video": "b"}])
    frame = frame.assign(mood=["glad", "glad", "sad"], mood_predicted="", mood_p_glad=[0.9, 0.2, 0.2])
    frame["mood_p_sad"] = 1 - frame["mood_p_glad"]
    found = score(frame, [Head("mood", "classes", ("glad", "sad"))], clips=["mood"])["validation"]["mood"]
    assert (found["windows"], found["confusion"]) == (3, [[1, 1], [0, 1]])


def test_a_flag_is_predicted_from_a_probability_of_a_half() -> None:
    head = Head("au", "flags", ("AU1",))
    assert measure(head, np.int8([[1], [0]]), np.array([[0.5], [0.49]]))["f1_mean"] == 1


def test_a_flag_without_labels_does_not_count_and_one_that_never_occurs_is_zero() -> None:
    head = Head("au", "flags", ("AU1", "AU2", "AU4"))
    found = measure(head, np.int8([[1, -1, 0], [0, -1, 0]]), np.array([[0.9, 0.9, 0.1], [0.1, 0.1, 0.2]]))
    assert (found["f1_AU1"], found["f1_AU4"], found["f1_mean"]) == (1, 0, 0.5)
    assert np.isnan(found["f1_AU2"])


def test_flags_are_scored_one_by_one_and_by_their_mean_with_missing_ones_masked() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(-1, 2, (400, 12)).astype(np.int8)
    outputs = np.clip(0.5 + 0.3 * truth + rng.normal(0, 0.4, truth.shape), 0, 1)
    found = measure(AU, truth, outputs)
    by_flag = [reference.f1_score(t[t >= 0], o[t >= 0] >= 0.5) for t, o in zip(truth.T, outputs.T, strict=True)]
    assert found["f1_mean"] == pytest.approx(np.mean(by_flag))
    assert found["f1_AU12"] == pytest.approx(by_flag[AU.outputs.index("AU12")])


def test_metrics_of_windows_agree_with_scikit_learn_and_scipy(predictions: Predictions) -> None:
    from scipy.stats import pearsonr, spearmanr

    frame = predictions(CLASSES, subsets=["test"])
    found = score(frame, HEADS)["test"]
    shares = frame[[f"expression_p_{name}" for name in CLASSES]].to_numpy(np.float64)
    present = [i for i, name in enumerate(CLASSES) if (frame["expression"] == name).any()]
    areas = [reference.roc_auc_score(frame["expression"] == CLASSES[i], shares[:, i]) for i in present]
    assert found["expression"]["auc"]["value"] == pytest.approx(np.mean(areas))
    x, y = frame["va_valence"], frame["va_valence_predicted"]
    assert found["va"]["spearman_valence"]["value"] == pytest.approx(spearmanr(x, y).statistic, abs=1e-6)
    assert found["va"]["pearson_valence"]["value"] == pytest.approx(pearsonr(x, y).statistic, abs=1e-6)
    assert found["va"]["spearman_mean"]["low"] < found["va"]["spearman_mean"]["value"]


@pytest.mark.parametrize(
    ("head", "figure"),
    [(EXPRESSION, "auc"), (EXPRESSION, "calibration"), (VA, "spearman_valence"), (VA, "spearman_mean")],
)
def test_intervals_by_histograms_are_those_of_naive_resampling(
    predictions: Predictions, head: Head, figure: str
) -> None:
    frame = predictions(subjects=25, videos=3, frames=20, subsets=["test"], skill=0.9)
    fast = score(frame, [head], resamples=1000)["test"][head.name][figure]
    people = frame["subject"].astype(str)
    members = [np.flatnonzero(people == name) for name in sorted(set(people))]
    truth, outputs, rng = truth_of(frame, head), outputs_of(frame, head), np.random.default_rng(5)
    name, _, output = figure.partition("_")

    def value(rows: np.ndarray) -> float:
        found = METRICS[name].function(truth[rows], outputs[rows])
        return found if head is EXPRESSION else found[0] if output == "valence" else np.mean(found)

    assert fast["value"] == pytest.approx(value(np.arange(len(frame))))
    drawn = [value(np.concatenate([members[i] for i in rng.integers(25, size=25)])) for _ in range(400)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert fast["low"] == pytest.approx(low, abs=0.15 * (high - low))
    assert fast["high"] == pytest.approx(high, abs=0.15 * (high - low))


def test_histograms_are_exact_where_scores_have_few_values() -> None:
    """So that their resamples differ from the metric by bins alone; the truth of some windows is unknown."""
    rng = np.random.default_rng(0)
    codes, predicted = rng.integers(0, 5, 300), rng.integers(0, 8, (300, 2)) / 7
    series = rng.integers(-3, 4, (300, 2)) / 3
    series[rng.random((300, 2)) < 0.2] = np.nan
    flags = np.where(np.isnan(series), np.nan, series > 0)
    classes = rng.integers(0, 2, 300)
    for name, truth in (("auc", classes), ("calibration", classes), ("flag_auc", flags), ("spearman", series)):
        metric = METRICS[name]
        totals = [sums.sum(0)[None] for sums in metric.facts.sums(truth, predicted, codes, 5)]
        found = [float(metric.facts.of_sums(total)[0]) for total in totals]
        found = np.mean(found) if name == "auc" else found
        np.testing.assert_allclose(np.squeeze(found), metric.function(truth, predicted), err_msg=name)


def test_windows_with_an_unknown_truth_do_not_count_for_ranks() -> None:
    truth = np.array([[1.0], [2], [np.nan], [3]])
    predicted = np.array([[0.1], [0.2], [0.9], [0.3]])
    assert METRICS["spearman"].function(truth, predicted).tolist() == [1]
    flags = np.array([[0.0], [1], [np.nan], [1]])
    assert METRICS["flag_auc"].function(flags, predicted).tolist() == [1]
    assert np.isnan(METRICS["flag_auc"].function(flags * 0, predicted)).all(), "without a positive there is no area"


def test_a_sure_prediction_is_in_the_last_bin_of_the_calibration() -> None:
    outputs = np.array([[1.0, 0], [0.95, 0.05]])  # one wrong, one right, both from 14/15 to 1
    assert METRICS["calibration"].function(np.array([1, 0]), outputs) == pytest.approx((1 - 0.05) / 2)


def test_the_order_of_windows_does_not_matter_for_metrics_without_sums(predictions: Predictions, monkeypatch) -> None:
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS._entries))
    METRICS.register("bias", Metric("values", "windows", "bias"))(lambda truth, predicted: (predicted - truth).mean(0))
    frame = predictions(CLASSES, heads=["va"], subsets=["test"], subjects=20, videos=2, frames=10)
    by_person = pd.factorize(frame["subject"])[0] / 20  # so that all of the spread is between people
    frame["va_valence_predicted"] = frame["va_valence"] + by_person
    sorted_rows, mixed = (
        score(table, [VA], resamples=200)["test"]["va"]["bias_valence"]
        for table in (frame, frame.sample(frac=1, random_state=0))
    )
    standard_error = by_person.std() / np.sqrt(20)
    for found in (sorted_rows, mixed):
        assert found["value"] == pytest.approx(0.475)
        assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * standard_error, rel=0.2)


def test_a_subject_and_a_video_of_one_name_are_two_groups() -> None:
    frame = pd.DataFrame({"subject": ["ann", ""], "video": ["x", "ann"], "sequence": ["s", "t"]})
    codes, kind = resampling_groups(frame)
    assert (codes.tolist(), kind) == ([0, 1], "subject or video")


@pytest.mark.parametrize(
    ("subjects", "videos", "expected"),
    [(10, 1, (10, "subject")), (9, 2, (18, "video")), (3, 3, (9, "sequence")), (0, 0, (0, ""))],
)
def test_of_too_few_subjects_videos_are_resampled(
    predictions: Predictions, subjects: int, videos: int, expected: tuple
) -> None:
    frame = predictions(CLASSES, subsets=["test"], subjects=max(subjects, 1), videos=max(videos, 1), frames=2)
    codes, kind = fine_resampling_groups(frame if subjects else frame[:0])
    assert (len({*codes.tolist()}), kind) == expected


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    outputs = np.array([[0.8, 0.2]] * 10)
    labels = np.array([0] * 6 + [1] * 4)
    error = METRICS["calibration"].function(labels, outputs)
    assert error == pytest.approx(0.2)  # says 0.8, is right in 0.6


def test_a_metric_is_added_in_one_place_and_has_an_interval(predictions: Predictions, monkeypatch) -> None:
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS._entries))
    METRICS.register("mae", Metric("values", "windows", "MAE"))(
        lambda truth, predicted: np.abs(truth - predicted).mean(0)
    )
    frame = predictions(CLASSES, subsets=["test"], subjects=20)
    found = score(frame, HEADS)["test"]["va"]
    assert found["mae_valence"]["value"] == pytest.approx(
        reference.mean_absolute_error(frame["va_valence"], frame["va_valence_predicted"])
    )
    assert found["mae_mean"]["low"] < found["mae_mean"]["value"] < found["mae_mean"]["high"]
    assert titles(VA)["mae_mean"] == "mean MAE"
    for head in (VA, Head("pain", "values", ("pain",), 0, 10)):
        assert {name: title_of(name, titles(head)) for name in titles(head)} == titles(head)


def test_a_head_of_one_value_is_scored_under_the_same_names() -> None:
    pain = Head("pain", "values", ("pain",), 0, 10)
    found = measure(pain, np.array([[0.0], [5], [10]], np.float32), np.array([[1.0], [5], [9]]))
    assert found[main_metric(pain)] == pytest.approx(concordance([0, 5, 10], [1, 5, 9]))


def test_a_diverged_training_is_an_error_that_says_so(predictions: Predictions) -> None:
    frame = predictions(CLASSES)
    frame.loc[frame.index[-3:], "va_arousal_predicted"] = np.nan
    with pytest.raises(InputError, match="3 of 1,200 predictions of va are not finite, the first at frame 220 of"):
        score(frame, HEADS)
    frame = predictions(CLASSES, heads=["expression"])
    frame.loc[frame.index[:2], "expression_p_fear"] = [np.nan, np.inf]
    with pytest.raises(InputError, match="2 of 1,200 predictions of expression are not finite"):
        score(frame, [EXPRESSION])


def test_a_class_that_the_head_does_not_have_is_an_error(predictions: Predictions) -> None:
    with pytest.raises(InputError, match="'fear'; expression has happiness, sadness"):
        score(predictions(CLASSES), [Head("expression", "classes", CLASSES[:-1])])


def test_class_names_may_be_any_text() -> None:
    frame = pd.DataFrame({"mood": ["NA", "", "nan", None, "NA"]})
    assert truth_of(frame, Head("mood", "classes", ("nan", "NA"))).tolist() == [1, -1, 0, -1, 1]


def test_a_thousand_resamples_cost_no_loop(predictions: Predictions, monkeypatch) -> None:
    frame = predictions(CLASSES, subjects=200, videos=5, frames=20, subsets=["test"])
    calls = []
    original = METRICS["macro_f1"].function
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS._entries))
    monkeypatch.delitem(METRICS._entries, "macro_f1")
    METRICS.register("macro_f1", Metric("classes", "confusion", "macro F1"))(
        lambda m: (calls.append(m.shape), original(m))[1]
    )
    score(frame, HEADS, resamples=RESAMPLES)
    assert (RESAMPLES, 7, 7) in calls
    assert len(calls) == 2
