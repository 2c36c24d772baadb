"""Feature vectors of windows, for the baselines and the probe."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skelemo.models.registry import Spec
from skelemo.models.streams import SHAPES, Streams, present
from skelemo.skeleton import FACE_70

#: Points in time, evenly spaced over a window, whose positions are features.
MOMENTS = 12


class Features(nn.Module):
    """Concatenated `features` of each stream; for the streams of the face, of its points only.

    Raises `ConfigError` as `Streams`.
    """

    def __init__(self, spec: Spec, streams: Sequence[str]) -> None:
        super().__init__()
        self.streams = Streams(spec, streams, normalize=False)
        face = spec.layout.slices.get(FACE_70.name, slice(None))
        self.points = [face if name in SHAPES else slice(None) for name in self.streams.names]

    def forward(self, keypoints: Tensor, mask: Tensor) -> Tensor:
        """``[N, T, V, 3]`` and ``[N, T]`` to ``[N, F]``."""
        points = self.streams(keypoints, mask).split(3, -1)
        return torch.cat([features(some[:, :, one], mask) for some, one in zip(points, self.points, strict=True)], 1)


def features(keypoints: Tensor, mask: Tensor, *, moments: int = MOMENTS) -> Tensor:
    """Feature vectors of windows.

    Parameters
    ----------
    keypoints : ``[N, T, V, 3]``, normalized.
    mask : ``[N, T]`` bool, the visible frames.
    moments : number of points in time.

    Returns
    -------
    ``[N, F]`` float32. For single frames: x, y and visibility of every point. For longer windows: mean, standard
    deviation, minimum, maximum and last value of x and y over the frames in which the point is visible, the share of
    these frames, the position at evenly spaced moments between the first and last visible frame, and the differences
    between consecutive moments. A missing point keeps its last visible position (or takes its first); coordinates of
    points that are never visible are NaN.
    """
    seen = present(keypoints)[..., 0] & mask[..., None]  # [N, T, V]
    place = torch.where(seen[..., None], keypoints[..., :2].float(), 0)
    ever = seen.any(1)
    if keypoints.shape[1] == 1:
        return _rows(_known(place, ever), ever.float())
    share = seen.sum(1) / mask.sum(1).clamp(min=1)[:, None]
    chosen = _moments(_hold(place, seen), mask, moments)  # [N, moments, V, 2]
    series = (*_statistics(place, seen), chosen[:, -1:])
    return _rows(
        *(_known(part, ever) for part in series), share, _known(chosen, ever), _known(chosen.diff(dim=1), ever)
    )


def _known(place: Tensor, ever: Tensor) -> Tensor:
    """``[N, T, V, 2]`` with NaN for points that are never visible in the window."""
    return torch.where(ever[:, None, :, None], place, torch.nan)


def _rows(*parts: Tensor) -> Tensor:
    """Flatten tensors ``[N, …]`` and concatenate them."""
    return torch.cat([part.flatten(1).float() for part in parts], 1)


def _hold(place: Tensor, seen: Tensor) -> Tensor:
    """Fill a missing point with its last visible position, or its first."""
    frame = torch.arange(seen.shape[1], device=seen.device)[:, None]
    before, step = torch.where(seen, frame, -1), 1
    while step < seen.shape[1]:  # a running maximum; ONNX has none
        before = torch.cat([before[:, :step], torch.maximum(before[:, step:], before[:, :-step])], 1)
        step *= 2
    first = seen.int().argmax(1, keepdim=True)
    source = torch.where(before >= 0, before, first)
    return place.gather(1, source[..., None].expand_as(place))


def _moments(held: Tensor, mask: Tensor, count: int) -> Tensor:
    """Positions ``[N, count, V, 2]`` at times evenly spaced between the first and last visible frame."""
    length = mask.shape[1]
    first = mask.int().argmax(1)
    last = torch.where(mask.any(1), length - 1 - mask.flip(1).int().argmax(1), 0)
    steps = torch.linspace(0, 1, count, dtype=torch.float64, device=mask.device)
    time = first[:, None] + steps * (last - first)[:, None]  # [N, count]
    early = time.floor().long()
    late = torch.minimum(early + 1, last[:, None])
    share = (time - early)[..., None, None].float()
    row = torch.arange(held.shape[0], device=mask.device)[:, None]
    return held[row, early] * (1 - share) + held[row, late] * share


def _statistics(place: Tensor, seen: Tensor) -> tuple[Tensor, ...]:
    """Mean, deviation, minimum and maximum ``[N, 1, V, 2]`` over the frames in which a point is visible."""
    known = seen[..., None]  # [N, T, V, 1]
    count = known.sum(1, keepdim=True).clamp(min=1)
    mean = place.sum(1, keepdim=True) / count
    deviation = (((place - mean).square() * known).sum(1, keepdim=True) / count).sqrt()
    low = torch.where(known, place, torch.inf).amin(1, keepdim=True)
    high = torch.where(known, place, -torch.inf).amax(1, keepdim=True)
    return mean, deviation, low, high
