"""A cache in memory: every frame prepared, each found again."""

import hashlib

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from small_caches import BODY, BODY_AND_FACE, a_cache, a_sequence

from skelemo.cache.store import open_cache
from skelemo.data import corpus
from skelemo.data.corpus import load_corpus
from skelemo.errors import ConfigError
from skelemo.preprocess import Preparation, prepare
from skelemo.skeleton import layout

SETTINGS = Preparation(min_confidence=0.2, max_gap=3, smooth=3)


def sequences(points=95):
    lengths = (40, 1, 7, 90, 13)
    return [
        a_sequence(f"v{index}", length, points=points, video=f"v{index // 2}") for index, length in enumerate(lengths)
    ]


def prepared(one, settings):
    """One sequence by itself, as `predict` prepares it."""
    number = torch.from_numpy(one.number)[None]
    return prepare(torch.from_numpy(one.keypoints)[None], layout(), settings, number=number)[0][0].numpy()


@pytest.mark.parametrize("block", [1, 41, 50, 100_000])
def test_every_sequence_is_prepared_as_if_alone(tmp_path, monkeypatch, block):
    monkeypatch.setattr(corpus, "BLOCK_FRAMES", block)
    known = {one.id: one for one in sequences()}
    a_cache(tmp_path, *list(known.values())[:3], header=BODY_AND_FACE)
    a_cache(tmp_path, *list(known.values())[3:], header=BODY_AND_FACE)
    loaded = load_corpus(open_cache(tmp_path), SETTINGS)
    assert len(loaded) == 151
    for index, row in enumerate(loaded.sequences.to_dict("records")):
        one, here = known[row["id"]], slice(row["start"], row["start"] + row["length"])
        expected = prepared(one, SETTINGS)
        assert_allclose(loaded.placed(torch.arange(here.start, here.stop)).numpy(), expected, atol=1e-5)
        assert np.array_equal(loaded.seen[here].numpy(), (expected[..., 2] > 0).any(1))
        for name, stored in loaded.labels.items():
            labels = one.labels.get(name, np.full(stored[here].shape, np.nan if name == "va" else -1))
            assert np.array_equal(stored[here].numpy(), labels, equal_nan=name == "va")
        rows = np.arange(here.start, here.stop)
        assert np.array_equal(loaded.number(rows), one.number)
        assert (loaded.sequence(rows) == index).all()
    assert (loaded.key.diff() > 0).all(), "frames are found by binary search"
    assert loaded.labels["expression"].dtype == torch.int16


@pytest.mark.parametrize("lengths", [[], [5], [5, 5, 5], [100], [3, 100, 3], [10, 10], [1] * 25])
def test_blocks_hold_whole_sequences_and_no_more_frames_than_they_must(lengths):
    found = list(corpus._blocks(np.array(lengths, np.int64), 10))
    blocks = [(rows.start, rows.stop) for _, _, rows in found]
    assert [index for first, last, _ in found for index in range(first, last)] == list(range(len(lengths)))
    assert [end for _, end in blocks[:-1]] == [start for start, _ in blocks[1:]]
    assert sum(end - start for start, end in blocks) == sum(lengths)
    borders = {0, *np.cumsum(lengths).tolist()}
    assert {border for block in blocks for border in block} <= borders
    assert all(end - start <= max(10, *lengths) for start, end in blocks)


def test_the_usual_step_of_frame_numbers_is_the_sequences_own(tmp_path):
    numbers = {
        "every": range(5),
        "tenth": range(0, 50, 10),
        "gappy": (0, 1, 2, 90, 91),
        "halves": (0, 2, 3, 5, 6),
        "one": (7,),
    }
    a_cache(tmp_path, *(a_sequence(name, len(n), number=np.array(n)) for name, n in numbers.items()))
    loaded = load_corpus(open_cache(tmp_path))
    steps = dict(zip(loaded.sequences["id"], loaded.step.tolist(), strict=True))
    assert steps == {"every": 1, "tenth": 10, "gappy": 1, "halves": 1.5, "one": 1}


