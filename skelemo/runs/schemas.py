"""What the files of a run folder may hold: run folders come from elsewhere, so every one is read through these."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, Required

import yaml
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from skelemo.errors import InputError

#: Bounds of what a file of a run may hold; `unfit` keeps them.
MOST_TEXT, MOST_DEPTH, MOST_NUMBER = 4096, 8, 1e15
#: A file of settings is a screen or two.
MOST_YAML = 256 * 1024

Text = Annotated[str, StringConstraints(max_length=MOST_TEXT)]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e15, le=1e15)] | None
FoldNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}$")]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
SeedNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,10}$")]
Calibration = Literal["none", "track", "running"]
Whole = Annotated[int, Field(ge=0, le=2**53)]


class Figure(TypedDict):
    """A figure and its interval."""

    value: Number
    low: NotRequired[Number]
    high: NotRequired[Number]


class Spread(TypedDict):
    """A figure over several folds or seeds."""

    mean: Number
    sd: Number


class Resampling(TypedDict, total=False):
    """How intervals were made."""

    resamples: Whole
    level: Number
    seed: Whole


class ClassFigures(TypedDict):
    """One class."""

    precision: Number
    recall: Number
    f1: Number
    support: Whole
    precision_low: NotRequired[Number]
    precision_high: NotRequired[Number]
    recall_low: NotRequired[Number]
    recall_high: NotRequired[Number]
    f1_low: NotRequired[Number]
    f1_high: NotRequired[Number]


class FlagFigures(TypedDict):
    """One flag."""

    f1: Number
    support: Whole


class UnscoredHeads(TypedDict):
    """Heads that either side has alone."""

    run: list[Text]
    data: list[Text]


class Joined(TypedDict):
    """How a head of other data was joined with the run's."""

    head: Text
    renamed: dict[Text, Text]
    unscored: dict[Text, Whole]
    unlabeled: list[Text]
    unscored_heads: UnscoredHeads


class Group(TypedDict):
    """The scores of one group of windows."""

    column: Text
    group: Text
    scores: dict[Text, Any]


class Scored(TypedDict, total=False):
    """What ``scores.json`` says of a head beside its figures."""

    windows: Required[Whole]
    unit: Required[Literal["window", "clip"]]
    groups: Required[Whole]
    grouped_by: Required[Text]
    interval: Resampling
    folds: dict[FoldNumber, dict[Text, Number]]
    fold_mean: dict[Text, Spread]
    seeds: dict[SeedNumber, dict[Text, Number]]
    seed_mean: dict[Text, Spread]
    per_class: dict[Text, ClassFigures]
    per_flag: dict[Text, FlagFigures]
    confusion: list[list[Whole]]
    left_out: list[Text]
    note: Text
    joined: Joined
    by: Annotated[list[Group], Field(max_length=10_000)]


class LearnedBefore(TypedDict):
    """What the model that a fold started from has learned from."""

    sha256: list[Hash]
    subjects: list[Text]


class Splits(TypedDict, total=False):
    """``splits.json``."""

    split: Text
    folds: Annotated[list[dict[Text, list[Text]]], Field(max_length=10_000)]
    grouped_by: Text
    subjects: dict[Text, Text]
    sha256: dict[Text, Hash]
    learned_before: Annotated[list[LearnedBefore], Field(max_length=10_000)]


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


class EvaluatedRun(TypedDict):
    """A run that was evaluated on other data."""

    name: Text
    arch: Text
    data: list[Text]
    weights_sha256: list[Hash]


class Evaluation(TypedDict):
    """Which runs were evaluated, and what the reader must know."""

    runs: Annotated[list[EvaluatedRun], Field(min_length=1, max_length=1000)]
    notes: Annotated[list[Text], Field(max_length=1000)]
    seconds: Number


class CorrectionsApplied(TypedDict):
    """Which table of corrections changed the labels of a run."""

    file: Text
    sha256: Hash
    count: Whole
    authors: Whole
    applied: Whole
    elsewhere: Whole
    unmatched: Whole


