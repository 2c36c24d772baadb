import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from skelemo.errors import ConfigError, InputError
from skelemo.report.report import write_report
from skelemo.runs.folder import read_run
from skelemo.runs.predictions import write_predictions

SMALL = {"subjects": 4, "videos": 2, "frames": 5, "epochs": 5}
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """What a browser would make of a page: its tags, its text, whether every tag is closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture
def runs(tmp_path: Path, run_folder: Callable[..., Path]) -> list[Path]:
    """Two runs of the expression head, for tests that write reports of their own."""
    return [run_folder(tmp_path / "runs" / name, arch=name, heads=["expression"], **SMALL) for name in ("ann", "tcn")]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, run_folder: Callable[..., Path]) -> tuple[list[Path], Path]:
    """Three runs and a report of them, for tests that only read it."""
    folder = tmp_path_factory.mktemp("written")
    made = [("ann", "sgd"), ("ann", "adam"), ("resnet18", "adam")]
    runs = [run_folder(folder / f"{arch}-{opt}", arch=arch, optimizer=opt, seed=3, **SMALL) for arch, opt in made]
    write_report(runs, folder / "out", title="First comparison")
    return runs, folder / "out"


def read(folder: Path) -> Page:
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    return page


def figure_of(run: Path, head: str, name: str) -> str:
    return f"{json.loads((run / 'scores.json').read_text())['test'][head][name]['value']:.3f}"


def test_the_optimizer_is_spelled_alike_in_headings_and_tables(written: tuple[list[Path], Path]) -> None:
    text = read(written[1]).text
    assert "ann, SGD, seed 3." in text
    assert "ann, Adam, seed 3." in text
    assert "ann, sgd" not in text


def test_the_page_is_self_contained(written: tuple[list[Path], Path]) -> None:
    _, out = written
    page = read(out)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action"):
            target = attributes.get(name) or ""
            assert target.startswith(("#", "figures/")) or not target, (tag, target)
            if target.startswith("figures/"):
                assert (out / target).is_file()
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_every_link_within_the_page_leads_somewhere(written: tuple[list[Path], Path]) -> None:
    page = read(written[1])
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        target = attributes.get("href") or ""
        assert not target.startswith("#") or target[1:] in ids


def test_the_tables_hold_the_scores_of_the_runs(written: tuple[list[Path], Path]) -> None:
    runs, out = written
    page, markdown = read(out).text, (out / "report.md").read_text(encoding="utf-8")
    assert "First comparison" in page
    assert "Macro F1 by architecture and optimizer" in page
    for run in runs:
        for head, name in (
            ("expression", "macro_f1"),
            ("expression", "uar"),
            ("va", "ccc_mean"),
            ("va", "rmse_arousal"),
        ):
            assert figure_of(run, head, name) in page
            assert figure_of(run, head, name) in markdown
    assert re.search(r"\| ann \| (\*\*)?0\.\d{3}(\*\*)? \| (\*\*)?0\.\d{3}", markdown)
    assert re.search(r"\| resnet18 \| – \| (\*\*)?0\.", markdown)


def test_simulated_data_are_called_so_first(
    written: tuple[list[Path], Path], tmp_path: Path, run_folder: Callable[..., Path]
) -> None:
    runs, out = written
    said = "All scores here were obtained on simulated actors."
    assert f"Simulated data. {said}" in read(out).text
    markdown = (out / "report.md").read_text(encoding="utf-8")
    assert markdown.index(f"**Simulated data.** {said}") < markdown.index("##")
    real = run_folder(tmp_path / "real", heads=["va"], simulated=False, **SMALL)
    write_report([runs[0], real], tmp_path / "mixed", formats=[])
    assert "The scores of ann-sgd were obtained on simulated actors." in read(tmp_path / "mixed").text
    simulated = pd.read_csv(tmp_path / "mixed" / "overview.csv").groupby("run")["simulated"].all()
    assert simulated.to_dict() == {"ann-sgd": True, "real": False}
    write_report([real], tmp_path / "none", formats=[])
    assert "imulated" not in read(tmp_path / "none").text.split("Environment", 2)[1]


def test_the_page_states_the_basis_of_the_scores(written: tuple[list[Path], Path]) -> None:
    text = read(written[1]).text
    for said in (
        "actors, simulated actors, content e9a1d70d",
        "60 train, 8 validation, 8 test",
        "40 windows",
        "as given with the labels; no subject crosses subsets",
        "n/a (4 subjects)",
        "highest mean of macro F1 and mean CCC on the validation subset; the test subset was scored once",
        "All runs are scored on the same windows.",
    ):
        assert said in text


def test_a_run_without_a_test_part_is_shown_on_validation_with_a_warning(
    tmp_path: Path, run_folder: Callable[..., Path]
) -> None:
    write_report([run_folder(tmp_path / "run", subsets=["validation"], **SMALL)], tmp_path / "out", formats=[])
    text = read(tmp_path / "out").text
    assert "actors, split given, validation subset" in text
    assert "There is no test subset." in text


def test_names_of_runs_classes_and_data_are_data(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    evil = '"><script>alert(1)</script>'
    classes = [evil, "a|b", "{{ 7 * 107 }}", "$x$"]
    run = run_folder(tmp_path / "<img src=x onerror=alert(1)>", classes=classes, caches=[f"cache/{evil}"], **SMALL)
    write_report([run], tmp_path / "out", title=f"{evil} {{{{ 7 * 107 }}}}")
    page = read(tmp_path / "out")
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert evil in page.text
    assert "{{ 7 * 107 }}" in page.text
    assert "749" not in page.text.split("Contents")[0]
    markdown = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "<script>" not in markdown.replace("\\<script\\>", "")
    assert "a\\|b" in markdown
    assert all(
        re.fullmatch(r"[\w./-]+", str(path.relative_to(tmp_path / "out"))) for path in (tmp_path / "out").rglob("*")
    )


UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\ufffe\uffff]")


def test_names_with_control_characters_leave_every_file_readable(
    tmp_path: Path, run_folder: Callable[..., Path]
) -> None:
    classes = ["red \x1b[31m", "bell\x07", "reversed \u202eabc", "none \ufffe", "=1+1"]
    settings = {"note": "escape \x1b]0;title\x07"}
    runs = [run_folder(tmp_path / name, classes=classes, settings=settings, **SMALL) for name in ("a\x1b[1m", "-b")]
    write_report(runs, tmp_path / "out", formats=("svg", "pdf"), ensemble=True)
    files = [path for path in (tmp_path / "out").rglob("*") if path.suffix in {".html", ".md", ".csv", ".svg", ".json"}]
    for path in files:
        assert not UNSEEN.search(path.read_text(encoding="utf-8")), path
    figures = [ElementTree.parse(path) for path in files if path.suffix == ".svg"]
    assert len(figures) > 4
    assert "red \\x1b[31m" in read(tmp_path / "out").text
    assert "-b" in read(tmp_path / "out").text


def test_csv_tables_hold_no_formula_unless_asked_for(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    run = run_folder(tmp_path / "=A1", classes=["=1+1", "@b", "-c", "d=d"], **SMALL)
    write_report([run], tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "per_class.csv")
    assert table["class"].tolist() == ["'=1+1", "'@b", "'-c", "d=d"]
    assert set(table["run"]) == {"'=A1"}
    confusion = pd.read_csv(next((tmp_path / "out").glob("confusion_*.csv")))
    assert confusion.columns.tolist()[1:] == ["'=1+1", "'@b", "'-c", "d=d"]
    assert confusion.iloc[:, 0].tolist() == ["'=1+1", "'@b", "'-c", "d=d"]
    write_report([run], tmp_path / "out", raw=True)
    assert pd.read_csv(tmp_path / "out" / "per_class.csv")["class"].tolist() == ["=1+1", "@b", "-c", "d=d"]


@pytest.mark.parametrize("heads", [["expression"], ["va"]])
def test_a_run_with_one_head_is_reported_without_the_other(
    heads: list[str], tmp_path: Path, run_folder: Callable[..., Path]
) -> None:
    write_report([run_folder(tmp_path / "run", heads=heads, **SMALL)], tmp_path / "out", formats=[])
    text = read(tmp_path / "out").text
    assert ("Expression (7 classes)" in text) == (heads == ["expression"])
    assert ("Valence and arousal" in text) == (heads == ["va"])
    assert (tmp_path / "out" / "confusion_run_expression.csv").exists() == (heads == ["expression"])


def test_folds_are_shown_with_their_mean(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    run = run_folder(tmp_path / "run", folds=3, **SMALL)
    write_report([run], tmp_path / "out", formats=[])
    mean = json.loads((run / "scores.json").read_text())["test"]["expression"]["fold_mean"]["uar"]["mean"]
    assert f"{mean:.3f}" in read(tmp_path / "out").text
    assert "Expression (7 classes) by fold" in read(tmp_path / "out").text
    table = pd.read_csv(tmp_path / "out" / "folds.csv")
    assert table[table["head"] == "expression"]["uar"].mean() == pytest.approx(mean)


def test_csv_tables_hold_every_figure(written: tuple[list[Path], Path]) -> None:
    runs, out = written
    overview = pd.read_csv(out / "overview.csv").set_index(["head", "run"])
    scores = json.loads((runs[2] / "scores.json").read_text())["test"]
    for head, name in (("expression", "macro_f1"), ("va", "ccc_valence")):
        assert overview.loc[(head, "resnet18-adam"), name] == pytest.approx(scores[head][name]["value"])
    confusion = pd.read_csv(out / "confusion_ann-adam_expression.csv", index_col=0)
    assert confusion.to_numpy().sum() == 40
    assert list(confusion.index) == list(confusion.columns)
    assert len(pd.read_csv(out / "per_class.csv")) == 3 * 7


def test_an_ensemble_is_shown_as_a_run(runs: list[Path], tmp_path: Path) -> None:
    report = write_report(runs, tmp_path / "out", ensemble=True)
    assert [run.name for run in report.comparisons[0].runs][-1] == "ensemble"
    text = read(tmp_path / "out").text
    assert "2 runs and their ensemble" in text
    assert "The mean of the predictions of ann, tcn" in text
    assert "ensemble of 2" in text


def test_an_ensemble_beside_a_run_called_ensemble_has_rows_of_its_own(
    tmp_path: Path, run_folder: Callable[..., Path]
) -> None:
    made = [run_folder(tmp_path / name, arch=name, seed=seed, **SMALL) for seed, name in enumerate(("ensemble", "ann"))]
    write_report(made, tmp_path / "out", ensemble=True, formats=[])
    for name, rows in (("recordings", 2 * (4 + 8)), ("regions", 17), ("overview", 2)):
        table = pd.read_csv(tmp_path / "out" / f"{name}.csv")
        assert table["run"].value_counts().to_dict() == {"ensemble": rows, "ann": rows, "ensemble~2": rows}


def test_runs_with_one_name_are_distinguished_by_folder(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    runs = [run_folder(tmp_path / place / "ann", heads=["expression"], **SMALL) for place in ("first", "second")]
    report = write_report(runs, tmp_path / "out", formats=[])
    assert [run.name for run in report.comparisons[0].runs] == ["first/ann", "second/ann"]
    assert (tmp_path / "out" / "confusion_second_ann_expression.csv").exists()
    with pytest.raises(InputError, match="given twice"):
        write_report([runs[0], tmp_path / "first" / ".." / "first" / "ann"], tmp_path / "other")


def test_figures_come_in_the_formats_asked_for(runs: list[Path], tmp_path: Path) -> None:
    write_report(runs[:1], tmp_path / "out", formats=["pdf", "png"])
    assert {path.suffix for path in (tmp_path / "out" / "figures").iterdir()} == {".pdf", ".png"}
    assert "![" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="unknown format of figures 'gif'"):
        write_report(runs[:1], tmp_path / "other", formats=["gif"])


def test_updating_a_report_removes_stale_files(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_report(runs, out)
    (out / "notes.txt").write_text("mine")
    write_report(runs[:1], out)
    assert (out / "notes.txt").read_text() == "mine"
    assert not (out / "confusion_tcn.csv").exists()
    assert not list((out / "figures").glob("tcn*"))
    left = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert left == {*json.loads((out / "report.json").read_text())["files"], "report.json", "notes.txt"}


@pytest.mark.parametrize("where", ["report.page.html", "report.report._Writer.draw", "atomic.os.replace"])
def test_a_killed_report_can_be_written_again(tmp_path: Path, run_folder: Callable[..., Path], where: str) -> None:
    run, out = run_folder(tmp_path / "run", heads=["expression"], **SMALL), tmp_path / "out"
    code = (
        "import os, pathlib, sys\n"
        "from skelemo import atomic\n"
        "from skelemo.report import page, report\n"
        "import skelemo\n"
        f"skelemo.{where} = lambda *_: os._exit(9)\n"
        "report.write_report([pathlib.Path(sys.argv[1])], pathlib.Path(sys.argv[2]), formats=['png'])\n"
    )
    assert subprocess.run([sys.executable, "-c", code, run, out], check=False).returncode == 9
    assert any(out.iterdir())
    write_report([run], out, formats=["svg"])
    listed = json.loads((out / "report.json").read_text())["files"]
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {name for name in there if not name.startswith(".partial-")} == {*listed, "report.json"}


def test_an_interrupted_report_can_be_written_again(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("skelemo.report.page.html", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_report(runs[:1], tmp_path / "out")
    assert not (tmp_path / "out" / "report.html").exists()
    write_report(runs[1:], tmp_path / "out")
    assert not list((tmp_path / "out" / "figures").glob("ann*"))


def test_a_folder_with_other_things_is_refused_unless_forced(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match="contains other files: choose"):
        write_report(runs[:1], out)
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]
    write_report(runs[:1], out, force=True)
    assert (out / "thesis.tex").read_text() == "x"
    with pytest.raises(ConfigError, match="is a file"):
        write_report(runs[:1], out / "thesis.tex")


def test_a_forged_manifest_removes_nothing_outside(runs: list[Path], tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("x")
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.json").write_text(json.dumps({"files": ["../precious", str(precious), "figures/../../precious"]}))
    write_report(runs[:1], out)
    assert precious.read_text() == "x"


def test_an_unfinished_run_leaves_no_report_behind(runs: list[Path], tmp_path: Path) -> None:
    (runs[1] / "scores.json").unlink()
    with pytest.raises(InputError, match="its training has not finished"):
        write_report(runs[1:2], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="at least one run folder"):
        write_report([], tmp_path / "out")


def test_a_run_without_labels_has_no_scores(tmp_path: Path, run_folder: Callable[..., Path]) -> None:
    run = run_folder(tmp_path / "run", **SMALL)
    read_back = read_run(run)
    unlabeled = read_back.predictions.assign(expression="", va_valence=np.nan, va_arousal=np.nan)
    write_predictions(run / "predictions.parquet", unlabeled, read_back.heads)
    (run / "scores.json").write_text("{}")
    write_report([run], tmp_path / "out", formats=[])
    assert "No scores: the run has no labeled windows" in read(tmp_path / "out").text