def test_a_cache_of_nothing_is_a_corpus_of_nothing(tmp_path):
    loaded = load_corpus(open_cache(a_cache(tmp_path)), Preparation("frame", "clip", 0.1, 2, 3))
    assert len(loaded) == 0
    assert loaded.keypoints.shape == (0, 25, 3)


# In the picture


def in_picture(folder, *given, **tables):
    loaded = load_corpus(open_cache(a_cache(folder, *given, header=BODY, **tables)), Preparation("frame"))
    starts = dict(zip(loaded.sequences["id"], loaded.sequences["start"], strict=True))
    placed = loaded.placed(torch.arange(len(loaded))).numpy()
    return {one.id: placed[starts[one.id] : starts[one.id] + len(one)] for one in given}


def centered(one, width, height):
    """Pixels to units of the longer side around the middle."""
    expected = one.keypoints.astype(float)
    expected[..., :2] = (expected[..., :2] - (width / 2, height / 2)) / max(width, height)
    return np.where(one.keypoints[..., 2:] > 0, expected, 0)


def test_a_known_picture_is_the_frame_of_reference(tmp_path):
    one = a_sequence("one", width=1280, height=720)
    other = a_sequence("other", width=480, height=640)
    found = in_picture(tmp_path, one, other)
    assert_allclose(found["one"], centered(one, 1280, 720), atol=1e-6)
    assert_allclose(found["other"], centered(other, 480, 640), atol=1e-6)


def test_an_unknown_picture_is_as_large_as_what_was_seen_in_its_video(tmp_path):
    one, two = (a_sequence(name, video="both", seed=3) for name in ("left", "right"))
    alone = a_sequence("alone", video="other")
    found = in_picture(tmp_path, one, two, alone)
    together = np.concatenate([one.keypoints, two.keypoints])[..., :2].max((0, 1))
    assert_allclose(found["left"], centered(one, *together), atol=1e-6)
    assert_allclose(found["right"], centered(two, *together), atol=1e-6)
    assert_allclose(found["alone"], centered(alone, *alone.keypoints[..., :2].max((0, 1))), atol=1e-6)
    assert max(np.abs(places[..., :2]).max() for places in found.values()) <= 0.5 + 1e-6


@pytest.mark.parametrize(("scale", "low", "high"), [("unit", 0, 1), ("signed", -1, 1)])
@pytest.mark.parametrize("size", [(640, 320), (0, 0)], ids=["known", "unknown"])
def test_relative_coordinates_are_placed_in_the_picture(tmp_path, scale, low, high, size):
    keypoints = a_sequence("r").keypoints.copy()
    seen = keypoints[..., 2] > 0
    pixels = keypoints.copy()
    width, height = size if size[0] else (1, 1)
    pixels[..., :2] *= np.array([width - 1, height - 1] if size[0] else [1, 1]) / 400
    keypoints[..., :2] = np.where(seen[..., None], low + (high - low) * keypoints[..., :2] / 400, 0)
    one = a_sequence("r", keypoints=keypoints, width=size[0], height=size[1], scale=scale)
    found = in_picture(tmp_path, one)
    assert_allclose(found["r"], centered(a_sequence("p", keypoints=pixels), width, height), atol=1e-6)


def test_a_body_in_relative_coordinates_has_the_shape_of_the_same_in_pixels(tmp_path):
    pixels = a_sequence("pixels", width=1280, height=720)
    unit = pixels.keypoints.copy()
    unit[..., :2] /= (1279, 719)
    relative = a_sequence("unit", keypoints=unit, width=1280, height=720, scale="unit")
    folder = a_cache(tmp_path, pixels, relative)
    loaded = load_corpus(open_cache(folder))
    one, other = loaded.placed(torch.arange(14)).numpy().reshape(2, 7, 25, 3)
    assert_allclose(one, other, atol=1e-4)


