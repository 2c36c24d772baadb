"""Lists without a header: paths and labels as researchers share them, with the split that file names say."""

from collections.abc import Mapping
from pathlib import Path

import openpyxl
import pytest

from skelemo.annotations import Annotations, csv_table, read_annotations
from skelemo.annotations.csv_table import _text
from skelemo.annotations.lists import MAFW, ListName, parse_name
from skelemo.annotations.options import Options
from skelemo.errors import InputError
from skelemo.targets import EMOTIONS


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def read(form: str, path: Path, **said: str) -> Annotations:
    return read_annotations(f"{form}:{path}", path, options=Options.parse(**said))


def named(found: Annotations) -> dict[str, str]:
    (head,) = found.heads
    return {item.video: head.outputs[item.labels[head.name][0]] for item in found.items}


@pytest.mark.parametrize(
    "text",
    [
        "a/x happy\nb/y sad\n",
        "a/x\thappy\nb/y\tsad\n",
        "a/x,happy\r\nb/y,sad\r\n",
        "a/x 31 happy\nb/y 9 sad\n",
        "a/x,31,happy\n\nb/y,9,sad\n",
        "a\\x\t31\thappy\nb\\y\t9\tsad",
        "path,label\na/x,happy\nb/y,sad\n",
        "a/x happy\nb/y\tsad\n",
    ],
)
@pytest.mark.parametrize("form", ["list", "table"])
def test_lists_with_or_without_frame_counts_and_any_separator(tmp_path: Path, text: str, form: str) -> None:
    if form == "table" and text.startswith("path"):
        pytest.skip("a table has a header")
    (tmp_path / "labels.csv").write_text(text)
    found = read(form, tmp_path / "labels.csv")
    assert named(found) == {"a/x": "happiness", "b/y": "sadness"}
    assert all(item.number is None and item.splits == {} for item in found.items)


def test_a_misspelled_label_is_named_with_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a/x happy\nb/y angerr\nc/z angerr\n")
    with pytest.raises(InputError, match=r"labels.txt: 'angerr' \(line 2\): did you mean anger\? 2 videos"):
        read("list", tmp_path / "labels.txt")


def test_numbers_in_names_with_spaces_are_not_frame_counts(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("clip 1 happy\nclip 2 sad\nclip 3 happy\n")
    assert named(read("list", tmp_path / "labels.txt")) == {
        "clip 1": "happiness",
        "clip 2": "sadness",
        "clip 3": "happiness",
    }


def test_numbered_labels_are_classes_by_number_or_given_names(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a/x 31 0\nb/y 9 2\n")
    assert named(read("list", tmp_path / "labels.txt")) == {"a/x": "0", "b/y": "2"}
    assert named(read("list", tmp_path / "labels.txt", classes="sit,stand,walk")) == {"a/x": "sit", "b/y": "walk"}


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("train_All.csv", ("train", 0, "all")),
        ("test_Action.csv", ("test", 0, "action")),
        ("set_3/train.txt", ("train", 3, "")),
        ("train(single-labeled)/set_1.csv", ("train", 1, "")),
        ("single_testset_2.csv", ("test", 2, "single")),
        ("train_set_1.csv", ("train", 1, "")),
        ("test_set_05.csv", ("test", 5, "")),
        ("DFEW_set_4_test.txt", ("test", 4, "dfew")),
        ("MAFW_set_1_train_faces.txt", ("train", 1, "mafw_faces")),
        ("fold2/validation.txt", ("validation", 2, "")),
        ("dev_3.txt", ("validation", 3, "")),
        ("FERV39K_train.txt", ("train", 0, "ferv39k")),
        ("trainer.txt", ("", 0, "trainer")),
        ("README.txt", ("", 0, "readme")),
    ],
)
def test_names_of_lists_contain_subset_and_fold(tmp_path: Path, name: str, place: tuple[str, int, str]) -> None:
    assert parse_name(tmp_path / name, tmp_path) == ListName(*place)


def test_folders_above_the_path_are_ignored(tmp_path: Path) -> None:
    root = tmp_path / "test_set_9"
    assert parse_name(root / "labels" / "a.txt", root).subset == ""


def test_lists_of_subsets_become_a_split_and_folds_one_each(tmp_path: Path) -> None:
    write(tmp_path, {"train.txt": "a 0 happy\nb 9 sad\n", "val.txt": "c 1 sad\n", "notes.txt": "see the paper\n"})
    found = read("list", tmp_path)
    assert [dict(item.splits) for item in found.items] == [
        {"split": "train"},
        {"split": "train"},
        {"split": "validation"},
    ]
    for number in (1, 2):
        write(
            tmp_path / "folds", {f"set_{number}/train.txt": f"a {number} happy\n", f"set_{number}/test.txt": "b 1 sad"}
        )
    assert dict(read("list", tmp_path / "folds").items[0].splits) == {"fold_1": "test", "fold_2": "test"}


