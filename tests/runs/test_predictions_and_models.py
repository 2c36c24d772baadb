"""Tables of predictions by kind of head, models on disk, settings in YAML, and how runs and scores are shown."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from run_folders import make_predictions, write_run
from safetensors.torch import save_file
from torch import ones

from skelemo.errors import InputError
from skelemo.evaluation.scores import Scores, score, with_seeds
from skelemo.runs.folder import distinct_names, read_run, scores_html, write_json
from skelemo.runs.model_file import ModelFile, read_model, write_choices, write_model
from skelemo.runs.predictions import outputs_of, prediction_table, read_predictions, truth_of, write_predictions
from skelemo.runs.yaml_settings import read_user_yaml
from skelemo.targets import EXPRESSION, VA, Head

MOOD = Head("mood", "classes", ("glad", "sad"))
PAIN = Head("pain", "values", ("now", "worst"), 0, 10)
AU = Head("au", "flags", ("AU1", "AU2"))
SIZE = {"subjects": 3, "videos": 2, "frames": 4, "epochs": 2}


def test_labels_and_outputs_of_every_kind_come_back_from_the_file(tmp_path: Path) -> None:
    labels = {
        "mood": np.float32([[0.3, 0.7], [np.nan, np.nan], [1, 0]]),
        "pain": np.float32([[0, np.nan], [2.5, 10], [np.nan, np.nan]]),
        "au": np.int8([[1, -1], [0, 1], [-1, -1]]),
    }
    outputs = {"mood": np.float32([[0.25, 0.75]] * 3), "pain": np.float32([[1, 9]] * 3), "au": np.float32([[0, 1]] * 3)}
    windows = {
        "fold": 1,
        "subset": "test",
        "sequence": ["a", "a", "b"],
        "video": "v",
        "subject": "",
        "frame": [0, 9, 0],
    }
    heads = (MOOD, PAIN, AU)
    write_predictions(tmp_path / "p.parquet", prediction_table(windows, heads, labels, outputs), heads)
    back = read_predictions(tmp_path / "p.parquet", heads)
    assert back["mood"].tolist() == ["sad", "", "glad"], "the class with the largest share"
    assert back["mood_predicted"].tolist() == ["sad"] * 3
    assert truth_of(back, MOOD).tolist() == [1, -1, 0]
    np.testing.assert_array_equal(truth_of(back, PAIN), labels["pain"])
    np.testing.assert_array_equal(truth_of(back, AU), [[1, np.nan], [0, 1], [np.nan, np.nan]])
    for head in heads:
        np.testing.assert_array_equal(outputs_of(back, head), outputs[head.name])


def test_a_flipped_bit_in_the_predictions_is_found(tmp_path: Path) -> None:
    file = write_run(tmp_path / "run", heads=["va"], **SIZE) / "predictions.parquet"
    data = bytearray(file.read_bytes())
    data[data.index(np.float32(read_predictions(file, [VA])["va_valence_predicted"][0]).tobytes())] ^= 1
    file.write_bytes(data)
    with pytest.raises(InputError, match=r"predictions\.parquet is damaged"):
        read_predictions(file, [VA])


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    runs = [read_run(write_run(tmp_path / place, heads=["va"], **SIZE)) for place in ("x/a/run", "x/b/run", "c")]
    assert distinct_names(runs) == ["a/run", "b/run", "c"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    window = {"length": 1, "dilation": 1, "target": "last", "sampling": "stride"}
    made = ModelFile("ann", {"width": 8}, "face_70", (MOOD, VA), {"reference": "clip"}, window, pretext=True)
    write_model(tmp_path / "run", made, {"layer.weight": ones(2, 3)})
    return tmp_path / "run"


def test_a_model_is_read_as_it_was_written_with_what_was_chosen_later(model: Path) -> None:
    chosen = {"mood": {"width": 5, "metric": "macro_f1", "plain": 0.5, "smoothed": 0.75}}
    write_choices(model, smoothing=chosen, neutral_radius=0.25)
    found, state = read_model(model)
    assert (found.arch, found.settings, found.layout, found.heads) == ("ann", {"width": 8}, "face_70", (MOOD, VA))
    assert (found.smoothing, found.neutral_radius, found.flip_average, found.pretext) == (chosen, 0.25, False, True)
    assert state["layer.weight"].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert found.weights_sha256 == hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()


def test_the_files_of_a_model_can_be_read_by_whoever_can_read_the_others(model: Path) -> None:
    assert len({file.stat().st_mode for file in model.iterdir()}) == 1


def test_weights_of_another_training_or_of_another_format_are_refused(model: Path) -> None:
    weights = model / "model.safetensors"
    save_file({"layer.weight": ones(2, 3) * 2}, weights)
    with pytest.raises(InputError, match="damaged or was modified"):
        read_model(model)
    weights.write_bytes(b"pickle")
    write_choices(model, weights_sha256=hashlib.sha256(b"pickle").hexdigest())
    with pytest.raises(InputError, match="not a safetensors file"):
        read_model(model)
    weights.unlink()
    with pytest.raises(InputError, match=r"no model\.safetensors in .*run: copy it from the run, beside model\.json"):
        read_model(model)
    write_choices(model, heads=[{"name": "a b", "kind": "values", "outputs": ["x"]}])
    save_file({}, weights)
    write_choices(model, weights_sha256=hashlib.sha256(weights.read_bytes()).hexdigest())
    with pytest.raises(InputError, match=r"model\.json: head 'a b': expected a name of letters"):
        read_model(model)
    with pytest.raises(InputError, match=r"no model\.json in .*: expected the folder of a finished run"):
        read_model(model.parent)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("lr: 1\nlr: 2\n", "lr is set twice; keep one"),
        ("a: &b [1]\nc: *b\n", "aliases"),
        ("x: " + "[" * 9 + "]" * 9, "nested more than 8 deep"),
        (f"x: {'y' * 5000}", "a text of 5,000 characters"),
        ("x: 1.0e+16", "the number 1e\\+16 is out of bounds"),
        ("x: .nan", "the number nan is out of bounds"),
        ("x: 2026-01-01", "is neither text, number nor list"),
        ("- 1", "expected a mapping of settings"),
        ("x: {lr: 1, 2}", "2 where the name of a setting is expected"),
        ("x: !!python/object:os.system {}", "not a readable YAML file"),
    ],
)
def test_a_settings_file_that_cannot_be_meant_is_one_line(tmp_path: Path, text: str, found: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=rf"settings\.yaml: .*{found}") as error:
        read_user_yaml(file)
    assert "\n" not in str(error.value)
    file.write_text("x: " + "[" * 7 + "]" * 7 + "\nflag: true\nnothing:\n")
    assert read_user_yaml(file)["flag"] is True


def test_scores_are_shown_with_their_intervals_and_size() -> None:
    figure = {"value": 0.5, "low": 0.25, "high": 0.75}
    missing = {"value": None, "low": None, "high": None}
    scored = {"macro_f1": figure, "uar": missing, "accuracy": figure, "auc": figure, "windows": 1200, "unit": "clip"}
    scores = Scores({"test": {"mood": scored | {"groups": 12, "grouped_by": "subject or video"}}})
    cells = [row.split("</td>")[:-1] for row in scores_html(scores).split("<tr>")[2:]]
    texts = [[cell.rpartition(">")[2] for cell in row] for row in cells]
    assert texts == [
        ["test", "mood", "macro f1", "0.500", "0.250 to 0.750", "1,200 clips, 12 subjects or videos"],
        ["", "", "uar", "–", "n/a", ""],
        ["", "", "accuracy", "0.500", "0.250 to 0.750", ""],
    ]
    assert repr(scores).split() == [
        *(
            "test",
            "mood",
            "macro_f1",
            "0.500",
            "[0.250,",
            "0.750]",
            "uar",
            "–",
            "accuracy",
            "0.500",
            "[0.250,",
            "0.750]",
        )
    ]
    assert scores.test["mood"]["auc"]["value"] == 0.5
    with pytest.raises(AttributeError, match="no subset 'validation' was scored, only test"):
        _ = scores.validation
    assert "nothing was scored" in scores_html({})


def test_the_scores_of_seeds_stand_beside_those_of_their_mean_prediction() -> None:
    tables = {
        seed: make_predictions(seed=seed, subsets=["test"], **{k: SIZE[k] for k in ("subjects", "videos")})
        for seed in (3, 4)
    }
    by_seed = {seed: score(table, (EXPRESSION, VA), resamples=10) for seed, table in tables.items()}
    found = with_seeds(by_seed[3], by_seed).test["va"]
    each = [by_seed[seed].test["va"]["ccc_mean"]["value"] for seed in (3, 4)]
    assert [figures["ccc_mean"] for figures in found["seeds"].values()] == each
    assert found["seed_mean"]["ccc_mean"] == pytest.approx({"mean": np.mean(each), "sd": np.std(each, ddof=1)})
    assert found["ccc_mean"] == by_seed[3].test["va"]["ccc_mean"]
    by_seed[4].test["va"]["ccc_mean"]["value"] = None
    assert with_seeds(by_seed[3], by_seed).test["va"]["seed_mean"]["ccc_mean"] == {"mean": None, "sd": None}


def test_a_run_is_shown_by_its_architecture_and_scores(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "mine", **SIZE)
    run = read_run(folder)
    value = run.shown["expression"]["macro_f1"]["value"]
    assert repr(run).startswith(f"<run mine: ann, test expression macro_f1 {value:.3f}, va ccc_mean ")
    page = run._repr_html_()
    for text in ("cache/actors, simulated", "123,456", "5 min 22 s"):
        assert f">{text}<" in page, text
    write_json(folder / "scores.json", {})
    unlabeled = run.predictions.assign(expression="", va_valence=np.nan, va_arousal=np.nan)
    write_predictions(folder / "predictions.parquet", unlabeled, run.heads)
    assert repr(read_run(folder)) == "<run mine: ann, test without scores>"
