"""Inputs that a function refuses, each in one line that says what was expected."""

from dataclasses import replace

import pytest
from click.testing import CliRunner
from small_caches import HEADS, a_cache, a_sequence

from skelemo.annotations.table_groups import read_column
from skelemo.cache.corrections import Correction, add, read_corrections
from skelemo.cache.push import push
from skelemo.cache.shard import Header
from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.errors import CacheError, ConfigError, InputError
from skelemo.inference.elan import require_elan
from skelemo.inference.onnx import open_model
from skelemo.ingest.existing import existing
from skelemo.models import create
from skelemo.skeleton import BODY_25, FACE_70, register_layout
from skelemo.skeleton.layout import layout
from skelemo.targets import Head


@pytest.mark.parametrize(
    ("name", "parts", "said"),
    [
        ("of two words", [replace(BODY_25, name="mine")], "layout 'of two words': expected a name of letters"),
        ("empty", [], "layout 'empty': expected a name of letters, digits and _, and different parts"),
        ("twice", [replace(BODY_25, name="mine")] * 2, "layout 'twice': expected .* different parts"),
        ("mine", [BODY_25], "layout 'mine': the part 'body_25' is already in the layout 'body_25'"),
        (
            "pair",
            [replace(BODY_25, name="left", twin="right"), replace(FACE_70, name="right", twin="left")],
            "layout 'pair': left and its twin right differ in length",
        ),
    ],
)
def test_a_layout_that_cannot_be_is_not_registered(name, parts, said):
    with pytest.raises(ConfigError, match=said):
        register_layout(name, *parts)
    with pytest.raises(ConfigError):
        layout(name)


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("clip,mood\na,glad\n", InputError, "no column 'video' among clip, mood"),
        ("video,mood\na,glad\n", ConfigError, "unknown column of .* 'moods': did you mean 'mood'"),
        ("video,moods\na,\n", InputError, "column 'moods' has 0 different words; expected 1 to"),
        (
            "video,moods\na,glad\na,sad\n",
            InputError,
            "lines 2 and 3: moods is 'glad' and 'sad' for 'a'; expected one",
        ),
    ],
)
def test_a_column_that_does_not_label_videos_is_refused(tmp_path, text, error, said):
    file = tmp_path / "labels.csv"
    file.write_text(text)
    with pytest.raises(error, match=said):
        read_column(file, "moods")


def test_a_column_labels_each_video_once_with_the_words_in_natural_order(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("video,person,take\nb,,take 10\na,,take 9\nb,,take 10\nc,,\n")
    found = read_column(file, "take")
    (head,) = found.heads
    assert head.outputs == ("take 9", "take 10")
    assert {one.video: head.outputs[one.labels["take"][0]] for one in found.items} == {"b": "take 10", "a": "take 9"}


def test_corrections_are_not_written_where_there_is_no_folder(tmp_path):
    with pytest.raises(ConfigError, match="the folder does not exist"):
        add(tmp_path / "gone" / "corrections.csv", [Correction("clip", "wrong")])
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda line: line.replace(",wrong,", ",wring,"), "line 2: .*wring"),
        (lambda line: line + ",more", r"line 2: \d+ fields; expected \d+"),
        (lambda line: "," + line.partition(",")[2], "line 2: expected an id and a time"),
    ],
)
def test_a_damaged_line_of_corrections_is_named(tmp_path, change, said):
    file = tmp_path / "corrections.csv"
    add(file, [Correction("clip", "wrong")])
    title, line = file.read_text().splitlines()
    file.write_text(f"{title}\n{change(line)}\n")
    with pytest.raises((ConfigError, InputError), match=said):
        read_corrections(file)
    with pytest.raises(InputError, match=r"other\.csv: no such correction table"):
        read_corrections(tmp_path / "other.csv")


def test_a_folder_of_caches_a_run_and_an_empty_folder_are_told_from_a_cache(tmp_path):
    for name in ("first", "second"):
        a_cache(tmp_path / "both" / name, a_sequence(name))
    with pytest.raises(CacheError, match=r"contains 2 caches: choose one, such as .*first"):
        open_cache(tmp_path / "both")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").touch()
    with pytest.raises(CacheError, match="is a run folder: name a cache, such as the one in its config"):
        open_cache(tmp_path / "run")
    with pytest.raises(CacheError, match=r"no such cache; skelemo ingest SOURCE --out .* creates it"):
        open_cache(tmp_path / "none")


def test_a_push_of_sequences_that_are_not_there_sends_nothing(tmp_path):
    cache = a_cache(tmp_path / "cache", a_sequence("one"))
    with pytest.raises(CacheError, match="no sequence matches"):
        push(cache, str(tmp_path / "there"), only=["id=two"])
    assert not list((tmp_path / "there").glob("*.h5"))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"scale": "meters"}, "scale 'meters': expected one of"),
        ({"fps": -1.0}, r"fps -1\.0: expected 0 \(unknown\) or more"),
        ({"width": -5}, "width -5, height 0"),
        ({"video": ""}, "the id or video is missing"),
    ],
)
def test_a_sequence_that_cannot_be_is_refused(facts, said):
    with pytest.raises(CacheError, match=said):
        a_sequence("one", **facts)


def test_an_ingest_does_not_write_where_another_thing_is(tmp_path):
    header = Header("body_25", HEADS)
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match="is a file: expected the folder of a cache as --out"):
        existing(tmp_path / "file", header)
    a_cache(tmp_path / "cache", a_sequence("one"))
    with pytest.raises(CacheError, match=r"has the layout body_25, this ingest face_70: choose another --out"):
        existing(tmp_path / "cache", Header("face_70", HEADS))
    other = Head("expression", "classes", ("up", "down"))
    with pytest.raises(CacheError, match=r"expression is .* in .*cache, .* in this ingest: choose another --out"):
        existing(tmp_path / "cache", Header("body_25", (other,)))


def test_an_exported_file_that_is_missing_or_not_alone_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no file at .*; expected a model written by skelemo export"):
        open_model([tmp_path / "model.onnx"])
    with pytest.raises(ConfigError, match="is an exported model, which cannot be averaged: name one, or run folders"):
        open_model([tmp_path / "model.onnx", tmp_path / "run"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--per-clip", "--out", "x.eaf"), "--per-clip gives one row per recording, but --overlay and .eaf need one"),
        (("--video", "film.mp4", "--out", "x.csv"), "--video sets the background of --overlay: give --overlay, too"),
    ],
)
def test_options_of_predict_that_exclude_each_other_are_refused_before_anything_is_read(tmp_path, words, said):
    (tmp_path / "film.mp4").touch()
    words = [str(tmp_path / word) if "." in word and not word.startswith("-") else word for word in words]
    answer = CliRunner().invoke(main, ["predict", str(tmp_path), str(tmp_path), *words])
    assert answer.exit_code == 2
    assert said in " ".join(answer.output.split())


def test_an_elan_file_needs_times_and_one_video():
    with pytest.raises(ConfigError, match="ELAN needs times, but the source has no frame rate: pass --fps"):
        require_elan(1, timed=False)
    with pytest.raises(ConfigError, match=r"annotates one video, but the source has 3: predict one at a time"):
        require_elan(3, timed=True)


def test_attention_heads_divide_the_width():
    with pytest.raises(ConfigError, match="width = 30 is not a multiple of attention_heads = 4"):
        create("transformer", layout_name="body_25", heads=HEADS, width=30, attention_heads=4)
