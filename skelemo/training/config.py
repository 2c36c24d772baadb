"""The validated configuration of a training, from a YAML file and ``--set key=value``."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import ConfigDict, ValidationError, field_validator

from skelemo.data.augment import Augmentation
from skelemo.data.pretext import PRETEXT
from skelemo.data.windows import Window
from skelemo.errors import ConfigError, InputError, unknown
from skelemo.preprocess.prepare import Coordinates, Preparation
from skelemo.runs.yaml_settings import read_user_yaml
from skelemo.targets import Head, head_names
from skelemo.training.optimizers import OPTIMIZERS, SCHEDULES
from skelemo.training.settings import (
    AugmentSettings,
    DataSettings,
    LossSettings,
    MachineSettings,
    ModelSettings,
    OptimizerSettings,
    PretextSettings,
    SplitSettings,
    WindowSettings,
)

Settings = TypeVar("Settings")

#: Settings that a search may not vary: they define what is scored, or are seeds.
SCORED = frozenset(("data", "corrections", "head", "split", "validation", "given_validation", "split_seed"))
SCORED |= {"evaluate_every", "neutral_radius", "seed", "seeds", "device", "memory"}

#: Settings about labels, unused in pretraining.
LABELED: tuple[str, ...] = ("head", "loss", "loss_weight", "class_weights", "label_smoothing", "loss_weighting")
LABELED += ("balance", "mixup", "neutral_radius")

#: Values of mappings by head, for messages.
_DICTS: dict[Any, str] = {
    LossSettings.model_fields["loss"].annotation: "a name",
    LossSettings.model_fields["loss_weight"].annotation: "a number from 0",
}


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
    """All settings of a training, flat, as in a run's ``config.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("head", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else value

    @field_validator("memory", mode="before")
    @classmethod
    def _in_bytes(cls, value: Any) -> Any:
        return str(value) if type(value) is int else value

    @field_validator("data", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("parts", "init_freeze", "by", mode="before")
    @classmethod
    def _separated(cls, value: Any) -> Any:
        return tuple(word.strip() for word in value.split(",")) if isinstance(value, str) else value

    @field_validator("parts")
    @classmethod
    def _named_or_chosen(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(value) != 1 and {"auto", "all"} & set(value):
            raise ValueError("auto and all cannot be combined")
        return value or ("all",)

    @property
    def named_parts(self) -> tuple[str, ...]:
        """The parts given by name; empty for ``auto`` and ``all``."""
        return () if self.parts in (("auto",), ("all",)) else self.parts

    @property
    def bytes(self) -> int | None:
        """Memory limit for keypoints in bytes; None without a limit."""
        from skelemo.ingest.batching import parse_size

        return parse_size(self.memory, "setting memory") if self.memory else None

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the network's heads."""
        return (PRETEXT,) if self.pretrain else head_names(self.head)

    @property
    def is_baseline(self) -> bool:
        """Whether the architecture is a baseline, which is fitted rather than trained."""
        from skelemo.models.registry import entry

        return entry(self.arch).facts.fitted

    @property
    def window(self) -> Window:
        """The shape of windows."""
        return self._settings(Window, sampling="stride" if self.sampling == "novelty" else self.sampling)

    @property
    def augmentation(self) -> Augmentation:
        """The augmentation of training windows."""
        return self._settings(Augmentation)

    def epoch_steps(self, batches: int) -> int:
        """Optimizer steps per epoch of so many batches."""
        return -(-batches // self.accumulate)

    def training_epochs(self, steps: int) -> int:
        """Number of epochs of so many steps."""
        return -(-self.steps // steps) if self.steps else self.epochs

    def preparation(self, coordinates: Coordinates) -> Preparation:
        """The preparation of keypoints for a model that takes these coordinates, without calibration."""
        return self._settings(Preparation, coordinates=coordinates, calibrate="none", standardize="none")

    def _settings(self, kind: type[Settings], **given: object) -> Settings:
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # kind is a dataclass
        return kind(
            **{name: getattr(self, name) for name in names if name not in given and hasattr(self, name)}, **given
        )

    def to_yaml(self) -> str:
        """Content of ``config.yaml``."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def load_config(file: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Settings from a YAML file, with overrides.

    ``model.`` may be omitted from a setting of the architecture: ``width`` is ``model.width``.

    Raises `InputError`: the file is unreadable or not a mapping of settings; `ConfigError`: an unknown setting (with
    the nearest known one) or an invalid value.
    """
    where = f"{file}: " if file else ""
    written, given = _read_settings(file) if file else {}, overrides or {}
    arch = given.get("arch", written.get("arch", Config.model_fields["arch"].default))
    values: dict[str, Any] = {}
    try:
        for key, value in (*_model_first(written), *_model_first(given)):
            _place(values, key, value, arch)
        config = Config(**values)
        _require_consistent(config)
        return _pretraining(config) if config.pretrain else config
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        raise ConfigError(f"{where}setting {name} = {values[name]!r}: expected {_expected(name)}") from None
    except ConfigError as error:
        raise ConfigError(f"{where}{error}") from None


def _require_consistent(config: Config) -> None:
    """Raise `ConfigError` for unknown names, and for settings that exclude each other."""
    if config.optimizer is not None and config.optimizer not in OPTIMIZERS:
        raise unknown("optimizer", config.optimizer, OPTIMIZERS)
    _ = SCHEDULES[config.schedule], config.bytes
    if not config.init and (config.init_freeze or config.init_rate != 1):
        raise ConfigError("init_freeze and init_rate apply to weights of another run: set init=RUN")
    if config.init and config.is_baseline:
        raise ConfigError(f"{config.arch} is a baseline and cannot start from other weights: omit init")
    if config.pretrain and config.is_baseline:
        raise ConfigError(f"{config.arch} is a baseline and cannot be pretrained: choose a network")
    if config.pretrain and not config.hide_regions + config.hide_frames:
        raise ConfigError("pretrain: hide_regions and hide_frames are both 0; expected at least one above 0")


def unused(config: Config, heads: Sequence[Head]) -> list[str]:
    """Settings other than their default that do not affect the training of these heads."""
    names = {"fit_windows"}
    if config.is_baseline:
        bases = (LossSettings, OptimizerSettings, AugmentSettings)
        names = {name for base in bases for name in base.model_fields} - {"mirror", "optimizer", "fit_windows"}
    names |= {"every", "evaluate_every"} if config.sampling == "clip" else set()
    names |= {"dilation", "target"} if config.sampling == "clip" or config.length == 1 else set()
    optimizer = OPTIMIZERS.get(config.optimizer or "")
    names |= {"momentum"} if optimizer and "momentum" not in signature(optimizer).parameters else set()
    kinds = {head.kind for head in heads}
    names |= {"label_smoothing"} if "classes" not in kinds else set()
    names |= {"class_weights"} if kinds == {"values"} else set()
    defaults = Config.model_validate({})
    return [name for name in Config.model_fields if name in names and getattr(config, name) != getattr(defaults, name)]


def repeated(config: Config, heads: Sequence[Head]) -> list[str]:
    """Settings that make up for rare classes, if there are several."""
    losses = "+".join(config.loss.get(head.name, "") for head in heads if head.kind == "classes").split("+")
    applied = {"balance": config.balance, "class_weights": config.class_weights != "none"}
    names = [name for name, applies in (applied | {"logit_adjusted": "logit_adjusted" in losses}).items() if applies]
    return names if len(names) > 1 and not config.is_baseline else []


def _pretraining(config: Config) -> Config:
    """The configuration without settings about labels."""
    defaults = Config.model_validate({})
    unlabeled = {name: getattr(defaults, name) for name in LABELED}
    for name in ("loss", "loss_weight"):
        unlabeled[name] = {head: value for head, value in getattr(config, name).items() if head == PRETEXT}
    return config.model_copy(update=unlabeled | {"monitor": "loss"})


def _expected(name: str) -> str:
    """Description of a setting's valid values."""
    field = Config.model_fields[name]
    if by_head := _DICTS.get(field.annotation):
        return f"{by_head} by head, as {name}.HEAD=…"
    kinds_of = (field.annotation, *get_args(field.annotation))
    bounded = next((kind for kind in kinds_of if get_origin(kind) is Annotated), None)
    literals = [word for kind in kinds_of if get_origin(kind) is Literal for word in get_args(kind)]
    words = [str(word).lower() if isinstance(word, bool) else str(word) for word in literals]  # as in YAML
    if words and not bounded:
        return f"one of {', '.join(words)}"
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
    kind = kinds.get(bounded.__origin__ if bounded else field.annotation, "names")
    expected = " ".join([kind, " and ".join(limits)]).strip()
    words += ["null"] if bounded and type(None) in kinds_of else []
    return f"{expected}, or {' or '.join(words)}" if bounded else expected


def _model_first(settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Settings with ``model`` before ``model.NAME``."""
    return sorted(settings.items(), key=lambda setting: setting[0] != "model")


def _place(values: dict[str, Any], key: str, value: Any, arch: object) -> None:
    """Add a setting, under ``model`` if it is the architecture's."""
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
        raise ConfigError(f"setting {key}: {name} is not a mapping; nested settings are e.g. model.width=64")


def _unknown_setting(key: str, arch: object, known: Iterable[str]) -> ConfigError:
    """The error for an unknown setting, which suggests one with a similar name or description."""
    named = {name: name for name in (*Config.model_fields, *known)}
    described = {
        re.split(r"[,;:(]", field.description or "")[0].strip().replace(" ", "_"): name
        for name, field in Config.model_fields.items()
    }
    for names in (named, described):
        if nearest := get_close_matches(key, names, n=1, cutoff=0.75):
            hint = f"did you mean {names[nearest[0]]!r}? skelemo train --settings lists all"
            return ConfigError(f"unknown setting {key!r}: {hint}")
    takes = f"{arch} has the settings {', '.join(sorted(known))}" if known else f"{arch} has no settings of its own"
    return ConfigError(f"unknown setting {key!r}: {takes}; skelemo train --settings lists all")


def _listed(value: Any, setting: str, arch: object) -> Any:
    """``joint,bone`` as a list if the architecture's setting is one."""
    if not isinstance(value, str) or "," not in value or not isinstance(_settings_of(arch).get(setting), tuple):
        return value
    return [yaml.safe_load(item) for item in value.split(",")]


def _settings_of(arch: object) -> Mapping[str, Any]:
    """Settings of an architecture with their defaults."""
    from skelemo.models.registry import entry

    return entry(str(arch)).settings


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Parse the ``key=value`` of ``--set``, with the value as YAML."""
    parsed = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {text!r}: expected key=value, e.g. --set lr=0.001")
        if key.strip() in parsed:
            raise ConfigError(f"--set {key.strip()} is given twice; keep one")
        try:
            parsed[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--set {text!r}: {value!r} is not a YAML value") from None
    return parsed


def _read_settings(file: Path) -> dict[str, Any]:
    settings = read_user_yaml(file)
    for verb, key in (("tune", "space"), ("study", "grid")):
        if key in settings:
            raise InputError(f"{file}: {key} belongs in a file for skelemo {verb}; expected the settings of a training")
    return settings
