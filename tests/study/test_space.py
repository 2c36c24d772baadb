"""The space of a search: what is tried, what counts as the same search, and where values lie on the page."""

import re
from types import SimpleNamespace

import optuna
import pytest
import yaml

from skelemo.errors import InputError
from skelemo.study import tune
from skelemo.study.space import Choices, Range, Search, read_search
from skelemo.study.tune import Found, importances
from skelemo.study.tune_page import _place, _ticks, html, table

BASE = {"data": "cache/one", "epochs": 2, "head": "expression"}


def a_search(folder, space, base=None, **content):
    file = folder / "search.yaml"
    file.write_text(yaml.safe_dump({"base": BASE | (base or {}), "space": space, **content}, sort_keys=False))
    return read_search(file)


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        (Range(0.1, 0.5, log=False, step=0.1, whole=False), [0.1, 0.2, 0.3, 0.4, 0.5]),
        (Range(0.0, 1.0, log=False, step=0.4, whole=False), [0.0, 0.4, 0.8]),
        (Range(1, 9, log=False, step=4, whole=True), [1, 5, 9]),
        (Range(3, 6, log=False, step=None, whole=True), [3, 4, 5, 6]),
        (Range(0.1, 0.5, log=False, step=None, whole=False), []),
        (Choices(("adam", "sgd")), ["adam", "sgd"]),
        (Choices((["joint"], {"lr": 0.1})), ['["joint"]', '{"lr": 0.1}']),
    ],
)
def test_a_grid_has_both_ends_of_a_range_and_every_step_between(axis, values):
    assert axis.grid() == pytest.approx(values) if isinstance(axis, Range) else axis.grid() == values


def test_trials_draw_from_the_ranges_of_the_file(tmp_path):
    space = {"lr": {"low": 1e-4, "high": 0.1, "log": True}, "batch_size": {"low": 32, "high": 128, "step": 32}}
    search = a_search(tmp_path, space | {"dropout": {"low": 0, "high": 1, "step": 0.25}}, {"arch": "ann"})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for _ in range(30):
        trial = study.ask()
        drawn = {name: axis.suggest(trial, name) for name, axis in search.space.items()}
        assert 1e-4 <= drawn["lr"] <= 0.1
        assert drawn["batch_size"] in (32, 64, 96, 128)
        assert isinstance(drawn["batch_size"], int)
        assert drawn["dropout"] in (0, 0.25, 0.5, 0.75, 1)
    kinds = trial.distributions
    assert kinds["lr"] == optuna.distributions.FloatDistribution(1e-4, 0.1, log=True)
    assert kinds["batch_size"] == optuna.distributions.IntDistribution(32, 128, step=32)


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("epochs", True),
        ("model.width", True),
        ("width", True),
        ("lr", False),
        ("weight_decay", False),
        ("loss_weight.expression", False),
        ("model.dropout", False),
    ],
)
def test_a_range_of_whole_numbers_is_continuous_for_settings_that_are(tmp_path, name, whole):
    """YAML reads 0 and 1 as integers, also where 0.5 is meant to be tried."""
    low = 1 if whole or name == "lr" else 0
    axis = a_search(tmp_path, {name: {"low": low, "high": low + 1}}, {"arch": "ann", "head": "both"}).space[name]
    assert axis.whole == whole


def test_settings_that_vary_together_are_one_choice(tmp_path):
    search = a_search(tmp_path, {"rate": [{"optimizer": "adam", "lr": 0.001}, {"optimizer": "sgd", "lr": 0.1}]})
    first, second = search.space["rate"].grid()
    assert search.settings({"rate": second}) == BASE | {"optimizer": "sgd", "lr": 0.1}
    assert search.text("rate", first) == "adam"


def test_a_search_moved_to_another_machine_is_the_same_and_another_space_is_not(tmp_path):
    space = {"lr": {"low": 0.001, "high": 0.1}}
    here = a_search(tmp_path, space)
    there = a_search(tmp_path, space, {"data": "/elsewhere/one", "device": "cpu"}, trials=7, title="again")
    assert here.identity == there.identity
    others = [
        a_search(tmp_path, {"lr": {"low": 0.001, "high": 0.2}}),
        a_search(tmp_path, space, {"epochs": 3}),
        a_search(tmp_path, space, sampler="random"),
        a_search(tmp_path, space, fold=2),
    ]
    assert len({here.identity, *(other.identity for other in others)}) == 5


def test_a_grid_tries_as_many_trials_as_it_has_cells_unless_fewer_are_given(tmp_path):
    space = {"lr": [0.1, 0.01], "epochs": {"low": 2, "high": 4}}
    assert a_search(tmp_path, space, sampler="grid").trials == 6
    assert a_search(tmp_path, space, sampler="grid", trials=4).trials == 4
    assert a_search(tmp_path, space, sampler="grid", trials=400).trials == 6
    file = tmp_path / "search.yaml"
    assert [read_search(file, trials=trials).trials for trials in (None, 3, 400)] == [6, 3, 6], "as --trials"
    assert a_search(tmp_path, space).trials == 50
    assert read_search(file, trials=400).trials == 400
    with pytest.raises(InputError, match="the grid has more than 10,000 trials"):
        a_search(tmp_path, {"seed_of": [{"lr": x / 1000} for x in range(1, 202)], "epochs": {"low": 1, "high": 50}},
                 sampler="grid")  # fmt: skip


def found(search, *trials):
    return Found(SimpleNamespace(get_trials=lambda deepcopy: list(trials)), search, None)


