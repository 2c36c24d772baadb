"""Keypoint importance in the report."""

import re

import numpy as np
import pandas as pd
import pytest

from skelemo.errors import InputError
from skelemo.report.describe import part_title
from skelemo.report.importance import _region_of, drawings, importance, importances, label
from skelemo.report.report import write_report
from skelemo.report.style import to_svg
from skelemo.runs.folder import read_run
from skelemo.runs.importance import FILE, write_importance
from skelemo.skeleton import layout

LAYOUT = layout("body_25+face_70")


def losses(head="expression", metric="macro_f1", joints=True, intervals=True):
    """All regions and points of body and face: the mouth matters, the right wrist harms, the rest is chance."""
    rows = [("none", "", "", 0.0)]
    for part in LAYOUT.parts:
        rows.append(("part", part.name, part.name, 0.3 if part.kind == "face" else 0.01))
        rows += [
            ("region", part.name, name, {"mouth": 0.25, "eyes": 0.1}.get(name, 0.0)) for name in part.region_points
        ]
        known = {"OuterMouth0": 0.08, "InnerMouth3": 0.05, "RWrist": -0.04}
        rows += [("joint", part.name, name, known.get(name, 0.002)) for name in part.keypoints]
    table = pd.DataFrame(rows, columns=["level", "part", "name", "loss"])
    place = np.random.default_rng(0).uniform(-1, 1, (len(table), 2))
    at, spread = table["level"] == "joint", 0.03 if intervals else np.nan
    table = table.assign(head=head, metric=metric, score=0.8 - table["loss"], error=spread / 2, subset="validation",
                         x=np.where(at, place[:, 0], np.nan), y=np.where(at, place[:, 1], np.nan),
                         seen=np.where(at, 1.0, np.nan), windows=400, groups=12, grouped_by="subject",
                         low=table["loss"] - spread, high=table["loss"] + spread)  # fmt: skip
    if not joints:
        table.loc[at, ["score", "loss", "error", "low", "high"]] = np.nan
    return table


@pytest.fixture
def folder(tmp_path, run_folder):
    path = run_folder(tmp_path / "run", subjects=3, videos=2, frames=8, epochs=2)
    write_importance(path, pd.concat([losses(), losses("va", "ccc_mean", joints=False)]))
    return path


def test_effects_within_chance_are_marked(folder):
    mood, va = importances(read_run(folder))
    certain = mood.table[~mood.table["noise"]]
    assert set(certain["name"]) == {"face_70", "mouth", "eyes", "OuterMouth0", "InnerMouth3", "RWrist"}
    assert [label(row) for _, row in mood.rows.iterrows()][:6] == [
        "all of the face", "all of the body", "mouth", "eyes", "head", "torso"]  # fmt: skip
    assert "With all keypoints, it is 0.800 on 400 windows of the validation subset" in mood.description
    assert "a paired bootstrap of 12 subjects" in mood.description
    assert not len(va.of("joint"))
    assert "Single keypoints were not tested" in va.description


def test_without_intervals_only_no_effect_is_within_chance(folder):
    write_importance(folder, losses(intervals=False).assign(groups=4))
    (one,) = importances(read_run(folder))
    assert (one.table["noise"] == (one.table["loss"] == 0)).all()
    assert "With only 4 subjects, too few for confidence intervals, every drop may be due to chance." in one.description


def test_of_folds_the_interval_is_that_of_their_mean(folder):
    write_importance(folder, losses().assign(groups=3, grouped_by="fold"))
    (one,) = importances(read_run(folder))
    assert "of the validation subset, averaged over 3 folds." in one.description
    assert "95 % confidence intervals from Student's t over the folds." in one.description


def test_a_line_has_the_color_of_the_smallest_region_with_its_ends():
    body, face = LAYOUT.parts
    names = {name: {*places} for name, places in face.region_points.items()}
    for part in (body, face):
        for start, end in part.limbs:
            found = _region_of(part, start, end)
            having = {name: len(places) for name, places in part.region_points.items() if {start, end} & {*places}}
            assert having.get(found) == min(having.values(), default=None)
    assert _region_of(face, min(names["mouth"])) == "mouth"


