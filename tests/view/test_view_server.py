"""The viewer's server: who is let in, what it answers, and that it agrees with the cache."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from small_caches import MOOD, PROBLEM, a_cache, a_recording, a_sequence
from starlette.testclient import TestClient

from skelemo.cache.shard import Header
from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.errors import ConfigError, InputError
from skelemo.runs.folder import Run
from skelemo.runs.predictions import output_table
from skelemo.targets import VA, Head
from skelemo.view.app import make_app
from skelemo.view.viewer import Viewer

PORT, TOKEN = 4321, "the-token"
GLAD, SAD = np.zeros(7, np.int16), np.ones(7, np.int16)


@pytest.fixture
def folder(tmp_path):
    numbers = np.arange(5, 12, dtype=np.int32)
    sequences = [
        a_sequence("anna/talk_left", video="anna/talk", person="left", subject="anna", expression=GLAD,
                   splits={"split": "train"}, width=400, height=300, fps=25.0),
        a_sequence("anna/talk_right", video="anna/talk", person="right", number=numbers, expression=SAD),
        a_sequence("ben", frames=600, subject="Ben", splits={"split": "test"}),
        a_sequence("carl", labels={}, subject="carl"),
    ]  # fmt: skip
    recordings = [a_recording("ben") | {"files": 9, "frames": 7}, *map(a_recording, ("anna/talk", "carl"))]
    return a_cache(tmp_path / "cache" / "small", *sequences, recordings=recordings, problems=[PROBLEM])


def a_run(answers):
    """A run that predicts a class and values for the frames of sequences: ``{sequence: (frames, probabilities)}``."""
    tables = []
    for name, (frames, shares) in answers.items():
        columns = {"fold": 1, "subset": "test", "sequence": name, "video": name, "subject": "", "frame": frames}
        columns |= {"expression": "glad", "va_valence": 0.5, "va_arousal": np.nan}
        columns |= output_table(MOOD, np.array(shares)) | output_table(VA, np.zeros((len(frames), 2)))
        tables.append(pd.DataFrame(columns))
    heads = {"heads": [MOOD.to_json(), VA.to_json()]}
    predictions = pd.concat(tables, ignore_index=True)
    splits = {"folds": [{"train": ["ben", "elsewhere"]}]}
    return Run(Path("runs/ann"), {}, heads, splits, pd.DataFrame(), predictions, {}, "ann")


def client(viewer, **headers):
    app = make_app(viewer, PORT, TOKEN)
    return TestClient(app, base_url=f"http://127.0.0.1:{PORT}", headers=headers, raise_server_exceptions=False)


@pytest.fixture
def view(folder):
    found = client(Viewer(open_cache(folder)))
    found.params = {"token": TOKEN}
    return found


def rows(view, **query):
    return [row["id"] for row in view.get("/api/sequences", params=query).json()["rows"]]


def decoded(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/api/cache", "/api/frames/0", "/api/corrections/0", "/none"])
@pytest.mark.parametrize(
    ("token", "headers"),
    [
        ("", {}),
        ("the-toke", {}),
        (TOKEN, {"Origin": "http://elsewhere.example"}),
        (TOKEN, {"Origin": "null"}),
        (TOKEN, {"Host": "elsewhere.example"}),
        (TOKEN, {"Host": f"127.0.0.1:{PORT + 1}"}),
    ],
)
def test_requests_without_the_token_or_from_another_origin_are_rejected(folder, path, token, headers):
    answer = client(Viewer(open_cache(folder)), **headers).get(path, params={"token": token})
    assert answer.status_code == 403
    assert answer.text.startswith(("Wrong token", "Wrong origin"))


def test_a_change_from_another_origin_or_in_another_form_is_refused(view, folder):
    change = json.dumps({"action": "wrong", "first": 0, "last": 3})
    kinds = {"Content-Type": "application/json"}
    wrong = [{"Content-Type": "text/plain"}, kinds | {"Origin": "http://elsewhere.example"}]
    assert [view.post("/api/corrections/0", content=change, headers=one).status_code for one in wrong] == [415, 403]
    for body in (b"[", b"[]", b'"x"'):
        assert view.post("/api/corrections/0", content=body, headers=kinds).status_code == 400
    assert view.post("/api/corrections/0", content=b" " * 70_000, headers=kinds).status_code == 413
    assert not (folder / "corrections.csv").exists()


@pytest.mark.parametrize(
    "path",
    ["/static/../server.py", "/static/..%2f..%2fserver.py", "/static/%2e%2e/server.py", "/static//etc/passwd",
     "/static/view.html", "/../../etc/passwd", "/api/film/0", "/api/frames/99", "/api/frames/-1"],
)  # fmt: skip
def test_no_path_leads_outside(view, path):
    assert view.get(path).status_code == 404


def test_the_page_loads_nothing_from_elsewhere(view):
    answer = view.get("/")
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert "NONCE" not in answer.text
    texts = [answer.text] + [view.get(f"/static/{name}").text for name in ("app.js", "data.js", "plane.js", "view.css")]
    assert not any("http" in text.replace("http://www.w3.org/2000/svg", "") for text in texts)


def test_frames_are_those_of_the_cache(view, folder):
    cache = open_cache(folder)
    whole = cache.read()
    for row, one in enumerate(cache.sequences.to_dict("records")):
        own = whole.keypoints[one["start"] : one["start"] + one["length"]]
        for first, count in ((0, 256), (3, 2), (256, 256), (590, 10)):
            answer = view.get(f"/api/frames/{row}", params={"first": first, "count": count})
            if first >= one["length"]:
                assert answer.status_code == 400
                continue
            found = np.frombuffer(answer.content, "<f4").reshape(-1, 25, 3)
            np.testing.assert_array_equal(found, own[first : first + count])


def test_prepared_frames_are_those_that_training_prepares(view, folder):
    torch = pytest.importorskip("torch")
    from skelemo.preprocess import Preparation, prepare

    cache = open_cache(folder)
    raw = torch.from_numpy(cache.only(np.array([2])).read().keypoints)
    expected, _ = prepare(raw[None], cache.layout, Preparation())
    answer = view.get("/api/frames/2", params={"as": "prepared", "first": 300, "count": 5})
    np.testing.assert_array_equal(np.frombuffer(answer.content, "<f4").reshape(5, 25, 3), expected[0, 300:305].numpy())


def test_relative_coordinates_are_prepared_for_an_image_of_their_shape(tmp_path):
    """Twice as wide as high: the same person in pixels looks the same to a model."""
    pixels = a_sequence("pixels", 4, width=640, height=320)
    pixels.keypoints[..., 1] *= 0.75  # inside the image
    unit = a_sequence(
        "unit", 4, keypoints=(pixels.keypoints / [639, 319, 1]).astype(np.float32), width=640, height=320, scale="unit"
    )
    viewer = Viewer(open_cache(a_cache(tmp_path / "c", pixels, unit)))
    one, other = (viewer.keypoints(row, {"as": "prepared"}) for row in (0, 1))
    np.testing.assert_allclose(one, other, atol=1e-4)
    assert np.abs(one[..., :2]).max() > 0.1


def test_another_person_is_aligned_by_frame_number(view, folder):
    """Left has frames 0 to 6, right 5 to 11: right is there in left's last two frames alone."""
    cache = open_cache(folder)
    right = cache.only(np.array([1])).read().keypoints
    answer = view.get("/api/frames/0", params={"as": "beside", "other": 1, "first": 3, "count": 4})
    found = np.frombuffer(answer.content, "<f4").reshape(4, 25, 3)
    assert not found[:2].any()
    np.testing.assert_array_equal(found[2:], right[:2])
    assert view.get("/api/frames/0", params={"as": "beside", "other": 2}).status_code == 400


