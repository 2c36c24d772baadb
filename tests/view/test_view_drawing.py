"""What the viewer draws, pixel by pixel, of two people whose points are few enough to reckon with by hand."""

import csv
import re

import numpy as np
import pytest
from browsing import serving
from playwright.sync_api import expect
from small_caches import BODY_AND_FACE, a_cache, a_sequence

from skelemo.player import describe
from skelemo.skeleton import layout

FRAMES, SIDE = 100, 400
NECK, RIGHT, LEFT, HIP, FACE = 1, 2, 5, 8, 25
#: Of the pixels of the stage near a point of the image the least transparent and most colorful, as RGB and opacity.
PIXEL = """([x, y]) => { const canvas = document.querySelector(".stage canvas"), {width, height} = canvas;
    const zoom = Math.min(width, height) / 400 / 1.02, left = width / 2 + (x - 200) * zoom;
    const {data} = canvas.getContext("2d").getImageData(left - 2, height / 2 + (y - 200) * zoom - 2, 4, 4);
    const color = ([r, g, b]) => Math.max(r, g, b) - Math.min(r, g, b);
    const pixels = Array.from({length: 16}, (_, i) => [...data.slice(4 * i, 4 * i + 4)]);
    return pixels.sort((a, b) => b[3] - a[3] || color(b) - color(a))[0] }"""
#: Colors in a row of pixels of a track.
COLORS = """([name, y]) => { const tracks = [...document.querySelectorAll(".track")], found = new Set();
    const canvas = tracks.find(one => one.textContent.startsWith(name)).querySelector("canvas");
    const {data} = canvas.getContext("2d").getImageData(0, y, canvas.width, 1);
    for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) found.add([...data.slice(i, i + 3)].join());
    return [...found] }"""
WHOLE = "document.querySelector('.stage canvas').toDataURL()"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    left = np.zeros((FRAMES, 95, 3), np.float32)
    left[:, NECK], left[:, RIGHT], left[:, LEFT] = (200, 100, 1), (100, 100, 1), (300, 100, 0.2)
    left[:, FACE], left[:, FACE + 1] = (180, 40, 1), (220, 40, 1)
    right = np.zeros_like(left)
    right[:, NECK], right[:, RIGHT], right[:, HIP] = (200, 250, 1), (100, 250, 1), (200, 390, 1)
    values = {"valence": np.full(FRAMES, 0.5, np.float32), "arousal": np.full(FRAMES, -0.5, np.float32)}
    people = [a_sequence(f"talk_{name}", FRAMES, video="talk", person=name, keypoints=points, fps=25.0, width=SIDE,
                         height=SIDE, **values) for name, points in (("l", left), ("r", right))]  # fmt: skip
    return a_cache(tmp_path_factory.mktemp("drawing") / "talk", *people, header=BODY_AND_FACE)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Frame n is a plane of gray, 20 + 2 n."""
    av = pytest.importorskip("av")
    path = tmp_path_factory.mktemp("videos") / "talk.webm"
    with av.open(path, "w") as film:
        stream = film.add_stream("libvpx", rate=25)
        stream.width = stream.height = 80
        stream.pix_fmt = "yuv420p"
        for number in range(FRAMES):
            picture = av.VideoFrame.from_ndarray(np.full((80, 80, 3), 20 + 2 * number, np.uint8), format="rgb24")
            film.mux(stream.encode(picture))
        film.mux(stream.encode())
    return path.parent


@pytest.fixture(scope="module")
def address(folder, videos):
    with serving("view", folder, "--video", videos) as found:
        yield found


@pytest.fixture
def tab(browser, address, folder):
    (folder / "corrections.csv").unlink(missing_ok=True)
    wrong: list[str] = []
    page = browser.new_page(viewport={"width": 1400, "height": 900}, bypass_csp=True)
    page.set_default_timeout(30_000)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(address)
    expect(page.locator("#title")).to_have_text("talk_l")
    page.locator("#behind").uncheck()
    yield page
    page.close()
    assert not wrong


def pixel(tab, x, y):
    return tab.evaluate(PIXEL, [x, y])


def rows(folder):
    with (folder / "corrections.csv").open(newline="") as file:
        return [(row["action"], row["head"], row["value"]) for row in csv.DictReader(file)]


def test_limbs_have_openposes_colors_with_confidence_as_opacity_and_missing_points_are_listed(tab):
    colors = describe(layout())[0]["colors"]
    for x, point, confidence in ((150, RIGHT, 1.0), (250, LEFT, 0.2)):
        *color, opacity = pixel(tab, x, 100)
        assert color == pytest.approx([int(colors[point][i : i + 2], 16) for i in (1, 3, 5)], abs=3)
        assert opacity == pytest.approx(255 * (0.3 + 0.7 * min(1, 1.3 * confidence)), abs=2)
    assert tab.inner_text(".absent") == "Missing: body_25 22 of 25; face_70 68 of 70"


def test_other_people_are_pale_and_can_be_left_out(tab):
    assert pixel(tab, 150, 250) == pytest.approx([0x8D, 0x99, 0xA6, 128], abs=3)
    tab.locator("#others").uncheck()
    assert pixel(tab, 150, 250)[3] == 0
    assert pixel(tab, 150, 100)[3] == 255


def test_f_zooms_to_the_face_and_back_and_a_model_sees_other_coordinates(tab):
    """The face's points are 40 apart around (200, 40): zoomed in, the line between them runs through the center."""
    assert pixel(tab, 200, 200)[3] == 0
    tab.locator("#player").press("f")
    assert pixel(tab, 200, 200) == [255, 255, 255, 255]
    tab.locator("#player").press("f")
    assert pixel(tab, 200, 200)[3] == 0
    raw = tab.evaluate(WHOLE)
    tab.locator("#prepared").check()
    tab.wait_for_function(
        f"before => {WHOLE} !== before && !document.querySelector('.loading')", arg=raw, timeout=60000
    )
    expect(tab.locator(".where")).to_have_text(re.compile("^frame 0"))
    tab.locator("#prepared").uncheck()
    tab.wait_for_function("before => document.querySelector('.stage canvas').toDataURL() === before", arg=raw)


