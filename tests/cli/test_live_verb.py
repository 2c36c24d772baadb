"""``skelemo live`` as a user runs it: in a process of its own, with streams that end, break off or never were."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack

import numpy as np
import pytest
from click.testing import CliRunner
from small_caches import HEADS, a_cache, a_sequence
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from skelemo.cache.shard import Header
from skelemo.cli import main
from skelemo.cli.live import _summary, people_table
from skelemo.inference.live.sources import Problems
from skelemo.inference.live.stream import LiveFrame, LivePerson
from skelemo.skeleton import layout
from skelemo.targets import Head
from skelemo.training.config import load_config
from skelemo.training.fit import train
from skelemo.view.live_page import LivePage

COLUMNS = ["video", "person", "frame", "time", "expression", "p_glad", "p_sad", "p_calm", "valence", "arousal", "seen"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    sequences = [a_sequence(f"clip{n:02}", 8, points=95, seed=n) for n in range(12)]
    cache = a_cache(tmp_path_factory.mktemp("data") / "c", *sequences, header=Header("body_25+face_70", HEADS))
    out = tmp_path_factory.mktemp("runs") / "ann"
    given = {"data": str(cache), "arch": "ann", "head": "both", "model": {"width": 16}, "epochs": 1, "device": "cpu"}
    train(load_config(overrides=given | {"split": "holdout:0.3", "reference": "window", "parts": "all"}), out)
    return out


def a_line(shift=0.0):
    points = np.ones((95, 3))
    points[:, :2] = np.random.default_rng(0).uniform(100, 300, (95, 2)) + shift
    person = {"pose_keypoints_2d": points[:25].ravel().tolist(), "face_keypoints_2d": points[25:].ravel().tolist()}
    return json.dumps({"version": 1.3, "people": [person]})


def call(*words, text="", **settings):
    command = [sys.executable, "-m", "skelemo", "live", *map(str, words)]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, **settings)


def test_lines_in_are_lines_out_and_garbage_is_counted_and_named(run):
    answer = call(run, "-", "--fps", 25, text="\n".join([a_line(), "garbage", a_line(1)]))
    assert answer.returncode == 0, answer.stderr
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [list(row) for row in rows] == [COLUMNS] * 2
    assert [(row["person"], row["frame"], row["time"], row["seen"]) for row in rows] == [
        ("person0", 0, 0.0, True),
        ("person0", 2, 0.08, True),
    ]
    assert sum(rows[0][name] for name in ("p_glad", "p_sad", "p_calm")) == pytest.approx(1, abs=1e-5)
    assert "unreadable: line 2 is not JSON" in answer.stderr
    assert "3 frames in" in answer.stderr
    assert "1 problem, the first: line 2 is not JSON" in answer.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nowhere", "-"], "no run folder at nowhere"),
        (["RUN", "nowhere"], "nowhere: no such folder; expected an existing folder that OpenPose writes"),
        (["RUN", "RUN/model.json"], "needs a pose estimator, e.g. --with mediapipe"),
        (["RUN", "RUN/model.json", "--with", "mediapipe"], "cannot be decoded as a video"),
        (["RUN", "-", "--clip", "3"], "predicts frames, not whole clips: omit --clip"),
        (["RUN", "-", "--min-seen", "2"], "2.0 is not in the range"),
        (["RUN", "-", "--device", "abacus"], "device 'abacus' is not available"),
    ],
)
def test_invalid_options_are_a_one_line_error_with_exit_code_2(run, words, expected):
    answer = CliRunner().invoke(main, ["live", *(word.replace("RUN", str(run)) for word in words)])
    assert answer.exit_code == 2
    assert expected in answer.output
    assert "Traceback" not in answer.output


def test_ctrl_c_ends_with_a_line_and_130(run, tmp_path):
    command = [sys.executable, "-m", "skelemo", "live", str(run), str(tmp_path), "--to", "jsonl"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    (tmp_path / "take_000000000000_keypoints.json").write_text(a_line())
    assert process.stdout
    assert json.loads(process.stdout.readline())["frame"] == 0
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped; 1 frame in" in told


def test_a_stream_without_a_single_frame_is_an_error(run):
    answer = call(run, "-", text="garbage\n")
    assert answer.returncode == 0  # a frame nobody is seen in is a frame, and its problem is told
    assert "1 problem, the first: line 1 is not JSON" in answer.stderr


HEADS_SHOWN = (Head("mood", "classes", ("glad", "sad")), Head("plane", "values", ("x", "y"), -2, 2))


def a_frame(number=7, outputs=True):
    found = {"mood": np.array([0.25, 0.75], np.float32), "plane": np.array([1, -2], np.float32)} if outputs else {}
    points = np.arange(285, dtype=np.float32).reshape(95, 3)
    return LiveFrame("take", number, 1.5, (LivePerson("person3", True, points, found),), HEADS_SHOWN, 0.002)


def test_the_table_shows_classes_and_values_of_any_head():
    from rich.console import Console

    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(people_table(a_frame(), HEADS_SHOWN))
    console.print(people_table(a_frame(outputs=False), HEADS_SHOWN))
    text = console.export_text()
    assert "████████░░  75% sad" in text
    assert "────────●── +1.00" in text
    assert "●────────── -2.00" in text
    assert "take, frame 7, 1.5 s" in text


def test_flags_are_on_a_scale_from_0_to_1_and_people_out_of_sight_are_dim():
    from rich.console import Console

    units = (Head("au", "flags", ("AU1", "AU2")),)
    person = LivePerson("person0", False, np.zeros((95, 3), np.float32), {"au": np.array([0.0, 1.0])})
    shown = people_table(LiveFrame("take", 1, 0.0, (person,), units), units)
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(shown)
    text = console.export_text()
    assert "●────────── 0.00" in text
    assert "──────────● 1.00" in text
    assert [row.style for row in shown.rows] == ["dim"]


def test_the_summary_has_the_median_and_the_99th_percentile():
    problems = Problems()
    problems.add("line 2 is not JSON")
    problems.add("line 5 is not JSON")
    latencies = [number / 1000 for number in range(100, 0, -1)]  # 1 to 100 ms
    text = _summary(200, time.monotonic() - 90, latencies, problems)
    assert text == (
        "200 frames in 1 min 30 s, predicted within 50.0 ms (median) and 99.0 ms (99 %) of being read; "
        "2 problems, the first: line 2 is not JSON"
    )


@pytest.fixture
def page():
    with LivePage("runs/ann", HEADS_SHOWN, layout(), (640, 480)) as served:
        yield served


def fetch(address, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def test_the_page_is_self_contained_and_needs_the_token(page):
    status, headers, text = fetch(page.address)
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "NONCE" not in text
    base, token = page.address.split("/?token=")
    assert base.startswith("http://127.0.0.1:")
    assert len(token) >= 32
    for address in (base, f"{base}/?token=", f"{page.address}x", f"{base}/?token={token[:-1]}"):
        assert fetch(address)[0] == 403
    assert fetch(page.address, Origin="http://elsewhere.example")[0] == 403
    assert fetch(page.address, Host="elsewhere.example")[0] == 403
    assert fetch(f"{base}/etc/passwd?token={token}")[0] == 404


def test_a_slow_client_gets_only_the_newest_frame(page):
    address = page.address.replace("http://", "ws://").replace("/?", "/live?")
    with connect(address, origin=page.address.split("/?")[0]) as socket:
        hello = json.loads(socket.recv(10))
        assert hello["model"] == "runs/ann"
        assert [head["outputs"] for head in hello["heads"]] == [["glad", "sad"], ["x", "y"]]
        assert [(part["name"], part["start"]) for part in hello["parts"]] == [("body_25", 0), ("face_70", 25)]
        assert hello["parts"][0]["sides"][2:8] == ["right"] * 3 + ["left"] * 3
        for number in range(1000):
            page.publish(a_frame(number))
        numbers = []
        while not numbers or numbers[-1] < 999:
            news = json.loads(socket.recv(10))
            numbers.append(news["number"])
    assert numbers == sorted(set(numbers))
    (person,) = news["people"]
    assert person["name"] == "person3"
    assert person["points"] == np.arange(285).tolist()
    assert person["outputs"] == {"mood": [0.25, 0.75], "plane": [1, -2]}


def test_a_client_that_answers_gets_no_frame_late(page):
    with connect(page.address.replace("http://", "ws://").replace("/?", "/live?")) as socket:
        socket.recv(10)
        socket.send("")
        numbers = []
        for first in (0, 100, 200):
            for number in range(first, first + 100):
                page.publish(a_frame(number))
                time.sleep(0.001)  # frames are sent one by one
            numbers.append(json.loads(socket.recv(10))["number"])
            socket.send("")
            time.sleep(0.1)
        assert numbers[0] < 99
        assert numbers[1:] == [99, 199]


def test_a_socket_without_the_token_or_of_another_origin_is_refused(page):
    address = page.address.replace("http://", "ws://").replace("/?", "/live?")
    for wrong, origin in ((address[:-1], None), (address.split("?")[0], None), (address, "http://elsewhere.example")):
        with pytest.raises(InvalidStatus) as refused, connect(wrong, origin=origin):
            pass
        assert refused.value.response.status_code == 403


def test_a_seventeenth_client_is_refused_until_another_leaves(page):
    address = page.address.replace("http://", "ws://").replace("/?", "/live?")
    with ExitStack() as open_ones:
        sockets = [open_ones.enter_context(connect(address)) for _ in range(16)]
        assert all(json.loads(socket.recv(10))["model"] == "runs/ann" for socket in sockets)
        with pytest.raises(InvalidStatus) as refused, connect(address):
            pass
        assert (refused.value.response.status_code, refused.value.response.body) == (503, b"Too many clients.\n")
        sockets[3].close()
        until(lambda: page._clients == 15)
        with connect(address) as socket:
            assert json.loads(socket.recv(10))["model"] == "runs/ann"


def test_a_port_in_use_is_a_one_line_error(page, run):
    port = int(page.address.split(":")[2].split("/")[0])
    answer = CliRunner().invoke(main, ["live", str(run), "-", "--to", "websocket", "--port", str(port)])
    assert answer.exit_code == 2
    assert f"port {port} of 127.0.0.1 cannot be used: " in answer.output


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_shows_people_classes_and_values(page, tmp_path):
    command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    browser = subprocess.Popen([*command, "--remote-debugging-port=0", page.address], stderr=subprocess.DEVNULL)
    try:
        until(lambda: (tmp_path / "DevToolsActivePort").exists() and len((tmp_path / "DevToolsActivePort").read_text()))
        port = (tmp_path / "DevToolsActivePort").read_text().splitlines()[0]
        until(lambda: "token" in fetch(f"http://127.0.0.1:{port}/json")[2])
        tab = next(one for one in json.loads(fetch(f"http://127.0.0.1:{port}/json")[2]) if "token" in one["url"])
        question = {"expression": "(document.body?.outerHTML || '').split('<script')[0]"}
        with connect(tab["webSocketDebuggerUrl"], origin=None, max_size=None) as socket:

            def shown():
                page.publish(a_frame(time.monotonic_ns() // 10**6 % 10**6))
                socket.send(json.dumps({"id": 1, "method": "Runtime.evaluate", "params": question}))
                return json.loads(socket.recv(10))["result"]["result"]["value"]

            until(lambda: "x +1.00" in shown())
            text = shown()
    finally:
        browser.terminate()
        browser.wait(30)
    assert re.search('aria-pressed="true"[^>]*>person3<', text)
    assert '<h1 id="model">runs/ann</h1>' in text
    assert "sad <small>75 %</small>" in text
    assert "y −2.00" in text


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_the_command_prints_the_address_of_its_page(run, tmp_path):
    command = [sys.executable, "-m", "skelemo", "live", str(run), str(tmp_path), "--to", "websocket"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        address = process.stdout.readline().strip()
        assert fetch(address)[0] == 200
        with connect(address.replace("http://", "ws://").replace("/?", "/live?")) as socket:
            assert json.loads(socket.recv(10))["model"] == "ann"
            (tmp_path / "take_000000000000_keypoints.json").write_text(a_line())
            assert json.loads(socket.recv(10))["people"][0]["outputs"].keys() == {"expression", "va"}
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130


def test_a_cache_is_refused_and_frames_in_subfolders_are_noted(run, tmp_path):
    cache = a_cache(tmp_path / "c", a_sequence("one", points=95), header=Header("body_25+face_70", HEADS))
    done = call(run, cache, "--from-start", "--stop-after", 0.2)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Error: {cache} is a cache; expected a folder that OpenPose writes" in done.stderr
    (tmp_path / "json" / "walk").mkdir(parents=True)
    (tmp_path / "json" / "walk" / "walk_000000000000_keypoints.json").write_text(a_line())
    done = call(run, tmp_path / "json", "--from-start", "--stop-after", 0.2)
    assert f"its subfolders, such as {tmp_path / 'json' / 'walk'}, are not followed" in done.stderr
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"Error: {tmp_path / 'json'}: no frame arrived within 0.2 s"
