from pathlib import Path

import numpy as np
import pytest

from skelemo.annotations import Annotation, Annotations, read_annotations
from skelemo.annotations.table_groups import read_column
from skelemo.errors import ConfigError, InputError
from skelemo.targets import EMOTIONS


def read(folder: Path, text: str) -> Annotations:
    file = folder / "labels.csv"
    file.write_bytes(text.encode())
    return read_annotations(f"table:{file}", folder)


def named(annotations: Annotations, item: Annotation) -> list[str]:
    head = annotations.heads[0]
    return [head.outputs[index] if index >= 0 else "" for index in item.labels[head.name]]


def test_a_row_per_video_labels_the_whole_video(tmp_path: Path) -> None:
    annotations = read(
        tmp_path,
        "video,label,subject,split\na.mp4,happy,s1,train\nsub/b,Anger,s2,Val\nc,,s2,\n",
    )
    assert annotations.heads[0].outputs == EMOTIONS
    assert [item.video for item in annotations.items] == ["a.mp4", "sub/b", "c"]
    assert [named(annotations, item) for item in annotations.items] == [["happiness"], ["anger"], [""]]
    assert [item.subject for item in annotations.items] == ["s1", "s2", "s2"]
    assert [dict(item.splits) for item in annotations.items] == [{"split": "train"}, {"split": "validation"}, {}]
    assert all(item.number is None for item in annotations.items)
    assert annotations.notes == ()


def test_intervals_include_both_ends(tmp_path: Path) -> None:
    annotations = read(
        tmp_path,
        "video,frame,start,end,label,valence,arousal\n"
        "v,,10,12,sad,,\n"
        "v,,2,3,fear,,\n"
        "v,11,,,,0.5,-0.25\n"
        "v,20,,,,,\n"
        "v,,12,13,sad,,\n",
    )
    (item,) = annotations.items
    assert item.number is not None
    assert item.number.dtype == np.int32
    assert item.end is not None
    assert (item.number.tolist(), item.end.tolist()) == ([2, 10, 11, 12, 13, 20], [3, 10, 11, 12, 13, 20])
    assert named(annotations, item) == ["fear", "sadness", "sadness", "sadness", "sadness", ""]
    labels = item.at(np.array([1, 2, 3, 4, 10, 11, 12, 13, 14, 20]))
    assert labels["expression"].tolist() == [-1, 6, 6, -1, 1, 1, 1, 1, -1, -1]
    rated = np.full((10, 2), np.nan, np.float32)
    rated[5] = 0.5, -0.25
    np.testing.assert_array_equal(labels["va"], rated)


def test_memory_does_not_depend_on_the_length_of_intervals(tmp_path: Path) -> None:
    rows = "".join(f"v{n},0,9999999,happy\n" for n in range(200))
    annotations = read(tmp_path, "video,start,end,label\n" + rows)
    assert sum(item.labels["expression"].nbytes for item in annotations.items) < 1000
    assert annotations.items[7].at(np.array([0, 9_999_999, 10_000_000]))["expression"].tolist() == [0, 0, -1]


