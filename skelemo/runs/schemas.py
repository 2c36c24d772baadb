"""What the JSON files of a run folder hold, as far as a report reads them."""

from typing import Any, Literal, NotRequired

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

Number = float | None


class Figure(TypedDict):
    """A figure and its interval."""

    value: Number
    low: NotRequired[Number]
    high: NotRequired[Number]


class Spread(TypedDict):
    """A figure over several folds."""

    mean: Number
    sd: Number


class ClassFigures(TypedDict):
    """One class."""

    precision: Number
    recall: Number
    f1: Number
    support: Number


class Resampling(TypedDict, total=False):
    """How intervals were made."""

    resamples: int


class Head(TypedDict, total=False):
    """What any head says beside its figures."""

    windows: int
    groups: int
    grouped_by: str
    interval: Resampling
    folds: dict[str, dict[str, Number]]
    fold_mean: dict[str, Spread]


class Expression(Head):
    """Figures of the classes."""

    macro_f1: Figure
    uar: Figure
    accuracy: Figure
    per_class: dict[str, ClassFigures]
    confusion: list[list[int]]


class Affect(Head):
    """Figures of valence and arousal."""

    ccc_mean: Figure
    ccc_valence: Figure
    ccc_arousal: Figure


class Heads(TypedDict, total=False):
    """Figures of one part."""

    expression: Expression
    va: Affect


class Splits(TypedDict, total=False):
    """``splits.json``."""

    split: str
    folds: list[dict[str, list[str]]]
    grouped_by: str


class Data(TypedDict, total=False):
    """What a run was trained on."""

    caches: str | list[str | dict[str, Any]]
    classes: list[str]
    simulated: bool
    sequences: int
    frames: int


class Environment(TypedDict, total=False):
    """``environment.json``."""

    cache_hash: str | None
    data: Data
    parameters: Number
    seconds: Number


#: By name of the file.
SHAPES: dict[str, TypeAdapter[Any]] = {
    "splits.json": TypeAdapter(Splits),
    "environment.json": TypeAdapter(Environment),
    "scores.json": TypeAdapter(dict[Literal["validation", "test"], Heads]),
}


def misfit(name: str, content: Any) -> str:
    """Where and how the content of such a file is not of its shape; "" where it is."""
    try:
        SHAPES[name].validate_python(content, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}, found {first['input']!r:.80}"
    return ""
