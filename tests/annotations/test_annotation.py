from pathlib import Path

import numpy as np
import pytest

from skelemo.annotations import Annotation, read_annotations
from skelemo.annotations.class_names import class_head
from skelemo.annotations.registry import FORMATS
from skelemo.errors import ConfigError, InputError
from skelemo.targets import EMOTIONS, MAX_OUTPUTS


def rows(number: list[int], classes: list[int], **more: object) -> Annotation:
    return Annotation(
        video="v",
        number=np.array(number, np.int32),
        labels={"mood": np.array(classes, np.int16), "pain": np.array(classes, np.float32)[:, None] / 10},
        source="v.txt",
        **more,  # type: ignore[arg-type]  # fields of any type
    )


def test_frames_have_the_labels_of_their_numbers() -> None:
    labels = rows([2, 3, 7], [4, 5, 6]).at(np.array([7, 0, 3, 2, 4, 8]))
    assert labels["mood"].tolist() == [6, -1, 5, 4, -1, -1]
    assert labels["mood"].dtype == np.int16
    expected = np.array([[0.6], [np.nan], [0.5], [0.4], [np.nan], [np.nan]], np.float32)
    np.testing.assert_array_equal(labels["pain"], expected)


def test_the_last_label_is_repeated_within_the_slack() -> None:
    labels = rows([0, 1, 2], [0, 1, 2], slack=2).at(np.arange(6))
    assert labels["mood"].tolist() == [0, 1, 2, 2, 2, -1]
    gaps = rows([0, 5], [0, 1], slack=2).at(np.arange(9))["mood"]
    assert gaps.tolist() == [0, -1, -1, -1, -1, 1, 1, 1, -1], "no other label is repeated"


def test_a_clip_has_its_label_in_every_frame() -> None:
    labels = {"mood": np.array([3], np.int16), "va": np.array([[0.5, np.nan]], np.float32)}
    found = Annotation("v", labels, "list.csv").at(np.array([0, 5, 900]))
    assert found["mood"].tolist() == [3, 3, 3]
    np.testing.assert_array_equal(found["va"], np.array([[0.5, np.nan]] * 3, np.float32))


@pytest.mark.parametrize("annotation", [rows([0, 1], [0, 1]), rows([], [])])
def test_no_frames_and_no_rows(annotation: Annotation) -> None:
    assert [len(labels) for labels in annotation.at(np.zeros(0, np.int32)).values()] == [0, 0]
    assert rows([], []).at(np.arange(3))["mood"].tolist() == [-1, -1, -1]


@pytest.mark.parametrize(("last", "fits"), [(6, False), (7, True), (9, True), (11, True), (12, False)])
def test_row_counts_may_differ_by_two_frames(last: int, fits: bool) -> None:
    note = rows(list(range(10)), [0] * 10, slack=2).mismatch(last)
    assert (note == "") == fits
    if not fits:
        assert f"10 label rows, but the recording ends at frame {last}" in note


def test_sparse_rows_must_be_within_the_recording() -> None:
    assert rows([3, 40], [0, 1]).mismatch(90) == ""
    assert "labels up to frame 40" in rows([3, 40], [0, 1]).mismatch(39)


def test_formats_are_found_by_name_and_unknown_ones_refused_with_a_suggestion(tmp_path: Path) -> None:
    assert list(FORMATS) == [
        *("affwild2", "dfew", "dfew-votes", "ferv39k", "folders", "list", "mafw", "mafw-compound", "table")
    ]
    assert all(FORMATS[name].facts for name in FORMATS)
    with pytest.raises(ConfigError, match=r"unknown label format 'afwild': did you mean 'affwild2'\?"):
        read_annotations("afwild", tmp_path)


def test_the_path_begins_after_the_first_colon(tmp_path: Path) -> None:
    odd = tmp_path / "C:\\a:b.csv"
    odd.write_text("video,label\nx,happy\n")
    assert len(read_annotations(f"table:{odd}", tmp_path).items) == 1
    with pytest.raises(InputError, match=r"nowhere: not found; .*table:PATH"):
        read_annotations("table:nowhere", tmp_path)


@pytest.mark.parametrize(
    ("words", "classes"),
    [
        (["happy", "SAD", " Fearful "], EMOTIONS),
        (["Joy", "happiness", "Other"], (*EMOTIONS, "other")),
        (["happy", "contempt"], ("contempt", "happy")),
        (["neutral", "calm"], ("calm", "neutral")),
        (["a10", "a9", "a1"], ("a1", "a9", "a10")),
        (["10", "9", "0"], ("0", "9", "10")),
        (["other"], ("other",)),
    ],
)
def test_emotion_words_become_the_seven_and_other_words_stay(words: list[str], classes: tuple[str, ...]) -> None:
    assert class_head(words, "here").head.outputs == classes


def test_every_label_is_indexed_by_its_class() -> None:
    head, numbers, _ = class_head(["angry", "Anger", "afraid", "others"], "here")
    assert {word: head.outputs[number] for word, number in numbers.items()} == {
        "angry": "anger",
        "Anger": "anger",
        "afraid": "fear",
        "others": "other",
    }


def test_too_many_labels_are_refused() -> None:
    assert len(class_head([f"{value}.5" for value in range(MAX_OUTPUTS)], "labels.csv").head) == MAX_OUTPUTS
    with pytest.raises(InputError, match=r"labels.csv: 1025 different labels"):
        class_head([f"{value}.5" for value in range(MAX_OUTPUTS + 1)], "labels.csv")
