import os
from pathlib import Path

import numpy as np
import pytest

from skelemo.annotations import Annotation, Annotations, read_annotations
from skelemo.annotations.affwild2 import video_facts
from skelemo.errors import InputError
from skelemo.targets import EMOTIONS

SEVEN = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise"
EIGHT = SEVEN + ",Other"


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())
    return file


def expr(folder: Path, name: str, *values: int, header: str = EIGHT) -> Path:
    return write(folder / f"{name}.txt", "\n".join([header, *map(str, values)]) + "\n")


def va(folder: Path, name: str, *values: str) -> Path:
    return write(folder / f"{name}.txt", "\n".join(["valence,arousal", *values]) + "\n")


def read(path: Path) -> Annotations:
    return read_annotations(f"affwild2:{path}", path)


def only(path: Path) -> Annotation:
    (item,) = read(path).items
    return item


def test_class_numbers_are_mapped_by_the_header(tmp_path: Path) -> None:
    expr(tmp_path / "EXPR_Set/Training_Set", "1-30-1280x720", 0, 1, 2, 3, 4, 5, 6, -1, -5, header=SEVEN)
    annotations = read(tmp_path)
    (item,) = annotations.items
    assert annotations.heads[0].outputs == EMOTIONS
    names = [annotations.heads[0].outputs[index] if index >= 0 else "" for index in item.labels["expression"]]
    assert names == ["neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise", "", ""]
    assert item.number is not None
    assert item.number.tolist() == list(range(9))
    assert item.video == "1-30-1280x720"
    assert "va" not in item.labels


def test_a_folder_that_may_not_be_listed_is_refused_instead_of_passed_over(tmp_path, monkeypatch):
    expr(tmp_path / "EXPR_Set/Training_Set", "1-30-1280x720", 0, header=SEVEN)
    closed, scandir = va(tmp_path / "VA_Set/Training_Set", "1-30-1280x720", "0,0").parents[1], os.scandir

    def may_list(path: str) -> object:
        if path == str(closed):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", may_list)
    with pytest.raises(InputError, match=r"VA_Set: cannot be listed \(Permission denied\)"):
        read(tmp_path)


def test_other_is_the_eighth_class(tmp_path: Path) -> None:
    expr(tmp_path / "6th_ABAW_Annotations/EXPR_Recognition_Challenge/Train_Set", "a", 7, 0)
    annotations = read(tmp_path)
    assert annotations.heads[0].outputs == (*EMOTIONS, "other")
    assert annotations.items[0].labels["expression"].tolist() == [7, 2]


@pytest.mark.parametrize(
    ("folder", "part"),
    [
        ("EXPR_Set/Training_Set", "train"),
        ("annotations/EXPR_Set/Train_Set", "train"),
        ("Third ABAW Annotations/EXPR_Classification_Challenge/Validation_Set", "validation"),
        ("EXPR_Recognition_Challenge/Val", "validation"),
        ("EXPR_Set/Test_Set/batch1", "test"),
    ],
)
def test_folders_of_every_year_are_recognized(tmp_path: Path, folder: str, part: str) -> None:
    expr(tmp_path / folder, "v", 0)
    assert only(tmp_path).splits == {"expr": part, "split": part}


def test_the_path_may_be_a_set_or_a_subset(tmp_path: Path) -> None:
    part = tmp_path / "VA_Set/Validation_Set"
    va(part, "v", "0.5,-0.5")
    for path in (tmp_path, tmp_path / "VA_Set", part):
        assert only(path).splits == {"va": "validation", "split": "validation"}


def test_expression_and_va_of_a_video_are_one_annotation(tmp_path: Path) -> None:
    expr(tmp_path / "EXPR_Set/Train_Set", "v", 4, -1, 5)
    va(tmp_path / "VA_Set/Train_Set", "v", "0.25,-1", "-5,-5", "0.5,-5", "1,0")
    item = only(tmp_path)
    assert item.splits == {"expr": "train", "va": "train", "split": "train"}
    assert item.labels["expression"].tolist() == [0, -1, 1, 1]  # the last is drawn out to VA's fourth row
    np.testing.assert_array_equal(item.labels["va"][:, 0], np.array([0.25, np.nan, np.nan, 1], np.float32))
    np.testing.assert_array_equal(item.labels["va"][:, 1], np.array([-1, np.nan, np.nan, 0], np.float32))
    labels = item.at(np.array([3, 4, 5, 6]))
    assert labels["expression"].tolist() == [1, 1, 1, -1]
    np.testing.assert_array_equal(labels["va"][:, 0], np.array([1, 1, 1, np.nan], np.float32))


