import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.metrics import accuracy_score, f1_score, recall_score
from small_caches import HEADS, a_cache, a_recording, a_sequence

import skelemo
from skelemo.atomic import claimed
from skelemo.cache.corrections import Correction, add, corrections_file
from skelemo.cache.shard import Header
from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.errors import ConfigError, InputError, SkelemoError
from skelemo.inference.scoring.joining import join_heads
from skelemo.report.report import write_report
from skelemo.runs.folder import read_run
from skelemo.targets import VA, Head
from skelemo.training.config import load_config
from skelemo.training.fit import train

MOODS = ("glad", "sad", "calm")
#: The same classes as another data set has them, in another order, and one more.
OTHER = Head("Expression", "classes", ("Sad", "bored", "CALM", "glad "))
SEX = Head("sex", "classes", ("f", "m"))


def a_clip(name, seed, classes, frames=8, **facts):
    """A sequence whose wrist shows its class, given by its number in `MOODS`; every frame has a class of its own."""
    one = a_sequence(name, frames, seed=seed, width=640, height=480, fps=25.0, **facts)
    one.keypoints[:, 4, 0] += 60 * np.asarray(classes)
    one.keypoints[:, 4, 2] = one.keypoints[:, 8, 2] = 1
    return one


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "own"
    clips = []
    for index in range(30):
        labels = np.random.default_rng(index).integers(0, 3, 8)
        clips.append(a_clip(f"clip{index:02}", index, labels, subject=f"s{index // 2}", expression=labels.astype("i2")))
    return a_cache(folder, *clips, header=Header("body_25", HEADS))


def trained(data, out, arch="ann", **settings):
    given = {"data": str(data), "arch": arch, "head": "both", "epochs": 2, "batch_size": 16, "length": 3}
    given |= {"model": {"width": 16}} if arch == "ann" else {}
    train(load_config(overrides=given | {"device": "cpu", "split": "holdout:0.4"} | settings), out)
    return out


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return trained(data, tmp_path_factory.mktemp("runs") / "ann")


