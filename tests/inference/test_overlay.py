"""Overlays: what is where in the frames of the video that comes out."""

import json
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from skelemo.cli import main
from skelemo.inference import cards, overlay
from skelemo.inference.drawing import Person
from skelemo.inference.table import output_names
from skelemo.targets import AU, VA, Head

av = pytest.importorskip("av")
cv2 = pytest.importorskip("cv2")

#: A cross of five points that are far from one another: Nose, Neck, shoulders, MidHip.
POINTS = {0: (160, 70), 1: (160, 110), 2: (110, 110), 5: (210, 110), 8: (160, 200)}
MOOD = Head("expression", "classes", ("glad", "sad", "calm"))


def invoke(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def write(folder, frames, *lefts):
    """A person for each of ``lefts``, so many pixels further to the right, who moves by a pixel a frame."""
    folder.mkdir(parents=True)
    for number in range(frames):
        people = []
        for left in lefts:
            body = np.zeros((25, 3))
            for point, (x, y) in POINTS.items():
                body[point] = x + left + number, y, 0.9
            people.append({"pose_keypoints_2d": body.ravel().tolist()})
        (folder / f"take_{number:012d}_keypoints.json").write_text(json.dumps({"version": 1.3, "people": people}))
    return folder


def film(path, frames, size=(320, 240), rate=12, mark=()):
    """A gray video, with a white square at ``mark``."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for _ in range(frames):
            image = np.full((size[1], size[0], 3), 90, np.uint8)
            for x, y in mark:
                image[y : y + 24, x : x + 24] = 250
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def read(path):
    """Frames ``[N, H, W, 3]`` as OpenCV reads them, and frames per second."""
    video = cv2.VideoCapture(str(path))
    found = []
    while (got := video.read())[0]:
        found.append(got[1][..., ::-1])
    return np.stack(found).astype(int), video.get(cv2.CAP_PROP_FPS)


def near(pixel, color, within=70):
    return np.abs(pixel - np.array(color)).max() < within


def test_skeletons_are_drawn_on_black_where_the_points_are_in_openposes_colors(run, tmp_path):
    write(tmp_path / "json", 12, 0)
    result = invoke("predict", run, tmp_path / "json", "--out", tmp_path / "x.csv", "--overlay", tmp_path / "x.mp4",
                    "--size", "320x240", "--fps", 10, "--jobs", 1)  # fmt: skip
    assert result.exit_code == 0, result.output
    frames, fps = read(tmp_path / "x.mp4")
    assert (frames.shape, fps) == ((12, 240, 320, 3), 10)
    for number in (0, 6, 11):
        image = frames[number]
        assert near(image[110, 135 + number], (255, 85, 0))  # Neck to RShoulder
        assert near(image[110, 185 + number], (170, 255, 0))  # Neck to LShoulder
        assert near(image[155, 160 + number], (255, 0, 0))  # Neck to MidHip
        assert image[150, 135 + number].max() < 30  # nothing in between
        assert image[:60].max() > 200  # the card stands above the head
    assert len(pd.read_csv(tmp_path / "x.csv")) == 12


def test_they_are_drawn_onto_the_video_at_its_size_and_rate_and_leave_the_rest_of_it(run, tmp_path):
    write(tmp_path / "json", 12, 0)
    film(tmp_path / "film.mp4", 15, (640, 480))
    result = invoke("predict", run, tmp_path / "json", "--out", tmp_path / "x.csv", "--overlay", tmp_path / "x.mp4",
                    "--size", "320x240", "--video", tmp_path / "film.mp4", "--jobs", 1)  # fmt: skip
    assert result.exit_code == 0, result.output
    frames, fps = read(tmp_path / "x.mp4")
    assert (frames.shape, fps) == ((15, 480, 640, 3), 12)
    assert near(frames[6][220, 2 * 141], (255, 85, 0), 90)
    assert np.abs(frames[6][300:, :200] - 90).max() < 15
    assert np.abs(frames[12:] - 90).max() < 15  # nobody is in these


def test_a_video_that_was_turned_is_upright_as_opencv_shows_it(run, tmp_path):
    path = film(tmp_path / "turned.mp4", 4, (240, 320), mark=[(10, 20)])
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") - 4 + 48  # the matrix of a track (ISO 14496-12, 8.3.2): a quarter turn
    content[at : at + 36] = b"".join(
        value.to_bytes(4, "big", signed=True) for value in (0, 1 << 16, 0, -(1 << 16), 0, 0, 320 << 16, 0, 1 << 30)
    )
    path.write_bytes(content)
    source, _ = read(path)
    assert source.shape[1:3] == (240, 320)
    write(tmp_path / "json", 4, 0)
    result = invoke("predict", run, tmp_path / "json", "--out", tmp_path / "x.csv", "--overlay", tmp_path / "x.mp4",
                    "--video", path, "--jobs", 1)  # fmt: skip
    assert result.exit_code == 0, result.output
    drawn, _ = read(tmp_path / "x.mp4")
    bright = [np.argwhere(image[:, 230:].min(-1) > 200).mean(0) for image in (source[1], drawn[1])]
    np.testing.assert_allclose(bright[0], bright[1], atol=1.5)


def test_each_recording_has_its_video_and_a_file_takes_only_one(run, tmp_path):
    for name in ("one", "two"):
        write(tmp_path / "json" / name, 11, 0)
    films = tmp_path / "films"
    films.mkdir()
    film(films / "two.mp4", 11)
    words = ("predict", run, tmp_path / "json", "--out", tmp_path / "x.csv", "--jobs", 1, "--size", "320x240")
    result = invoke(*words, "--overlay", tmp_path / "x.mp4")
    assert result.exit_code == 2
    assert "x.mp4 is one file, but the source has 2 videos: name a folder" in result.output
    assert not list(tmp_path.glob("x.*"))
    result = invoke(*words, "--overlay", tmp_path / "drawn", "--video", films)
    assert result.exit_code == 0, result.output
    assert "note: 1 video drawn on black: no video file of this name" in result.output
    corners = {path.name: int(read(path)[0][5, -1, 0].mean()) for path in (tmp_path / "drawn").iterdir()}
    assert corners == {"one_take.mp4": pytest.approx(0, abs=8), "two_take.mp4": pytest.approx(90, abs=8)}


def test_an_interrupted_overlay_resumes_but_not_with_other_predictions(run, tmp_path, monkeypatch):
    for name in ("one", "two"):
        write(tmp_path / "json" / name, 4, 0)
    words = ("predict", run, tmp_path / "json", "--out", tmp_path / "x.csv", "--jobs", 1, "--overlay", tmp_path / "mp4")
    draw, tried = overlay.draw_video, []

    def draw_one(*given):
        tried.append(given)
        if len(tried) > 1:
            raise KeyboardInterrupt
        draw(*given)

    monkeypatch.setattr(overlay, "draw_video", draw_one)
    assert invoke(*words, "--fps", 10).exit_code != 0
    assert invoke(*words, "--fps", 10).exit_code != 0
    assert len(tried) == 3  # the first video once, the second twice
    monkeypatch.setattr(overlay, "draw_video", draw)
    assert invoke(*words, "--fps", 20).exit_code == 0
    assert [read(tmp_path / "mp4" / f"{name}_take.mp4")[1] for name in ("one", "two")] == [20, 20]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--video", "film.mp4"], "give --overlay, too"),
        (["--overlay", "x.avi"], "expected a folder or a file that ends in .mp4"),
        (["--overlay", "x.mp4", "--video", "nowhere.mp4"], "no video at nowhere.mp4"),
        (["--overlay", "x.mp4", "--video", "text.mp4"], "text.mp4: cannot be decoded as a video"),
        (["--overlay", "x.mp4", "--video", "json"], "has no video named take.*, like a video of the source"),
    ],
)
def test_an_impossible_overlay_is_a_one_line_error_without_a_video(run, tmp_path, monkeypatch, words, expected):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "json", 11, 0)
    (tmp_path / "text.mp4").write_text("no video")
    result = invoke("predict", run, "json", "--out", "x.csv", "--jobs", 1, *words)
    assert result.exit_code == 2
    assert expected in result.output
    assert len(result.output.strip().splitlines()) <= 4
    assert not list(tmp_path.glob("x.mp4"))


def test_a_card_says_what_the_row_says_whatever_the_heads_are():
    pain, three = Head("pain", "values", ("now", "mean"), 0, 10), Head("dim", "values", ("p", "a", "d"))
    heads = (MOOD, VA, AU, pain, three)
    names = output_names(heads)
    row = dict.fromkeys((name for each in names.values() for name in each), 0.1)
    row |= {"expression": "sad", "p_glad": 0.2, "p_sad": 0.7, "p_calm": 0.1, "valence": -0.5, "arousal": 0.25}
    row |= {"p_AU6": 0.9, "p_AU12": 0.6, "now": 10.0, "mean": 0.0, "p": 0.5}
    said = cards.card_content(row, heads, names, "3", 1)
    assert said.lines == (("sad", "70%"), ("AU6 AU12", ""), ("p", "0.50"), ("a", "0.10"), ("d", "0.10"))
    assert said.dials == ((("valence", "arousal"), (-0.5, 0.25)), (("now", "mean"), (1.0, -1.0)))
    empty = dict.fromkeys([*names["va"], *names["expression"]], np.nan)
    unknown = cards.card_content(row | empty, heads, names, "3", 1)
    assert unknown.lines[0] == ("–", "")
    assert unknown.dials[0][1] is None


def test_a_card_lists_four_flags_and_that_there_are_more():
    units = Head("au", "flags", tuple(f"AU{n}" for n in range(1, 7)))
    names = output_names((units,))

    def said(*chances):
        return cards.card_content(dict(zip(names["au"], chances, strict=True)), (units,), names, "", 0).lines

    assert said(0.5, 0.9, 0.49, 0.6, 0.7, 0.1) == (("AU1 AU2 AU4 AU5", ""),)
    assert said(0.5, 0.9, 0.49, 0.6, 0.7, 0.8) == (("AU1 AU2 AU4 AU5 …", ""),)
    assert said(*[0.1] * 6) == (("–", ""),)


def test_a_card_beyond_the_edge_of_the_image_is_cut_and_blended():
    image, patch = np.full((4, 6, 3), 100, np.uint8), np.full((3, 4, 4), 200, np.uint8)
    patch[..., 3] = [[255, 255, 51, 0]] * 3
    cards.paste(image, patch, (3.4, 2.0, 7.4, 5.0))
    assert image[2:, 3:, 0].tolist() == [[200, 200, 120]] * 2  # a fifth of the way from 100 to 200
    assert (image[:2] == 100).all()
    assert (image[:, :3] == 100).all()


def test_a_dial_shows_the_first_value_to_the_right_and_the_second_upwards():
    def edges(point):
        """How far what a point adds to the dial reaches to the left, up, right and down, in pixels."""
        empty, shown = (
            cards.draw_card(cards.Content("", (255, 0, 0), (), ((("x", "y"), place),)), 20).astype(int)
            for place in (None, point)
        )
        where = np.argwhere(np.abs(empty - shown).sum(-1) > 300)[:, ::-1]
        return np.concatenate([where.min(0), where.max(0)])

    # The dial is 3.1 times the text wide: its radius is 31, and a point lies at most at 0.86 of it.
    for point, side, sign in (((1.0, 0.0), 2, 1), ((0.0, 1.0), 1, -1), ((-1.0, 0.0), 0, -1), ((0.0, -1.0), 3, 1)):
        reach = edges(point)[side] - edges((0.0, 0.0))[side]
        assert reach == pytest.approx(sign * 0.86 * 31, abs=1.5)
    corner = edges((1.0, 1.0))[2] - edges((0.0, 0.0))[2]  # a corner of the square lies on the circle, too
    assert corner == pytest.approx(0.86 * 31 / np.sqrt(2), abs=1.5)


def test_cards_stay_in_the_image_and_do_not_overlap():
    placing = cards.Placing(640, 480)
    people = [
        (100.0, 150.0, 200.0, 400.0),
        (180.0, 140.0, 280.0, 400.0),
        (0.0, 0.0, 90.0, 470.0),
        (600.0, 5.0, 640.0, 300.0),
    ]
    taken = []
    for who, box in enumerate(people):
        taken.append(placing.place(who, box, (150, 50), taken))
    for index, (left, top, right, bottom) in enumerate(taken):
        assert 0 <= left < right <= 640
        assert 0 <= top < bottom <= 480
        for other in taken[:index]:
            assert min(right, other[2]) <= max(left, other[0]) or min(bottom, other[3]) <= max(top, other[1])
    assert taken[0][3] <= 150  # above the head


def test_a_card_does_not_cover_another_person():
    box, behind = (300.0, 200.0, 340.0, 400.0), (280.0, 100.0, 330.0, 190.0)
    _, top, *_ = cards.Placing(640, 480).place(0, box, (150, 50), [], [behind])
    assert top >= 190


def test_a_card_is_shown_until_the_next_prediction_and_no_longer():
    said = [cards.Content(str(n), (0, 0, 0), (), ()) for n in range(2)]
    person = Person(np.array([10, 11, 12, 20]), torch.zeros(4, 1, 3), np.zeros((4, 4)), np.array([10, 14]), said, 4)
    shown = {number: found and found.number for number in range(9, 20) if (found := person.content(number)) or True}
    assert shown == {9: None} | dict.fromkeys(range(10, 14), "0") | dict.fromkeys(range(14, 18), "1") | {
        18: None,
        19: None,
    }
    assert [person.at(number) for number in (9, 10, 12, 13, 20, 21)] == [-1, 0, 2, -1, 3, -1]


def test_a_leader_joins_a_card_with_the_head_unless_they_nearly_touch():
    image = np.zeros((400, 400, 3), np.uint8)
    cards.draw_leader(image, (100, 20, 200, 60), (140, 160, 160, 300), (255, 0, 0))
    rows, columns = np.nonzero(image[..., 0] > 100)
    assert (rows.min(), rows.max()) == (60, 159)  # from the card's lower edge to the top of the box
    assert set(columns) <= {149, 150, 151}
    assert not image[..., 1:].any()
    near = np.zeros((400, 400, 3), np.uint8)
    cards.draw_leader(near, (100, 20, 200, 155), (140, 160, 160, 300), (255, 0, 0))
    assert not near.any()


def test_a_card_stays_where_it_was_while_that_is_about_as_good():
    placing = cards.Placing(640, 480)
    box, card = (300.0, 200.0, 340.0, 400.0), (150, 50)
    first = placing.place(0, box, card, [])
    beside = placing.place(0, box, card, [first])  # its place is taken
    assert beside != first
    assert placing.place(0, box, card, []) == beside  # free again, but hardly better


def test_elan_draws_values_from_linked_files_and_names_the_video(run, tmp_path):
    write(tmp_path / "json", 25, 0, 140)
    film(tmp_path / "film.mp4", 25)
    out = tmp_path / "out" / "x.eaf"
    words = ("--fps", 25, "--video", tmp_path / "film.mp4", "--jobs", 1)
    result = invoke("predict", run, tmp_path / "json", "--out", out, *words)
    assert result.exit_code == 0, result.output
    assert invoke("predict", run, tmp_path / "json", "--out", tmp_path / "x.csv", "--fps", 25).exit_code == 0
    header = ElementTree.parse(out).getroot().find("HEADER")
    media = header.find("MEDIA_DESCRIPTOR")
    assert media.get("RELATIVE_MEDIA_URL") == "../film.mp4"
    assert media.get("MEDIA_URL") == (tmp_path / "film.mp4").as_uri()
    links = [one.get("RELATIVE_LINK_URL") for one in header.iter("LINKED_FILE_DESCRIPTOR")]
    assert links == ["./x_person0.csv", "./x_person1.csv", "./x_tsconf.xml"]
    table = pd.read_csv(tmp_path / "x.csv")
    for person, rows in table.groupby("person"):
        values = pd.read_csv(out.parent / f"x_{person}.csv")
        np.testing.assert_allclose(values, rows[["time", "valence", "arousal"]], atol=1e-4)
    tracks = list(ElementTree.parse(out.parent / "x_tsconf.xml").getroot().iter("track"))
    assert [track.get("name") for track in tracks] == [f"person{i} {name}" for i in (0, 1) for name in VA.outputs]
    assert [track.find("sample-position/pos").get("col") for track in tracks] == ["1", "2", "1", "2"]
    assert tracks[0].find("range").attrib == {"min": "-1.0", "max": "1.0"}
