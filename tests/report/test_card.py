"""The model card in the page of a run."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from skelemo.evaluation.rank_metrics import presence_error
from skelemo.report.card import run_card
from skelemo.report.report import write_report
from skelemo.runs.folder import read_run, write_json

SIZE = {"subjects": 4, "videos": 2, "frames": 5, "epochs": 3}


def with_model(folder: Path, *places: str) -> Path:
    """The facts of a model, without its weights, which no report reads."""
    for number, place in enumerate(places or ("",)):
        facts = {"format": 1, "skelemo": "0.1.0", "arch": "ann", "settings": {}, "layout": "face_70", "heads": []}
        facts |= {"window": {"length": 8, "dilation": 2, "target": "last", "sampling": "stride"}}
        facts |= {"preparation": {"reference": "clip"}, "precision": "32-true", "weights_sha256": str(number) * 64}
        write_json(folder / place / "model.json", facts)
    return folder


def test_the_card_has_the_facts_of_the_run_folder(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    run = read_run(with_model(run_folder(tmp_path / "mine", folds=2, **SIZE), "fold_1", "fold_2"))
    text = run_card(run)
    assert "`ann` on OpenPose keypoints (face 70), 8 frames at a time, 2 apart." in text
    assert "skelemo predict mine recordings/" in text
    assert "The predictions of its 2 networks are averaged" in text
    assert "It was trained on simulated people" in text
    value = run.shown["va"]["ccc_mean"]["value"]
    assert f"- va: mean CCC {value:.3f}" in text
    assert "`0000000000000000…`, `1111111111111111…`" in text


def test_classes_that_are_rarely_recognized_are_a_limit(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    run = read_run(with_model(run_folder(tmp_path / "mine", heads=["expression"], **SIZE)))
    for number, row in enumerate(run.shown["expression"]["per_class"].values()):
        row["recall"] = (0.5, 0.25, None, 0.75, 0.0, 1.0, 0.5)[number]
    assert "- Recall below 50 % for sadness, surprise (expression)." in run_card(run)
    assert "live stream only provides the past" in run_card(run), "its reference is the whole clip"


def test_a_folder_without_a_model_has_no_card(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    assert run_card(read_run(run_folder(tmp_path / "mine", **SIZE))) == ""


def test_names_in_a_card_are_neither_markup_nor_links(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    classes = ["<b>glad</b>", "[sad](http://example.org)", "![x](y.png)", "<http://example.org>"]
    run = with_model(run_folder(tmp_path / "mine", classes=classes, heads=["expression"], **SIZE))
    write_report([run], tmp_path / "out", formats=[])
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    card = page[page.index("<summary>Model card") :].partition("</details>")[0]
    assert "Intended use" in card
    assert not re.search(r"<(b|a|img)\b", card)
    assert "[sad](http://example.org)" in card


def test_every_run_of_a_comparison_tells_its_settings_and_data(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    folders = [run_folder(tmp_path / name, settings={"lr": rate}, **SIZE) for name, rate in (("a", 0.5), ("b", 0.25))]
    runs = [with_model(folder) for folder in folders]
    write_report(runs, tmp_path / "out", formats=[])
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    found = page.split("<summary>All settings</summary>")[1:]
    assert len(found) == 2
    for text, rate in zip(found, ("0.5", "0.25"), strict=True):
        facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text.partition("</details>")[0]))
        assert (facts["lr"], facts["batch_size"]) == (rate, "256")
        card = text.partition("<summary>Model card</summary>")[2].partition("</details>")[0]
        for told in ("(face 70)", "60 train, 8 validation, 8 test sequences", "on 40 windows of the test subset"):
            assert told in card


def test_calibration_error_of_flags_is_the_mean_gap_of_its_bins() -> None:
    """Four of probability 0.5, one present: a gap of 0.25; one of 1.0 that is present: none; weighted 4 to 1."""
    probability, present = np.array([0.5, 0.5, 0.5, 0.5, 1.0]), np.array([1, 0, 0, 0, 1], bool)
    assert presence_error(probability, present) == pytest.approx(0.8 * 0.25)
