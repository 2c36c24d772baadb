"""People who differ more than emotions change them: calibrated models do better, and are not used where it costs."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import skelemo
from skelemo.cache.sequence import Sequence
from skelemo.cache.shard import Header, write_shard
from skelemo.cache.store import open_cache
from skelemo.data import calibration
from skelemo.data.corpus import load_corpus
from skelemo.errors import ConfigError
from skelemo.inference.export.exporting import export_model
from skelemo.inference.keypoints import ReadOptions
from skelemo.inference.prediction import Request, predict_file
from skelemo.inference.scoring.evaluate import evaluate
from skelemo.inference.table import Options
from skelemo.report.describe import choices
from skelemo.runs.folder import read_json, read_run
from skelemo.targets import Head
from skelemo.training.config import load_config
from skelemo.training.fit import train

MOOD = Head("mood", "classes", ("low", "middle", "high"))
STANCE = np.random.default_rng(0).uniform(100, 200, (25, 2))


def still(
    person: int,
    number: int,
    *,
    mixed: bool = True,
    named: bool = True,
    seed: int = 0,
    prefix: str = "p",
    spread: float = 25,
    moved: float = 0,
) -> Sequence:
    """Of one person, whose every point lies up to ``spread`` pixels elsewhere; a class moves three points by 15."""
    offset = np.random.default_rng([seed, person]).uniform(-spread, spread, (25, 2))
    noise = np.random.default_rng([seed, person, number]).normal(0, 2, (25, 2))
    offset += np.random.default_rng(9).uniform(-moved, moved, (25, 2))
    label = (number if mixed else person) % 3
    points = np.ones((1, 25, 3), np.float32)
    points[0, :, :2] = STANCE + offset + noise + 200
    points[0, [3, 4, 7], 1] += 15 * (label - 1)
    return Sequence(
        id=f"{prefix}{person:02}n{number}",
        video=f"{prefix}{person:02}n{number}",
        subject=f"{prefix}{person:02}" if named else "",
        keypoints=points,
        number=np.arange(1, dtype=np.int32),
        labels={"mood": np.full(1, label, np.int16)},
    )


def people(folder, count=18, stills=9, **given):
    folder.mkdir()
    sequences = [still(person, number, **given) for person in range(count) for number in range(stills)]
    write_shard(folder, Header("body_25", (MOOD,)), sequences)
    return folder


def run_on(folder, out, **given):
    settings = {"data": str(folder), "arch": "svm", "split": "kfold:3", "validation": 0.0, "device": "cpu"}
    return train(load_config(None, settings | given), out)


def uar(scores):
    return scores["test"]["mood"]["uar"]["value"]


def test_calibration_by_subject_finds_what_people_hide_and_is_chosen_by_the_probe(tmp_path):
    folder = people(tmp_path / "cache")
    plain = run_on(folder, tmp_path / "plain")
    scores = run_on(folder, tmp_path / "run", calibrate="auto")
    assert uar(scores) > uar(plain) + 0.2
    assert load_config(tmp_path / "run" / "config.yaml").calibrate == "track"
    told = choices(read_run(tmp_path / "run"))
    assert told.startswith("Calibrated to the person, based on a probe on the training subset: 0.")
    assert scores == run_on(folder, tmp_path / "named", calibrate="track")

    # The folder says all that it takes to predict the same, over chunks and on a cache of its own.
    model = skelemo.load(tmp_path / "named" / "fold_1")
    assert model.by_subject
    again = model.predict(folder).set_index("video")
    written = read_run(tmp_path / "named").predictions
    written = written[written["fold"] == 1].set_index("video")
    np.testing.assert_allclose(again.loc[written.index, "p_low"], written["mood_p_low"], atol=1e-6)
    others = people(tmp_path / "others", 6, seed=1, prefix="other")
    known = []
    for name in ("plain", "named"):
        found = evaluate([tmp_path / name / "fold_1"], others, tmp_path / f"{name} on others")
        known.append(uar(found))
    assert known[1] > known[0] + 0.1


def test_other_data_are_standardized_with_their_own_statistics(tmp_path):
    """Another landmarker: every point lies elsewhere, for everybody alike."""
    folder = people(tmp_path / "cache", spread=4)
    run_on(folder, tmp_path / "plain")
    scores = run_on(folder, tmp_path / "run", standardize="dataset")
    assert scores == read_json(tmp_path / "plain" / "scores.json"), "nothing changes for the run's own data"
    others = people(tmp_path / "others", 12, prefix="other", spread=4, moved=12)
    known = {}
    for name in ("plain", "run"):
        found = evaluate([tmp_path / name / "fold_1"], others, tmp_path / f"{name} on others")
        known[name] = uar(found)
    assert known["run"] > known["plain"] + 0.2
    assert "standardized to the means and standard deviations of the run's data" in (
        tmp_path / "run on others" / "environment.json"
    ).read_text("utf-8")

    # In chunks and processes the same statistics are those of the whole source.
    model = skelemo.load(tmp_path / "run" / "fold_1")
    whole = model.predict(others)
    chunked = tmp_path / "chunked.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skelemo.inference.base.CHUNK_FRAMES", 40)
        predict_file(Request([tmp_path / "run" / "fold_1"], others, chunked, Options(), ReadOptions(jobs=2)))
    columns = ["p_low", "p_middle", "p_high"]
    order = pd.read_parquet(chunked).set_index("video").loc[whole["video"], columns]
    np.testing.assert_allclose(order, whole[columns], atol=1e-5)
    with pytest.raises(ConfigError, match="train with --set standardize=none to export"):
        export_model(model, tmp_path / "model.onnx", splits={})


def test_a_label_of_the_test_subset_changes_nothing(tmp_path):
    """What is taken off is known without labels, and the average person is that of the training subset."""
    folder = people(tmp_path / "cache", 9)
    run_on(folder, tmp_path / "run", calibrate="track")
    split = json.loads((tmp_path / "run" / "splits.json").read_text())["folds"][0]
    typical = json.loads((tmp_path / "run" / "fold_1" / "model.json").read_text())["preparation"]["typical"]
    corpus = load_corpus(open_cache(folder))
    rows = corpus.sequences["id"].isin(split["train"]).to_numpy().nonzero()[0]
    placed = corpus.placed(np.arange(len(corpus))).numpy()[..., :2]
    subject = corpus.sequences["subject"].to_numpy()
    means = [placed[rows][subject[rows] == one].mean(0) for one in np.unique(subject[rows])]
    np.testing.assert_allclose(typical, np.mean(means, 0), atol=1e-6)


@pytest.mark.parametrize(("mixed", "named"), [(False, True), (True, False)], ids=["one class each", "no subjects"])
def test_calibration_is_not_chosen_if_people_show_one_class_and_warned_about(tmp_path, mixed, named):
    folder = people(tmp_path / "cache", 18, 3, mixed=mixed, named=named)
    lines = []
    run_on(folder, tmp_path / "auto", calibrate="auto")
    assert load_config(tmp_path / "auto" / "config.yaml").calibrate == "none"
    assert choices(read_run(tmp_path / "auto")).startswith("Not calibrated to the person, based on a probe")
    settings = {"data": str(folder), "arch": "svm", "split": "holdout:0.3", "calibrate": "track", "device": "cpu"}
    train(load_config(None, settings), tmp_path / "track", report=lambda *given: lines.append(given[-1]))
    assert "people show a single mood, which calibration removes" in lines[0]
    assert "Warning: " in choices(read_run(tmp_path / "track"))


def test_an_interrupted_run_resumes_with_its_choices(tmp_path):
    folder = people(tmp_path / "cache", 9)
    scores = run_on(folder, tmp_path / "run", calibrate="auto")
    (tmp_path / "run" / "scores.json").unlink()
    shutil.rmtree(tmp_path / "run" / "fold_3")
    settings = load_config(None, {"data": str(folder)})
    assert train(settings, tmp_path / "run", resume=True) == scores


def test_what_cannot_be_calibrated_is_refused_in_one_line(tmp_path):
    folder = people(tmp_path / "cache", 6, 3)
    with pytest.raises(ConfigError, match=r"calibrate: running does not apply to image networks"):
        run_on(folder, tmp_path / "images", arch="resnet18", calibrate="running")
    assert not list((tmp_path / "images").glob("*"))
    run_on(folder, tmp_path / "run", calibrate="track")
    model = skelemo.load(tmp_path / "run" / "fold_1")
    with pytest.raises(ConfigError, match="train with --set calibrate=none to export"):
        export_model(model, tmp_path / "model.onnx", splits={})
    file = tmp_path / "run" / "fold_1" / "model.json"
    facts = json.loads(file.read_text())
    facts["preparation"]["typical"] = facts["preparation"]["typical"][:3]
    file.write_text(json.dumps(facts))
    with pytest.raises(skelemo.errors.InputError, match=r"preparation\.typical has 3 points"):
        skelemo.load(tmp_path / "run" / "fold_1")
    assert replace(model.members[0].preparation, calibrate="none").calibrate == "none"


def test_each_fold_is_calibrated_once(tmp_path, monkeypatch):
    done = []

    def counted(corpus, mode, sequences=None):
        done.append(mode)
        return calibration.calibrated(corpus, mode, sequences)

    folder = people(tmp_path / "cache", 6, 3)
    monkeypatch.setattr("skelemo.training.settling.calibrated", counted)
    run_on(folder, tmp_path / "run", calibrate="track")
    assert done.count("track") == 3
