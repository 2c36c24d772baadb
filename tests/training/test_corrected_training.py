"""``train --corrections``: other labels for the marked stretches, and none for what is wrong."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from skelemo.cache.corrections import CORRECTIONS, Correction, add, undo
from skelemo.cache.shard import Header, write_shard
from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.data.corpus import load_corpus
from skelemo.data.corrected import correct
from skelemo.errors import ConfigError, InputError
from skelemo.report.comparison import compare
from skelemo.report.report import write_report
from skelemo.runs.folder import read_json, read_run
from skelemo.runs.predictions import truth_of
from skelemo.training.fit import train
from skelemo.training.validation import ValidationScorer


@pytest.fixture
def table(cache: Path) -> Path:
    return cache / CORRECTIONS


def truth(out: Path) -> pd.Series:
    run = read_run(out)
    names = run.predictions["video"].astype(str) + " " + run.predictions["frame"].astype(str)
    return pd.Series(truth_of(run.predictions, run.heads[0]), names)


def test_scores_count_corrected_labels_and_wrong_ones_not_at_all(cache, table, config, tmp_path):
    settings = {"split": "given", "arch": "logistic", "head": "expression", "optimizer": None, "model": {}}
    before = (train(config(**settings), tmp_path / "before"), truth(tmp_path / "before"))[1]
    last = sorted({name.split()[0] for name in before.index})[-2:]
    add(table, [
        Correction(last[0], "set", head="expression", value="neutral"),
        Correction(last[1], "wrong", first=3, last=5),
        Correction("nowhere", "wrong"),
        Correction(last[1], "unsure", first=900),
    ], author="ann")  # fmt: skip
    train(config(**settings, corrections=str(table)), tmp_path / "after")
    after = truth(tmp_path / "after")
    assert {after[name] for name in after.index if name.startswith(f"{last[0]} ")} == {2}
    rest = [name for name in before.index if not name.startswith((f"{last[0]} ", f"{last[1]} "))]
    assert (after[rest] == before[rest]).all()
    assert not [name for name in after.index if name.startswith(f"{last[1]} ")], "a clip is wrong as a whole"
    facts = read_json(tmp_path / "after" / "environment.json")["corrections"]
    assert {name: facts[name] for name in ("file", "count", "authors", "applied", "elsewhere", "unmatched")} == {
        "file": "corrections.csv", "count": 4, "authors": 1, "applied": 2, "elsewhere": 1, "unmatched": 1,
    }  # fmt: skip


def test_a_drawn_split_is_that_of_the_labels_before_they_were_corrected(cache, table, config, tmp_path):
    settings = {"split": "kfold:3", "validation": 0, "arch": "logistic", "head": "expression"}
    settings |= {"optimizer": None, "model": {}}
    train(config(**settings), tmp_path / "before")
    names = sorted(open_cache(cache).sequences["video"])
    add(table, [Correction(name, "wrong") for name in names[:2]], author="ann")
    add(table, [Correction(names[2], "set", head="expression", value="sadness")], author="ann")
    train(config(**settings, corrections=str(table)), tmp_path / "after")
    before, after = (read_json(tmp_path / name / "splits.json")["folds"] for name in ("before", "after"))
    assert before == after
    search = ValidationScorer(config(**settings | {"validation": 0.2}, corrections=str(table)), 2)
    train(config(**settings | {"validation": 0.2}), tmp_path / "validated")
    drawn = read_json(tmp_path / "validated" / "splits.json")["folds"][1]
    assert (search.fold.train, search.fold.validation) == (tuple(drawn["train"]), tuple(drawn["validation"]))
    assert not truth(tmp_path / "after").index.str.startswith(tuple(f"{name} " for name in names[:2])).any()


def test_the_report_says_whose_corrections_and_compares_no_run_with_other_labels(cache, table, config, tmp_path):
    settings = {"split": "given", "arch": "logistic", "head": "expression", "optimizer": None, "model": {}}
    add(table, [Correction("clip14", "unsure")], author="ann")
    add(table, [Correction("clip13", "unsure")], author="ben")
    train(config(**settings), tmp_path / "plain")
    train(config(**settings, corrections=str(table)), tmp_path / "corrected")
    assert len(compare([read_run(tmp_path / name) for name in ("plain", "corrected")])) == 2
    write_report([tmp_path / "corrected"], tmp_path / "report")
    for name in ("report.md", "report.html"):
        text = (tmp_path / "report" / name).read_text().replace("\\", "")
        assert "2 corrections by 2 authors (corrections.csv, hash " in text


def test_stretches_of_frames_are_corrected_in_the_corpus_and_the_cache_stays(tmp_path, cache, table):
    from small_trainings import HEADS, separable_sequence  # type: ignore[import-not-found]

    folder = tmp_path / "frames"
    folder.mkdir()
    one = separable_sequence(0)
    one.labels["expression"][6:] = 1
    write_shard(folder, Header("body_25", HEADS), [one])
    opened = open_cache(folder)
    made = add(folder / CORRECTIONS, [
        Correction("clip0", "set", first=2, last=3, head="expression", value="neutral"),
        Correction("clip0", "set", first=3, last=4, head="va", value="- 0.25"),
        Correction("clip0", "wrong", first=10, head="expression"),
    ])  # fmt: skip
    from skelemo.cache.corrections import read_corrections

    corpus = load_corpus(opened)
    changed, facts = correct(corpus, opened, read_corrections(folder / CORRECTIONS))
    assert changed.labels["expression"].tolist() == [0, 0, 2, 2, 0, 0, 1, 1, 1, 1, -1, -1]
    assert corpus.labels["expression"].tolist() == [0] * 6 + [1] * 6
    assert facts["applied"] == 3
    va = np.full((12, 2), (-0.5, 0.5), np.float32)
    va[:, 1] = 0.25  # valence and arousal of this clip are one pair: it is corrected as a whole
    np.testing.assert_array_equal(changed.labels["va"].numpy(), va)
    undo(folder / CORRECTIONS, [made[0].id])
    changed, _ = correct(corpus, opened, read_corrections(folder / CORRECTIONS))
    assert changed.labels["expression"].tolist() == [0] * 6 + [1] * 4 + [-1] * 2


def test_tracks_are_for_ingest_and_training_says_so(cache, table, config, tmp_path):
    add(table, [Correction("clip1", "swap", "0", 3, value="1")])
    with pytest.raises(InputError, match="was ingested: ingest again with --corrections"):
        train(config(corrections=str(table)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_is_not_resumed_with_other_corrections(cache, table, config, tmp_path):
    row = add(table, [Correction("clip14", "unsure")])[0]
    settings = config(split="given", epochs=1, corrections=str(table))
    train(settings, tmp_path / "out")
    (tmp_path / "out" / "scores.json").unlink()
    undo(table, [row.id])
    with pytest.raises(ConfigError, match="the corrections have changed"):
        train(settings, tmp_path / "out", resume=True)


def test_the_command_prints_the_corrections(cache, table, tmp_path):
    add(table, [Correction("clip14", "unsure")], author="ann")
    words = ["train", "--arch", "logistic", "--data", str(cache), "--head", "expression", "--set", "split=given"]
    done = CliRunner().invoke(main, [*words, "--corrections", str(table), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "\nlabels were corrected: 1 correction by 1 author (corrections.csv, hash " in done.output
    done = CliRunner().invoke(main, [*words, "--corrections", "nothing.csv", "--out", str(tmp_path / "no")])
    assert (done.exit_code, done.stderr) == (
        2,
        "Error: nothing.csv: no such correction table; skelemo view creates it\n",
    )