def test_a_shorter_set_is_extended_by_at_most_two_rows(tmp_path: Path) -> None:
    expr(tmp_path / "EXPR_Set/Train_Set", "v", 4)
    va(tmp_path / "VA_Set/Train_Set", "v", "0,0", "0,0", "0,0", "0,0")
    annotations = read(tmp_path)
    assert annotations.items[0].labels["expression"].tolist() == [0, -1, -1, -1]
    assert annotations.notes == (
        "videos with row counts that differ by more than 2 between tasks: 1 (v (1 expr and 4 va))",
    )


def test_a_set_two_rows_shorter_is_extended_by_its_last_label(tmp_path: Path) -> None:
    expr(tmp_path / "EXPR_Set/Train_Set", "v", 4, 5)
    va(tmp_path / "VA_Set/Train_Set", "v", "0,0", "0,0", "0,0", "0.5,0.5")
    write(tmp_path / "AU_Set/Train_Set/v.txt", "AU12,AU1\n1,0\n0,1\n")
    item = only(tmp_path)
    assert item.labels["expression"].tolist() == [0, 1, 1, 1]
    assert item.labels["au"].tolist() == [[0, 1], [1, 0], [1, 0], [1, 0]], "in the order of the head: AU1, AU12"


def test_valence_and_arousal_are_told_apart_by_the_header(tmp_path: Path) -> None:
    write(tmp_path / "VA_Set/Train_Set/v.txt", "arousal,valence\n0.25,-1\n")
    assert only(tmp_path).labels["va"].tolist() == [[-1, 0.25]]


def test_two_people_of_a_video_are_distinguished_by_suffix(tmp_path: Path) -> None:
    for name in ("10-60-1280x720_left", "10-60-1280x720_right"):
        expr(tmp_path / "EXPR_Set/Train_Set", name, 0)
    people = [(item.video, item.person) for item in read(tmp_path).items]
    assert people == [("10-60-1280x720", "left"), ("10-60-1280x720", "right")]


def test_a_video_evaluated_for_any_task_or_person_is_not_trained_on(tmp_path: Path) -> None:
    expr(tmp_path / "EXPR_Set/Train_Set", "v_left", 0)
    va(tmp_path / "VA_Set/Validation_Set", "v_left", "0,0")
    va(tmp_path / "VA_Set/Train_Set", "v_right", "0,0")
    annotations = read(tmp_path)
    assert {item.person: dict(item.splits) for item in annotations.items} == {
        "left": {"expr": "train", "va": "validation", "split": "validation"},
        "right": {"va": "train", "split": "validation"},
    }
    assert annotations.notes[0].endswith("the later of train, validation and test: 1 (v)")


def test_line_ends_byte_order_marks_blank_lines_and_spaces_do_not_matter(tmp_path: Path) -> None:
    folder = tmp_path / "VA_Set/Train_Set"
    write(folder / "crlf.txt", "\ufeffvalence,arousal\r\n0.5,0.25 \r\n 1 , -1\r\n\r\n")
    write(folder / "blank.txt", "valence,arousal\n0.5,0.25\n\n1,-1")
    annotations = read(tmp_path)
    for item in annotations.items:
        assert item.labels["va"][:, 0].tolist() == [0.5, 1]
        assert item.labels["va"][:, 1].tolist() == [0.25, -1]
    assert len(annotations.notes) == 1
    assert "blank.txt" in annotations.notes[0]


def test_a_header_may_end_in_a_comma(tmp_path: Path) -> None:
    expr(tmp_path / "EXPR_Set/Train_Set", "v", 7, header=EIGHT + ", ")
    assert only(tmp_path).labels["expression"].tolist() == [7]


