"""MediaPipe: bodies, faces and hands of several people; installed with pip.

The estimator (`skelemo.pose.mediapipe_estimator`) is a separate program in an environment with MediaPipe
(`skelemo.pose.environment`). Pipes carry frames to it and landmarks back. Landmarks are mapped to keypoints by
`skelemo.skeleton.mapping`, as in ``skelemo cache import --from mediapipe``.
"""

import json
import struct
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson

from skelemo.errors import ConfigError, InputError
from skelemo.pose import mediapipe_estimator
from skelemo.pose.environment import python_with_mediapipe
from skelemo.pose.registry import PROGRAMS, Find, Options
from skelemo.pose.video import Video, frames
from skelemo.skeleton import Layout, layout
from skelemo.skeleton.mapping import LANDMARKS, from_mediapipe

#: Maximum bytes of frames queued for MediaPipe.
_AHEAD = 32 << 20
_LAYOUT = "body_25+face_70+hand_21x2"
#: Empty lists that OpenPose writes for each person (peopleJsonSaver.cpp).
_EMPTY: dict[str, list[float]] = {f"{part}_keypoints_3d": [] for part in ("pose", "face", "hand_left", "hand_right")}


@PROGRAMS.register("mediapipe")
@contextmanager
def mediapipe(options: Options) -> Iterator[Find]:
    """Find keypoints with MediaPipe.

    Raises `ConfigError`: MediaPipe is missing and cannot be installed, or has no models.
    """
    python = python_with_mediapipe(options.python, lambda line: print(line, file=sys.stderr))
    with _Estimator(python, options) as estimator:
        yield lambda video, notes: _find(estimator, video, options, notes)


def _find(estimator: "_Estimator", video: Video, options: Options, notes: list[str]) -> Iterator[tuple[int, bytes]]:
    where = layout(_LAYOUT)
    for number, people in estimator.run(video, options.every, notes):
        yield number, _openpose(where, people, (video.width, video.height))


def _openpose(where: Layout, people: list[dict[str, Any]], size: tuple[int, int]) -> bytes:
    """The JSON of a frame in OpenPose's format, with coordinates rounded to 0.001 pixels."""
    written = []
    if people:
        landmarks = {}
        for part, count in LANDMARKS.items():
            landmarks[part] = np.zeros((len(people), count, 3), np.float32)
            for row, person in enumerate(people):
                if points := person.get(part):
                    found = np.asarray(points, np.float32)
                    landmarks[part][row, : len(found)] = 1
                    landmarks[part][row, : len(found), : found.shape[1]] = found
        keypoints = from_mediapipe(where, landmarks).astype(np.float64)
        keypoints[..., :2] *= size
        for person in keypoints.round(3):
            lists = {part.key: person[where.slices[part.name]].ravel().tolist() for part in where.parts}
            lists = {key: numbers if any(numbers) else [] for key, numbers in lists.items()}
            written.append({"person_id": [-1], **lists, **_EMPTY})
    return orjson.dumps({"version": 1.3, "people": written})


class _Estimator:
    """The estimator's process, restarted after a failure."""

    def __init__(self, python: str, options: Options) -> None:
        self._command = [python, "-I", str(Path(mediapipe_estimator.__file__)), "--people", str(options.people)]
        self._command += ["--hands"] * options.hands
        self._command += ["--models", str(options.models.absolute())] if options.models else []
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the estimator

    def __enter__(self) -> "_Estimator":
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._errors.close()

    def run(self, video: Video, every: int, notes: list[str]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """Yield frame numbers and the landmarks of each person.

        Raises `InputError`: the video cannot be decoded, or the estimator ended.
        """
        process = self._process if self._process and self._process.poll() is None else self._start()
        assert process.stdin
        pipe, numbers, failure = process.stdin, deque[int](), list[BaseException]()
        camera = video.path.is_char_device()  # keep its queue short
        room = threading.Semaphore(2 if camera else max(2, _AHEAD // (video.width * video.height * 3)))

        def feed() -> None:
            first = True
            try:
                for number, pixels, _ in frames(video, every, notes):
                    room.acquire()
                    numbers.append(number)
                    pipe.write(struct.pack("<III", first, video.width, video.height))
                    pipe.write(pixels.data)
                    pipe.flush()
                    first = False
            except BrokenPipeError:
                pass  # the estimator's answer has the reason
            except BaseException as error:
                failure.append(error)
            finally:
                numbers.append(-1)

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        try:
            while True:
                while not numbers and feeder.is_alive():
                    feeder.join(0.001)
                if (number := numbers.popleft()) < 0:
                    break
                answer = self._answer()
                room.release()
                if "people" not in answer:
                    raise InputError(f"{video.path}: MediaPipe ended at frame {number}: {answer['error']}")
                yield number, answer["people"]
        except BaseException:
            self._stop()
            raise
        finally:
            room.release(2)  # the feeder may be waiting
            feeder.join(10)
        if failure:
            self._stop()
            raise failure[0]

    def _start(self) -> "subprocess.Popen[bytes]":
        self._stop()
        self._errors.seek(0)
        self._errors.truncate()
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
            )
        except OSError as error:
            raise ConfigError(f"{self._command[0]}: cannot be run ({error.strerror}); expected Python") from None
        answer = self._answer()
        if "ready" not in answer:
            raise ConfigError(f"MediaPipe cannot be used with {self._command[0]}: {answer['error']}")
        return self._process

    def _answer(self) -> dict[str, Any]:
        """The estimator's next line, or the reason for its end as ``error``."""
        assert self._process
        assert self._process.stdout
        line = self._process.stdout.readline()
        with suppress(ValueError):
            answer = json.loads(line)
            if isinstance(answer, dict) and answer.keys() & {"ready", "people", "error"}:
                return answer
        code = f"exit code {self._process.wait()}" if not line else "invalid output"
        self._errors.seek(0, 2)
        self._errors.seek(max(0, self._errors.tell() - 4096))
        lines = self._errors.read().decode(errors="replace").split("\n")
        last = next((text.strip() for text in reversed(lines) if text.strip()), "no message")
        return {"error": f"{last} ({code})"}

    def _stop(self) -> None:
        if self._process:
            self._process.kill()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    with suppress(OSError):
                        pipe.close()
            self._process.wait()
        self._process = None
