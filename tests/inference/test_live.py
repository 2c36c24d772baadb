"""Live predictions are those of `predict` for what has been seen so far, from streams that are not well-behaved."""

import io
import json
import shutil
import threading
import time
import tracemalloc
from contextlib import contextmanager
from dataclasses import replace

import av
import numpy as np
import pandas as pd
import pytest
import torch
from people_by_hand import crossing_people
from small_caches import HEADS, a_cache, a_sequence

import skelemo
from skelemo.cache.shard import Header
from skelemo.errors import ConfigError, InputError
from skelemo.inference.live import sources
from skelemo.inference.live.folder import Follower
from skelemo.inference.live.history import CONTEXT, History, Shape
from skelemo.inference.live.sources import Frame, read_lines
from skelemo.inference.live.stream import Live, live
from skelemo.inference.live.torch_model import TorchModel
from skelemo.openpose.stream import FrameReader
from skelemo.openpose.validate import FrameError
from skelemo.pose import PROGRAMS, Options
from skelemo.preprocess import to_pixels
from skelemo.simulate import Cast, long_clip
from skelemo.simulate.detection import six_digits
from skelemo.simulate.writing import frame_text
from skelemo.skeleton import SCALES, layout
from skelemo.training.config import load_config
from skelemo.training.fit import train

COLUMNS = ["p_glad", "p_sad", "p_calm", "valence", "arousal"]
SIZE = (960, 540)
#: Small networks, but everything that a large one has.
SMALL = {"image_size": 112, "width": 16, "widths": (8, 8)}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    header = Header("body_25+face_70", HEADS)
    sequences = [a_sequence(f"clip{n:02}", 8, points=95, seed=n, width=960, height=540) for n in range(12)]
    return a_cache(tmp_path_factory.mktemp("data") / "cache", *sequences, header=header)


@pytest.fixture(scope="module")
def trained(cache, tmp_path_factory):
    """A model by architecture and settings, each trained once."""
    models = {}

    def load(arch="ann", **settings):
        key = (arch, *sorted(settings.items()))
        if key not in models:
            out = tmp_path_factory.mktemp("runs") / arch
            known = {"ann": ["width"], "stgcnpp": ["widths"], "resnet18_paper": ["image_size"]}.get(arch, [])
            given = {"data": str(cache), "arch": arch, "head": "both", "model": {name: SMALL[name] for name in known}}
            given |= {
                "epochs": 1,
                "batch_size": 16,
                "device": "cpu",
                "split": "holdout:0.3",
                "reference": "window",
                "parts": "all",
            }
            train(load_config(overrides=given | settings), out)
            models[key] = skelemo.load(out)
        return models[key]

    return load


@pytest.fixture(scope="module")
def clip():
    """Two actors at 30 frames/s; the frames as OpenPose writes them."""
    found = long_clip(Cast(6, seed=3), 0, 120)
    crowd, people = found.crowd, six_digits(found.crowd.keypoints)
    assert len(found.roles) == 2
    assert (found.width, found.height) == SIZE
    return [frame_text(people[a:b]) for a, b in zip(crowd.start[:-1], crowd.start[1:], strict=True)]


def name(number, stem="take"):
    return f"{stem}_{number:012d}_keypoints.json"


def written(folder, texts, first=0, stem="take"):
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(texts, first):
        (folder / name(number, stem)).write_bytes(text)
    return folder


def table(frames):
    return pd.DataFrame([row for frame in frames for row in frame.rows()])


def everything(model, folder, **options):
    """All predictions for a folder that is complete."""
    given = {"size": SIZE, "from_start": True, "every_frame": True, "stop_after": 0.3} | options
    return table(live(model, folder, **given))


def assert_equal(found, expected, least):
    joined = expected.merge(found, on=["video", "person", "frame"], suffixes=("", "_live"))
    assert len(joined) == len(found) >= least
    for column in COLUMNS:
        np.testing.assert_allclose(joined[f"{column}_live"].astype(float), joined[column], atol=1e-5)
    assert (joined["expression_live"] == joined["expression"]).all()
    assert (joined["seen_live"] == joined["seen"]).all()
    left_out = expected.merge(found[["person", "frame"]], how="left", indicator=True).query("_merge == 'left_only'")
    assert left_out["valence"].isna().all()  # what live leaves out, predict has no prediction for