def written(sequence):
    """A class of `MOODS` for each frame, in the numbers of `OTHER`; every fifth frame is bored."""
    classes = np.array([3, 0, 2])[sequence]
    classes[::5] = 1
    return classes.astype(np.int16)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another data set: 24 clips of women and men, with two cameras named in a table."""
    clips = []
    for index in range(24):
        moods = np.random.default_rng([9, index]).integers(0, 3, 8)
        one = a_clip(f"take{index:02}", 100 + index, moods)
        labels = {"Expression": written(moods), "va": one.labels["va"], "sex": np.full(8, index % 2, np.int16)}
        clips.append(a_clip(f"take{index:02}", 100 + index, moods, labels=labels, splits={"set": "AB"[index // 12]}))
    recordings = [a_recording(f"take{index:02}") for index in range(24)]
    folder = tmp_path_factory.mktemp("data") / "other"
    return a_cache(folder, *clips, header=Header("body_25", (OTHER, VA, SEX)), recordings=recordings)


def truth_and_predictions(run, cache, joined):
    """Labels of a cache as another reading has them beside what `predict` says, a row for each frame."""
    opened = open_cache(cache)
    frames = opened.read()
    table = skelemo.load(run).predict(cache)
    names = np.array([*OTHER.outputs, ""], object)[frames.labels["Expression"]]
    return table.assign(truth=[joined.get(name, "") for name in names], valence_true=frames.labels["va"][:, 0],
                        sex=np.array(["f", "m"])[frames.labels["sex"]])  # fmt: skip


def assert_scored(scored, rows):
    rows = rows[rows["truth"] != ""]
    assert scored["windows"] == len(rows) > 0
    truth, found = rows["truth"], rows["expression"]
    assert scored["accuracy"]["value"] == pytest.approx(accuracy_score(truth, found))
    labels = sorted({*truth, *found})
    assert scored["macro_f1"]["value"] == pytest.approx(f1_score(truth, found, labels=labels, average="macro"))
    present = sorted({*truth})
    assert scored["uar"]["value"] == pytest.approx(recall_score(truth, found, labels=present, average="macro"))


JOINED = {"Sad": "sad", "CALM": "calm", "glad ": "glad"}


def test_scores_equal_those_of_predictions_against_joined_labels(run, other, tmp_path):
    scores = skelemo.evaluate(str(run), str(other), out=str(tmp_path / "out"))["test"]
    rows = truth_and_predictions(run, other, JOINED)
    assert_scored(scores["expression"], rows)
    joined = scores["expression"]["joined"]
    assert joined["head"] == "Expression"
    assert joined["renamed"] == {"Sad": "sad", "CALM": "calm", "glad ": "glad"}
    assert joined["unscored"] == {"bored": 24 * 2}
    assert joined["unscored_heads"] == {"run": [], "data": ["sex"]}
    known = rows[~rows["valence_true"].isna()]
    x, y = known["valence_true"].to_numpy(np.float64), known["valence"].to_numpy(np.float64)
    ccc = 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert scores["va"]["ccc_valence"]["value"] == pytest.approx(ccc, abs=1e-5)


@pytest.mark.parametrize(("settings", "given", "kept"), [({"mistakes": 0}, (), False), ({}, (), True),
                                                         ({}, ("--mistakes", "0"), False)])  # fmt: skip
def test_an_evaluation_keeps_no_keypoints_if_the_run_keeps_none(run, other, tmp_path, settings, given, kept):
    mine = shutil.copytree(run, tmp_path / "mine")
    text = (mine / "config.yaml").read_text()
    assert "mistakes: 4" in text
    (mine / "config.yaml").write_text(text.replace("mistakes: 4", f"mistakes: {settings.get('mistakes', 4)}"))
    words = ["evaluate", str(mine), str(run), str(other), "--out", str(tmp_path / "out"), *given]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert (tmp_path / "out" / "mistakes.safetensors").exists() == kept


def test_a_mapped_class_is_scored_as_its_target(run, other, tmp_path):
    scores = skelemo.evaluate(run, other, out=tmp_path / "out", map={"Bored": "calm"})["test"]
    assert_scored(scores["expression"], truth_and_predictions(run, other, JOINED | {"bored": "calm"}))
    assert scores["expression"]["joined"]["unscored"] == {}
    scores = skelemo.evaluate(run, other, out=tmp_path / "apart", map={"sad": ""})["test"]
    assert_scored(scores["expression"], truth_and_predictions(run, other, {"CALM": "calm", "glad ": "glad"}))
    assert list(scores["expression"]["joined"]["unscored"]) == ["Sad", "bored"]


def test_on_its_own_test_sequences_a_run_scores_what_training_wrote(run, data, tmp_path):
    split = json.loads((run / "splits.json").read_text())["folds"][0]
    opened = open_cache(data)
    frames, clips = opened.read(), []
    for row in opened.sequences.to_dict("records"):
        if row["id"] in split["test"]:
            where = slice(row["start"], row["start"] + row["length"])
            labels = {name: values[where] for name, values in frames.labels.items()}
            clips.append(a_sequence(row["id"], 8, keypoints=frames.keypoints[where], subject=row["subject"], fps=25.0,
                                    labels=labels, width=640, height=480))  # fmt: skip
    tested = a_cache(tmp_path / "tested", *clips, header=Header("body_25", HEADS))
    found = skelemo.evaluate(run, tested, out=tmp_path / "out", by=["missing"])["test"]
    expected = json.loads((run / "scores.json").read_text())["test"]
    assert found.keys() == expected.keys() == {"expression", "va"}
    for head in found:
        found[head].pop("joined")
        assert json.loads(json.dumps(found[head])) == expected[head]


def test_labeled_clips_have_one_prediction_each(run, tmp_path):
    clips = []
    for index in range(12):
        labels = {"expression": np.full(8, index % 3, np.int16)}
        clips.append(a_clip(f"c{index}", 50 + index, np.full(8, index % 3), labels=labels))
    cache = a_cache(tmp_path / "clips", *clips, header=Header("body_25", HEADS[:1]))
    scored = skelemo.evaluate(run, cache, out=tmp_path / "out", by="video")["test"]["expression"]
    told = "video: no scores for c0, c1, c2, c3, c4 and 7 more: all windows have one class of expression"
    assert told in read_run(tmp_path / "out").evaluation["notes"]
    table = skelemo.load(run).predict(cache)
    means = table.groupby("video", sort=False)[["p_glad", "p_sad", "p_calm"]].mean()
    answers = means.to_numpy().argmax(1)
    truth = [int(name[1:]) % 3 for name in means.index]
    assert (scored["unit"], scored["windows"]) == ("clip", 12)
    assert scored["accuracy"]["value"] == pytest.approx(accuracy_score(truth, answers))


def test_a_labeled_clip_is_in_one_group_by_what_all_its_frames_show(run, tmp_path):
    clips = []
    for index in range(12):
        one = a_clip(f"c{index}", 50 + index, np.full(8, index % 3), labels={"expression": np.full(8, index % 3, "i2")})
        one.keypoints[..., 2], one.keypoints[index % 2 :: 2, 9:] = 1, 0
        clips.append(one)
    cache = a_cache(tmp_path / "clips", *clips, header=Header("body_25", HEADS[:1]))
    own = trained(cache, tmp_path / "own", "svm", head="expression", by=["missing"], max_gap=0)
    seen = [json.loads((own / "scores.json").read_text())["test"]["expression"]]
    seen.append(
        skelemo.evaluate(own, cache, out=tmp_path / "out", by="missing", allow_overlap=True)["test"]["expression"]
    )
    for scored in seen:
        groups = [(one["group"], one["scores"]["windows"]) for one in scored.get("by", [])]
        assert groups in ([], [("25 to 50 %", scored["windows"])])  # half of the frames lack 16 of 25 points


@pytest.mark.parametrize("table", [None, "table.csv"])
def test_scores_are_split_by_a_column_of_the_cache_or_of_a_table(run, other, tmp_path, monkeypatch, table):
    monkeypatch.chdir(tmp_path)
    if table:
        lines = [f"take{index:02}.mp4,,{'woman' if index % 2 == 0 else 'man'},{index}" for index in range(22)]
        Path(table).write_text("\n".join(["Video,person,Sex,n", *lines]))
    scores = skelemo.evaluate(run, other, out=tmp_path / "out", by="sex", table=table)["test"]["expression"]
    rows = truth_and_predictions(run, other, JOINED)
    named = [("man", "m"), ("woman", "f")] if table else [("f", "f"), ("m", "m")]
    assert [(one["column"], one["group"]) for one in scores["by"]] == [("sex", name) for name, _ in named]
    for one, (_, sex) in zip(scores["by"], named, strict=True):
        mine = rows[(rows["sex"] == sex) & (rows["video"] < "take22" if table else True)]
        assert_scored(one["scores"], mine)
        assert one["scores"]["groups"] == (11 if table else 12)
        assert one["scores"]["macro_f1"]["low"] < one["scores"]["macro_f1"]["value"] < one["scores"]["macro_f1"]["high"]
    notes = read_run(tmp_path / "out").evaluation["notes"]
    assert ("sex: 16 windows without a value, in no group" in notes) is bool(table)


def test_splits_and_videos_are_columns_too(run, other, tmp_path):
    scores = skelemo.evaluate(run, other, out=tmp_path / "out", by=["set", "video"])["test"]["va"]
    assert [one["group"] for one in scores["by"]][:3] == ["A", "B", "take00"]
    assert sum(one["scores"]["windows"] for one in scores["by"]) == 2 * scores["windows"]


def test_several_runs_are_scored_on_their_mean(run, data, other, tmp_path):
    svm = trained(data, tmp_path / "svm", "svm")
    scores = skelemo.evaluate([run, svm], other, out=tmp_path / "out")["test"]
    assert_scored(scores["expression"], truth_and_predictions([run, svm], other, JOINED))
    assert read_run(tmp_path / "out").members == ("ann", "svm")


# What a run has learned from


def copied_data(data, folder, keep, **changes):
    """Some of the run's sequences under other names, with other labels and subjects."""
    opened = open_cache(data)
    frames, clips = opened.read(), []
    for row in opened.sequences.to_dict("records"):
        if row["id"] in keep:
            where = slice(row["start"], row["start"] + row["length"])
            labels = {"expression": frames.labels["expression"][where][::-1].copy()}
            clips.append(
                a_sequence(f"again {row['id']}", 8, keypoints=frames.keypoints[where], labels=labels, **changes)
            )
    return a_cache(folder, *clips, header=Header("body_25", HEADS))


