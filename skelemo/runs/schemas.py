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
Fold = Annotated[dict[Literal["train", "validation", "test"], list[Text]], Field(min_length=3)]


class _Figure(TypedDict):
    value: Number
    low: NotRequired[Number]
    high: NotRequired[Number]


class _Spread(TypedDict):
    """Mean and standard deviation over folds or seeds."""

    mean: Number
    sd: Number


class _Resampling(TypedDict, total=False):
    resamples: Whole
    level: Number
    seed: Whole


class _ClassFigures(TypedDict):
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


class _FlagFigures(TypedDict):
    f1: Number
    support: Whole


class _UnscoredHeads(TypedDict):
    """Heads without a counterpart."""

    run: list[Text]
    data: list[Text]


class _Joined(TypedDict):
    """How a head of other data was joined with the run's."""

    head: Text
    renamed: dict[Text, Text]
    unscored: dict[Text, Whole]
    unlabeled: list[Text]
    unscored_heads: _UnscoredHeads


class _Group(TypedDict):
    column: Text
    group: Text
    scores: dict[Text, Any]


class _Scored(TypedDict, total=False):
    """A head's entry in ``scores.json``, without its metrics."""

    windows: Required[Whole]
    unit: Required[Literal["window", "clip"]]
    groups: Required[Whole]
    grouped_by: Required[Text]
    interval: _Resampling
    folds: dict[FoldNumber, dict[Text, Number]]
    fold_mean: dict[Text, _Spread]
    seeds: dict[SeedNumber, dict[Text, Number]]
    seed_mean: dict[Text, _Spread]
    per_class: dict[Text, _ClassFigures]
    per_flag: dict[Text, _FlagFigures]
    confusion: list[list[Whole]]
    left_out: list[Text]
    note: Text
    joined: _Joined
    by: Annotated[list[_Group], Field(max_length=10_000)]


class _LearnedBefore(TypedDict):
    """Training data of a fold's initial model."""

    sha256: list[Hash]
    subjects: list[Text]


class _Splits(TypedDict):
    split: Text
    folds: Annotated[list[Fold], Field(min_length=1, max_length=10_000)]
    grouped_by: Text
    subjects: NotRequired[dict[Text, Text]]
    sha256: NotRequired[dict[Text, Hash]]
    learned_before: NotRequired[Annotated[list[_LearnedBefore], Field(max_length=10_000)]]


class _Data(TypedDict, total=False):
    caches: Text | list[Text | dict[Text, Any]]
    layout: Text
    simulated: bool
    sequences: Whole
    frames: Whole


class _HeadFields(TypedDict):
    """A head, see `skelemo.targets.Head.to_json`."""

    name: Text
    kind: Text
    outputs: Annotated[list[Text], Field(max_length=1024)]
    low: NotRequired[Number]
    high: NotRequired[Number]


class _EvaluatedRun(TypedDict):
    name: Text
    arch: Text
    data: list[Text]
    weights_sha256: list[Hash]


class _Evaluation(TypedDict):
    runs: Annotated[list[_EvaluatedRun], Field(min_length=1, max_length=1000)]
    notes: Annotated[list[Text], Field(max_length=1000)]
    seconds: Number


class _CorrectionsApplied(TypedDict):
    """The correction table applied to a run's labels."""

    file: Text
    sha256: Hash
    count: Whole
    authors: Whole
    applied: Whole
    elsewhere: Whole
    unmatched: Whole


class _Initial(TypedDict):
    """Initialization of a run, and overlap of the initial model's data with its subsets."""

    text: Text
    overlap: Text


class _Throughput(TypedDict):
    """_Throughput of a run, see `skelemo.inference.scoring.cost.throughput`."""

    windows_per_second: Annotated[float, Field(gt=0, le=1e12)]
    batch: Annotated[int, Field(ge=1, le=10**9)]
    device: Text


class _Environment(TypedDict, total=False):
    evaluation: _Evaluation
    corrections: _CorrectionsApplied
    init: _Initial

    cache_hash: Text | None
    data: _Data
    heads: Annotated[list[_HeadFields], Field(max_length=100)]
    parameters: Number
    flops: Number
    throughput: _Throughput
    seconds: Number


class _ProbeTrial(TypedDict):
    """See `skelemo.training.choice.Trial`."""

    parts: list[Text]
    error: Number
    gain: Number
    deviation: Number
    calibrate: Calibration


class _FoldChoice(TypedDict):
    """See `skelemo.training.choice.Choice`."""

    parts: Annotated[list[Text], Field(min_length=1)]
    trials: Annotated[list[_ProbeTrial], Field(max_length=10_000)]
    reason: Text
    calibrate: Calibration
    caution: Text


class _Choices(TypedDict):
    folds: Annotated[list[_FoldChoice], Field(max_length=10_000)]


_FIGURE = TypeAdapter(_Figure)
_SCORED = TypeAdapter(_Scored)

Radius = Annotated[float, Field(ge=0, le=10)] | None


class _Smoothing(TypedDict):
    """See `skelemo.training.predicting.choose_width`."""

    width: Annotated[int, Field(ge=1, le=1_000_001)]
    metric: Text
    plain: Number
    smoothed: Number


class _WindowFields(TypedDict):
    """`skelemo.data.window_frames.Window`."""

    length: Annotated[int, Field(ge=1, le=100_000)]
    dilation: Annotated[int, Field(ge=1, le=1_000_000)]
    target: Literal["last", "center"]
    sampling: Literal["stride", "clip"]
    clip_windows: NotRequired[Annotated[int, Field(ge=1, le=100)]]


class Model(TypedDict):
    """``model.json``, see `skelemo.runs.model_file.ModelFile`."""

    format: Literal[1]
    skelemo: str
    arch: str
    settings: dict[str, Any]
    layout: str
    heads: list[dict[str, Any]]
    preparation: dict[str, Any]
    window: _WindowFields
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    weights_sha256: str
    smoothing: NotRequired[dict[Text, _Smoothing]]
    flip_average: NotRequired[bool]
    neutral_radius: NotRequired[Radius]
    pretext: NotRequired[bool]


class _PreparationFields(TypedDict):
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
    heads: Annotated[list[_HeadFields], Field(min_length=1, max_length=100)]
    layout: Text
    parts: Annotated[list[Text], Field(min_length=1, max_length=100)]
    units: Literal["pixels"]
    window: _WindowFields
    preparation: _PreparationFields
    least: Annotated[int, Field(ge=1, le=10_000_000)]
    precision: Literal["float32", "int8"]
    smoothing: dict[Text, _Smoothing]
    neutral_radius: NotRequired[Radius]
    weights_sha256: Annotated[list[Hash], Field(max_length=1000)]


#: Schemas by file name.
SHAPES: dict[str, TypeAdapter[Any]] = {
    "splits.json": TypeAdapter(_Splits),
    "choices.json": TypeAdapter(_Choices),
    "environment.json": TypeAdapter(_Environment),
    "model.json": TypeAdapter(Model),
    "exported": TypeAdapter(ExportedFields),
    "scores.json": TypeAdapter(dict[Literal["validation", "test"], dict[Text, dict[Text, Any]]]),
}


def _check_scored(scored: dict[str, Any]) -> None:
    rest = {key: value for key, value in scored.items() if key in _Scored.__annotations__}
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
