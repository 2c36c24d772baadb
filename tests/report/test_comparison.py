from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as reference

from skelemo.evaluation.circumplex import READING
from skelemo.report.comparison import compare, differing_settings, estimate_in, shared_settings
from skelemo.report.describe import choice, chosen_epochs, split_name, subset_sizes
from skelemo.report.ensemble import fuse
from skelemo.runs.folder import Run, read_run
from skelemo.targets import EXPRESSION, VA

Make = Callable[..., Run]


@pytest.fixture
def run(tmp_path: Path, run_folder: Callable[..., Path]) -> Make:
    """A run of the given make, read back; small, and named by its number."""

    def make(**options: object) -> Run:
        size = {"subjects": 4, "videos": 2, "frames": 4, "epochs": 6}
        return read_run(run_folder(tmp_path / f"run {len(list(tmp_path.iterdir()))}", **size | options))

    return make


def test_runs_that_differ_only_in_the_seed_are_one_entry_with_mean_and_deviation(run: Make) -> None:
    runs = [run(seed=seed) for seed in (1, 2)]
    runs.append(run(seed=3, settings={"data": ["/another/machine/actors"], "importance": 0}))
    (comparison,) = compare(runs)
    (entry,) = comparison.entries
    estimate = entry.estimate("expression", "macro_f1")
    values = [each.shown["expression"]["macro_f1"]["value"] for each in runs]
    assert estimate.value == pytest.approx(np.mean(values))
    assert estimate.sd == pytest.approx(np.std(values, ddof=1))
    assert estimate.spread == f"± {np.std(values, ddof=1):.3f}, 3 seeds"


def test_the_table_is_the_papers_architecture_by_optimizer(run: Make) -> None:
    runs = [run(arch="ann", optimizer="adam"), run(arch="ann", optimizer="sgd"), run(arch="resnet18", optimizer="adam")]
    runs.append(run(arch="svm", optimizer=None))
    (comparison,) = compare(runs)
    table = comparison.paper_table(EXPRESSION)
    assert table.optimizers == ("SGD", "Adam", "no optimizer")
    assert [label for label, _ in table.rows] == ["ann", "resnet18", "svm"]
    values = [[estimate and estimate.value for estimate in row] for _, row in table.rows]
    figures = [each.shown["expression"]["macro_f1"]["value"] for each in runs]
    assert values == [[figures[1], figures[0], None], [None, figures[2], None], [None, None, figures[3]]]
    assert table.best == max(figures)


def test_entries_with_one_optimizer_are_labeled_by_differing_settings(run: Make) -> None:
    runs = [run(settings={"model": {"streams": [name]}}) for name in ("joint", "bone")]
    runs += [run(optimizer="sgd", settings={"lr": 0.1, "model": {"streams": ["joint"]}})]
    table = compare(runs)[0].paper_table(VA)
    assert [label for label, _ in table.rows] == ["ann · streams joint", "ann · streams bone"]
    assert [estimate is None for estimate in table.rows[0][1]] == [False, False]  # lr differs between optimizers only


def test_runs_with_one_head_each_have_short_labels(run: Make) -> None:
    (comparison,) = compare([run(heads=["expression"]), run(heads=["va"])])
    assert [label for head in comparison.heads for label, _ in comparison.labeled(head)] == ["ann", "ann"]


def test_only_runs_scored_on_the_same_windows_are_compared(run: Make) -> None:
    runs = [run(), run(caches=["cache/other"]), run(folds=2), run(subsets=["validation"]), run(simulated=False), run()]
    names = [[each.name for each in comparison.runs] for comparison in compare(runs)]
    assert names == [[runs[0].name, runs[5].name], *([each.name] for each in runs[1:5])]


def test_scores_on_the_validation_subset_of_a_given_split_are_compared_separately(run: Make) -> None:
    plain, scored = run(), run(settings={"given_validation": "score"})
    assert len(compare([plain, scored])) == 2
    assert "its validation subset is scored as the test subset" in split_name(scored)


def test_a_mean_over_seeds_needs_a_score_of_each(run: Make) -> None:
    runs = [run(seed=seed) for seed in (1, 2)]
    runs[1].scores["test"]["expression"]["macro_f1"]["value"] = None  # type: ignore[index]  # a single class
    (entry,) = compare(runs)[0].entries
    assert entry.estimate("expression", "macro_f1") is None
    assert entry.estimate("expression", "uar") is not None


def test_of_several_seeds_in_a_run_the_mean_is_shown_beside_the_mean_prediction() -> None:
    scored = {
        "ccc_mean": {"value": 0.6, "low": 0.5, "high": 0.7},
        "rmse_mean": {"value": 0.2},
        "seed_mean": {"ccc_mean": {"mean": 0.5, "sd": 0.05}, "rmse_mean": {"mean": None, "sd": None}},
        "seeds": {"0": {}, "1": {}, "2": {}},
    }
    found = estimate_in(scored, "ccc_mean")
    assert (found.value, found.sd, found.together, found.low) == (0.5, 0.05, 0.6, None)
    assert (found.spread, found.further) == ("± 0.050, 3 seeds", "together 0.600")
    assert estimate_in(scored, "rmse_mean") is None
    assert estimate_in(scored, "pearson_mean") is None


