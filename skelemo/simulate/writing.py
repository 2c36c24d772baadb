"""Writes simulated recordings: OpenPose's JSON, labels of Aff-Wild2 and DFEW, and ground truth.

::

    OUT/simulated.json                                      settings; also in every folder of JSON
    OUT/json/<video>/<video>_%012d_keypoints.json           long clips
    OUT/affwild2/{EXPR,VA}_Set/{Training,Validation,Test}_Set/<video>[_left|_right].txt
    OUT/dfew/json/00001/00001_%012d_keypoints.json          short clips
    OUT/dfew/EmoLabel_DataSplit/{train,test}(single-labeled)/set_{1..5}.csv
    OUT/truth/{affwild2,dfew}/clips.csv, <video>.npz        identities and positions
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

import skelemo
from skelemo.atomic import LOCK, claimed
from skelemo.errors import ConfigError, InputError, unknown
from skelemo.simulate.clips import FOLDS, Cast, Clip, Role, long_clip, short_clip
from skelemo.simulate.detection import six_digits
from skelemo.simulate.emotions import NAMES
from skelemo.skeleton import BODY_25, FACE_70, layout
from skelemo.text import SIMULATED, count

FORMS = ("affwild2", "dfew", "both")

#: The seven classes in Aff-Wild2's headers of 2020 and 2021.
AFFWILD2_CLASSES = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")

_FOLDERS = {"train": "Training_Set", "validation": "Validation_Set", "test": "Test_Set"}
_TO_AFFWILD2 = np.array([[name.lower() for name in AFFWILD2_CLASSES].index(name) for name in NAMES])
_EMPTY_PARTS = (
    *("hand_left_keypoints_2d", "hand_right_keypoints_2d"),
    *(f"{part}_keypoints_3d" for part in ("pose", "face", "hand_left", "hand_right")),
)
_BODY, _FACE = layout().slices[BODY_25.name], layout().slices[FACE_70.name]
_UNANNOTATED = 0.04  # share of frames, in gaps of _GAP frames
_GAP = 25


@dataclass(frozen=True)
class Plan:
    """Settings of a folder of simulated recordings."""

    form: str = "affwild2"
    subjects: int = 24
    clips: int = 2  # long ones per subject, short ones per subject and emotion
    frames: int = 600  # mean of long clips; short ones have about a tenth
    difficulty: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise unknown("form", self.form, FORMS)
        if self.clips < 1 or self.frames < 30:
            raise ConfigError(f"{count(self.clips, 'clip')} of {self.frames} frames: expected at least 1 of 30 frames")

    @property
    def cast(self) -> Cast:
        """The subjects."""
        return Cast(self.subjects, self.difficulty, self.seed)

    @property
    def long(self) -> int:
        """Number of long clips."""
        return 0 if self.form == "dfew" else self.subjects * self.clips

    @property
    def short(self) -> int:
        """Number of short clips."""
        return 0 if self.form == "affwild2" else self.subjects * self.clips * len(NAMES)


@dataclass(frozen=True)
class Written:
    """One actor of a clip on disk, a row of ``clips.csv``, which is readable as label format ``table``."""

    video: str
    person: str  # "left" or "right" in clips with two actors
    subject: int
    split: str
    label: str  # the emotion of a short clip
    form: str
    fold: int
    frames: int
    width: int
    height: int
    fps: int
    people: int  # detections in all frames
    passers: int


def write(out: Path, plan: Plan, *, progress: Callable[[int, int], None] | None = None) -> list[Written]:
    """Write the clips of a plan below `out`.

    Raises `InputError`: `out` exists and is not an empty folder; `ConfigError`: an invalid plan.

    Parameters
    ----------
    progress : called after each clip with 1 and its number of frames.
    """
    cast = plan.cast
    with claimed(out):
        if any(path.name != LOCK for path in out.iterdir()):
            raise InputError(f"{out} exists and is not an empty folder: choose another or remove it")
        _mark(out, plan)
        tasks = [(form, n) for form, clips in (("affwild2", plan.long), ("dfew", plan.short)) for n in range(clips)]
        rows: list[Written] = []
        for form, number in tasks:
            written = _write_clip(out, cast, plan.frames, form, number)
            rows += written
            if progress:
                progress(1, written[0].frames)
        _write_folds(out, [row for row in rows if row.form == "dfew"])
        for form in {row.form: row for row in rows}:
            _write_table(out / "truth" / form / "clips.csv", [row for row in rows if row.form == form])
    return rows


def frame_text(people: NDArray[np.float64]) -> bytes:
    """The JSON of OpenPose 1.5 and newer for one frame, of people [n, 95, 3] with six digits.

    Numbers are formatted as by ``ostream << float``, without ``.0``.
    """
    listed = []
    for person in people:
        lists = {"pose_keypoints_2d": person[_BODY].ravel(), "face_keypoints_2d": person[_FACE].ravel()}
        listed.append({"person_id": (-1,), **lists, **dict.fromkeys(_EMPTY_PARTS, ())})
    text = orjson.dumps({"version": 1.3, "people": listed}, option=orjson.OPT_SERIALIZE_NUMPY)
    return text.replace(b".0,", b",").replace(b".0]", b"]")


def _mark(out: Path, plan: Plan) -> None:
    note = {
        "simulated": True,
        "note": "Simulated actors. Describe all results on these data as simulated.",
        "made_by": f"skelemo {skelemo.__version__} synth",
        **asdict(plan),
        "emotions": NAMES,
    }
    text = orjson.dumps(note, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    (out / SIMULATED).write_bytes(text)
    for form, clips, root in (("affwild2", plan.long, out / "json"), ("dfew", plan.short, out / "dfew" / "json")):
        if clips:
            root.mkdir(parents=True)
            (root / SIMULATED).write_bytes(text)
            (out / "truth" / form).mkdir(parents=True)


def _write_clip(out: Path, cast: Cast, frames: int, form: str, number: int) -> list[Written]:
    if form == "dfew":
        clip = short_clip(cast, number, max(24, frames // 10))
        _write_json(out / "dfew" / "json" / clip.name, clip)
    else:
        clip = long_clip(cast, number, frames)
        _write_json(out / "json" / clip.name, clip)
        _write_labels(out / "affwild2", clip, cast.random(9, number))
    _write_truth(out / "truth" / form / f"{clip.name}.npz", clip)
    return [_row(form, clip, role) for role in clip.roles]


def _write_json(folder: Path, clip: Clip) -> None:
    folder.mkdir(parents=True)
    people, crowd = six_digits(clip.crowd.keypoints), clip.crowd
    prefix = os.fspath(folder / clip.name)
    for number, start, stop in zip(crowd.number, crowd.start[:-1], crowd.start[1:], strict=True):
        with open(f"{prefix}_{number:012d}_keypoints.json", "wb", buffering=0) as file:
            file.write(frame_text(people[start:stop]))


def _write_labels(folder: Path, clip: Clip, rng: np.random.Generator) -> None:
    """Write Aff-Wild2's two text files for each actor; half of the videos have an extra row, as in the original."""
    extra = int(rng.random() < 0.5)
    for role in clip.roles:
        gaps = [_gaps(rng, len(role.expression)) for _ in range(2)]
        expression = np.where(gaps[0], -1, _TO_AFFWILD2[role.expression])
        affect = np.where(gaps[1][:, None], -5.0, np.column_stack([role.valence, role.arousal]))
        name = f"{clip.name}_{role.side}.txt" if role.side else f"{clip.name}.txt"
        rows = np.minimum(np.arange(len(expression) + extra), len(expression) - 1)
        classes = [str(value) for value in expression[rows].tolist()]
        values = [f"{valence:.3g},{arousal:.3g}" for valence, arousal in affect[rows].tolist()]
        _write_lines(folder / "EXPR_Set" / _FOLDERS[clip.split] / name, [",".join(AFFWILD2_CLASSES), *classes])
        _write_lines(folder / "VA_Set" / _FOLDERS[clip.split] / name, ["valence,arousal", *values])


