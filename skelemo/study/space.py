"""The file of a hyperparameter search: fixed settings, search space, sampler and pruner."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, get_args

from skelemo.errors import ConfigError, InputError
from skelemo.models.registry import ARCHITECTURES
from skelemo.study.grid import MOST_CELLS, combined, read_entries, require_fixed, varied, word
from skelemo.training.config import SCORED, Config, load_config

SAMPLERS = ("tpe", "random", "grid")
PRUNERS = ("median", "none")
_KEYS = ("base", "space", "title", "sampler", "trials", "pruner", "prune_after", "fold", "seed")
_RANGE = ("low", "high", "log", "step")
#: Most values on an axis of a grid.
_MOST_VALUES = 1000


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, inclusive; ``log``: uniform on a logarithmic scale."""

    low: float
    high: float
    log: bool
    step: float | None
    whole: bool

    def suggest(self, trial: Any, name: str) -> Any:
        """A value of an Optuna trial."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return trial.suggest_float(name, self.low, self.high, log=self.log, step=self.step)

    def grid(self) -> list[Any]:
        """All values; empty for a continuous range."""
        step = self.step or (1 if self.whole else 0)
        count = int((self.high - self.low) / step + 1e-9) + 1 if step else 0
        return [self.low + index * step for index in range(min(count, _MOST_VALUES + 1))]


@dataclass(frozen=True)
class Choices:
    """A choice of values; lists and mappings are stored as JSON, since Optuna's storages need plain values."""

    values: tuple[Any, ...]

    @cached_property
    def by_key(self) -> dict[Any, Any]:
        """The values by their stored form."""
        return {json.dumps(v) if isinstance(v, list | Mapping) else v: v for v in self.values}

    def suggest(self, trial: Any, name: str) -> Any:
        """A value of an Optuna trial."""
        return trial.suggest_categorical(name, self.grid())

    def grid(self) -> list[Any]:
        """The stored form of all values."""
        return [*self.by_key]


