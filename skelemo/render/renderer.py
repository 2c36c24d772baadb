"""The renderer: keypoints of a batch to the images that OpenPose would draw, downscaled."""

import math

import torch
from torch import Tensor, nn

from skelemo import skeleton
from skelemo.errors import ConfigError, unknown
from skelemo.render import views
from skelemo.render.part import PartDrawing, Scales
from skelemo.render.views import USUAL, VIEWS, Placement, Size
from skelemo.skeleton import Layout

FARTHEST = 64.0  # in longer sides of the picture: points beyond count as missing
LONGEST_SIDE = 8192  # pixels


class SkeletonRenderer(nn.Module):
    """Draws keypoints, ``[B, T, V, 3] → [B T, 3, H, W]`` in [0, 1], in the keypoints' own float type.

    The images match OpenPose's CPU drawing on black (``renderKeypointsCpu``: colors, order, thickness, radii and
    thresholds of body, face and hands) at the resolution of the video, averaged down to ``size``. They are drawn
    directly at that size, with antialiased strokes. A frame without keypoints is black. There is no gradient.

    Raises `ConfigError`: an unknown view or layout, a view of a face that the layout lacks, or an invalid size.

    Parameters
    ----------
    layout : the layout of the keypoints, or its name.
    size : height and width of a view in pixels; one number for a square.
    view : what the images show.
        ``frame``: the whole picture, letterboxed, as in the paper.
        ``person``: the bounding box of the drawn points of each frame, with a margin.
        ``face``: the bounding box of the face, and only the face; black if there is none.
        ``person+face``: ``person``, and ``face`` to the right of it; the image is twice as wide as ``size``.
        A crop is drawn as if it were a picture of its own, so that people look alike at any distance.

    Attributes
    ----------
    picture : height and width of the images.
    """

    def __init__(self, layout: Layout | str, size: int | Size = 224, view: str = "frame") -> None:
        super().__init__()
        self.layout = skeleton.layout(layout) if isinstance(layout, str) else layout
        height, width = (size, size) if isinstance(size, int) else map(int, size)
        shown = view.split("+")
        self.picture: Size = (height, width * len(shown))
        self.view = view
        if view not in VIEWS:
            raise unknown("view", view, VIEWS)
        if "face" in view and self.layout.face is None:
            raise ConfigError(f"view {view!r} shows a face, which the layout {self.layout.name} lacks")
        if min(self.picture) < 2 or max(self.picture) > LONGEST_SIDE:
            raise ConfigError(f"images of {self.picture} pixels: sides must be 2 or more, and at most {LONGEST_SIDE:,}")
        self.panes = nn.ModuleList(_Pane(self.layout, (height, width), pane) for pane in shown)

    def forward(self, keypoints: Tensor, frame_size: Tensor | None = None) -> Tensor:
        """Images ``[B T, 3, H, W]`` of keypoints ``[B, T, V, 3]`` in frame coordinates.

        Frame coordinates: x, y from the picture's center, whose longer side spans [-0.5, 0.5]; confidence 0 is
        missing. ``frame_size [B, 2]`` (or ``[2]`` for all) is the width and height of the pictures in pixels, 0 if
        unknown, then `views.USUAL`; only the view ``frame`` uses it. Coordinates are computed in float32.
        """
        batch, frames, count, channels = keypoints.shape
        if (count, channels) != (len(self.layout), 3):
            raise ConfigError(
                f"keypoints of {count} points with {channels} channels; the renderer draws {len(self.layout)} points "
                f"({self.layout.name}) with x, y and confidence"
            )
        flat = keypoints.detach().float().flatten(0, 1)  # [N, V, 3]
        if frame_size is not None:
            frame_size = frame_size.float().view(-1, 1, 2).expand(batch, frames, 2).flatten(0, 1)
        panes = [pane(flat, frame_size) for pane in self.panes]
        return (panes[0] if len(panes) == 1 else torch.cat(panes, -1)).to(keypoints.dtype)


class _Pane(nn.Module):
    """One view, and the parts that it shows."""

    threshold: Tensor
    source: Tensor
    image: Tensor

    def __init__(self, layout: Layout, size: Size, view: str) -> None:
        super().__init__()
        self.size = size
        self.view = view
        shown = [part for part in layout.parts if view != "face" or part.kind == "face"]
        scales = self._scales()
        self.parts = nn.ModuleList(PartDrawing(part, layout.slices[part.name], size, scales) for part in shown)
        threshold = [
            part.drawing.threshold if part in shown else math.inf for part in layout.parts for _ in range(len(part))
        ]
        self.register_buffer("threshold", torch.tensor(threshold), persistent=False)
        self.register_buffer("source", torch.tensor(USUAL), persistent=False)
        self.register_buffer("image", torch.tensor(size[::-1]), persistent=False)

    def _scales(self) -> Scales:
        height, width = self.size
        extent = math.sqrt(height * width)
        known = extent, min(1.0, max(self.size) / max(USUAL))
        if self.view == "frame":
            fit = min(width / USUAL[0], height / USUAL[1])
            known = math.sqrt(math.prod(USUAL)) * fit, min(1.0, fit)
        return {True: known, False: (extent, 1.0)}

    def forward(self, keypoints: Tensor, frame_size: Tensor | None) -> Tensor:
        """Images ``[N, 3, H, W]`` of keypoints ``[N, V, 3]``."""
        points, confidence = keypoints[..., :2].transpose(1, 2), keypoints[..., 2]  # [N, 2, V], [N, V]
        sound = (points.abs() <= FARTHEST).all(1)  # false for NaN too
        points = points.masked_fill(~sound.unsqueeze(1), 0)
        confidence = confidence.masked_fill(~sound, 0)
        place = self._place(points, confidence, frame_size)
        points = points * place.zoom.unsqueeze(-1) + place.origin.unsqueeze(-1)  # source pixels
        image = None
        for part in self.parts:
            image = part(image, points, confidence, place, usual=self.view != "frame" or frame_size is None)
        assert image is not None
        return image.unflatten(-1, self.size)

    def _place(self, points: Tensor, confidence: Tensor, frame_size: Tensor | None) -> Placement:
        image = self.image.float()
        if self.view != "frame":
            return views.crop(points, confidence > self.threshold, image)
        frame = self.source.float().unsqueeze(0)
        if frame_size is not None:
            frame = torch.where((frame_size > 0).all(-1, keepdim=True), frame_size, frame)
        return views.whole(frame, image)
