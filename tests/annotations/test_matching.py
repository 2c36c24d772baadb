import time
import unicodedata
from dataclasses import replace

import numpy as np
import pytest

from skelemo.annotations import Annotation, Annotations, match
from skelemo.errors import InputError
from skelemo.targets import EXPRESSION


def labels(*videos: str, person: str = "") -> Annotations:
    return Annotations((EXPRESSION,), tuple(label(video, person) for video in videos))


def label(video: str, person: str = "", source: str = "labels.csv") -> Annotation:
    return Annotation(video, {EXPRESSION.name: np.zeros(1, np.int16)}, source, person=person)


def found(annotations: Annotations, *recordings: tuple[str, str]) -> list[list[str]]:
    return [[one.video for one in group] for group in match(annotations, recordings).annotations]


def test_the_exact_path_wins_over_the_name() -> None:
    assert found(labels("b/x"), ("x", "a/x"), ("x", "b/x")) == [[], ["b/x"]]
    assert found(labels("x"), ("x", "a/x"), ("y", "x")) == [[], ["x"]]
    assert found(labels("talk"), ("talk", "day 1/0001"), ("0002", "day 1/0002")) == [["talk"], []]


def test_names_match_in_any_unicode_form_and_with_endings() -> None:
    name = "Übung 1"
    recording = (unicodedata.normalize("NFD", name), "a/" + unicodedata.normalize("NFD", name))
    assert found(labels(unicodedata.normalize("NFC", name)), recording) == [[name]]
    assert found(labels("a/x.MP4", "y.avi"), ("x", "a/x"), ("y.avi", "y.avi")) == [["a/x.MP4"], ["y.avi"]]


def test_leading_zeros_do_not_matter() -> None:
    recordings = ("1", "clips/1"), ("00020", "clips/00020"), ("1a", "clips/1a")
    assert found(labels("00001", "20"), *recordings) == [["00001"], ["20"], []]
    assert found(labels("20"), *recordings, ("20", "clips/20")) == [[], [], [], ["20"]]


TALKS = [("talk 1", "anna/talk 1"), ("talk 1", "ben/talk 1"), ("Walk_02", "Walk_02/Walk_02"), ("x", "take/openpose/x")]


@pytest.mark.parametrize(
    ("written", "source"),
    [
        # what `cache ls` shows: the path below the source, a doubled folder once
        ("anna/talk 1", "anna/talk 1"),
        ("Walk_02", "Walk_02/Walk_02"),
        # endings of videos and of OpenPose's files
        ("anna/talk 1.mp4", "anna/talk 1"),
        ("Walk_02.AVI", "Walk_02/Walk_02"),
        ("Walk_02_keypoints.json", "Walk_02/Walk_02"),
        ("Walk_02_000000000012_keypoints.json", "Walk_02/Walk_02"),
        ("Walk_02.mp4.json", "Walk_02/Walk_02"),
        # paths from elsewhere: absolute, of Windows, with dots; and folders of the recording left out
        ("/home/me/videos/anna/talk 1.mp4", "anna/talk 1"),
        ("C:\\data\\ben\\talk 1.avi", "ben/talk 1"),
        (".\\anna\\..\\ben\\talk 1", "ben/talk 1"),
        ("./anna/talk 1", "anna/talk 1"),
        ("openpose/x", "take/openpose/x"),
        ("videos/x.mp4", "take/openpose/x"),
        ("take", "take/openpose/x"),
        # case, spaces, - and _
        ("ANNA/Talk_1", "anna/talk 1"),
        ("ben / talk-1", "ben/talk 1"),
        ("walk 02", "Walk_02/Walk_02"),
        (" Walk_02 ", "Walk_02/Walk_02"),
        ("Walk_2", "Walk_02/Walk_02"),
        ("walk02.wav", "Walk_02/Walk_02"),
        # folders as one name
        ("Anna_Talk 1.mp4", "anna/talk 1"),
        ("anna-talk_001", "anna/talk 1"),
    ],
)
def test_common_spellings_of_a_video_match(written: str, source: str) -> None:
    matching = match(labels(written), TALKS)
    assert [recording[1] for recording, one in zip(TALKS, matching.annotations, strict=True) if one] == [source]


