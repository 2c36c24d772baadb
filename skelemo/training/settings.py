"""All training settings by topic, with their defaults, ranges and descriptions."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from skelemo.preprocess.prepare import CalibrationKind, ReferenceKind, StandardizeKind


class DataSettings(BaseModel):
    """The training data and the preparation of keypoints."""

    data: tuple[str, ...] = Field(default=(), description="cache folders")
    parts: tuple[str, ...] = Field(
        default=("auto",),
        description="parts that the model uses, such as [face_70]; all: every part visible in the cache; auto: all but "
        "those that only add noise, according to a probe on the training subset, or with init the parts of that run",
    )
    reference: ReferenceKind = Field(
        "clip", description="compute units and gaps over the whole clip, or over each window separately, as in live use"
    )
    min_confidence: float = Field(0.0, ge=0, le=1, description="points with a lower confidence are treated as missing")
    max_gap: int = Field(5, ge=0, le=1_000_000, description="longest gap, in frames, to interpolate linearly; 0: none")
    smooth: int = Field(0, ge=0, le=1001, description="width in frames of the triangular smoothing window; 0: none")
    causal: bool = Field(False, description="fill gaps and smooth using past frames only")
    standardize: StandardizeKind = Field(
        "none",
        description="dataset: in predict and evaluate, match the mean and standard deviation of each point in other "
        "data to the run's, without labels",
    )
    calibrate: CalibrationKind | Literal["auto"] = Field(
        "none",
        description="subtract a person's mean pose: over all clips of the subject, otherwise the track (track), or "
        "over the track's frames so far (running); auto: track if it reduces a probe's error on the training subset",
    )
    corrections: str = Field(
        "", description="correction table for the labels, such as cache/NAME/corrections.csv; empty: none"
    )


class WindowSettings(BaseModel):
    """The model's input window."""

    length: int = Field(1, ge=1, le=4096, description="T, frames per window")
    dilation: int = Field(1, ge=1, le=100_000, description="spacing of a window's frames: one frame in N")
    clip_windows: int = Field(
        1, ge=1, le=100, description="with sampling: clip, number of windows averaged to predict a clip"
    )
    flip_average: Literal[False, True, "auto"] = Field(
        False,
        description="average predictions for a window and its mirror image; auto: if it improves the validation score",
    )
    neutral_radius: Annotated[float, Field(ge=0, le=2)] | Literal["auto"] | None = Field(
        None,
        description="map valence and arousal to one of seven emotions, neutral within this distance of the origin; "
        "auto: chosen on the validation subset; null: no mapping",
    )
    target: Literal["last", "center"] = Field("last", description="position of the labeled frame in the window")
    sampling: Literal["stride", "clip", "novelty"] = Field(
        "stride",
        description="one window per labeled frame, or one per clip; novelty: like stride, but with training frames "
        "spaced equally along the person's path through pose space, as many as with every",
    )
    every: int = Field(1, ge=1, le=1_000_000, description="train on one frame in N")
    evaluate_every: Annotated[int, Field(ge=1, le=1_000_000)] | Literal["auto"] = Field(
        "auto",
        description="validate on one frame in N; auto: on all at the end, and after each epoch on a sample that takes "
        "at most a tenth of the epoch's time; the test subset is always complete",
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
        description="share of the training subset used for model selection; 0: none, keep the last epoch's weights",
    )
    given_validation: Literal["choose", "score"] = Field(
        "choose",
        description="use a given validation subset for model selection, or hold it out and score it as test",
    )


class AugmentSettings(BaseModel):
    """Random augmentation of the training windows; see `skelemo.data.augment`."""

    mirror: float = Field(
        0.5, ge=0, le=1, description="probability of a horizontal flip (left and right keypoints swapped)"
    )
    rotate: float = Field(5.0, ge=0, le=180, description="maximum rotation in either direction, in degrees")
    scale: float = Field(0.05, ge=0, lt=1, description="maximum relative change in size")
    shift: float = Field(0.0, ge=0, le=100, description="maximum displacement, relative to the size of the part")
    jitter: float = Field(
        0.01,
        ge=0,
        le=100,
        description="standard deviation of each point's displacement, relative to the size of its part",
    )
    drop: float = Field(0.0, ge=0, lt=1, description="probability that a keypoint is missing throughout a window")
    drop_part: float = Field(0.0, ge=0, lt=1, description="probability that a part is missing throughout a window")


class ModelSettings(BaseModel):
    """The network."""

    arch: str = Field("ann", description="architecture from `skelemo models`, or package.module:function")
    head: str = Field(
        "auto",
        description="heads to predict, such as expression,va; both: these two; auto: the first with labels",
    )
    model: dict[str, Any] = Field(default_factory=dict, description="settings of the architecture, model.NAME=VALUE")
    init: str = Field("", description="run whose matching weights initialize the network; empty: none")
    init_freeze: tuple[str, ...] = Field(
        default=(),
        description="loaded weights to freeze: body (all but heads), or names such as [blocks.0, *norm*]",
    )
    init_rate: float = Field(1.0, ge=0, le=1000, description="factor on the learning rate of loaded weights")
    allow_overlap: bool = Field(
        False, description="start from init even if it was trained on this run's validation or test data"
    )


