"""Corrections of pushed, pulled and merged caches: no row is lost, and damaged tables are refused."""

from dataclasses import replace

import pytest
from small_caches import a_cache, a_sequence

from skelemo.cache.corrections import (
    CORRECTIONS,
    Correction,
    Corrections,
    add,
    corrections_file,
    read_corrections,
    redo,
    to_bytes,
    undo,
)
from skelemo.cache.corrections_merge import merged
from skelemo.cache.merge import merge, subset
from skelemo.cache.pull import pull
from skelemo.cache.push import push
from skelemo.errors import CacheError, InputError, RemoteError

TIMES = [f"2026-01-31T09:30:0{second}Z" for second in range(10)]


def a_row(name, time, **fields):
    return Correction("one", "wrong", id=name, time=time, author="ann", **fields)


def a_table(folder, *rows):
    corrections_file(folder).write_bytes(to_bytes(rows))
    return rows


def rows_of(folder):
    return read_corrections(corrections_file(folder)).rows


def ids(folder):
    return [row.id for row in rows_of(folder)]


@pytest.fixture
def home(tmp_path):
    """A cache of two people in one video and one in another, with a correction of each and of the video's tracks."""
    people = [a_sequence(f"one_{who}", video="one", person=who) for who in ("left", "right")]
    folder = a_cache(tmp_path / "home", *people, a_sequence("two"))
    a_table(folder, a_row("aaaa", TIMES[1], person="left"), a_row("bbbb", TIMES[2], person="right"),
            Correction("two", "wrong", id="cccc", time=TIMES[3]),
            Correction("one", "swap", "left", 3, 5, value="right", id="dddd", time=TIMES[4]))  # fmt: skip
    return folder


@pytest.fixture
def far(home, tmp_path):
    push(home, str(tmp_path / "far"))
    return tmp_path / "far"


@pytest.fixture(params=["disk", "memory"])
def place(request, tmp_path):
    """A URL that can be locked, and one that cannot."""
    if request.param == "disk":
        yield str(tmp_path / "place")
        return
    import fsspec

    yield "memory://corrections"
    fsspec.filesystem("memory").rm("/corrections", recursive=True)


def test_a_table_survives_push_and_pull(home, place, tmp_path):
    assert push(home, place).notes == ("4 corrections added or changed",)
    assert pull(place, tmp_path / "back").notes == ("4 corrections added or changed",)
    assert rows_of(tmp_path / "back") == rows_of(home)
    assert push(home, place).notes == pull(place, tmp_path / "back").notes == ()


def test_additions_and_undos_of_both_sides_are_merged(home, place, tmp_path):
    other = tmp_path / "other"
    push(home, place)
    pull(place, other)
    mine = add(corrections_file(home), [Correction("one", "unsure", "left")], author="ann")[0]
    theirs = add(corrections_file(other), [Correction("two", "unsure")], author="bob")[0]
    undo(corrections_file(other), ["aaaa"])
    push(home, place)
    push(other, place)
    pull(place, home)
    pull(place, other)
    assert rows_of(home) == rows_of(other)
    assert {row.id for row in rows_of(home)} == {"aaaa", "bbbb", "cccc", "dddd", mine.id, theirs.id}
    assert [row.id for row in rows_of(home) if row.undone] == ["aaaa"]
    redo(corrections_file(home), ["aaaa"])
    push(home, place)
    pull(place, other)
    assert not any(row.undone for row in rows_of(other)), "the redo is the latest change"


def test_rows_added_remotely_are_pulled_and_kept_by_the_next_push(home, far, tmp_path):
    there = add(corrections_file(far), [Correction("two", "unsure")], author="bob")[0]
    pull(str(far), tmp_path / "back")
    assert ids(tmp_path / "back")[-1] == there.id
    push(home, str(far))
    assert ids(far) == [*ids(home), there.id]


def test_merging_keeps_the_order_of_time_and_is_symmetric(tmp_path):
    early, late, undone = a_row("aa11", TIMES[0]), a_row("bb11", TIMES[5]), a_row("cc11", TIMES[3], undone=TIMES[6])
    back = a_row("dd11", TIMES[1])  # made after cc11, with a clock set back
    one = Corrections(tmp_path / "one", (early, late), "1")
    two = Corrections(tmp_path / "two", (early, replace(undone, undone=""), back), "2")
    three = Corrections(tmp_path / "three", (undone,), "3")
    expected = [early, undone, back, late]
    assert merged([one, two, three]) == merged([three, two, one]) == expected
    assert merged([Corrections(tmp_path, tuple(expected)), two]) == expected


@pytest.mark.parametrize(
    ("mine", "theirs", "after"),
    [
        ({}, {"undone": TIMES[5]}, {"undone": TIMES[5]}),
        ({"redone": TIMES[6]}, {"undone": TIMES[5]}, {"redone": TIMES[6]}),
        ({"redone": TIMES[6]}, {"undone": TIMES[7]}, {"undone": TIMES[7]}),
        ({"undone": TIMES[5]}, {"undone": TIMES[7]}, {"undone": TIMES[7]}),
    ],
)
def test_the_latest_undo_or_redo_wins(tmp_path, mine, theirs, after):
    tables = [Corrections(tmp_path / str(i), (a_row("aaaa", TIMES[0], **one),)) for i, one in enumerate((mine, theirs))]
    assert merged(tables) == merged(tables[::-1]) == [a_row("aaaa", TIMES[0], **after)]


