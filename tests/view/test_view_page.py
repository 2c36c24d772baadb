"""The viewer in a real browser, as somebody uses it: browse, play, correct, undo, save, reload, two tabs at once."""

import csv
import re

import numpy as np
import pytest
from browsing import serving
from playwright.sync_api import expect
from small_caches import a_cache, a_sequence


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    sequences = [a_sequence(f"clip {n:03}", 40, subject=f"s{n % 5}", fps=50.0, width=400, height=400,
                            expression=np.full(40, n % 3, np.int16), seed=n) for n in range(300)]  # fmt: skip
    pair = [a_sequence(f"pair_{side}", 40, video="pair", person=side, width=400, height=400) for side in ("l", "r")]
    return a_cache(tmp_path_factory.mktemp("view") / "small", *sequences, *pair)


@pytest.fixture(scope="module")
def address(folder):
    with serving("view", folder) as found:
        yield found


@pytest.fixture
def tab(browser, address):
    wrong: list[str] = []
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(30_000)
    watch(page, wrong)
    page.goto(address)
    yield page
    page.close()
    assert not wrong


def watch(page, wrong):
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: wrong.append(request.url) if "//127.0.0.1:" not in request.url else None)


def opened(tab, name):
    expect(tab.locator("#title")).to_have_text(name)
    expect(tab.locator("#player")).not_to_have_class(re.compile("loading"))


def table(folder):
    with (folder / "corrections.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def corrections(tab):
    return tab.locator("#corrections li b").all_inner_texts()


def test_browsing_filters_scrolls_and_opens(tab):
    opened(tab, "clip 000")
    assert tab.inner_text("#total") == "302 of 302 sequences"
    assert tab.locator("#rows .row").count() < 40  # only those on the screen
    tab.fill("#filters [name=text]", "clip 29")
    expect(tab.locator("#total")).to_have_text(re.compile("^13 of"))
    tab.locator("#rows").get_by_text("clip 293").click()
    opened(tab, "clip 293")
    tab.locator("#rows").press("ArrowDown")
    opened(tab, "clip 294")
    tab.locator("#player").press("p")
    opened(tab, "clip 293")
    tab.fill("#filters [name=text]", "")
    expect(tab.locator("#total")).to_have_text(re.compile("^302 of"))
    tab.eval_on_selector("#rows", "box => { box.scrollTop = box.scrollHeight; }")
    tab.get_by_text("pair_r").click()
    opened(tab, "pair_r")
    tab.select_option("#filters [name=label]", "expression:sad")
    expect(tab.locator("#total")).to_have_text(re.compile("^102 of"))


def test_playing_steps_scrubs_and_ends(tab):
    opened(tab, "clip 000")
    tab.locator("#player").press("ArrowRight")
    tab.locator("#player").press("Shift+ArrowRight")
    assert tab.inner_text(".where").split() == ["frame", "11", "0.22", "s"]
    assert tab.locator(".words").first.inner_text() == "glad"
    box = tab.locator(".tracks").bounding_box()
    tab.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + 30)
    assert tab.inner_text(".where").startswith("frame 20")
    assert re.search(r"Missing: body_25 \d+ of 25|No point", tab.inner_text(".absent"))
    tab.get_by_role("button", name="play").click()
    expect(tab.locator(".where")).to_have_text(re.compile("^frame 39"))
    tab.wait_for_selector("button[aria-label=play]")  # it has stopped by itself
    colored = """canvas => { const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        let found = 0; for (let i = 0; i < data.length; i += 4) found += data[i] * data[i + 3] > 3e4; return found }"""
    assert tab.eval_on_selector(".stage canvas", colored) > 300


