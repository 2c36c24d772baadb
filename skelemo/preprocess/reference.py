"""Origin, unit and level line of each part, and putting keypoints into them.

The rule of a part is data (`skelemo.skeleton.Reference`). The origin and the level line are found in each frame, the
unit is one number per clip, so that motion and perspective stay. Every part is normalized by its own points alone: what
else is seen never moves them. The body's origin and unit come from head and shoulders, which nearly every picture of a
person shows, so that hidden hips, legs or hands do not move the rest.
"""

import torch
from torch import Tensor

from skelemo.preprocess.clips import Clips
from skelemo.skeleton import Layout, Part, Place

#: Points closer than this, in whatever unit, fall together and measure nothing.
_LEAST_LENGTH = 1e-6
#: Exponent of the mean over distances of a rank. A distance that is seen from its end is short and counts little: with
#: 1 a shoulder's width in profile halves the unit, a maximum would follow the noise of each.
_POWER = 4


def seen_parts(keypoints: Tensor, layout: Layout) -> Tensor:
    """Whether anything of each part was seen in each frame, bool ``[N, P]``."""
    return torch.stack([keypoints[:, where, 2].sum(1) > 0 for where in layout.slices.values()], 1)


def by_part(keypoints: Tensor, clips: Clips, layout: Layout) -> Tensor:
    """Reference of each part in each frame of ``[N, V, 3]``: ``[N, P, 4]`` as `place` takes it.

    Without meaning in frames that show nothing of the part.
    """
    parts = zip(layout.parts, layout.slices.values(), strict=True)
    return torch.stack([_reference(keypoints[:, where], part, clips) for part, where in parts], 1)


def in_image(size: Tensor) -> Tensor:
    """Reference ``[N, 1, 4]`` of whole images of ``size [N, 2]`` pixels: centered, the longer side in [-0.5, 0.5]."""
    longer = size.amax(-1, keepdim=True).clamp(min=1e-9)
    return torch.cat([size / 2, 1 / longer, torch.zeros_like(longer)], -1)[:, None]


def place(keypoints: Tensor, reference: Tensor, layout: Layout) -> Tensor:
    """Keypoints ``[..., V, 3]`` relative to their references; missing points stay zero.

    Parameters
    ----------
    reference : ``[..., P, 4]`` by part of the layout, or ``[..., 1, 4]`` for all of it: the origin's x and y, then
        cosine and sine of the turn to undo, both divided by the unit. Both 0: there is no unit, and nothing is shown.
    """
    placed = torch.empty_like(keypoints)
    slices = list(layout.slices.values()) if reference.shape[-2] > 1 else [slice(None)]
    for index, part in enumerate(slices):
        left, top, cosine, sine = reference[..., index, None, :].unbind(-1)  # [..., 1] each
        x, y, confidence = keypoints[..., part, :].unbind(-1)
        shown = (confidence > 0) & ((cosine != 0) | (sine != 0))
        x, y = x - left, y - top
        places = torch.stack([x * cosine + y * sine, y * cosine - x * sine, confidence], -1)
        placed[..., part, :] = torch.where(shown[..., None], places, 0)
    return placed


class _Places:
    """Where the places of a part are in N frames of its points ``[N, V, 3]``, each found once."""

    def __init__(self, points: Tensor) -> None:
        self.points = points
        self.found: dict[Place, Tensor] = {}

    def __getitem__(self, place: Place) -> Tensor:
        """``[2, N]``, NaN where the place is missing."""
        if place not in self.found:
            terms = [self._mean(term) for term in place]
            self.found[place] = terms[0] if len(terms) == 1 else torch.stack(terms).mean(0)
        return self.found[place]

    def _mean(self, points: tuple[int, ...]) -> Tensor:
        run = points == tuple(range(points[0], points[-1] + 1))
        return _mean_seen(self.points[:, points[0] : points[-1] + 1] if run else self.points[:, list(points)])

    def between(self, start: Place, end: Place) -> Tensor:
        """``[2, N]`` from one place to another."""
        return self[end] - self[start]

    def distance(self, start: Place, end: Place) -> Tensor:
        """``[N]`` from one place to another, NaN where they fall together."""
        length = torch.hypot(*self.between(start, end))
        return torch.where(length > _LEAST_LENGTH, length, torch.nan)