def test_the_table_leaves_out_points_that_are_never_visible(folder):
    unseen = losses()
    unseen.loc[unseen["name"].isin(["OuterMouth0", "RWrist"]), "seen"] = 0
    write_importance(folder, unseen)
    (one,) = importances(read_run(folder))
    assert "OuterMouth0" not in set(one.rows["name"])
    assert "InnerMouth3" in set(one.rows["name"])
    assert (one.rows["level"] == "joint").sum() == 12


def test_the_report_has_figures_a_table_and_a_csv_file(folder, tmp_path):
    report = write_report([folder], tmp_path / "out", formats=("svg",))
    page, text = report.page.read_text(), (tmp_path / "out" / "report.md").read_text()
    figures = {
        path.name for path in (tmp_path / "out" / "figures").iterdir() if re.search("keypoints|regions", path.name)
    }
    assert figures == {f"run_{head}_{end}.svg" for head in ("expression", "va") for end in ("keypoints", "regions")}
    section = page.split("<h3>Keypoint importance: expression (7 classes)</h3>")[1].split("<h3>")[0]
    assert section.count("<figure") == 2
    assert section.count('role="img" aria-label="') == 2
    assert "1 OuterMouth0 (face), 2 InnerMouth3 (face)." in section
    assert (
        page.count("Lines are shaded by the drop of their region") == 2
    )  # its label and its caption, and nowhere else
    row = re.search(r'<th scope="row">mouth</th><td>0.550</td><td>.*?</tr>', section)
    assert row
    assert "+0.250" in row[0]
    assert "+0.220 to +0.280" in row[0]
    assert "yes" not in row[0]
    assert re.search(r'<th scope="row">RWrist \(body\)</th><td>0.840</td>.*−0.040', section) is None  # the last by loss
    assert r"| mouth | 0.550 | +0.250 | +0.220 to +0.280 |  |" in text
    table = pd.read_csv(tmp_path / "out" / "importance.csv")
    assert len(table) == 2 * (1 + 2 + 11 + 95)
    assert set(table["run"]) == {"run"}
    assert table.loc[table["name"] == "RWrist", "loss"].iloc[0] == -0.04


def test_a_run_without_the_file_has_no_section_and_a_damaged_file_is_a_one_line_error(folder, tmp_path):
    (folder / FILE).write_text("head,loss\n")
    with pytest.raises(InputError, match=f"{FILE} is damaged: its columns are head, loss; delete it"):
        write_report([folder], tmp_path / "out")
    assert not (tmp_path / "out").exists(), "no half of a report is left"
    (folder / FILE).unlink()
    assert importances(read_run(folder)) == []
    assert not len(importance([read_run(folder)]))


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.assign(part=table["part"].replace("face_70", "horse_5")),  # of a package that is not there
        lambda table: table.assign(name=table["name"].replace("RWrist", "<b>$\\frac")),
        lambda table: table.assign(x=np.nan),
        lambda table: table.assign(x=0.5, y=0.5),
        lambda table: table.assign(low=np.nan, high=np.nan, error=np.nan, groups=1),
        lambda table: table[table["level"] == "none"],
        lambda table: table[table["level"] != "region"],
        lambda table: table.assign(head="another"),
    ],
)
def test_unusual_flags_and_numbers_are_drawn(folder, change):
    write_importance(folder, change(losses()))
    for one in importances(read_run(folder)):
        assert one.description
        for end, caption, figure in drawings(one):
            assert "<b>$" not in to_svg(figure, caption, end)
        assert len([label(row) for _, row in one.rows.iterrows()]) == len(one.rows)


def test_parts_have_names_that_people_use():
    names = ("body_25", "coco_17", "face_70", "hand_left_21", "hand_21x2", "horse_5", "all")
    titles = ["body", "body", "face", "left hand", "hands", "horse", "all"]
    assert [part_title(name) for name in names] == titles


def test_its_figures_and_those_of_two_values_are_files_apart(folder, tmp_path):
    write_report([folder], tmp_path / "out")
    names = sorted(path.stem for path in (tmp_path / "out" / "figures").glob("run_va_*"))
    assert {"run_va_plane", "run_va_plane_errors", "run_va_regions"} <= set(names)
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
