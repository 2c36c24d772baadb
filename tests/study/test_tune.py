"""A search: judged by validation alone, goes on where it was killed, ends with settings that train takes."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta

import numpy as np
import optuna
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from small_caches import BODY, a_cache, a_sequence

from skelemo.cache.corrections import Correction, add
from skelemo.cli import main
from skelemo.errors import ConfigError, InputError
from skelemo.runs.folder import read_run
from skelemo.study import tune as tune_room
from skelemo.study.space import read_search
from skelemo.study.tune import tune
from skelemo.training import predicting
from skelemo.training.config import load_config
from skelemo.training.validation import ValidationScorer

SUBSETS = ["train"] * 6 + ["validation"] * 4 + ["test"] * 4


def sequences(test_class=None, seed=0):
    """Clips whose wrist says their class; the test subset's classes and points can be spoiled."""
    made = []
    for i, subset in enumerate(SUBSETS):
        label = i % 3
        spoiled = subset == "test" and test_class is not None
        one = a_sequence(
            f"v{i}", 16, seed=seed if spoiled else 0, expression=np.full(16, label), splits={"split": subset}
        )
        one.keypoints[:, 4] = (100 + 90 * label, 50, 1)
        if spoiled:
            one.labels["expression"][:] = test_class
            one.labels["va"][:] = np.nan
            one.keypoints[:, 4, 0] = 7
        made.append(one)
    return made


@pytest.fixture
def cache(tmp_path):
    return a_cache(tmp_path / "cache", *sequences(), header=BODY)


def a_search(tmp_path, cache, base=None, **content):
    settings = {
        "data": str(cache),
        "epochs": 2,
        "device": "cpu",
        "head": "expression",
        "batch_size": 32,
        "parts": "all",
    }
    settings |= base or {}
    file = tmp_path / "search.yaml"
    space = {"lr": {"low": 1e-4, "high": 0.1, "log": True}, "model.width": {"low": 8, "high": 16}}
    file.write_text(yaml.safe_dump({"base": settings, "space": space, "trials": 3, **content}, sort_keys=False))
    return file


def scores(found):
    return {trial.number: (trial.params, trial.value) for trial in found.trials("COMPLETE")}


def test_the_best_settings_train_and_their_run_has_the_score_that_the_search_found(tmp_path, cache):
    file, out = a_search(tmp_path, cache), tmp_path / "out"
    ended = CliRunner().invoke(main, ["tune", str(file), "--out", str(out)])
    assert ended.exit_code == 0, ended.output
    assert "3 scored" in ended.output
    left = {path.name for path in out.iterdir() if not path.name.endswith(".lock")}
    assert left == {"best.yaml", "search.html", "trials.csv", "failures.json", "trials.journal"}
    table = pd.read_csv(out / "trials.csv")
    assert len(table) == 3
    run = tmp_path / "run"
    trained = CliRunner().invoke(main, ["train", "--config", str(out / "best.yaml"), "--out", str(run)])
    assert trained.exit_code == 0, trained.output
    own = read_run(run).scores["validation"]["expression"]["macro_f1"]["value"]
    assert own == pytest.approx(table["score"].max())
    page = (out / "search.html").read_text()
    assert page.count("<svg") >= 2
    assert "model.width" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_what_the_test_subset_holds_changes_nothing_and_it_is_never_predicted(tmp_path, monkeypatch):
    subsets = set()
    told = predicting.window_columns
    monkeypatch.setattr(predicting, "window_columns", lambda *a, **k: subsets.add(k["subset"]) or told(*a, **k))
    each = []
    for name, spoiled in (("whole", None), ("garbage", 2), ("unlabeled", -1)):
        folder = a_cache(tmp_path / name / "cache", *sequences(spoiled, seed=9), header=BODY)
        file = a_search(tmp_path / name, folder)
        each.append(scores(tune(read_search(file), tmp_path / name / "out")))
    assert each[0] == each[1] == each[2]
    assert len(each[0]) == 3
    assert subsets == {"validation"}


