"""Every page but the report's: nothing that axe-core finds, all by keyboard alone, names for a screen reader."""

import csv
import re
import threading
from urllib.parse import urlsplit

import numpy as np
import pytest
import yaml
from browsing import findings, serving
from click.testing import CliRunner
from playwright.sync_api import expect
from small_caches import HEADS, a_cache, a_sequence

import skelemo
from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.inference.live.stream import LiveFrame, LivePerson
from skelemo.skeleton import layout
from skelemo.view.live_page import LivePage

#: Where the focus is, what the element is called, and how thick its outline is.
FOCUSED = """() => { const one = document.activeElement, {outlineStyle, outlineWidth} = getComputedStyle(one);
    const name = one.getAttribute("aria-label") || one.labels?.[0]?.textContent || one.textContent || "";
    return [one === document.body ? "" : one.id || one.tagName.toLowerCase(), name.trim().slice(0, 60),
            outlineStyle === "none" ? 0 : parseFloat(outlineWidth)] }"""
#: Collects what the live page has a screen reader read.
LISTEN = """() => { const news = document.querySelector("#news"); window.told = [];
    new MutationObserver(() => told.push(news.textContent)).observe(news, {childList: true}) }"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    facts = {"fps": 50.0, "width": 400, "height": 400, "splits": {"split": "test"}}
    sequences = [a_sequence(f"clip {n:03}", 40, subject=f"s{n % 5}", expression=np.full(40, n % 3, np.int16), **facts)
                 for n in range(30)]  # fmt: skip
    pair = [a_sequence(f"pair_{side}", 40, video="pair", person=side, width=400, height=400) for side in ("l", "r")]
    return a_cache(tmp_path_factory.mktemp("pages") / "small", *sequences, *pair)


@pytest.fixture
def tab(browser):
    context, wrong = browser.new_context(bypass_csp=True, viewport={"width": 1400, "height": 900}), []
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    context.close()
    assert not wrong


def opened(tab, name):
    expect(tab.locator("#title")).to_have_text(name)
    expect(tab.locator("#player")).not_to_have_class(re.compile("loading"))


def stops(tab, most=80):
    """Names of what Tab reaches, once round the page; every stop has a name and a visible outline."""
    found = []
    for _ in range(most):
        tab.keyboard.press("Tab")
        place, name, outline = tab.evaluate(FOCUSED)
        if found and (not place or (place, name) == found[0]):
            break
        if not place:  # from the end of the page to its top
            continue
        assert name, place
        assert outline >= 2, (place, name)
        found.append((place, name))
    return [name for _, name in found]


def reach(tab, name, most=60):
    """Press Tab until what has this name is focused."""
    for _ in range(most):
        if tab.evaluate(FOCUSED)[1] == name:
            return
        tab.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {name!r}")


def test_the_viewer_has_no_finding_while_it_plays_and_corrects_and_in_its_queue(tab, folder, tmp_path):
    title = "rank,kind,video,person,first,last,score,found,head,value"
    rows = ["1,label,clip 005,,10,19,0.9,rather glad,expression,glad", "2,identity,pair,l,7,7,0.8,jumps,,r"]
    (tmp_path / "suspects.csv").write_text("\n".join([title, *rows]))
    with serving("view", folder, "--queue", tmp_path / "suspects.csv") as address:
        tab.goto(address)
        opened(tab, "clip 005")
        assert findings(tab) == []
        tab.get_by_role("button", name="set the label").click()
        tab.get_by_text("expression: corrected").wait_for()
        tab.keyboard.press("u")
        tab.wait_for_selector("#corrections li.undone")
        tab.get_by_role("button", name="all sequences").click()
        tab.get_by_text("Keys", exact=True).click()
        tab.select_option("[aria-label=speed]", "0.1")
        tab.get_by_role("button", name="play").click()
        assert findings(tab) == []
        expect(tab.get_by_role("button", name="pause")).to_be_visible()
        (folder / "corrections.csv").unlink()


def test_browsing_playing_correcting_and_undoing_with_the_keyboard(tab, folder):
    with serving("view", folder) as address:
        tab.goto(address)
        opened(tab, "clip 000")
        reached = stops(tab)
        for name in ("search", "sequences", "clip 000", "play", "frame", "speed", "zoom", "set the label", "Keys"):
            assert name in reached, (name, reached)
        reach(tab, "sequences")
        for _ in range(3):
            tab.keyboard.press("ArrowDown")
        opened(tab, "clip 003")
        option = tab.locator("#rows").get_by_role("option", selected=True)
        assert tab.get_attribute("#rows", "aria-activedescendant") == option.get_attribute("id")
        expect(option).to_have_accessible_name(re.compile("^clip 003 glad · 40 frames"))
        reach(tab, "clip 003")  # the player
        tab.keyboard.press("Space")
        expect(tab.get_by_role("button", name="pause")).to_be_visible()
        assert tab.get_attribute(".where", "aria-live") == "off"  # no frame after another is read aloud
        tab.keyboard.press("Space")
        assert tab.get_attribute(".where", "aria-live") == "polite"
        for keys in ("Home", "Shift+ArrowRight", "i", "Shift+ArrowRight", "o"):
            tab.keyboard.press(keys)
        assert tab.inner_text("#corrections p") == "Frames 10 to 20"
        expect(tab.get_by_role("img", name="clip 003, frame 20 0.40 s")).to_be_visible()
        assert tab.get_by_role("slider", name="frame").get_attribute("aria-valuetext").startswith("frame 20")
        reach(tab, "class")
        tab.keyboard.type("calm")
        reach(tab, "set the label")
        tab.keyboard.press("Enter")
        tab.get_by_text("expression: corrected").wait_for()
        expect(tab.get_by_role("status").filter(has_text="saved")).to_be_visible()
        assert tab.evaluate(FOCUSED)[1] == "set the label"  # the focus stays where it was
        reach(tab, "undo the last change (U)")
        tab.keyboard.press("Enter")
        tab.wait_for_selector("#corrections li.undone")
        assert tab.evaluate(FOCUSED)[1] == "redo the last undone change"
        reach(tab, "redo expression = calm")
        tab.keyboard.press("Enter")
        expect(tab.locator("#corrections li.undone")).to_have_count(0)
        assert tab.evaluate(FOCUSED)[1] == "undo expression = calm"
        reach(tab, "Keys")
        tab.keyboard.press("Space")
        expect(tab.get_by_text("Space: play or pause")).to_be_visible()
        expect(tab.get_by_role("button", name="play")).to_be_visible()
        tab.keyboard.press("u")
        tab.wait_for_selector("#corrections li.undone")
    (row,) = csv.DictReader((folder / "corrections.csv").open(newline=""))
    assert [row[name] for name in ("video", "first", "last", "value")] == ["clip 003", "10", "20", "calm"]
    assert row["undone"]
    (folder / "corrections.csv").unlink()


def test_the_live_page_has_no_finding_and_tells_a_screen_reader_states_not_frames(tab):
    points = np.random.default_rng(0).uniform(1, 400, (95, 3)).astype(np.float32)
    outputs = {"expression": np.array([0.2, 0.7, 0.1]), "va": np.array([0.5, -0.5])}
    with LivePage("runs/ann", HEADS, layout(), (400, 400)) as served:

        def publish():
            for number in range(10**6):
                if ended.wait(0.05):
                    return
                people = tuple(LivePerson(name, True, points, outputs) for name in ("person0", "person1"))
                served.publish(LiveFrame("take", number, number / 25, people, HEADS, 0.001 * (number % 9)))

        ended, camera = threading.Event(), threading.Thread(target=publish)
        camera.start()
        try:
            tab.goto(served.address)
            expect(tab.locator("#people button")).to_have_count(2)
            expect(tab.locator("#news")).to_have_text("receiving frames")
            before = tab.inner_text("#where")
            tab.evaluate(LISTEN)
            assert findings(tab) == []
            tab.get_by_role("button", name="person1").press("Enter")
            expect(tab.get_by_role("button", name="person1", pressed=True)).to_be_visible()
            assert {"person0", "person1"} <= {*stops(tab)}
            expect(tab.get_by_role("img", name="sad 70 %")).to_be_visible()
            expect(tab.get_by_role("img", name="valence +0.50, arousal −0.50")).to_be_visible()
            assert tab.inner_text("#where") != before
            assert tab.evaluate("told") == []
        finally:
            ended.set()
            camera.join()
        expect(tab.get_by_role("status")).to_have_text("no frames", timeout=8000)
        assert tab.evaluate("told") == ["no frames"]


def test_the_live_page_keeps_no_prediction_when_the_connection_is_lost(tab):
    points, outputs = np.full((95, 3), 100, np.float32), {"expression": np.array([0.2, 0.7, 0.1])}
    with LivePage("runs/ann", HEADS[:1], layout(), (400, 400)) as served:
        tab.goto(served.address)
        served.publish(LiveFrame("take", 0, 0.0, (LivePerson("person0", True, points, outputs),), HEADS[:1]))
        expect(tab.get_by_role("img", name="sad 70 %")).to_be_visible()
    expect(tab.get_by_role("status")).to_have_text("disconnected, reconnecting")
    expect(tab.get_by_role("img", name="no prediction")).to_be_visible()
    with LivePage("runs/ann", HEADS[:1], layout(), (400, 400), port=urlsplit(served.address).port):
        expect(tab.get_by_role("status")).to_have_text("restarted: open the address that skelemo printed")


def test_the_tune_page_has_no_finding(tab, folder, tmp_path):
    base = {"data": str(folder), "head": "expression", "split": "holdout:0.2", "every": 20, "epochs": 1, "parts": "all"}
    search = {"base": base, "space": {"lr": [0.001, 0.01], "dropout": [0.0, 0.2]}, "trials": 3}
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(search))
    ended = CliRunner().invoke(main, ["tune", str(tmp_path / "search.yaml"), "--out", str(tmp_path / "out")])
    assert ended.exit_code == 0, ended.output
    tab.goto((tmp_path / "out" / "search.html").as_uri())
    assert findings(tab) == []
    assert {"figure 1", "figure 2", "trials"} <= {*stops(tab)}


def test_notebook_cells_and_the_page_of_samples_are_accessible(tab, folder, tmp_path):
    cache = open_cache(folder)
    one = skelemo.show(cache, 0).save(tmp_path / "one.html")
    several = skelemo.show(cache, 0, 31).save(tmp_path / "several.html")
    for page, title in ((one, "clip 000"), (several, "2 clips")):
        tab.goto(page.as_uri())
        assert findings(tab) == []
        expect(tab.get_by_role("heading", name=title)).to_be_visible()
        assert tab.get_by_text(title, exact=True).locator("visible=true").count() == 1
    reached = stops(tab)
    assert [name for name in reached if name in ("clip 000", "pair_r")] == ["clip 000", "pair_r"]
    ended = CliRunner().invoke(main, ["show", str(folder), "--out", str(tmp_path / "samples")])
    assert ended.exit_code == 0, ended.output
    tab.goto((tmp_path / "samples" / "samples.html").as_uri())
    assert findings(tab) == []
    stops(tab)
