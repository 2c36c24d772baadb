"""Exports: what other programs read is what the cache holds."""

import builtins
import gzip
import json
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from small_caches import BODY_AND_FACE, CLASSES, MOOD, a_cache, a_recording, a_sequence

from skelemo.cache.shard import Header
from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.errors import CacheError, ConfigError, InputError
from skelemo.formats import table
from skelemo.formats.pose import write_pose
from skelemo.formats.pyskl import write_pyskl
from skelemo.formats.registry import EXPORTS
from skelemo.formats.table import write_csv, write_parquet
from skelemo.formats.writing import in_pixels
from skelemo.skeleton import layout
from skelemo.targets import Head

LEFT = a_sequence("talk_left", 3, points=95, video="talk", person="left", number=np.array([4, 6, 9]),
                  expression=np.array([1, 1, 0]), width=640, height=480, fps=29.97)  # fmt: skip
RIGHT = a_sequence("talk_right", 4, points=95, video="talk", person="right", number=np.array([3, 4, 5, 6]),
                   expression=np.array([-1, -1, -1, 1]), width=640, height=480, fps=29.97)  # fmt: skip
WALK = a_sequence("day 1/walk", 5, points=95, subject="Ann", expression=np.array([2, 2, 0, -1, -1]),
                  splits={"split": "train", "fold_1": "test"})  # fmt: skip
SILENT = a_sequence("silent", 2, points=95, expression=np.array([-1, -1]), valence=np.full(2, np.nan, np.float32))
EVERYBODY = (LEFT, RIGHT, WALK, SILENT)


@pytest.fixture
def cache(tmp_path):
    """Two people of one video, a walk, and somebody without labels; in two shards."""
    a_cache(tmp_path / "c", LEFT, RIGHT, WALK, header=BODY_AND_FACE, recordings=[a_recording("talk")])
    a_cache(tmp_path / "c", SILENT, header=BODY_AND_FACE)
    return open_cache(tmp_path / "c")


class Careful(pickle.Unpickler):
    """Loads nothing but arrays and what arrays are made of."""

    def find_class(self, module, name):
        allowed = {("numpy", "ndarray"): np.ndarray, ("builtins", "bytearray"): bytearray, ("builtins", "list"): list}
        return allowed[module, name]


def unpickled(path):
    with path.open("rb") as file:
        return Careful(file).load()


# PYSKL


def test_pyskl_gets_clips_with_people_by_frame(tmp_path, cache):
    done = write_pyskl(cache, tmp_path / "a.pkl")
    held = unpickled(tmp_path / "a.pkl")
    clips = {clip["frame_dir"]: clip for clip in held["annotations"]}
    assert set(clips) == {"talk", "day 1/walk"}
    talk = clips["talk"]
    assert (talk["label"], talk["total_frames"], talk["img_shape"], talk["original_shape"]) == (
        1,
        5,
        (480, 640),
        (480, 640),
    )
    assert talk["keypoint"].shape == (2, 5, 95, 2)
    assert talk["keypoint_score"].shape == (2, 5, 95)
    people = {one.person: one for one in (LEFT, RIGHT)}
    for person, one in enumerate((people["left"], people["right"])):
        for place, number in enumerate([3, 4, 5, 6, 9]):
            expected = one.keypoints[one.number == number]
            expected = expected[0] if len(expected) else np.zeros((95, 3))
            assert np.array_equal(talk["keypoint"][person, place], expected[:, :2])
            assert np.array_equal(talk["keypoint_score"][person, place], expected[:, 2])
    assert held["split"] == {"train": ["day 1/walk"], "fold_1_test": ["day 1/walk"]}
    assert held["classes"] == list(CLASSES)
    assert done.notes == ("skipped 1 sequence without a class",)


def test_pyskl_arrays_may_be_changed_in_place_as_its_pipelines_do(tmp_path, cache):
    write_pyskl(cache, tmp_path / "a.pkl")
    for clip in unpickled(tmp_path / "a.pkl")["annotations"]:
        clip["keypoint"] *= 2
        assert clip["keypoint"].dtype == np.float32


