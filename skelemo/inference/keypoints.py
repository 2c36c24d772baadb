"""Options for reading a source, and pose estimation of videos; imports neither torch nor pandas."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from skelemo.pose.extract import Extracted, extract
from skelemo.pose.registry import Options

#: Progress bar: ``stage(activity, unit)``.
Stage = Callable[[str, str], AbstractContextManager[Callable[[int, int], None]]]

#: Folder of the keypoints extracted from videos, and the result for each video.
Keypoints = tuple[Path, Extracted]


def is_cache(path: Path) -> bool:
    """Whether a folder contains shards; does not import h5py."""
    return path.is_dir() and any(one.suffix == ".h5" and not one.name.startswith(".") for one in path.iterdir())


@contextmanager
def silent(_: str, __: str) -> Iterator[Callable[[int, int], None]]:
    """A `Stage` without output."""
    yield lambda done, of: None


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading a source, see `skelemo.inference.base.BasePredictor.predict`.

    Parameters
    ----------
    scheduler : address of a Dask cluster.
    folder : folder for intermediate results, with which an interrupted call resumes.
    """

    person: str = "all"
    fps: float = 0.0
    size: tuple[int, int] = (0, 0)
    jobs: int = 1
    scheduler: str = ""
    folder: Path | None = None
    pose: Options | None = None


def find_keypoints(
    source: Path, folder: Path, reading: ReadOptions, stage: Stage, going: Callable[[], object] = lambda: None
) -> Keypoints:
    """Extract the keypoints of videos into ``folder``, resuming if interrupted.

    ``going`` is called after each frame and may raise to stop the extraction.
    """
    options = reading.pose or Options("")
    kept = hashlib.sha256(json.dumps(options.kept(), sort_keys=True).encode()).hexdigest()[:16]
    where = folder / f"keypoints-{kept}"
    with stage("extracting keypoints", "frames") as report:

        def advance(done: int, of: int) -> None:
            going()
            report(done, of)

        return where, extract([source], where, options, advance)