def test_a_value_lies_on_its_axis_by_order_or_by_logarithm(tmp_path):
    space = {
        "lr": {"low": 1e-4, "high": 1e-2, "log": True},
        "epochs": {"low": 2, "high": 10},
        "optimizer": ["adam", "sgd"],
    }
    made = found(a_search(tmp_path, space))
    assert [_place(made, "lr", x) for x in (1e-4, 1e-3, 1e-2)] == pytest.approx([0, 0.5, 1])
    assert [_place(made, "epochs", x) for x in (2, 4, 10)] == [0, 0.25, 1]
    assert _ticks(made, "optimizer") == [(0, "adam"), (1, "sgd")]
    assert _ticks(made, "lr") == [(0, "0.0001"), (1, "0.01")]


def test_the_table_has_a_row_for_each_trial_that_ended(tmp_path):
    def trial(number, state, value=None, **attrs):
        state = getattr(optuna.trial.TrialState, state)
        return SimpleNamespace(
            number=number, state=state, value=value, params={"lr": 0.01}, user_attrs=attrs, duration=None
        )

    trials = [
        trial(0, "COMPLETE", 0.5, figures={"va_ccc": 0.5}),
        trial(1, "PRUNED", 0.1),
        trial(2, "FAIL", reason="=no"),
    ]
    trials += [trial(3, "RUNNING"), trial(4, "RUNNING"), trial(5, "COMPLETE", 0.5)]
    made = found(a_search(tmp_path, {"lr": [0.01, 0.1]}), *trials)
    rows = table(made).set_index("trial")
    assert rows["ended"].to_dict() == {0: "scored", 5: "scored", 1: "ended early", 2: "failed"}
    assert rows["score"].dropna().to_dict() == {0: 0.5, 5: 0.5}, "a pruned trial has no score"
    assert rows.loc[2, "reason"] == "'=no", "no formula for a spreadsheet"
    assert rows.loc[0, "validation_va_ccc"] == 0.5
    assert made.best.number == 0, "the first of equals"
    assert made.summary == "2 scored, 1 ended early, 1 failed"
    assert made.failures == {"2": "=no"}


def test_a_trial_counts_when_it_has_ended_or_runs_in_another_living_process(monkeypatch):
    monkeypatch.setattr(tune, "lives", lambda name: name == "alive")
    monkeypatch.setattr(tune, "owner", lambda: "here")

    def trial(number, state, owner, **system):
        state = getattr(optuna.trial.TrialState, state)
        return SimpleNamespace(number=number, state=state, user_attrs={"owner": owner}, system_attrs=system)

    ended = [trial(0, "COMPLETE", "dead"), trial(1, "PRUNED", "here"), trial(2, "FAIL", "elsewhere")]
    running = [trial(3, "RUNNING", "alive"), trial(4, "RUNNING", "dead"), trial(5, "RUNNING", "here")]
    made = found(None, *ended, *running)
    assert made.begun() == {0, 1, 2, 3}
    assert made.begun(before=3) == {0, 1, 2}
    made = found(None, *(trial(number, "COMPLETE", "dead", grid_id=cell) for number, cell in enumerate((2, 0, 2))))
    assert made.begun() == {0, 2}, "cells of a grid"


def test_the_page_has_the_best_trial_first_and_what_explains_the_scores():
    axes = {"lr": Range(1e-4, 0.1, log=True, step=None, whole=False), "optimizer": Choices(("adam", "<sgd>"))}
    search = Search("mine & yours", BASE, axes, "random", 9, "median", 5, 1, 0)
    study = optuna.create_study(direction="maximize")
    kinds = {
        "lr": optuna.distributions.FloatDistribution(1e-4, 0.1, log=True),
        "optimizer": optuna.distributions.CategoricalDistribution(["adam", "<sgd>"]),
    }
    for number, value in enumerate((0.25, 0.5, 0.875, 0.75, 0.125, 0.375)):
        params = {"lr": 10 ** (-4 + number / 2), "optimizer": ("adam", "<sgd>")[number % 2]}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=kinds, value=value))
    failed = {"reason": "no <b>memory</b>"}
    study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL, user_attrs=failed))
    fold = SimpleNamespace(train=["a", "b"], validation=["c"])
    config = SimpleNamespace(heads=("va",), split="holdout:0.3")
    cache = SimpleNamespace(name="actors", simulated=True)
    page = html(
        Found(study, search, SimpleNamespace(cache=cache, fold=fold, folds=[fold] * 2, number=2, config=config))
    )
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(?:<strong>)?(.*?)(?:</strong>)?</dd>", page))
    assert facts["Best score"] == "0.875 (trial 2)"
    assert (facts["lr"], facts["optimizer"]) == ("0.001", "adam")
    assert facts["Split"] == "holdout:0.3, fold 2 of 2; 2 sequences to train on, 1 to validate"
    assert facts["Pruning"] == "median of 5 epochs or more"
    assert facts["trial 6"] == "no &lt;b&gt;memory&lt;/b&gt;"
    assert re.findall(r'<tr><th scope="row">(\d)</th><td>([\d.]+)</td>', page) == [
        *(("2", "0.875"), ("3", "0.750"), ("1", "0.500"), ("5", "0.375"), ("0", "0.250"), ("4", "0.125"))
    ]
    assert page.count("<svg") == 3
    assert "Share of the variance of scores explained by each setting" in page
    assert "Simulated data." in page
    assert "mine &amp; yours" in page
    weights = importances(Found(study, search, None))
    assert set(weights) == {"lr", "optimizer"}
    assert sum(weights.values()) == pytest.approx(1)
    few = Found(SimpleNamespace(get_trials=lambda deepcopy: study.trials[:3]), search, None)
    assert importances(few) == {}