class Initial(TypedDict):
    """What a run started from, and what of that its validation or test subset has too."""

    text: Text
    overlap: Text


class Throughput(TypedDict):
    """How fast a run predicts; `skelemo.inference.cost.throughput` says what its entries mean."""

    windows_per_second: Annotated[float, Field(gt=0, le=1e12)]
    batch: Annotated[int, Field(ge=1, le=10**9)]
    device: Text


class Environment(TypedDict, total=False):
    """``environment.json``."""

    evaluation: Evaluation
    corrections: CorrectionsApplied
    init: Initial

    cache_hash: Text | None
    data: Data
    heads: Annotated[list[HeadFields], Field(max_length=100)]
    parameters: Number
    flops: Number
    throughput: Throughput
    seconds: Number


class ProbeTrial(TypedDict):
    """The probe on some parts, calibrated or not; see `skelemo.training.choice`."""

    parts: list[Text]
    error: Number
    gain: Number
    deviation: Number
    calibrate: Calibration


class FoldChoice(TypedDict):
    """What was chosen for a fold."""

    parts: Annotated[list[Text], Field(min_length=1)]
    trials: Annotated[list[ProbeTrial], Field(max_length=10_000)]
    reason: Text
    calibrate: Calibration
    caution: Text


class Choices(TypedDict):
    """``choices.json``."""

    folds: Annotated[list[FoldChoice], Field(max_length=10_000)]


_FIGURE = TypeAdapter(Figure)
_SCORED = TypeAdapter(Scored)


Radius = Annotated[float, Field(ge=0, le=10)] | None


class Smoothing(TypedDict):
    """The width that the validation subset prefers for a head, in frames, and its figure without and with it."""

    width: Annotated[int, Field(ge=1, le=1_000_001)]
    metric: Text
    plain: Number
    smoothed: Number


class Model(TypedDict):
    """``model.json``; `skelemo.runs.model_file` says what its entries mean."""

    format: Literal[1]
    skelemo: str
    arch: str
    settings: dict[str, Any]
    layout: str
    heads: list[dict[str, Any]]
    preparation: dict[str, Any]
    window: dict[str, Any]
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    weights_sha256: str
    smoothing: NotRequired[dict[Text, Smoothing]]
    flip_average: NotRequired[bool]
    neutral_radius: NotRequired[Radius]
    pretext: NotRequired[bool]


class WindowFields(TypedDict):
    """`skelemo.data.window.Window`."""

    length: Annotated[int, Field(ge=1, le=100_000)]
    dilation: Annotated[int, Field(ge=1, le=1_000_000)]
    target: Literal["last", "center"]
    sampling: Literal["stride", "clip"]
    clip_windows: NotRequired[Annotated[int, Field(ge=1, le=100)]]


class PreparationFields(TypedDict):
    """`skelemo.preprocess.Preparation`."""

    coordinates: Literal["parts", "frame"]
    reference: Literal["clip", "window"]
    min_confidence: Annotated[float, Field(ge=0, le=1)]
    max_gap: Annotated[int, Field(ge=0, le=1_000_000)]
    smooth: Annotated[int, Field(ge=0, le=1001)]
    causal: bool
    calibrate: NotRequired[Literal["none"]]
    typical: NotRequired[Annotated[list[Any], Field(max_length=0)]]
    standardize: NotRequired[Literal["none"]]
    standard: NotRequired[Annotated[list[Any], Field(max_length=0)]]
    source: NotRequired[Annotated[list[Any], Field(max_length=0)]]


