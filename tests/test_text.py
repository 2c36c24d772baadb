"""Names in natural order, and as names of files."""

from functools import cmp_to_key
from itertools import takewhile

from hypothesis import given, settings
from hypothesis import strategies as st

from skelemo.text import file_names, natural_order


def test_names_are_safe_and_stay_apart():
    given = ["a/b", "a_b", "A_B", "../up", "con.", "", "é ü", "x" * 300, "x" * 301, "a~2", "a", "A"]
    names = file_names(given)
    assert len({name.casefold() for name in names}) == len(given)
    assert all("/" not in name and not name.startswith(".") and 0 < len(name) <= 110 for name in names)
    assert names[6] == "é ü"


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