@pytest.mark.parametrize(
    ("folder", "text", "message"),
    [
        ("EXPR_Set", f"{SEVEN}\n3\n7\n", r"v.txt, line 3: '7' found; expected a class number from 0 to 6"),
        ("EXPR_Set", f"{SEVEN}\n-2\n", r"line 2: '-2' found"),
        ("EXPR_Set", f"{SEVEN}\n\n1\n1.5\n", r"line 4: '1.5' found"),
        ("EXPR_Set", f"{SEVEN}\ninf\n", r"line 2: 'inf' found"),
        ("EXPR_Set", f"{SEVEN}\n1\n1,2\n", r"line 3: '1,2' found; expected one number"),
        ("EXPR_Set", f"{SEVEN}\n1\nhappy\n", r"line 3: 'happy' found; expected one number"),
        ("EXPR_Set", "0\n1\n", r"first line '0' does not name the classes; expected Neutral,Anger"),
        ("EXPR_Set", "Neutral,Anger\n1\n", r"does not name the classes"),
        ("EXPR_Set", "", r"the file is empty"),
        ("VA_Set", "valence,arousal\n0,1.01\n", r"v.txt, line 2: '0,1.01' found; expected valence and arousal in"),
        ("VA_Set", "valence,arousal\n0,0\nnan,0\n", r"line 3: 'nan,0' found"),
        ("VA_Set", "valence,arousal\n0,0\n0\n", r"line 3: '0' found; expected 2 numbers"),
        ("VA_Set", "0.1,0.2\n0,0\n", r"first line is '0.1,0.2'; expected valence,arousal"),
    ],
)
def test_impossible_files_are_refused_with_their_line(tmp_path: Path, folder: str, text: str, message: str) -> None:
    write(tmp_path / folder / "Train_Set/v.txt", text)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    file = expr(tmp_path / "EXPR_Set/Train_Set", "v", 1)
    file.write_bytes(b"Neutral\xff\xfe\n")
    with pytest.raises(InputError, match=r"v.txt: byte 7 is not UTF-8"):
        read(tmp_path)


def test_a_file_without_rows_labels_nothing(tmp_path: Path) -> None:
    expr(tmp_path / "EXPR_Set/Train_Set", "v")
    annotations = read(tmp_path)
    assert annotations.items[0].at(np.arange(2))["expression"].tolist() == [-1, -1]


def test_sets_of_two_years_are_refused(tmp_path: Path) -> None:
    expr(tmp_path / "2021/EXPR_Set/Train_Set", "v", 0)
    expr(tmp_path / "2022/EXPR_Classification_Challenge/Validation_Set", "v", 0)
    with pytest.raises(InputError, match="v: labeled twice for expr"):
        read(tmp_path)


def test_three_tasks_are_joined_with_missing_labels_unlabeled(tmp_path: Path) -> None:
    expr(tmp_path / "EXPR_Set/Train_Set", "v", 4, -1, 4)
    write(tmp_path / "AU_Set/Train_Set/v.txt", "AU1,AU2\n0,1\n-1,-1\n1,0\n")
    write(tmp_path / "AU_Set/Validation_Set/w.txt", "AU2,AU12\n1,1\n")
    annotations = read(tmp_path)
    assert [(head.name, head.kind) for head in annotations.heads] == [("expression", "classes"), ("au", "flags")]
    assert annotations.heads[1].outputs == ("AU1", "AU2", "AU12")
    first, second = sorted(annotations.items, key=lambda item: item.video)
    assert first.labels["expression"].tolist() == [0, -1, 0]
    assert first.labels["au"].tolist() == [[0, 1, -1], [-1, -1, -1], [1, 0, -1]]
    assert first.splits == {"au": "train", "expr": "train", "split": "train"}
    assert second.labels["expression"].tolist() == [-1]
    assert second.labels["au"].tolist() == [[-1, 1, 1]]


def test_an_invalid_flag_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "AU_Set/Train_Set/v.txt", "AU1,AU2\n0,1\n0,2\n")
    with pytest.raises(InputError, match="line 3: '0,2' found; expected 2 flags, each 0, 1 or -1 for none"):
        read(tmp_path)
    write(tmp_path / "AU_Set/Train_Set/v.txt", "1,2\n0,1\n")
    with pytest.raises(InputError, match="expected action units such as AU1,AU2"):
        read(tmp_path)


def test_other_files_are_ignored(tmp_path: Path) -> None:
    expr(tmp_path / "EXPR_Set/Train_Set", "v", 0)
    write(tmp_path / "__MACOSX/EXPR_Set/Train_Set/v.txt", "junk")
    write(tmp_path / "EXPR_Set/Train_Set/._v.txt", "junk")
    write(tmp_path / "EXPR_Set/readme.txt", "junk")
    write(tmp_path / "readme.txt", "junk")
    annotations = read(tmp_path)
    assert [item.video for item in annotations.items] == ["v"]
    assert annotations.notes == ()


