"""How a source is read, and the keypoints of videos: found before anything that is slow to import is needed."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from skelemo.pose.extract import Extracted, extract
from skelemo.pose.registry import Options

#: A bar over things called by the second word, while something is done that the first one says.
Stage = Callable[[str, str], AbstractContextManager[Callable[[int, int], None]]]

#: Where the keypoints of videos lie, and what has become of each video.
Keypoints = tuple[Path, Extracted]


def is_cache(path: Path) -> bool:
    """Whether a folder holds shards; asked without the libraries that read them."""
    return path.is_dir() and any(one.suffix == ".h5" and not one.name.startswith(".") for one in path.iterdir())


@contextmanager
def silent(_: str, __: str) -> Iterator[Callable[[int, int], None]]:
    """A `Stage` that shows nothing."""
    yield lambda done, of: None


@dataclass(frozen=True)
class Reading:
    """How a source is read.

    Parameters
    ----------
    person : whom to predict for, as in ``skelemo ingest``, or a number; a cache and an array have their people already.
    fps, size : frames per second, width and height of the images, where the source does not tell.
    jobs, scheduler : processes that read, or a Dask cluster.
    folder : where recordings are kept while they are predicted, for the next call if this one is interrupted.
    pose : how keypoints are found where the source is a video or a folder of videos.
    """

    person: str = "all"
    fps: float = 0.0
    size: tuple[int, int] = (0, 0)
    jobs: int = 1
    scheduler: str = ""
    folder: Path | None = None
    pose: Options | None = None


def find_keypoints(
    source: Path, folder: Path, reading: Reading, stage: Stage, going: Callable[[], object] = lambda: None
) -> Keypoints:
    """Find the keypoints of videos, as far as that is not done yet, and where in ``folder`` they are.

    ``going`` is called as frames are done; what it raises ends the work.
    """
    options = reading.pose or Options("")
    kept = hashlib.sha256(json.dumps(options.kept(), sort_keys=True).encode()).hexdigest()[:16]
    where = folder / f"keypoints-{kept}"
    with stage("finding keypoints", "frames") as report:

        def told(done: int, of: int) -> None:
            going()
            report(done, of)

        return where, extract([source], where, options, told)
