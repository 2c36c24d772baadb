"""Reads OpenPose frames one at a time, as they arrive; `read_people` reads a whole recording."""

from collections import Counter

import numpy as np

from skelemo.errors import InputError
from skelemo.openpose.frame import Rows
from skelemo.openpose.people import check_model_and_scale
from skelemo.openpose.points import Extent, canonicalize, convert, detect_model, points_of_model
from skelemo.openpose.scale import detect_scale, to_pixels
from skelemo.openpose.validate import FrameError
from skelemo.skeleton import BODY_25, BODY_25B, FARTHEST, Layout, Part

#: Frames that vote whether bodies are BODY_25 or BODY_25B.
_VOTES = 30


class FrameReader:
    """Reads the frames of one stream with a constant body model and units, detected from its first frames.

    Parameters
    ----------
    layout : of the keypoints returned by `read`.
    body_model, scale : as for `read_people`.
    size : width and height of the images in pixels, (0, 0) if unknown; then files may provide it.
    """

    def __init__(
        self, layout: Layout, *, body_model: str = "auto", scale: str = "auto", size: tuple[int, int] = (0, 0)
    ) -> None:
        check_model_and_scale(layout, body_model, scale)
        self.layout = layout
        self.size = size
        self.scale = self._given_scale = "" if scale == "auto" else scale
        self._rows = Rows(layout, body_model)
        self._named = body_model
        self._model: Part | None = None
        self._votes: Counter[str] = Counter()
        body = layout.body
        self._body = layout.slices[body.name] if body else slice(0, 0)
        self._models = self._rows.slots[layout.parts.index(body)].models if body else {}

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height in pixels; if unknown, (1, 1) for fractional coordinates, otherwise (0, 0)."""
        return self.size if all(self.size) or self.scale in ("", "pixels") else (1, 1)

    @property
    def damage(self) -> str:
        """The unreadable part of the last frame, if the rest was kept."""
        return self._rows.damage

    def restart(self) -> None:
        """Detect body model and units again, for frames of another recording."""
        self._model, self.scale = None, self._given_scale
        self._votes.clear()

    def read(self, data: bytes) -> np.ndarray:
        """The people of a frame, float32 ``[P, V, 3]`` in pixels; missing points are (0, 0, 0).

        Raises `FrameError`: it is not an OpenPose frame, or does not fit the stream.
        """
        try:
            self._rows.add(data)
        finally:
            points, counts = self._rows.take()
        if self._rows.sizes and not all(self.size):
            self.size = next(iter(self._rows.sizes))
        if not len(points):
            return points
        self._map_bodies(points, counts)
        extent = canonicalize(points)
        if not extent.reach.max() <= FARTHEST:
            raise FrameError(f"has coordinates beyond any image ({extent.reach.max():g})")
        if not (extent.seen > 0).all():
            points, extent = points[extent.seen > 0], extent.of(extent.seen > 0)
        return self._in_pixels(points, extent)

    def _map_bodies(self, points: np.ndarray, counts: bytes) -> None:
        part = self.layout.body
        lengths = np.frombuffer(counts, np.uint8)
        found = {length: self._models[length] for length in np.unique(lengths).tolist() if length} if part else {}
        if part is None or not found:
            return
        self._model = self._model or max(found.values(), key=len)
        for model in found.values():
            if len(model) != len(self._model):
                raise FrameError(
                    f"has {model.name.upper()} bodies, unlike earlier frames with {self._model.name.upper()}"
                )
        model, body = self._model, points[:, self._body]
        if part is BODY_25 and len(model) == len(BODY_25) and self._named == "auto":
            if self._votes.total() < _VOTES and (vote := detect_model(body)):
                self._votes[vote.name] += 1
            model = BODY_25B if self._votes[BODY_25B.name] > self._votes[BODY_25.name] else BODY_25
        if model is not part:
            convert(body, model, part)

    def _in_pixels(self, points: np.ndarray, extent: Extent) -> np.ndarray:
        scale = self.scale
        if not scale and len(points):
            body = points_of_model(self.layout, self._model)
            try:
                scale, certain = detect_scale(extent, points, body, lambda _: "the frame")
            except InputError as error:
                raise FrameError(f"has {error}") from None
            self.scale = scale if certain else ""
        if scale in ("", "pixels"):
            return points
        return to_pixels(points, scale, self.size if all(self.size) else (1, 1))
