"""`skelemo.show` and what a notebook shows of caches, runs and scores."""

import base64
import json
import re
import shutil

import numpy as np
import pytest
from small_caches import a_cache, a_sequence

import skelemo
from skelemo.data.window_frames import KEY_SPAN
from skelemo.errors import ConfigError, InputError
from skelemo.inference.base import BasePredictor
from skelemo.inference.live.stream import LiveFrame, LivePerson
from skelemo.simulate import Plan, write
from skelemo.skeleton import layout
from skelemo.targets import EXPRESSION, VA
from skelemo.text import html_table

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)> & \"'"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A cache of simulated actors and a run that was trained on some of them."""
    out = tmp_path_factory.mktemp("inline")
    write(out / "actors", Plan(subjects=6, clips=1, frames=40, seed=1))
    skelemo.ingest(out / "actors" / "json", out / "cache", f"affwild2:{out / 'actors' / 'affwild2'}")
    skelemo.train(out / "run", arch="ann", data=[out / "cache"], head="expression,va", epochs=1, device="cpu", every=2)
    return out


def data_of(shown):
    return [
        json.loads(text) for text in re.findall(r'"application/json">(.*?)</script>', shown._repr_html_(), re.DOTALL)
    ]


def values_of(track):
    return np.frombuffer(base64.b64decode(track["values"]), "<f4")


def test_a_sequence_of_a_cache_is_shown_with_labels_and_other_people(tmp_path):
    pair = [a_sequence(f"pair_{side}", 9, video="pair", person=side, width=400, height=300) for side in "lr"]
    folder = a_cache(tmp_path / "c", a_sequence("one"), *pair)
    shown = skelemo.show(folder, "pair")
    assert [clip["title"] for clip in data_of(shown)] == ["pair_l", "pair_r"]
    clip, other = data_of(shown)
    assert clip["size"] == [400, 300]
    assert clip["others"] == [other["points"]]
    assert [track["name"] for track in clip["tracks"]] == ["expression: label", "va: label"]
    np.testing.assert_array_equal(values_of(clip["tracks"][0]), pair[0].labels["expression"])
    assert repr(skelemo.show(skelemo.open_cache(folder))) == "<1 clip: one (7 frames)>"
    assert repr(skelemo.show(folder, 2, "one")) == "<2 clips: pair_r (9 frames), one (7 frames)>"


def test_a_range_of_frames_is_in_the_title_and_applies_to_tracks(tmp_path):
    one = a_sequence("one", 30)
    (clip,) = data_of(skelemo.show(a_cache(tmp_path / "c", one), first=10, count=5))
    assert clip["title"] == "one, frames 10 to 14 of 30"
    assert clip["tracks"][0]["count"] == 5
    np.testing.assert_array_equal(values_of(clip["tracks"][0]), one.labels["expression"][10:15])
    assert np.frombuffer(base64.b64decode(clip["numbers"]), "<i4").tolist() == [10, 11, 12, 13, 14]


def test_stored_predictions_are_shown_and_training_data_are_noted(trained):
    cache, run = skelemo.open_cache(trained / "cache"), skelemo.open_run(trained / "run")
    (fold,) = run.splits["folds"]
    held, learned = fold["test"][0], fold["train"][0]
    tested, trained_on = data_of(skelemo.show(cache, held, learned, runs=trained / "run"))
    names = [track["name"] for track in tested["tracks"]]
    assert "expression: run" in names
    assert names == sorted(names, key=lambda name: name.split(":")[0] == "va")  # head by head
    track = next(one for one in tested["tracks"] if one["name"] == "expression: run")
    kept = run.predictions[run.predictions["sequence"] == held].sort_values("frame")
    told = [EXPRESSION.outputs[int(number)] for number in values_of(track)]
    assert told == kept["expression_predicted"].tolist()
    now = next(one for one in trained_on["tracks"] if one["name"] == "expression: run (trained on it)")
    expected = skelemo.load(trained / "run").predict(trained / "cache")
    row = cache.sequences.set_index("id").loc[learned]
    mine = expected[(expected["video"] == row["video"]) & (expected["person"] == row["person"])]
    assert [EXPRESSION.outputs[int(number)] for number in values_of(now)] == mine["expression"].tolist()


def test_recordings_arrays_and_models_are_shown_with_predictions_made_now(trained):
    model = skelemo.load(trained / "run")
    folder = next(path for path in sorted((trained / "actors" / "json").iterdir()) if path.is_dir())
    (clip,) = data_of(skelemo.show(folder, runs=[model]))
    table = model.predict(folder)
    first = table[table["person"] == table["person"].iloc[0]]
    assert [EXPRESSION.outputs[int(n)] for n in values_of(clip["tracks"][0])] == first["expression"].tolist()
    frames = skelemo.open_cache(trained / "cache").read().keypoints[:12]
    several = skelemo.show([frames, frames[:5]], runs=model, fps=30)
    assert [len(one.points) for one in several.clips] == [12, 5]
    assert [track.name for track in several.clips[0].tracks] == ["expression: run", "va: run"]


def test_frames_of_a_stream_are_one_clip_of_the_most_visible_person():
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(1, 99, (6, 25, 3)).astype(np.float32).clip(None, 99)
    keypoints[..., 2] = 1
    frames = []
    for number in range(6):
        outputs = {"va": np.array([0.1 * number, -0.5])} if number > 1 else {}
        people = [LivePerson("person1", bool(outputs), keypoints[number], outputs)]
        people += [LivePerson("person0", False, keypoints[0], {})] if number < 2 else []
        frames.append(LiveFrame("talk", 7 + number, number / 25, tuple(people), (VA,)))
    (clip,) = skelemo.show(frames).clips
    np.testing.assert_array_equal(clip.points, keypoints)
    assert clip.title == "talk person1"
    assert clip.numbers.tolist() == [7, 8, 9, 10, 11, 12]
    (track,) = clip.tracks
    assert track.at.tolist() == [2, 3, 4, 5]
    np.testing.assert_allclose(track.values[:, 0], [0.2, 0.3, 0.4, 0.5])
    assert [points[:, 0, 2].tolist() for points in clip.others] == [[1, 1, 0, 0, 0, 0]]


def test_predictions_every_few_frames_keep_their_places_in_a_range_of_frames():
    frames = [LiveFrame("talk", n, n / 25, (LivePerson("p", n % 4 == 0, np.ones((25, 3), np.float32),
              {"va": np.full(2, n / 100)} if n % 4 == 0 else {}),), (VA,)) for n in range(20)]  # fmt: skip
    (clip,) = skelemo.show(frames, first=6, count=8).clips
    (track,) = clip.tracks
    assert clip.numbers.tolist() == list(range(6, 14))
    assert track.at.tolist() == [2, 6]  # frames 8 and 12
    np.testing.assert_allclose(track.values[:, 0], [0.08, 0.12])


def test_missing_points_of_an_array_have_no_place():
    points = np.ones((3, 25, 3), np.float32)
    points[1, 4, 2] = 0
    (clip,) = skelemo.show(points).clips
    assert clip.points[1, 4].tolist() == [0, 0, 0]
    assert clip.points[1, 5].tolist() == [1, 1, 1]


def test_a_model_calibrated_by_person_predicts_from_all_recordings_of_the_subject(tmp_path):
    """Their mean pose is that of all their recordings, not of the one that is shown."""
    asked = []

    class Calibrated(BasePredictor):
        name, heads, layout, identity, radius, smoothing, by_subject = (
            "m",
            (VA,),
            layout("body_25"),
            "",
            None,
            [{}],
            True,
        )

        def choose_device(self, name):
            return None

        def predict_cache(self, cache, options, device=None, report=lambda *_: None):
            asked.append(cache.sequences["id"].tolist())
            size = len(cache.read().number)
            key = np.repeat(np.arange(len(cache.sequences)), cache.sequences["length"]) * KEY_SPAN
            ones = np.ones(size)
            return self.table(cache.sequences, key + cache.read().number, [{"va": np.zeros((size, 2))}], ones, ones,
                              ones > 0, options)  # fmt: skip

    subjects = {"a": "anna", "b": "ben", "c": "anna", "d": ""}
    folder = a_cache(tmp_path / "c", *[a_sequence(name, 4, subject=who) for name, who in subjects.items()])
    (clip,) = skelemo.show(folder, "a", runs=Calibrated()).clips
    skelemo.show(folder, "d", runs=Calibrated())
    assert asked == [["a", "c"], ["d"]]
    assert [track.name for track in clip.tracks][-1] == "va: m"
    (clip,) = skelemo.show(folder, "a", runs=Calibrated(), first=2).clips
    assert clip.tracks[-1].at.tolist() == [0, 1]  # places in the range of frames, not in the clip


@pytest.mark.parametrize(
    ("source", "options", "told"),
    [
        (np.zeros((4, 24, 3)), {}, r"24 points; expected 25 \(body_25\)"),
        (np.zeros((4, 25)), {}, r"shape \[4, 25\]; expected numbers \[T, V, 3\]"),
        (np.ones((4, 25, 3)), {"first": 4}, "first = 4: the array has 4 frames"),
        (np.ones((4, 25, 3)), {"runs": 3}, "runs: int; expected a run folder or a model"),
        ([], {}, "nothing to show; expected a cache or its folder, a recording"),
        (7, {}, r"cannot show int; expected a cache or its folder, .* arrays \[T, V, 3\]"),
        (None, {}, "^cannot show NoneType; expected a cache or its folder, a recording of OpenPose JSON, arrays"),
    ],
)
def test_unknown_views_and_empty_caches_are_a_one_line_error(source, options, told):
    with pytest.raises((ConfigError, InputError), match=told):
        skelemo.show(source, **options)


def test_an_unknown_sequence_is_an_error_with_a_suggestion(tmp_path):
    folder = a_cache(tmp_path / "c", a_sequence("anna"), a_sequence("ben"))
    with pytest.raises(ConfigError, match="unknown sequence 'ana': did you mean 'anna'"):
        skelemo.show(folder, "ana")
    with pytest.raises(ConfigError, match="sequence 2; c has sequences 0 to 1"):
        skelemo.show(folder, 2)


def test_hostile_names_are_text_everywhere(tmp_path, run_folder):
    folder = a_cache(tmp_path / "<u>c&d", a_sequence(HOSTILE))
    cache = skelemo.open_cache(folder)
    run = skelemo.open_run(run_folder(tmp_path / "<u>run", caches=[HOSTILE], classes=("<i>glad", "sad&")))
    scores = skelemo.show(cache)._repr_html_().split("</style>")[1]
    for text in (cache._repr_html_(), run._repr_html_(), html_table(HOSTILE, (HOSTILE,), [(HOSTILE,)]), scores):
        assert "alert(1)</script>" not in text
        assert "<img" not in text
        assert "<u>" not in text
    assert "&lt;u&gt;run" in run._repr_html_()
    assert "\\u202e" in html_table("\u202egnp", (), ())


def test_a_cache_tells_its_size_and_labels_without_reading_frames(tmp_path, monkeypatch):
    from skelemo.cache.shard import Shard

    glad, fps = np.zeros(10, np.int16), 25.0
    sequences = [a_sequence(f"s{n}", 10, subject=f"p{n % 2}", fps=fps, expression=glad + (n == 2)) for n in range(3)]
    cache = skelemo.open_cache(a_cache(tmp_path / "mine", *sequences))
    monkeypatch.setattr(Shard, "read_into", None)
    text = re.sub(r"<[^>]+>", " ", cache._repr_html_())
    assert "cache mine" in text
    assert re.search(r"sequences +3 of 3 recordings", text)
    assert re.search(r"subjects +2", text)
    assert re.search(r"frames +30 \(1 s\)", text)
    assert "30 frames: glad 20, sad 10" in text


def test_runs_models_and_scores_are_tables_of_their_figures(trained):
    run, model = skelemo.open_run(trained / "run"), skelemo.load(trained / "run")
    figure = run.scores["test"]["expression"]["macro_f1"]["value"]
    assert f"{figure:.3f}" in run._repr_html_()
    assert "ann" in run._repr_html_()
    scores = skelemo.evaluate(trained / "run", trained / "cache", trained / "again", allow_overlap=True)
    assert f"{scores['test']['va']['ccc_mean']['value']:.3f}" in scores._repr_html_()
    assert "happiness, sadness, neutral" in model._repr_html_()
    assert len(run._repr_html_()) < 20_000


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_still_has_no_playback_controls(tmp_path):
    from playwright.sync_api import sync_playwright

    page = skelemo.show(a_cache(tmp_path / "c", a_sequence("one", 1), a_sequence("two", 2)), 0, 1).save(
        tmp_path / "p.html"
    )
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page()
        tab.goto(page.as_uri())
        still, clip = tab.locator(".skelemo-player").all()
        for one, shown in ((still, False), (clip, True)):
            assert one.get_by_role("button", name="play").is_visible() == shown
            assert one.locator(".track canvas").first.is_visible() == shown
            assert one.locator("[aria-label=zoom]").is_visible()
        browser.close()


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_clips_play_in_a_self_contained_page(tmp_path):
    from playwright.sync_api import sync_playwright

    folder = a_cache(tmp_path / "c", a_sequence(HOSTILE, 20), a_sequence("two", 20))
    page, wrong = skelemo.show(folder, 0, 1).save(tmp_path / "page.html"), []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 360, "height": 700}, color_scheme="dark")
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("dialog", lambda dialog: wrong.append(dialog.message))
        tab.on("request", lambda request: request.url.startswith("file:") or wrong.append(request.url))
        tab.goto(page.as_uri())
        assert tab.locator(".skelemo-player").count() == 2
        assert tab.locator(".title").first.inner_text() == HOSTILE
        tab.locator(".skelemo-player").nth(1).press("ArrowRight")
        assert tab.locator(".where").all_inner_texts()[1].startswith("frame 1")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360
        browser.close()
    assert not wrong