def test_the_test_subset_is_erased_before_anything_is_trained(tmp_path, cache):
    settings = yaml.safe_load(a_search(tmp_path, cache).read_text())["base"]
    scorer = ValidationScorer(load_config(None, settings | {"split": "holdout:0.3"}))
    corpus = scorer._last[1]
    left = {*scorer.fold.train, *scorer.fold.validation}
    assert 0 < len(left) < 14
    several = load_config(None, settings | {"devices": 4})
    assert scorer.job(several, tmp_path).config.devices == 1
    labels, seen = corpus.labels["expression"].numpy(), corpus.seen.numpy()
    for row in corpus.sequences.itertuples():
        here = slice(row.start, row.start + row.length)
        assert (labels[here] >= 0).all() == seen[here].all() == (row.id in left)
        assert corpus.keypoints[here].any() == (row.id in left)


def test_the_grid_tries_every_combination_once(tmp_path, cache):
    space = {"optimizer": ["adam", "sgd"], "rate": [{"lr": 0.01, "schedule": "cosine"}, {"lr": 0.001}]}
    found = tune(read_search(a_search(tmp_path, cache, space=space, sampler="grid", trials=4)), tmp_path / "out")
    tried = {(t.params["optimizer"], t.params["rate"]) for t in found.trials("COMPLETE")}
    assert len(found.trials("COMPLETE", "FAIL", "PRUNED")) == len(tried) == 4
    best = yaml.safe_load((tmp_path / "out" / "best.yaml").read_text())
    assert "rate" not in best
    assert best["lr"] in (0.01, 0.001)


def test_a_failed_trial_is_kept_apart_with_its_reason(tmp_path, cache):
    file = a_search(tmp_path, cache, space={"warmup": [0, 500]}, sampler="grid")
    ended = CliRunner().invoke(main, ["tune", str(file), "--out", str(tmp_path / "out")])
    assert ended.exit_code == 0, ended.output
    assert "1 scored, 1 failed" in ended.output
    assert "warmup is 500 steps, but the training has only" in (tmp_path / "out" / "failures.json").read_text()


