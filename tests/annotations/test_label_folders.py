from pathlib import Path

import pytest

from skelemo.annotations import match, read_annotations
from skelemo.errors import InputError
from skelemo.targets import EMOTIONS


def named(*sources: str) -> list[tuple[str, str]]:
    return [(source.rsplit("/", 1)[-1], source) for source in sources]


def test_the_topmost_folder_is_the_class_and_synonyms_are_the_seven_emotions(tmp_path: Path) -> None:
    recordings = named("Happy/x", "anger/deep/x", "FEARFUL/y", "loose")
    annotations = read_annotations("folders", tmp_path, recordings)
    assert annotations.heads[0].outputs == EMOTIONS
    assert {item.video: EMOTIONS[item.labels["expression"][0]] for item in annotations.items} == {
        "Happy/x": "happiness",
        "anger/deep/x": "anger",
        "FEARFUL/y": "fear",
    }
    matching = match(annotations, recordings)
    assert [len(one) for one in matching.annotations] == [1, 1, 1, 0]
    assert matching.unlabeled == ("loose",)


def test_other_names_are_classes(tmp_path: Path) -> None:
    annotations = read_annotations("folders", tmp_path, named("a10/x", "a2/x", "happy/x"))
    assert annotations.heads[0].outputs == ("a2", "a10", "happy")


def test_folders_of_subsets_are_the_split_and_the_next_is_the_class(tmp_path: Path) -> None:
    recordings = named("Train/Angry/x", "val/Happy/x", "test/Sad/x", "test/loose", "loose")
    annotations = read_annotations("folders", tmp_path, recordings)
    assert annotations.heads[0].outputs == EMOTIONS
    assert [(item.splits["split"], EMOTIONS[item.labels["expression"][0]]) for item in annotations.items] == [
        ("train", "anger"),
        ("validation", "happiness"),
        ("test", "sadness"),
    ]


def test_a_class_called_like_a_subset_is_a_class_beside_others(tmp_path: Path) -> None:
    annotations = read_annotations("folders", tmp_path, named("test/deep/x", "wave/deep/y"))
    assert annotations.heads[0].outputs == ("test", "wave")
    assert [item.splits for item in annotations.items] == [{}, {}]


def test_frames_without_a_stem_belong_to_their_folder(tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    (tmp_path / "sad/clip").mkdir(parents=True)
    annotations = read_annotations("folders", tmp_path, named("happy", "sad/clip"))
    assert [EMOTIONS[item.labels["expression"][0]] for item in annotations.items] == ["happiness", "sadness"]


def test_the_path_may_be_below_or_above_the_ingested_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    inner = read_annotations(f"folders:{tmp_path}/../{tmp_path.name}/data", tmp_path, named("data/sad/x", "joy/x"))
    assert [item.video for item in inner.items] == ["data/sad/x"]
    outer = read_annotations(f"folders:{tmp_path}", tmp_path / "sad", named("x"))
    assert [(item.video, EMOTIONS[item.labels["expression"][0]]) for item in outer.items] == [("x", "sadness")]


def test_missing_class_folders_are_refused_and_a_single_one_is_noted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no recording of .* is in a subfolder; expected class folders"):
        read_annotations("folders", tmp_path, named("x", "y"))
    with pytest.raises(InputError, match="no recording is in a class folder inside test, train"):
        read_annotations("folders", tmp_path, named("train/x", "test/y"))
    assert (
        "all 2 recordings are in one folder, 'data'"
        in read_annotations("folders", tmp_path, named("data/happy/x", "data/sad/y")).notes[0]
    )


def test_the_real_faces_are_the_seven_emotions(shared_data: Path) -> None:
    faces = shared_data / "faces"
    sources = [str(file.relative_to(faces)).removesuffix("_keypoints.json") for file in faces.rglob("*.json")]
    annotations = read_annotations("folders", faces, named(*sources))
    assert annotations.heads[0].outputs == EMOTIONS
    assert annotations.notes == ()
    assert len(annotations.items) == 376
    assert all(item.video.startswith(EMOTIONS[item.labels["expression"][0]] + "/") for item in annotations.items)
