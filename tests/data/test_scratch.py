"""A corpus larger than memory: the same frames and windows as in memory, block by block, in bounded memory."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from small_caches import BODY_AND_FACE, a_cache, a_sequence

from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.data import scratch
from skelemo.data.augment import Augmentation
from skelemo.data.calibration import calibrated
from skelemo.data.corpus import load_corpus
from skelemo.data.loader import Batches
from skelemo.data.windows import Window, find_targets
from skelemo.errors import ConfigError, InputError
from skelemo.preprocess import Preparation

CPU = torch.device("cpu")
MEMORY = 700_000  # of 1.6 MB
SETTINGS = Preparation(min_confidence=0.2, max_gap=3, smooth=3)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    people = (
        a_sequence(f"v{index:02}", 10 + index % 13, points=95, subject=f"s{index % 7}", width=640, height=480)
        for index in range(90)
    )
    return open_cache(a_cache(tmp_path_factory.mktemp("cache"), *people, header=BODY_AND_FACE))


def both(cache, settings=SETTINGS, parts=()):
    held, mapped = load_corpus(cache, settings, parts), load_corpus(cache, settings, parts, memory=MEMORY)
    assert held.scratch is None
    assert mapped.scratch is not None
    return held, mapped


def require_equal(held, mapped):
    for name, value in vars(held).items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(getattr(mapped, name), value), name
    assert (mapped.layout, mapped.preparation) == (held.layout, held.preparation)
    rows = torch.arange(len(held)).view(-1, 1)
    for one, other in zip(held.windows(rows, rows >= 0), mapped.windows(rows, rows >= 0), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("parts", [(), ("face_70",)])
@pytest.mark.parametrize("reference", ["clip", "window"])
def test_frames_are_prepared_as_in_memory(cache, reference, parts):
    held, mapped = both(cache, Preparation(reference=reference, max_gap=3), parts)
    require_equal(held, mapped)
    assert held.sequences["content"].tolist() == mapped.sequences["content"].tolist()


def test_fewer_parts_and_calibration_are_as_in_memory(cache):
    held, mapped = both(cache)
    require_equal(held.only(["face_70"]), mapped.only(["face_70"]))
    for mode in ("track", "running"):
        one, other = calibrated(held, mode), calibrated(mapped, mode)
        np.testing.assert_allclose(other.preparation.typical, one.preparation.typical, atol=1e-9)
        torch.testing.assert_close(other.shift, one.shift, atol=1e-5, rtol=0)
        torch.testing.assert_close(other.only(["body_25"]).shift, one.only(["body_25"]).shift, atol=1e-5, rtol=0)
        assert ("shift" in other.scratch.files) == (mode == "running")


def batches(corpus, window=None, **how):
    targets = find_targets(corpus, np.arange(3, 90), window or Window(4), ("expression",), seen_only=False)
    return [*Batches(corpus, targets, window or Window(4), 16, CPU, **how)]


@pytest.mark.parametrize("window", [Window(4), Window(4, sampling="clip")], ids=lambda window: window.sampling)
def test_an_epoch_has_the_windows_that_it_has_in_memory_block_by_block(cache, window):
    held, mapped = both(cache)
    how = {"seed": 5, "augmentation": Augmentation(mirror=0.5, jitter=0.01)}
    mine, again, other = (batches(mapped, window, **how | {"seed": seed}) for seed in (5, 5, 6))
    for one, two in zip(mine, again, strict=True):
        assert all(torch.equal(one[name], two[name]) for name in ("row", "keypoints", "mask"))
    rows = [torch.cat([batch["row"] for batch in found]) for found in (mine, other, batches(held, window, **how))]
    assert torch.equal(rows[0].sort()[0], rows[2].sort()[0])
    assert len({tuple(found.tolist()) for found in rows}) == 3
    near = [len(np.unique(held.sequence(row.numpy()))) for row in rows[0].split(100)]
    far = [len(np.unique(held.sequence(row.numpy()))) for row in rows[2].split(100)]
    assert window.sampling == "clip" or max(near[:-1]) < 0.6 * min(far[:-1]), "few sequences at a time"
    for one, two in zip(batches(held, window), batches(mapped, window), strict=True):
        assert torch.equal(one["row"], two["row"])
        torch.testing.assert_close(one["keypoints"], two["keypoints"], atol=1e-6, rtol=0)


def test_drawn_windows_are_those_of_memory(cache):
    held, mapped = both(cache)
    weights = np.random.default_rng(0).random(
        len(find_targets(held, np.arange(3, 90), Window(4), ("expression",), seen_only=False))
    )
    one, two = (batches(corpus, seed=1, balance=weights, most=300) for corpus in (held, mapped))
    assert sorted(r for b in one for r in b["row"].tolist()) == sorted(r for b in two for r in b["row"].tolist())


def test_blocks_hold_pieces_of_many_sequences_and_are_given_back(cache):
    _, mapped = both(cache)
    files = mapped.scratch
    start, length = (mapped.sequences[name].to_numpy() for name in ("start", "length"))
    rows = torch.randperm(len(mapped), generator=torch.Generator().manual_seed(0))
    fetched, forgotten = [], []

    class Watched(scratch.Scratch):
        def fetch(self, first, last):
            fetched.append((first, last))

        def forget(self, first, last):
            forgotten.append((first, last))

    visits = scratch.Visits(Watched(files.memory, files.files), rows, start, length, 2, torch.Generator())
    assert files.block == MEMORY // 4 // (95 * 12 + 2 * 16)
    blocks = int(visits.number.max()) + 1
    assert blocks == -(-len(mapped) // files.block)
    with visits:
        for first in range(0, len(rows), 50):
            visits.arrive(first, 50)
            held = {row for a, b in fetched for row in range(a, b)}
            assert held.issuperset(rows[visits.order[first : first + 50]].tolist()), "read before they are needed"
    assert forgotten[-1] == (0, len(mapped))
    assert len(forgotten) > blocks
    whole, first, last = visits.pieces[2], visits.pieces[0], visits.pieces[1]
    assert np.bincount(whole, last - first).max() <= files.block + 16


def test_a_corpus_that_fits_is_in_memory(cache):
    assert load_corpus(cache, SETTINGS, memory=100 << 20).scratch is None


def test_too_little_memory_for_one_sequence_is_refused(cache):
    with pytest.raises(ConfigError, match="is too little to prepare a sequence of 22 frames; expected at least 1 MB"):
        load_corpus(cache, SETTINGS, memory=100_000)


def test_a_full_disk_is_one_line_before_anything_is_prepared(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        with pytest.raises(
            InputError, match=f"{tmp_path}: cannot create a scratch file of 2 MB .*File too large.*set TMPDIR"
        ):
            load_corpus(cache, SETTINGS, memory=MEMORY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    words = ["train", "--data", str(cache.paths[0]), "--set", "memory=700KB", "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "No space left on device" in done.output
    assert not [*tmp_path.iterdir()], "neither a run nor a scratch file is left"


WATCHED = """
import json, sys, threading, time
import numpy as np, torch
from skelemo.cache.store import open_cache
from skelemo.data.corpus import load_corpus
from skelemo.data.loader import Batches
from skelemo.data.windows import Window, find_targets
from skelemo.preprocess import Preparation