@pytest.mark.parametrize("subset", ["train", "validation"])
def test_sequences_that_a_run_has_learned_from_are_refused_whatever_they_are_called(run, data, tmp_path, subset):
    names = json.loads((run / "splits.json").read_text())["folds"][0][subset]
    again = copied_data(data, tmp_path / "again", names)
    with pytest.raises(ConfigError, match=rf"{len(names)} sequences? \(e\.g\. 'again clip\d+'\) .* --allow-overlap"):
        skelemo.evaluate(run, again, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    skelemo.evaluate(run, again, out=tmp_path / "out", allow_overlap=True)
    assert read_run(tmp_path / "out").evaluation["notes"][0].startswith("overlap: ")
    (compared,) = write_report([tmp_path / "out"], tmp_path / "report").comparisons
    assert compared.title == "again, partly used for training (out)"


def test_a_training_subject_is_refused_but_not_a_test_subject(run, tmp_path):
    splits = json.loads((run / "splits.json").read_text())
    learned, tested = (splits["subjects"][splits["folds"][0][subset][0]] for subset in ("train", "test"))
    for subject in (learned, tested):
        folder = a_cache(tmp_path / subject, a_clip("new", 77, np.arange(8) % 3, subject=subject))
        if subject == tested:
            skelemo.evaluate(run, folder, out=tmp_path / "out")
        else:
            with pytest.raises(ConfigError, match=rf"1 subject \(e\.g\. '{subject}'\) was in the training"):
                skelemo.evaluate(run, folder, out=tmp_path / "out")


def standing(folder, seed, moved=0):
    """Sixteen people in one pose, whose wrist shows their class; ``moved`` pixels off, as by another program."""
    clips, pose = [], np.random.default_rng(0).uniform(100, 200, (25, 2))
    for index in range(16):
        rng = np.random.default_rng([seed, index])
        moods, points = rng.integers(0, 3, 8), np.ones((8, 25, 3), np.float32)
        points[..., :2] = pose + rng.normal(0, 1, (8, 25, 2))
        points[:, 4, 0] += 60 * moods + moved
        clips.append(a_sequence(f"p{seed}{index}", 8, keypoints=points, expression=moods.astype("i2"), width=640,
                                height=480, subject=f"s{seed}{index}"))  # fmt: skip
    return a_cache(folder, *clips, header=Header("body_25", HEADS))


def test_a_collapsed_transfer_suggests_standardization(tmp_path):
    settings = {"head": "expression", "length": 1, "validation": 0.0}
    home, near, far = standing(tmp_path / "home", 1), standing(tmp_path / "n", 2), standing(tmp_path / "f", 3, 300)
    plain = trained(home, tmp_path / "plain", "logistic", **settings)
    result = CliRunner().invoke(main, ["evaluate", str(plain), str(far), "--out", str(tmp_path / "on_far")])
    assert result.exit_code == 0, result.output
    figures = [json.loads((tmp_path / name / "scores.json").read_text())["test"]["expression"]["uar"]["value"]
               for name in ("on_far", "plain")]  # fmt: skip
    assert figures[0] < 0.4 < 0.6 < figures[1], "of three classes, chance is 1/3"
    assert (
        f"note: expression: UAR {figures[0]:.3f}, on the run's own test subset {figures[1]:.3f}: for other people or "
        "another pose estimator, a run trained with --set standardize=dataset may transfer better"
    ) in result.output
    assert "may transfer better" in read_run(tmp_path / "on_far").evaluation["notes"][-1]
    assert skelemo.evaluate(plain, near, out=tmp_path / "on_near")["test"]["expression"]["uar"]["value"] > 0.6
    assert not any("may transfer better" in note for note in read_run(tmp_path / "on_near").evaluation["notes"])
    adapting = trained(home, tmp_path / "adapting", "logistic", standardize="dataset", **settings)
    skelemo.evaluate(adapting, far, out=tmp_path / "adapted")
    assert not any("may transfer better" in note for note in read_run(tmp_path / "adapted").evaluation["notes"])


def test_overlap_considers_all_folds_of_a_run_but_only_one_for_a_fold(data, tmp_path):
    run = trained(data, tmp_path / "folds", split="kfold:3", epochs=1)
    fold = json.loads((run / "splits.json").read_text())["folds"][0]
    again = copied_data(data, tmp_path / "again", fold["test"])
    with pytest.raises(ConfigError, match="of folds: use data"):
        skelemo.evaluate(run, again, out=tmp_path / "out")
    skelemo.evaluate(run / "fold_1", again, out=tmp_path / "out")
    with pytest.raises(ConfigError, match="of fold_2: use data"):
        skelemo.evaluate(run / "fold_2", again, out=tmp_path / "other")


def test_overlap_of_a_seed_and_its_folds_comes_from_the_run(data, tmp_path):
    run = trained(data, tmp_path / "seeds", split="kfold:3", epochs=1, seeds=2)
    fold = json.loads((run / "splits.json").read_text())["folds"][0]
    again = copied_data(data, tmp_path / "again", fold["test"])
    with pytest.raises(ConfigError, match="of seed_1: use data"):
        skelemo.evaluate(run / "seed_1", again, out=tmp_path / "out")
    with pytest.raises(ConfigError, match="of fold_2: use data"):
        skelemo.evaluate(run / "seed_1" / "fold_2", again, out=tmp_path / "out")
    skelemo.evaluate(run / "seed_1" / "fold_1", again, out=tmp_path / "out")


def test_model_files_without_splits_are_evaluated_with_a_note(run, other, tmp_path):
    (tmp_path / "copy").mkdir()
    for name in ("model.json", "model.safetensors"):
        shutil.copy(run / name, tmp_path / "copy")
    skelemo.evaluate(tmp_path / "copy", other, out=tmp_path / "out")
    found = read_run(tmp_path / "out")
    assert "copy: no splits.json; the training data are unknown" in found.evaluation["notes"][0]
    assert found.config["arch"] == "ann"


# The folder, and reports of it


def test_a_report_compares_a_run_and_its_evaluations(run, data, other, tmp_path):
    svm = trained(data, tmp_path / "svm", "svm")
    folders = [tmp_path / "ann_on_other", tmp_path / "svm_on_other", tmp_path / "both_on_other"]
    for members, out in zip([[run], [svm], [run, svm]], folders, strict=True):
        skelemo.evaluate(members, other, out=out, by="sex")
    report = write_report([run, *folders], tmp_path / "report")
    assert [len(comparison.runs) for comparison in report.comparisons] == [1, 3]
    assert report.comparisons[1].title == "other, not used to train any run"
    page, text = report.page.read_text(), (tmp_path / "report" / "report.md").read_text()
    for content in (page, text.replace("\\", "")):
        assert "An evaluation of ann (ann, trained on own) on other data, other" in content
        assert "An evaluation of the mean of ann (ann, trained on own) and svm (svm, trained on own)" in content
        assert "not scored, without a counterpart in the run: bored (48 frames)" in content.replace(
            "Expression", "expression"
        )
        assert "(3 classes) by sex" in content
    table = pd.read_csv(tmp_path / "report" / "by.csv")
    table = table[table["column"] == "sex"]
    assert set(table["group"]) == {"f", "m"}
    assert len(table) == 3 * 2 * 2
    assert table["macro_f1_low"].notna().sum() == 6
    write_report([run, *folders[:1]], tmp_path / "two")
    write_report(folders[:2], tmp_path / "fused", ensemble=True)


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("scores.json", lambda c: c["test"]["va"].update(by=[{"column": "sex"}]), "group: Field required"),
        ("scores.json", lambda c: c["test"]["va"]["by"][0]["scores"].update(windows=-1), "windows: Input should be"),
        ("scores.json", lambda c: c["test"]["va"]["by"][0]["scores"].update(ccc_mean={"value": "x"}), "value"),
        ("scores.json", lambda c: c["test"]["va"].update(joined={"head": 3}), "joined.head"),
        ("environment.json", lambda c: c["evaluation"].update(runs=[]), "evaluation.runs"),
        ("environment.json", lambda c: c["evaluation"]["runs"][0].update(weights_sha256=["x"]), "weights_sha256"),
        ("splits.json", lambda c: c.update(sha256={"a": "b"}), "sha256.a"),
    ],
)
def test_a_folder_that_was_tampered_with_is_refused_in_one_line(run, other, tmp_path, name, change, expected):
    skelemo.evaluate(run, other, out=tmp_path / "out", by="sex")
    content = json.loads((tmp_path / "out" / name).read_text())
    change(content)
    (tmp_path / "out" / name).write_text(json.dumps(content))
    with pytest.raises(InputError, match=expected) as error:
        read_run(tmp_path / "out")
    assert "\n" not in str(error.value)