def test_values_are_curves_and_a_ring_in_their_plane(tab):
    """Valence 0.5 lies at a quarter of the 46 pixels that a track has, arousal -0.5 at three quarters and dashed."""
    assert "213,94,0" in tab.evaluate(COLORS, ["va: label", 14])
    assert "0,114,178" in tab.evaluate(COLORS, ["va: label", 37])
    assert tab.evaluate(COLORS, ["va: label", 8]) == []
    ring = tab.locator("#planes circle.truth")
    assert [float(ring.get_attribute(name)) for name in ("cx", "cy")] == [50, 50]


def test_the_video_plays_behind_the_skeleton_at_its_frame(tab):
    tab.locator("#behind").check()
    for _ in range(5):
        tab.locator("#player").press("Shift+ArrowRight")
    gray = f"([x, y]) => {{ const [r, g, b, a] = ({PIXEL})([x, y]); return a === 255 && Math.abs(g - 120) <= 4 }}"
    tab.wait_for_function(gray, arg=[50, 350])  # frame 50: 20 + 2 * 50
    assert pixel(tab, 150, 100)[0] > 200  # the skeleton is drawn over it
    tab.locator("#behind").uncheck()
    assert pixel(tab, 50, 350)[3] == 0


def test_speed_is_a_factor_of_the_frame_rate(tab):
    """100 frames at 25 a second take 4 s; four times as fast, one."""
    tab.clock.install(time=0)
    tab.clock.pause_at(60_000)
    tab.select_option("[aria-label=speed]", "4")
    tab.get_by_role("button", name="play").click()
    tab.clock.run_for(500)
    half = int(tab.locator(".where").inner_text().split()[1].rstrip(","))
    assert 48 <= half <= 50
    tab.clock.run_for(600)
    expect(tab.locator(".where")).to_have_text(re.compile("^frame 99"))


def test_a_stretch_is_marked_with_the_mouse_and_values_wrong_merge_and_redo_are_saved_at_once(tab, folder):
    box = tab.locator(".tracks").bounding_box()
    tab.keyboard.down("Shift")
    tab.mouse.move(box["x"] + 0.105 * box["width"], box["y"] + 30)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 0.505 * box["width"], box["y"] + 30)
    tab.mouse.up()
    tab.keyboard.up("Shift")
    assert tab.inner_text("#corrections p") == "Frames 10 to 50"
    tab.select_option("[aria-label='head to correct']", "va")
    tab.fill("[aria-label=valence]", "0.8")
    tab.get_by_role("button", name="set the label").click()
    track = tab.locator(".track").filter(has_text="va: corrected")
    expect(track.locator(".words")).to_have_text("valence +0.80  arousal −0.50")
    assert rows(folder) == [("set", "va", "0.8 -")]
    dot = tab.locator("#planes circle.guess")
    assert [float(dot.get_attribute(name)) for name in ("cx", "cy")] == pytest.approx([80, 50], abs=1e-4)
    tab.fill("[aria-label=valence]", "3")
    tab.get_by_role("button", name="set the label").click()
    expect(tab.locator("#state.wrong")).to_contain_text("3")
    tab.get_by_role("button", name="mark the label as wrong").click()
    expect(track.locator(".words")).to_have_text("no label")
    tab.get_by_role("button", name="merge two tracks of one person").click()
    tab.get_by_text("merge with r").wait_for()
    assert rows(folder)[1:] == [("wrong", "va", ""), ("merge", "", "r")]
    for _ in range(3):
        tab.get_by_role("button", name="undo the last change").click()  # faster than they are saved
    expect(tab.locator("#corrections li.undone")).to_have_count(3)
    tab.get_by_role("button", name="redo the last undone change").click()
    expect(tab.locator("#corrections li.undone")).to_have_count(2)
    tab.select_option("#filters [name=problem]", "corrected")
    expect(tab.locator("#total")).to_have_text(re.compile("^1 of 2"))