def test_pyskl_people_with_different_labels_are_clips_of_their_own(tmp_path):
    other = a_sequence("talk_right", 4, points=95, video="talk", person="right", expression=np.array([0, 0, 0, 1]))
    cache = open_cache(a_cache(tmp_path / "c", LEFT, other, header=BODY_AND_FACE))
    write_pyskl(cache, tmp_path / "a.pkl")
    clips = unpickled(tmp_path / "a.pkl")["annotations"]
    assert [(clip["frame_dir"], clip["label"], len(clip["keypoint"])) for clip in clips] == [
        ("talk_left", 1, 1),
        ("talk_right", 0, 1),
    ]


def test_pyskl_people_in_different_subsets_are_clips_of_their_own(tmp_path):
    """Otherwise a test clip would show somebody who is in the training subset."""
    people = [
        a_sequence(f"talk_{who}", 3, video="talk", person=who, expression=np.array([1, 1, 1]), splits={"split": subset})
        for who, subset in (("left", "train"), ("middle", "test"), ("right", "train"))
    ]
    write_pyskl(open_cache(a_cache(tmp_path / "c", *people)), tmp_path / "clips.pkl")
    found = unpickled(tmp_path / "clips.pkl")
    assert {one["frame_dir"]: len(one["keypoint"]) for one in found["annotations"]} == {
        "talk_left": 2,
        "talk_middle": 1,
    }
    assert found["split"] == {"train": ["talk_left"], "test": ["talk_middle"]}


def test_pyskl_needs_labels(tmp_path, cache):
    with pytest.raises(CacheError, match="no sequence has a class"):
        write_pyskl(cache, tmp_path / "a.pkl", ["id=silent"])
    assert not (tmp_path / "a.pkl").exists()


@pytest.mark.parametrize(
    ("scale", "size", "shape", "moved"),
    [
        ("unit", (640, 480), (480, 640), lambda xy: xy * [639, 479]),
        ("signed", (640, 480), (480, 640), lambda xy: (xy + 1) / 2 * [639, 479]),
        ("unit", (0, 0), (1, 1), lambda xy: xy),
        ("signed", (0, 0), (1, 1), lambda xy: (xy + 1) / 2),
    ],
)
def test_coordinates_become_pixels_where_the_picture_is_known(tmp_path, scale, size, shape, moved):
    keypoints = np.random.default_rng(1).uniform(0.1, 1, (3, 25, 3)).astype(np.float32)
    keypoints[1, 4] = 0
    one = a_sequence("one", 3, keypoints=keypoints, expression=np.zeros(3, np.int8), width=size[0], height=size[1])
    cache = open_cache(a_cache(tmp_path / "c", replace(one, scale=scale)))
    write_pyskl(cache, tmp_path / "a.pkl")
    (clip,) = unpickled(tmp_path / "a.pkl")["annotations"]
    expected = moved(keypoints[..., :2])
    expected[1, 4] = 0
    assert clip["img_shape"] == shape
    np.testing.assert_allclose(clip["keypoint"][0], expected, rtol=1e-6)


# pose-format


def test_pose_files_read_back_equal_with_openposes_names(tmp_path, cache):
    pose_format = pytest.importorskip("pose_format")
    done = write_pose(cache, tmp_path / "poses")
    assert sorted(path.name for path in (tmp_path / "poses").iterdir()) == [
        "day 1_walk.pose",
        "silent.pose",
        "talk.pose",
    ]
    assert done.notes == ("2 videos without a known frame rate: written with 25 frames per second",)
    pose = pose_format.Pose.read((tmp_path / "poses" / "talk.pose").read_bytes())
    assert (pose.header.dimensions.width, pose.header.dimensions.height) == (640, 480)
    assert pose.body.fps == pytest.approx(29.97)
    assert pose.body.data.shape == (7, 2, 95, 2)
    for person, one in enumerate((LEFT, RIGHT)):
        here = one.number - 3
        assert np.array_equal(pose.body.confidence[here, person], one.keypoints[..., 2])
        assert np.array_equal(pose.body.data.data[here, person], one.keypoints[..., :2])
        absent = np.setdiff1d(np.arange(7), here)
        assert not pose.body.confidence[absent, person].any()
    for component, part in zip(pose.header.components, layout().parts, strict=True):
        assert component.points == list(part.keypoints)
        assert component.limbs == list(part.limbs)
        assert np.array_equal(component.colors, part.drawing.colors)
        assert component.format == "XYC"


