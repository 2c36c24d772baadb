"""OpenPose: an installed program or a container image."""

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from skelemo.errors import ConfigError, InputError
from skelemo.pose.registry import PROGRAMS, Find, Options
from skelemo.pose.video import Video
from skelemo.text import count

#: Flags for caches (flags.hpp): pixels of the source, body and face, no rendering, no window.
FLAGS = ("--keypoint_scale", "0", "--model_pose", "BODY_25", "--face", "--display", "0", "--render_pose", "0")
#: Locations of the program in OpenPose's folder: built on Linux or macOS, portable or built on Windows.
PLACES = (
    "build/examples/openpose/openpose.bin",
    "bin/OpenPoseDemo.exe",
    "build/x64/Release/OpenPoseDemo.exe",
    "bin/openpose.bin",
)
#: Location in a container image, relative to the working directory.
IN_IMAGE = f"./{PLACES[0]}"
_DOCKER = "docker:"
_ENDING = "_keypoints.json"
_INSTALL = (
    "install it (Windows: the portable demo of github.com/CMU-Perceptual-Computing-Lab/openpose/releases; Linux: build "
    "it, or use an image, --openpose docker:IMAGE) and set --openpose PATH or OPENPOSE_HOME; or use --with mediapipe, "
    "which pip installs"
)
#: Seconds between two checks for output.
_POLL = 0.2
#: Tolerance between the frame counts of OpenCV and the video's header.
_SLACK = 2


@dataclass(frozen=True)
class _Installed:
    """An installed OpenPose."""

    program: str  # or docker
    home: Path | None = None  # the folder with models
    image: str = ""

    def command(self, video: Path, out: Path, flags: list[str]) -> list[str]:
        """The command line for a video."""
        if not self.image:
            models = ["--model_folder", f"{self.home / 'models'}{os.sep}"] if self.home else []
            return [self.program, "--video", str(video), "--write_json", str(out), *models, *flags]
        user = ["--user", f"{os.getuid()}:{os.getgid()}"] if hasattr(os, "getuid") else []
        mounts = ["-v", f"{video.parent}:/video:ro", "-v", f"{out}:/json"]
        inside = [IN_IMAGE, "--video", f"/video/{video.name}", "--write_json", "/json"]
        return [self.program, "run", "--rm", "--gpus", "all", *user, *mounts, self.image, *inside, *flags]


@PROGRAMS.register("openpose")
@contextmanager
def openpose(options: Options) -> Iterator[Find]:
    """Find keypoints with the user's OpenPose. Raises `ConfigError`: not installed, or invalid flags."""
    installed = _installed(options.openpose)
    try:
        more = shlex.split(options.flags)
    except ValueError as error:
        raise ConfigError(f"--flags {options.flags!r}: {error}") from None
    flags = [*FLAGS, *["--hand"] * options.hands]
    flags += ["--frame_step", str(options.every)] if options.every > 1 else []
    yield lambda video, notes: _find(installed, video, [*flags, *more], options.every, notes)


def _installed(given: str) -> _Installed:
    """The program of ``--openpose``, of OPENPOSE_HOME or on the search path, in this order."""
    if given.startswith(_DOCKER):
        docker = shutil.which("docker")
        if not docker or given == _DOCKER:
            what = "docker is not on the search path" if given != _DOCKER else "expected docker:IMAGE"
            raise ConfigError(f"--openpose {given}: {what}")
        return _Installed(docker, image=given.removeprefix(_DOCKER))
    home = given or os.environ.get("OPENPOSE_HOME", "")
    if home:
        option = f"--openpose {given}" if given else f"OPENPOSE_HOME {home}"
        path = Path(home).absolute()
        if path.is_dir():
            inside = [path / place for place in PLACES if (path / place).is_file()]
            if not inside:
                raise ConfigError(f"{option}: contains no {PLACES[0]} or {PLACES[1]}; {_INSTALL}")
            path = inside[0]
        if not path.is_file() or not os.access(path, os.X_OK):
            why = "not executable (chmod +x)" if path.is_file() else "no such program"
            raise ConfigError(f"{option}: {why}; {_INSTALL}")
        return _Installed(str(path), _home(path))
    program = next((found for name in ("openpose.bin", "OpenPoseDemo") if (found := shutil.which(name))), "")
    if not program:
        raise ConfigError(f"OpenPose is not on the search path: {_INSTALL}")
    return _Installed(program, _home(Path(program).resolve()))


