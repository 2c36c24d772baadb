"""``problems.csv`` lists what no ingest could read, whoever wrote it last."""

import csv

from skelemo.ingest.partition import Partition
from skelemo.ingest.problems import unusable, write_problems
from skelemo.openpose.files import Problem


def listed(out) -> list[str]:
    with (out / "problems.csv").open(newline="") as file:
        return [row["file"] for row in csv.DictReader(file)]


def test_partitions_keep_each_others_problems_until_the_source_is_partitioned_anew(tmp_path):
    source, out = tmp_path / "in", tmp_path / "cache"
    out.mkdir()
    for number, name in ((1, "a"), (2, "b")):
        write_problems(out, source, Partition(number, 2), [Problem(name, "is damaged")])
    assert listed(out) == ["a", "b"]
    write_problems(out, source, Partition(1, 2), [Problem("c", "is empty")])
    assert listed(out) == ["b", "c"], "the second partition is not ingested again"
    write_problems(out, tmp_path / "other", Partition(), [Problem("x_keypoints.json", "is empty")])
    write_problems(out, source, Partition(), [Problem("d", "is empty")])
    assert listed(out) == ["d", "x_keypoints.json"]
    assert unusable(out) == {"d": "is empty"}
    write_problems(out, source, Partition(), [])
    assert listed(out) == ["x_keypoints.json"], "those of another source"
    write_problems(out, tmp_path / "other", Partition(), [])
    assert listed(out) == [], "the last problem is gone, too"


def test_file_names_are_not_run_as_formulas(tmp_path):
    write_problems(tmp_path, tmp_path / "in", Partition(), [Problem("=1+1", "-1")])
    assert (tmp_path / "problems.csv").read_text().splitlines() == ["file,reason", "'=1+1,'-1"]