def test_contradicting_lists_are_refused_with_both_lines(tmp_path: Path) -> None:
    write(tmp_path, {"train.txt": "a happy\nb sad\n", "test.txt": "a happy\n"})
    with pytest.raises(InputError, match=r"train.txt, line 1: 'a' is in the test list and in the train list of split"):
        read("list", tmp_path)
    write(tmp_path, {"test.txt": "c happy\nb fear\n"})
    with pytest.raises(InputError, match=r"'b' is 'fear' in .*test.txt, line 2, but 'sad' in .*train.txt, line 2"):
        read("list", tmp_path)
    write(tmp_path, {"test.txt": "c 12 happy\nd 12 sad\ne happy\n"})
    with pytest.raises(InputError, match=r"test.txt, line 3: 'e happy' found; expected a path and a label"):
        read("list", tmp_path / "test.txt")
    write(tmp_path / "unnamed", {"one.txt": "a/1 sad\n", "two.txt": "a/2 sad\n"})
    with pytest.raises(InputError, match=r"2 \(.*one.txt.*two.txt\) may be lists, none named train, val or test"):
        read("list", tmp_path / "unnamed")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no list found"):
        read("list", tmp_path / "empty")


def test_ferv39k_has_words_in_its_own_lists_and_numbers_in_others(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "4_setups/All_scenes/train_All.csv": "Action/Happy/0267 Happy\nArgue/Angry/0001 Angry\n",
            "4_setups/All_scenes/test_All.csv": "Action/Fear/0004 Fear\n",
            "others/FERV39K_train.txt": "/data/2_ClipsforFaceCrop/Action/Happy/0015 25 0\n/data/x/Sad/0001 12 1\n",
        },
    )
    found = read("ferv39k", tmp_path / "4_setups")
    assert found.heads[0].outputs == EMOTIONS
    assert named(found) == {
        "Action/Happy/0267": "happiness",
        "Argue/Angry/0001": "anger",
        "Action/Fear/0004": "fear",
    }
    assert [item.splits["split"] for item in found.items] == ["test", "train", "train"]
    assert list(named(read("ferv39k", tmp_path / "others")).values()) == ["happiness", "sadness"]
    write(tmp_path / "bad", {"train_All.csv": "Action/Happy/0267 Hapy\n"})
    with pytest.raises(InputError, match=r"'Hapy' \(line 1\) is none of the classes happiness, sadness"):
        read("ferv39k", tmp_path / "bad")


def test_mafw_has_eleven_classes_and_compound_labels_are_another_format(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "single/no_caption/set_1/train.txt": "00001.mp4 anger\n00002.mp4 helplessness\n",
            "single/no_caption/set_1/test.txt": "00003.mp4 happiness\n",
            "compound/no_caption/set_1/train.txt": "00001.mp4 anger_disgust\n",
            "compound/no_caption/set_1/test.txt": "00004.mp4 sadness\n",
        },
    )
    captions = tmp_path / "single/with_caption/set_1/train.txt"
    captions.parent.mkdir(parents=True)
    captions.write_bytes("00001.mp4\tanger\t一个女生\tA girl\n".encode("gbk"))
    found = read("mafw", tmp_path)
    assert found.heads[0].outputs == MAFW == (*EMOTIONS, "contempt", "anxiety", "helplessness", "disappointment")
    assert found.heads[0].name == "expression"
    assert named(found) == {"00001.mp4": "anger", "00002.mp4": "helplessness", "00003.mp4": "happiness"}
    assert [item.splits["fold_1"] for item in found.items] == ["test", "train", "train"]
    assert [note.split(":")[0] for note in found.notes] == [
        "ignored MAFW's lists in folders called compound",
        "ignored MAFW's lists in folders called with_caption",
    ]
    assert named(read("mafw", captions)) == {"00001.mp4": "anger"}
    compound = read("mafw-compound", tmp_path)
    assert compound.heads[0].name == "compound"
    assert named(compound) == {"00001.mp4": "anger_disgust", "00004.mp4": "sadness"}
    with pytest.raises(InputError, match="no MAFW lists of compound labels"):
        read("mafw-compound", tmp_path / "single")


def test_numbers_for_mafws_classes_need_an_order(tmp_path: Path) -> None:
    write(tmp_path, {"MAFW_set_1_train_faces.txt": "/data/faces/00025 47 3\n/data/faces/00026 47 0\n"})
    with pytest.raises(InputError, match="authors number MAFW's classes differently: give the order with --classes"):
        read("mafw", tmp_path)
    order = "happiness,sadness,neutral,anger,surprise,disgust,fear,contempt,anxiety,helplessness,disappointment"
    found = read("mafw", tmp_path, classes=order)
    assert found.heads[0].outputs == MAFW
    assert list(named(found).values()) == ["anger", "happiness"]


DFEW = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7}  # clip -> label as the release counts