def test_a_sequence_comes_with_its_labels_and_people(view, folder):
    found = view.get("/api/sequence/1").json()
    assert (found["id"], found["person"], found["length"]) == ("anna/talk_right", "right", 7)
    assert decoded(found["numbers"], "<i4").tolist() == [*range(5, 12)]
    assert found["others"] == [{"row": 0, "person": "left", "first": 0, "last": 6}]
    classes, values = found["tracks"]
    assert (classes["name"], classes["outputs"]) == ("expression: label", ["glad", "sad", "calm"])
    assert decoded(classes["values"], "<f4").tolist() == [1] * 7
    np.testing.assert_array_equal(
        decoded(values["values"], "<f4").reshape(7, 2), open_cache(folder).only(np.array([1])).read().labels["va"]
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["anna/talk_left", "anna/talk_right", "ben", "carl"]),
        ({"text": "TALK right"}, ["anna/talk_right"]),
        ({"text": "ben"}, ["ben"]),
        ({"video": "anna/talk"}, ["anna/talk_left", "anna/talk_right"]),
        ({"subject": "Ben"}, ["ben"]),
        ({"label": "expression:sad", "video": "anna/talk"}, ["anna/talk_right"]),
        ({"subset": "split:test"}, ["ben"]),
        ({"problem": "unread"}, ["ben"]),
        ({"problem": "unlabeled"}, ["carl"]),
        ({"sort": "frames", "descending": "1", "count": "1"}, ["ben"]),
        ({"sort": "subject", "first": "2"}, ["ben", "carl"]),
        ({"text": "nobody of this name"}, []),
    ],
)
def test_rows_are_filtered_sorted_and_paged(view, query, expected):
    assert rows(view, **query) == expected