@pytest.mark.parametrize("written", ["carl/talk 1", "talk", "alk 1", "Walk_20", "x1", "anna/x.y", "talk 1 anna"])
def test_other_names_do_not_match(written: str) -> None:
    matching = match(labels(written, "Walk_02"), TALKS)
    assert [one.video for one in matching.unused] == [written]


def test_the_common_folder_of_all_labels_is_ignored() -> None:
    here = [("0015", "clips/Action/Happy/0015"), ("0015", "clips/Action/Sad/0015")]
    there = "/data/someone/2_ClipsforFaceCrop/Action/"
    assert found(labels(f"{there}Happy/0015", f"{there}Sad/0015"), *here) == [
        [f"{there}Happy/0015"],
        [f"{there}Sad/0015"],
    ]
    assert match(labels("subject2/clip1", "clip9"), [("clip1", "json/clip1"), ("clip9", "json/clip9")]).unlabeled == (
        "json/clip1",
    )


def test_a_folder_of_a_person_is_not_ignored_because_all_labels_share_it() -> None:
    with pytest.raises(InputError, match="no label matches a recording"):
        match(labels("anna/clip1", "anna/clip2"), [("clip1", "bob/clip1"), ("clip2", "bob/clip2")])
    generic = labels("videos/clip1", "videos/clip2")
    assert found(generic, ("clip1", "bob/clip1"), ("clip2", "bob/clip2")) == [["videos/clip1"], ["videos/clip2"]]


def test_labels_of_the_pieces_of_a_long_recording_are_joined_in_order() -> None:
    clips = [label("long_from65536"), label("long_from0")]
    clips[0].labels[EXPRESSION.name][:] = 3
    ((joined,),) = match(Annotations((EXPRESSION,), tuple(clips)), [("long", "long")]).annotations
    assert (joined.video, joined.number.tolist(), joined.end.tolist()) == ("long", [0, 65536], [65535, 131071])
    assert joined.at(np.array([0, 65535, 65536]))[EXPRESSION.name].tolist() == [0, 0, 3]
    assert joined.mismatch(70_000) == "", "the last piece ends with the recording"


def test_frames_of_pieces_keep_their_end_and_must_not_overlap() -> None:
    def frames(video: str, first: int, last: int) -> Annotation:
        return replace(label(video), number=np.array([first]), end=np.array([last]))

    pieces = Annotations((EXPRESSION,), (frames("long_from65536", 65540, 65550), frames("long_from0", 5, 9)))
    ((joined,),) = match(pieces, [("long", "long")]).annotations
    assert (joined.number.tolist(), joined.end.tolist()) == ([5, 65540], [9, 65550])
    assert "labels up to frame 65550" in joined.mismatch(65_000)
    twice = Annotations((EXPRESSION,), (frames("long_from9", 9, 20), frames("long_from0", 5, 9)))
    with pytest.raises(InputError, match="'long' is labeled twice"):
        match(twice, [("long", "long")])


def test_an_exact_name_is_preferred_and_two_loose_matches_are_refused() -> None:
    two = ("Clip", "a/Clip"), ("clip", "b/clip")
    assert found(labels("clip.mp4"), *two) == [[], ["clip.mp4"]]
    with pytest.raises(InputError, match=r"'CLIP' match 'a/Clip', 'b/clip'; name the recording by its path"):
        match(labels("CLIP"), two)
    with pytest.raises(InputError, match=r"'take' match 'take/cam1', 'take/cam2'"):
        match(labels("take"), [("cam1", "take/cam1"), ("cam2", "take/cam2")])


def test_the_name_of_a_persons_sequence_matches_video_and_person() -> None:
    recordings = [("v", "v"), ("w_left", "w_left")]
    sides = match(labels("v_left", "v_person03", "w_left"), recordings).annotations
    assert [[one.person for one in group] for group in sides] == [["3", "left"], [""]]