def test_only_one_process_writes_and_an_interrupted_evaluation_is_repeated(run, other, tmp_path):
    with claimed(tmp_path / "out"), pytest.raises(ConfigError, match="being written by another process"):
        skelemo.evaluate(run, other, out=tmp_path / "out")
    skelemo.evaluate(run, other, out=tmp_path / "out")
    with pytest.raises(ConfigError, match="out exists: choose another"):
        skelemo.evaluate(run, other, out=tmp_path / "out")
    (tmp_path / "out" / "scores.json").unlink()
    skelemo.evaluate(run, other, out=tmp_path / "out")
    assert read_run(tmp_path / "out").scores


# The command, and what it refuses


def invoke(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_command_prints_scores_groups_and_unscored_heads(run, other, tmp_path):
    result = invoke("evaluate", run, other, "--out", tmp_path / "out", "--by", "sex", "--map", "bored=sad")
    assert result.exit_code == 0, result.output
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())["test"]
    assert f"{scores['expression']['macro_f1']['value']:.3f}" in result.output
    assert "by sex" in result.output
    assert "note: expression: scored as: Sad as sad, bored as sad, CALM as calm, glad  as glad" in result.output
    assert "note: not scored, not predicted by the run: sex" in result.output
    assert f"skelemo report {tmp_path / 'out'}" in result.output


