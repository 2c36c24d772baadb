"""Export of a cache as PNG files in class folders, as read by torchvision's ``ImageFolder``."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skelemo.atomic import finished, reserved, sweep
from skelemo.cache.store import Cache
from skelemo.errors import ConfigError, unknown
from skelemo.render import SkeletonRenderer
from skelemo.targets import hard_labels
from skelemo.text import file_names
from skelemo.view.stills import CHUNK, Stills, png, require_empty

#: Marks unfinished exports, to be removed by the next one.
_KIND = "images"


@dataclass(frozen=True)
class Exported:
    """Number of images by folder, and of skipped frames."""

    images: dict[str, int]
    unlabeled: int  # frames without a class
    unseen: int  # labeled frames without a visible person
    no_subset: int  # labeled frames of sequences without a subset


def export_images(
    cache: Cache,
    out: Path,
    *,
    view: str = "frame",
    size: int = 224,
    every: int = 1,
    split: str | None = None,
    report: Callable[[int, int], None] = lambda *_: None,
) -> Exported:
    """Write ``CLASS/SEQUENCE_FRAME.png``, or ``SUBSET/CLASS/SEQUENCE_FRAME.png`` with a split.

    Classes are those of the first head of classes. Images are written to a hidden folder that is renamed to ``OUT``
    when complete.

    Raises `ConfigError`: ``out`` is not empty, an unknown view or split, no frame to draw, or a view of the face in a
    cache without faces.

    Parameters
    ----------
    view, size : see `SkeletonRenderer`.
    every : draw one frame in ``every``.
    split : column of splits with each sequence's subset.
    report : called with the number of images written and their total.
    """
    require_empty(out)
    renderer = SkeletonRenderer(cache.layout, size, view)
    subsets = _subsets(cache, split)
    stills = Stills.of(cache)
    visible = stills.visible(view)
    head = next((head for head in cache.heads if head.kind == "classes"), None)
    classes = hard_labels(stills.frames.labels[head.name]) if head else np.full(len(stills), -1)
    chosen = (np.arange(len(stills)) - np.searchsorted(stills.sequence, stills.sequence)) % every == 0
    labeled = (classes >= 0) & chosen
    no_subset = labeled & (subsets == "")[stills.sequence] if split else np.zeros_like(labeled)
    rows = np.flatnonzero(labeled & ~no_subset & visible)
    if head is None or not len(rows):
        raise ConfigError(f"{cache.name}: no frame has a class, a subset and a visible person")
    places = _places(stills, rows, subsets, head.outputs, classes[rows])
    out = out.resolve()
    with reserved(out), finished(out, _KIND) as partial:
        sweep(out.parent, _KIND)
        for folder in {place.parent for place in places}:
            (partial / folder).mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(os.cpu_count()) as writers:
            for start in range(0, len(rows), CHUNK):
                images, chunk = stills.draw(rows[start : start + CHUNK], renderer), places[start : start + CHUNK]
                list(writers.map(lambda place, image: (partial / place).write_bytes(png(image)), chunk, images))
                report(min(start + CHUNK, len(rows)), len(rows))
    return Exported(
        images=dict(sorted(Counter(place.parent.as_posix() for place in places).items())),
        unlabeled=int(((classes < 0) & chosen).sum()),
        unseen=int((labeled & ~no_subset & ~visible).sum()),
        no_subset=int(no_subset.sum()),
    )


def _subsets(cache: Cache, split: str | None) -> np.ndarray:
    """Subset of each sequence, "" for none."""
    if split is None:
        return np.full(len(cache.sequences), "")
    columns = {name for splits in cache.sequences["splits"] for name in splits}
    if split not in columns:
        raise unknown("split", split, columns) if columns else ConfigError(f"{cache.name} has no split {split!r}")
    return np.array([splits.get(split, "") for splits in cache.sequences["splits"]])


def _places(
    stills: Stills, rows: np.ndarray, subsets: np.ndarray, names: Sequence[str], classes: np.ndarray
) -> list[Path]:
    """Relative path of each row's image; ``classes`` are those of the rows."""
    stems, folders = file_names(stills.cache.sequences["id"].tolist()), file_names(names)
    tops = dict(zip(np.unique(subsets).tolist(), file_names(np.unique(subsets).tolist()), strict=True))
    which, numbers = stills.sequence[rows], stills.frames.number[rows]
    digits = max(6, len(str(int(numbers.max()))))
    return [
        Path(tops[subset] if (subset := str(subsets[sequence])) else "")
        / folders[label]
        / f"{stems[sequence]}_{number:0{digits}d}.png"
        for sequence, label, number in zip(which, classes, numbers, strict=True)
    ]
