"""A page of samples by class, for visual inspection of labels."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skelemo import __version__
from skelemo.cache.store import Cache
from skelemo.errors import ConfigError
from skelemo.render import SkeletonRenderer
from skelemo.report.templates import templates
from skelemo.targets import Head, hard_labels
from skelemo.text import count, signed, visible
from skelemo.view.stills import Stills, png, require_empty

PAGE = "samples.html"
SIDE = 208  # image size in pixels; person+face is twice as wide

#: Headings for frames without a class.
NO_CLASS, UNLABELED = "no class, other labels", "unlabeled"


@dataclass(frozen=True)
class Sample:
    """One frame: its source, its labels other than the class, and its image as a data URL.

    ``point`` is its position in the plane of a head of two values, scaled to [-1, 1]; None if unlabeled.
    """

    sequence: str
    number: int
    subject: str
    labels: tuple[str, ...]
    point: tuple[float, float] | None
    image: str


@dataclass(frozen=True)
class Group:
    """Samples of one class, and its number of frames and sequences."""

    name: str
    frames: int
    sequences: int
    samples: tuple[Sample, ...]


def write_page(cache: Cache, out: Path, *, per_class: int = 12, view: str | None = None, seed: int = 0) -> Path:
    """Write a self-contained page to the folder ``out`` and return its path.

    Samples come from as many sequences as possible; the same seed selects the same samples. Frames with nobody visible
    are skipped.

    Raises `ConfigError`: ``out`` is not empty, an unknown view, or no person is visible in any frame.

    Parameters
    ----------
    per_class : maximum number of samples of a class.
    view : see `SkeletonRenderer`; by default face, person, or both side by side, depending on the data.
    """
    require_empty(out)
    stills = Stills.of(cache)
    view = view or _usual_view(stills)
    renderer = SkeletonRenderer(cache.layout, SIDE, view)
    groups = _groups(stills, per_class, renderer, np.random.default_rng(seed))
    if not groups:
        raise ConfigError(f"{cache.name}: no person is visible in any of {count(cache.frames, 'frame')}")
    environment = templates("view").overlay(finalize=lambda text: visible(text) if type(text) is str else text)
    page = environment.get_template("sample_page.html.j2").render(
        cache=cache, groups=groups, view=view, seed=seed, picture=renderer.picture, version=__version__
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / PAGE).write_text(page, encoding="utf-8")
    return out / PAGE


def _usual_view(stills: Stills) -> str:
    confidence, layout = stills.frames.keypoints[..., 2], stills.cache.layout
    shown = [part for part in layout.parts if (confidence[:, layout.slices[part.name]] > 0).any()]
    return "person" if layout.face not in shown else "face" if len(shown) == 1 else "person+face"


def _groups(stills: Stills, most: int, renderer: SkeletonRenderer, rng: np.random.Generator) -> list[Group]:
    grouped = next((head for head in stills.cache.heads if head.kind == "classes"), None)
    kind, visible = _kind(stills, grouped), stills.visible(renderer.view)
    names = (*(grouped.outputs if grouped else ()), NO_CLASS, UNLABELED)
    labeled = bool((kind < len(names) - 1).any())
    groups = []
    for number, name in enumerate(names):
        rows = np.flatnonzero((kind == number) & visible)
        if not len(rows) or (name == UNLABELED and labeled):
            continue
        chosen = spread(rows, stills.sequence[rows], most, rng)
        images = stills.draw(chosen, renderer)
        samples = _samples(stills, chosen, images, grouped)
        groups.append(Group(name, len(rows), len(np.unique(stills.sequence[rows])), samples))
    return groups


def _kind(stills: Stills, grouped: Head | None) -> np.ndarray:
    """Class of each frame, ``[N]``; K for frames with other labels only, K + 1 for unlabeled ones."""
    labels = stills.frames.labels
    count = len(grouped) if grouped else 0
    classes = hard_labels(labels[grouped.name]) if grouped else np.full(len(stills), -1)
    other = np.any([head.labeled(labels[head.name]) for head in stills.cache.heads], axis=0)
    return np.where(classes >= 0, classes, np.where(other, count, count + 1))


def spread(rows: np.ndarray, sequence: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Up to ``most`` rows in random order: one of each sequence, then a second of each, and so on."""
    order = rng.permutation(len(rows))
    order = order[np.argsort(sequence[order], kind="stable")]
    turn = np.arange(len(rows)) - np.searchsorted(sequence[order], sequence[order])
    luck = rng.random(len(rows))
    return rows[order[np.lexsort((luck, turn))[:most]]]


def _samples(
    stills: Stills, rows: np.ndarray, images: Sequence[np.ndarray] | np.ndarray, grouped: Head | None
) -> tuple[Sample, ...]:
    sequences = stills.cache.sequences
    others = [head for head in stills.cache.heads if head != grouped]
    plane = next((head for head in others if head.kind == "values" and len(head) == 2), None)
    return tuple(
        Sample(
            sequence=str(sequences["id"].iloc[stills.sequence[row]]),
            number=int(stills.frames.number[row]),
            subject=str(sequences["subject"].iloc[stills.sequence[row]]),
            labels=tuple(text for head in others for text in _texts(head, stills.frames.labels[head.name][row])),
            point=_point(plane, stills.frames.labels[plane.name][row]) if plane else None,
            image="data:image/png;base64," + base64.b64encode(png(image)).decode(),
        )
        for row, image in zip(rows, images, strict=True)
    )


def _texts(head: Head, label: np.ndarray) -> list[str]:
    """The labels of one frame as text; empty if unlabeled."""
    if not head.labeled(label[None]).any():
        return []
    if head.kind == "classes":
        return [f"{head.name} {head.outputs[int(hard_labels(label[None])[0])]}"]
    if head.kind == "flags":
        return [" ".join(name for name, flag in zip(head.outputs, label, strict=True) if flag > 0) or f"no {head.name}"]
    values = ("–" if np.isnan(value) else signed(value, head.low).replace("-", "−") for value in label)
    return [f"{name} {text}" for name, text in zip(head.outputs, values, strict=True)]


def _point(head: Head, label: np.ndarray) -> tuple[float, float] | None:
    x, y = (2 * (float(value) - head.low) / (head.high - head.low) - 1 for value in label)
    return None if np.isnan(x) or np.isnan(y) else (x, y)
