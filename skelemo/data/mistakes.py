"""Clips around a run's worst predictions, and groups of windows by visibility, from the corpus."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from skelemo.data.corpus import BLOCK_FRAMES, Corpus
from skelemo.data.window_frames import KEY_SPAN
from skelemo.runs.mistakes import Mistake, worst_windows
from skelemo.targets import Head

#: Length of a clip in frames.
CLIP_FRAMES = 75
#: Upper bounds of the groups in `missing_groups`.
_BOUNDS = (0.1, 0.25, 0.5)
_MISSING = ("0 to 10 %", "10 to 25 %", "25 to 50 %", "over 50 %")


def rows_of(corpus: Corpus, table: pd.DataFrame) -> np.ndarray:
    """Rows ``[N]`` of the corpus for a table of predictions; -1 for absent frames."""
    sequence = pd.Index(corpus.sequences["id"]).get_indexer(pd.Index(table["sequence"].astype(str)))
    key = torch.as_tensor(sequence * KEY_SPAN + table["frame"].to_numpy(np.int64), device=corpus.device)
    row = torch.searchsorted(corpus.key, key).clamp(max=len(corpus) - 1)
    known = torch.as_tensor(sequence >= 0, device=corpus.device) & (corpus.key[row] == key)
    return torch.where(known, row, -1).cpu().numpy()


def find_mistakes(corpus: Corpus, table: pd.DataFrame, heads: Sequence[Head], most: int) -> list[Mistake]:
    """Clips of the ``most`` worst predictions of each head in a table of one subset's windows."""
    found = []
    for head in heads:
        worst = table.iloc[worst_windows(table, head, most)]
        places = worst[["fold", "sequence", "frame"]].to_numpy(object)
        for (fold, sequence, frame), row in zip(places, rows_of(corpus, worst), strict=True):
            facts = corpus.sequences.iloc[int(corpus.sequence(np.array([row]))[0])]
            start, length = int(facts["start"]), int(facts["length"])
            first = max(start, min(int(row) - CLIP_FRAMES // 2, start + length - CLIP_FRAMES))
            rows = np.arange(first, min(first + CLIP_FRAMES, start + length))
            points = corpus.keypoints[torch.as_tensor(rows, device=corpus.device)].cpu().numpy()
            points = np.where(points[..., 2:] > 0, points, 0).astype(np.float32)
            size = (int(facts["width"]), int(facts["height"]))
            found.append(Mistake(head.name, int(fold), str(sequence), int(frame),
                                 corpus.number(rows), points, corpus.layout, float(facts["fps"]), size))  # fmt: skip
    return found


def missing_groups(corpus: Corpus, rows: np.ndarray, *, clips: bool) -> np.ndarray:
    """Group ``[W]`` of each window by the share of missing points in its target frame, or in its whole clip."""
    points, of = _visible(corpus, rows, clips=clips)
    missing = 1 - points.mean(1)
    return np.array(_MISSING, object)[np.searchsorted(_BOUNDS, missing.round(6), side="right").clip(max=3)][of]


def visible_groups(corpus: Corpus, rows: np.ndarray, *, clips: bool) -> np.ndarray:
    """Group ``[W]`` of each window by the kinds of parts visible in its target frame, or in its whole clip."""
    points, of = _visible(corpus, rows, clips=clips)
    words = np.full(len(points), "", object)
    for kind in dict.fromkeys(part.kind for part in corpus.layout.parts):
        shown = np.any([points[:, corpus.layout.slices[part.name]].any(1)
                        for part in corpus.layout.parts if part.kind == kind], axis=0)  # fmt: skip
        words = np.where(shown, np.where(words == "", kind, words + " and " + kind), words)
    return np.where(words == "", "nothing", words)[of]


#: Computed grouping columns by name.
COMPUTED = {"missing": missing_groups, "visible": visible_groups}


def _visible(corpus: Corpus, rows: np.ndarray, *, clips: bool) -> tuple[np.ndarray, np.ndarray]:
    """Visibility ``[N, V]`` in target frames, or share of visible frames in clips, and the index of each window."""
    if clips:
        sequences, of = np.unique(corpus.sequence(rows), return_inverse=True)
        starts, lengths = (corpus.sequences[name].to_numpy()[sequences] for name in ("start", "length"))
        found = [(corpus.keypoints[int(first) : int(first + length), :, 2] > 0).float().mean(0).cpu().numpy()
                 for first, length in zip(starts, lengths, strict=True)]  # fmt: skip
        return np.stack(found) if found else np.zeros((0, len(corpus.layout)), np.float32), of
    blocks = [rows[first : first + BLOCK_FRAMES] for first in range(0, len(rows), BLOCK_FRAMES)]
    shown = [(corpus.keypoints[torch.as_tensor(one, device=corpus.device)][..., 2] > 0).cpu().numpy() for one in blocks]
    return np.concatenate(shown) if shown else np.zeros((0, len(corpus.layout)), bool), np.arange(len(rows))
