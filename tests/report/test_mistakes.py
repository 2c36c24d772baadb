"""The worst answers of a run, from the training that keeps them to the page that plays them."""

import re
import shutil
from pathlib import Path

import axe_core_python
import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect, sync_playwright
from small_caches import BODY_AND_FACE, HEADS, a_cache, a_sequence
from test_report_importance import losses

from skelemo.cache.shard import Header
from skelemo.cache.store import open_cache
from skelemo.data.corpus import load_corpus
from skelemo.data.mistakes import CLIP_FRAMES, find_mistakes, missing_groups, rows_of, visible_groups
from skelemo.errors import InputError
from skelemo.preprocess import Preparation
from skelemo.report.mistakes import PAGE_BYTES, RUN_BYTES, _describe, _labels, gallery
from skelemo.report.report import write_report
from skelemo.runs.folder import read_run
from skelemo.runs.importance import write_importance
from skelemo.runs.mistakes import FILE, Mistake, prediction_errors, read_mistakes, worst_windows, write_mistakes
from skelemo.skeleton import layout
from skelemo.targets import VA, Head

MOOD = Head("mood", "classes", ("glad", "sad"))
UNITS = Head("au", "flags", ("AU1", "AU2"))
BODY = layout("body_25")


def test_a_mistake_is_as_bad_as_it_was_sure():
    table = pd.DataFrame({"mood": ["glad", "sad", "glad", "", "sad"], "mood_p_glad": [0.9, 0.7, 0.2, 0.3, 0.6]})
    table["mood_p_sad"] = 1 - table["mood_p_glad"]
    table["sequence"] = ["a", "b", "c", "d", "b"]
    assert prediction_errors(table, MOOD) == pytest.approx([np.nan, 0.7, 0.8, np.nan, 0.6], nan_ok=True)
    assert worst_windows(table, MOOD, 4).tolist() == [2, 1]  # one of each sequence
    assert worst_windows(table, MOOD, 1).tolist() == [2]


def test_values_are_as_bad_as_their_error_and_flags_as_their_surest_mistake():
    values = pd.DataFrame({"va_valence": [0.5, np.nan, np.nan], "va_arousal": [0.0, 0.25, np.nan]})
    values = values.assign(va_valence_predicted=[0.0, 0.3, 0.1], va_arousal_predicted=[-0.25, 0.0, 0.2])
    assert prediction_errors(values, VA) == pytest.approx([0.375, 0.25, np.nan], nan_ok=True)
    flags = pd.DataFrame({"au_AU1": [1, 0, np.nan], "au_AU2": [0, 0, 1]}).assign(au_AU1_p=[0.2, 0.1, 0.9])
    flags["au_AU2_p"] = [0.6, 0.3, 0.45]
    assert prediction_errors(flags, UNITS) == pytest.approx([0.8, np.nan, 0.55], nan_ok=True)


def corpus_of(folder, *sequences, header=BODY_AND_FACE):
    return load_corpus(open_cache(a_cache(folder, *sequences, header=header)), Preparation(max_gap=0), ())


