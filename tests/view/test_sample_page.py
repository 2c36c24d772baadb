"""``skelemo show``: a page of samples by class."""

import base64
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from small_caches import BODY, BODY_AND_FACE, MOOD, a_cache, a_sequence

from skelemo.cache.shard import Header
from skelemo.cache.store import open_cache
from skelemo.cli.view import show as command
from skelemo.errors import ConfigError
from skelemo.targets import Head
from skelemo.view.sample_page import spread, write_page


def page_of(folder: Path, *sequences, out: str = "page", header=BODY, **settings) -> str:
    cache = open_cache(a_cache(folder / "cache", *sequences, header=header))
    return write_page(cache, folder / out, **settings).read_text()


def sections(page: str) -> dict[str, str]:
    found = re.findall(r"<h2>(.*?)</h2>(.*?)</section>", page, re.DOTALL)
    return dict(found)


def images(section: str) -> list[np.ndarray]:
    encoded = re.findall(r'src="data:image/png;base64,([^"]+)"', section)
    return [cv2.imdecode(np.frombuffer(base64.b64decode(each), np.uint8), cv2.IMREAD_COLOR) for each in encoded]


def test_every_class_has_a_section_with_its_own_frames(tmp_path):
    sequence = a_sequence("clip <1>", 7, expression=np.int8([0, 0, 1, 2, -1, 1, 0]), subject="Ann & Bob")
    found = sections(page_of(tmp_path, sequence))
    frames = {name: sorted(map(int, re.findall(r"<br>frame (\d+)", text))) for name, text in found.items()}
    assert frames == {"glad": [0, 1, 6], "sad": [2, 5], "calm": [3], "no class, other labels": [4]}
    assert "3 of 3 frames in 1 sequence<" in found["glad"]
    assert "clip &lt;1&gt;" in found["glad"]
    assert "Ann &amp; Bob" in found["glad"]


def test_samples_carry_their_valence_and_arousal(tmp_path):
    valence, arousal = np.float32([0.5, np.nan, -0.001]), np.float32([-0.25, np.nan, np.nan])
    page = page_of(tmp_path, a_sequence(frames=3, expression=np.int8([0, 1, 2]), valence=valence, arousal=arousal))
    found = sections(page)
    assert "valence +0.50" in found["glad"]
    assert "arousal −0.25" in found["glad"]
    assert 'cx="0.500" cy="0.250"' in found["glad"]
    assert "valence" not in found["sad"]
    assert "valence +0.00" in found["calm"]
    assert "arousal –" in found["calm"]


def test_values_of_another_range_are_a_point_in_the_same_plane(tmp_path):
    pain = Head("pain", "values", ("now", "mean"), 0, 10)
    labels = {"expression": np.int16([0, 1]), "pain": np.float32([[10, 2.5], [5, np.nan]])}
    page = page_of(tmp_path, a_sequence("one", 2, labels=labels), header=Header("body_25", (MOOD, pain)))
    found = sections(page)
    assert 'cx="1.000" cy="0.500"' in found["glad"]  # 2.5 of 10 is half of the lower half, which is drawn below
    assert "<svg" not in found["sad"]
    assert "now 5.00" in found["sad"]


def test_control_characters_in_names_are_visible(tmp_path):
    page = page_of(tmp_path, a_sequence("a\u202eb", 1, subject="x\x9by", expression=np.int8([0])))
    assert r"a\u202eb" in page
    assert r"x\x9by" in page
    assert not {"\u202e", "\x9b"} & set(page)


def test_images_show_the_person_and_the_face_where_there_is_one(tmp_path):
    page = page_of(tmp_path, a_sequence(frames=4, points=95), header=BODY_AND_FACE)
    drawn = [image for section in sections(page).values() for image in images(section)]
    assert len(drawn) == 4
    assert all(image.shape == (208, 416, 3) and image.any() for image in drawn)
    body = sections(page_of(tmp_path / "body", a_sequence(frames=4)))
    assert all(image.shape == (208, 208, 3) for section in body.values() for image in images(section))


def test_the_page_loads_nothing_from_elsewhere(tmp_path):
    page = page_of(tmp_path, a_sequence())
    assert not re.search(r"https?:|<script|<link|@import|url\(", page)


def test_the_same_seed_chooses_the_same_samples(tmp_path):
    sequence = a_sequence(frames=60, expression=np.zeros(60, np.int8))
    pages = [page_of(tmp_path, sequence, out=f"page{i}", per_class=5, seed=seed) for i, seed in enumerate((1, 1, 2))]
    assert pages[0] == pages[1]
    assert pages[0] != pages[2]
    assert len(images(pages[0])) == 5


def test_samples_are_spread_over_the_sequences():
    sequence = np.repeat([0, 1, 2], [1000, 5, 1])
    rows = np.arange(len(sequence))
    for seed in range(5):
        chosen = spread(rows, sequence, 5, np.random.default_rng(seed))
        assert sorted(sequence[chosen]) == [0, 0, 1, 1, 2]
        assert len(set(chosen.tolist())) == 5
    assert sorted(spread(rows, sequence, 10_000, np.random.default_rng(0))) == rows.tolist()


def test_frames_without_people_are_skipped(tmp_path):
    sequence = a_sequence(frames=3, expression=np.zeros(3, np.int8))
    sequence.keypoints[1] = 0
    assert len(images(page_of(tmp_path, sequence))) == 2


def test_a_cache_without_labels_can_be_looked_at(tmp_path):
    nothing = np.full(7, np.nan, np.float32)
    sequence = a_sequence(expression=np.full(7, -1, np.int8), valence=nothing, arousal=nothing)
    assert list(sections(page_of(tmp_path, sequence))) == ["unlabeled"]


def test_invalid_sources_are_an_error(tmp_path):
    cache = open_cache(a_cache(tmp_path / "cache", a_sequence(keypoints=np.zeros((7, 25, 3), np.float32))))
    with pytest.raises(ConfigError, match="no person is visible in any of 7 frames"):
        write_page(cache, tmp_path / "page")
    assert not (tmp_path / "page").exists()
    with pytest.raises(ConfigError, match="shows a face"):
        write_page(cache, tmp_path / "page", view="face")
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        write_page(cache, tmp_path / "page")


def test_the_command_prints_the_path_of_the_page(tmp_path):
    folder = a_cache(tmp_path / "cache", a_sequence())
    answer = CliRunner().invoke(command, [str(folder), "--out", str(tmp_path / "page"), "--view", "frame"])
    assert answer.exit_code == 0, answer.output
    assert Path(answer.output.strip()).read_text().count("<figure>") == 7