def test_labels_are_scored_as_corrected_and_the_result_and_report_say_so(run, other, tmp_path):
    table = corrections_file(tmp_path)
    add(table, [Correction("take00", "set", last=3, head="Expression", value="CALM"),
                Correction("take01", "wrong"), Correction("take99", "wrong")], author="ann")  # fmt: skip
    result = invoke("evaluate", run, other, "--corrections", table, "--by", "sex", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    rows = truth_and_predictions(run, other, JOINED)
    rows.loc[(rows["video"] == "take00") & (rows["frame"] <= 3), "truth"] = "calm"
    rows.loc[rows["video"] == "take01", ["truth"]] = ""
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())["test"]
    assert_scored(scores["expression"], rows)
    facts = json.loads((tmp_path / "out" / "environment.json").read_text())["corrections"]
    assert {key: facts[key] for key in ("count", "authors", "applied", "elsewhere")} == {
        "count": 3, "authors": 1, "applied": 2, "elsewhere": 1
    }  # fmt: skip
    assert "note: labels as corrected, with 3 corrections by 1 author (corrections.csv, hash " in result.output
    report = invoke("report", tmp_path / "out", "--out", tmp_path / "report")
    assert report.exit_code == 0, report.output
    assert "with 3 corrections by 1 author" in " ".join(
        path.read_text() for path in (tmp_path / "report").rglob("*.md")
    )
    add(table, [Correction("take02", "set", head="Expression", value="angry")])
    wrong = invoke("evaluate", run, other, "--corrections", table, "--out", tmp_path / "again")
    assert wrong.exit_code == 2
    assert "unknown class of Expression 'angry'" in wrong.output
    assert not (tmp_path / "again").exists()