def test_pose_formats_own_normalizing_knows_the_body(tmp_path, cache):
    pose_format = pytest.importorskip("pose_format")
    write_pose(cache, tmp_path / "poses", ["id=day*"])
    pose = pose_format.Pose.read((tmp_path / "poses" / "day 1_walk.pose").read_bytes())
    assert pose.normalize() is not None


def test_pose_files_of_videos_with_like_names_are_apart(tmp_path):
    pytest.importorskip("pose_format")
    names = ["a/b", "A_b", "a_b~2", "a:b"]
    cache = open_cache(a_cache(tmp_path / "c", *(a_sequence(name) for name in names)))
    write_pose(cache, tmp_path / "poses")
    assert len({path.name.casefold() for path in (tmp_path / "poses").iterdir()}) == 4


def test_an_image_too_large_for_a_pose_file_is_refused(tmp_path):
    folder = a_cache(tmp_path / "c", a_sequence("wide", 2, width=70_000, height=300))
    with pytest.raises(CacheError, match=r"wide: image size 70000 x 300; \.pose allows at most 65,535"):
        write_pose(open_cache(folder), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_pose_file_that_would_be_empty_is_refused(tmp_path):
    pytest.importorskip("pose_format")
    cache = open_cache(a_cache(tmp_path / "c", a_sequence("far", 2, number=np.array([0, 2**31 - 1]))))
    with pytest.raises(CacheError, match="far: 2 frames with numbers from 0 to 2147483647"):
        write_pose(cache, tmp_path / "poses")
    assert not (tmp_path / "poses").exists()


# tables


def read_table(path):
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, keep_default_na=True)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
def test_a_table_has_a_row_for_each_frame_with_everything_known(tmp_path, cache, monkeypatch, name):
    monkeypatch.setattr(table, "ROWS", 4)
    write = write_parquet if name.endswith("parquet") else write_csv
    done = write(cache, tmp_path / name)
    held = read_table(tmp_path / name)
    assert (done.sequences, done.frames, len(held)) == (4, 14, 14)
    for one in EVERYBODY:
        rows = held[held["id"] == one.id]
        assert rows["number"].tolist() == one.number.tolist()
        assert set(rows["video"]) == {one.video}
        assert rows["subject"].fillna("").tolist() == [one.subject] * len(one)
        assert rows["split.fold_1"].fillna("").tolist() == [one.splits.get("fold_1", "")] * len(one)
        named = [
            CLASSES[label] if label >= 0 else None for label in one.labels.get("expression", np.full(len(one), -1))
        ]
        assert rows["expression"].astype(object).where(rows["expression"].notna(), None).tolist() == named
        ratings = one.labels.get("va", np.full((len(one), 2), np.nan, np.float32))
        assert np.array_equal(rows[["valence", "arousal"]].to_numpy(np.float32), ratings, equal_nan=True)
        points = np.stack(
            [rows[f"{name}.{axis}"].to_numpy(np.float32) for name in layout().keypoints for axis in "xyc"], 1
        )
        points = points.reshape(len(one), 95, 3)
        missing = one.keypoints[..., 2] == 0
        assert np.isnan(points[missing][:, :2]).all()
        assert np.array_equal(np.nan_to_num(points), one.keypoints)