def test_a_trial_behind_the_median_is_ended_early(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(tune_room, "_UNPRUNED", 1)
    space = {"lr": [1e-7, 0.03]}
    base = {"epochs": 6, "patience": 0, "seed": 1}
    file = a_search(tmp_path, cache, base, space=space, sampler="grid", prune_after=2)
    found = tune(read_search(file), tmp_path / "out")
    (early,) = found.trials("PRUNED")
    assert early.params["lr"] == 1e-7
    assert max(early.intermediate_values) < 5
    assert not list((tmp_path / "out").glob("**/*.ckpt"))


HANGING = """
import sys, time
from skelemo.cli import main
from skelemo.study import tune

at_end = tune._Watch.on_train_epoch_end
tune._Watch.on_train_epoch_end = lambda self, *a: time.sleep(600) if self.trial.number == 1 else at_end(self, *a)
main(sys.argv[1:])
"""


@pytest.mark.parametrize("sampler", ["tpe", "grid"])
def test_a_killed_search_resumes_and_replaces_its_trial(tmp_path, cache, sampler):
    space = {"lr": [0.1, 0.03, 0.01]} if sampler == "grid" else {"lr": {"low": 1e-4, "high": 0.1, "log": True}}
    file, out = a_search(tmp_path, cache, sampler=sampler, space=space), tmp_path / "out"
    words = [sys.executable, "-c", HANGING, "tune", str(file), "--out", str(out)]
    killed = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    journal = out / "trials.journal"
    for _ in range(3600):  # a busy machine takes a minute to start
        if killed.poll() is not None or (journal.exists() and journal.read_text().count('"owner"') == 2):
            break
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    found = tune(read_search(file), out)
    assert [trial.state.name for trial in found.study.trials] == ["COMPLETE", "RUNNING", "COMPLETE", "COMPLETE"]
    assert "3 scored" in found.summary
    if sampler == "grid":
        assert {trial.params["lr"] for trial in found.trials("COMPLETE")} == {0.1, 0.03, 0.01}


def test_the_same_command_adds_nothing_and_more_trials_go_on_from_there(tmp_path, cache):
    file, out = a_search(tmp_path, cache), tmp_path / "out"
    first = scores(tune(read_search(file), out))
    assert scores(tune(read_search(file), out)) == first
    more = scores(tune(read_search(file, trials=4), out, keep=True))
    assert len(more) == 4
    assert first.items() <= more.items()
    assert (out / "trials" / "3" / "checkpoints" / "best.ckpt").exists()


def test_ctrl_c_is_a_line_and_the_trial_is_replaced_the_next_time(tmp_path, cache, monkeypatch):
    file, out = a_search(tmp_path, cache), tmp_path / "out"

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(tune_room._Watch, "on_train_epoch_end", stop)
        ended = CliRunner().invoke(main, ["tune", str(file), "--out", str(out)])
    assert ended.exit_code == 130
    assert "resume" in ended.output
    found = tune(read_search(file), out)
    assert [trial.state.name for trial in found.study.trials] == ["RUNNING", "COMPLETE", "COMPLETE", "COMPLETE"]


def test_a_trial_that_a_process_has_created_but_not_claimed_counts_as_begun_for_a_moment(tmp_path, cache, monkeypatch):
    found = tune(read_search(a_search(tmp_path, cache), trials=1), tmp_path / "out")
    found.study.ask()
    assert found.begun() == {0, 1}
    monkeypatch.setattr(tune_room, "_CLAIMED_WITHIN", timedelta(0))
    assert found.begun() == {0}


def test_two_processes_share_a_database_and_a_search_of_others_is_refused(tmp_path, cache):
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    file = a_search(tmp_path, cache)
    tune(read_search(file, trials=1), tmp_path / "one", storage=url)
    found = tune(read_search(file), tmp_path / "two", storage=url)
    assert len(found.trials("COMPLETE")) == 3
    assert len({trial.params["lr"] for trial in found.trials("COMPLETE")}) == 3
    with pytest.raises(ConfigError, match="with other settings"):
        tune(read_search(file, {"epochs": 3}), tmp_path / "three", storage=url)
    table = tmp_path / "corrections.csv"
    add(table, [Correction("v0", "wrong")], author="ann")
    with pytest.raises(ConfigError, match="with other data, corrections or split"):
        tune(read_search(file, {"corrections": str(table)}), tmp_path / "three", storage=url)
    with pytest.raises(ConfigError, match="nowhere://…") as error:
        tune(read_search(file), tmp_path / "four", storage="nowhere://me:secret@host/db")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"space": {}}, "expected space"),
        ({"space": {"lr": {"low": 1, "top": 2}}}, "unknown entry 'top'; a range has low and high"),
        ({"space": {"lr": []}}, "expected a list of values, or a range"),
        ({"space": {"lr": {"low": 0.1, "high": 0.01}}}, "expected low below high"),
        ({"space": {"lr": {"low": 0.0, "high": 0.1, "log": True}}}, "log only above 0"),
        ({"space": {"lr": {"low": "1e-4", "high": 0.1}}}, "write 1.0e-4"),
        ({"space": {"epochs": {"low": 1.5, "high": 3.0}}}, "expected whole numbers"),
        ({"space": {"seed": [1, 2]}}, "seed cannot vary in a search"),
        ({"space": {"x": [{"split": "given"}]}}, "split cannot vary in a search"),
        ({"space": {"lr": {"low": 0.01, "high": 1000}}}, "with lr=1000: setting lr"),
        ({"space": {"lr": {"low": 0.01, "high": 1}}, "sampler": "grid"}, "a grid needs a list or a step for lr"),
        ({"sampler": "best"}, "expected tpe, random, grid"),
        ({"trials": 0}, "trials is 0"),
        ({"grid": {}}, "unknown entry 'grid'"),
    ],
)
def test_a_file_that_is_no_search_is_said_in_a_line(tmp_path, cache, content, said):
    with pytest.raises((ConfigError, InputError), match=said) as error:
        read_search(a_search(tmp_path, cache, **content))
    assert "\n" not in str(error.value)


