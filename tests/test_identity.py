"""Who people are by the identities in their files, and when these are not to be believed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from test_tracking import people_of, standing

from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.errors import ConfigError
from skelemo.tracking import identify


def two(identities, frames=40):
    """Two people who turn back where they meet, as only their identities tell: 20 frames there, 20 back."""
    here, who = [], []
    for t in range(frames):
        step = min(t, frames - 1 - t)
        pair = [standing(300 + 20 * step), standing(1080 - 20 * step)]
        order = (0, 1) if t % 2 else (1, 0)
        here.append([pair[i] for i in order])
        who += [identities(t, i) for i in order]
    return replace(people_of(here), identity=np.array(who, np.int64))


def across(people, one):
    return people.keypoints[one.rows, 8, 0]


def passing(t, i):
    """Identities of two who pass each other, as positions alone would never have it."""
    return (7, 9)[i if t < 20 else 1 - i]


def test_consistent_identities_of_the_files_are_used():
    people = two(passing)
    found = identify(people)
    assert (found.by, found.note) == ("file", "")
    assert sorted(one.identity for one in found.tracks) == [7, 9]
    for one in found.tracks:
        assert len(one) == 40
        assert abs(across(people, one)[-1] - across(people, one)[0]) > 600
    tracked = identify(people, "tracking")
    assert tracked.by == "tracking"
    assert all(abs(across(people, one)[-1] - across(people, one)[0]) < 1 for one in tracked.tracks)


def test_detections_without_an_identity_join_the_person_they_continue():
    people = two(lambda t, i: -1 if t in (0, 12, 13, 30) else i)
    found = identify(people)
    assert found.by == "file"
    assert sorted((one.identity, len(one)) for one in found.tracks) == [(0, 40), (1, 40)]


def test_a_person_without_any_identity_is_separate():
    found = identify(two(lambda t, i: 5 if i else -1))
    assert sorted((one.identity, len(one)) for one in found.tracks) == [(-1, 40), (5, 40)]


def test_duplicate_identities_in_a_frame_are_ignored():
    people = two(lambda t, i: 0)
    found = identify(people)
    assert found.by == "tracking"
    assert "identity 0 twice in frame 0" in found.note
    with pytest.raises(ConfigError, match="identity 0 twice in frame 0"):
        identify(people, "file")


@pytest.mark.parametrize("numbers", [lambda t, i: int(i == t % 2), lambda t, i: 2 * t + i], ids=["rank", "counter"])
def test_arbitrary_identities_are_ignored(numbers):
    found = identify(two(numbers))
    assert found.by == "tracking"
    assert "change in" in found.note
    assert [len(one) for one in found.tracks] == [40, 40]
    assert identify(two(numbers), "file").by == "file", "insisted upon"


def test_files_without_identities_are_tracked_or_refused():
    people = people_of([[standing(300)]] * 5)
    assert identify(people).by == "tracking"
    with pytest.raises(ConfigError, match="have no identities"):
        identify(people, "file")
    with pytest.raises(ConfigError, match="did you mean 'file'"):
        identify(people, "fil")


def write(folder, frames):
    """A recording from frames of (identity, keypoints)."""
    folder.mkdir()
    for number, frame in enumerate(frames):
        people = [
            {"person_id": [who], "pose_keypoints_2d": [round(v, 2) for v in points[:25].ravel().tolist()]}
            for who, points in frame
        ]
        text = json.dumps({"version": 1.3, "people": people})
        (folder / f"clip_{number:012d}_keypoints.json").write_text(text)


def ingest(folder, *options):
    words = ["ingest", folder, "--out", folder.parent / "cache", "--jobs", "1", "--layout", "body_25", *options]
    done = CliRunner().invoke(main, [str(word) for word in words], env={"COLUMNS": "100"})
    return done, " ".join(done.output.replace("│", " ").split())


def test_ingest_reports_the_source_of_identities(tmp_path):
    people = two(passing)
    rows = zip(people.identity.tolist(), people.keypoints.astype(float), strict=True)
    write(tmp_path / "in", [[next(rows), next(rows)] for _ in range(40)])
    done, output = ingest(tmp_path / "in", "--person", "all")
    assert done.exit_code == 0
    assert "identities by file" in output
    assert sorted(open_cache(tmp_path / "cache").sequences["person"]) == ["person7", "person9"]


def test_ingest_reports_people_without_a_sequence(tmp_path):
    big, small, brief = standing(300, size=2.0), standing(900), standing(1500)
    write(tmp_path / "in", [[(-1, big), (-1, small)] + [(-1, brief)] * (t < 3) for t in range(30)])
    done, output = ingest(tmp_path / "in")
    assert done.exit_code == 0
    assert "left out by --person auto 33 detections of 1 other person" in output
    assert "identities by tracking" in output


def test_a_label_may_use_an_identity_of_the_files(tmp_path):
    people = two(passing)
    rows = zip(people.identity.tolist(), people.keypoints.astype(float), strict=True)
    write(tmp_path / "in", [[next(rows), next(rows)] for _ in range(40)])
    (tmp_path / "labels.csv").write_text("video,person,label\nclip,9,fear\n")
    done, output = ingest(tmp_path / "in", "--labels", f"table:{tmp_path / 'labels.csv'}")
    assert done.exit_code == 0, output
    cache = open_cache(tmp_path / "cache")
    assert cache.sequences["person"].tolist() == ["9"]
    assert cache.read().keypoints[[0, -1], 8, 0].round().tolist() == [1080, 300]


def test_a_few_changes_in_a_short_recording_are_no_reason_to_ignore_identities():
    found = identify(two(lambda t, i: (7, 9)[i if t < 4 else 1 - i], frames=8))
    assert (found.by, found.note) == ("file", "")
    assert sorted((one.identity, len(one)) for one in found.tracks) == [(7, 8), (9, 8)]


def test_two_identities_are_never_joined_even_if_they_alternate_in_one_place():
    frames = [[standing(300)] for _ in range(40)]
    people = replace(people_of(frames), identity=np.arange(40) % 2 + 5)
    found = identify(people, "file")
    assert [(one.identity, len(one)) for one in found.tracks] in ([(5, 20), (6, 20)], [(6, 20), (5, 20)])
    assert identify(people).by == "tracking"


def test_people_whose_identities_are_all_unknown_are_tracked():
    """As in a recording in which only people without a point have an identity."""
    people = two(lambda t, i: -1)
    assert (identify(people).by, identify(people).note) == ("tracking", "")
    with pytest.raises(ConfigError, match="its files have no identities"):
        identify(people, "file")
