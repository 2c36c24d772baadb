"""The one path from raw keypoints to what a model sees: units, gaps, smoothing, reference, normalized.

Training, `predict`, live answers and exported models all come this way, under one `Preparation`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from skelemo.errors import ConfigError, unknown
from skelemo.preprocess.calibration import scaled, without
from skelemo.preprocess.cleaning import fill_gaps, filter_by_confidence, smooth, to_pixels
from skelemo.preprocess.clips import Clips
from skelemo.preprocess.reference import by_part, in_image, place
from skelemo.skeleton import SCALES, Layout

Coordinates = Literal["parts", "frame"]
ReferenceKind = Literal["clip", "window"]
CalibrationKind = Literal["none", "track", "running"]


@dataclass(frozen=True)
class Preparation:
    """How raw keypoints become what a model sees.

    Parameters
    ----------
    coordinates : ``parts`` normalizes each part by its own reference; ``frame`` places all in the image, for networks
        that draw.
    reference : what gaps, smoothing and units are computed over. ``clip``: the whole sequence, its future included.
        ``window``: the frames of each window alone, so that a live camera, a file and an exported model see the same
        numbers as training did.
    min_confidence : points below it become missing.
    max_gap : gaps of up to so many frames are interpolated linearly.
    smooth : width in frames of the triangle that smooths each point.
    causal : fill gaps and smooth from earlier frames alone.
    calibrate : what is usual of a person is taken off, see `skelemo.preprocess.calibration`. ``track``: by all clips of
        the subject, or of the track where no subject is known. ``running``: by the track's frames so far.
    typical : usual places of the average person, x and y of each point, where something is taken off.
    standardize : ``dataset``: other data than a model was trained on are given the means and deviations of these.
    standard : these, of each point: mean of x and y, deviation of x and y.
    source : the same of the data that are to be answered, and of how many stills; of those at hand unless given.
    """

    coordinates: Coordinates = "parts"
    reference: ReferenceKind = "clip"
    min_confidence: float = 0.0
    max_gap: int = 0
    smooth: int = 0
    causal: bool = False
    calibrate: CalibrationKind = "none"
    typical: tuple[tuple[float, ...], ...] = ()
    standardize: Literal["none", "dataset"] = "none"
    standard: tuple[tuple[float, ...], ...] = ()
    source: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        kinds = (
            *(("coordinates", Coordinates), ("reference", ReferenceKind), ("calibrate", CalibrationKind)),
            ("standardize", Literal["none", "dataset"]),
        )
        for name, kind in kinds:
            if getattr(self, name) not in get_args(kind):
                raise unknown(name, str(getattr(self, name)), get_args(kind))
        for name, (kinds, most) in _RANGES.items():
            value = getattr(self, name)
            if not isinstance(value, kinds) or isinstance(value, bool) is not (kinds is bool) or not 0 <= value <= most:
                expected = {bool: "true or false", int: f"a whole number from 0 to {most:,}"}.get(kinds, f"0 to {most}")
                raise ConfigError(f"{name} is {value!r}; expected {expected}")

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON can hold them."""
        return asdict(self)

    def of_points(self, columns: Sequence[int]) -> "Preparation":
        """The settings for some of the points."""
        fewer = {name: tuple(getattr(self, name)[i] for i in columns if getattr(self, name)) for name in _WIDTHS}
        return Preparation(**{**vars(self), **fewer})

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> "Preparation":
        """The settings that `to_json` wrote; `ConfigError` where they are none."""
        known = [field.name for field in fields(cls)]
        if not isinstance(settings, Mapping):
            raise ConfigError(f"preparation is {type(settings).__name__}; expected a mapping of {', '.join(known)}")
        for name in settings:
            if name not in known:
                raise unknown("setting of a preparation", str(name), known)
        lists = {name: _rows(name, settings.get(name, ()), width) for name, width in _WIDTHS.items()}
        return cls(**{**settings, **lists})


#: Numbers for each point.
_WIDTHS = {"typical": 2, "standard": 4, "source": 5}