def test_pages_cover_all_rows_and_have_the_total(view):
    pages = [rows(view, first=first, count=3) for first in (0, 3, 6)]
    assert pages == [["anna/talk_left", "anna/talk_right", "ben"], ["carl"], []]
    assert view.get("/api/sequences", params={"count": 1}).json()["total"] == 4


@pytest.mark.parametrize("query", [{"sort": "taste"}, {"label": "expression:x"}, {"problem": "x"}, {"first": "-1"},
                                   {"subset": "x"}])  # fmt: skip
def test_a_query_that_cannot_be_is_an_error_with_its_reason(view, query):
    answer = view.get("/api/sequences", params=query)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_disagreement_and_error_are_worked_out_from_predictions(folder):
    """All windows are labeled glad, valence 0.5. Left: 0.8 and 0.4 glad, of which one is called sad; right: 1.0."""
    answers = {
        "anna/talk_left": ([0, 4], [[0.8, 0.1, 0.1], [0.4, 0.6, 0.0]]),
        "anna/talk_right": ([5, 9], [[1.0, 0, 0], [1.0, 0, 0]]),
        "elsewhere": ([0], [[1.0, 0, 0]]),
    }
    viewer = Viewer(open_cache(folder), [a_run(answers)])
    found = {row["id"]: row for row in viewer.sequences({"sort": "error", "descending": "1"})["rows"]}
    assert [*found][:2] == ["anna/talk_left", "anna/talk_right"]
    assert found["anna/talk_left"]["disagreement"] == pytest.approx(0.5)
    # the mean of classes, (0.2 + 0.6) / 2, and of values, 0.5 of a range of 2
    assert found["anna/talk_left"]["error"] == pytest.approx((0.4 + 0.25) / 2)
    assert found["anna/talk_right"]["error"] == pytest.approx((0 + 0.25) / 2)
    assert found["ben"]["error"] is None
    assert [row["id"] for row in viewer.sequences({"subset": "ann:test"})["rows"]] == [*found][:2]
    assert [row["id"] for row in viewer.sequences({"subset": "ann:train"})["rows"]] == ["ben"]
    tracks = {track["name"]: track for track in viewer.sequence(1)["tracks"]}
    assert decoded(tracks["expression: ann"]["at"], "<i4").tolist() == [0, 4]  # frames 5 and 9 of the video
    assert decoded(tracks["expression: ann"]["values"], "<f4").tolist() == [0, 0]
    assert [*tracks] == ["expression: label", "expression: ann", "va: label", "va: ann"]