def test_a_column_that_a_training_does_not_have_is_blamed_on_its_setting(data, tmp_path):
    with pytest.raises(ConfigError, match=r"^by: unknown column 'nosuch'"):
        trained(data, tmp_path / "run", by=["nosuch"])


def made(folder, heads, **labels):
    clips = [a_clip(f"x{index}", 300 + index, np.arange(8) % 3, labels=labels) for index in range(2)]
    return a_cache(folder, *clips, header=Header("body_25", heads))


@pytest.mark.parametrize(
    ("heads", "labels", "expected"),
    [
        ((SEX,), {"sex": np.zeros(8, np.int16)}, "no head in common by name and kind"),
        ((Head("va", "classes", ("a", "b")),), {"va": np.zeros(8, np.int16)}, "no head in common by name and kind"),
        (
            (Head("expression", "classes", ("a", "b")),),
            {"expression": np.zeros(8, np.int16)},
            "other has a, b, the run glad, sad, calm: no name in common",
        ),
        ((OTHER,), {"Expression": np.full(8, 1, np.int16)}, "no frame has a label of expression"),
        (HEADS, {}, "no frame has a label of expression, va"),
    ],
)
def test_data_that_a_run_cannot_be_scored_on_are_refused(run, tmp_path, heads, labels, expected):
    result = invoke("evaluate", run, made(tmp_path / "other", heads, **labels), "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert expected in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--map", "bored"], "expected THEIRS=OURS"),
        (["--map", "borde=calm"], "unknown name in other in --map 'borde': did you mean 'bored'"),
        (["--map", "bored=clam"], "unknown name in the run in --map 'clam': did you mean 'calm'"),
        (["--by", "sexx"], "unknown column 'sexx': did you mean 'sex'"),
        (["--by", "subject"], "no labeled window has a value"),
        (["--by", "n", "--table", "t.csv"], "100 distinct values; expected at most 50"),
        (["--by", "sex", "--table", "t.csv"], "unknown column of t.csv 'sex'"),
        (["--by", "sex", "--table", "nowhere.csv"], "nowhere.csv"),
        (["--by", "two", "--table", "t.csv"], "lines 2 and 3: two is 'a' and 'b' for 'take00'; expected one"),
        (["--device", "abacus"], "is not available"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(run, other, tmp_path, monkeypatch, words, expected):
    monkeypatch.chdir(tmp_path)
    lines = ["take00,0,a", "take00,0,b", *(f"take{i % 24:02},{i},a" for i in range(24))]
    if "n" in words:  # a value for each person
        people = [f"take{i % 24:02},{i // 24},{i}" for i in range(100)]
        Path("t.csv").write_text("\n".join(["video,person,n", *people]))
        other = a_cache(tmp_path / "o", *(a_clip(f"take{i % 24:02}_{i // 24}", i, np.arange(8) % 3, person=str(i // 24),
                                                 video=f"take{i % 24:02}") for i in range(100)))  # fmt: skip
    else:
        Path("t.csv").write_text("\n".join(["video,n,two", *lines]))
    result = invoke("evaluate", run, other, "--out", "out", *words)
    assert result.exit_code == 2, result.output
    assert expected in result.output
    assert not Path("out").exists()


def test_damaged_runs_and_caches_without_the_models_parts_are_refused(run, other, tmp_path):
    broken = shutil.copytree(run, tmp_path / "broken")
    (broken / "splits.json").write_text("{")
    with pytest.raises(InputError, match=r"splits\.json is damaged"):
        skelemo.evaluate(broken, other, out=tmp_path / "out")
    (broken / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="is damaged or was modified"):
        skelemo.evaluate(broken, other, out=tmp_path / "out")
    face = a_cache(tmp_path / "face", a_sequence("one", points=70), header=Header("face_70", HEADS))
    with pytest.raises(InputError, match="face has face_70, and the model also needs body_25"):
        skelemo.evaluate(run, face, out=tmp_path / "out")
    with pytest.raises(SkelemoError, match="no such cache"):
        skelemo.evaluate(run, tmp_path / "nowhere", out=tmp_path / "out")


# Joining


def test_synonyms_of_an_emotion_match_and_shares_add_up():
    ours = Head("expression", "classes", ("happiness", "anger"))
    theirs = Head("expression", "classes", ("joy", "Angry", "Happy", "bored"))
    (join,) = join_heads([theirs], [ours], {}, "data")
    assert join.index == (0, 1, 0, -1)
    assert join.labels(np.array([0, 1, 2, 3, -1], np.int16)).tolist() == [0, 1, 0, -1, -1]
    shares = np.array([[0.3, 0.4, 0.3, 0], [0.2, 0.1, 0.1, 0.6], [np.nan] * 4], np.float32)
    np.testing.assert_allclose(join.labels(shares), [[0.6, 0.4], [np.nan] * 2, [np.nan] * 2], rtol=1e-6)


def test_values_and_flags_are_joined_by_name_and_missing_ones_unlabeled():
    ours = (Head("va", "values", ("valence", "arousal")), Head("au", "flags", ("AU1", "AU2", "AU4")))
    theirs = (Head("va", "values", ("Arousal", "dominance")), Head("AU", "flags", ("AU4", "AU1")))
    values, flags = join_heads(theirs, ours, {}, "data")
    found = values.labels(np.array([[0.5, 0.1]], np.float32))
    np.testing.assert_array_equal(found, np.array([[np.nan, 0.5]], np.float32))
    assert flags.labels(np.array([[1, 0], [-1, 1]], np.int8)).tolist() == [[0, -1, 1], [1, -1, -1]]
    assert values.unlabeled == ("valence",)
    assert flags.unlabeled == ("AU2",)


def test_a_head_of_another_name_is_joined_when_it_is_named():
    ours, theirs = Head("expression", "classes", MOODS), Head("label", "classes", ("x", "sad"))
    with pytest.raises(ConfigError, match="no head in common"):
        join_heads([theirs], [ours], {}, "data")
    (join,) = join_heads([theirs], [ours], {"label": "expression"}, "data")
    assert join.index == (-1, 1)
    with pytest.raises(ConfigError, match="map to the same one"):
        join_heads([Head("va", "values", ("a", "b"))], [VA], {"a": "valence", "b": "valence"}, "data")


def test_the_only_heads_with_common_classes_match():
    ours = [Head("expression", "classes", MOODS)]
    label, size = Head("label", "classes", ("bored", "SAD", "Calm")), Head("size", "classes", ("small", "large"))
    (join,) = join_heads([size, label], ours, {}, "data")
    assert (join.theirs, join.index) == (label, (-1, 1, 2))
    (join,) = join_heads([size, label], ours, {"large": "calm", "small": "sad", "size": "expression"}, "data")
    assert (join.theirs, join.index) == (size, (1, 2))
    with pytest.raises(ConfigError, match="no head in common"):
        join_heads([label, Head("again", "classes", MOODS)], ours, {}, "data")


def test_a_different_range_is_noted(run, tmp_path):
    scale = Head("va", "values", ("valence", "arousal"), 1, 9)
    labels = {"va": np.random.default_rng(0).uniform(1, 9, (8, 2)).astype(np.float32)}
    cache = made(tmp_path / "sam", (scale,), **labels)
    skelemo.evaluate(run, cache, out=tmp_path / "out")
    notes = read_run(tmp_path / "out").evaluation["notes"]
    assert "va: range [-1, 1] in the run, [1, 9] in these data; values are compared without rescaling" in notes
    assert "not scored, without labels in these data: expression" in notes