def test_random_intervals_agree_with_filling_frames_one_by_one(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    outcomes = set()
    for _ in range(30):
        painted = np.full(40, -1)
        rows, contradicted = [], False
        for start, length, label in random.integers([0, 1, 0], [30, 8, 2], (5, 3)):
            part = painted[start : start + length]
            contradicted |= bool(((part >= 0) & (part != label)).any())
            part[:] = label
            rows.append(f"v,{start},{start + length - 1},{label}")
        text = "\n".join(["video,start,end,label", *rows, "v,39,39,", "w,0,0,0", "w,1,1,1"])
        outcomes.add(contradicted)
        if contradicted:
            with pytest.raises(InputError, match=r"lines \d and \d label the same frames"):
                read(tmp_path, text)
        else:
            assert read(tmp_path, text).items[0].at(np.arange(40))["label"].tolist() == painted.tolist()
    assert outcomes == {True, False}


@pytest.mark.parametrize("times", [("0,4", "5,9"), (",", ",")])
def test_a_video_may_lack_the_labels_of_a_head_in_all_its_rows(tmp_path: Path, times: tuple[str, str]) -> None:
    rows = [f"{video},{span},happy,{pain}\n" for video, pain in (("a", 2), ("b", "")) for span in times]
    annotations = read(tmp_path, "video,start,end,label,pain[0:10]\n" + "".join(rows))
    pain = [item.at(np.array([3]))["pain"].tolist() for item in annotations.items]
    np.testing.assert_array_equal(pain, [[[2.0]], [[np.nan]]])
    assert [item.at(np.array([3]))["expression"].tolist() for item in annotations.items] == [[0], [0]]


def test_people_of_a_video_have_separate_labels(tmp_path: Path) -> None:
    annotations = read(tmp_path, "video,person,label\nv,Left,happy\nv,right,sad\nv,02,fear\n")
    assert [(item.video, item.person) for item in annotations.items] == [("v", "left"), ("v", "right"), ("v", "2")]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ("10,9,0", ("0", "9", "10")),
        ("1.0,2.0,-1", ("1", "2")),
        ("wave,a10,a9", ("a9", "a10", "wave")),
        ("happy,sad,other", (*EMOTIONS, "other")),
        ("nan,joy,surprised", EMOTIONS),
    ],
)
def test_labels_define_the_classes(tmp_path: Path, labels: str, classes: tuple[str, ...]) -> None:
    text = "video,label\n" + "".join(f"v{row},{label}\n" for row, label in enumerate(labels.split(",")))
    assert read(tmp_path, text).heads[0].outputs == classes


def test_minus_one_is_unlabeled_and_noted(tmp_path: Path) -> None:
    annotations = read(tmp_path, "video,label\na,-1\nb,3\n")
    assert [item.labels["label"].tolist() for item in annotations.items] == [[-1], [0]]
    assert annotations.notes[0].endswith("rows with label -1, read as unlabeled: 1")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_line_ends_quotes_and_blank_lines_do_not_matter(tmp_path: Path, delimiter: str) -> None:
    rows = [["Video ", " VALENCE", "arousal"], ['"a, b"', "0.5", "-1"], [], ["", "", ""], ["c", "", "NaN"]]
    text = "\ufeff" + "\r\n".join(delimiter.join(row) for row in rows)
    items = read(tmp_path, text).items
    assert [item.video for item in items] == ["a, b", "c"]
    assert items[0].labels["va"][:, 0].tolist() == [0.5]
    assert np.isnan(items[1].labels["va"][:, 1]).all()


def test_a_decimal_comma_is_read_with_other_separators(tmp_path: Path) -> None:
    (item,) = read(tmp_path, "video;valence;arousal\na;0,5;-0,25\n").items
    assert (item.labels["va"][:, 0].tolist(), item.labels["va"][:, 1].tolist()) == ([0.5], [-0.25])


