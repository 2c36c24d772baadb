from collections import Counter
from pathlib import Path

import openpyxl
import pytest

from skelemo.annotations import Annotations, match, read_annotations
from skelemo.errors import InputError
from skelemo.targets import EMOTIONS

VOTES = ["order", "1happy", "2sad", "3neutral", "4angry", "5surprise", "6disgust", "7fear", "label"]
# clip -> label as DFEW counts, 1 to 7
CLIPS = {1: 2, 2: 3, 3: 7, 16372: 1}


def write_fold(
    root: Path, number: int, test: set[int], *, authors: bool = False, clips: dict[int, int] = CLIPS
) -> None:
    for part in ("train", "test"):
        rows = [f"{clip},{label}" for clip, label in clips.items() if (clip in test) == (part == "test")]
        release = f"EmoLabel_DataSplit/{part}(single-labeled)/set_{number}.csv"
        file = root / (f"label/single_{part}set_{number}.csv" if authors else release)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(["video_name,label", *rows]) + "\n")


def write_votes(root: Path, *rows: list[object], header: list[str] = VOTES) -> Path:
    book = openpyxl.Workbook()
    book.active.append(header)
    for row in rows:
        book.active.append(row)
    file = root / "Annotation/annotation.xlsx"
    file.parent.mkdir(parents=True, exist_ok=True)
    book.save(file)
    return file


def read(path: Path) -> Annotations:
    return read_annotations(f"dfew:{path}", path)


@pytest.mark.parametrize("authors", [False, True])
def test_both_layouts_give_labels_and_folds(tmp_path: Path, authors: bool) -> None:
    write_fold(tmp_path, 1, {1, 2}, authors=authors)
    write_fold(tmp_path, 2, {3, 16372}, authors=authors)
    annotations = read(tmp_path)
    assert annotations.heads[0].outputs == EMOTIONS
    assert {item.video: EMOTIONS[item.labels["expression"][0]] for item in annotations.items} == {
        "00001": "sadness",
        "00002": "neutral",
        "00003": "fear",
        "16372": "happiness",
    }
    assert annotations.items[0].splits == {"fold_1": "test", "fold_2": "train"}
    assert annotations.items[0].number is None
    assert annotations.notes == ()


def test_labels_without_0_and_7_count_from_1_as_in_the_release(tmp_path: Path) -> None:
    write_fold(tmp_path, 1, {1}, clips={1: 1, 2: 6, 3: 2})
    found = read(tmp_path)
    assert [EMOTIONS[item.labels["expression"][0]] for item in found.items] == ["happiness", "disgust", "sadness"]
    assert any("no label is 0 or 7, so labels count from 1 (happiness) to 7" in note for note in found.notes)


def test_clips_match_with_and_without_their_zeros(tmp_path: Path) -> None:
    write_fold(tmp_path, 1, {1})
    matching = match(read(tmp_path), [("1", "clips/1"), ("00002", "clips/00002"), ("16372", "clips/16372")])
    assert [one[0].video for one in matching.annotations] == ["00001", "00002", "16372"]


def test_votes_label_clips_without_a_fold(tmp_path: Path) -> None:
    write_fold(tmp_path, 1, {1})
    write_votes(
        tmp_path,
        [1, 0, 7, 3, 0, 0, 0, 0, 2],
        [2, 1, 0, 9, 0, None, 0, 0, 4],
        [4, 5, 0, 5, 0, 0, 0, 0, 0],
        ["00005", 0, 0, 0, 0, 0, 0, 0, 6],
    )
    annotations = read(tmp_path)
    items = {item.video: item for item in annotations.items}
    assert EMOTIONS[items["00002"].labels["expression"][0]] == "neutral", "the label of the fold, not anger"
    assert items["00004"].labels["expression"].tolist() == [-1]
    assert items["00004"].splits == {}
    assert items["00005"].labels["expression"].tolist() == [5]
    assert annotations.notes == ("clips with another label in annotation.xlsx (the folds' label is used): 1 (2)",)