@pytest.mark.parametrize(
    ("name", "line", "counted"),
    [
        ("{part}_set_1.csv", "{clip},{label}", 1),
        ("{part}_set_1.csv", "{clip},{less}", 0),
        ("DFEW_set_1_{part}.txt", "/data/DFEW_Frame_Face/{clip:05d} 16 {less}", 0),
        ("set_1/{part}.txt", "{clip:05d}.mp4 {label}", 1),
    ],
)
def test_dfews_lists_of_other_authors_count_from_0_or_1(tmp_path: Path, name: str, line: str, counted: int) -> None:
    for part, clips in (("train", [1, 2, 3, 4, 7]), ("test", [5, 6])):
        rows = [line.format(clip=clip, label=DFEW[clip], less=DFEW[clip] - 1) for clip in clips]
        head = ["video_name,label"] if name.endswith("csv") else []
        write(tmp_path, {name.format(part=part): "\n".join([*head, *rows])})
    found = read("dfew", tmp_path)
    assert named(found) == {f"{clip:05d}": EMOTIONS[label - 1] for clip, label in DFEW.items()}
    assert [item.splits["fold_1"] for item in found.items] == ["train"] * 4 + ["test"] * 2 + ["train"]
    assert any("labels count from 0 (happiness) to 6 (fear)" in note for note in found.notes) == (not counted)


def test_a_spreadsheet_is_a_table_with_dates_numbers_and_empty_cells_as_text(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["Clip ", "label", "pain", "subject"], [1, "happy", 2.5, 7], [], ["b", None, 3, None]):
        book.active.append(row)
    book.create_sheet("more")
    book.save(tmp_path / "labels.xlsx")
    found = read("table", tmp_path)
    assert found.notes == (f"{tmp_path / 'labels.xlsx'}: read its first sheet, 'Sheet', of 2",)
    assert [(item.video, item.subject) for item in found.items] == [("1", "7"), ("b", "")]
    assert [item.labels["pain"].tolist() for item in found.items] == [[[2.5]], [[3.0]]]
    assert [item.labels["expression"].tolist() for item in found.items] == [[0], [-1]]
    (tmp_path / "labels.xlsx").write_bytes(b"PK\x03\x04 no")
    with pytest.raises(InputError, match=r"labels.xlsx: not a readable xlsx file"):
        read("table", tmp_path / "labels.xlsx")


def test_a_spreadsheet_that_unpacks_to_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = openpyxl.Workbook()
    book.active.append(["video", "label"])
    book.save(tmp_path / "labels.xlsx")
    monkeypatch.setattr(csv_table, "_MAX_BYTES", 1000)
    with pytest.raises(InputError, match=r"labels.xlsx: [\d,]+ bytes decompressed; expected a table of at most 1,000"):
        read("table", tmp_path / "labels.xlsx")


def test_far_cells_of_a_spreadsheet_cost_neither_time_nor_memory(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active["XFD1048576"] = "x"
    book.save(tmp_path / "labels.xlsx")
    with pytest.raises(InputError, match=r"labels.xlsx: there is a header but there are no rows"):
        read("table", tmp_path / "labels.xlsx")
    for place, text in (("A1", "video"), ("B1", "label"), ("A2", "a"), ("B2", "sad")):
        book.active[place] = text
    book.save(tmp_path / "labels.xlsx")
    (item,) = read("table", tmp_path / "labels.xlsx").items
    assert item.video == "a"


def test_a_spreadsheet_of_too_many_cells_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = openpyxl.Workbook()
    book.active.append(["video", "label"])
    book.active.append(["a", "sad"])
    book.save(tmp_path / "labels.xlsx")
    monkeypatch.setattr(csv_table, "_MAX_CELLS", 3)
    with pytest.raises(InputError, match=r"labels.xlsx: more than 3 cells; expected a smaller table"):
        read("table", tmp_path / "labels.xlsx")


def test_a_cell_of_a_spreadsheet_is_read_as_in_a_csv_file() -> None:
    """Some programs write the whole number 7 as 7.0, which is not another subject or class."""
    cells = (7.0, 7, -1.0, 2.5, True, None, " NaN ", " a ")
    assert [_text(cell) for cell in cells] == ["7", "7", "-1", "2.5", "1", "", "", "a"]


def test_an_invalid_cell_of_a_spreadsheet_is_refused_with_its_row(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["video", "valence", "arousal"], ["a", 0, 0], ["b", 2, 0]):
        book.active.append(row)
    book.save(tmp_path / "rated.xlsx")
    with pytest.raises(InputError, match=r"rated.xlsx, line 3: valence is '2'; expected a number in \[-1, 1\]"):
        read("table", tmp_path / "rated.xlsx")


def test_lists_with_nothing_but_a_header_are_empty(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": "path,label\n", "test.csv": "path,label\n"})
    with pytest.raises(InputError, match=r"(no list found|the lists are empty)"):
        read("list", tmp_path)
