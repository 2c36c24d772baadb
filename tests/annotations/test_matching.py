import unicodedata

import numpy as np
import pytest

from skelemo.annotations import Annotation, Annotations, match
from skelemo.errors import InputError
from skelemo.targets import EXPRESSION


def labels(*videos: str, person: str = "", numbered: bool = False) -> Annotations:
    return Annotations((EXPRESSION,), tuple(label(video, person) for video in videos), numbered=numbered)


def label(video: str, person: str = "", source: str = "labels.csv") -> Annotation:
    return Annotation(video, {EXPRESSION.name: np.zeros(1, np.int16)}, source, person=person)


def found(annotations: Annotations, *recordings: tuple[str, str]) -> list[list[str]]:
    return [[one.video for one in group] for group in match(annotations, recordings).annotations]


def test_the_exact_path_wins_over_the_name() -> None:
    assert found(labels("b/x"), ("x", "a/x"), ("x", "b/x")) == [[], ["b/x"]]
    assert found(labels("x"), ("x", "a/x"), ("y", "x")) == [[], ["x"]]


def test_names_match_whatever_their_unicode_form_and_with_a_video_files_ending() -> None:
    name = "Übung 1"
    recording = (unicodedata.normalize("NFD", name), "a/" + unicodedata.normalize("NFD", name))
    assert found(labels(unicodedata.normalize("NFC", name)), recording) == [[name]]
    assert found(labels("a/x.MP4", "y.avi"), ("x", "a/x"), ("y.avi", "y.avi")) == [["a/x.MP4"], ["y.avi"]]


def test_leading_zeros_do_not_count_where_videos_are_numbers() -> None:
    recordings = ("1", "clips/1"), ("00020", "clips/00020"), ("1a", "clips/1a")
    assert found(labels("00001", "00020", numbered=True), *recordings) == [["00001"], ["00020"], []]
    assert found(labels("00001", "00020"), *recordings) == [[], ["00020"], []]


def test_left_and_right_go_to_the_same_recording() -> None:
    both = Annotations((EXPRESSION,), (label("v", "right"), label("v", "left")))
    assert [one.person for one in match(both, [("v", "v")]).annotations[0]] == ["left", "right"]


def test_what_has_no_counterpart_is_named_on_both_sides() -> None:
    matching = match(labels("a", "b", "gone"), [("a", "s/a"), ("b", "s/b"), ("c", "s/c")])
    assert matching.unlabeled == ("s/c",)
    assert [one.video for one in matching.unused] == ["gone"]
    assert matching.summary() == [
        "recordings with labels: 2 of 3",
        "recordings without labels: 1 (s/c)",
        "labels without a recording: 1 (gone)",
    ]


def test_when_nothing_matches_both_sides_give_examples() -> None:
    with pytest.raises(InputError) as error:
        match(labels("a", "b", "c", "d"), [("w", "s/w"), ("x", "s/x"), ("y", "s/y"), ("z", "s/z")])
    assert "labels are for 'a', 'b', 'c' and 1 more" in str(error.value)
    assert "recordings are 'w', 'x', 'y' and 1 more (or by path 's/w')" in str(error.value)


def test_a_name_that_fits_two_recordings_is_refused_with_both_paths() -> None:
    with pytest.raises(InputError, match=r"'x' could be for 'a/x', 'b/x'; name the recording by its path"):
        match(labels("x"), [("x", "a/x"), ("x", "b/x")])


def test_labels_given_twice_are_refused() -> None:
    with pytest.raises(InputError, match=r"recording 'a/x' has labels twice: as 'x' .* and as 'x.mp4'"):
        match(labels("x", "x.mp4"), [("x", "a/x")])


def test_labels_for_a_side_and_for_nobody_in_particular_are_noted() -> None:
    mixed = Annotations((EXPRESSION,), (label("v", "right"), label("v")))
    assert "recordings with labels for a named person and for nobody" in match(mixed, [("v", "v")]).notes[0]