def test_a_search_without_validation_or_of_a_fold_that_is_not_there_is_refused(tmp_path, cache):
    with pytest.raises(ConfigError, match="a search needs a validation subset"):
        tune(read_search(a_search(tmp_path, cache, {"split": "kfold:3", "validation": 0})), tmp_path / "out")
    with pytest.raises(ConfigError, match="fold = 2: expected 1 to 1"):
        tune(read_search(a_search(tmp_path, cache, fold=2)), tmp_path / "out")


def test_two_commands_at_once_on_one_storage_share_the_trials(tmp_path, cache):
    url, file = f"sqlite:///{tmp_path / 'shared.db'}", a_search(tmp_path, cache, trials=4)
    words = [sys.executable, "-m", "skelemo", "tune", str(file), "--storage", url, "--out"]
    started = [
        subprocess.Popen([*words, str(tmp_path / name)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for name in ("one", "two")
    ]
    for process in started:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    (name,) = optuna.get_all_study_names(url)
    trials = optuna.load_study(study_name=name, storage=url).trials
    assert [trial.number for trial in trials] == [*range(len(trials))]
    states = [trial.state.name for trial in trials]
    assert states[:4] == ["COMPLETE"] * 4, "none is lost, none left behind"
    assert set(states[4:]) <= {"RUNNING"}, "one begun at the same moment as the last is not trained"


@pytest.mark.parametrize("key", ["lr", "width", "model.width"])
def test_a_setting_that_varies_cannot_be_set_as_well(tmp_path, cache, key):
    with pytest.raises(ConfigError, match=rf"^--set {key}: .*search\.yaml varies .*; omit --set"):
        read_search(a_search(tmp_path, cache), {key: 8})


def test_a_damaged_journal_is_one_line_and_stays(tmp_path, cache):
    file, out = a_search(tmp_path, cache), tmp_path / "out"
    out.mkdir()
    (out / "trials.journal").write_text('{"op_code": 0, "worker_id"\n{}\n')
    ended = CliRunner().invoke(main, ["tune", str(file), "--out", str(out)])
    assert (ended.exit_code, ended.output.count("\n")) == (2, 1)
    assert "trials.journal cannot be opened as the storage of a search" in ended.output
    assert "choose another --out or --storage" in ended.output
    assert (out / "trials.journal").read_text().startswith('{"op_code": 0, "worker_id"\n')


def test_a_line_that_a_full_disk_cut_off_is_dropped(tmp_path, cache):
    search, out = read_search(a_search(tmp_path, cache, trials=2)), tmp_path / "out"
    before = scores(tune(search, out))
    journal = out / "trials.journal"
    journal.write_bytes(whole := journal.read_bytes() + b'{"op_code":8,"wor')
    assert scores(tune(search, out)) == before
    assert journal.read_bytes().startswith(whole.rpartition(b"{")[0])


def test_data_without_labels_are_one_line(tmp_path):
    clips = [a_sequence(f"v{i}", 4, labels={}) for i in range(3)]
    bare = a_cache(tmp_path / "bare", *clips, header=replace(BODY, heads=()))
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump({"arch": "ann", "data": str(bare), "device": "cpu"}))
    ended = CliRunner().invoke(main, ["train", "--config", str(settings), "--out", str(tmp_path / "out")])
    assert (ended.exit_code, ended.output.count("\n")) == (2, 1), ended.output
    assert f"{bare}: no labels: ingest with --labels" in ended.output
    assert not (tmp_path / "out").exists()
