"""The player's HTML: numbers that come back, names that stay names, and a browser in which it plays."""

import base64
import json
import re
import shutil

import numpy as np
import pytest

from skelemo import player
from skelemo.errors import ConfigError
from skelemo.skeleton import BODY_25, layout
from skelemo.targets import EXPRESSION, VA, Head

WICKED = '</script><script>alert(1)</script> & "anna" <b>'


def a_clip(frames=8, **facts):
    points = np.random.default_rng(0).uniform(10, 600, (frames, 95, 3)).astype(np.float32)
    points[..., 2] = np.random.default_rng(1).uniform(0.002, 1, (frames, 95))
    points[2:4, 5] = 0
    return player.Clip(points, layout(), **facts)


def unpacked(packed):
    places = np.frombuffer(base64.b64decode(packed["xy"]), "<u2").reshape(-1, 95, 2)
    sure = np.frombuffer(base64.b64decode(packed["confidence"]), np.uint8).reshape(-1, 95, 1)
    return np.concatenate([np.array(packed["low"]) + places * np.array(packed["step"]), sure / 255], -1)


def data_of(text):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)[1])


def test_coordinates_come_back_to_a_hundredth_of_a_pixel_and_missing_points_stay_missing():
    clip = a_clip()
    back = unpacked(data_of(player.fragment(clip))["points"])
    seen = clip.points[..., 2] > 0
    np.testing.assert_array_equal(back[..., 2] > 0, seen)
    np.testing.assert_allclose(back[seen][:, :2], clip.points[seen][:, :2], atol=0.01)
    np.testing.assert_allclose(back[..., 2], clip.points[..., 2], atol=1 / 255)


def test_a_person_at_a_single_place_and_of_little_confidence_comes_back():
    points = np.zeros((1, 95, 3), np.float32)
    points[0, 7] = 123.25, 40.5, 0.0005
    back = unpacked(data_of(player.fragment(player.Clip(points, layout())))["points"])
    assert back[0, 7].tolist() == [123.25, 40.5, 1 / 255]  # still visible
    assert not back[0, :7, 2].any()


def test_hands_and_limbs_have_their_side_and_the_middle_has_none():
    body, *hands = player.describe(layout("body_25+hand_21x2"))
    side = dict(zip(body["names"], body["sides"], strict=True))
    assert [side[name] for name in ("LWrist", "RWrist", "Nose", "Neck", "MidHip")] == ["left", "right", "", "", ""]
    assert [set(hand["sides"]) for hand in hands] == [{"left"}, {"right"}]


def test_a_prediction_for_a_clip_holds_in_all_of_its_frames():
    head, chance = Head("mood", "classes", ("glad", "sad")), np.array([[0.3, 0.7]])
    whole = player.head_track("run", head, chance, np.array([4]), 8)
    assert (whole.at.tolist(), whole.values.tolist()) == (list(range(8)), [1] * 8)
    still = player.head_track("run", head, chance, np.array([0]), 1)
    assert (still.at.tolist(), still.shares.tolist()) == ([0], [0.7])


def test_a_frame_of_body_and_face_takes_less_than_700_bytes():
    short, long = (len(player.fragment(a_clip(frames))) for frames in (10, 110))
    assert (long - short) / 100 < 700


def test_parts_have_the_colors_that_openpose_draws_them_in():
    body, face = player.describe(layout())
    assert (body["start"], body["points"], face["start"], face["points"]) == (0, 25, 25, 70)
    assert body["colors"][:3] == ["#ff0055", "#ff0000", "#ff5500"]
    assert set(face["colors"]) == {"#ffffff"}
    assert body["limbs"] == BODY_25.limbs
    assert body["sides"][2:8] == ["right"] * 3 + ["left"] * 3


def test_names_never_become_markup():
    track = player.label_track(WICKED, EXPRESSION, np.zeros(8, np.int16))
    text = player.fragment(a_clip(title=WICKED, tracks=[track]))
    assert "alert(1)</script>" not in text
    assert text.count("<script") == text.count("</script>") == 1
    data = data_of(text)
    assert data["title"] == data["tracks"][0]["name"] == WICKED


