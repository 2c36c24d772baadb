"""The most confident mistakes of runs, as clips in the page."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from skelemo.player import Clip, Track, fragment, head_track, label_track, script
from skelemo.runs.folder import Run
from skelemo.runs.mistakes import Mistake, prediction_errors, read_mistakes
from skelemo.runs.predictions import outputs_of, truth_of
from skelemo.targets import Head
from skelemo.text import visible

#: Maximum bytes of clips in a page, of the page, and of a run's tables and text.
MOST_BYTES, PAGE_BYTES, RUN_BYTES = 5_000_000, 9_500_000, 60_000

TITLES = {"classes": "most confident mistakes", "flags": "most confident mistakes", "values": "largest errors"}


@dataclass(frozen=True)
class Played:
    """A mistake in the page."""

    head: Head
    description: str
    where: str
    html: str


@dataclass(frozen=True)
class Gallery:
    """Clips by position of the run; ``left`` clips did not fit."""

    by_run: tuple[tuple[Played, ...], ...] = ()
    left: int = 0
    script: str = field(default_factory=lambda: f"\n{script()}")

    @property
    def plays(self) -> bool:
        """Whether there are any clips."""
        return any(self.by_run)

    @property
    def hash(self) -> str:
        """The script's hash for the page's content security policy."""
        return "sha256-" + base64.b64encode(hashlib.sha256(self.script.encode()).digest()).decode()

    def of(self, place: int, head: Head) -> list[Played]:
        """The clips of one run and head."""
        return [one for one in self.by_run[place] if one.head == head]


def gallery(runs: Sequence[Run], drawn: int = 0) -> Gallery:
    """The clips in the run folders, the worst first, as many as fit next to ``drawn`` bytes of figures."""
    queues = [[] if run.members and not run.evaluation else _played(run) for run in runs]
    kept: list[list[Played]] = [[] for _ in runs]
    room, left = min(MOST_BYTES, PAGE_BYTES - drawn - RUN_BYTES * len(runs)), 0
    for turn in range(max(map(len, queues), default=0)):
        for queue, some in zip(queues, kept, strict=True):
            if turn < len(queue) and len(queue[turn].html) <= room:
                room -= len(queue[turn].html)
                some.append(queue[turn])
            elif turn < len(queue):
                left += 1
    return Gallery(tuple(map(tuple, kept)), left)


def _played(run: Run) -> list[Played]:
    mistakes, heads = read_mistakes(run.path), {head.name: head for head in run.heads}
    ids = run.windows["sequence"].astype(str)
    played = []
    for one in mistakes:
        if one.head not in heads or one.head not in run.shown:
            continue
        here = run.windows[(ids == visible(one.sequence)) & (run.windows["fold"] == one.fold)].sort_values("frame")
        here = here[here["frame"].isin(one.numbers)]
        if (here["frame"] == one.frame).any():
            played.append(_clip(run, one, heads[one.head], here))
    order = {head: [one for one in played if one.head.name == head] for head in heads}
    most = max(map(len, order.values()), default=0)
    return [some[turn] for turn in range(most) for some in order.values() if turn < len(some)]


def _clip(run: Run, one: Mistake, head: Head, table: pd.DataFrame) -> Played:
    window = table[table["frame"] == one.frame].iloc[[0]]
    at = np.searchsorted(one.numbers, table["frame"].to_numpy())
    outputs = outputs_of(table, head)
    labels = _labels(head, truth_of(table, head), at, len(one.numbers))
    clip = Clip(
        one.points, one.layout, f"{run.name}, {head.name}: {visible(one.sequence)} around frame {one.frame:,}",
        one.fps, one.size, one.numbers,
        (labels, head_track("predicted", head, outputs, at, len(one.numbers))),
        at=int(np.searchsorted(one.numbers, one.frame).clip(max=len(one.numbers) - 1)),
    )  # fmt: skip
    subject = str(window["subject"].iloc[0])
    video = str(window["video"].iloc[0])
    facts = [f"subject {subject}" if subject else "", video, f"frame {one.frame:,}"]
    return Played(head, _describe(window, head), ", ".join(filter(None, facts)), fragment(clip))


def _labels(head: Head, truth: np.ndarray, at: np.ndarray, length: int) -> Track:
    """A track of labels at positions of a clip; a single label applies to the whole clip."""
    name = f"{head.name}: label"
    if len(at) == 1:
        return label_track(name, head, np.repeat(truth, length, axis=0))
    return replace(label_track(name, head, truth), at=at)


def _describe(window: pd.DataFrame, head: Head) -> str:
    """Label and prediction as text."""
    truth, outputs = truth_of(window, head)[0], outputs_of(window, head)[0]
    if head.kind == "classes":
        return (
            f"{head.outputs[int(truth)]} predicted as {head.outputs[int(outputs.argmax())]}, "
            f"probability {outputs.max():.2f}"
        )
    if head.kind == "values":
        return "; ".join(
            name + f" {true:.2f}, predicted {given:.2f}".replace("-", "−")
            for name, true, given in zip(head.outputs, truth, outputs, strict=True)
            if not np.isnan(true)
        )
    wrong = np.where(np.isnan(truth), 0, np.abs(outputs - np.nan_to_num(truth)))
    worst = int(wrong.argmax())
    state, other = ("present", "absent") if truth[worst] > 0.5 else ("absent", "present")
    error = prediction_errors(window, head)[0]
    return f"{head.outputs[worst]} is {state}, predicted {other} with probability {error:.2f}"