@dataclass(frozen=True)
class Search:
    """The content of a search file."""

    title: str
    base: Mapping[str, Any]
    space: Mapping[str, Range | Choices]
    sampler: str
    trials: int
    pruner: str
    prune_after: int
    fold: int
    seed: int

    def settings(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a trial from its stored values."""
        return combined(self.base, {name: self.value(name, value) for name, value in drawn.items()})

    def value(self, name: str, drawn: Any) -> Any:
        """The value of a setting from its stored form."""
        axis = self.space[name]
        return axis.by_key[drawn] if isinstance(axis, Choices) else drawn

    def text(self, name: str, drawn: Any) -> str:
        """A value as text for the page."""
        value = self.value(name, drawn)
        return f"{value:.4g}" if isinstance(value, float) else word(name, value)

    @property
    def identity(self) -> str:
        """Equal for searches with comparable trials; independent of paths and devices."""
        base = {name: value for name, value in self.base.items() if name not in ("data", "device", "corrections")}
        space = {name: asdict(axis) for name, axis in self.space.items()}
        return json.dumps([base, space, self.sampler, self.fold], sort_keys=True, default=str)


def read_search(file: Path, overrides: Mapping[str, Any] | None = None, trials: int | None = None) -> Search:
    """Read a search file and check the settings at the ends of its space.

    Its entries are ``base``, as in a study; ``space``, for each varied setting a list of values or a range
    ``{low, high}`` with ``log: true`` or a ``step``; ``sampler`` (tpe, random or grid), ``trials``, ``pruner`` (median
    or none), ``prune_after`` (epochs), ``fold``, ``seed`` and ``title``.

    Raises `InputError`: the file is unreadable or not a search; `ConfigError`: a setting is invalid or must not vary.
    """
    content, base = read_entries(file, _KEYS)
    space = content.get("space")
    if not isinstance(space, Mapping) or not space:
        raise InputError(f"{file}: expected space, e.g. 'space: {{lr: {{low: 1.0e-4, high: 0.1, log: true}}}}'")
    base = base | dict(overrides or {})
    archs = space["arch"] if isinstance(space.get("arch"), list) else [base.get("arch", "ann")]
    axes = {name: _axis(file, name, found, str(archs[0])) for name, found in space.items()}
    names = varied(
        (name, value) for name, axis in axes.items() for value in (axis.values if isinstance(axis, Choices) else [None])
    )
    if wrong := sorted(names & SCORED):
        raise ConfigError(f"{file}: {wrong[0]} cannot vary in a search, since scores would not be comparable")
    require_fixed(file, names, overrides)
    sampler = _one_of(file, "sampler", content.get("sampler", "tpe"), SAMPLERS)
    most = trials or _whole(file, "trials", content.get("trials", 50))
    if sampler == "grid":
        size = _grid_size(file, axes)
        most = min(size, most) if trials or "trials" in content else size
    search = Search(
        title=str(content.get("title", file.stem)),
        base=base,
        space=axes,
        sampler=sampler,
        trials=most,
        pruner=_one_of(file, "pruner", content.get("pruner", "median"), PRUNERS),
        prune_after=_whole(file, "prune_after", content.get("prune_after", 5)),
        fold=_whole(file, "fold", content.get("fold", 1)),
        seed=_whole(file, "seed", content.get("seed", 0)),
    )
    for ends in _ends(axes):
        try:
            ARCHITECTURES.find(load_config(None, search.settings(ends)).arch)
        except ConfigError as error:
            tried = ", ".join(f"{name}={search.text(name, value)}" for name, value in ends.items())
            raise ConfigError(f"{file}, with {tried}: {error}") from None
    return search


def _ends(axes: Mapping[str, Range | Choices]) -> list[dict[str, Any]]:
    """Trials with the first value of all axes, and with each other value of one axis."""
    values = {
        name: axis.grid() if isinstance(axis, Choices) else [int(x) if axis.whole else x for x in (axis.low, axis.high)]
        for name, axis in axes.items()
    }
    first = {name: found[0] for name, found in values.items()}
    return [first, *(first | {name: value} for name, found in values.items() for value in found[1:])]


def _axis(file: Path, name: str, found: Any, arch: str) -> Range | Choices:
    if isinstance(found, list) and found:
        return Choices(tuple(found))
    where = f"{file}: space, {name}"
    if isinstance(found, Mapping) and (odd := [*(key for key in found if key not in _RANGE)]):
        raise InputError(f"{where}: unknown entry {odd[0]!r}; a range has low and high, and may have log or step")
    if not isinstance(found, Mapping) or not {"low", "high"} <= found.keys() <= {*_RANGE}:
        raise InputError(f"{where}: expected a list of values, or a range, e.g. {{low: 1, high: 9}}, with log or step")
    step = found.get("step")
    given = [found["low"], found["high"], *([] if step is None else [step])]
    if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in given):
        raise InputError(f"{where}: expected numbers for low, high and step (YAML reads 1e-4 as text: write 1.0e-4)")
    low, high, log = float(given[0]), float(given[1]), bool(found.get("log"))
    kinds = _types(name, arch)
    whole = float not in kinds and (int in kinds or all(isinstance(x, int) for x in given))
    if whole and not all(float(x).is_integer() for x in given):
        raise InputError(f"{where}: expected whole numbers for low, high and step")
    if not low < high or (step is not None and step <= 0) or (log and (low <= 0 or step is not None)):
        raise InputError(f"{where}: expected low below high, a step above 0, and log only above 0 and without step")
    return Range(low, high, log, step, whole)


def _types(name: str, arch: str) -> list[Any]:
    """The types of a setting, such as float and "auto", or of the architecture's default."""
    field = Config.model_fields.get(name.partition(".")[0])
    if field is None or name.startswith("model."):
        inner, settings = name.removeprefix("model."), ARCHITECTURES.find(arch).settings
        return [type(settings[inner])] if inner in settings else []
    types: list[Any] = [field.annotation]
    for kind in types:
        types += get_args(kind)
    return types


def _grid_size(file: Path, axes: Mapping[str, Range | Choices]) -> int:
    sizes = {name: len(axis.grid()) for name, axis in axes.items()}
    if endless := [name for name, size in sizes.items() if not size]:
        raise InputError(f"{file}: a grid needs a list or a step for {endless[0]}")
    if many := [name for name, size in sizes.items() if size > _MOST_VALUES]:
        raise InputError(f"{file}: a grid has at most {_MOST_VALUES:,} values of {many[0]}; give it a larger step")
    if prod(sizes.values()) > MOST_CELLS:
        raise InputError(f"{file}: the grid has more than {MOST_CELLS:,} trials")
    return prod(sizes.values())


def _one_of(file: Path, key: str, value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise InputError(f"{file}: {key} is {value!r}; expected {', '.join(known)}")
    return str(value)


def _whole(file: Path, key: str, value: Any) -> int:
    least = 0 if key in ("seed", "prune_after") else 1
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{file}: {key} is {value!r}; expected a whole number from {least}")
    return value