class PretextSettings(BaseModel):
    """Pretraining without labels."""

    pretrain: bool = Field(
        False, description="reconstruct hidden points instead of predicting labels, as in skelemo pretrain"
    )
    hide_regions: float = Field(0.5, ge=0, le=0.95, description="pretrain: probability that a region is hidden")
    hide_frames: float = Field(
        0.5, ge=0, le=0.95, description="pretrain: share of the window's frames to hide, in one block"
    )


class LossSettings(BaseModel):
    """The training loss."""

    loss: dict[str, str] = Field(
        default_factory=dict, description="loss of a head, loss.HEAD=NAME; add several with +, such as mse+ccc"
    )
    loss_weight: dict[str, Annotated[float, Field(ge=0, le=1e9)]] = Field(
        default_factory=dict, description="weight of a head's loss, loss_weight.HEAD"
    )
    class_weights: Literal["none", "sqrt", "balanced"] = Field(
        "none", description="weight rare classes and flags higher in the loss"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="label smoothing, from 0 (none) to 1")
    loss_weighting: Literal["set", "learned"] = Field(
        "set", description="weights of several heads: from loss_weight, or learned with the network (by uncertainty)"
    )
    balance: bool = Field(
        False, description="sample training windows so that all classes of the first head are equally frequent"
    )
    mixup: float = Field(
        0.0,
        ge=0,
        le=10,
        description="mix pairs of windows and their losses, with shares drawn from Beta(mixup, mixup); 0: none",
    )


class OptimizerSettings(BaseModel):
    """The optimizer."""

    optimizer: str | None = Field(
        "adam", description="any optimizer from torch.optim, in lower case; null: none, for a baseline"
    )
    lr: Annotated[float, Field(gt=0, le=100)] | Literal["auto"] = Field(
        1e-3, description="learning rate; auto: found in each training, a tenth of the rate with the lowest loss"
    )
    backbone_lr: float = Field(1.0, ge=0, le=1000, description="factor on the learning rate of a pretrained backbone")
    weight_decay: float = Field(0.0, ge=0, le=100, description="weight decay (L2), except for norms and biases")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum, if the optimizer has one (Nesterov for SGD)")
    schedule: str = Field(
        "constant", description="learning rate schedule: constant, cosine, onecycle, plateau or a registered one"
    )
    plateau_patience: int = Field(5, ge=0, le=1_000_000, description="patience of the plateau schedule, in epochs")
    clip_gradient: float = Field(0.0, ge=0, le=1_000_000, description="maximum gradient norm; 0: no clipping")
    batch_size: int = Field(64, ge=2, le=1_000_000, description="windows per step; batch normalization needs two")
    accumulate: int = Field(1, ge=1, le=10_000, description="batches per gradient accumulation step")
    warmup: int = Field(0, ge=0, le=1_000_000, description="warm-up steps, before the schedule")
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay per step of an exponential moving average of the weights, which is validated and kept; 0: "
        "none",
    )
    epochs: int = Field(60, ge=1, le=1_000_000, description="maximum number of epochs")
    steps: int = Field(
        0,
        ge=0,
        le=10**9,
        description="number of steps to train, rounded to whole epochs, whatever the size of the data; 0: use epochs",
    )
    patience: int = Field(
        15, ge=0, le=1_000_000, description="early stopping: epochs without a better validation score; 0: never"
    )
    patience_steps: int = Field(
        0, ge=0, le=10**9, description="early stopping also requires this many steps without a better score"
    )
    monitor: Literal["score", "loss"] = Field(
        "score", description="select by the mean of the heads' main metrics, or by the loss"
    )
    epoch_windows: int = Field(
        0,
        ge=0,
        le=2**40,
        description="maximum number of windows per epoch, both for training, resampled each time, and for validation; "
        "0: all",
    )
    fit_windows: int = Field(
        50_000, ge=2, le=2**40, description="maximum number of windows to fit a baseline on, sampled"
    )


class MachineSettings(BaseModel):
    """Hardware, seeds and output."""

    seed: int = Field(0, ge=0, lt=2**31, description="seed of the initial weights, the order and the augmentation")
    seeds: int = Field(
        1, ge=1, le=1000, description="number of trainings with consecutive seeds; the run predicts their mean"
    )
    split_seed: int = Field(0, ge=0, lt=2**31, description="seed of the split")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    devices: int = Field(1, ge=1, le=4096, description="devices (on the CPU: processes) per machine")
    nodes: int = Field(1, ge=1, le=100_000, description="number of machines")
    memory: str = Field(
        "",
        description="memory limit for keypoints in each process, such as 4GB; a larger corpus is read in shuffled "
        "blocks from a file in TMPDIR; empty: no limit",
    )
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "32-true", description="auto: bf16-mixed if the hardware supports it"
    )
    by: tuple[str, ...] = Field(
        default=("missing", "visible"),
        description="break scores down by the share of missing points, by the visible parts (body, face, hands), or "
        "by any column that evaluate --by takes from a cache; []: none",
    )
    mistakes: int = Field(
        4,
        ge=0,
        le=20,
        description="clips of the worst predictions per head to keep in the run, with keypoints, for its report; 0: "
        "none",
    )
    importance: Annotated[int, Field(ge=0, le=10_000_000)] | Literal["auto"] = Field(
        "auto",
        description="keypoint importance: validation windows to rescore with each part, region and keypoint hidden; "
        "auto: as many as take about a tenth of the training; 0: none",
    )
    compile: bool = Field(False, description="torch.compile the network")