def test_correcting_is_saved_undone_and_there_after_reloading_and_in_another_tab(tab, browser, address, folder):
    other, wrong = browser.new_page(), []
    watch(other, wrong)
    other.goto(f"{address}#1")
    opened(other, "clip 001")
    tab.goto(f"{address}#1")
    tab.reload()
    opened(tab, "clip 001")
    for keys in ("Home", "Shift+ArrowRight", "i", "Shift+ArrowRight", "o"):
        tab.locator("#player").press(keys)
    assert tab.inner_text("#corrections p") == "Frames 10 to 20"
    tab.select_option("[aria-label=class]", "calm")
    tab.fill("[aria-label=note]", "calm, not sad")
    tab.get_by_role("button", name="set the label").click()
    tab.get_by_text("expression: corrected").wait_for()
    assert corrections(tab) == ["expression = calm"]
    (row,) = table(folder)
    assert [row[name] for name in ("video", "first", "last", "action", "value")] == [
        "clip 001",
        "10",
        "20",
        "set",
        "calm",
    ]
    assert row["author"]
    assert row["note"] == "calm, not sad"
    other.get_by_text("expression: corrected").wait_for(timeout=5000)  # it looks by itself
    other.get_by_role("button", name="mark the label as unsure").click()
    expect(other.locator("#corrections li")).to_have_count(2)
    expect(tab.locator("#corrections li")).to_have_count(2)
    assert [row["action"] for row in table(folder)] == ["set", "unsure"]
    tab.locator("#player").press("u")
    tab.wait_for_selector("#corrections li.undone")
    assert [bool(row["undone"]) for row in table(folder)] == [False, True]
    tab.reload()
    opened(tab, "clip 001")
    assert corrections(tab) == ["expression unsure", "expression = calm"]
    assert tab.get_by_text("expression: corrected").count() == 1
    tab.locator("#player").press("u")
    expect(tab.locator("#corrections li.undone")).to_have_count(2)
    tab.get_by_text("expression: corrected").wait_for(state="detached")
    other.close()
    assert not wrong


def test_two_people_are_swapped(tab, address, folder):
    tab.goto(f"{address}#300")
    tab.reload()
    opened(tab, "pair_l")
    tab.get_by_role("button", name="swap the two people in the selection").click()
    tab.get_by_text("swap with r").wait_for()
    assert [table(folder)[-1][name] for name in ("action", "person", "value")] == ["swap", "l", "r"]


def test_a_queue_marks_the_stretch_and_fills_in_the_correction(browser, folder, tmp_path):
    title = "rank,kind,video,person,first,last,score,found,head,value"
    rows = ["1,label,clip 005,,10,19,0.9,rather glad,expression,glad", "2,identity,pair,l,7,7,0.8,jumps,,r"]
    (tmp_path / "suspects.csv").write_text("\n".join([title, *rows]))
    with serving("view", folder, "--queue", tmp_path / "suspects.csv") as address:
        page = browser.new_page()
        page.goto(address)
        opened(page, "clip 005")
        assert page.inner_text("#corrections p") == "Frames 10 to 19"
        assert page.locator("[aria-label=class]").input_value() == "glad"
        done = page.locator("#suspect-0 em")
        for name in ("mark the label as unsure", "undo the last change (U)", "redo the last undone change"):
            page.get_by_role("button", name=name).click()
            done.wait_for(state="hidden" if name.startswith("undo") else "visible")
        page.reload()
        opened(page, "clip 005")
        assert done.is_visible()
        page.locator("#player").press("n")
        opened(page, "pair_l")
        assert page.inner_text("#corrections p") == "Frame 7"
        page.get_by_role("button", name="all sequences").click()
        page.locator("#rows").get_by_text("clip 002").click()
        opened(page, "clip 002")
        label = page.locator(".track").filter(has_text="expression: label").locator(".words").inner_text()
        assert page.locator("[aria-label=class]").input_value() == label != "glad"
        page.close()


def test_pages_fit_a_phone_screen(browser, address):
    page = browser.new_page(viewport={"width": 360, "height": 740}, color_scheme="dark")
    page.goto(address)
    opened(page, "clip 000")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.close()