def test_errors_of_flags_are_shares_of_those_that_are_labeled(tmp_path):
    """One window is labeled 1 and 0 and predicted 0.8 and 0.6, one only 0 and predicted 0.1, one not at all."""
    units = Head("au", "flags", ("AU1", "AU2"))
    labels = {"au": np.array([[1, 0], [-1, 0], [-1, -1]], np.int8)}
    folder = a_cache(tmp_path / "c", a_sequence("one", 3, labels=labels), header=Header("body_25", (units,)))
    truth = np.where(labels["au"] < 0, np.nan, labels["au"])
    columns = {"fold": 1, "subset": "test", "sequence": "one", "video": "one", "subject": "", "frame": [0, 1, 2]}
    columns |= {"au_AU1": truth[:, 0], "au_AU2": truth[:, 1]}
    columns |= output_table(units, np.array([[0.8, 0.6], [0.9, 0.1], [0.5, 0.5]]))
    run = Run(Path("runs/au"), {}, {"heads": [units.to_json()]}, {}, pd.DataFrame(), pd.DataFrame(columns), {}, "au")
    (row,) = Viewer(open_cache(folder), [run]).sequences({})["rows"]
    assert row["disagreement"] == pytest.approx((1 / 2 + 0) / 2)
    assert row["error"] == pytest.approx(((0.2 + 0.6) / 2 + 0.1) / 2, abs=1e-4)


def test_of_several_predictions_for_a_frame_that_for_the_test_subset_counts(folder):
    """Cross-validation predicts a frame as validation data in one fold and as test data in another."""
    both = [a_run({"ben": ([3, 5], [[0.9, 0.1, 0], [0.9, 0.1, 0]])}), a_run({"ben": ([3], [[0.2, 0.8, 0]])})]
    tables = [run.predictions.assign(subset=name) for run, name in zip(both, ("validation", "test"), strict=True)]
    for order in (tables, tables[::-1]):
        run = replace(both[0], predictions=pd.concat(order, ignore_index=True))
        viewer = Viewer(open_cache(folder), [run])
        tracks = {track["name"]: track for track in viewer.sequence(2)["tracks"]}
        assert decoded(tracks["expression: ann"]["values"], "<f4").tolist() == [1, 0]
        assert viewer.sequences({})["rows"][2]["disagreement"] == pytest.approx((1 + 0) / 2)


def test_rows_without_a_figure_come_last_in_both_orders(folder):
    viewer = Viewer(open_cache(folder), [a_run({"carl": ([0], [[1, 0, 0]]), "ben": ([0], [[0.1, 0.9, 0]])})])
    for query in ({"sort": "error"}, {"sort": "error", "descending": "1"}):
        found = [row["id"] for row in viewer.sequences(query)["rows"]]
        assert set(found[:2]) == {"ben", "carl"}
        assert found[2:] == ["anna/talk_left", "anna/talk_right"]


def test_frames_in_which_nobody_is_visible_are_counted(tmp_path):
    one = a_sequence("one", 7)
    one.keypoints[[2, 5]] = 0
    viewer = Viewer(open_cache(a_cache(tmp_path / "c", one, a_sequence("two", 3))))
    assert [row["nobody"] for row in viewer.sequences({})["rows"]] == [2, 0]
    assert [row["id"] for row in viewer.sequences({"problem": "nobody"})["rows"]] == ["one"]


def test_half_of_the_points_missing_is_not_yet_a_problem(tmp_path):
    sequences = [a_sequence(name, 2) for name in ("half", "more")]
    for one, seen in zip(sequences, (25, 24), strict=True):
        one.keypoints[..., 2] = 1
        one.keypoints.reshape(-1, 3)[seen:] = 0
    viewer = Viewer(open_cache(a_cache(tmp_path / "c", *sequences)))
    assert [row["missing"] for row in viewer.sequences({})["rows"]] == [0.5, 0.52]
    assert [row["id"] for row in viewer.sequences({"problem": "half"})["rows"]] == ["more"]


def test_an_unknown_problem_is_refused_and_all_known_ones_are_listed(view):
    error = view.get("/api/sequences", params={"problem": "halv"}).json()["error"]
    assert (
        error == "unknown problem 'halv': did you mean 'half'? choose from corrected, half, nobody, unlabeled, unread"
    )


def test_a_response_has_at_most_4096_frames(tmp_path):
    folder = a_cache(tmp_path / "c", a_sequence("long", 4100))
    assert len(Viewer(open_cache(folder)).keypoints(0, {"count": "5000"})) == 4096


def test_a_run_on_another_cache_is_refused(folder):
    with pytest.raises(InputError, match="no predictions for sequences of small"):
        Viewer(open_cache(folder), [a_run({"elsewhere": ([0], [[1.0, 0, 0]])})])


