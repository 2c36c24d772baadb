"""Frames at equal distances along a person's path: by hand, as many as one in N, and what training takes."""

import numpy as np
import pytest
import torch
from small_caches import a_cache, a_sequence

from skelemo.cache.store import open_cache
from skelemo.data.corpus import load_corpus
from skelemo.data.novelty import novel_frames, steps_of, travelled
from skelemo.data.windows import Gatherer, Window, find_targets
from skelemo.preprocess import Preparation
from skelemo.runs.folder import read_json
from skelemo.training.config import load_config
from skelemo.training.fit import train


def test_a_step_is_the_root_mean_square_over_points_that_both_frames_show():
    places = torch.tensor(
        [
            [[0.0, 0, 1], [0, 0, 1]],
            [[3, 4, 1], [0, 0, 1]],  # 5 and 0: the root of 25 / 2
            [[0, 0, 0], [0, 2, 1]],  # 2 of the second alone
            [[1, 1, 1], [0, 0, 0]],  # nothing that both show
        ]
    )
    assert steps_of(places).tolist() == pytest.approx([12.5**0.5, 2, 0])


def test_frames_stand_where_the_path_has_its_even_shares():
    """Still, still, a gesture of three steps, still: ten frames, two in five wanted; path 0 0 0 0 1 2 3 3 3 3."""
    steps = np.float64([0, 0, 0, 0, 1, 1, 1, 0, 0, 0])
    assert novel_frames(steps, np.array([10]), 5).tolist() == [0, 5]  # half of 3 is passed at the second step
    assert novel_frames(steps, np.array([10]), 3).tolist() == [0, 4, 5, 6]  # shares at 0, .75, 1.5 and 2.25
    twice = np.concatenate([steps, steps])
    assert novel_frames(twice, np.array([10, 10]), 5).tolist() == [0, 5, 10, 15]


def test_there_are_as_many_as_one_in_every_and_no_frame_twice():
    rng = np.random.default_rng(0)
    for every in (1, 2, 7, 10):
        length = rng.integers(1, 40, 60)
        steps = rng.exponential(1, length.sum()) ** 4 * (rng.random(length.sum()) > 0.7)
        rows = novel_frames(steps, length, every)
        clip = np.repeat(np.arange(60), length)[rows]
        assert np.bincount(clip, minlength=60).tolist() == (-(-length // every)).tolist()
        assert (np.diff(rows) > 0).all()
        assert set(np.cumsum(length) - length) <= set(rows), "the first frame of each clip"


def test_who_keeps_still_has_evenly_spaced_frames_and_a_jump_takes_one():
    assert novel_frames(np.zeros(40), np.array([40]), 10).tolist() == [0, 10, 20, 30]
    jump = np.zeros(12)
    jump[11] = 5  # all of the path in the last step: three frames of which none comes twice
    assert len(set(novel_frames(jump, np.array([12]), 4).tolist())) == 3


@pytest.mark.parametrize("reference", ["clip", "window"])
def test_a_corpus_is_measured_block_by_block_and_never_across_clips(tmp_path, monkeypatch, reference):
    clips = [a_sequence(f"c{n}", 3 + n, seed=n, width=640, height=480) for n in range(5)]
    corpus = load_corpus(open_cache(a_cache(tmp_path / "cache", *clips)), Preparation(reference=reference))
    rows = torch.arange(len(corpus))
    places = Gatherer(corpus, Window()).gather(rows)[0][:, 0]
    expected = np.concatenate([[0], steps_of(places).numpy()])
    expected[corpus.sequences["start"]] = 0
    np.testing.assert_allclose(travelled(corpus), expected, atol=1e-6)
    monkeypatch.setattr("skelemo.data.corpus.BLOCK_FRAMES", 4)
    np.testing.assert_allclose(travelled(corpus), expected, atol=1e-6)
    chosen = np.array([1, 3])
    found = find_targets(corpus, chosen, Window(), ("va",), every=3, seen_only=False, steps=expected)
    start = corpus.sequences["start"].to_numpy()
    mine = np.concatenate([expected[start[n] : start[n] + 3 + n] for n in chosen])
    offset = novel_frames(mine, np.array([4, 6]), 3)
    rows = np.concatenate([np.arange(start[n], start[n] + 3 + n) for n in chosen])
    assert found.row.tolist() == rows[offset].tolist()


def test_a_run_learns_from_novel_frames_and_is_a_model_of_windows_by_stride(tmp_path):
    assert load_config(None, {"sampling": "novelty", "every": 10}).window == Window()
    labels = np.arange(20, dtype=np.int16) // 4 % 3
    clips = [a_sequence(f"c{n}", 20, seed=n, expression=labels) for n in range(8)]
    folder, lines = a_cache(tmp_path / "cache", *clips), []
    given = {"data": str(folder), "arch": "logistic", "head": "expression", "every": 6, "split": "holdout:0.25"}
    sizes = {}
    for sampling in ("stride", "novelty"):
        settings = load_config(None, given | {"sampling": sampling, "parts": "all", "device": "cpu"})
        train(settings, tmp_path / sampling, report=lambda *told: lines.append(told[-1]))
        sizes[sampling] = lines[0].partition(" windows")[0]
        facts = read_json(tmp_path / sampling / "model.json")
        assert facts["window"]["sampling"] == "stride"
        assert "expression" in facts["smoothing"]
        lines.clear()
    assert sizes["stride"] == sizes["novelty"]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in sizes]
    assert weights[0] != weights[1]
