"""A page of samples by class, to check labels by eye."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from skelemo import __version__
from skelemo.cache.cache import Cache
from skelemo.errors import ConfigError
from skelemo.render import SkeletonRenderer
from skelemo.text import count
from skelemo.view.stills import Stills, png, require_empty

PAGE = "samples.html"
SIDE = 208  # pixels of an image, and half the width of one that shows two things

#: Headings of frames that have no class.
AFFECT_ONLY, UNLABELLED = "no class, valence and arousal", "unlabelled"


@dataclass(frozen=True)
class Sample:
    """One frame: where it comes from, what it is said to show, and its image as a data URL."""

    sequence: str
    number: int
    subject: str
    valence: float  # NaN unlabelled
    arousal: float
    image: str


@dataclass(frozen=True)
class Group:
    """The samples of one class, out of how many frames and sequences."""

    name: str
    frames: int
    sequences: int
    samples: tuple[Sample, ...]


def write_page(cache: Cache, out: Path, *, per_class: int = 12, view: str | None = None, seed: int = 0) -> Path:
    """Write a self-contained page into the folder ``out``; returns its path.

    Samples are spread over as many sequences as possible; the same seed chooses the same ones. Frames without a person
    are left out.

    Parameters
    ----------
    per_class : how many samples of each class at most.
    view : as `SkeletonRenderer` takes it; by default what the data show: face, person, or both side by side.

    Raises
    ------
    ConfigError
        ``out`` is not empty, an unknown view, or nobody is seen in any frame.
    """
    require_empty(out)
    stills = Stills.of(cache)
    view = view or _usual_view(stills)
    renderer = SkeletonRenderer(cache.layout, (SIDE, SIDE * (2 if "+" in view else 1)), view)
    groups = _groups(stills, per_class, renderer, np.random.default_rng(seed))
    if not groups:
        raise ConfigError(f"{cache.name}: nobody is seen in any of its {count(cache.frames, 'frame')}")
    environment = Environment(loader=PackageLoader("skelemo", "view"), autoescape=True, undefined=StrictUndefined)
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
    kind, visible = _kind(stills), stills.visible(renderer.view)
    names = (*stills.cache.classes, AFFECT_ONLY, UNLABELLED)
    labelled = bool((kind < len(names) - 1).any())
    groups = []
    for number, name in enumerate(names):
        rows = np.flatnonzero((kind == number) & visible)
        if not len(rows) or (name == UNLABELLED and labelled):
            continue
        chosen = spread(rows, stills.sequence[rows], most, rng)
        images = stills.draw(chosen, renderer)
        groups.append(Group(name, len(rows), len(np.unique(stills.sequence[rows])), _samples(stills, chosen, images)))
    return groups


def _kind(stills: Stills) -> np.ndarray:
    """``[N]`` the class of each frame; beyond the classes, frames with other labels only, then those without any."""
    frames, count = stills.frames, len(stills.cache.classes)
    affect = ~(np.isnan(frames.valence) & np.isnan(frames.arousal))
    return np.where(frames.expression >= 0, frames.expression, np.where(affect, count, count + 1))


def spread(rows: np.ndarray, sequence: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """At most so many of the rows, in random order: one of each sequence, then a second of each, and so on."""
    order = rng.permutation(len(rows))
    order = order[np.argsort(sequence[order], kind="stable")]
    turn = np.arange(len(rows)) - np.searchsorted(sequence[order], sequence[order])
    luck = rng.random(len(rows))
    return rows[order[np.lexsort((luck, turn))[:most]]]


def _samples(stills: Stills, rows: np.ndarray, images: Sequence[np.ndarray] | np.ndarray) -> tuple[Sample, ...]:
    frames, sequences = stills.frames, stills.cache.sequences
    return tuple(
        Sample(
            sequence=str(sequences["id"].iloc[stills.sequence[row]]),
            number=int(frames.number[row]),
            subject=str(sequences["subject"].iloc[stills.sequence[row]]),
            valence=float(frames.valence[row]),
            arousal=float(frames.arousal[row]),
            image="data:image/png;base64," + base64.b64encode(png(image)).decode(),
        )
        for row, image in zip(rows, images, strict=True)
    )