def _reference(points: Tensor, part: Part, clips: Clips) -> Tensor:
    """``[N, 4]`` of a part's points ``[N, V, 3]``."""
    places, seen = _Places(points), points[..., 2].sum(1) > 0
    unit = _unit(places, part, clips, seen)
    origin = _origin(places, part, clips, seen, unit)
    turn = torch.stack([torch.ones_like(unit), torch.zeros_like(unit)])
    if part.level:
        turn = _turn(places.between(*part.level), turn, clips, seen)
    factor = torch.where(unit.isnan(), 0, 1 / unit)
    return torch.cat([origin.nan_to_num(0), turn * factor]).T.contiguous()


def _turn(across: Tensor, level: Tensor, clips: Clips, seen: Tensor) -> Tensor:
    """Cosine and sine ``[2, N]`` of a line; where it is missing those of the clip, and without any the level ones."""
    length = torch.hypot(*across)
    turn = torch.where(length > _LEAST_LENGTH, across / length, torch.nan)
    if _needed(turn[0].isnan() & seen):
        usual = clips.median(turn)
        turn = torch.where(turn.isnan(), usual / torch.hypot(*usual), turn)
    return torch.where(turn.isnan().any(0), level, turn)


def _unit(places: _Places, part: Part, clips: Clips, seen: Tensor) -> Tensor:
    """``[N]`` the length of a unit in each frame's clip, NaN where nothing measures it."""
    found = torch.full_like(seen, torch.nan, dtype=torch.float32)
    for rank in (*part.units, None):
        unknown = found.isnan() & seen
        if not _needed(unknown):
            break
        some, rows = _of(clips, unknown)
        value = some.median((_spread(places.points) if rank is None else _length(places, rank))[rows])
        found = found.index_put((rows,), torch.where(found[rows].isnan(), value, found[rows]))
    return found


def _length(places: _Places, rank: tuple[tuple[tuple[tuple[Place, Place], ...], float], ...]) -> Tensor:
    """``[N]`` the length of a unit in each frame by the distances of a rank, NaN where none is seen."""
    values = [_mean([places.distance(*pair) for pair in pairs]) / length for pairs, length in rank]
    return values[0] if len(values) == 1 else _mean([value.pow(_POWER) for value in values]).pow(1 / _POWER)


def _mean(values: list[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.stack(values).nanmean(0)


def _origin(places: _Places, part: Part, clips: Clips, seen: Tensor, unit: Tensor) -> Tensor:
    """``[2, N]`` the origin in each frame: the first place, or another at its usual distance from the first."""
    found = torch.full((2, len(seen)), torch.nan, device=seen.device)
    for place_, x, y in (*part.origins, (None, 0, 0)):
        unknown = found[0].isnan() & seen
        if not _needed(unknown):
            break
        some, rows = _of(clips, unknown)
        known = found[:, rows]
        anchor = _mean_seen(places.points[rows]) if place_ is None else places[place_][:, rows]
        usual = some.median(known - anchor)
        typical = unit[rows] * unit.new_tensor([[-x], [-y]])
        offset = torch.where(usual.isnan(), typical.nan_to_num(0), usual)
        value = torch.where(known.isnan(), anchor + offset, known)
        found = torch.stack([row.index_put((rows,), one) for row, one in zip(found, value, strict=True)])
    return found


def _needed(frames: Tensor) -> bool:
    """Whether any of the frames is marked; always yes in a compiled or exported program, which cannot ask."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing() or bool(frames.any())


def _of(clips: Clips, unknown: Tensor) -> tuple[Clips, Tensor]:
    """The clips that lack something, and their frames; all of them in windows, whose number is fixed."""
    if clips.window:
        return clips, torch.arange(len(unknown), device=unknown.device)
    rows = clips.touched(unknown).nonzero()[:, 0]
    return clips.rows(rows), rows


def _mean_seen(points: Tensor) -> Tensor:
    """``[2, N]`` the mean of the seen ones of points ``[N, K, 3]``, NaN where there is none."""
    columns = points.permute(1, 2, 0).contiguous()  # [K, 3, N]: a point's frames lie side by side
    if len(columns) == 1:
        return torch.where(columns[0, 2] > 0, columns[0, :2], torch.nan)
    return columns[:, :2].sum(0) / (columns[:, 2] > 0).sum(0)


def _spread(points: Tensor) -> Tensor:
    """``[N]`` the root mean square distance of the seen points from their mean, NaN where they are no two."""
    seen = points[..., 2] > 0
    count = seen.sum(1)
    offset = (points[..., :2] - _mean_seen(points).nan_to_num(0).T[:, None]) * seen[..., None]
    spread = (offset.square().sum((1, 2)) / count.clamp(min=1)).sqrt()
    return torch.where((count > 1) & (spread > _LEAST_LENGTH), spread, torch.nan)
