"""An audit finds what was broken on purpose, and ranks it high."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import skelemo
from skelemo.audit.audit import Audit, audit, page, write_audit
from skelemo.audit.suspects import COLUMNS, read_suspects
from skelemo.cache.corrections import Correction, add
from skelemo.cache.sequence import Sequence
from skelemo.cache.shard import Header, write_shard
from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.errors import ConfigError, InputError
from skelemo.simulate.writing import Plan, write
from skelemo.targets import VA, Head
from skelemo.training.config import load_config
from skelemo.training.fit import train

MOOD = Head("mood", "classes", ("glad", "sad", "calm"))
POSE = np.random.default_rng(0).uniform(100, 200, (25, 2))


def a_walk(seed: int, frames: int, *, at: float = 0.0, size: float = 1.0) -> np.ndarray:
    """Keypoints ``[T, 25, 3]`` of somebody who sways on the spot, each in a way of their own."""
    random = np.random.default_rng(seed)
    shape, slow = POSE + random.normal(0, 6, (25, 2)), random.normal(0, 1, (frames, 25, 2)).cumsum(0) * 0.3
    sway = 4 * np.sin(np.arange(frames) / 7 + seed)[:, None, None]
    points = np.ones((frames, 25, 3), np.float32)
    points[..., :2] = 20 + at + size * (shape + slow + sway + random.normal(0, 0.3, (frames, 25, 2)))
    return points


def a_person(name: str, keypoints: np.ndarray, person: str = "", labels: dict | None = None, **facts) -> Sequence:
    number = np.arange(len(keypoints), dtype=np.int32)
    name_of = f"{name}_{person}" if person else name
    known = {"width": 1280, "height": 720, "fps": 25.0} | facts
    return Sequence(name_of, name, keypoints, number, labels or {}, person, **known)


def audited(folder: Path, *sequences: Sequence, **options) -> Audit:
    folder.mkdir()
    write_shard(folder, Header("body_25", (MOOD, VA)), sequences)
    return audit(open_cache(folder), **options)


def only(found: Audit, kind: str) -> pd.DataFrame:
    return found.suspects[found.suspects["kind"] == kind]


def moody(index: int, frames: int = 6) -> Sequence:
    """A short clip whose wrist is about as high as its class says; one in some is hard to tell."""
    keypoints = a_walk(index, frames)
    label = index % 3
    keypoints[:, 4, 1] += 25 * label + np.random.default_rng(index).normal(0, 8)
    labels = {"mood": np.full(frames, label, np.int16)}
    return a_person(f"clip{index}", keypoints, labels=labels, subject=f"s{index % 40}")


@pytest.fixture(scope="module")
def flipped(tmp_path_factory) -> tuple[Path, set[str]]:
    """Two thousand clips, of which a hundred have another class by way of corrections."""
    folder = tmp_path_factory.mktemp("flipped")
    write_shard(folder, Header("body_25", (MOOD,)), [moody(index) for index in range(2000)])
    chosen = np.random.default_rng(1).permutation(2000)[:100].tolist()
    other = {index: MOOD.outputs[(index + 1 + index // 3 % 2) % 3] for index in chosen}
    rows = [Correction(f"clip{index}", "set", head="mood", value=value) for index, value in other.items()]
    add(folder / "corrections.csv", rows)
    return folder, {f"clip{index}" for index in chosen}


def test_half_of_the_first_hundred_suspects_are_flipped_labels_where_one_in_twenty_is(flipped):
    folder, wrong = flipped
    found = audit(open_cache(folder), corrections=folder / "corrections.csv")
    first = found.suspects.head(100)
    assert first["video"].isin(wrong).sum() >= 50
    assert (first["kind"] == "label").sum() >= 50
    hits = first[first["video"].isin(wrong)]
    right = [MOOD.outputs[int(name.removeprefix("clip")) % 3] for name in hits["video"]]
    assert (hits["value"].to_numpy() == right).mean() > 0.75, "the value is what the movement speaks for"
    assert dict(found.facts)["Corrections"].startswith("100 corrections by ")


def test_flipped_labels_are_not_suspected_once_they_are_put_right(flipped):
    found = audit(open_cache(flipped[0]))
    assert only(found, "label").head(100)["video"].isin(flipped[1]).sum() < 15


def test_labels_are_compared_with_out_of_fold_predictions_of_runs(flipped, tmp_path):
    folder, wrong = flipped
    settings = {"data": [str(folder)], "arch": "logistic", "head": "mood", "split": "kfold:3", "validation": 0.0}
    settings |= {"sampling": "clip", "length": 1, "corrections": str(folder / "corrections.csv"), "device": "cpu"}
    train(load_config(None, settings), tmp_path / "run")
    found = audit(open_cache(folder), [tmp_path / "run"], corrections=folder / "corrections.csv")
    assert found.notes == ()
    assert found.suspects.head(100)["video"].isin(wrong).sum() >= 50
    assert dict(found.facts)["Labels compared with"] == "run"
    part = dict(settings, split="holdout:0.2", corrections="")
    train(load_config(None, part), tmp_path / "part")
    notes = audit(open_cache(folder), [tmp_path / "part"]).notes
    assert len(notes) == 1
    assert "of 2,000 labeled sequences; a run with --set split=kfold:5 has them for all" in notes[0]


def test_a_swap_of_two_simulated_people_is_among_the_first_ten(tmp_path):
    write(tmp_path / "act", Plan(subjects=6, clips=2, frames=80, seed=1))
    labels = f"affwild2:{tmp_path / 'act' / 'affwild2'}"
    skelemo.ingest(tmp_path / "act" / "json", tmp_path / "whole", labels)
    rows = open_cache(tmp_path / "whole").sequences
    video = rows.groupby("video")["person"].agg(set)
    (name,) = video[video.map(lambda people: people >= {"left", "right"})].index[:1]
    table = tmp_path / "swap.csv"
    add(table, [Correction(name, "swap", "left", 40, value="right")])
    skelemo.ingest(tmp_path / "act" / "json", tmp_path / "swapped", labels, corrections=table)
    found = audit(open_cache(tmp_path / "swapped"))
    hits = found.suspects[(found.suspects["video"] == name) & (found.suspects["kind"] == "identity")]
    assert len(hits) == 1
    assert int(hits["rank"].iloc[0]) <= 10
    assert int(hits["first"].iloc[0]) == 40
    assert {hits["person"].iloc[0], hits["value"].iloc[0]} == {"left", "right"}
    assert only(audit(open_cache(tmp_path / "whole")), "identity").query("video == @name").empty


def test_a_jumping_or_resized_track_is_a_suspect_and_a_walk_is_not(tmp_path):
    jump, growth, walk = a_walk(1, 80), a_walk(2, 80), a_walk(3, 80)
    jump[50:, :, :2] += 400
    growth[30:, :, :2] = 150 + (growth[30:, :, :2] - 150) * 2.5
    walk[:, :, :2] += np.linspace(0, 600, 80)[:, None, None]
    walk[40:60] = 0  # away for a while
    found = only(audited(tmp_path / "c", *map(a_person, ("jump", "growth", "walk"), (jump, growth, walk))), "identity")
    assert list(zip(found["video"], found["first"], strict=True))[:2] in (
        [("jump", 50), ("growth", 30)], [("growth", 30), ("jump", 50)],
    )  # fmt: skip
    assert set(found["video"]) == {"jump", "growth"}


def test_frozen_and_empty_segments_and_points_outside(tmp_path):
    still, gone, out = a_walk(1, 60), a_walk(2, 90), a_walk(3, 60)
    still[20:40] = still[20]
    gone[10:50] = 0
    out[5:8, 3, 0] = 1280 * 1.25
    mood = {"mood": np.zeros(90, np.int16)}
    found = audited(tmp_path / "c", a_person("still", still), a_person("gone", gone, labels=mood), a_person("out", out))
    rows = {(r.kind, r.video): (r.first, r.last, r.found) for r in found.suspects.itertuples() if r.kind != "identity"}
    assert rows == {
        ("frozen", "still"): (20, 39, "no point moves for 20 frames"),
        ("empty", "gone"): (10, 49, "labeled, but nobody is visible in 40 frames"),
        ("outside", "out"): (5, 7, "points up to 25% of the image size outside it, in 3 frames"),
    }


def test_a_moved_and_scaled_copy_in_another_subset_is_the_only_duplicate(tmp_path):
    people = [a_person(f"one{n}", a_walk(n, 50), splits={"split": "train"}) for n in range(30)]
    copy = a_walk(7, 50, at=300, size=1.6)
    copy[..., :2] += np.random.default_rng(5).normal(0, 0.2, (*copy.shape[:2], 2))
    found = only(audited(tmp_path / "c", *people, a_person("copy", copy, splits={"split": "test"})), "duplicate")
    assert len(found) == 1
    assert {found["video"].iloc[0], found["found"].iloc[0].split()[2]} == {"copy", "one7"}
    assert "they are in " in found["found"].iloc[0]


def a_face(seed: int) -> np.ndarray:
    """A still ``[1, 25, 3]`` that differs from other faces by 1.8 % of its size, about 0.8 pixels."""
    random = np.random.default_rng(seed)
    size = np.sqrt(((POSE - POSE.mean(0)) ** 2).sum(1).mean())
    points = np.ones((1, 25, 3), np.float32)
    points[0, :, :2] = POSE + random.normal(0, 0.013 * size, (25, 2))
    return points


def test_stills_of_people_who_look_alike_are_no_copies_and_copies_of_stills_are(tmp_path):
    faces = [a_face(seed) for seed in range(20)]
    assert only(audited(tmp_path / "c", *[a_person(f"p{n}", face) for n, face in enumerate(faces)]), "duplicate").empty
    copy = faces[4].copy()
    copy[..., :2] = 1.7 * (copy[..., :2] + np.random.default_rng(9).normal(0, 0.25, (1, 25, 2))) + 40
    found = only(audited(tmp_path / "d", *[a_person(f"p{n}", face) for n, face in enumerate([*faces, copy])]),
                 "duplicate")  # fmt: skip
    assert list(found["video"]) == ["p4"]
    assert found["found"].iloc[0].startswith("looks like p20")


def test_takes_of_one_subject_are_duplicates_only_across_subsets(tmp_path):
    def pair(first: str, second: str, subsets: tuple[str, str]) -> pd.DataFrame:
        facts = [
            {"subject": who, "splits": {"split": subset}} for who, subset in zip((first, second), subsets, strict=True)
        ]
        people = [a_person(name, a_walk(7, 50), **given) for name, given in zip("ab", facts, strict=True)]
        return only(audited(tmp_path / "".join([first, second, *subsets]), *people), "duplicate")

    assert pair("ann", "ann", ("train", "train")).empty
    assert len(pair("ann", "ann", ("train", "test"))) == 1
    assert len(pair("ann", "ben", ("train", "train"))) == 1


def shifted_person(index: int, lag: int) -> Sequence:
    """A person whose valence is how high the wrists are, ``lag`` frames later."""
    keypoints = a_walk(index, 200)
    valence = np.convolve(np.random.default_rng(index).normal(0, 1, 240), np.ones(20) / 20, "valid")[:200] * 2
    keypoints[:, [4, 7], 1] -= 40 * valence[:, None].astype(np.float32)
    values = np.clip(np.stack([np.roll(valence, lag), np.zeros(200)], 1), -1, 1).astype(np.float32)
    return a_person(f"v{index}", keypoints, labels={"va": values})


def test_values_that_cannot_be_checked_are_noted_with_a_remedy(tmp_path):
    stills = [shifted_person(index, 0) for index in range(12)]
    short = [replace(one, keypoints=one.keypoints[:5], number=one.number[:5], labels={"va": one.labels["va"][:5]})
             for one in stills]  # fmt: skip
    (note,) = audited(tmp_path / "short", *short).notes
    assert note == (
        "va: not checked: only the timing of values is checked, which needs sequences with at least 40 labeled "
        "windows; for the largest errors, train a model on this cache with --set split=kfold:5 and sort by error in "
        "skelemo view CACHE --runs RUN"
    )
    assert audited(tmp_path / "long", *stills).notes == ()
    (few,) = audited(tmp_path / "few", *stills[:3]).notes
    assert few.startswith("va: not checked: cross-validation needs at least 5 labeled subjects or recordings")
    assert few.endswith("score a run of other data on this cache (skelemo evaluate) and give the folder as --runs")


def test_labels_that_come_too_late_are_found_with_their_lag(tmp_path):
    found = audited(tmp_path / "c", *[shifted_person(index, 20 if index == 5 else 0) for index in range(12)])
    timing = only(found, "timing")
    assert list(timing["video"]) == ["v5"]
    lag = int(timing["found"].iloc[0].split("comes ")[1].split()[0])
    assert 17 <= lag <= 23
    assert "later than the movement" in timing["found"].iloc[0]


def test_the_page_escapes_names_and_the_table_round_trips(tmp_path):
    gone = a_walk(2, 90)
    gone[10:50] = 0
    labels = {"mood": np.zeros(90, np.int16)}
    found = audited(tmp_path / "c", a_person("=<b>x", gone, labels=labels))
    write_audit(found, tmp_path / "out")
    html = (tmp_path / "out" / "audit.html").read_text()
    assert "=&lt;b&gt;x" in html
    assert "<b>x" not in html
    assert "http" not in html.replace("http-equiv", "")
    assert "<script" not in html
    assert f"skelemo view {tmp_path / 'c'} --queue {tmp_path / 'out' / 'suspects.csv'}" in html
    assert "\n1,empty,'=<b>x," in (tmp_path / "out" / "suspects.csv").read_text()
    pd.testing.assert_frame_equal(read_suspects(tmp_path / "out" / "suspects.csv").drop(columns="score"),
                                  found.suspects.drop(columns="score"), check_dtype=False)  # fmt: skip
    write_audit(found, tmp_path / "out")
    (tmp_path / "out" / "mine.txt").write_text("")
    with pytest.raises(ConfigError, match="expected only an audit: choose another --out"):
        write_audit(found, tmp_path / "out")
    nothing = audited(tmp_path / "d", a_person("fine", a_walk(1, 30)))
    assert nothing.suspects.empty
    assert "No suspects" in page(nothing, Path("suspects.csv"))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "No columns"),
        ("rank,kind\n1,label\n", "no column 'video'"),
        (f"{','.join(COLUMNS)}\n1,label,v,,x,3,0.5,f,,\n", "line 2: first 'x'; expected a number"),
        (f"{','.join(COLUMNS)}\n1,label,v,,-3,3,0.5,f,,\n", "line 2: first '-3'"),
        (f"{','.join(COLUMNS)}\n1,label,v,,1,1e300,0.5,f,,\n", "line 2: last '1e300'"),
        (f"{','.join(COLUMNS)}\n1,label,v,,1,3,nan,f,,\n", "line 2: score 'nan'"),
        (f"{','.join(COLUMNS)}\n1,label,v,,1,3,7,f,,\n", "line 2: score '7'; expected a number from 0 to 1"),
        (f"{','.join(COLUMNS)}\n1,taste,v,,1,3,0.5,f,,\n", "line 2: kind 'taste'; expected one of label, timing,"),
        (f"{','.join(COLUMNS)}\n1,label,v,,3,1,0.5,f,,\n", "line 2: last '1'; expected the first frame or a later"),
    ],
)
def test_an_invalid_queue_is_a_one_line_error(tmp_path, content, found):
    (tmp_path / "q.csv").write_text(content)
    with pytest.raises(InputError, match=found) as error:
        read_suspects(tmp_path / "q.csv")
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="No such file"):
        read_suspects(tmp_path / "none.csv")


def test_a_cache_without_sequences_is_refused(tmp_path):
    (tmp_path / "c").mkdir()
    write_shard(tmp_path / "c", Header("body_25", (MOOD,)), [])
    done = CliRunner().invoke(main, ["audit", str(tmp_path / "c"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert done.output == "Error: c: nothing to audit: nobody was detected in any recording of this cache\n"
    assert not (tmp_path / "out").exists()


def test_the_command_writes_both_files_and_names_a_missing_library(tmp_path, monkeypatch):
    folder = tmp_path / "c"
    folder.mkdir()
    write_shard(folder, Header("body_25", (MOOD,)), [moody(index, 5) for index in range(60)])
    done = CliRunner().invoke(main, ["audit", str(folder), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["audit.html", "suspects.csv"]
    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    done = CliRunner().invoke(main, ["audit", str(folder), "--out", str(tmp_path / "no")])
    assert done.exit_code == 2
    assert "audit needs cleanlab: pip install 'skelemo[audit]'" in done.output
    assert not (tmp_path / "no").exists()


@pytest.mark.slow  # two thousand simulated clips take a minute to write and to read
def test_flips_of_simulated_emotions_are_found(tmp_path):
    write(tmp_path / "act", Plan("dfew", subjects=24, clips=12), jobs=2)
    skelemo.ingest(tmp_path / "act" / "dfew" / "json", tmp_path / "c", f"dfew:{tmp_path / 'act' / 'dfew'}", jobs=2)
    cache = open_cache(tmp_path / "c")
    (head,), rows, random = cache.heads, cache.sequences, np.random.default_rng(0)
    labels = cache.read().labels[head.name][rows["start"]]
    chosen = random.permutation(len(rows))[: round(0.05 * len(rows))]
    names = {i: head.outputs[(labels[i] + random.integers(1, len(head))) % len(head)] for i in chosen}
    add(tmp_path / "f.csv", [Correction(rows["video"][i], "set", head=head.name, value=v) for i, v in names.items()])
    first = audit(cache, corrections=tmp_path / "f.csv").suspects.head(100)
    assert first["video"].isin(set(rows["video"][chosen])).sum() >= 50


def test_real_observers_disagree_with_the_labels_that_are_suspected(tmp_path, shared_data):
    """1,154 stills of actors: what an actor meant is the label, about 100 people each said what they saw."""
    data = np.load(shared_data / "taiwan" / "taiwan_faces.npz", allow_pickle=False)
    intended = data["intended"].astype(str)
    head = Head("intended", "classes", tuple(sorted(set(intended))))
    faces = [
        Sequence(str(name), str(name), points[None], np.zeros(1, np.int32),
                 {head.name: np.array([head.outputs.index(label)], np.int16)}, subject=str(actor),
                 width=int(size[0]), height=int(size[1]))
        for name, points, label, actor, size in zip(
            data["name"], data["keypoints"], intended, data["actor"], data["size"], strict=True)
    ]  # fmt: skip
    folder = tmp_path / "stills"
    folder.mkdir()
    write_shard(folder, Header("body_25+face_70", (head,)), faces)
    rated = (intended != "neutral") & ~np.isnan(data["observers_share"]).any(1)
    saw = data["rated_emotions"].astype(str)[data["observers_share"].argmax(1)]
    differs = pd.Series(saw != intended, data["name"].astype(str))[rated]
    found = audit(open_cache(folder))
    assert only(found, "duplicate").empty, "29 actors, none of them twice"
    suspects = only(found, "label")
    first = suspects[suspects["video"].isin(differs.index)].head(100)
    assert differs.mean() < 0.23
    assert differs[first["video"]].mean() > 0.5, "more than twice as many as among all"