def test_the_best_run_of_a_class_is_marked_unless_none_finds_it(run: Make) -> None:
    runs = [run(seed=seed) for seed in (1, 2)]
    for one, figures in zip(runs, ((0.25, 0), (0.5, 0)), strict=True):
        for name, f1 in zip(("anger", "fear"), figures, strict=True):
            one.scores["test"]["expression"]["per_class"][name]["f1"] = f1  # type: ignore[index]
    (comparison,) = compare(runs)
    assert comparison.best_f1(EXPRESSION, "anger") == 0.5
    assert comparison.best_f1(EXPRESSION, "fear") is None
    assert compare(runs[:1])[0].best_f1(EXPRESSION, "anger") is None


@pytest.mark.parametrize(
    ("note", "used"),
    [
        ("overlap: 2 subjects (e.g. 'ann') were in the training or validation subset of a; the scores are", "partly"),
        ("a: no splits.json; the training data are unknown and may include these", "possibly"),
        ("va: range [0, 1] in the run, [-1, 1] in these data", "not"),
    ],
)
def test_a_report_does_not_call_data_unseen_that_a_run_was_trained_on(run: Make, note: str, used: str) -> None:
    one = run()
    made = {"name": "a", "arch": "ann", "data": ["own"], "weights_sha256": []}
    one.environment["evaluation"] = {"runs": [made], "notes": [note]}  # type: ignore[index]  # read from JSON
    assert choice(one) == (
        "An evaluation of a (ann, trained on own) on other data, actors, "
        f"which were {used} used for training or model selection."
    )
    assert split_name(one).endswith(f"they were {used} used for training or model selection")
    title = compare([one])[0].title
    assert title == ("actors, not used to train any run" if used == "not" else
                     f"actors, {used} used for training ({one.name})")  # fmt: skip


def test_a_choice_of_the_checkpoint_is_described_as_it_was_made(run: Make) -> None:
    assert choice(run()) == (
        "The checkpoint with the highest mean of macro F1 and mean CCC on the validation subset; the test subset was "
        "scored once."
    )
    assert choice(run(heads=["va"], subsets=["validation"])).endswith(
        "on the validation subset, the subset shown here."
    )
    without = run().metrics.drop(columns="validation_expression_macro_f1")  # a single class
    assert "with the highest mean CCC on" in choice(replace(run(), metrics=without))
    without = without.drop(columns="validation_va_ccc_mean")
    assert "with the lowest loss on" in choice(replace(run(), metrics=without))
    mapped = run(settings={"neutral_radius": 0.2})
    heads = [*mapped.environment["heads"], READING.to_json()]
    assert choice(replace(mapped, environment={**mapped.environment, "heads": heads})) == choice(run())
    fitted = run(settings={"fit_windows": 20_000})
    fitted.metrics.drop(fitted.metrics.index, inplace=True)
    assert choice(fitted) == "Not trained iteratively; fitted on at most 20,000 windows."
    last = run()
    last.splits["folds"][0]["validation"] = []
    assert choice(last).startswith("Last epoch's weights: there is no validation subset")


@pytest.mark.parametrize(
    ("split", "text"),
    [
        ("given", "as given with the labels; no subject crosses subsets"),
        (
            "loso",
            "one fold per subject, those in one recording together; the test subsets of all folds are pooled; no "
            "subject crosses subsets",
        ),
        ("holdout:0.2", "0.2 held out as the test subset, drawn by seed; no subject crosses subsets"),
        ("own:x", "own:x; no subject crosses subsets"),
    ],
)
def test_a_split_is_described_by_its_kind(run: Make, split: str, text: str) -> None:
    assert split_name(run(settings={"split": split})) == text


def test_sizes_that_differ_between_folds_are_a_range(run: Make) -> None:
    one = run(folds=2)
    one.splits["folds"][1]["test"] = ["a"]
    assert subset_sizes(one) == "60 train, 8 validation, 1 to 8 test, in each of 2 folds"
    one.splits["folds"][1]["validation"] = []
    assert "0 to 8 validation" in subset_sizes(one)


@pytest.mark.parametrize("cache_hash", ["", None])
def test_data_without_a_hash_are_compared_by_name(run: Make, cache_hash: str | None) -> None:
    one, other = run(), run(caches=["cache/other"])
    for each in (one, other):
        each.environment["cache_hash"] = cache_hash  # type: ignore[index]  # read from JSON, so a dict
    assert len(compare([one, other])) == 2


def test_a_comparison_notes_whether_the_windows_are_the_same(run: Make) -> None:
    one, same, fewer = run(), run(arch="resnet18"), run(arch="stgcn", frames=3)
    assert compare([one])[0].comparability(VA) == ""
    assert compare([one, same])[0].comparability(VA) == "All runs are scored on the same windows."
    assert "same sequences, but not on the same windows" in compare([one, fewer])[0].comparability(EXPRESSION)
    assert "different sequences" in compare([one, run(subjects=3, arch="other")])[0].comparability(VA)