def test_corrections_are_saved_shown_undone_and_redone_and_the_cache_stays(view, folder):
    before = {path.name: path.read_bytes() for path in folder.glob("*.h5")}
    change = {"action": "set", "head": "expression", "value": "calm", "first": 7, "last": 9, "note": "looks calm"}
    (made,) = view.post("/api/corrections/1", json=change).json()["rows"]
    assert (made["video"], made["person"], made["value"]) == ("anna/talk", "right", "calm")
    assert made["author"]
    assert made["time"]
    tracks = {track["name"]: track for track in view.get("/api/sequence/1").json()["tracks"]}
    assert decoded(tracks["expression: corrected"]["values"], "<f4").tolist() == [1, 1, 2, 2, 2, 1, 1]
    assert decoded(tracks["expression: label"]["values"], "<f4").tolist() == [1] * 7
    assert rows(view, problem="corrected") == ["anna/talk_right"]
    (undone,) = view.post("/api/corrections/1", json={"undo": [made["id"]]}).json()["rows"]
    assert undone["undone"]
    assert "expression: corrected" not in {track["name"] for track in view.get("/api/sequence/1").json()["tracks"]}
    assert rows(view, problem="corrected") == []
    (redone,) = view.post("/api/corrections/1", json={"redo": [made["id"]]}).json()["rows"]
    assert not redone["undone"]
    assert view.get("/api/corrections/0").json()["rows"] == [redone]  # of the same recording
    assert view.get("/api/corrections/2").json()["rows"] == []
    assert before == {path.name: path.read_bytes() for path in folder.glob("*.h5")}
    assert (folder / "corrections.csv").read_text().count("looks calm") == 1


@pytest.mark.parametrize(
    "change",
    [
        {"action": "set", "head": "expression", "value": "angry"},
        {"action": "set", "head": "mood", "value": "glad"},
        {"action": "set", "head": "va", "value": "2 0"},
        {"action": "merge", "value": "ben"},
        {"action": "swap", "value": "left"},
        {"action": "paint"},
        {"action": "wrong", "first": 5, "last": 2},
        {"first": 5},
        {"action": "wrong", "first": 1.5},
        {"action": "wrong", "first": True},
        {"action": "wrong", "first": "1"},
        {"action": "wrong", "head": ["expression"]},
        {"undo": ["beef"]},
        {"undo": "beef"},
    ],
)
def test_a_correction_that_cannot_be_is_refused(view, folder, change):
    answer = view.post("/api/corrections/0", json=change)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]
    assert not (folder / "corrections.csv").exists()


def test_an_unwritable_table_is_an_error(view, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "corrections.csv")

    monkeypatch.setattr("skelemo.cache.corrections.add", full)
    answer = view.post("/api/corrections/0", json={"action": "wrong"})
    assert (answer.status_code, answer.json()["error"]) == (500, "corrections.csv: No space left on device")


def test_how_far_raters_are_apart_is_worked_out_from_shares(tmp_path):
    """Frames of .5 and .9 for the most frequent class and one without a label: (.5 + .1) / 2."""
    shares = np.array([[0.5, 0.5, 0], [0.9, 0.1, 0], [np.nan] * 3], np.float32)
    labels = [{"expression": shares}, {"expression": shares[[2, 1, 1]]}, {}]
    sequences = [a_sequence(name, 3, labels=one) for name, one in zip("abc", labels, strict=True)]
    found = Viewer(open_cache(a_cache(tmp_path / "soft", *sequences))).sequences({"sort": "raters", "descending": "1"})
    assert [(row["id"], row["raters"]) for row in found["rows"]] == [("a", 0.3), ("b", 0.1), ("c", None)]


def test_a_queue_names_rows_and_leaves_out_whom_the_cache_does_not_have(folder, tmp_path):
    lines = [
        "rank,kind,video,person,first,last,score,found,head,value",
        "2,identity,anna/talk,left,1,1,0.5,jumps,,right",
        "1,label,anna/talk,right,6,9,0.9,rather calm,expression,calm",
        "3,label,nobody,,0,1,0.4,elsewhere,expression,sad",
    ]
    (tmp_path / "suspects.csv").write_text("\n".join(lines))
    found = Viewer(open_cache(folder), queue=tmp_path / "suspects.csv").queue
    assert [(one["row"], one["id"], one["value"]) for one in found] == [
        (1, "anna/talk_right", "calm"),
        (0, "anna/talk_left", "right"),
    ]
    (tmp_path / "others.csv").write_text("\n".join([lines[0], lines[3]]))
    with pytest.raises(InputError, match="none of 1 suspect is in small"):
        Viewer(open_cache(folder), queue=tmp_path / "others.csv")