@pytest.mark.parametrize(
    ("arch", "settings"),
    [
        ("ann", {}),
        ("ann", {"length": 5, "max_gap": 3, "smooth": 3, "min_confidence": 0.2}),
        ("ann", {"length": 5, "causal": True, "smooth": 5, "dilation": 3}),
        ("stgcnpp", {"length": 8, "dilation": 2}),
        ("resnet18_paper", {"length": 2}),
        ("svm", {"length": 3}),
        ("ann", {"length": 2, "flip_average": True}),
        ("svm", {"length": 3, "calibrate": "running", "max_gap": 3, "min_confidence": 0.2}),
    ],
)
def test_live_predicts_what_predict_does_with_the_windows_own_reference(trained, clip, tmp_path, arch, settings):
    texts = list(clip)
    texts[40:46] = [b'{"version":1.3,"people":[]}'] * 6
    texts[60] = b'{"version":1.3,"people":[{"pose_keypoints_2d":[1,2,'
    folder = written(tmp_path / "json", texts)
    (folder / name(80)).unlink()
    model = trained(arch, **settings)
    assert_equal(everything(model, folder), model.predict(folder, size=SIZE), least=230)


def test_a_run_that_was_prepared_by_clip_predicts_as_for_a_recording_that_ends_now(trained, clip, tmp_path):
    model = trained("ann", reference="clip", max_gap=5, smooth=3, length=3)
    found = everything(model, written(tmp_path / "json", clip))
    for now in (20, 131):
        begin = max(0, now + 1 - CONTEXT)
        shown = written(tmp_path / f"until {now}", clip[begin : now + 1], begin)
        last = model.predict(shown, size=SIZE).query("frame == @now")
        mine = found.query("frame == @now")
        np.testing.assert_allclose(sorted(mine["valence"]), sorted(last["valence"]), atol=1e-5)


def test_a_run_calibrated_by_track_goes_by_the_frames_so_far(trained, clip, tmp_path):
    tracked = trained("ann", calibrate="track")
    assert "calibrate: track; live, a person's mean pose is that of the frames so far" in str(TorchModel(tracked).notes)
    (one,) = tracked.members
    running = type(tracked)([replace(one, preparation=replace(one.preparation, calibrate="running"))], "running")
    folder = written(tmp_path / "json", clip)
    assert_equal(everything(tracked, folder), running.predict(folder, size=SIZE), least=230)
    both = type(tracked)((*tracked.members, *trained("ann").members), "both")
    assert len(everything(both, folder)) >= 230


def test_a_centered_window_is_predicted_when_its_last_frame_arrives_or_the_stream_ends(trained, clip, tmp_path):
    model = trained("ann", length=5, dilation=2, target="center")
    folder = written(tmp_path / "json", clip)
    assert_equal(everything(model, folder), model.predict(folder, size=SIZE), least=260)


def test_unevenly_numbered_frames_are_spaced_as_in_predict(trained, clip, tmp_path):
    folder = written(tmp_path / "json", clip)
    for number in range(2, 132, 3):
        (folder / name(number)).unlink()
    model = trained("ann", length=5)
    found, whole = everything(model, folder), model.predict(folder, size=SIZE)
    assert_equal(found.query("frame >= 50"), whole.query("frame >= 50"), least=100)


def test_a_model_of_whole_clips_predicts_from_the_last_frames(trained, clip, tmp_path):
    model = trained("ann", length=6, sampling="clip")
    with pytest.raises(ConfigError, match="set the length of a clip in frames"):
        live(model, tmp_path)
    found = everything(model, written(tmp_path / "json", clip), clip=30).query("frame == 131")
    shown = written(tmp_path / "last", clip[102:], 102)
    expected = model.predict(shown, size=SIZE)["valence"]
    np.testing.assert_allclose(sorted(found["valence"]), sorted(expected), atol=1e-5)
    with pytest.raises(ConfigError, match="not whole clips"):
        live(trained("ann"), tmp_path, clip=3)


def test_several_runs_predict_their_mean(trained, clip, tmp_path):
    folder = written(tmp_path / "json", clip[:40])
    members = [trained("ann"), trained("svm", length=3)]
    both = type(members[0])(tuple(one.members[0] for one in members), "both")
    found, one, two = (everything(model, folder)[COLUMNS].to_numpy(float) for model in (both, *members))
    np.testing.assert_allclose(found, (one + two) / 2, atol=1e-6)


