"""Normalization of each part by its reference: origin, unit of length and level line.

A part's rule is data (`skelemo.skeleton.Reference`). Origin and level line are computed in each frame, the unit once
per clip, which keeps motion and perspective. Each part is normalized by its own points only, so the visibility of other
parts never moves it. The body's origin and unit come from head and shoulders, which nearly every picture of a person
shows: hidden hips, legs or hands do not move the other points.
"""

import math
from functools import cache, partial, reduce

import torch
from torch import Tensor

from skelemo.preprocess.clips import Clips
from skelemo.skeleton import Layout, Part

#: Points closer than this, in any unit, coincide and measure nothing.
_LEAST_LENGTH = 1e-6
#: Exponent of the power mean over the distances of a rank. Foreshortened distances count little: with 1, shoulders in
#: profile would halve the unit; a maximum would follow the noise.
_POWER = 4


def seen_parts(keypoints: Tensor, layout: Layout) -> Tensor:
    """Whether each part has a visible point in each frame, bool ``[N, P]``."""
    return torch.stack([keypoints[:, where, 2].sum(1) > 0 for where in layout.slices.values()], 1)


def by_part(keypoints: Tensor, clips: Clips, layout: Layout, seen: Tensor | None = None) -> Tensor:
    """Reference of each part in each frame of ``[N, V, 3]``: ``[N, P, 4]`` for `place`.

    Undefined in frames without a visible point of the part. ``seen`` is what `seen_parts` returns, if already computed.
    """
    seen = seen_parts(keypoints, layout) if seen is None else seen
    parts = zip(layout.parts, layout.slices.values(), seen.unbind(1), strict=True)
    return torch.stack([_reference(keypoints[:, where], part, clips, shown) for part, where, shown in parts], 1)


def in_image(size: Tensor) -> Tensor:
    """Reference ``[N, 1, 4]`` of images of ``size [N, 2]`` pixels: centered, the longer side spans [-0.5, 0.5]."""
    longer = size.amax(-1, keepdim=True).clamp(min=1e-9)
    return torch.cat([size / 2, 1 / longer, torch.zeros_like(longer)], -1)[:, None]


def place(keypoints: Tensor, reference: Tensor, layout: Layout) -> Tensor:
    """Keypoints ``[..., V, 3]`` relative to their references; missing points stay zero.

    Parameters
    ----------
    reference : ``[..., P, 4]`` by part of the layout, or ``[..., 1, 4]`` for the whole: the origin's x and y, then
        cosine and sine of the rotation to undo, divided by the unit. Both are 0 without a unit; the points are missing.
    """
    placed = []
    slices = list(layout.slices.values()) if reference.shape[-2] > 1 else [slice(None)]
    for index, part in enumerate(slices):
        left, top, cosine, sine = reference[..., index, None, :].unbind(-1)  # [..., 1] each
        x, y, confidence = keypoints[..., part, :].unbind(-1)
        shown = (confidence > 0) & ((cosine != 0) | (sine != 0))
        x, y = x - left, y - top
        places = torch.stack([x * cosine + y * sine, y * cosine - x * sine, confidence], -1)
        placed.append(torch.where(shown[..., None], places, 0))
    return placed[0] if len(placed) == 1 else torch.cat(placed, -2)


class _Rule:
    """A part's rule as index tensors on a device, to compute all its places and distances together.

    Rows are padded to one length by repetition, which changes no mean.
    """

    def __init__(self, part: Part, device: torch.device) -> None:
        ends = [list(dict.fromkeys(pair for pairs, *_ in rank for pair in pairs)) for rank in part.units]
        named = [place for rank in ends for pair in rank for place in pair] + [place for place, _, _ in part.origins]
        places = sorted(dict.fromkeys([*named, *(part.level or ())]), key=lambda place: len(place) > 1)
        terms = list(dict.fromkeys(term for place in places for term in place))
        first, last = (min(map(min, terms)), 1 + max(map(max, terms))) if terms else (0, 0)
        self.terms = len(terms)
        self.span = slice(first, last)  # of the points, those in any term
        self.alone = sum(len(place) == 1 for place in places)  # of the terms, so many are the first places
        self.origins = [places.index(place) for place, _, _ in part.origins]
        self.level = [places.index(place) for place in part.level] if part.level else None
        index = partial(torch.tensor, device=device, dtype=torch.long)
        values = partial(torch.tensor, device=device, dtype=torch.float32)
        with torch.inference_mode(False):  # cached, and also used in training
            single = all(len(term) == 1 for term in terms)
            self.only = index([term[0] - first for term in terms]) if single else None  # [terms] points of the span
            self.chosen = values([[point in term for point in range(first, last)] for term in terms])  # [terms, K]
            means = [[terms.index(term) for term in place] for place in places[self.alone :]]
            self.means = index(_padded(means)) if means else None  # [places of several terms, terms]
            self.ends = [index([[places.index(place) for place in pair] for pair in rank]).T for rank in ends]  # [2, D]
            self.lengths = [  # of each rank [lengths, distances]
                index(_padded([[pairs.index(pair) for pair in of] for of, *_ in rank]))
                for rank, pairs in zip(part.units, ends, strict=True)
            ]
            self.units = [values([length for _, length, _ in rank])[:, None] for rank in part.units]
            self.weights = [values([weight for *_, weight in rank])[:, None] for rank in part.units]


