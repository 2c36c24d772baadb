"""From video to keypoints to predictions, beside MediaPipe's own holistic solution: frames per second, faces, people.

    python tools/bench_video.py PYTHON_WITH_MEDIAPIPE VIDEO... [--run RUN] [--rounds 3]

Each round runs MediaPipe's own loop (decoding by its OpenCV, `refine_face_landmarks` for the same face model, no
hands), then ``skelemo extract`` and, with a run, ``skelemo predict`` on the same video, as whole commands. Wall and
CPU time are those of the process and its children; the medians over the rounds are printed.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

OWN = """
import sys, cv2, mediapipe
holistic = mediapipe.solutions.holistic.Holistic(refine_face_landmarks=True)
capture, frames, faces = cv2.VideoCapture(sys.argv[1]), 0, 0
while True:
    read, image = capture.read()
    if not read:
        break
    found = holistic.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    frames += 1
    faces += found.face_landmarks is not None
print(frames, faces)
"""


def timed(command: list[str]) -> tuple[float, float, str]:
    """Seconds by the clock, seconds of CPU, and the last line."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout.splitlines()[-1]


def main() -> None:
    """Print a row for each video and command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("python")
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--run", default="")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    skelemo = [sys.executable, "-m", "skelemo"]
    found = ["--with", "mediapipe", "--python", given.python]
    for video in given.videos:
        times: dict[str, list[tuple[float, float]]] = {}
        told: dict[str, str] = {}
        frames = 0
        for _ in range(given.rounds):
            with tempfile.TemporaryDirectory() as folder:
                commands = {
                    "MediaPipe's own": [given.python, "-c", OWN, str(video)],
                    "skelemo extract": [*skelemo, "extract", str(video), *found, "--out", f"{folder}/out"],
                }
                if given.run:
                    out = ["--out", f"{folder}/predictions.csv"]
                    commands["skelemo predict"] = [*skelemo, "predict", given.run, str(video), *found, *out]
                for name, command in commands.items():
                    wall, cpu, told[name] = timed(command)
                    times.setdefault(name, []).append((wall, cpu))
                frames = json.loads((Path(folder) / "out" / video.stem / "skelemo-video.json").read_text())["frames"]
        own = median(wall for wall, _ in times["MediaPipe's own"])
        for name, measured in times.items():
            wall, cpu = (median(column) for column in zip(*measured, strict=True))
            print(
                f"{video.name:16} {name:16} {frames / wall:6.1f} frames/s ({own / wall:.2f} of MediaPipe's own), "
                f"{1e3 * cpu / frames:.1f} ms of CPU a frame: {told[name]}"
            )


if __name__ == "__main__":
    main()