def test_live_tracks_equal_offline_tracks_and_people_who_leave_are_dropped(trained, clip, tmp_path):
    texts = [*clip, *[b'{"version":1.3,"people":[]}'] * 60, *clip[:30]]
    found = everything(trained("ann"), written(tmp_path / "json", texts))
    spans = found.groupby("person")["frame"].agg(["min", "max"])
    assert [*map(tuple, spans.to_numpy())] == [(0, 131), (0, 131), (192, 221), (192, 221)]


def test_crossings_cost_live_predictions_an_identity_now_and_then(trained):
    """Six people who cross: offline tracking is the measure; see `tests/test_online_tracking.py` for more."""
    switched = crossings = 0
    for seed in range(4):
        crowd, _ = crossing_people(people=6, frames=120, seed=seed)
        engine = Live(TorchModel(trained("ann")))
        owner, names = {}, set()
        for number, (a, b) in enumerate(zip(crowd.start[:-1], crowd.start[1:], strict=True)):
            (answer,) = engine.feed(Frame(number, crowd.keypoints[a:b].copy(), "crowd"))
            for one in answer.people:
                row = next((r for r in range(a, b) if np.array_equal(crowd.keypoints[r], one.keypoints)), None)
                if row is not None:
                    switched += owner.setdefault(one.name, crowd.person[row]) != crowd.person[row]
                    owner[one.name] = crowd.person[row]
                    names.add(one.name)
        crossings += len(names)
    assert switched <= crossings / 4


def following(model, folder, **options):
    """A thread that predicts for a folder, and the list that it fills."""
    found, failure = [], []

    def run():
        try:
            found.extend(live(model, folder, size=SIZE, **{"stop_after": 1.5, "every_frame": True} | options))
        except InputError as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found, failure


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def numbers(frames):
    return [frame.number for frame in frames]


def test_a_folder_is_followed_through_slow_writing_gaps_and_steps(trained, clip, tmp_path):
    folder = written(tmp_path / "json", [])
    thread, found, _ = following(trained("ann"), folder)
    for number in (0, 1, 2, 6, 7, 10, 13, 16):
        with open(folder / name(number), "wb", buffering=0) as file:
            for piece in (clip[number][:900], clip[number][900:2000], clip[number][2000:]):
                file.write(piece)
                time.sleep(0.02)
        until(lambda number=number: found and found[-1].number == number)
    thread.join()
    assert numbers(found) == [0, 1, 2, 6, 7, 10, 13, 16]
    assert all(len(frame.people) == 2 for frame in found)


def test_only_new_frames_are_predicted_using_existing_ones_as_context(trained, clip, tmp_path):
    model = trained("ann", length=5)
    folder = written(tmp_path / "json", clip[:50])
    thread, found, _ = following(model, folder, every_frame=False)
    until(lambda: found)
    written(folder, clip[50:51], 50)
    thread.join()
    assert numbers(found) == [49, 50]
    assert_equal(table(found[1:]), model.predict(folder, size=SIZE).query("frame == 50"), least=2)


def test_a_restarted_recording_is_read_again_without_stale_files(trained, clip, tmp_path):
    folder = written(tmp_path / "json", clip[:30])
    thread, found, _ = following(trained("ann"), folder, from_start=True)
    until(lambda: len(found) == 30)
    time.sleep(0.05)
    written(folder, clip[60:62])
    until(lambda: len(found) == 32)
    time.sleep(0.3)
    written(folder, clip[62:64], 2)
    thread.join()
    assert numbers(found) == [*range(30), 0, 1, 2, 3]
    first = {one.name for frame in found[:30] for one in frame.people}
    assert not first & {one.name for frame in found[30:] for one in frame.people}


def test_a_new_recording_in_the_folder_is_followed(trained, clip, tmp_path):
    folder = written(tmp_path / "json", clip[:5])
    thread, found, _ = following(trained("ann"), folder, from_start=True)
    until(lambda: len(found) == 5)
    written(folder, clip[:3], stem="second")
    thread.join()
    assert [(frame.video, frame.number) for frame in found[4:]] == [("take", 4), *(("second", n) for n in range(3))]