def test_votes_without_folds_are_labels(tmp_path: Path) -> None:
    file = write_votes(tmp_path, [9, 10, 0, 0, 0, 0, 0, 0, 1])
    for path in (file, file.parent, tmp_path):
        (item,) = read(path).items
        assert (item.video, item.labels["expression"].tolist(), item.splits) == ("00009", [0], {})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1, 0, 7, 3, 0, 0, 0, 0, 8], "line 2: label is '8'; expected a whole number from 0 to 7"),
        ([1, -1, 7, 3, 0, 0, 0, 0, 2], "line 2: 1happy is '-1'"),
        ([1, 0.5, 7, 3, 0, 0, 0, 0, 2], "line 2: 1happy is '0.5'"),
        (["one", 0, 7, 3, 0, 0, 0, 0, 2], "line 2: order is 'one'; expected a number"),
        ([1, 0, 7, 3, 0, 0, 0, 0, None], "line 2: label is ''; expected a whole number from 0 to 7"),
        ([0, 0, 7, 3, 0, 0, 0, 0, 2], "line 2: order is '0'; expected a whole number from 1"),
    ],
)
def test_impossible_votes_are_refused_with_their_row(tmp_path: Path, row: list[object], message: str) -> None:
    write_votes(tmp_path, row)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_votes_without_a_column_or_in_another_format_are_refused(tmp_path: Path) -> None:
    file = write_votes(tmp_path, [1, 0, 7, 3, 0, 0, 0], header=VOTES[:7])
    with pytest.raises(InputError, match="no column for label, votes for fear; columns are order, 1happy"):
        read(tmp_path)
    file.write_bytes(b"PK\x03\x04 not a zip archive")
    with pytest.raises(InputError, match=r"annotation.xlsx: not a readable xlsx file"):
        read(tmp_path)


def test_duplicate_votes_are_refused(tmp_path: Path) -> None:
    write_votes(tmp_path, [1, 9, 0, 0, 0, 0, 0, 0, 1], [1, 9, 0, 0, 0, 0, 0, 0, 1])
    with pytest.raises(InputError, match="line 3: clip 1 is listed twice"):
        read(tmp_path)


def test_a_clip_in_both_subsets_of_a_fold_is_refused(tmp_path: Path) -> None:
    write_fold(tmp_path, 1, {1})
    with (tmp_path / "EmoLabel_DataSplit/train(single-labeled)/set_1.csv").open("a") as file:
        file.write("1,2\n")
    with pytest.raises(InputError, match=r"clips in both .*train.*test.*: 1 \(1\); expected each in one"):
        read(tmp_path)


def test_a_clip_tested_in_two_folds_is_refused(tmp_path: Path) -> None:
    write_fold(tmp_path, 1, {1, 2})
    write_fold(tmp_path, 2, {2, 3})
    with pytest.raises(InputError, match=r"clips in both .*test.*set_1.*test.*set_2.*: 1 \(2\); expected each in one"):
        read(tmp_path)


def test_contradicting_labels_are_refused_with_both_lines(tmp_path: Path) -> None:
    write_fold(tmp_path, 1, {1})
    write_fold(tmp_path, 2, {2}, clips={**CLIPS, 3: 6})
    with pytest.raises(InputError, match=r"clip 3 is fear in .*set_1.csv, line 3, but disgust in .*set_2.csv, line 3"):
        read(tmp_path)


@pytest.mark.parametrize("row", ["1,0", "1,8", "a,1", "0,1", "1", "1,1,1", "1,1.5"])
def test_damaged_lists_are_refused_with_their_line(tmp_path: Path, row: str) -> None:
    write_fold(tmp_path, 1, {1})
    file = tmp_path / "EmoLabel_DataSplit/test(single-labeled)/set_1.csv"
    file.write_text(f"video_name,label\n1,2\n{row}\n")
    with pytest.raises(InputError, match=r"set_1.csv, line 3: .* expected a clip's number and a label from 1 to 7"):
        read(tmp_path)


def test_incomplete_folds_and_duplicate_lists_are_refused(tmp_path: Path) -> None:
    write_fold(tmp_path, 1, {1})
    write_fold(tmp_path, 1, {1}, authors=True)
    with pytest.raises(InputError, match="fold 1 has two test lists"):
        read(tmp_path)
    with pytest.raises(InputError, match="fold 1 has this list for test but none for train"):
        read(tmp_path / "EmoLabel_DataSplit/test(single-labeled)")