def test_flags_and_shares_are_columns_and_empty_where_unlabeled(tmp_path):
    units = Head("au", "flags", ("AU1", "AU2"))
    shares = np.array([[0.2, 0.7, 0.1], [np.nan] * 3, [0.5, 0.5, 0]], np.float32)
    labels = {"au": np.array([[1, 0], [-1, 1], [-1, -1]], np.int8), "expression": shares}
    folder = a_cache(tmp_path / "c", a_sequence("one", 3, labels=labels), header=Header("body_25", (units, MOOD)))
    write_csv(open_cache(folder), tmp_path / "x.csv")
    write_parquet(open_cache(folder), tmp_path / "x.parquet")
    for found in (pd.read_csv(tmp_path / "x.csv"), pd.read_parquet(tmp_path / "x.parquet")):
        np.testing.assert_array_equal(found[["AU1", "AU2"]], [[1, 0], [np.nan, 1], [np.nan, np.nan]])
        assert found["expression"].astype(object).where(found["expression"].notna(), "").tolist() == ["sad", "", "glad"]


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [
        ((0, 0), "pixels", (12, 8)),  # the point at 10.2 is in the twelfth column, if a pixel is around its number
        ((640, 480), "pixels", (640, 480)),
        ((0, 0), "unit", (1, 1)),
    ],
)
def test_an_unknown_image_is_as_large_as_its_points_need(size, scale, expected):
    points = np.array([[[10.2, 0.5, 1], [-3, 7, 1]]], np.float32)
    found, *shape = in_pixels(points, scale, *size)
    assert tuple(shape) == expected
    np.testing.assert_array_equal(found, points)  # a unit of an image of 1 x 1 is a pixel
    assert in_pixels(np.zeros((1, 2, 3), np.float32), "pixels", 0, 0)[1:] == (1, 1)


def test_parquet_has_layout_and_heads_in_its_metadata(tmp_path, cache, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(table, "ROWS", 4)
    write_parquet(cache, tmp_path / "a.parquet")
    file = parquet.ParquetFile(tmp_path / "a.parquet")
    assert file.schema_arrow.metadata[b"layout"] == b"body_25+face_70"
    assert json.loads(file.schema_arrow.metadata[b"heads"]) == [head.to_json() for head in cache.heads]
    assert file.num_row_groups > 2


def test_a_compressed_table_is_the_same_each_time(tmp_path, cache):
    for name in ("a", "b"):
        write_csv(cache, tmp_path / f"{name}.csv.gz")
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()).startswith(b"id,video,person,subject,split.fold_1,")


def test_names_with_commas_quotes_and_line_ends_stay_whole(tmp_path):
    name = 'a, "b"\nc'
    cache = open_cache(a_cache(tmp_path / "c", a_sequence(name, 2, subject="Zoë; x", splits={"a,b": "train"})))
    write_csv(cache, tmp_path / "a.csv")
    held = pd.read_csv(tmp_path / "a.csv")
    assert held["id"].tolist() == [name, name]
    assert held["subject"].tolist() == ["Zoë; x"] * 2
    assert held["split.a,b"].tolist() == ["train"] * 2


@pytest.mark.parametrize("name", ["new\nline", "new\rline", "new\r\nline"], ids=ascii)
def test_a_line_break_in_a_name_makes_no_row(tmp_path, name):
    one = a_sequence(name, 2, subject=name, splits={name: "train"})
    write_csv(open_cache(a_cache(tmp_path / "c", one)), tmp_path / "a.csv")
    held = pd.read_csv(tmp_path / "a.csv")
    assert held["id"].tolist() == held["subject"].tolist() == [name, name]
    assert held[f"split.{name}"].tolist() == ["train"] * 2
    assert held["number"].tolist() == [0, 1]


