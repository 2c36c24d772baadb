import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_caches import a_sequence

from skelemo.cache.shard import Header, write_shard
from skelemo.errors import ConfigError
from skelemo.ingest.partition import Partition, other_partitions, parse_partition, take_partition


@given(st.lists(st.integers(0, 5000), max_size=60), st.integers(1, 12))
def test_parts_cover_everything_once_and_are_balanced(sizes, of):
    partitions = [take_partition(sizes, Partition(number, of)) for number in range(1, of + 1)]
    assert sorted(position for partition in partitions for position in partition) == list(range(len(sizes)))
    assert all(partition == sorted(partition) for partition in partitions)
    loads = [sum(sizes[position] for position in partition) for partition in partitions]
    assert max(loads) - min(loads) <= max(sizes, default=0)


def test_equal_recordings_are_distributed_in_turn():
    assert [len(take_partition([1] * 10, Partition(number, 4))) for number in (1, 2, 3, 4)] == [3, 3, 2, 2]
    assert take_partition([0, 0, 0], Partition(2, 3)) == [1], "empty ones are shared out too"


def test_a_part_is_parsed_from_two_numbers():
    assert parse_partition("3/8") == Partition(3, 8)
    assert str(parse_partition(" 8 / 8 ")) == "8/8"


@pytest.mark.parametrize("text", ["0/8", "9/8", "3", "3/0", "-1/8", "a/b", "1/2/3", "", "1.5/2", "1/999999999"])
def test_invalid_parts_are_refused_with_an_example(text):
    with pytest.raises(ConfigError, match=r"3/8|expected 1/"):
        parse_partition(text)


def test_partitions_of_another_source_are_not_compared(tmp_path):
    headers = {name: Header("body_25", origin=origin) for name, origin in {
        "mine": {"source": "in", "partition of": "5 recordings (aaaa)"},
        "same": {"source": "in", "partition of": "5 recordings (aaaa)"},
        "less": {"source": "in", "partition of": "4 recordings (bbbb)"},
        "else": {"source": "other", "partition of": "9 recordings (cccc)"},
        "whole": {"source": "in"},
    }.items()}  # fmt: skip
    for name in ("same", "else", "whole"):
        write_shard(tmp_path, headers[name], [a_sequence(name, labels={})])
    assert other_partitions(tmp_path, headers["mine"]) == []
    write_shard(tmp_path, headers["less"], [a_sequence("less", labels={})])
    (note,) = other_partitions(tmp_path, headers["mine"])
    assert "other partitions are of 4 recordings (bbbb), this one of 5 recordings (aaaa)" in note
