"""What the files of a run folder may hold: run folders come from elsewhere, so every one is read through these."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError
from typing_extensions import TypedDict

Text = Annotated[str, StringConstraints(max_length=4096, pattern=r"^[^\x00-\x08\x0b-\x1f]*$")]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e15, le=1e15)] | None
Whole = Annotated[int, Field(ge=0, le=2**53)]


class Figure(TypedDict):
    """A figure and its interval."""

    value: Number
    low: NotRequired[Number]
    high: NotRequired[Number]


class Spread(TypedDict):
    """A figure over several folds."""

    mean: Number
    sd: Number


class Resampling(TypedDict, total=False):
    """How intervals were made."""

    resamples: Whole
    level: Number
    seed: Whole


class Scored(TypedDict, total=False):
    """What ``scores.json`` says of a head beside its figures."""

    windows: Whole
    unit: Literal["window", "clip"]
    groups: Whole
    grouped_by: Text
    interval: Resampling
    folds: dict[Text, dict[Text, Number]]
    fold_mean: dict[Text, Spread]
    per_class: dict[Text, dict[Text, Number]]
    per_flag: dict[Text, dict[Text, Number]]
    confusion: list[list[Whole]]
    left_out: list[Text]
    note: Text


class Splits(TypedDict, total=False):
    """``splits.json``."""

    split: Text
    folds: Annotated[list[dict[Text, list[Text]]], Field(max_length=10_000)]
    grouped_by: Text


class Data(TypedDict, total=False):
    """What a run was trained on."""

    caches: Text | list[Text | dict[Text, Any]]
    layout: Text
    simulated: bool
    sequences: Whole
    frames: Whole


class HeadFields(TypedDict):
    """A head, as `skelemo.targets.Head.to_json` writes it."""

    name: Text
    kind: Text
    outputs: Annotated[list[Text], Field(max_length=1024)]
    low: NotRequired[Number]
    high: NotRequired[Number]


class Environment(TypedDict, total=False):
    """``environment.json``."""

    cache_hash: Text | None
    data: Data
    heads: Annotated[list[HeadFields], Field(max_length=100)]
    parameters: Number
    seconds: Number


_FIGURE = TypeAdapter(Figure)
_SCORED = TypeAdapter(Scored)

#: By name of the file.
SHAPES: dict[str, TypeAdapter[Any]] = {
    "splits.json": TypeAdapter(Splits),
    "environment.json": TypeAdapter(Environment),
    "scores.json": TypeAdapter(dict[Literal["validation", "test"], dict[Text, dict[Text, Any]]]),
}


def misfit(name: str, content: Any) -> str:
    """Where and how the content of such a file is not of its shape; "" where it is."""
    try:
        if name in SHAPES:
            SHAPES[name].validate_python(content, strict=True)
        elif not isinstance(content, dict):
            return f"the whole: expected a mapping, found {type(content).__name__}"
        if name == "scores.json":
            for heads in content.values():
                for scored in heads.values():
                    rest = {key: value for key, value in scored.items() if key in Scored.__annotations__}
                    _SCORED.validate_python(rest, strict=True)
                    for key in scored.keys() - rest.keys():
                        _FIGURE.validate_python(scored[key], strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}, found {first['input']!r:.80}"
    return ""