def test_texts_that_a_spreadsheet_would_run_are_quoted_unless_asked_for(tmp_path):
    one = a_sequence("=1+1", 2, subject="@SUM(A1)", splits={"+a": "train"})
    cache = a_cache(tmp_path / "c", one)
    runner, words = CliRunner(), ["cache", "export", str(cache), "--to", "csv", "--out"]
    assert runner.invoke(main, [*words, str(tmp_path / "safe.csv")]).exit_code == 0
    held = pd.read_csv(tmp_path / "safe.csv")
    assert (held["id"][0], held["subject"][0], held["split.+a"][0]) == ("'=1+1", "'@SUM(A1)", "train")
    assert runner.invoke(main, [*words, str(tmp_path / "raw.csv"), "--raw"]).exit_code == 0
    held = pd.read_csv(tmp_path / "raw.csv")
    assert (held["id"][0], held["subject"][0]) == ("=1+1", "@SUM(A1)")
    words[words.index("csv")] = "parquet"
    refused = runner.invoke(main, [*words, str(tmp_path / "x.parquet"), "--raw"])
    assert refused.exit_code == 2
    assert "--raw only applies to csv" in refused.output


# all of them


@pytest.mark.parametrize("form", EXPORTS.names())
def test_every_export_filters_reports_progress_and_overwrites_nothing(tmp_path, cache, form):
    told = []
    out = tmp_path / "out"
    done = EXPORTS.find(form).function(cache, out, ["subject=Ann"], lambda *frames: told.append(frames))
    assert (done.sequences, done.frames) == (1, 5)
    assert told == [(5, 5)]
    with pytest.raises(InputError, match="already exists"):
        EXPORTS.find(form).function(cache, out, [], lambda *_: None)
    with pytest.raises(CacheError, match="no sequence matches"):
        EXPORTS.find(form).function(cache, tmp_path / "none", ["subject=Bob"], lambda *_: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "out"]


@pytest.mark.parametrize("form", [form for form in EXPORTS.names() if form != "pose"])
@pytest.mark.parametrize("inside", [[], ["thesis.tex"]], ids=["empty", "full"])
def test_a_folder_instead_of_a_file_is_an_error(tmp_path, cache, form, inside):
    (tmp_path / "out").mkdir()
    for name in inside:
        (tmp_path / "out" / name).write_text("")
    with pytest.raises(InputError, match=r"out: is a folder; expected a file name, as in --out .*out/NAME$"):
        EXPORTS.find(form).function(cache, tmp_path / "out", [], lambda *_: None)


def test_pose_files_may_come_into_an_empty_folder(tmp_path, cache):
    pytest.importorskip("pose_format")
    (tmp_path / "out").mkdir()
    write_pose(cache, tmp_path / "out", ["id=day*"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["day 1_walk.pose"]


@pytest.mark.parametrize("form", EXPORTS.names())
def test_an_export_that_fails_leaves_nothing(tmp_path, cache, form):
    def fail(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        EXPORTS.find(form).function(cache, tmp_path / "out", ["id=day*"], fail)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_missing_library_is_an_error_that_names_the_extra(tmp_path, cache, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.split(".")[0] == "pose_format":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'skelemo\[pose\]'"):
        EXPORTS.find("pose").function(cache, tmp_path / "out", [], lambda *_: None)


def test_the_verb_exports(tmp_path, cache):
    words = ["cache", "export", str(cache.paths[0]), "--to", "pyskl", "--out", str(tmp_path / "a.pkl")]
    done = CliRunner().invoke(main, words)
    assert "3 sequences, 12 frames written" in done.output, done.output
    assert "skipped 1 sequence without a class" in done.output
    again = CliRunner().invoke(main, words)
    assert again.exit_code == 2
    assert len(again.output.strip().splitlines()) == 1


def test_an_empty_class_list_is_no_label(tmp_path):
    cache = open_cache(a_cache(tmp_path / "c", a_sequence("one", 3, labels={}), header=Header("body_25")))
    with pytest.raises(CacheError, match="no sequence has a class"):
        write_pyskl(cache, tmp_path / "a.pkl")
