"""A Python that has MediaPipe: the user's, this one, or an environment of its own that skelemo makes once.

MediaPipe 0.10.21 is the last wheel that carries its models. It pins numpy below 2 and protobuf below 5, so that it
cannot live in one environment with what skelemo is tested with; its estimator is a program of its own.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from skelemo.atomic import finished, locked, sweep
from skelemo.errors import ConfigError

#: The version that is installed.
VERSION = "0.10.21"
#: Python versions that it has wheels for.
PYTHONS = ("3.12", "3.11", "3.10", "3.9")
_EXPECTED = "name one of an environment that has MediaPipe (--python PATH)"


def python_with_mediapipe(given: str, tell: Callable[[str], None]) -> str:
    """The path of a Python interpreter that has MediaPipe.

    Raises `ConfigError`: it cannot be run, or cannot be made.

    Parameters
    ----------
    given : the user's; "" for this one where it has MediaPipe, else one in an environment that is made at first use.
    tell : told in one line what is made.
    """
    if given:
        found = shutil.which(given)
        if not found:
            raise ConfigError(f"--python {given}: there is no such program; {_EXPECTED}")
        return found
    if find_spec("mediapipe"):
        return sys.executable
    home = _home()
    folder = home / f"mediapipe-{VERSION}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        home.mkdir(parents=True, exist_ok=True)
        with locked(home):
            if not python.exists():
                _make(folder, python.relative_to(folder), tell)
    return str(python)


def _home() -> Path:
    """The user's folder for what can be made again (XDG Base Directory; LOCALAPPDATA on Windows)."""
    base = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "skelemo"


def _make(folder: Path, python: Path, tell: Callable[[str], None]) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    names = [sys.executable] if here in PYTHONS else [f"python{version}" for version in PYTHONS]
    base = next((found for name in names if (found := shutil.which(name))), "")
    if not base:
        raise ConfigError(
            f"MediaPipe {VERSION}, the last with models, has wheels for Python {PYTHONS[-1]} to {PYTHONS[0]}, and this "
            f"is {here}: install one of these, or {_EXPECTED}"
        )
    tell(f"installing MediaPipe {VERSION} once, into an environment of its own: {folder}")
    sweep(folder.parent, "-mediapipe")
    with finished(folder, "mediapipe") as partial:
        _run([base, "-m", "venv", str(partial)])
        pip = [str(partial / python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, f"mediapipe=={VERSION}"])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        told = [line for line in lines if line.startswith("ERROR")] or lines[-1:] or ["no reason given"]
        raise ConfigError(f"MediaPipe {VERSION} cannot be installed: {told[-1].strip()}; or {_EXPECTED}")