def _rows(name: str, rows: Any, width: int) -> tuple[tuple[float, ...], ...]:
    try:
        found = tuple(tuple(float(number) for number in row) for row in rows)
    except (TypeError, ValueError):
        found = ((),)
    if any(len(row) != width for row in found):
        raise ConfigError(f"{name} of a preparation: expected a list with {width} numbers for each point")
    return found


_RANGES: dict[str, tuple[Any, float]] = {
    "min_confidence": ((float, int), 1),
    "max_gap": (int, 1_000_000),
    "smooth": (int, 1001),
    "causal": (bool, 1),
}


def clean(keypoints: Tensor, clips: Clips, settings: Preparation) -> Tensor:
    """Keypoints ``[N, V, 3]`` in pixels without doubtful points, short gaps and jitter."""
    if settings.min_confidence > 0:
        keypoints = filter_by_confidence(keypoints, settings.min_confidence)
    keypoints = fill_gaps(keypoints, clips, settings.max_gap, causal=settings.causal)
    return smooth(keypoints, clips, settings.smooth, causal=settings.causal)


def find_reference(keypoints: Tensor, clips: Clips, layout: Layout, settings: Preparation, size: Tensor) -> Tensor:
    """Reference ``[N, P, 4]`` by part, or ``[N, 1, 4]`` in images of ``size [N, 2]``, of cleaned keypoints."""
    return by_part(keypoints, clips, layout) if settings.coordinates == "parts" else in_image(size)


def prepare(
    keypoints: Tensor,
    layout: Layout,
    settings: Preparation,
    *,
    number: Tensor | None = None,
    present: Tensor | None = None,
    size: Tensor | None = None,
    scale: str = "pixels",
    shift: Tensor | None = None,
    scale_by: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """What a model sees of raw keypoints: normalized ``[B, T, V, 3]`` and mask ``[B, T]``, whether anything is seen.

    Every ``[T, V, 3]`` is prepared by itself, be it a window or a whole recording.

    Parameters
    ----------
    keypoints : ``[B, T, V, 3]`` as OpenPose wrote them; confidence 0 is missing, whatever x and y say.
    number : ``[B, T]`` frame numbers; 0, 1, 2, ... unless given.
    present : ``[B, T]`` bool, which frames there are: the others stay missing. All of them unless given.
    size : ``[B, 2]`` width and height of the images in pixels, 0 where unknown: as large as what is seen.
    scale : units of x and y, of `skelemo.skeleton.SCALES`.
    shift : ``[B, V, 2]`` what is taken off normalized places, see `skelemo.preprocess.calibration.shifts`.
    scale_by : ``[V, 2]`` each, what they are then multiplied by and what is added.
    """
    batch, frames = keypoints.shape[:2]
    if number is None:
        number = torch.arange(frames, device=keypoints.device).expand(batch, frames)
    clips = Clips.windows(number)
    present = torch.ones_like(number, dtype=torch.bool) if present is None else present
    there = present.flatten()[:, None, None]
    flat = keypoints.float().flatten(0, 1)
    flat = torch.where(there & (flat[..., 2:] > 0), flat, 0)
    size = flat.new_zeros(batch, 2) if size is None else size.float()
    if scale != "pixels":
        known = (size > 0).all(-1, keepdim=True)
        size = torch.where(known, size, 1)
        units = torch.full_like(clips.sequence, SCALES.index(scale))
        flat = to_pixels(flat, size.repeat_interleave(frames, 0), units)
    flat = torch.where(there, clean(flat, clips, settings), 0)
    if settings.coordinates == "frame":
        size = torch.where((size > 0).all(-1, keepdim=True), size, seen_size(flat.unflatten(0, (batch, frames))))
    reference = find_reference(flat, clips, layout, settings, size.repeat_interleave(frames, 0))
    prepared = place(flat, reference, layout).unflatten(0, (batch, frames))
    if shift is not None:
        prepared = without(prepared, shift[:, None])
    if scale_by is not None:
        prepared = scaled(prepared, *scale_by)
    return prepared, (prepared[..., 2] > 0).any(-1)


def seen_size(keypoints: Tensor) -> Tensor:
    """``[B, 2]`` how large an image must be to hold what ``[B, T, V, 3]`` shows, for images of unknown size."""
    return keypoints[..., :2].amax((1, 2)).clamp(min=1)