def test_contradicting_corrections_are_one_error_and_change_nothing(home, far, tmp_path):
    a_table(home, a_row("aaaa", TIMES[1], person="left", note="other"))
    before = (far / CORRECTIONS).read_bytes()
    with pytest.raises(InputError, match=r"^correction aaaa of 'one' differs between .*: rows must not be edited"):
        push(home, str(far))
    with pytest.raises(CacheError, match=r"refused: corrections\.csv \(correction aaaa of 'one' differs"):
        pull(str(far), home)
    assert (far / CORRECTIONS).read_bytes() == before
    assert len(rows_of(home)) == 1
    other = a_cache(tmp_path / "other", a_sequence("three"))
    a_table(other, a_row("aaaa", TIMES[2]))
    with pytest.raises(InputError, match="differs between"):
        merge([home, other], tmp_path / "both")
    assert not (tmp_path / "both").exists()


@pytest.mark.parametrize(
    ("text", "other", "reason"),
    [
        ("2026-01-31T09:30:02Z", "yesterday", "line 3: expected an id of hexadecimal digits"),
        ("id,time", "id,date", r"columns id, date.*"),
    ],
)
def test_a_damaged_remote_table_is_one_error_and_nothing_is_lost(home, far, tmp_path, text, other, reason):
    spoiled = (far / CORRECTIONS).read_text().replace(text, other)
    (far / CORRECTIONS).write_text(spoiled)
    back = tmp_path / "back"
    with pytest.raises(CacheError, match=rf"^[^\n]*far: refused: corrections\.csv \({reason}[^\n]*$"):
        pull(str(far), back)
    assert len(list(back.glob("*.h5"))) == 1, "the shards are there"
    assert not corrections_file(back).exists()
    extra = a_cache(home, a_sequence("three"))
    with pytest.raises(InputError, match=rf"{reason}[^\n]*; repair or remove that file, and push again$"):
        push(extra, str(far))
    assert len(list(far.glob("*.h5"))) == 1, "nothing was pushed"
    assert (far / CORRECTIONS).read_text() == spoiled
    (far / CORRECTIONS).unlink()
    push(home, str(far))
    assert ids(far) == ids(home)


def test_a_damaged_local_table_prevents_push_pull_and_merge(home, far, tmp_path):
    corrections_file(home).write_text("id,time\n")
    for run in (
        lambda: push(home, str(tmp_path / "new")),
        lambda: pull(str(far), home),
        lambda: merge([home], tmp_path / "out"),
        lambda: subset(home, ["video=two"], tmp_path / "out"),
    ):
        with pytest.raises(InputError, match=r"corrections\.csv: columns id, time; expected"):
            run()
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "out").exists()
    assert corrections_file(home).read_text() == "id,time\n"


def test_the_table_of_selected_sequences_is_that_of_the_cache(home, far, tmp_path):
    only = ["video=two"]
    subset(home, only, tmp_path / "subset")
    push(home, str(tmp_path / "less"), only=only)
    pull(str(far), tmp_path / "back", only=only)
    assert ids(tmp_path / "subset") == ids(tmp_path / "less") == ids(tmp_path / "back") == ids(home)


def test_a_pull_without_matches_creates_no_table(far, tmp_path):
    with pytest.raises(RemoteError):
        pull(str(far), tmp_path / "back", only=["video=none"])
    assert not (tmp_path / "back" / CORRECTIONS).exists()


def test_merged_caches_have_the_corrections_of_both(home, tmp_path):
    other = a_cache(tmp_path / "other", a_sequence("three"))
    a_table(other, a_row("eeee", TIMES[0]), a_row("aaaa", TIMES[1], person="left", undone=TIMES[8]))
    assert merge([home, other], tmp_path / "both").corrections == 5
    assert ids(tmp_path / "both") == ["eeee", "aaaa", "bbbb", "cccc", "dddd"]
    assert [row.id for row in rows_of(tmp_path / "both") if row.undone] == ["aaaa"]
    plain = a_cache(tmp_path / "plain", a_sequence("four"))
    merge([plain], tmp_path / "alone")
    assert not corrections_file(tmp_path / "alone").exists()


def test_a_pull_keeps_a_table_without_shards(home, far, tmp_path):
    back = tmp_path / "back"
    back.mkdir()
    a_table(back, a_row("ffff", TIMES[5]))
    pull(str(far), back)
    assert ids(back) == [*ids(home), "ffff"]


def test_a_plain_copy_of_a_cache_is_pulled_with_its_corrections(cache, tmp_path):
    add(corrections_file(cache), [Correction("Kick 1", "wrong", note="blurred")], author="Ann")
    assert pull(str(cache), tmp_path / "pulled").notes == ("1 correction added or changed",)
    found = read_corrections(corrections_file(tmp_path / "pulled"))
    assert found.rows == read_corrections(corrections_file(cache)).rows