def test_a_folder_that_disappears_is_a_one_line_error(trained, clip, tmp_path):
    folder = written(tmp_path / "json", clip[:5])
    thread, found, failure = following(trained("ann"), folder, from_start=True, stop_after=20)
    until(lambda: len(found) == 5)
    shutil.rmtree(folder)
    thread.join()
    assert str(failure[0]) == f"{folder}: the folder has disappeared after frame 4 (No such file or directory)"
    with pytest.raises(InputError, match="no such folder"):
        live(trained("ann"), folder)


def test_files_without_a_frame_number_are_no_stream(trained, clip, tmp_path):
    (tmp_path / "portrait_keypoints.json").write_bytes(clip[0])
    with pytest.raises(
        InputError, match=r"portrait_keypoints\.json has no frame number; expected names such as take_0"
    ):
        list(live(trained("ann"), tmp_path))


def test_a_real_crowd_is_predicted_for_as_offline_but_for_a_few_whose_tracks_differ(trained, shared_data):
    folder, model = shared_data / "openpose" / "v1.3-body25-crowd", trained("ann")
    found = everything(model, folder, size=(0, 0))
    offline = model.predict(folder).dropna(subset=COLUMNS)
    equal = 0
    for number, rows in offline.groupby("frame"):
        mine = found[found["frame"] == number][COLUMNS].dropna().to_numpy(float)
        distance = np.abs(rows[COLUMNS].to_numpy(float)[:, None] - mine).max(2)
        equal += int((distance.min(1) < 1e-5).sum())
    assert len(offline) > 4_000
    assert equal > 0.99 * len(offline)


def test_the_time_that_predictions_take_is_no_silence(trained, clip, tmp_path):
    texts = [*clip[:3], b'{"version":1.3,"people":[{"pose', *clip[4:6]]
    follower = Follower(written(tmp_path / "json", texts), FrameReader(layout()), context=1, from_start=True)
    found = []
    for frame in follower.frames(stop_after=0.1):
        found.append(frame.number)
        time.sleep(0.2)
    assert found == [*range(6)]


def test_a_frame_is_skipped_if_a_newer_one_is_waiting(trained, clip, tmp_path):
    folder = written(tmp_path / "json", clip[:60])
    found = list(live(trained("ann", length=5), folder, size=SIZE, from_start=True, stop_after=0.3))
    assert numbers(found) == [59]
    assert_equal(table(found), everything(trained("ann", length=5), folder).query("frame == 59"), least=2)


def test_lines_that_are_no_frame_are_counted_and_named(clip):
    lines = [clip[0], b"garbage", b"", b'{"people": 3}', b"x" * (17 * 2**20), clip[1]]
    frames = list(read_lines(io.BytesIO(b"\n".join(lines)), FrameReader(layout())))
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.people is None for frame in frames] == [False, True, True, True, False]
    assert [frame.problem.partition(":")[0] for frame in frames] == [
        "",
        "line 2 is not JSON",
        "line 4 is not an OpenPose file",
        "line 5 has more than 16,777,216 bytes, far more than a frame",
        "",
    ]


def test_dictionaries_are_predicted_as_their_files_and_may_bring_their_time(trained, clip, tmp_path):
    model, documents = trained("ann"), [json.loads(text) for text in clip[:6]]
    whole = everything(model, written(tmp_path / "json", clip[:6]))
    frames = list(skelemo.live(model, ((one, number / 8) for number, one in enumerate(documents)), size=SIZE))
    assert [frame.time for frame in frames] == [0, 0.125, 0.25, 0.375, 0.5, 0.625]
    np.testing.assert_array_equal(table(frames)[COLUMNS].to_numpy(), whole[COLUMNS].to_numpy())
    assert [frame.time for frame in live(model, documents, fps=25)] == [number / 25 for number in range(6)]
    with pytest.raises(InputError, match="frame 0 of the stream is a int"):
        list(live(model, [3]))


def test_memory_is_that_of_the_people_in_sight(trained):
    """Somebody comes and goes every 40 frames; 200 of them take the memory of a few."""
    engine, person = Live(TorchModel(trained("ann", length=5))), np.ones((1, 95, 3), np.float32)
    random = np.random.default_rng(0)
    sizes, most = [], 0
    tracemalloc.start()
    for number in range(8_000):
        visit, step = divmod(number, 40)
        if step == 0:
            person = np.ones((1, 95, 3), np.float32)
            person[..., :2] = random.uniform(100, 300, (95, 2)) + 1000 * (visit % 7)
        seen = person if step < 20 else person[:0]
        engine.feed(Frame(number, seen, "visitors", late=number % 50 != 0))
        most = max(most, len(engine))
        if number in (2_000, 7_999):
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert most <= 2
    assert sizes[1] < sizes[0] + 100_000