def test_other_columns_of_subsets_are_splits_and_unused_ones_are_noted(tmp_path: Path) -> None:
    annotations = read(
        tmp_path, ",video,label,fold_a,fold_b,camera,empty\n0,a,x,train,dev,left,\n1,b,y,testing,,right,\n"
    )
    assert [dict(item.splits) for item in annotations.items] == [
        {"fold_a": "train", "fold_b": "validation"},
        {"fold_a": "test"},
    ]
    assert annotations.notes[0].endswith("columns not used: camera, empty")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("video,label\n", "there is a header but there are no rows"),
        ("videos,label\na,x\n", r"no column 'video' among videos, label; is it 'videos'\?"),
        ("video,subject\na,x\n", "no column has labels; columns are video, subject"),
        ("video,valence\na,0\n", "column 'valence' needs column 'arousal'"),
        ("video,end,label\na,0,x\n", "column 'end' needs column 'start'"),
        ("video,label,Label\na,x,y\n", r"line 1: several columns are called 'label'"),
        ("video,label\na,x\nb\n", r"line 3: 1 cells; the header has 2 \(video, label\)"),
        ("video,label\na,x,y\n", "line 2: 3 cells"),
        ('video,label\na,"x\n', r"labels.csv, line 2: .*are the quotes closed"),
        ("video,label\n,x\n", "line 2: video is ''; expected the name of a video"),
        ("video,valence,arousal\na,0,1.5\n", r"line 2: arousal is '1.5'; expected a number in \[-1, 1\]"),
        ("video,valence,arousal\na,0,0\n\nb,-5,0\n", "line 4: valence is '-5'"),
        ("video,valence,arousal\na,0,\n", "line 2: arousal is ''; expected valence and arousal, both or none"),
        ("video,valence,arousal\na,x,0\n", "line 2: valence is 'x'; expected a number"),
        ("video,valence,arousal\na,inf,0\n", "line 2: valence is 'inf'; expected a number"),
        ("video,frame,label\na,1.5,x\n", "line 2: frame is '1.5'; expected a frame number, an integer from 0"),
        ("video,frame,label\na,-1,x\n", "line 2: frame is '-1'"),
        ("video,frame,label\na,99999999999,x\n", "line 2: frame is '99999999999'"),
        ("video,start,end,label\na,5,4,x\n", "line 2: end is '4'; expected an end that is not before the start"),
        ("video,start,end,label\na,5,,x\n", "line 2: end is ''; expected start and end, both or none"),
        ("video,frame,start,end,label\na,5,5,5,x\n", "line 2: frame is '5'; expected a frame or start and end"),
        ("video,split,label\na,train,x\nb,later,x\n", "line 3: split is 'later'; expected train, validation, test"),
        ("video,person,label\na,middle,x\n", "line 2: person is 'middle'; expected left, right"),
        ("video,label\na,x\nb,x\na,y\n", "'a': lines 2 and 4 label this video differently"),
        ("video,start,end,label\na,0,9,x\na,20,30,y\na,5,6,y\n", r"lines 2 and 4 label the same frames \(5 to 6\)"),
        ("video,frame,label\na,,x\na,3,y\n", "line 2 labels the whole video, line 3 some frames"),
        ("video,frame,subject,label\na,1,s,x\na,2,t,x\n", "lines 2 and 3: subject is 's' and 't' for 'a'"),
        ("video,frame,split,label\na,1,train,x\na,2,val,x\n", "lines 2 and 3: split is 'train' and 'validation'"),
    ],
)
def test_impossible_tables_are_refused_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


def test_a_subject_or_split_may_be_given_in_some_rows_of_a_video(tmp_path: Path) -> None:
    text = "video,frame,subject,split,label\na,1,ann,,x\na,2,,test,x\nb,1,,,x\n"
    assert [(item.subject, dict(item.splits)) for item in read(tmp_path, text).items] == [
        ("ann", {"split": "test"}),
        ("", {}),
    ]


