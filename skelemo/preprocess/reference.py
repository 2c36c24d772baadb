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


def _reference(points: Tensor, part: Part, clips: Clips) -> Tensor:
    """``[N, 4]`` of a part's points ``[N, V, 3]``."""
    seen = points[..., 2].sum(1) > 0
    unit = _unit(points, part, clips, seen)
    origin = _origin(points, part, clips, seen, unit)
    turn = torch.tensor([1.0, 0.0], device=points.device).expand_as(origin)
    if part.level:
        across = _between(points, *part.level)
        length = torch.linalg.vector_norm(across, dim=-1, keepdim=True)
        turn = torch.where(length > _LEAST_LENGTH, across / length, torch.nan)
        if _needed(turn[:, 0].isnan() & seen):
            usual = clips.median(turn)
            usual = usual / torch.linalg.vector_norm(usual, dim=-1, keepdim=True)
            turn = torch.where(turn.isnan(), usual, turn)
            level = torch.tensor([1.0, 0.0], device=points.device)
            turn = torch.where(turn.isnan().any(-1, keepdim=True), level, turn)
    factor = torch.where(unit.isnan(), 0, 1 / unit)[:, None]
    return torch.cat([origin.nan_to_num(0), (turn * factor).nan_to_num(0)], -1).float()


def _unit(points: Tensor, part: Part, clips: Clips, seen: Tensor) -> Tensor:
    """``[N]`` the length of a unit in each frame's clip, NaN where nothing measures it."""
    found = points.new_full((len(points),), torch.nan)
    for rank in (*part.units, None):
        unknown = found.isnan() & seen
        if not _needed(unknown):
            break
        rows = _rows(clips, unknown)
        there, some = (points, clips) if rows is None else (points[rows], clips.rows(rows))
        value = some.median(_spread(there) if rank is None else _length(there, rank))
        if rows is None:
            found = torch.where(found.isnan(), value, found)
        else:
            found[rows] = torch.where(found[rows].isnan(), value, found[rows])
    return found


def _length(points: Tensor, rank: tuple[tuple[tuple[tuple[Place, Place], ...], float], ...]) -> Tensor:
    """``[N]`` the length of a unit in each frame by the distances of a rank, NaN where none is seen."""
    values = []
    for pairs, length in rank:
        lengths = torch.stack([torch.linalg.vector_norm(_between(points, *pair), dim=-1) for pair in pairs])
        values.append(torch.where(lengths > _LEAST_LENGTH, lengths, torch.nan).nanmean(0) / length)
    return values[0] if len(values) == 1 else torch.stack(values).pow(_POWER).nanmean(0).pow(1 / _POWER)


def _origin(points: Tensor, part: Part, clips: Clips, seen: Tensor, unit: Tensor) -> Tensor:
    """``[N, 2]`` the origin in each frame: the first place, or another at its usual distance from the first."""
    found = points.new_full((len(points), 2), torch.nan)
    for index, (name, x, y) in enumerate(part.origins):
        unknown = found[:, 0].isnan() & seen
        if not _needed(unknown):
            return found
        if not index:
            found = _locate(points, name)
            continue
        rows = _rows(clips, unknown)
        known, there = (found, points) if rows is None else (found[rows], points[rows])
        some, length = (clips, unit) if rows is None else (clips.rows(rows), unit[rows])
        anchor = _locate(there, name)
        usual = some.median(known - anchor)
        typical = length[:, None] * points.new_tensor([-x, -y])
        value = torch.where(known.isnan(), anchor + torch.where(usual.isnan(), typical, usual), known)
        if rows is None:
            found = value
        else:
            found[rows] = value
    return torch.where(found.isnan(), _mean_seen(points), found) if _needed(found[:, 0].isnan() & seen) else found


def _needed(frames: Tensor) -> bool:
    """Whether any of the frames is marked; always yes in a compiled or exported program, which cannot ask."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing() or bool(frames.any())


def _rows(clips: Clips, unknown: Tensor) -> Tensor | None:
    """Frames of the clips that lack something, to look at them alone; None for all, in windows."""
    return None if clips.window else clips.touched(unknown)


def _between(points: Tensor, start: Place, end: Place) -> Tensor:
    """``[N, 2]`` from one place to another, NaN where either is missing."""
    return _locate(points, end) - _locate(points, start)


def _locate(points: Tensor, place: Place) -> Tensor:
    """``[N, 2]`` where a place is, NaN where it is missing."""
    terms = [
        _mean_seen(points[:, term[0] : term[0] + 1] if len(term) == 1 else points[:, list(term)]) for term in place
    ]
    return terms[0] if len(terms) == 1 else torch.stack(terms).mean(0)


def _mean_seen(points: Tensor) -> Tensor:
    """``[N, 2]`` the mean of the seen ones of points ``[N, K, 3]``, NaN where there is none."""
    seen = points[..., 2:] > 0
    if points.shape[1] == 1:
        return torch.where(seen, points[..., :2], torch.nan)[:, 0]
    return (points[..., :2] * seen).sum(1) / seen.sum(1)


def _spread(points: Tensor) -> Tensor:
    """``[N]`` the root mean square distance of the seen points from their mean, NaN where they are no two."""
    seen = points[..., 2:] > 0
    count = seen.sum((1, 2))
    offset = (points[..., :2] - _mean_seen(points)[:, None].nan_to_num(0)) * seen
    spread = (offset.square().sum((1, 2)) / count.clamp(min=1)).sqrt()
    return torch.where((count > 1) & (spread > _LEAST_LENGTH), spread, torch.nan)
