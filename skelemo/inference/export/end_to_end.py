"""The module to export: raw keypoints in pixels to predictions.

It contains what training and `Model.predict` do: `skelemo.preprocess`, the renderer, the network (or the networks of
all folds, averaged), softmax.
"""

import torch
from torch import Tensor, nn

from skelemo.data.images import usual_size
from skelemo.errors import ConfigError
from skelemo.inference.predictor import Model
from skelemo.models.heads import predictions
from skelemo.preprocess import prepare

#: Outputs besides those of the heads.
VISIBLE = ("visible_frames", "visible_points")


class EndToEnd(nn.Module):
    """The exported module: raw keypoints to predictions.

    A model with ``reference: window`` takes windows, ``keypoints [B, T, V, 3]``. A model with ``reference: clip`` takes
    a person's whole recording, ``keypoints [1, C, V, 3]`` of any length C, and ``frames [W, T]``, the indices of each
    window's frames (-1: none).

    Raises `ConfigError`: the members do not take the same windows.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        first = model.members[0]
        if len({(one.preparation, one.window, one.layout.name) for one in model.members}) > 1:
            raise ConfigError(f"{model.name}: the runs prepare keypoints differently; export them one by one")
        self.heads, self.layout, self.settings, self.window = model.heads, first.layout, first.preparation, first.window
        if self.settings.calibrate != "none":
            raise ConfigError(
                f"{model.name} has calibrate: {self.settings.calibrate}, which needs a person's other frames: train "
                "with --set calibrate=none to export, or use the run folder"
            )
        if self.settings.standardize != "none":
            raise ConfigError(
                f"{model.name} has standardize: dataset, which needs the statistics of the whole data set: train with "
                "--set standardize=none to export, or use the run folder"
            )
        self.networks = nn.ModuleList(one.network for one in model.members)
        self.flips = [one.file.flip_average for one in model.members]
        self.of_heads = [one.file.heads for one in model.members]
        self.by_clip = self.settings.reference == "clip"
        self.draws = self.settings.coordinates == "frame"
        timed = self.settings.max_gap > 0 or self.settings.smooth > 1
        several = self.by_clip or self.window.length > 1
        self.inputs = ["keypoints", "mask", *["number"] * (timed and several), *["frame_size"] * self.draws]
        self.inputs += ["frames"] * self.by_clip
        self.outputs = [*(head.name for head in self.heads), *VISIBLE, *["seen"] * self.by_clip]

    @property
    def least(self) -> int:
        """Smallest number of frames: T, or for whole recordings what gaps and smoothing need."""
        if not self.by_clip:
            return self.window.length
        return max(2, 2 * self.settings.max_gap + 2, self.settings.smooth + 1)

    def forward(
        self,
        keypoints: Tensor,
        mask: Tensor,
        number: Tensor | None = None,
        frame_size: Tensor | None = None,
        frames: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Outputs by name.

        Parameters
        ----------
        keypoints : ``[B, T, V, 3]`` or ``[1, C, V, 3]``, x and y in pixels and confidence; confidence 0 is missing.
        mask : ``[B, T]`` or ``[1, C]`` bool, which frames are present.
        number : int64 of that shape, frame numbers, if gaps are filled or points smoothed.
        frame_size : ``[B, 2]`` width and height of the images, 0 if unknown, for image networks.
        frames : ``[W, T]`` int64, see above.

        Returns
        -------
        ``[B, K]`` or ``[W, K]`` for each head: probabilities of classes and flags, values. ``visible_frames`` and
        ``visible_points``: share of each window's frames and points that is visible. ``seen [1, C]``, for whole
        recordings: whether each frame has a visible point, filled gaps included.
        """
        found: dict[str, Tensor] = {}
        points, seen = prepare(keypoints, self.layout, self.settings, number=number, present=mask, size=frame_size)
        if frames is not None:
            found["seen"] = seen
            index = frames.clamp(min=0)
            seen = seen[0, index] & (frames >= 0)
            points = points[0, index] * seen[..., None, None]
        given = {"keypoints": points, "mask": seen}
        if frame_size is not None:
            size = usual_size(frame_size)
            given["frame_size"] = size if frames is None else size.expand(frames.shape[0], 2)
        every: dict[str, list[Tensor]] = {head.name: [] for head in self.heads}
        for network, heads, flip in zip(self.networks, self.of_heads, self.flips, strict=True):
            for name, output in predictions(network, given, heads, self.layout, flip=flip).items():
                every[name].append(output)
        means = {name: each[0] if len(each) == 1 else torch.stack(each).mean(0) for name, each in every.items()}
        shares = seen.float().mean(1), (points[..., 2] > 0).float().mean((1, 2))
        return {**means, **dict(zip(VISIBLE, shares, strict=True)), **found}

    def example(self, batch: int = 3) -> dict[str, Tensor]:
        """Random inputs for `forward`."""
        frames, windows = (self.least + 3 if self.by_clip else self.window.length), batch
        batch = 1 if self.by_clip else batch
        given = {
            "keypoints": torch.rand(batch, frames, len(self.layout), 3) * torch.tensor([640.0, 480.0, 1.0]),
            "mask": torch.ones(batch, frames, dtype=torch.bool),
            "number": torch.arange(frames).repeat(batch, 1),
            "frame_size": torch.tensor([[640.0, 480.0]]).repeat(batch, 1),
            "frames": torch.randint(0, frames, (windows, self.window.length)),
        }
        return {name: given[name] for name in self.inputs}
