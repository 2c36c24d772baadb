"""A Python environment with MediaPipe: the user's, the current one, or one that skelemo creates.

MediaPipe 0.10.21 is the last wheel that includes its models. It pins numpy below 2 and protobuf below 5, which
conflicts with skelemo's dependencies, so its estimator runs as a separate program.
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

#: The version to install.
VERSION = "0.10.21"
#: Python versions with wheels of it.
PYTHONS = ("3.12", "3.11", "3.10", "3.9")
_EXPECTED = "choose the Python of an environment with MediaPipe (--python PATH)"


def python_with_mediapipe(given: str, tell: Callable[[str], None]) -> str:
    """The path of a Python interpreter with MediaPipe.

    Raises `ConfigError`: the interpreter does not exist, or MediaPipe cannot be installed.

    Parameters
    ----------
    given : the user's choice; "" for this interpreter if it has MediaPipe, otherwise that of an environment created on
        first use.
    tell : called with a message before an installation.
    """
    if given:
        path = shutil.which(given)
        if not path:
            raise ConfigError(f"--python {given}: no such program; {_EXPECTED}")
        return path
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
    """The user's cache folder (XDG Base Directory; LOCALAPPDATA on Windows)."""
    base = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "skelemo"


def _make(folder: Path, python: Path, tell: Callable[[str], None]) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    names = [sys.executable] if here in PYTHONS else [f"python{version}" for version in PYTHONS]
    base = next((found for name in names if (found := shutil.which(name))), "")
    if not base:
        raise ConfigError(
            f"this is Python {here}; MediaPipe {VERSION}, the last with models, needs Python {PYTHONS[-1]} to "
            f"{PYTHONS[0]}: install one of these, or {_EXPECTED}"
        )
    tell(f"installing MediaPipe {VERSION} once, in a separate environment: {folder}")
    sweep(folder.parent, "-mediapipe")
    with finished(folder, "mediapipe") as partial:
        _run([base, "-m", "venv", str(partial)])
        pip = [str(partial / python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, f"mediapipe=={VERSION}"])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        reasons = [line for line in lines if line.startswith("ERROR")] or lines[-1:] or ["no reason given"]
        raise ConfigError(f"MediaPipe {VERSION} cannot be installed: {reasons[-1].strip()}; or {_EXPECTED}")
