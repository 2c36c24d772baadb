"""Text for users: names, numbers, durations, cells."""

from functools import cmp_to_key
from itertools import takewhile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelemo.text import (
    cell,
    count,
    duration,
    file_names,
    folded,
    natural_order,
    safe_cells,
    signed,
    some,
    video_names,
)


def test_names_are_safe_and_stay_apart():
    given = ["a/b", "a_b", "A_B", "../up", "con.", "", "é ü", "x" * 300, "x" * 301, "a~2", "a", "A"]
    names = file_names(given)
    assert len({name.casefold() for name in names}) == len(given)
    assert all("/" not in name and not name.startswith(".") and 0 < len(name) <= 110 for name in names)
    assert names[6] == "é ü"
    assert file_names(["x" * 99 + ". y"]) == ["x" * 99], "Windows drops a dot or space at the end"


def test_natural_order_handles_numbers_of_any_length_and_script() -> None:
    assert sorted(["x" + "9" * 5000, "x10", "x9", "x²", "x٣", "x01", "x1"], key=natural_order)[:4] == [
        "x01",
        "x1",
        "x9",
        "x10",
    ]


def compare_nat(a: str, b: str) -> bool:
    """OpenPose's ``compareNat`` (fileSystem.cpp), step by step."""
    if not a:
        return bool(b)
    if not b:
        return False
    if a[0].isdigit() != b[0].isdigit():
        return a[0].isdigit()
    if not a[0].isdigit():
        if a[0].upper() == b[0].upper():
            return compare_nat(a[1:], b[1:])
        return a[0].upper() < b[0].upper()
    first, second = ("".join(takewhile(str.isdigit, text)) for text in (a, b))
    if int(first) != int(second):
        return int(first) < int(second)
    return compare_nat(a[len(first) :], b[len(second) :])


@given(st.lists(st.text(alphabet="aBb_- 0129", max_size=8), max_size=6))
@settings(deadline=None)
def test_natural_order_is_openposes(names: list[str]) -> None:
    def compare(a: str, b: str) -> int:
        return compare_nat(b, a) - compare_nat(a, b)

    ours = sorted(names, key=natural_order)
    theirs = sorted(sorted(names), key=cmp_to_key(compare))
    assert [natural_order(name)[0] for name in ours] == [natural_order(name)[0] for name in theirs]


def test_videos_lose_a_repeated_last_folder_unless_another_has_that_name():
    assert video_names(["a/a", "b/c", "x/d/d", "e"]) == ["a", "b/c", "x/d", "e"]
    assert video_names(["a/a", "a"]) == ["a/a", "a"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Kick 3", "kick_3", True),
        ("very-happy", "Very Happy", True),
        ("Ｆｅａｒ", "fear", True),
        ("take 1-2", "take 12", False),
        ("1_2", "12", False),
        ("--", "-", False),
    ],
)
def test_names_are_compared_without_case_and_separators_beside_letters(one, other, same):
    assert (folded(one) == folded(other)) == same


def test_values_have_a_sign_only_if_their_range_has_one():
    assert [signed(value, -1) for value in (0.5, -0.25, -0.001, 0.0)] == ["+0.50", "-0.25", "+0.00", "+0.00"]
    assert [signed(value, 0) for value in (0.5, 0.999, -0.001)] == ["0.50", "1.00", "0.00"]


def test_durations_are_rounded_to_two_units():
    seconds = (None, 0.4, 59.6, 200, 3599.7, 7500, 90000)
    assert [duration(value) for value in seconds] == [
        *("–", "0 s", "1 min 00 s", "3 min 20 s", "1 h 00 min", "2 h 05 min", "25 h 00 min")
    ]


def test_lists_and_counts_are_readable():
    assert some("abc") == "a, b, c"
    assert some([*range(2000)], 2) == "0, 1 and 1,998 more"
    assert [count(1, "person", "people"), count(2, "person", "people"), count(12000, "shard")] == [
        *("1 person", "2 people", "12,000 shards")
    ]


def test_no_cell_of_a_table_is_run_as_a_formula():
    table = pd.DataFrame({"=name": ["=1+1", "a=b", "", "@x"], "value": [-1.5, 2.0, np.nan, 0.0]})
    safe = safe_cells(table)
    assert list(safe) == ["'=name", "value"]
    assert safe["'=name"].tolist() == ["'=1+1", "a=b", "", "'@x"]
    assert safe["value"].tolist()[:2] == [-1.5, 2.0]
    assert [cell(text) for text in ("-1", "+x", "\tx", " =x", "")] == ["'-1", "'+x", "'\tx", " =x", ""]