def test_a_clip_missing_in_a_fold_is_in_the_others_only(tmp_path: Path) -> None:
    write_fold(tmp_path, 1, {1})
    write_fold(tmp_path, 2, {2}, clips={clip: label for clip, label in CLIPS.items() if clip != 3})
    (item,) = (item for item in read(tmp_path).items if item.video == "00003")
    assert item.splits == {"fold_1": "train"}


def test_missing_labels_are_an_error_with_the_expected_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no DFEW labels found; expected EmoLabel_DataSplit"):
        read(tmp_path)


def test_the_released_folds_are_complete(shared_data: Path) -> None:
    annotations = read(shared_data / "dfew")
    assert annotations.notes == ()
    assert len(annotations.items) == 11_697
    assert [item.video for item in annotations.items[:2]] == ["00001", "00002"]
    counts = Counter(int(item.labels["expression"][0]) for item in annotations.items)
    assert [counts[index] for index in range(7)] == [2445, 1894, 2669, 2173, 1469, 145, 902]
    folds = [[item.splits[f"fold_{number}"] for item in annotations.items] for number in range(1, 6)]
    assert [fold.count("test") for fold in folds] == [2341, 2341, 2340, 2339, 2336]
    assert all(parts.count("test") == 1 for parts in zip(*folds, strict=True))


def test_votes_are_read_as_shares(tmp_path: Path) -> None:
    write_fold(tmp_path, 1, {1})
    rows = [1, 0, 7, 3, 0, 0, 0, 0, 2], [4, 5, 0, 5, 0, 0, 0, 0, 0], [5, 0, 0, 0, 0, 0, 0, 0, 6]
    write_votes(tmp_path, *rows, [3, 9, 0, 1, 0, 0, 0, 0, CLIPS[3]])
    annotations = read_annotations(f"dfew-votes:{tmp_path}", tmp_path)
    shares = {item.video: item.labels["expression"][0].tolist() for item in annotations.items}
    assert shares["00001"] == pytest.approx([0, 0.7, 0.3, 0, 0, 0, 0])
    assert shares["00004"] == [0.5, 0, 0.5, 0, 0, 0, 0]
    assert shares["00005"] == [0, 0, 0, 0, 0, 1, 0]  # a label without votes
    assert shares["00002"] == [0, 0, 1, 0, 0, 0, 0]  # in the folds alone
    label = "clips with most votes for another emotion than their label (votes are used): 1 (3)"
    assert [label] == [note for note in annotations.notes if "votes" in note]
    (tmp_path / "Annotation/annotation.xlsx").unlink()
    with pytest.raises(InputError, match=r"no annotation.xlsx with votes found"):
        read_annotations(f"dfew-votes:{tmp_path}", tmp_path)


def test_a_clip_with_two_labels_in_a_list_and_two_files_of_votes_are_refused(tmp_path: Path) -> None:
    write_fold(tmp_path, 1, {1, 2})
    file = tmp_path / "EmoLabel_DataSplit/test(single-labeled)/set_1.csv"
    file.write_text(file.read_text() + "1,5\n")
    with pytest.raises(InputError, match="clip 1 has two labels, in lines 2 and 4"):
        read(tmp_path)
    for folder in ("a", "b"):
        write_votes(tmp_path / "votes" / folder, [1, 10, 0, 0, 0, 0, 0, 0, 1])
    with pytest.raises(InputError, match=r"2 files of votes: .*; keep one"):
        read(tmp_path / "votes")


def test_lists_with_several_labels_for_a_clip_are_left_alone(tmp_path: Path) -> None:
    write_fold(tmp_path, 1, {1, 2})
    before = read(tmp_path)
    several = tmp_path / "EmoLabel_DataSplit/train(multi-labeled)/set_1.csv"
    several.parent.mkdir()
    several.write_text("video_name,label\n1,4\n2,5\n")
    found = read(tmp_path)
    assert [item.splits for item in found.items] == [item.splits for item in before.items]
    assert [item.labels["expression"][0] for item in found.items] == [1, 2, 6, 0]
