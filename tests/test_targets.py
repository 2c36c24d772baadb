"""Heads: what they accept as labels, and what they say otherwise."""

import numpy as np
import pytest

from skelemo.errors import ConfigError
from skelemo.targets import AU, EXPRESSION, VA, Head, hard_labels, head_names, soft_labels, unlabeled_like

MOOD = Head("mood", "classes", ("glad", "sad", "calm"))
SHARES = np.float32([[0.5, 0.5, 0.0], [np.nan, np.nan, np.nan], [0.1, 0.2, 0.7]])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("", "classes", ("a", "b")), "head '': expected a name of letters, digits, _ and -"),
        (("a/b", "classes", ("a", "b")), "head 'a/b': expected a name of letters"),
        (("mood", "class", ("a", "b")), "unknown kind of head 'class': did you mean 'classes'"),
        (("mood", "classes", ("a", "")), "head mood: every output needs a name"),
        (("mood", "classes", ("a", "a")), "head mood: expected 1 to .* different outputs"),
        (("mood", "classes", ()), "head mood: expected 1 to .* different outputs"),
        (("pain", "values", ("pain",), 10, 0), r"head pain: range \[10, 0\]; expected low < high"),
        (("pain", "values", ("pain",), 0, float("inf")), r"head pain: range \[0, inf\]; expected low < high"),
    ],
)
def test_a_head_that_cannot_be_is_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        Head(*given)


@pytest.mark.parametrize("head", [EXPRESSION, VA, AU, MOOD, Head("pain", "values", ("pain",), 0, 10)])
def test_a_head_is_the_same_after_json(head):
    assert Head.from_json(head.to_json()) == head


@pytest.mark.parametrize(
    "fields", [{}, {"name": "mood"}, [], None, {"name": 3, "kind": "classes", "outputs": ["a"]},
               {"name": "mood", "kind": "classes", "outputs": "ab"},
               {"name": "mood", "kind": "values", "outputs": ["a"], "low": "small"}]
)  # fmt: skip
def test_other_json_is_not_a_head(fields):
    with pytest.raises(ConfigError, match="is not a head"):
        Head.from_json(fields)


@pytest.mark.parametrize(
    ("head", "labels", "said"),
    [
        (MOOD, np.int16([0, 3]), "labels of mood: 0 to 3; expected -1 to 2"),
        (MOOD, np.float32([0, 1]), r"labels of mood: float32 \[2\]; expected integer \[2\]"),
        (MOOD, np.float32([[0.5, 0.6, 0]]), "labels of mood: soft labels out of"),
        (MOOD, np.float32([[1.5, -0.5, 0]]), "labels of mood: soft labels out of"),
        (MOOD, np.float32([[0.5, 0.5]]), r"labels of mood: float32 \[1, 2\]; expected floating \[1, 3\]"),
        (VA, np.float32([[0.5, 1.5]]), r"labels of va: 0.5 to 1.5; expected \[-1, 1\]"),
        (VA, np.int16([[0, 1]]), r"labels of va: int16 \[1, 2\]; expected floating \[1, 2\]"),
        (AU, np.full((1, 12), 2, np.int8), "labels of au: 2 to 2; expected -1 to 1"),
        (AU, np.zeros((1, 11), np.int8), r"labels of au: int8 \[1, 11\]; expected integer \[1, 12\]"),
    ],
)
def test_labels_that_do_not_fit_are_refused(head, labels, said):
    with pytest.raises(ConfigError, match=said):
        head.check(labels)


def test_labels_that_fit_are_accepted_labeled_or_not():
    for head in (MOOD, VA, AU):
        head.check(head.unlabeled(4))
        assert not head.labeled(head.unlabeled(4)).any()
    MOOD.check(SHARES)
    assert MOOD.labeled(SHARES).tolist() == [True, False, True]
    assert MOOD.labeled(np.int16([-1, 0, 2])).tolist() == [False, True, True]
    half = np.float32([[np.nan, 0.2], [np.nan, np.nan]])
    VA.check(half)
    assert VA.labeled(half).tolist() == [True, False], "one value is a label"


def test_soft_and_hard_labels_are_each_others_counterpart():
    assert hard_labels(SHARES).tolist() == [0, -1, 2], "the first class of a tie"
    hard = np.int16([2, -1, 0])
    soft = soft_labels(hard, 3)
    np.testing.assert_array_equal(soft, np.float32([[0, 0, 1], [np.nan] * 3, [1, 0, 0]]))
    assert hard_labels(soft).tolist() == hard.tolist()
    assert soft_labels(SHARES, 3) is SHARES
    assert hard_labels(hard) is hard


@pytest.mark.parametrize("labels", [np.int16([1, 2]), SHARES, np.zeros((3, 12), np.int8)])
def test_unlabeled_rows_have_the_type_of_the_labels(labels):
    found = unlabeled_like(labels, 5)
    assert (found.shape, found.dtype) == ((5, *labels.shape[1:]), labels.dtype)
    assert not (found >= 0).any()


def test_names_of_heads_are_a_list_and_both_stands_for_the_usual_two():
    assert head_names(" va, au ") == ("va", "au")
    assert head_names("both") == ("expression", "va")
    for text in ("", " , ", "va,va"):
        with pytest.raises(ConfigError, match="expected one or more different names"):
            head_names(text)