def test_a_clip_has_the_recorded_keypoints_around_the_mistake(tmp_path):
    long = a_sequence("long", 200, points=95, fps=25.0, width=640, height=480)
    corpus = corpus_of(tmp_path / "cache", a_sequence("short", 5, points=95), long)
    head = Head("expression", "classes", ("glad", "sad", "calm"))
    table = pd.DataFrame({"fold": 1, "sequence": ["long", "short"], "frame": [120, 4], "expression": "glad",
                          "expression_p_glad": 0.1, "expression_p_sad": 0.7, "expression_p_calm": 0.2})  # fmt: skip
    assert rows_of(corpus, table).tolist() == [5 + 120, 4]
    strange = pd.DataFrame({"sequence": ["none", "long", "short", "long"], "frame": [0, 999, 5, 0]})
    assert rows_of(corpus, strange).tolist() == [-1, -1, -1, 5]
    first, second = find_mistakes(corpus, table, [head], 4)
    assert (first.sequence, first.frame, first.fps, first.size) == ("long", 120, 25.0, (640, 480))
    assert first.numbers.tolist() == list(range(120 - CLIP_FRAMES // 2, 120 - CLIP_FRAMES // 2 + CLIP_FRAMES))
    np.testing.assert_array_equal(first.points, long.keypoints[first.numbers])
    assert second.numbers.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("frame", "first"), [(3, 0), (195, 200 - CLIP_FRAMES)])
def test_a_clip_at_either_end_of_a_recording_is_as_long_as_any(tmp_path, frame, first):
    corpus = corpus_of(tmp_path / "cache", a_sequence("long", 200, points=95))
    table = pd.DataFrame({"fold": [1], "sequence": "long", "frame": frame, "va_valence": 0.5, "va_arousal": 0.5,
                          "va_valence_predicted": 0.0, "va_arousal_predicted": 0.0})  # fmt: skip
    (found,) = find_mistakes(corpus, table, [VA], 1)
    assert found.numbers.tolist() == list(range(first, first + CLIP_FRAMES))


@pytest.mark.parametrize(("size", "units"), [((640, 480), (640, 480)), ((0, 0), (1, 1))])
def test_a_clip_of_relative_coordinates_has_pixels_if_the_size_is_known(tmp_path, size, units):
    sequence = a_sequence("unit", 3, points=95, scale="unit", width=size[0], height=size[1])
    corpus = corpus_of(tmp_path / "cache", sequence)
    table = pd.DataFrame({"fold": [1], "sequence": "unit", "frame": 1, "va_valence": 0.5, "va_arousal": 0.5,
                          "va_valence_predicted": 0.0, "va_arousal_predicted": 0.0})  # fmt: skip
    (found,) = find_mistakes(corpus, table, [VA], 1)
    assert found.size == size
    np.testing.assert_allclose(found.points, sequence.keypoints * [*units, 1], rtol=0.005)


def test_windows_are_grouped_by_missing_and_visible_points(tmp_path):
    keypoints = np.full((4, 95, 3), 50, np.float32)
    keypoints[..., 2] = 1
    keypoints[1, :10] = 0  # 10 of 95 points: 10.5 %
    keypoints[2, 25:] = 0  # the face: 74 %
    keypoints[3] = 0
    corpus = corpus_of(tmp_path / "cache", a_sequence("one", 4, points=95, keypoints=keypoints))
    rows = np.arange(4)
    assert missing_groups(corpus, rows, clips=False).tolist() == ["0 to 10 %", "10 to 25 %", "over 50 %", "over 50 %"]
    assert visible_groups(corpus, rows, clips=False).tolist() == ["body and face", "body and face", "body", "nothing"]
    # Of the whole clip 0, 10, 70 and 95 of 95 points are missing: 46 %.
    assert missing_groups(corpus, rows[2:3], clips=True).tolist() == ["25 to 50 %"]
    assert visible_groups(corpus, rows[2:3], clips=True).tolist() == ["body and face"]


def test_a_share_on_the_border_of_two_groups_belongs_to_the_upper_one(tmp_path):
    """A tenth, just under a half, and a half of 70 points are missing."""
    keypoints = np.ones((3, 70, 3), np.float32)
    keypoints[0, :7] = keypoints[1, :34] = keypoints[2, :35] = 0
    face = Header("face_70", HEADS)
    corpus = corpus_of(tmp_path / "cache", a_sequence("one", 3, points=70, keypoints=keypoints), header=face)
    assert missing_groups(corpus, np.arange(3), clips=False).tolist() == ["10 to 25 %", "25 to 50 %", "over 50 %"]


def a_mistake(run, head, place=0, **facts):
    table = run.windows.reset_index(drop=True)
    window = table.iloc[worst_windows(table, run.head(head), place + 1)[place]]
    points = np.random.default_rng(0).uniform(10, 90, (21, 25, 3)).astype(np.float32)
    points[..., 2] = 1
    numbers = np.arange(0, 210, 10)
    known = {"numbers": numbers, "points": points, "layout": BODY, "fps": 25.0, "size": (100, 100)}
    return Mistake(head, int(window["fold"]), str(window["sequence"]), int(window["frame"]), **known | facts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, run_folder):
    path = run_folder(tmp_path_factory.mktemp("runs") / "a <b> run", subjects=4, videos=2, frames=20, epochs=4)
    run = read_run(path)
    write_mistakes(path, [a_mistake(run, head, place) for head in ("expression", "va") for place in range(3)])
    write_importance(path, losses())  # for what anyone can use
    return path


def test_clips_round_trip_and_damage_is_a_one_line_error(folder, tmp_path):
    first, *_ = read_mistakes(folder)
    expected = a_mistake(read_run(folder), "expression")
    assert (first.sequence, first.frame, first.layout) == (expected.sequence, expected.frame, BODY)
    np.testing.assert_array_equal(first.points, expected.points)
    assert read_mistakes(tmp_path) == ()
    content = (folder / FILE).read_bytes()
    for damaged in (b"", content[:500], content.replace(b"body_25", b"body_26"), content.replace(b"frame", b"fname")):
        (tmp_path / FILE).write_bytes(damaged)
        with pytest.raises(InputError, match=f"{FILE} is damaged"):
            read_mistakes(tmp_path)


def test_a_clip_describes_label_and_prediction(folder):
    run = read_run(folder)
    (played,) = gallery([run]).by_run
    table = run.windows.reset_index(drop=True)
    worst = table.iloc[worst_windows(table, run.head("expression"), 1)[0]]
    sure = table.loc[worst.name, [f"expression_p_{name}" for name in run.head("expression").outputs]].max()
    told = f"{worst['expression']} predicted as {worst['expression_predicted']}, probability {sure:.2f}"
    assert played[0].description == told
    assert played[0].where.endswith(f"frame {worst['frame']:,}")
    assert played[1].description.startswith("valence ")


def test_flags_and_values_are_described_by_their_worst_output():
    window = {"au_AU1": [1], "au_AU2": [0], "au_AU1_p": [0.25], "au_AU2_p": [0.6]}
    assert _describe(pd.DataFrame(window), UNITS) == "AU1 is present, predicted absent with probability 0.75"
    window |= {"au_AU1": [np.nan]}
    assert _describe(pd.DataFrame(window), UNITS) == "AU2 is absent, predicted present with probability 0.60"
    head = Head("mood", "values", ("self-esteem", "energy"), -1, 1)
    window = {"mood_self-esteem": [-0.5], "mood_energy": [np.nan], "mood_self-esteem_predicted": [0.25]}
    described = _describe(pd.DataFrame(window | {"mood_energy_predicted": [0.1]}), head)
    assert described == "self-esteem −0.50, predicted 0.25"


def test_a_label_of_a_clip_is_that_of_all_its_frames():
    clip = _labels(MOOD, np.array([1]), np.array([3]), 8)
    assert clip.values.shape[0] == 8
    assert (clip.values == clip.values[:1]).all()
    frames = _labels(MOOD, np.array([1, 0]), np.array([3, 5]), 8)
    assert frames.at.tolist() == [3, 5]


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
    return write_report([folder], tmp_path_factory.mktemp("report") / "out").page


def test_without_clips_there_is_no_script_and_omitted_clips_are_counted(folder, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(FILE))
    assert not gallery([read_run(copy)]).plays
    run = read_run(folder)
    (six,) = gallery([run]).by_run
    monkeypatch.setattr("skelemo.report.mistakes.MOST_BYTES", len(six[0].html) + len(six[1].html) + 100)
    few = gallery([run, run])
    assert [[one.description for one in some] for some in few.by_run] == [[six[0].description], [six[0].description]]
    assert few.left == 10
    beside = PAGE_BYTES - 2 * RUN_BYTES - len(six[0].html) - 100  # figures leave room for one clip
    assert [len(some) for some in gallery([run, run], beside).by_run] == [1, 0]
    assert gallery([run], 2 * PAGE_BYTES).left == 6


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_mistakes_play_in_the_self_contained_accessible_page(page):
    assert page.stat().st_size < 10_000_000
    axe = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
    wrong: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 390, "height": 800})
        tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("request", lambda one: wrong.append(one.url) if one.url != page.as_uri() else None)
        tab.goto(page.as_uri())
        player = tab.locator(".skelemo-player").first
        shown = int(re.search(r"frame (\d+)", player.locator(".where").inner_text())[1])
        assert f"frame {shown}" in tab.locator(".clips figcaption").first.inner_text()  # opens at the mistake
        player.get_by_role("button", name="next frame").click()
        assert f"frame {shown + 10}" in player.locator(".where").inner_text()
        player.press("Home")
        player.get_by_role("button", name="play").click()
        expect(player.locator(".where")).to_contain_text(re.compile(r"frame (\d\d)\d"), timeout=3000)
        assert player.locator(".track .name").all_inner_texts() == ["expression: label", "expression: predicted"]
        assert tab.locator(".skelemo-player").count() == 6
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
        assert not wrong
        for scheme in ("light", "dark"):
            other = browser.new_context(color_scheme=scheme, bypass_csp=True, viewport={"width": 390, "height": 800})
            tab = other.new_page()
            tab.goto(page.as_uri())
            tab.evaluate(axe)
            found = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")
            assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
        browser.close()


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_printed_pages_are_complete(page):
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 680, "height": 1000})  # A4 between margins of 1.5 cm
        tab.goto(page.as_uri())
        hidden = tab.locator("details:not([open]) table")
        assert hidden.count()
        assert not hidden.first.is_visible()
        tab.emulate_media(media="print")
        assert all(one.is_visible() for one in hidden.all())
        edges = tab.evaluate(
            "[...document.querySelectorAll('table, svg, canvas')].map(e => e.getBoundingClientRect().right)"
        )
        assert max(edges) <= 680
        assert not tab.locator(".skelemo-player .bar").first.is_visible()
        stage = tab.locator(".skelemo-player .stage").first
        assert stage.evaluate("e => getComputedStyle(e).printColorAdjust") == "exact"
        assert tab.pdf(format="A4").startswith(b"%PDF")
        browser.close()
