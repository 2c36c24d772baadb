"""One path: a window, a file and a corpus give a model the same numbers."""

import json
import re

import numpy as np
import pytest
import torch
from small_caches import BODY_AND_FACE, a_cache, a_sequence
from torch.testing import assert_close

from skelemo.cache.store import open_cache
from skelemo.data.corpus import load_corpus
from skelemo.data.windows import Gatherer, Window
from skelemo.errors import ConfigError
from skelemo.preprocess import Clips, Preparation, clean, prepare
from skelemo.simulate import simulate
from skelemo.skeleton import layout

EVERYTHING = Preparation(min_confidence=0.2, max_gap=3, smooth=3)
WINDOWED = [
    Preparation("parts", "window"),
    Preparation("parts", "window", 0.2, 3, 3),
    Preparation("parts", "window", 0.2, 3, 3, causal=True),
    Preparation("frame", "window", 0.2, 3, 3),
]
PEOPLE = [
    clip.keypoints.clip(max=(9999, 9999, 1)).astype(np.float32)
    for clip in simulate(subjects=5, clips=1, frames=70, seed=3)
]
CLIPS = [
    a_sequence(name, frames, points=95, width=1280, height=720, keypoints=people[:frames].copy())
    for (name, frames), people in zip((("a", 30), ("b", 4), ("c", 50)), PEOPLE, strict=False)
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return open_cache(a_cache(tmp_path_factory.mktemp("cache"), *CLIPS, header=BODY_AND_FACE))


@pytest.mark.parametrize("settings", WINDOWED)
@pytest.mark.parametrize("target", ["last", "center"])
def test_a_raw_window_alone_is_prepared_as_inside_the_corpus(cache, settings, target):
    corpus, length = load_corpus(cache, settings), 8
    rows = torch.tensor([12, 29, 34 + 20])
    keypoints, mask = Gatherer(corpus, Window(length, target=target)).gather(rows)
    raw = np.concatenate([one.keypoints for one in CLIPS])
    for row, seen, shown in zip(rows.tolist(), keypoints, mask, strict=True):
        first = row - (length - 1 if target == "last" else length // 2)
        wanted = np.arange(first, first + length)
        clip = (0, 30) if row < 30 else (34, 84)
        inside = (wanted >= clip[0]) & (wanted < clip[1])
        window = np.where(inside[:, None, None], raw[wanted.clip(0, 83)], 0)
        size = torch.tensor([[1280.0, 720]])
        present = torch.from_numpy(inside)[None]
        alone, there = prepare(torch.from_numpy(window)[None], corpus.layout, settings, present=present, size=size)
        assert_close(alone[0][inside], seen[inside], atol=1e-5, rtol=0)
        assert torch.equal(there[0][inside], shown[inside])
        assert not seen[~inside].any()


@pytest.mark.parametrize("settings", WINDOWED)
def test_windows_that_look_back_do_not_see_the_future(tmp_path, settings):
    gatherer = []
    for change in (0, 300):
        clips = []
        for clip in CLIPS:
            keypoints = clip.keypoints.copy()
            keypoints[15:, :, :2] = np.where(keypoints[15:, :, 2:] > 0, keypoints[15:, :, :2] * 0.5 + change, 0)
            clips.append(a_sequence(clip.id, len(clip), points=95, width=1280, height=720, keypoints=keypoints))
        folder = a_cache(tmp_path / str(change), *clips, header=BODY_AND_FACE)
        gatherer.append(Gatherer(load_corpus(open_cache(folder), settings), Window(8)))
    rows = torch.tensor([0, 7, 14, 34 + 14])
    for one, other in zip(*(found.gather(rows) for found in gatherer), strict=True):
        assert torch.equal(one, other)


def test_one_sided_cleaning_does_not_depend_on_later_frames():
    settings = Preparation(max_gap=4, smooth=5, causal=True)
    points = torch.from_numpy(CLIPS[2].keypoints)
    clips = Clips(torch.zeros(50, dtype=torch.long), torch.arange(50))
    later = points.clone()
    later[20:] = later[20:].flip(0)
    assert torch.equal(clean(points, clips, settings)[:20], clean(later, clips, settings)[:20])
    assert not torch.equal(clean(points, clips, settings)[20:], clean(later, clips, settings)[20:])


def test_a_one_sided_filling_holds_the_last_sighting_as_long_as_a_gap_may_be():
    keypoints = torch.zeros(6, 1, 3)
    keypoints[1, 0] = torch.tensor([4, 8, 0.5])
    keypoints[5, 0] = torch.tensor([9, 9, 0.9])
    clips = Clips(torch.zeros(6, dtype=torch.long), torch.arange(6))
    found = clean(keypoints, clips, Preparation(max_gap=2, causal=True))[:, 0].tolist()
    held = [4, 8, 0.5]
    assert found == [[0, 0, 0], held, held, held, [0, 0, 0], pytest.approx([9, 9, 0.9])]


def test_a_one_sided_smoothing_averages_over_the_past():
    keypoints = torch.tensor([[[3.0, 0, 1]], [[6, 0, 1]], [[12, 0, 1]]])
    clips = Clips(torch.zeros(3, dtype=torch.long), torch.arange(3))
    found = clean(keypoints, clips, Preparation(smooth=4, causal=True))[:, 0, 0]
    assert_close(found, torch.tensor([3, (3 * 6 + 2 * 3) / 5, (3 * 12 + 2 * 6 + 1 * 3) / 6]))


@pytest.mark.parametrize("coordinates", ["parts", "frame"])
def test_a_recording_is_prepared_as_inside_the_corpus(cache, coordinates):
    settings = Preparation(coordinates, "clip", 0.2, 3, 3)
    corpus, start = load_corpus(cache, settings), 0
    for clip in CLIPS:
        size = torch.tensor([[1280.0, 720]])
        alone, _ = prepare(torch.from_numpy(clip.keypoints)[None], layout(), settings, size=size)
        assert_close(alone[0], corpus.placed(torch.arange(start, start + len(clip))), atol=1e-5, rtol=0)
        start += len(clip)


@pytest.mark.parametrize("coordinates", ["parts", "frame"])
@pytest.mark.parametrize("scale", ["unit", "signed"])
def test_relative_coordinates_are_prepared_as_the_same_in_pixels(coordinates, scale):
    """OpenPose's relative scales put 1 at the last pixel."""
    pixels, size = torch.from_numpy(CLIPS[2].keypoints[:8])[None], torch.tensor([[1280.0, 720]])
    share = pixels[..., :2] / torch.tensor([1279.0, 719])
    places = share if scale == "unit" else 2 * share - 1
    relative = torch.where(pixels[..., 2:] > 0, torch.cat([places, pixels[..., 2:]], -1), 0)
    settings = Preparation(coordinates, "window", max_gap=2)
    expected, mask = prepare(pixels, layout(), settings, size=size)
    found, there = prepare(relative, layout(), settings, size=size, scale=scale)
    assert_close(found, expected, atol=1e-4, rtol=0)
    assert torch.equal(there, mask)


def test_relative_coordinates_of_an_image_of_unknown_size_stay_as_they_are():
    unit = torch.from_numpy(CLIPS[2].keypoints[:8] / np.float32([1280, 720, 1]))[None]
    settings = Preparation("parts", "window")
    assert_close(prepare(unit, layout(), settings, scale="unit")[0], prepare(unit, layout(), settings)[0])


def test_missing_points_do_not_affect_predictions():
    points = torch.from_numpy(CLIPS[0].keypoints)[None]
    marred = torch.where(points[..., 2:] > 0, points, torch.tensor([torch.nan, 1e9, 0]))
    for settings in (EVERYTHING, WINDOWED[2]):
        assert torch.equal(prepare(points, layout(), settings)[0], prepare(marred, layout(), settings)[0])


def test_preparing_can_be_exported():
    class Prepare(torch.nn.Module):
        def forward(self, keypoints):
            return prepare(keypoints, layout(), WINDOWED[0])

    points = torch.from_numpy(CLIPS[2].keypoints[:48]).unflatten(0, (6, 8))
    program = torch.export.export(Prepare(), (points,)).module()
    other = points.flip(0)
    other[2] = 0
    for given in (points, other):
        for ours, theirs in zip(prepare(given, layout(), WINDOWED[0]), program(given), strict=True):
            assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("settings", [Preparation(), EVERYTHING, *WINDOWED])
def test_settings_survive_json(settings):
    assert Preparation.from_json(json.loads(json.dumps(settings.to_json()))) == settings


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"coordinates": "picture"}, "unknown coordinates 'picture'"),
        ({"reference": "frame"}, "unknown reference 'frame'"),
        ({"smoothing": 3}, "did you mean 'smooth'"),
        ({"max_gap": -1}, "max_gap is -1; expected a whole number from 0 to 1,000,000"),
        ({"max_gap": 1.5}, "max_gap is 1.5"),
        ({"min_confidence": float("nan")}, "min_confidence is nan"),
        ({"smooth": True}, "smooth is True"),
        ({"causal": 1}, "causal is 1"),
        (["clip"], "preparation is list"),
    ],
)
def test_settings_that_cannot_be_are_refused(written, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        Preparation.from_json(written)