def _gaps(rng: np.random.Generator, frames: int) -> NDArray[np.bool_]:
    begins = rng.random(frames) < _UNANNOTATED / _GAP
    return np.convolve(begins, np.ones(_GAP))[:frames] > 0


def _write_folds(out: Path, rows: Sequence[Written]) -> None:
    """Write DFEW's five folds: each tests its subjects and trains on the others."""
    for fold in range(1, FOLDS + 1) if rows else ():
        for subset in ("train", "test"):
            chosen = [row for row in rows if (row.fold == fold) == (subset == "test")]
            lines = [f"{int(row.video)},{NAMES.index(row.label) + 1}" for row in chosen]
            folder = out / "dfew" / "EmoLabel_DataSplit" / f"{subset}(single-labeled)"
            _write_lines(folder / f"set_{fold}.csv", ["video_name,label", *lines])


def _write_truth(path: Path, clip: Clip) -> None:
    """Write the identities in every frame of ``json``, and each actor's points without noise and labels."""
    arrays: dict[str, Any] = {
        "number": clip.crowd.number,
        "start": clip.crowd.start,
        "person": clip.crowd.person,
        "actors": np.array([role.person for role in clip.roles]),
        "passers": np.array(clip.passers, dtype=np.int64),
    }
    for role in clip.roles:
        prefix = f"{role.side}_" if role.side else ""
        arrays |= {
            f"{prefix}row": np.maximum(clip.crowd.rows(role.person) - clip.crowd.start[:-1], -1),
            f"{prefix}subject": np.array(role.subject),
            f"{prefix}keypoints": role.truth,
            f"{prefix}expression": role.expression,
            f"{prefix}intensity": role.intensity,
            f"{prefix}valence": role.valence,
            f"{prefix}arousal": role.arousal,
        }
    np.savez_compressed(path, **arrays)


def _row(form: str, clip: Clip, role: Role) -> Written:
    crowd = clip.crowd
    return Written(
        *(clip.name, role.side, role.subject, clip.split, clip.emotion, form, clip.fold),
        frames=len(crowd.number),
        **{name: getattr(clip, name) for name in ("width", "height", "fps")},
        people=len(crowd.keypoints),
        passers=len(clip.passers),
    )


def _write_table(path: Path, rows: Sequence[Written]) -> None:
    lines = [",".join(str(value) for value in asdict(row).values()) for row in rows]
    _write_lines(path, [",".join(field.name for field in fields(Written)), *lines])


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