class ExportedFields(TypedDict):
    """What an exported model says of itself; `skelemo.inference.onnx` says what its entries mean."""

    format: Literal[1]
    skelemo: Text
    name: Text
    archs: Annotated[list[Text], Field(min_length=1, max_length=1000)]
    heads: Annotated[list[HeadFields], Field(min_length=1, max_length=100)]
    layout: Text
    parts: Annotated[list[Text], Field(min_length=1, max_length=100)]
    units: Literal["pixels"]
    window: WindowFields
    preparation: PreparationFields
    least: Annotated[int, Field(ge=1, le=10_000_000)]
    precision: Literal["float32", "int8"]
    smoothing: dict[Text, Smoothing]
    neutral_radius: NotRequired[Radius]
    weights_sha256: Annotated[list[Hash], Field(max_length=1000)]


#: By name of the file.
SHAPES: dict[str, TypeAdapter[Any]] = {
    "splits.json": TypeAdapter(Splits),
    "choices.json": TypeAdapter(Choices),
    "environment.json": TypeAdapter(Environment),
    "model.json": TypeAdapter(Model),
    "exported": TypeAdapter(ExportedFields),
    "scores.json": TypeAdapter(dict[Literal["validation", "test"], dict[Text, dict[Text, Any]]]),
}


class _Loader(yaml.SafeLoader):
    """YAML without aliases: a kilobyte of them can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read, write the value itself")
        return super().compose_node(parent, index)


def read_yaml(path: Path) -> dict[str, Any]:
    """The settings of a YAML file, which nobody need have checked.

    Raises `ValueError`: it is too large, no YAML, has aliases, or is no mapping of settings; the message fits behind
    the path.
    """
    with path.open("rb") as file:
        text = file.read(MOST_YAML + 1)
    if len(text) > MOST_YAML:
        raise ValueError(f"larger than {MOST_YAML:,} bytes")
    try:
        content = yaml.load(text, _Loader)
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())[:200]
        raise ValueError(f"not a readable YAML file ({why})") from None
    content = {} if content is None else content
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ValueError("expected a mapping of settings, as in 'lr: 0.001'")
    if wrong := unfit(content):
        raise ValueError(wrong)
    return content


def read_user_yaml(file: Path) -> dict[str, Any]:
    """As `read_yaml`, of a file that a user names; `InputError` where it cannot be read."""
    try:
        return read_yaml(file)
    except OSError as error:
        raise InputError(f"{file}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None


def unfit(value: Any, depth: int = 0) -> str:
    """What in a value read from a file exceeds the bounds, or is no plain data; "" where nothing does."""
    if isinstance(value, dict | list):
        if depth == MOST_DEPTH:
            return f"nested more than {MOST_DEPTH} deep"
        items = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        return next((wrong for item in items if (wrong := unfit(item, depth + 1))), "")
    if isinstance(value, str):
        if len(value) > MOST_TEXT:
            return f"a text of {len(value):,} characters, {value[:20]!r}…"
        return "" if value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value) else f"no text: {value!a:.80}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        fits = math.isfinite(value) and abs(value) <= MOST_NUMBER
        return "" if fits else f"the number {value!r:.40} is out of bounds"
    return "" if value is None or isinstance(value, bool) else f"{value!r:.80} is neither text, number nor list"


def _check_scored(scored: dict[str, Any]) -> None:
    rest = {key: value for key, value in scored.items() if key in Scored.__annotations__}
    _SCORED.validate_python(rest, strict=True)
    for key in scored.keys() - rest.keys():
        _FIGURE.validate_python(scored[key], strict=True)


def misfit(name: str, content: Any) -> str:
    """Where and how the content of such a file is not of its shape; "" where it is."""
    if wrong := unfit(content):
        return wrong
    try:
        if name in SHAPES:
            SHAPES[name].validate_python(content, strict=True)
        elif not isinstance(content, dict):
            return f"the whole: expected a mapping, found {type(content).__name__}"
        if name == "scores.json":
            for heads in content.values():
                for scored in heads.values():
                    _check_scored(scored)
                    for group in scored.get("by", ()):
                        _check_scored(group["scores"])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}, found {first['input']!r:.80}"
    return ""
