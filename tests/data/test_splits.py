"""Splits: nobody on two sides, every class on each, the same again tomorrow."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from skelemo.data.splits import SUBSETS, Split, groups_of, make_split
from skelemo.errors import ConfigError


def a_table(videos, subjects=None, splits=None):
    """Sequences as a corpus lists them: one for each video that is named, in that order."""
    count = len(videos)
    return pd.DataFrame(
        {
            "id": [f"{video}#{index:04}" for index, video in enumerate(videos)],
            "video": videos,
            "subject": subjects if subjects is not None else [""] * count,
            "splits": splits if splits is not None else [{}] * count,
        }
    )


def people(seed=0, subjects=12, clips=120):
    """Clips of so many subjects, unevenly many each, with a class each."""
    rng = np.random.default_rng(seed)
    who = np.concatenate([np.arange(subjects), rng.integers(0, subjects, clips - subjects)])
    table = a_table([f"v{index}" for index in range(clips)], [f"s{index}" for index in who])
    return table, rng.choice(5, clips, p=(0.4, 0.3, 0.15, 0.1, 0.05))


def lone(clips=300, seed=1):
    """Clips that share nothing."""
    return a_table([f"v{index}" for index in range(clips)]), np.random.default_rng(seed).integers(0, 7, clips)


def split(spec, table, strata=None, *, validation=0.1, seed=0):
    strata = np.zeros(len(table), int) if strata is None else strata
    return make_split(spec, table, strata, validation=validation, seed=seed)


def rows(table, fold):
    """Rows of the table by subset."""
    place = pd.Index(table["id"])
    return {subset: place.get_indexer(list(getattr(fold, subset))) for subset in SUBSETS}


def assert_disjoint(table, fold):
    """No sequence, video or known subject is in two parts, and no sequence is named that is not there."""
    found = rows(table, fold)
    assert all((where >= 0).all() for where in found.values())
    for column in ("id", "video", "subject"):
        names = [set(table[column].iloc[where]) - {""} for where in found.values()]
        assert sum(map(len, names)) == len(set.union(*names)), column
    assert all(len(where) for where in (found["train"], found["validation"]))


# Groups


def grouped_by_hand(table):
    """Join whoever shares something until nothing changes."""
    group = list(range(len(table)))
    changed = True
    while changed:
        changed = False
        for a in range(len(table)):
            for b in range(a):
                one, other = table.iloc[a], table.iloc[b]
                same = one["video"] == other["video"] or (one["subject"] and one["subject"] == other["subject"])
                if same and group[a] != group[b]:
                    group = [group[b] if g == group[a] else g for g in group]
                    changed = True
    return group


@pytest.mark.parametrize("seed", range(6))
def test_groups_are_those_that_share_anything_by_way_of_others(seed):
    rng = np.random.default_rng(seed)
    table = a_table(
        [f"x{n}" for n in rng.integers(0, 14, 24)], rng.choice(["", "", "x1", "b", "c", "d", "e"], 24).tolist()
    )
    pairs = Counter(zip(groups_of(table).tolist(), grouped_by_hand(table), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_unknown_subjects_are_not_one_person():
    assert len(set(groups_of(a_table(["a", "b", "c"])))) == 3


def test_a_subject_named_like_a_video_is_not_that_video():
    assert len(set(groups_of(a_table(["ann", "bob"], ["bob", "carl"])))) == 2


# Drawn splits


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [2, 5, 10])
def test_the_test_parts_of_k_folds_are_everything_once(k, seed):
    table, strata = people(seed)
    found = split(f"kfold:{k}", table, strata, seed=seed)
    assert len(found.folds) == k
    tested = [name for fold in found.folds for name in fold.test]
    assert sorted(tested) == sorted(table["id"])
    for fold in found.folds:
        assert_disjoint(table, fold)
        assert sorted((*fold.train, *fold.validation, *fold.test)) == sorted(table["id"])
        assert fold.test


def test_as_many_folds_as_groups_leave_one_out():
    table, strata = people()
    for fold in split("kfold:12", table, strata).folds:
        assert table["subject"].iloc[rows(table, fold)["test"]].nunique() == 1


@pytest.mark.parametrize("k", [3, 10])
def test_classes_are_spread_evenly_over_the_folds(k):
    table, strata = lone()
    for label in range(7):
        counts = [
            (strata[rows(table, fold)["test"]] == label).sum() for fold in split(f"kfold:{k}", table, strata).folds
        ]
        assert max(counts) - min(counts) <= 1
    sizes = [len(fold.test) for fold in split(f"kfold:{k}", table, strata).folds]
    assert max(sizes) - min(sizes) <= 7


def test_classes_are_spread_as_evenly_as_subjects_allow():
    table, strata = people(3, subjects=40, clips=600)
    for fold in split("kfold:5", table, strata).folds:
        found = np.bincount(strata[rows(table, fold)["test"]], minlength=5) / np.bincount(strata)
        assert (abs(found - 0.2) < 0.07).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_large_group_does_not_make_folds_uneven(seed):
    """Fifty clips of one subject and one each of fifty others: two folds of fifty."""
    table = a_table([f"v{index}" for index in range(100)], ["one"] * 50 + [f"s{index}" for index in range(50)])
    assert [len(fold.test) for fold in split("kfold:2", table, validation=0, seed=seed).folds] == [50, 50]


@pytest.mark.parametrize("share", [0.1, 0.15, 0.2, 0.3, 1 / 3, 0.4, 0.5])
def test_a_holdout_has_the_share_asked_for(share):
    table, strata = lone(clips=600)
    (fold,) = split(f"holdout:{share}", table, strata, validation=0.25).folds
    assert_disjoint(table, fold)
    assert abs(len(fold.test) / 600 - share) < 0.02
    assert abs(len(fold.validation) / (600 - len(fold.test)) - 0.25) < 0.02
    assert len(fold.train) + len(fold.validation) + len(fold.test) == 600


@pytest.mark.parametrize(("share", "tested"), [(0.049, 98), (0.03, 60), (0.02, 40), (0.01, 20), (0.0015, 3), (1e-9, 1)])
def test_a_small_share_is_still_about_that_share(share, tested):
    table, strata = lone(clips=2000)
    (fold,) = split(f"holdout:{share}", table, strata, validation=share).folds
    assert_disjoint(table, fold)
    assert abs(len(fold.test) - tested) <= max(0.05 * tested, 1)
    assert abs(len(fold.validation) - tested) <= max(0.05 * tested, 1)
    if tested >= 20:
        assert set(strata[rows(table, fold)["test"]]) == set(range(7))


@pytest.mark.parametrize("count", [3, 4, 7, 9])
@pytest.mark.parametrize("spec", ["holdout:0.05", "holdout:0.2", "kfold:3"])
def test_few_groups_are_enough_for_a_part_of_each(count, spec):
    table, strata = people(1, subjects=count, clips=4 * count)
    found = split(spec, table, strata, validation=0.05)
    for fold in found.folds:
        assert_disjoint(table, fold)
        assert fold.test


@pytest.mark.parametrize("count", [3, 5, 12])
def test_every_clip_of_a_class_of_its_own_can_be_split(count):
    table = a_table([f"v{index}" for index in range(count)])
    for fold in split(f"kfold:{min(count, 10)}", table, np.arange(count)).folds:
        assert_disjoint(table, fold)


@pytest.mark.parametrize("spec", ["kfold:5", "holdout:0.2", "given"])
def test_a_split_is_its_seeds_alone_whatever_the_order(spec):
    table, strata = people()
    table["splits"] = [{"split": "test" if subject in ("s1", "s2") else "train"} for subject in table["subject"]]
    order = np.random.default_rng(9).permutation(len(table))
    first = split(spec, table, strata, seed=3)
    assert split(spec, table.iloc[order].reset_index(drop=True), strata[order], seed=3) == first
    others = {split(spec, table, strata, seed=seed).folds for seed in range(8)}
    assert len(others) > 4


def test_every_subject_has_its_turn_in_the_holdout():
    table, strata = people()
    tested = [
        set(table["subject"].iloc[rows(table, split("holdout:0.2", table, strata, seed=s).folds[0])["test"]])
        for s in range(40)
    ]
    assert set.union(*tested) == set(table["subject"])


def test_what_keeps_sequences_together_is_said():
    table, strata = people()
    assert split("holdout:0.2", table, strata).grouped_by == "subject"
    assert split("holdout:0.2", table.assign(subject=""), strata).grouped_by == "video"


def test_people_of_one_video_stay_together():
    table = a_table([f"v{index // 3}" for index in range(60)])
    for fold in split("kfold:4", table).folds:
        assert_disjoint(table, fold)


#: Takes by name: what a recording and its views, copies and pieces are called.
TAKES = {
    "cameras by name": ("{}_view1", "{}_view2", "{}_view10"),
    "cameras as OpenPose numbers them": ("{}", "{}_view1", "{}_view2"),
    "cameras by folder": ("{}/cam01", "{}/cam02", "{}/camera_3"),
    "cameras above": ("cam1/{}", "cam2/{}", "View-3/{}"),
    "cameras above and below": ("cam1/day 2/{}", "cam2/day 2/{}", "day 2/{}_cam3"),
    "mirrored": ("{}", "{}_mirrored", "{}-flip", "flipped/{}"),
    "re-encoded": ("{}", "{}_720p", "{}_h264", "{}_25fps", "{}.x265", "{}_reencoded_480p"),
    "copied": ("{}", "{}_copy", "{} copy"),
    "sides": ("{}_left", "{}_right", "{}"),
    "pieces": ("{}", "{}_from4096", "{}_from65536"),
}


@pytest.mark.parametrize("spec", ["kfold:4", "holdout:0.25"])
@pytest.mark.parametrize("names", TAKES.values(), ids=TAKES)
def test_views_copies_and_pieces_of_a_take_never_cross_subsets(names, spec):
    takes = [f"clip {letter}" for letter in "abcdefghij"]
    table = a_table([name.format(take) for take in takes for name in names])
    take = np.repeat(np.arange(len(takes)), len(names))
    assert len(set(groups_of(table))) == len(takes)
    order = np.random.default_rng(0).permutation(len(table))
    for seed in range(3):
        for fold in split(spec, table.iloc[order], order % 3, seed=seed, validation=0.2).folds:
            found = [{*take[where]} for where in rows(table, fold).values()]
            assert sum(map(len, found)) == len(set.union(*found)) == len(takes)
            assert all(found)


@pytest.mark.parametrize("spec", ["kfold:3", "holdout:0.3"])
def test_frames_of_a_clip_that_are_sequences_of_their_own_stay_together(spec):
    """As where stills of a clip, or its people, are sequences: they name one video."""
    table = a_table([f"clip {index // 5}" for index in range(60)])
    for fold in split(spec, table).folds:
        assert_disjoint(table, fold)
        sizes = [len(getattr(fold, subset)) for subset in SUBSETS]
        assert all(size % 5 == 0 for size in sizes)
        assert sum(sizes) == 60


def test_a_take_that_a_given_split_tears_is_refused():
    table = a_table(["a_view1", "a_view2", "b", "c"], splits=given(["train", "test", "train", "test"]))
    with pytest.raises(ConfigError, match=r"the group of 'a_view1#0000' is in more than one subset"):
        split("given", table)


# Given splits


def given(*columns):
    return [
        dict(zip(("split", "fold_1", "fold_2", "fold_10"), parts, strict=False)) for parts in zip(*columns, strict=True)
    ]


def test_a_given_split_is_taken_as_it_is():
    parts = ["train"] * 4 + ["validation"] * 2 + ["test"] * 3
    table = a_table([f"v{index}" for index in range(9)], splits=given(parts))
    (fold,) = split("given", table).folds
    assert {subset: table["id"].tolist().index(getattr(fold, subset)[0]) for subset in SUBSETS} == {
        "train": 0, "validation": 4, "test": 6,
    }  # fmt: skip
    assert [len(getattr(fold, subset)) for subset in SUBSETS] == [4, 2, 3]
    assert split("given:split", table).folds == (fold,)


def test_a_given_split_without_validation_gives_some_of_its_training():
    parts = ["train"] * 50 + ["test"] * 10
    table = a_table([f"v{index}" for index in range(60)], splits=given(parts))
    (fold,) = split("given", table, np.arange(60) % 2, validation=0.2).folds
    assert_disjoint(table, fold)
    assert fold.test == tuple(table["id"][50:])
    assert len(fold.validation) == 10


def test_given_folds_are_run_in_the_order_of_their_numbers():
    columns = [["train"] * 5 + ["test"], ["test"] + ["train"] * 5, ["train", "test"] + ["train"] * 4]
    splits = [{"fold_1": a, "fold_2": b, "fold_10": c} for a, b, c in zip(*columns, strict=True)]
    table = a_table(list("abcdef"), splits=splits)
    found = split("given", table)
    assert [fold.test[0][0] for fold in found.folds] == ["f", "a", "b"]
    assert split("given:fold_2", table).folds == (found.folds[1],)


def test_who_is_given_no_part_is_in_none():
    table = a_table(list("abcde"), splits=[*given(["train", "train", "train", "test"]), {}])
    (fold,) = split("given", table).folds
    assert "e" not in "".join((*fold.train, *fold.validation, *fold.test))


def test_a_sequence_in_no_subset_may_share_a_video_with_one_that_is_in_one():
    table = a_table(["a", "a", "b"], splits=[{"split": "train"}, {"split": ""}, {"split": "test"}])
    (fold,) = split("given", table, validation=0).folds
    assert (fold.train, fold.validation, fold.test) == (("a#0000",), (), ("b#0002",))


@pytest.mark.parametrize(
    ("videos", "subjects", "who"),
    [
        (["a", "a", "c", "d"], None, "video 'a'"),
        (["a", "b", "c", "d"], ["Ann", "Ann", "", ""], "subject 'Ann'"),
        (["a", "a", "c", "d"], ["Ann", "Bob", "", ""], "video 'a'"),
    ],
)
def test_a_given_split_that_tears_somebody_is_refused(videos, subjects, who):
    table = a_table(videos, subjects, given(["train", "test", "train", "test"]))
    with pytest.raises(ConfigError, match=rf"split given:split: {who} is in more than one subset"):
        split("given", table)


@pytest.mark.parametrize("spec", ["kfold:3", "holdout:0.3"])
def test_the_same_keypoints_under_two_names_stay_in_one_subset(spec):
    table = a_table(list("abcdefghijkl")).assign(content=["x", "", "x", "", "y", "", "", "y", "", "", "", ""])
    for fold in split(spec, table).folds:
        for subset in (fold.train, fold.validation, fold.test):
            for twins in ((0, 2), (4, 7)):
                assert len(set(table["id"][list(twins)]) & set(subset)) in (0, 2)


def test_a_given_split_with_one_recording_in_two_subsets_is_refused():
    table = a_table(list("abcd"), splits=given(["train", "test", "train", "test"])).assign(content=["x", "", "", "x"])
    with pytest.raises(ConfigError, match=r"the same keypoints under two names\), 'a#0000' and 'd#0003', is in"):
        split("given", table)


# What cannot be


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("", "expected given"),
        ("random", "expected given"),
        ("kfold", "whole number of at least 2"),
        ("kfold:", "whole number of at least 2"),
        ("kfold:1", "whole number of at least 2"),
        ("kfold:-3", "whole number of at least 2"),
        ("kfold:2.5", "whole number of at least 2"),
        ("holdout", "share above 0"),
        ("holdout:0", "share above 0"),
        ("holdout:0.6", "share above 0"),
        ("holdout:nan", "share above 0"),
        ("holdout:a fifth", "share above 0"),
        ("kfold:13", "12 groups .* cannot be divided into 13 subsets"),
        ("given", "the cache has none"),
        ("given:fold_1", "the cache has none"),
    ],
)
def test_what_cannot_be_split_is_said(spec, said):
    table, strata = people()
    with pytest.raises(ConfigError, match=said) as error:
        split(spec, table, strata)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("spec", "splits", "said"),
    [
        ("given:camera", {"split": "train", "fold_1": "test"}, "no split column 'camera'; the cache has fold_1, split"),
        ("given", {"set": "train"}, "no split column 'split'; the cache has set"),
        ("given", {"split": "test"}, "no labeled sequence is marked 'train'"),
        ("given", {"split": "training"}, "marked 'training'; expected train, validation, test"),
    ],
)
def test_a_column_that_is_no_split_is_said(spec, splits, said):
    with pytest.raises(ConfigError, match=said):
        split(spec, a_table(list("abc"), splits=[splits] * 3))


@pytest.mark.parametrize("spec", ["holdout:0.2", "holdout:0.5", "kfold:2", "given"])
@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_people_cannot_train_choose_and_test(spec, count):
    table = a_table(
        [f"v{index}" for index in range(count)], splits=[{"split": ("train", "test")[i]} for i in range(count)]
    )
    with pytest.raises(
        ConfigError, match=r"1 group .* cannot be divided into 2 subsets|is a single subject .* or set validation=0"
    ):
        split(spec, table)


# Written down


def test_a_split_is_read_as_it_was_written():
    table, strata = people()
    found = split("kfold:3", table, strata)
    table = table.assign(content=[f"{index % 100}" if index else "" for index in range(len(table))])
    written = json.loads(json.dumps(found.to_json(table)))
    assert Split.from_json(written) == found
    assert set(written) == {"split", "grouped_by", "folds", "subjects", "sha256"}
    assert written["subjects"] == dict(zip(table["id"], table["subject"], strict=True))
    assert written["sha256"] == dict(zip(table["id"][1:], table["content"][1:], strict=True))


def test_leaving_one_subject_out_tests_each_alone_once():
    table, strata = people()
    folds = split("loso", table, strata).folds
    assert len(folds) == 12
    tested = [set(table["subject"].to_numpy()[rows(table, fold)["test"]]) for fold in folds]
    assert sorted(name for names in tested for name in names) == sorted(set(table["subject"]))
    for fold, names in zip(folds, tested, strict=True):
        assert set(table["id"][table["subject"].isin(names)]) == set(fold.test)
        assert len(fold.train) + len(fold.validation) + len(fold.test) == len(table)


def test_leaving_one_subject_out_needs_every_subject():
    table = a_table(["a", "b", "c"], ["x", "y", ""])
    with pytest.raises(ConfigError, match=r"split loso: 1 of 3 sequences have no subject, e\.g\. 'c#0002'"):
        split("loso", table)


def test_too_few_groups_mention_identical_recordings():
    table = a_table(["one", "two", "three"]).assign(content=["same", "same", "other"])
    with pytest.raises(ConfigError, match=r"2 groups .* identical recordings count once"):
        split("kfold:3", table)
