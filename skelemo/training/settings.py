"""Every setting of a training by subject, with its default, its range and what it does."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from skelemo.preprocess.prepare import CalibrationKind, ReferenceKind


class DataSettings(BaseModel):
    """What is learned from, and how its keypoints are prepared."""

    data: tuple[str, ...] = Field(default=(), description="cache folders")
    parts: tuple[str, ...] = Field(
        default=("auto",),
        description="parts that the model sees, as in [face_70]; all: what the cache shows; auto: all but those that "
        "only add noise, by a probe on the training subset",
    )
    reference: ReferenceKind = Field(
        "clip", description="what units and gaps are computed over: the whole clip, or each window alone as live"
    )
    min_confidence: float = Field(0.0, ge=0, le=1, description="points below it become missing")
    max_gap: int = Field(
        5, ge=0, le=1_000_000, description="gaps of up to so many frames are interpolated linearly; 0: none"
    )
    smooth: int = Field(0, ge=0, le=1001, description="width in frames of the triangle that smooths points; 0: none")
    causal: bool = Field(False, description="fill gaps and smooth from earlier frames alone")
    standardize: Literal["none", "dataset"] = Field(
        "none",
        description="dataset: in predict and evaluate other data are given the means and deviations of the run's, "
        "point by point and without labels",
    )
    calibrate: CalibrationKind | Literal["auto"] = Field(
        "none",
        description="take off what is usual of a person: by all clips of the subject, or else of the track (track), or "
        "by the track's frames so far (running); auto: track where a probe on the training subset errs less with it",
    )
    corrections: str = Field(
        "", description="table that corrects the labels of the data, as cache/NAME/corrections.csv; '': none"
    )


class WindowSettings(BaseModel):
    """What a model sees at once."""

    length: int = Field(1, ge=1, le=4096, description="T, frames of a window")
    dilation: int = Field(1, ge=1, le=100_000, description="one in how many frames of the sequence is taken")
    clip_windows: int = Field(
        1, ge=1, le=100, description="with sampling: clip so many windows of a clip are averaged when it is predicted"
    )
    flip_average: Literal[False, True, "auto"] = Field(
        False,
        description="predict the mean for a window and its mirror image; auto: where the validation subset gains by it",
    )
    neutral_radius: Annotated[float, Field(ge=0, le=2)] | Literal["auto"] | None = Field(
        None,
        description="read valence and arousal as one of seven emotions, neutral within so far from the origin; auto: "
        "as the validation subset prefers; null: they are not read",
    )
    target: Literal["last", "center"] = Field("last", description="where in the window the labeled frame stands")
    sampling: Literal["stride", "clip", "novelty"] = Field(
        "stride",
        description="a window per labeled frame, or one per clip; novelty: as stride, but training's frames stand at "
        "equal distances along the person's path through pose space, as many as one in every",
    )
    every: int = Field(
        1, ge=1, le=1_000_000, description="one in how many frames is a target in training (the paper: 10)"
    )
    evaluate_every: Annotated[int, Field(ge=1, le=1_000_000)] | Literal["auto"] = Field(
        "auto",
        description="the same in validation; auto: all in the end, and after each epoch a sample that takes no more "
        "than a tenth of it; the test subset is never thinned",
    )


class SplitSettings(BaseModel):
    """How sequences are divided into train, validation and test."""

    split: str = Field(
        "auto",
        description="given, given:COLUMN, kfold:K, loso, holdout:SHARE, none (no test); auto: given, else holdout:0.2",
    )
    validation: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="share of the training subset that chooses the model; 0: none, the last epoch's weights are kept",
    )
    given_validation: Literal["choose", "score"] = Field(
        "choose",
        description="a given validation subset chooses the model, or is held back and scored as test",
    )


class AugmentSettings(BaseModel):
    """Random changes of the training windows; see `skelemo.data.augment`."""

    mirror: float = Field(
        0.5, ge=0, le=1, description="probability of a horizontal flip (left and right keypoints swapped)"
    )
    rotate: float = Field(5.0, ge=0, le=180, description="largest turn to either side, degrees")
    scale: float = Field(0.05, ge=0, lt=1, description="largest relative change of size")
    shift: float = Field(0.0, ge=0, le=100, description="largest displacement")
    jitter: float = Field(
        0.01, ge=0, le=100, description="standard deviation of each point's displacement, in sizes of its part"
    )
    drop: float = Field(0.0, ge=0, lt=1, description="probability that a keypoint is missing throughout a window")
    drop_part: float = Field(0.0, ge=0, lt=1, description="probability that a part is missing throughout a window")


class ModelSettings(BaseModel):
    """The network."""

    arch: str = Field("ann", description="a name from `skelemo models`, or package.module:function")
    head: str = Field(
        "auto", description="heads to predict, as expression,va; both: these two; auto: the first with labels"
    )
    model: dict[str, Any] = Field(default_factory=dict, description="settings of the architecture, model.NAME=VALUE")
    init: str = Field("", description="run whose weights are the first ones, where they fit; '': none")
    init_freeze: tuple[str, ...] = Field(
        default=(),
        description="what of them stays as it is: body (all but heads), or names as in [blocks.0, *norm*]",
    )
    init_rate: float = Field(1.0, ge=0, le=1000, description="factor on the learning rate of what init gives")
    allow_overlap: bool = Field(
        False, description="start from init even if it has learned from what validates or tests here"
    )


class PretextSettings(BaseModel):
    """What is learned without labels."""

    pretrain: bool = Field(False, description="reconstruct hidden points in place of labels, as skelemo pretrain does")
    hide_points: float = Field(0.4, ge=0, le=0.95, description="pretrain: probability that a point is hidden")
    hide_frames: float = Field(
        0.3, ge=0, le=0.95, description="pretrain: share of a window, in one stretch, whose frames are hidden"
    )


class LossSettings(BaseModel):
    """What training minimizes."""

    loss: dict[str, str] = Field(
        default_factory=dict, description="loss of a head, loss.HEAD=NAME; several may be joined, as mse+ccc"
    )
    loss_weight: dict[str, float] = Field(default_factory=dict, description="weight of a head's loss, loss_weight.HEAD")
    class_weights: Literal["none", "sqrt", "balanced"] = Field(
        "none", description="weight of rare classes and flags in training"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="label smoothing")
    loss_weighting: Literal["set", "learned"] = Field(
        "set", description="of several heads: as loss_weight says, or learned with the network (by uncertainty)"
    )
    balance: bool = Field(False, description="draw training windows so that every class of the first head comes alike")
    mixup: float = Field(
        0.0,
        ge=0,
        le=10,
        description="mix windows and losses of pairs, by shares drawn from Beta(mixup, mixup); 0: none",
    )


class OptimizerSettings(BaseModel):
    """How it is minimized."""

    optimizer: str | None = Field("adam", description="any of torch.optim, in lower case; null for a baseline")
    lr: Annotated[float, Field(gt=0, le=100)] | Literal["auto"] = Field(
        1e-3, description="learning rate; auto: found in each training, a tenth of where the loss is lowest"
    )
    backbone_lr: float = Field(1.0, ge=0, le=1000, description="factor on the learning rate of a pretrained backbone")
    weight_decay: float = Field(0.0, ge=0, le=100, description="weight decay (L2), not of norms and biases")
    momentum: float = Field(0.9, ge=0, lt=1, description="of optimizers that have one; SGD takes Nesterov's")
    schedule: str = Field("constant", description="constant, cosine, onecycle, plateau or a registered one")
    plateau_patience: int = Field(5, ge=0, le=1_000_000, description="epochs that the schedule plateau waits")
    clip_gradient: float = Field(0.0, ge=0, le=1_000_000, description="largest norm of the gradient; 0: no clipping")
    batch_size: int = Field(64, ge=2, le=1_000_000, description="windows per step; batch normalization needs two")
    accumulate: int = Field(1, ge=1, le=10_000, description="batches whose gradients are added up for one step")
    warmup: int = Field(0, ge=0, le=1_000_000, description="steps in which the rate rises to lr, before the schedule")
    ema: float = Field(
        0.0, ge=0, lt=1, description="decay by step of a mean of the weights, which is validated and kept; 0: none"
    )
    epochs: int = Field(60, ge=1, le=1_000_000, description="at most")
    steps: int = Field(
        0, ge=0, le=10**9, description="train for so many steps, in whole epochs, whatever the data's size; 0: epochs"
    )
    patience: int = Field(
        15, ge=0, le=1_000_000, description="epochs without a better validation score before stopping; 0: never"
    )
    patience_steps: int = Field(
        0, ge=0, le=10**9, description="steps that must have passed without a better score, too, before stopping"
    )
    monitor: Literal["score", "loss"] = Field(
        "score", description="mean of the heads' main metrics, or the loss, chooses"
    )
    epoch_windows: int = Field(
        0, ge=0, le=2**40, description="most windows that an epoch trains on, drawn anew, or validates on; 0: all"
    )
    fit_windows: int = Field(50_000, ge=2, le=2**40, description="most windows that a baseline is fitted on, a sample")


class MachineSettings(BaseModel):
    """Where it runs."""

    seed: int = Field(0, ge=0, lt=2**31, description="of the first weights, the order and the augmentation")
    seeds: int = Field(
        1, ge=1, le=1000, description="train so many times, from seed on; the run predicts the mean of all"
    )
    split_seed: int = Field(0, ge=0, lt=2**31, description="of the split")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    devices: int = Field(1, ge=1, le=4096, description="devices (on the CPU: processes) of each machine")
    nodes: int = Field(1, ge=1, le=100_000, description="machines that train together")
    memory: str = Field(
        "",
        description="what keypoints may take in each process, as 4GB; of a larger corpus shuffled blocks are read from "
        "a file in TMPDIR; '': no limit",
    )
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "32-true", description="auto: bf16-mixed where the device has units for it"
    )
    by: tuple[str, ...] = Field(
        default=("missing", "visible"),
        description="scores are also given by share of missing points, by which of body, face and hands are visible, "
        "and by any column that evaluate --by takes from a cache; []: by none",
    )
    mistakes: int = Field(
        4,
        ge=0,
        le=20,
        description="clips of the worst answers of each head that the run keeps, with keypoints, for its report; "
        "0: none",
    )
    importance: Annotated[int, Field(ge=0, le=10_000_000)] | Literal["auto"] = Field(
        "auto",
        description="which keypoints mattered: windows of the validation subset whose score is taken again with each "
        "part, region and keypoint hidden; auto: as many as take about a tenth of the training; 0: none",
    )
    compile: bool = Field(False, description="torch.compile the network")