def test_a_fragment_requests_nothing_and_includes_the_script_once():
    text = player.assets() + player.fragment(a_clip()) + player.fragment(a_clip())
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert text.count("class Player") == 1
    assert text.count("data-skelemo-clip aria") == 2
    assert text.count('nonce="') == 0
    assert player.assets("once").count('nonce="once"') == 2


def test_a_clip_of_another_layout_is_refused():
    with pytest.raises(ConfigError, match=r"points of the clip: \[3, 25, 3\]; expected \[3, 95, 3\]"):
        player.Clip(np.zeros((3, 25, 3), np.float32), layout())


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_plays_it_by_keyboard(tmp_path):
    from playwright.sync_api import sync_playwright

    soft = np.array([[0.25, 0.75]] * 4 + [[1, 0]] * 4, np.float32)
    values = np.linspace(-1, 1, 16, dtype=np.float32).reshape(8, 2)
    tracks = [
        player.label_track("mood", Head("mood", "classes", ("glad", "sad")), soft),
        player.Track("run", VA, values[::4], at=np.array([0, 4])),
    ]
    numbers = np.arange(100, 108, dtype=np.int32)
    page = tmp_path / "page.html"
    page.write_text(
        "<!doctype html><meta charset=utf-8>"
        + player.assets()
        + player.fragment(a_clip(title=WICKED, tracks=tracks, fps=25, numbers=numbers, size=(640, 640)))
        + "<script>skelemo.start()</script>",
        "utf-8",
    )
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab, wrong = browser.new_page(), []
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("dialog", lambda dialog: wrong.append(dialog.message))
        tab.goto(page.as_uri())
        tab.focus(".skelemo-player")
        assert tab.inner_text(".where").startswith("frame 100")
        assert tab.locator(".words").all_inner_texts() == ["sad 75 %", "valence −1.00  arousal −0.87"]
        tab.keyboard.press("ArrowRight")
        assert tab.inner_text(".where").split() == ["frame", "101", "4.04", "s"]
        tab.keyboard.press("End")
        assert tab.locator(".words").all_inner_texts()[0] == "glad 100 %"
        tab.keyboard.press("Home")
        colored = "one => { const canvas = one.querySelector('.stage canvas'); const data = canvas.getContext('2d')"
        colored += ".getImageData(0, 0, canvas.width, canvas.height).data; let found = 0;"
        colored += (
            "for (let i = 0; i < data.length; i += 4) found += data[i + 3] > 200 && data[i] > 200; return found }"
        )
        assert tab.eval_on_selector(".skelemo-player", colored) > 500
        tab.keyboard.press("Space")
        tab.wait_for_function("document.querySelector('.skelemo-player').player.at === 7", timeout=3000)
        assert not wrong
        browser.close()


#: Left and right end of what a canvas shows, as shares of its width.
SPAN = """() => { const canvas = document.querySelector(".stage canvas"), {width, height} = canvas, columns = [];
    const {data} = canvas.getContext("2d").getImageData(0, 0, width, height);
    for (let i = 3; i < data.length; i += 4) if (data[i]) columns.push((i >> 2) % width);
    return [Math.min(...columns) / width, Math.max(...columns) / width] }"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_an_image_of_unknown_size_shows_everyone_and_the_person_alone_fills_it(tmp_path):
    person, other = np.zeros((2, 1, 95, 3), np.float32)
    person[0, 1:3], other[0, 1:3] = [(100, 50, 1), (200, 50, 1)], [(300, 50, 1), (400, 50, 1)]
    page = tmp_path / "page.html"
    page.write_text(player.html(player.Clip(person, layout(), others=[other])), "utf-8")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page()
        tab.goto(page.as_uri())
        margin = 0.1 / 1.2
        assert tab.evaluate(SPAN) == pytest.approx([margin, 1 - margin], abs=0.02), "from 100 to 400"
        tab.locator("[aria-label=zoom]").select_option("person")
        assert tab.evaluate(SPAN)[0] == pytest.approx(margin, abs=0.02), "from 100 to 200; the other is outside"
        tab.locator("[aria-label=zoom]").select_option("image")
        assert tab.evaluate(SPAN) == pytest.approx([margin, 1 - margin], abs=0.02)
        browser.close()