@pytest.mark.parametrize(
    ("row", "first", "last", "corrected"),
    [
        (1, 9, 11, True),  # the suspect's last frame
        (1, 10, 11, False),
        (1, 5, 6, True),  # its first frame
        (1, 5, 5, False),
        (1, 5, None, True),  # to the end
        (0, 1, 6, False),  # another person
    ],
)
def test_a_suspect_is_done_when_one_of_its_frames_is_corrected(folder, tmp_path, row, first, last, corrected):
    (tmp_path / "q.csv").write_text("rank,kind,video,person,first,last,score,found,head,value\n"
                                    "1,label,anna/talk,right,6,9,0.9,rather calm,expression,calm\n")  # fmt: skip
    viewer = Viewer(open_cache(folder), queue=tmp_path / "q.csv")
    assert [one["corrected"] for one in viewer.suspects()] == [False]
    done = viewer.correct(row, {"action": "wrong", "head": "expression", "first": first, "last": last})
    assert [one["corrected"] for one in viewer.suspects()] == [corrected]
    viewer.correct(row, {"undo": [done["rows"][-1]["id"]]})
    assert [one["corrected"] for one in viewer.suspects()] == [False]


def test_videos_are_matched_by_name_inside_their_folder_and_served_in_ranges(folder, tmp_path):
    films = tmp_path / "films"
    (films / "anna").mkdir(parents=True)
    (films / "anna" / "talk.mp4").write_bytes(bytes(range(100)))
    (films / "carl.txt").write_text("no video")
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (films / "ben.mp4").symlink_to(tmp_path / "secret.mp4")
    view = client(Viewer(open_cache(folder), videos=films))
    view.params = {"token": TOKEN}
    answer = view.get("/api/film/1", headers={"Range": "bytes=10-19"})
    assert (answer.status_code, answer.content) == (206, bytes(range(10, 20)))
    assert [view.get(f"/api/film/{row}").status_code for row in range(4)] == [200, 200, 404, 404]
    assert view.get("/api/sequence/0").json()["film"] is True
    with pytest.raises(InputError, match=r"no videos of these recordings; expected files such as anna/talk\.mp4"):
        Viewer(open_cache(folder), videos=tmp_path / "cache")


def test_invalid_options_are_a_one_line_error(folder):
    answer = CliRunner().invoke(main, ["view", "nowhere"])
    assert answer.exit_code == 2
    assert "nowhere: no such cache" in answer.output
    answer = CliRunner().invoke(main, ["view", str(folder), "--video", "nowhere"])
    assert answer.exit_code == 2
    assert "nowhere: not found; expected a folder of videos" in answer.output
    with pytest.raises(ConfigError, match="kind of coordinates"):
        Viewer(open_cache(folder)).keypoints(0, {"as": "x"})


def test_a_damaged_table_of_corrections_or_an_empty_queue_is_refused_before_the_page_opens(folder, tmp_path):
    (tmp_path / "empty.csv").write_text("rank,kind,video,person,first,last,score,found,head,value\n")
    with pytest.raises(InputError, match=r"empty\.csv: no suspects"):
        Viewer(open_cache(folder), queue=tmp_path / "empty.csv")
    (folder / "corrections.csv").write_bytes(b"id,time\n\xff")
    with pytest.raises(InputError, match=r"corrections\.csv: 'utf-8' codec"):
        Viewer(open_cache(folder))


def test_runs_with_one_name_are_distinguished_by_folder(folder):
    runs = [replace(a_run({"ben": ([0], [[1.0, 0, 0]])}), path=Path(f"study/{number}/ann")) for number in (1, 2)]
    viewer = Viewer(open_cache(folder), runs)
    assert viewer.about()["runs"] == ["1/ann", "2/ann"]
    assert {"1/ann:test", "2/ann:test"} <= {*viewer.about()["choices"]["subset"]}
    assert "expression: 2/ann" in [track["name"] for track in viewer.sequence(2)["tracks"]]
