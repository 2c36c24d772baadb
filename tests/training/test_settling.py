"""What a training takes from its data: heads, strata of the split, windows by subset, sampling weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_caches import a_cache, a_sequence
from small_trainings import HEADS

from skelemo.cache.shard import Header
from skelemo.cache.store import open_cache
from skelemo.data.corpus import load_corpus
from skelemo.data.splits import Fold
from skelemo.data.windows import Targets, find_targets
from skelemo.errors import ConfigError
from skelemo.evaluation.circumplex import READING
from skelemo.targets import EMOTIONS, VA, Head
from skelemo.training.choice import caution
from skelemo.training.config import load_config
from skelemo.training.job import Job, balance_of, require_windows
from skelemo.training.settling import Data, draw_split, read_data, settle_heads
from skelemo.training.validation import ValidationScorer

UNITS = Head("units", "flags", ("AU1", "AU2"))
CPU = torch.device("cpu")


def rated(folder, valence):
    """Clips of four frames with a valence each, NaN for none, and no class."""
    clips = []
    for index, value in enumerate(valence):
        one = np.full(4, value, np.float32)
        labels = {"expression": np.full(4, -1, np.int8), "valence": one, "arousal": 0 * one}
        clips.append(a_sequence(f"v{index:02}", 4, **labels))
    return open_cache(a_cache(folder, *clips))


def test_an_automatic_head_is_the_first_with_a_label(config, tmp_path):
    corpus = load_corpus(rated(tmp_path, [0.1, 0.2]))
    assert [head.name for head in corpus.heads] == ["expression", "va"]
    assert settle_heads(config(), corpus).head == "va"


def test_values_are_stratified_by_quartiles_of_the_first(config, tmp_path):
    """Two of eight clips are tested: with four strata of two, no test subset has both clips of one stratum."""
    cache = rated(tmp_path, [*np.linspace(-0.8, 0.8, 8), np.nan])
    for seed in range(12):
        settings = config(head="va", split="kfold:2", validation=0, split_seed=seed)
        _, split = draw_split(settings, read_data(settings, cache, None))
        for fold in split.folds:
            quartiles = sorted(int(name[1:3]) // 2 for name in fold.test)
            assert quartiles == [0, 1, 2, 3]


def test_flags_are_stratified_by_the_first(config, tmp_path):
    """Three of eighteen clips show a unit: each of three folds tests one of them."""
    flags = [np.tile(np.array([[index < 3, index % 2]], np.int8), (3, 1)) for index in range(18)]
    clips = [a_sequence(f"v{index:02}", 3, labels={"units": some}) for index, some in enumerate(flags)]
    cache = open_cache(a_cache(tmp_path, *clips, header=Header("body_25", (UNITS,))))
    for seed in range(8):
        settings = config(head="units", split="kfold:3", validation=0, split_seed=seed)
        _, split = draw_split(settings, read_data(settings, cache, None))
        assert [sum(name[1:3] < "03" for name in fold.test) for fold in split.folds] == [1, 1, 1]


def test_a_clip_that_only_a_correction_labels_joins_the_split(config, tmp_path):
    before = load_corpus(rated(tmp_path, [*np.linspace(-0.8, 0.8, 8), np.nan]))
    after = replace(before, labels={name: values.clone() for name, values in before.labels.items()})
    after.labels["va"][-4:] = 0.5  # the last clip
    after.labels["va"][:4] = torch.nan  # the first clip has lost its label, but not its place
    settings = config(head="va", split="holdout:0.25", validation=0)
    _, split = draw_split(settings, Data(after, before, {}))
    (fold,) = split.folds
    assert sorted(fold.train + fold.test) == sorted(before.sequences["id"])


@pytest.mark.parametrize(("single", "expected"), [(3, "warning: 3 of 5 people show a single expression"), (2, "")])
def test_people_who_mostly_show_one_class_are_a_reason_for_caution(tmp_path, single, expected):
    """Five subjects with two clips each; of some both are of the same class."""
    clips = []
    for index in range(10):
        label = np.full(3, 0 if index // 2 < single else index % 2, np.int8)
        clips.append(a_sequence(f"v{index}", 3, subject=f"s{index // 2}", expression=label))
    corpus = load_corpus(open_cache(a_cache(tmp_path, *clips)))
    assert caution(corpus, np.arange(10), corpus.heads).startswith(expected)
    assert bool(caution(corpus, np.arange(10), corpus.heads)) == bool(expected)
    assert not caution(corpus, np.arange(6, 10), corpus.heads), "of the others' labels nothing is used"


def test_only_the_test_subset_is_never_thinned(config, cache):
    """Twelve frames a clip: every fifth are three, every fourth are three, too, of other frames."""
    corpus = load_corpus(open_cache(cache))
    ids = tuple(corpus.sequences["id"])
    fold = Fold(ids[:1], ids[1:2], ids[2:3])
    for thinned, validated in ((4, [0, 4, 8]), ("auto", [*range(12)])):
        job = Job(config(head="va", every=5, evaluate_every=thinned), corpus, CPU)
        found = {subset: corpus.number(targets.row).tolist() for subset, targets in job.targets(fold).items()}
        assert found == {"train": [0, 5, 10], "validation": validated, "test": [*range(12)]}


def test_an_epoch_of_training_is_limited_and_scoring_is_not(config, cache):
    corpus = load_corpus(open_cache(cache))
    job = Job(config(head="va", epoch_windows=40), corpus, CPU)
    windows = find_targets(corpus, np.arange(30), job.config.window, ("va",), seen_only=True)
    assert sum(len(batch["row"]) for batch in job.batches(windows, seed=1)) == 40
    assert sum(len(batch["row"]) for batch in job.batches(windows)) == 30 * 12


def test_balanced_sampling_draws_each_class_as_often():
    """Of three, one and no windows with a class, and one without: weights of 1/3, 1 and their mean."""
    labels = {"va": np.zeros((5, 2), np.float32), "expression": np.array([0, 0, 2, 0, -1], np.int16)}
    found = balance_of((VA, HEADS[0]), Targets(np.arange(5), labels))
    assert found.tolist() == pytest.approx([1 / 3, 1 / 3, 1, 1 / 3, 0.5])


def test_baselines_are_in_full_precision_and_networks_as_configured():
    corpus = None  # not looked at
    assert Job(load_config(None, {"arch": "svm", "precision": "bf16-mixed"}), corpus, CPU).precision == "32-true"
    assert Job(load_config(None, {"precision": "bf16-mixed"}), corpus, CPU).precision == "bf16-mixed"


@pytest.mark.parametrize(
    ("fold", "reason"),
    [
        (Fold(("v03",), (), ("v00",)), r"no labeled window in the train subset \(of 1 sequence\)"),
        (Fold(("v00",), (), ("v01",)), r"only one labeled window in the train subset \(of 1 sequence\); expected two"),
        (Fold(("v00", "v01"), ("v03",), ("v02",)), r"no labeled window in the validation subset \(of 1 sequence\)"),
        (Fold(("v00", "v01"), (), ("v03",)), "nothing to score: no labeled window in the test subset .*no validation"),
    ],
)
def test_a_fold_without_enough_windows_is_refused_with_its_number(config, tmp_path, fold, reason):
    corpus = load_corpus(rated(tmp_path, [0.1, 0.2, 0.3, np.nan]))
    with pytest.raises(ConfigError, match=f"^fold 7: {reason}"):
        require_windows(Job(config(head="va", every=4), corpus, CPU), fold, 7)
    require_windows(Job(config(head="va", every=4), corpus, CPU), Fold(("v00", "v01"), (), ("v02",)), 7)


def test_a_network_needs_windows_of_two_classes(config, cache):
    corpus = load_corpus(open_cache(cache))
    job = Job(config(head="both"), corpus, CPU)
    reason = r"all windows in the train subset \(of 2 sequences\) have the same class of expression"
    with pytest.raises(ConfigError, match=f"^fold 1: {reason}"):
        require_windows(job, Fold(("clip0", "clip3"), (), ("clip1",)), 1)
    require_windows(job, Fold(("clip0", "clip4"), (), ("clip1",)), 1)


def test_values_are_not_read_as_emotions_beside_a_head_of_that_name(config, tmp_path):
    labels = {"va": np.zeros((4, 2), np.float32), READING.name: np.zeros(4, np.int16)}
    heads = (VA, Head(READING.name, "classes", EMOTIONS))
    cache = a_cache(tmp_path, a_sequence("one", 4, labels=labels), header=Header("body_25", heads))
    with pytest.raises(ConfigError, match=f"neutral_radius adds a head {READING.name}, but the data already have one"):
        settle_heads(config(head="va", neutral_radius=0.2), load_corpus(open_cache(cache)))


def test_a_search_needs_data_with_labels(config):
    with pytest.raises(ConfigError, match=r"^no data: name a cache under base"):
        ValidationScorer(load_config(None, {}))
    with pytest.raises(ConfigError, match="needs predictions to score: omit pretrain"):
        ValidationScorer(config(pretrain=True, arch="stgcnpp", model={}))
