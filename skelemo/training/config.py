"""Every setting of a training, validated: from a YAML file, then from ``--set key=value``."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from skelemo.data.augment import Augmentation
from skelemo.data.pretext import PRETEXT
from skelemo.data.windows import Window
from skelemo.errors import ConfigError, InputError, unknown
from skelemo.preprocess.prepare import CalibrationKind, Coordinates, Preparation, ReferenceKind
from skelemo.runs.schemas import read_yaml
from skelemo.targets import head_names
from skelemo.training.optimizers import OPTIMIZERS, SCHEDULES

Settings = TypeVar("Settings")

#: Settings that decide what a score means, or that are luck.
SCORED = frozenset(("data", "corrections", "head", "split", "validation", "given_validation", "split_seed"))
SCORED |= {"evaluate_every", "neutral_radius", "seed", "seeds", "device", "memory"}


#: Settings about labels, which a pretraining does not look at.
LABELED: tuple[str, ...] = ("head", "loss", "loss_weight", "class_weights", "label_smoothing", "loss_weighting")
LABELED += ("balance", "mixup", "neutral_radius")


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
    neutral_radius: float | Literal["auto"] | None = Field(
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
    compile: bool = Field(False, description="torch.compile the network")


class Config(  # pydantic lists the fields of the last base first
    MachineSettings,
    OptimizerSettings,
    LossSettings,
    PretextSettings,
    ModelSettings,
    AugmentSettings,
    SplitSettings,
    WindowSettings,
    DataSettings,
):
    """All settings of one training, flat, as ``config.yaml`` of a run holds them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("head", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else value

    @field_validator("neutral_radius")
    @classmethod
    def _in_the_plane(cls, value: Any) -> Any:
        if isinstance(value, float) and not 0 <= value <= 2:
            raise ValueError("out of range")
        return value

    @field_validator("memory", mode="before")
    @classmethod
    def _in_bytes(cls, value: Any) -> Any:
        return str(value) if type(value) is int else value

    @field_validator("data", "parts", "init_freeze", "by", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("parts")
    @classmethod
    def _named_or_chosen(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(value) != 1 and {"auto", "all"} & set(value):
            raise ValueError("auto and all stand alone")
        return value or ("all",)

    @property
    def named_parts(self) -> tuple[str, ...]:
        """The parts that are named; none where ``auto`` or ``all`` stands for them."""
        return () if self.parts in (("auto",), ("all",)) else self.parts

    @property
    def bytes(self) -> int | None:
        """What keypoints may take, in bytes; None without a limit."""
        from skelemo.ingest.batching import parse_size

        return parse_size(self.memory) if self.memory else None

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that the network serves."""
        return (PRETEXT,) if self.pretrain else head_names(self.head)

    @property
    def is_baseline(self) -> bool:
        """Not trained iteratively."""
        from skelemo.models.registry import entry

        return entry(self.arch).fitted

    @property
    def window(self) -> Window:
        """The shape of windows."""
        return self._part(Window, sampling="stride" if self.sampling == "novelty" else self.sampling)

    @property
    def augmentation(self) -> Augmentation:
        """The random changes of training windows."""
        return self._part(Augmentation)

    def preparation(self, coordinates: Coordinates) -> Preparation:
        """How keypoints are prepared for a model that takes such coordinates, before they are calibrated."""
        return self._part(Preparation, coordinates=coordinates, calibrate="none", standardize="none")

    def _part(self, kind: type[Settings], **given: object) -> Settings:
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # every kind asked for is a dataclass
        return kind(
            **{name: getattr(self, name) for name in names if name not in given and hasattr(self, name)}, **given
        )

    def to_yaml(self) -> str:
        """As ``config.yaml`` holds it."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def load_config(file: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Settings from a YAML file, with others in their place.

    A setting of the chosen architecture may stand beside the others in the place of ``model``: ``width`` is
    ``model.width``.

    Raises
    ------
    InputError
        The file cannot be read or is not a mapping of settings.
    ConfigError
        An unknown setting (the nearest known one is named) or a value that it cannot have.
    """
    where = f"{file}: " if file else ""
    written, given = _read_settings(file) if file else {}, overrides or {}
    arch = given.get("arch", written.get("arch", Config.model_fields["arch"].default))
    values: dict[str, Any] = {}
    try:
        for key, value in (*_model_first(written), *_model_first(given)):
            _place(values, key, value, arch)
    except ConfigError as error:
        raise ConfigError(f"{where}{error}") from None
    try:
        config = Config(**values)
        if config.optimizer is not None and config.optimizer not in OPTIMIZERS:
            raise ConfigError(f"{where}{unknown('optimizer', config.optimizer, OPTIMIZERS)}")
        _ = SCHEDULES[config.schedule]
        _require_size(config.memory, where)
        if not config.init and (config.init_freeze or config.init_rate != 1):
            raise ConfigError(f"{where}init_freeze and init_rate are about the weights of another run: add init=RUN")
        if config.init and config.is_baseline:
            raise ConfigError(f"{where}{config.arch} is not trained iteratively: leave init out")
        return _pretraining(config, where) if config.pretrain else config
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise ConfigError(f"{where}setting {name} = {values[name]!r}: expected {_expected(name)}") from None


def _pretraining(config: Config, where: str) -> Config:
    """The configuration without what is about labels; `ConfigError` where nothing can be learned."""
    if config.is_baseline:
        raise ConfigError(
            f"{where}{config.arch} is not trained iteratively, so that nothing can start from it: take a network"
        )
    if not config.hide_points + config.hide_frames:
        raise ConfigError(f"{where}pretrain with hide_points and hide_frames 0: nothing is hidden to be reconstructed")
    fields = Config.model_fields
    unlabeled = {name: fields[name].get_default(call_default_factory=True) for name in LABELED}
    own = {
        name: {PRETEXT: value[PRETEXT]}
        for name in ("loss", "loss_weight")
        if PRETEXT in (value := getattr(config, name))
    }
    return config.model_copy(update=unlabeled | own | {"monitor": "loss"})


def _require_size(memory: str, where: str) -> None:
    from skelemo.ingest.batching import parse_size

    try:
        parse_size(memory or "0")
    except ConfigError as error:
        raise ConfigError(f"{where}setting memory: {error}") from None


def _expected(name: str) -> str:
    """What values a setting has, in words."""
    field = Config.model_fields[name]
    kinds_of = (field.annotation, *get_args(field.annotation))
    bounded = next((kind for kind in kinds_of if get_origin(kind) is Annotated), None)
    for kind in () if bounded else kinds_of:
        if get_origin(kind) is Literal:
            return f"one of {', '.join(map(str, get_args(kind)))}"
    kinds: dict[Any, str] = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "text",
        dict[str, Any]: "a mapping",
    }
    signs = {"gt": "above", "ge": "from", "lt": "below", "le": "up to"}
    metadata = bounded.__metadata__[0].metadata if bounded else field.metadata
    limits = [
        f"{word} {getattr(limit, sign):,}" for limit in metadata for sign, word in signs.items() if hasattr(limit, sign)
    ]
    expected = " ".join([kinds.get(float if bounded else field.annotation, "names"), " and ".join(limits)]).strip()
    return f"{expected}, or auto" if bounded else expected


def _model_first(settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """``model`` as a whole goes before its parts."""
    return sorted(settings.items(), key=lambda setting: setting[0] != "model")


def _place(values: dict[str, Any], key: str, value: Any, arch: object) -> None:
    """Put a setting among the others, or under ``model`` where it is one of the architecture's."""
    name, _, inner = key.partition(".")
    if name not in Config.model_fields:
        known = _settings_of(arch)
        if key not in known:
            raise _unknown_setting(key, arch, known)
        name, inner = "model", key
    if not inner:
        values[name] = value
    elif Config.model_fields[name].default_factory is dict and isinstance(values.get(name, {}), dict):
        values[name] = {**values.get(name, {}), inner: _listed(value, inner, arch) if name == "model" else value}
    else:
        raise ConfigError(f"setting {key}: expected a mapping under {name}, as in model.width=64")


def _unknown_setting(key: str, arch: object, known: Iterable[str]) -> ConfigError:
    """It may be another architecture's."""
    everything = [*Config.model_fields, *known]
    if get_close_matches(key, everything, n=1, cutoff=0.75):
        return unknown("setting", key, everything)
    takes = f"{arch} takes {', '.join(sorted(known))}" if known else f"{arch} has none of its own"
    return ConfigError(f"unknown setting {key!r}: {takes}; skelemo train --settings lists all")


def _listed(value: Any, setting: str, arch: object) -> Any:
    """The list that ``joint,bone`` stands for, where the architecture takes one."""
    if not isinstance(value, str) or "," not in value or not isinstance(_settings_of(arch).get(setting), tuple):
        return value
    return [yaml.safe_load(item) for item in value.split(",")]


def _settings_of(arch: object) -> Mapping[str, Any]:
    """The settings of an architecture or a baseline, with their defaults."""
    from skelemo.models.registry import entry

    return entry(str(arch)).settings


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """``key=value`` as ``--set`` takes it; the value is read as YAML, so lists and numbers are what they look like."""
    parsed = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {text!r}: expected key=value, as in --set lr=0.001")
        try:
            parsed[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--set {text!r}: {value!r} is not a YAML value") from None
    return parsed


def _read_settings(file: Path) -> dict[str, Any]:
    try:
        return read_yaml(file)
    except OSError as error:
        raise InputError(f"{file}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None