def test_linked_folders_are_read_once(tmp_path: Path) -> None:
    expr(tmp_path / "store/EXPR_Set/Train_Set", "v", 0)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/annotations").symlink_to(tmp_path / "store")
    (tmp_path / "store/EXPR_Set/loop").symlink_to(tmp_path / "store")
    assert only(tmp_path / "data").video == "v"


def test_missing_labels_are_an_error_with_the_expected_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no Aff-Wild2 labels found; expected folders such as EXPR_Set/Train_Set/"):
        read(tmp_path)


def test_multi_task_lists_give_the_listed_frames(tmp_path: Path) -> None:
    write(
        tmp_path / "MTL_Challenge/train_set.txt",
        "image,valence,arousal,expression,aus\n"
        "1-30-1280x720/00003.jpg,0.5,-0.5,4,0,0,0,0,0,0,0,0,0,0,0,0\n"
        "1-30-1280x720/00001.jpg,-5,-5,7,0,0,0,0,0,0,0,0,0,0,0,0\n"
        "video2_left/00010.jpg,0,1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1\n",
    )
    write(
        tmp_path / "MTL_Challenge/validation_set_annotations.txt",
        "image,valence,arousal,expression,aus\nw/00001.jpg,0,0,0\n",
    )
    annotations = read(tmp_path)
    assert annotations.heads[0].outputs == (*EMOTIONS, "other")
    first, left, third = annotations.items
    assert first.number is not None
    assert first.number.tolist() == [0, 2]
    assert first.labels["expression"].tolist() == [7, 0]
    np.testing.assert_array_equal(first.labels["va"][:, 0], np.array([np.nan, 0.5], np.float32))
    assert first.at(np.array([3]))["expression"].tolist() == [-1]  # no drawing out between chosen frames
    assert (left.video, left.person, left.labels["expression"].tolist()) == ("video2", "left", [-1])
    assert third.splits == dict.fromkeys(("au", "expr", "split", "va"), "validation")


@pytest.mark.parametrize("va", ["-5,0.5", "0.5,-5"])
def test_an_image_with_half_a_pair_of_values_has_none(tmp_path: Path, va: str) -> None:
    write(tmp_path / "train_set.txt", f"image,valence,arousal,expression\nv/00001.jpg,{va},0\nv/00002.jpg,0,1,0\n")
    values = only(tmp_path).labels["va"]
    assert np.isnan(values[0]).all()
    assert values[1].tolist() == [0, 1]


def test_the_people_of_a_video_are_in_one_list(tmp_path: Path) -> None:
    write(tmp_path / "train_set.txt", "image,valence,arousal,expression\nv_left/00001.jpg,0,0,0\n")
    write(tmp_path / "validation_set.txt", "image,valence,arousal,expression\nv_right/00001.jpg,0,0,0\n")
    with pytest.raises(InputError, match=r"v: listed in .*train_set.txt and in .*validation_set.txt"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("v/00000.jpg,0,0,0", r"line 3: 'v/00000.jpg,0,0,0' found; expected video/00001.jpg"),
        ("v/00001.jpg,0,0,8", "line 3"),
        ("v/00001.jpg,0,2,0", "line 3"),
        ("v,0,0,0", "line 3"),
        ("v/00002.jpg,0,0,0", "image 00002 of v is listed twice"),
    ],
)
def test_damaged_lists_are_refused(tmp_path: Path, row: str, message: str) -> None:
    write(tmp_path / "train_set.txt", f"image,valence,arousal,expression\nv/00002.jpg,0,0,0\n{row}\n")
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_a_video_in_two_lists_is_refused(tmp_path: Path) -> None:
    for part, name in (("train", "v_left"), ("validation", "v_right")):
        write(tmp_path / f"{part}_set.txt", f"image,valence,arousal,expression\n{name}/00002.jpg,0,0,0\n")
    with pytest.raises(InputError, match=r"v: listed in .*train_set.txt and in .*validation_set.txt"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("1-30-1280x720", (1280, 720, 30.0)),
        ("5-60-1920x1080-1", (1920, 1080, 60.0)),
        ("10-60-1280x720_right", (1280, 720, 60.0)),
        ("360", (0, 0, 0.0)),
        ("video12_1", (0, 0, 0.0)),
    ],
)
def test_a_videos_name_has_its_size_and_frame_rate(name: str, facts: tuple[int, int, float]) -> None:
    assert video_facts(name) == facts