def test_a_comparison_names_transductive_runs(run: Make) -> None:
    plain, known = run(), run(settings={"calibrate": "track"})
    assert compare([plain])[0].transductive(VA) == ""
    assert compare([plain, known])[0].transductive(VA) == (
        f"{known.name} is calibrated to the person: it has seen unlabeled clips of the test subjects "
        "(transductive), unlike the other runs."
    )
    assert compare([known])[0].transductive(VA).endswith("(transductive).")


def test_corrected_labels_are_noted_in_the_title(run: Make) -> None:
    plain, corrected = run(), run()
    made = {"file": "corrections.csv", "sha256": "0" * 64, "count": 2, "authors": 1}
    corrected.environment["corrections"] = made  # type: ignore[index]  # read from JSON, so a dict
    before, after = compare([plain, corrected])
    assert after.title == f"{before.title}, labels corrected"
    assert after.facts()["Corrections"].startswith("2 corrections by 1 author (")


def test_the_same_windows_in_other_folds_are_not_called_different_sequences(run: Make) -> None:
    one, other = run(folds=3), run(folds=3, arch="resnet18")
    other.predictions["fold"] = other.predictions["fold"] % 3 + 1
    text = compare([one, other])[0].comparability(VA)
    assert text == "All runs are scored on the same windows, but divided into different folds."


def test_windows_without_a_label_for_a_head_do_not_count_against_comparing_it(run: Make) -> None:
    one, other = run(), run(arch="resnet18")
    other.predictions["expression"] = other.predictions["expression"].astype(object)
    other.predictions.loc[::3, "expression"] = ""
    (comparison,) = compare([one, other])
    assert comparison.comparability(VA) == "All runs are scored on the same windows."
    assert "not on the same windows" in comparison.comparability(EXPRESSION)


def test_scores_on_validation_are_labeled_as_such(run: Make) -> None:
    (comparison,) = compare([run(subsets=["validation"])])
    assert comparison.subset == "validation"
    assert "the scores are optimistic" in comparison.caution
    assert compare([run()])[0].caution == ""


def test_the_figure_to_beat_is_that_of_always_saying_the_most_frequent_class(run: Make) -> None:
    one = run(subjects=12)
    name, figures = compare([one])[0].most_frequent(EXPRESSION)
    frame = one.windows
    truth = frame["expression"].astype(str)
    assert name == truth.mode()[0]
    always = [name] * len(truth)
    assert figures["accuracy"] == pytest.approx(reference.accuracy_score(truth, always))
    assert figures["uar"] == pytest.approx(reference.balanced_accuracy_score(truth, always))
    f1 = reference.f1_score(truth, always, average="macro", labels=truth.unique(), zero_division=0)
    assert figures["macro_f1"] == pytest.approx(f1)


def test_an_ensemble_is_compared_with_its_runs(run: Make) -> None:
    runs = [run(seed=1), run(seed=2, optimizer="sgd")]
    (comparison,) = compare([*runs, fuse(runs)])
    assert [label for label, _ in comparison.paper_table(VA).rows] == ["ann", "ensemble of 2"]
    assert choice(comparison.runs[-1]) == f"The mean of the predictions of {runs[0].name}, {runs[1].name}."


def test_settings_are_sorted_into_differing_and_shared(run: Make) -> None:
    runs = [run(settings={"lr": 0.1, "model": {"width": 64}}), run(settings={"lr": 1e-05, "model": {"width": 128}})]
    differing = differing_settings(runs)
    assert differing == {"lr": ("0.1", "1e-05"), "model.width": ("64", "128")}
    assert shared_settings(runs)["optimizer"] == "adam"
    assert "lr" not in shared_settings(runs)


def test_the_chosen_epoch_is_the_best_of_each_fold(run: Make) -> None:
    one = run(folds=3)
    for fold, epoch in chosen_epochs(one).items():
        rows = one.metrics[one.metrics["fold"] == fold]
        assert rows.set_index("epoch")["validation_score"].idxmax() == epoch
    by_loss = run(settings={"monitor": "loss"})
    table = by_loss.metrics.set_index("epoch")["validation_loss"]
    assert chosen_epochs(by_loss) == {1: table.idxmin()}
    assert "lowest loss on the validation subset; the test subset was scored once" in choice(by_loss)


def test_split_and_sizes_as_text(run: Make) -> None:
    folds = run(folds=2)
    assert (
        split_name(folds)
        == "2-fold, drawn by seed; the test subsets of all folds are pooled; no subject crosses subsets"
    )
    assert subset_sizes(folds) == "60 train, 8 validation, 8 test, in each of 2 folds"
    assert split_name(run(settings={"split": "given:fold_1"})).startswith("as given with the labels, column fold_1;")