_rule = cache(_Rule)


def _padded(rows: list[list[int]]) -> list[list[int]]:
    longest = math.lcm(*(len(row) for row in rows))
    return [row * (longest // len(row)) for row in rows]


class _Places:
    """Coordinates of a part's places in N frames of its points ``[N, V, 3]``, NaN where missing."""

    def __init__(self, points: Tensor, part: Part) -> None:
        make = _rule if _eager() else _Rule  # an exported program holds its own tensors
        self.points, self.rule = points, make(part, points.device)
        rule = self.rule
        if not rule.terms:
            return
        rows = points[:, rule.span].contiguous().flatten(1)  # torch transposes contiguous matrices fastest
        columns = rows.T.contiguous().unflatten(0, (-1, 3)).transpose(0, 1)  # [3, K, N], contiguous in time
        if rule.only is not None:
            columns = columns[:, rule.only]
            terms = torch.where(columns[2] > 0, columns[:2], torch.nan)  # [2, terms, N]
        else:
            terms = (rule.chosen @ columns[:2]) / (rule.chosen @ (columns[2] > 0).to(points.dtype))
        self.found = terms
        if rule.means is not None:
            self.found = torch.cat([terms[:, : rule.alone], terms[:, rule.means].mean(2)], 1)

    def __getitem__(self, place: int) -> Tensor:
        """``[2, N]``."""
        return self.found[:, place]

    def unit(self, rank: int) -> Tensor:
        """Unit ``[N]`` of each frame from the distances of a rank, NaN if none is visible."""
        (start, end), units = self.rule.ends[rank], self.rule.units[rank]
        length = _norm(self.found[:, end] - self.found[:, start])  # [D, N]
        distances, index = torch.where(length > _LEAST_LENGTH, length, torch.nan), self.rule.lengths[rank]
        values = (distances[index[:, 0]] if index.shape[1] == 1 else _nanmean(distances[index])) / units
        if len(units) == 1:
            return values[0]
        weight = torch.where(values.isnan(), 0, self.rule.weights[rank])
        return ((values.nan_to_num(0).pow(_POWER) * weight).sum(0) / weight.sum(0)).pow(1 / _POWER)


def _reference(points: Tensor, part: Part, clips: Clips, seen: Tensor) -> Tensor:
    """References ``[N, 4]`` of a part's points ``[N, V, 3]``."""
    places = _Places(points, part)
    unit = _unit(places, clips, seen)
    origin = _origin(places, part, clips, seen, unit)
    turn = torch.stack([torch.ones_like(unit), torch.zeros_like(unit)])
    if places.rule.level:
        start, end = places.rule.level
        turn = _turn(places[end] - places[start], turn, clips, seen)
    factor = torch.where(unit.isnan(), 0, 1 / unit)
    return torch.cat([origin.nan_to_num(0), turn * factor]).T.contiguous()


def _turn(across: Tensor, level: Tensor, clips: Clips, seen: Tensor) -> Tensor:
    """Cosine and sine ``[2, N]`` of a line; the clip's median where it is missing, else ``level``."""
    length = _norm(across)
    turn = torch.where(length > _LEAST_LENGTH, across / length, torch.nan)
    if _needed(turn[0].isnan() & seen):
        usual = clips.median(turn)
        turn = torch.where(turn.isnan(), usual / _norm(usual), turn)
    return torch.where(turn.isnan().any(0), level, turn)


def _unit(places: _Places, clips: Clips, seen: Tensor) -> Tensor:
    """Unit ``[N]`` of each frame's clip, NaN where nothing measures it."""
    ranks = [*range(len(places.rule.units)), None]
    if clips.window and not _eager():
        measured = [_spread(places.points) if rank is None else places.unit(rank) for rank in ranks]
        medians = clips.median(torch.stack(measured))
        return reduce(lambda found, value: torch.where(found.isnan(), value, found), medians)
    found = torch.full_like(seen, torch.nan, dtype=torch.float32)
    for rank in ranks:
        if not _needed(found.isnan() & seen):
            break
        value = clips.median(_spread(places.points) if rank is None else places.unit(rank))
        found = torch.where(found.isnan(), value, found)
    return found


def _origin(places: _Places, part: Part, clips: Clips, seen: Tensor, unit: Tensor) -> Tensor:
    """Origin ``[2, N]`` of each frame: the first place, or a fallback plus its usual offset from the first."""
    found = torch.full((2, seen.shape[0]), torch.nan, device=seen.device)
    offsets = unit.new_tensor([*((-x, -y) for _, x, y in part.origins), (0, 0)])
    typical = unit.nan_to_num(0) * offsets[..., None]  # [places, 2, N]
    for place_, offset in zip((*places.rule.origins, None), typical.unbind(0), strict=True):
        unknown = found[0].isnan() & seen
        if not _needed(unknown):
            break
        if clips.window:
            found = _completed(found, _mean_seen(places.points) if place_ is None else places[place_], offset, clips)
            continue
        if place_ is not None and not _needed(unknown & ~places[place_][0].isnan()):
            continue
        some, rows = _of(clips, unknown)
        anchor = _mean_seen(places.points[rows]) if place_ is None else places[place_][:, rows]
        found[:, rows] = _completed(found[:, rows], anchor, offset[:, rows], some)
    return found


def _completed(known: Tensor, anchor: Tensor, typical: Tensor, clips: Clips) -> Tensor:
    """Fill the origin ``[2, N]`` where it is NaN, from a place and its median (or else typical) offset."""
    usual = clips.median(known - anchor)
    return torch.where(known.isnan(), anchor + torch.where(usual.isnan(), typical, usual), known)


def _nanmean(values: Tensor) -> Tensor:
    """Mean over axis 1 without NaN; NaN if all are NaN."""
    known = ~values.isnan()
    return torch.where(known, values, 0).sum(1) / known.sum(1)


def _norm(vectors: Tensor) -> Tensor:
    """Lengths ``[…]`` of vectors ``[2, …]``; ONNX has no hypot, and lengths in pixels do not overflow."""
    return vectors.square().sum(0).sqrt()


def _needed(frames: Tensor) -> bool:
    """Whether any frame is marked; always true in exported programs, and on devices for which Python would wait."""
    return not _eager() or frames.device.type != "cpu" or bool(frames.any())


def _eager() -> bool:
    """Whether control flow may depend on values, as it may not in a compiled or exported program."""
    return not (torch.compiler.is_compiling() or torch.jit.is_tracing())


def _of(clips: Clips, unknown: Tensor) -> tuple[Clips, Tensor | slice]:
    """The clips with an unknown frame, and the rows of all their frames."""
    touched = clips.touched(unknown)
    if touched.all():
        return clips, slice(None)
    rows = touched.nonzero()[:, 0]
    return clips.rows(rows), rows


def _mean_seen(points: Tensor) -> Tensor:
    """Mean ``[2, N]`` of the visible points of ``[N, K, 3]``, NaN if there is none."""
    columns = points.permute(1, 2, 0).contiguous()  # [K, 3, N], contiguous in time
    if len(columns) == 1:
        return torch.where(columns[0, 2] > 0, columns[0, :2], torch.nan)
    return columns[:, :2].sum(0) / (columns[:, 2] > 0).sum(0)


def _spread(points: Tensor) -> Tensor:
    """Root mean square distance ``[N]`` of the visible points from their mean, NaN with fewer than two."""
    seen = points[..., 2] > 0
    count = seen.sum(1)
    offset = (points[..., :2] - _mean_seen(points).nan_to_num(0).T[:, None]) * seen[..., None]
    spread = (offset.square().sum((1, 2)) / count.clamp(min=1)).sqrt()
    return torch.where((count > 1) & (spread > _LEAST_LENGTH), spread, torch.nan)
