"""The one path from raw keypoints to a model's input: units, gaps, smoothing, reference, normalization.

Training, `predict`, `live` and exported models share it and its settings, a `Preparation`.
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
StandardizeKind = Literal["none", "dataset"]


@dataclass(frozen=True)
class Preparation:
    """How raw keypoints become a model's input.

    Parameters
    ----------
    coordinates : ``parts`` normalizes each part by its own reference; ``frame`` uses image coordinates, for networks
        that draw skeletons.
    reference : what gaps, smoothing and units are computed over. ``clip``: the whole sequence, including later frames.
        ``window``: each window separately, so that a live camera, a file and an exported model get the same input as in
        training.
    min_confidence : points below it become missing.
    max_gap : gaps of up to this many frames are interpolated linearly.
    smooth : width of the triangular smoothing kernel in frames.
    causal : fill gaps and smooth from earlier frames only.
    calibrate : subtract a person's mean keypoints, see `skelemo.preprocess.calibration`. ``track``: the mean over all
        clips of the subject, or of the track if the subject is unknown. ``running``: over the track's frames so far.
    typical : mean x and y of each point for the average person of the training subset, if calibrated.
    standardize : ``dataset`` gives other data sets the training data's means and deviations.
    standard : means of x and y and deviations of x and y of each point in the training data.
    source : the same statistics of the data to predict, and their number of stills; computed from the data by default.
    """

    coordinates: Coordinates = "parts"
    reference: ReferenceKind = "clip"
    min_confidence: float = 0.0
    max_gap: int = 0
    smooth: int = 0
    causal: bool = False
    calibrate: CalibrationKind = "none"
    typical: tuple[tuple[float, ...], ...] = ()
    standardize: StandardizeKind = "none"
    standard: tuple[tuple[float, ...], ...] = ()
    source: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            if getattr(self, name) not in get_args(kind):
                raise unknown(name, getattr(self, name), get_args(kind))
        for name, (kinds, most) in _RANGES.items():
            value = getattr(self, name)
            if not isinstance(value, kinds) or isinstance(value, bool) is not (kinds is bool) or not 0 <= value <= most:
                expected = {bool: "true or false", int: f"a whole number from 0 to {most:,}"}.get(kinds, f"0 to {most}")
                raise ConfigError(f"{name} is {value!r}; expected {expected}")

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON types."""
        return asdict(self)

    def of_points(self, columns: Sequence[int]) -> "Preparation":
        """The settings for a selection of points."""
        fewer = {name: tuple(getattr(self, name)[i] for i in columns if getattr(self, name)) for name in _WIDTHS}
        return Preparation(**{**vars(self), **fewer})

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> "Preparation":
        """The settings that `to_json` returned; raises `ConfigError` for anything else."""
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


_KINDS: dict[str, Any] = {
    "coordinates": Coordinates,
    "reference": ReferenceKind,
    "calibrate": CalibrationKind,
    "standardize": StandardizeKind,
}
_RANGES: dict[str, tuple[Any, float]] = {
    "min_confidence": ((float, int), 1),
    "max_gap": (int, 1_000_000),
    "smooth": (int, 1001),
    "causal": (bool, 1),
}


def clean(keypoints: Tensor, clips: Clips, settings: Preparation) -> Tensor:
    """Drop low-confidence points of ``[N, V, 3]`` in pixels, fill short gaps and smooth."""
    if settings.min_confidence > 0:
        keypoints = filter_by_confidence(keypoints, settings.min_confidence)
    keypoints = fill_gaps(keypoints, clips, settings.max_gap, causal=settings.causal)
    return smooth(keypoints, clips, settings.smooth, causal=settings.causal)


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
    """Prepare raw keypoints: normalized ``[B, T, V, 3]``, and the mask ``[B, T]`` of frames with a visible point.

    Each ``[T, V, 3]``, a window or a whole recording, is prepared independently.

    Parameters
    ----------
    keypoints : ``[B, T, V, 3]`` as OpenPose wrote them; points with confidence 0 are missing.
    number : ``[B, T]`` frame numbers; 0, 1, 2, ... by default.
    present : ``[B, T]`` bool, which frames exist; all by default.
    size : ``[B, 2]`` width and height of the images in pixels; 0 if unknown, then the extent of the keypoints.
    scale : scale of x and y, one of `skelemo.skeleton.SCALES`.
    shift : ``[B, V, 2]`` subtracted from normalized keypoints, see `skelemo.preprocess.calibration.shifts`.
    scale_by : factor and offset, ``[V, 2]`` each, applied last.
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
        units = torch.full_like(clips.sequence, SCALES.index(scale))
        flat = to_pixels(flat, size.repeat_interleave(frames, 0), units)
    flat = torch.where(there, clean(flat, clips, settings), 0)
    if settings.coordinates == "frame":
        extent = flat[..., :2].unflatten(0, (batch, frames)).amax((1, 2)).clamp(min=1)
        size = torch.where((size > 0).all(-1, keepdim=True), size, extent)
        sizes = size[:, None].expand(batch, frames, 2).flatten(0, 1)  # torch.export follows this for any length
        reference = in_image(sizes)
    else:
        reference = by_part(flat, clips, layout)
    prepared = place(flat, reference, layout).unflatten(0, (batch, frames))
    if shift is not None:
        prepared = without(prepared, shift[:, None])
    if scale_by is not None:
        prepared = scaled(prepared, *scale_by)
    return prepared, (prepared[..., 2] > 0).any(-1)