def test_a_history_keeps_the_newest_frames_and_finds_windows_by_number():
    history = History(2, 6)
    for number in range(100, 190, 2):
        history.append(np.full((2, 3), number, np.float32), number)
    assert len(history) == 6
    assert history.number.tolist() == [178, 180, 182, 184, 186, 188]
    view = history.view(188, 2.0, Shape(length=3, dilation=2))
    assert view.number.tolist() == [180, 184, 188]
    assert view.keypoints[:, 0, 0].tolist() == [180, 184, 188]
    early = history.view(180, 2.0, Shape(length=3, dilation=1))
    assert early.present.tolist() == [False, True, True]


def test_a_stream_is_read_in_its_units_and_body_model():
    random, size = np.random.default_rng(0), (640, 480)
    people = random.uniform(0.1, 0.9, (2, 95, 3)).astype(np.float32)
    people[:, 3:7] = 0
    for scale, text in (("unit", people), ("signed", np.where(people[..., 2:] > 0, people * 2 - 1, people))):
        points = np.concatenate([text[..., :2], people[..., 2:]], -1)
        found = FrameReader(layout(), scale=scale, size=size).read(frame_text(points.astype(np.float64)))
        units = torch.full((2,), SCALES.index(scale))
        expected = to_pixels(torch.from_numpy(points), torch.tensor([size, size]), units)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    reader = FrameReader(layout("body_25"))
    coco = {"people": [{"pose_keypoints_2d": random.uniform(10, 90, 54).tolist()}]}
    assert reader.read(json.dumps(coco).encode())[0, 8, 2] > 0  # MidHip, halfway between the hips
    with pytest.raises(FrameError, match="BODY_25 bodies, unlike earlier frames with COCO_18"):
        reader.read(json.dumps({"people": [{"pose_keypoints_2d": [1.0] * 75}]}).encode())


@pytest.fixture
def stand_in(clip, monkeypatch, tmp_path):
    """A pose estimator that finds the actors in whatever video it gets, and that video."""

    @contextmanager
    def program(options):
        yield lambda video, notes: ((number, text) for number, text in enumerate(clip[:8]))

    PROGRAMS.add("stand-in", program)
    frames = [np.full((540, 960, 3), 9 * number, np.uint8) for number in range(8)]
    with av.open(str(tmp_path / "talk.mp4"), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 960, 540, "yuv420p"
        for pixels in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode())
    yield tmp_path / "talk.mp4"
    del PROGRAMS._entries["stand-in"]


def test_a_video_is_predicted_as_its_keypoints_are(trained, clip, tmp_path, stand_in):
    model = trained("ann")
    found = list(live(model, stand_in, pose="stand-in"))
    assert [frame.time for frame in found] == [number / 25 for number in range(8)]
    assert {frame.video for frame in found} == {"talk"}
    expected = everything(model, written(tmp_path / "json", clip[:8]))
    np.testing.assert_array_equal(table(found)[COLUMNS].to_numpy(), expected[COLUMNS].to_numpy())
    with pytest.raises(ConfigError, match=r"talk\.mp4: needs a pose estimator.*--with mediapipe"):
        live(model, stand_in)


def test_a_missing_or_disconnected_camera_is_a_one_line_error(trained, monkeypatch, stand_in):
    model = trained("ann")
    with pytest.raises(InputError, match=r"camera:77: /dev/video77 does not exist; connect a camera"):
        live(model, "camera:77", pose=Options("stand-in"))
    monkeypatch.setattr(sources, "camera_device", lambda source: stand_in if source == "camera" else None)
    with pytest.raises(ConfigError, match=r"start it with --camera .* --write_json FOLDER and follow that folder"):
        live(model, "camera", pose=Options("openpose"))
    frames = live(model, "camera", pose=Options("stand-in"))
    assert [next(frames).number for _ in range(8)] == [*range(8)]
    with pytest.raises(InputError, match="the camera stopped after frame 7"):
        next(frames)