def resident():
    kilobytes = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))
    for mapping in open("/proc/self/smaps").read().split("(deleted)\\n")[1:]:  # files without a name
        kilobytes += int(mapping.split("Rss:")[1].split()[0])
    return 1024 * kilobytes

def epoch(cache, memory):
    corpus = load_corpus(cache, Preparation(max_gap=5), memory=memory).only(["face_70", "body_25"])
    targets = find_targets(corpus, np.arange(len(corpus.sequences)), Window(4), ("va",), seen_only=True)
    for _ in Batches(corpus, targets, Window(4), 64, torch.device("cpu"), seed=0):
        pass
    return corpus.scratch is not None

def watch():
    global peak
    while True:
        peak = max(peak, resident())
        time.sleep(0.005)

cache, memory = open_cache(sys.argv[1]), int(sys.argv[2])
epoch(cache.only(np.arange(3)), memory)
base = peak = resident()
threading.Thread(target=watch, daemon=True).start()
for allowed in (memory, 1 << 30):
    mapped = epoch(cache, allowed)
    print(json.dumps([mapped, peak - base]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="as Linux tells it")
def test_preparing_and_training_stay_within_memory(tmp_path):
    """Anonymous memory and pages of the files; labels, numbers and targets are about 100 bytes a frame on top.

    A process of its own, and longer than other tests: what takes memory cannot be seen otherwise.
    """
    walk, memory, frames = a_sequence("v", 200, points=95), 8 << 20, 120 * 200
    people = (a_sequence(f"v{index}", 200, points=95, keypoints=walk.keypoints) for index in range(120))
    a_cache(tmp_path, *people, header=BODY_AND_FACE)
    command = [sys.executable, "-c", WATCHED, str(tmp_path), str(memory)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    (mapped, peak), (held, most) = map(json.loads, lines)
    assert mapped
    assert peak < memory + 100 * frames + (8 << 20), "some of what was freed stays with the allocator"
    assert not held
    assert most > 12 * 95 * frames > 3 * memory, "the measure sees a corpus that is held"