def _home(program: Path) -> Path | None:
    """The parent folder with OpenPose's models, which OpenPose looks for in the working directory."""
    return next((folder for folder in program.parents if (folder / "models" / "pose").is_dir()), None)


def _find(
    installed: _Installed, video: Video, flags: list[str], every: int, notes: list[str]
) -> Iterator[tuple[int, bytes]]:
    if video.turn:
        raise InputError(
            f"{video.path}: stored rotated by {90 * video.turn} degrees, which not every build of OpenPose corrects: "
            "rotate it first (ffmpeg -i IN OUT), or use --with mediapipe"
        )
    with tempfile.TemporaryDirectory(prefix="skelemo-openpose-") as name:
        folder, log = Path(name) / "json", Path(name) / "log"
        folder.mkdir()
        command = installed.command(video.path.absolute(), folder, flags)
        with open(log, "wb") as out:
            try:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=installed.home
                )
            except OSError as error:
                raise ConfigError(f"{command[0]}: cannot be run ({error.strerror})") from None
            written: set[str] = set()
            try:
                while process.poll() is None:
                    yield from _new_frames(folder, written, video, last=False)
                    time.sleep(_POLL)
                yield from _new_frames(folder, written, video, last=True)
            finally:
                process.kill()
                process.wait()
        _check(video, process.returncode, len(written), every, log, notes)


def _new_frames(folder: Path, known: set[str], video: Video, *, last: bool) -> Iterator[tuple[int, bytes]]:
    """Frames written since the last call, except the newest file, which may be incomplete, unless ``last``."""
    names = sorted(name for name in os.listdir(folder) if name.endswith(_ENDING))
    for name in names if last else names[:-1]:
        if name not in known:
            digits = name.removesuffix(_ENDING)[-12:]
            if not digits.isdecimal():
                raise InputError(f"{video.path}: OpenPose wrote {name!r}; expected NAME_<12 digits>{_ENDING}")
            known.add(name)
            yield int(digits), (folder / name).read_bytes()


def _check(video: Video, code: int, written: int, every: int, log: Path, notes: list[str]) -> None:
    """Check that OpenPose succeeded and wrote a file for each frame."""
    expected = -(-video.frames // every)
    if code:
        ended = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise InputError(f"{video.path}: OpenPose {ended} after {count(written, 'frame')}: {_reason(log)}")
    if not written or written < 0.95 * expected - _SLACK:
        raise InputError(
            f"{video.path}: OpenPose wrote {written:,} of {count(expected, 'frame')} and ended without an error: "
            f"{_reason(log)}"
        )
    if abs(written - expected) > _SLACK and expected:
        notes.append(f"{video.path}: OpenPose wrote {written:,} frames; the video's header has {expected:,}")


def _reason(log: Path) -> str:
    """OpenPose's error message (errorAndLog.cpp prints it below a line ``Error:``), or its last line."""
    with open(log, "rb") as file:
        file.seek(max(0, file.seek(0, 2) - (1 << 16)))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    starts = [place for place, line in enumerate(lines[:-1]) if line == "Error:"]
    reason = lines[starts[0] + 1] if starts else (lines[-1] if lines else "no output")
    if "out of memory" in " ".join(lines).lower():
        reason += " (use a smaller network: --flags '--net_resolution -1x256')"
    return reason