def test_a_column_gives_the_words_of_videos_and_people(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(
        "video,person,Age  Group\na,left,old\na,right,young\n.\\b,,\nb,01,old\n./b,1,\n,,a sum\n,,another\n"
    )
    found = read_column(file, "age group")
    (head,) = found.heads
    words = [(item.video, item.person, head.outputs[item.labels["age group"][0]]) for item in found.items]
    assert words == [("a", "left", "old"), ("a", "right", "young"), ("b", "1", "old")]
    with pytest.raises(ConfigError, match=r"unknown column of .*people\.csv 'agegroup': did you mean 'age group'"):
        read_column(file, "agegroup")
    file.write_text("video,sex\na,f\nb,m\na,m\n")
    with pytest.raises(InputError, match=r"lines 2 and 4: sex is 'f' and 'm' for 'a'; expected one"):
        read_column(file, "sex")
    file.write_text("video,sex\na,\n")
    with pytest.raises(InputError, match="column 'sex' has 0 different words; expected 1 to 1,024"):
        read_column(file, "sex")
    file.write_text("clip,sex\na,f\n")
    with pytest.raises(InputError, match="no column 'video' among clip, sex"):
        read_column(file, "sex")


def test_a_nul_character_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labels.csv, line 3: a NUL character \(another encoding\?\)"):
        read(tmp_path, "video,label\r\na,x\r\nb\0,y\r\n")


def test_binary_content_is_not_a_csv_table(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_bytes(b"PK\x03\x04\xff\x00")
    with pytest.raises(InputError, match=r"labels.csv: byte 4 is not UTF-8"):
        read_annotations(f"table:{file}", tmp_path)


def test_a_folder_is_read_through_its_labels_or_only_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected one CSV, TSV or xlsx file, found none"):
        read_annotations("table", tmp_path)
    (tmp_path / "mine.tsv").write_text("video\tlabel\na\thappy\n")
    assert read_annotations("table", tmp_path).items[0].video == "a"
    (tmp_path / "notes.csv").write_text("x")
    with pytest.raises(InputError, match=r"found 2 \(mine.tsv, notes.csv\)"):
        read_annotations("table", tmp_path)
    (tmp_path / "labels.csv").write_text("video,label\nb,happy\n")
    assert read_annotations("table", tmp_path).items[0].video == "b"


def test_windows_paths_match_videos(tmp_path: Path) -> None:
    assert read(tmp_path, "video,label\n.\\sub\\a.avi,x\n").items[0].video == "sub/a.avi"


def test_columns_of_numbers_or_few_words_are_separate_heads(tmp_path: Path) -> None:
    annotations = read(
        tmp_path,
        "video,label,pain,Room Light,rater[0:10],note,AU1,au12\n"
        "a,happy,3,dark,5,said hello,1,0\nb,sad,,bright,0,left early,-1,1\n"
        "c,sad,7.5,dark,10,,,\nd,sad,4,bright,2,x,0,0\n",
    )
    kinds = {head.name: (head.kind, head.outputs, head.low, head.high) for head in annotations.heads}
    assert kinds == {
        "expression": ("classes", EMOTIONS, -1, 1),
        "au": ("flags", ("AU1", "AU12"), -1, 1),
        "pain": ("values", ("pain",), 3, 7.5),
        "room_light": ("classes", ("bright", "dark"), -1, 1),
        "rater": ("values", ("rater",), 0, 10),
    }
    first, second, third, _ = annotations.items
    np.testing.assert_array_equal([item.labels["pain"][0, 0] for item in (first, second, third)], [3, np.nan, 7.5])
    assert [item.labels["room_light"].tolist() for item in (first, second)] == [[1], [0]]
    assert [item.labels["au"].tolist() for item in (first, second, third)] == [[[1, 0]], [[-1, 1]], [[-1, -1]]]
    assert annotations.notes == (f"{tmp_path / 'labels.csv'}: columns not used: note",)


def test_a_column_of_one_number_or_of_many_words_is_noted(tmp_path: Path) -> None:
    rows = "".join(f"v{n},x,7,{n / 2},word{n}\n" for n in range(4))
    found = read(tmp_path, f"video,label,version,pain,remark\n{rows}")
    assert [(head.name, head.low, head.high) for head in found.heads[1:]] == [("pain", 0, 1.5)]
    assert found.notes == (f"{tmp_path / 'labels.csv'}: columns not used: version, remark",)


def test_a_column_with_contradicting_rows_is_ignored_and_noted(tmp_path: Path) -> None:
    annotations = read(tmp_path, "video,label,rater\na,happy,1\na,happy,2\nb,sad,1\n")
    assert [head.name for head in annotations.heads] == ["expression"]
    assert "column 'rater' is ignored, because rows contradict each other" in annotations.notes[0]


def test_a_value_beyond_its_range_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 3: pain\[0:10\] is '11'; expected a number in \[0, 10\]"):
        read(tmp_path, "video,pain[0:10]\na,3\nb,11\n")