def test_the_same_keypoints_under_two_names_are_found(tmp_path):
    one = a_sequence("one", 9)
    moved = one.keypoints.copy()
    moved[4:6, 3] += (0.01, 0, 0)
    nobody = [a_sequence(name, 9, keypoints=np.zeros_like(one.keypoints)) for name in ("nobody", "none")]
    copy, near = a_sequence("copy", 9, keypoints=one.keypoints), a_sequence("near", 9, keypoints=moved)
    table = load_corpus(open_cache(a_cache(tmp_path, one, copy, near, *nobody))).sequences.set_index("id")["content"]
    assert table["one"] == table["copy"] == hashlib.sha256(b"9 25\0" + one.keypoints.tobytes()).hexdigest()
    assert table["near"] not in (table["one"], "")
    assert (table[["nobody", "none"]] == "").all()


def test_long_sequences_that_show_somebody_for_a_moment_are_told_apart(tmp_path):
    still = np.zeros((2, 3000, 25, 3), np.float32)
    still[:, 1501, 4] = 100, 100, 1
    still[1, 1501, 4, 0] = 101
    clips = [a_sequence(name, 3000, keypoints=points) for name, points in zip("ab", still, strict=True)]
    table = load_corpus(open_cache(a_cache(tmp_path, *clips))).sequences["content"]
    assert table.nunique() == 2
    assert (table != "").all()


def test_a_model_sees_the_parts_that_are_chosen(tmp_path):
    folder = a_cache(tmp_path, *sequences(), header=BODY_AND_FACE)
    both, face = load_corpus(open_cache(folder), SETTINGS), load_corpus(open_cache(folder), SETTINGS, ["face_70"])
    rows = torch.arange(len(both))
    assert face.layout.name == "face_70"
    assert torch.equal(face.placed(rows), both.placed(rows)[:, both.layout.slices["face_70"]])
    assert torch.equal(face.seen, (face.placed(rows)[..., 2] > 0).any(1))


def test_parts_in_image_coordinates_share_the_image(tmp_path):
    clips = [a_sequence(name, 4, points=95, width=640, height=480) for name in "ab"]
    corpus = load_corpus(open_cache(a_cache(tmp_path, *clips, header=BODY_AND_FACE)), Preparation("frame"))
    rows = torch.arange(8)
    for name, where in corpus.layout.slices.items():
        assert torch.equal(corpus.only([name]).placed(rows), corpus.placed(rows)[:, where])


@pytest.mark.parametrize("reference", ["clip", "window"])
def test_a_person_is_visible_in_a_part_by_its_confident_points(tmp_path, reference):
    one = a_sequence("one", 4, points=95)
    one.keypoints[..., 2] = np.where(one.keypoints[..., 2] > 0, 0.9, 0)
    one.keypoints[1, 25:, 2] *= 0.1  # the face is uncertain
    one.keypoints[2, 25:] = 0
    cache = open_cache(a_cache(tmp_path, one, header=BODY_AND_FACE))
    corpus = load_corpus(cache, Preparation(reference=reference, min_confidence=0.2))
    assert corpus.seen.tolist() == [True] * 4
    assert corpus.only(["face_70"]).seen.tolist() == [True, False, False, True]


@pytest.mark.parametrize("reference", ["clip", "window"])
def test_a_part_that_is_never_shown_is_left_out_and_refused_where_it_is_asked_for(tmp_path, reference):
    settings = Preparation(reference=reference, min_confidence=0.05)
    bodies = sequences()
    for one in bodies:
        one.keypoints[:, 25:, :2] *= one.keypoints[:, 25:, 2:] > 0
        one.keypoints[:, 25:, 2] *= 0.04
    cache = open_cache(a_cache(tmp_path, *bodies, header=BODY_AND_FACE))
    loaded = load_corpus(cache, settings)
    assert (loaded.layout.name, loaded.absent, loaded.keypoints.shape[1]) == ("body_25", ("face_70",), 25)
    with pytest.raises(ConfigError, match=r"no frame shows face_70 with a confidence of 0\.05 or more; ingest"):
        load_corpus(cache, settings, ["face_70"])
    with pytest.raises(ConfigError, match="no frame shows body_25 or face_70 with a confidence of 1 or more"):
        load_corpus(cache, Preparation(reference=reference, min_confidence=1))
    with pytest.raises(ConfigError, match="unknown part of this cache 'face': did you mean 'face_70'"):
        load_corpus(cache, settings, ["face"])
