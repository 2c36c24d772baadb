"""Schemas of the files of a run folder, which may come from an untrusted source."""

from typing import Annotated, Any, Literal, NotRequired, Required

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from skelemo.runs.yaml_settings import MOST_TEXT, limit_error

Text = Annotated[str, StringConstraints(max_length=MOST_TEXT)]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e15, le=1e15)] | None
FoldNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}$")]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
SeedNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,10}$")]
Calibration = Literal["none", "track", "running"]
Whole = Annotated[int, Field(ge=0, le=2**53)]


class Figure(TypedDict):
    """A metric and its interval."""

    value: Number
    low: NotRequired[Number]
    high: NotRequired[Number]


class Spread(TypedDict):
    """Mean and standard deviation over folds or seeds."""

    mean: Number
    sd: Number


class Resampling(TypedDict, total=False):
    """Bootstrap of the intervals."""

    resamples: Whole
    level: Number
    seed: Whole


class ClassFigures(TypedDict):
    """Metrics of a class."""

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
    """Metrics of a flag."""

    f1: Number
    support: Whole


class UnscoredHeads(TypedDict):
    """Heads without a counterpart."""

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
    """Scores of a group of windows."""

    column: Text
    group: Text
    scores: dict[Text, Any]


class Scored(TypedDict, total=False):
    """A head's entry in ``scores.json``, without its metrics."""

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
    """Training data of a fold's initial model."""

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
    """Data of a run."""

    caches: Text | list[Text | dict[Text, Any]]
    layout: Text
    simulated: bool
    sequences: Whole
    frames: Whole


class HeadFields(TypedDict):
    """A head, see `skelemo.targets.Head.to_json`."""

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
    """The evaluated runs and notes on the evaluation."""

    runs: Annotated[list[EvaluatedRun], Field(min_length=1, max_length=1000)]
    notes: Annotated[list[Text], Field(max_length=1000)]
    seconds: Number


class CorrectionsApplied(TypedDict):
    """The table of corrections applied to a run's labels."""

    file: Text
    sha256: Hash
    count: Whole
    authors: Whole
    applied: Whole
    elsewhere: Whole
    unmatched: Whole


class Initial(TypedDict):
    """Initialization of a run, and overlap of the initial model's data with its subsets."""

    text: Text
    overlap: Text


class Throughput(TypedDict):
    """Throughput of a run, see `skelemo.inference.scoring.cost.throughput`."""

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
    """See `skelemo.training.choice.Trial`."""

    parts: list[Text]
    error: Number
    gain: Number
    deviation: Number
    calibrate: Calibration


class FoldChoice(TypedDict):
    """See `skelemo.training.choice.Choice`."""

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
    """See `skelemo.training.predicting.choose_width`."""

    width: Annotated[int, Field(ge=1, le=1_000_001)]
    metric: Text
    plain: Number
    smoothed: Number


class Model(TypedDict):
    """``model.json``, see `skelemo.runs.model_file.ModelFile`."""

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
    """Metadata of an exported model, see `skelemo.inference.export.exporting.facts_of`."""

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


#: Schemas by file name.
SHAPES: dict[str, TypeAdapter[Any]] = {
    "splits.json": TypeAdapter(Splits),
    "choices.json": TypeAdapter(Choices),
    "environment.json": TypeAdapter(Environment),
    "model.json": TypeAdapter(Model),
    "exported": TypeAdapter(ExportedFields),
    "scores.json": TypeAdapter(dict[Literal["validation", "test"], dict[Text, dict[Text, Any]]]),
}


def _check_scored(scored: dict[str, Any]) -> None:
    rest = {key: value for key, value in scored.items() if key in Scored.__annotations__}
    _SCORED.validate_python(rest, strict=True)
    for key in scored.keys() - rest.keys():
        _FIGURE.validate_python(scored[key], strict=True)


def schema_error(name: str, content: Any) -> str:
    """Where and how the content violates the schema; "" if valid."""
    if wrong := limit_error(content):
        return wrong
    try:
        if name in SHAPES:
            SHAPES[name].validate_python(content, strict=True)
        elif not isinstance(content, dict):
            return f"expected a mapping, found {type(content).__name__}"
        if name == "scores.json":
            for heads in content.values():
                for scored in heads.values():
                    _check_scored(scored)
                    for group in scored.get("by", ()):
                        _check_scored(group["scores"])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = f"{'.'.join(map(str, first['loc']))}: " if first["loc"] else ""
        return f"{where}{first['msg']}, found {first['input']!r:.80}"
    return ""