def test_unmatched_names_are_listed_with_the_most_similar_one() -> None:
    summary = match(labels("clip_one", "b"), [("clip_onne", "s/clip_onne"), ("b", "s/b")]).summary()
    assert summary == [
        "recordings with labels: 1 of 2",
        "recordings without labels: 1 (s/clip_onne, most similar to clip_one)",
        "labels without a recording: 1 (clip_one, most similar to s/clip_onne)",
    ]
    both = match(labels("talk 2", "talk 3"), [("talk 2", "s/talk 2")]).summary()
    assert both[1:] == ["labels without a recording: 1 (talk 3, most similar to s/talk 2)"]
    named_twice = [("talk 2", "talk 2/talk 2"), ("walk", "walk/walk")]  # as in the cache: a folder's only recording
    assert match(labels("talk 2"), named_twice).summary()[1] == "recordings without labels: 1 (walk)"
    with pytest.raises(InputError, match="the most similar pair is clip_one and s/clip_onne"):
        match(labels("clip_one"), [("clip_onne", "s/clip_onne")])


def test_paths_joined_to_a_name_match_on_either_side() -> None:
    flat = [("Action_Happy_0267", "json/Action_Happy_0267"), ("Argue_Happy_0267", "json/Argue_Happy_0267")]
    assert found(labels("/data/Clips/Action/Happy/0267.mp4"), *flat) == [["/data/Clips/Action/Happy/0267.mp4"], []]
    deep = [("0267", "Action/Happy/0267"), ("0267", "Argue/Happy/0267")]
    assert found(labels("Argue_Happy_0267"), *deep) == [[], ["Argue_Happy_0267"]]


def test_matching_many_names_is_fast() -> None:
    recordings = [(f"{n:05d}", f"clips/Scene{n % 20}/{n:05d}") for n in range(40_000)]
    began = time.process_time()
    matching = match(labels(*(f"/data/Scene{n % 20}/{n:05d}.MP4" for n in range(20_000, 50_000))), recordings)
    assert (len(matching.unlabeled), len(matching.unused)) == (20_000, 10_000)
    assert len(matching.summary()) == 3
    assert time.process_time() - began < 30  # 2 s; minutes where each name is compared with each


def test_left_and_right_match_the_same_recording() -> None:
    both = Annotations((EXPRESSION,), (label("v", "right"), label("v", "left")))
    assert [one.person for one in match(both, [("v", "v")]).annotations[0]] == ["left", "right"]


def test_unmatched_labels_and_recordings_are_listed() -> None:
    matching = match(labels("a", "b", "gone"), [("a", "s/a"), ("b", "s/b"), ("c", "s/c")])
    assert matching.unlabeled == ("s/c",)
    assert [one.video for one in matching.unused] == ["gone"]
    assert matching.summary() == [
        "recordings with labels: 2 of 3",
        "recordings without labels: 1 (s/c)",
        "labels without a recording: 1 (gone)",
    ]


def test_no_match_is_an_error_with_examples() -> None:
    with pytest.raises(InputError) as error:
        match(labels("a", "b", "c", "d"), [("w", "s/w"), ("x", "s/x"), ("y", "s/y"), ("z", "s/z")])
    assert "labels are for 'a', 'b', 'c' and 1 more" in str(error.value)
    assert "recordings are 'w', 'x', 'y' and 1 more (or by path 's/w')" in str(error.value)


def test_an_ambiguous_name_is_refused_with_both_paths() -> None:
    with pytest.raises(InputError, match=r"'x' match 'a/x', 'b/x'; name the recording by its path"):
        match(labels("x"), [("x", "a/x"), ("x", "b/x")])


def test_duplicate_labels_are_refused() -> None:
    with pytest.raises(InputError, match=r"recording 'a/x' is labeled twice: as 'x' .* and as 'x.mp4'"):
        match(labels("x", "x.mp4"), [("x", "a/x")])


def test_labels_of_named_and_unnamed_people_are_noted() -> None:
    mixed = Annotations((EXPRESSION,), (label("v", "right"), label("v")))
    assert "recordings with labels for a named and an unnamed person" in match(mixed, [("v", "v")]).notes[0]


def test_without_labels_or_recordings_there_is_nothing_to_match() -> None:
    with pytest.raises(InputError, match=r"^the label files contain no labels$"):
        match(labels(), [("x", "x")])
    with pytest.raises(InputError, match=r"^there are no recordings to match with the labels$"):
        match(labels("x"), [])
