"""How well and how fast ``skelemo audit`` finds what was broken on purpose; see BENCHMARKS.md.

python tools/bench_audit.py flips CACHE [--seeds 3]        5 % of the clips have another class
python tools/bench_audit.py swaps JSON LABELS CACHE        two people change places in the middle, one recording a time
python tools/bench_audit.py copies CACHE                  60 sequences stand there again, moved, resized and jittered
python tools/bench_audit.py time [--sequences 2000 --frames 500]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import skelemo
from skelemo.audit.audit import audit
from skelemo.cache.corrections import Correction, add
from skelemo.cache.sequence import Sequence
from skelemo.cache.shard import Header, write_shard
from skelemo.cache.store import open_cache
from skelemo.targets import EXPRESSION, hard_labels


def flips(path: Path, seeds: int) -> None:
    """Flip classes by corrections, and count these among the first hundred suspects."""
    cache = open_cache(path)
    head, rows = next(head for head in cache.heads if head.kind == "classes"), cache.sequences
    labels = hard_labels(cache.read().labels[head.name])[rows["start"]].astype(int)
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        chosen = random.permutation(np.flatnonzero(labels >= 0))[: round(0.05 * len(rows))]
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "corrections.csv"
            names = {i: head.outputs[(labels[i] + random.integers(1, len(head))) % len(head)] for i in chosen}
            add(table, [Correction(rows["video"][i], "set", rows["person"][i], head=head.name, value=name)
                        for i, name in names.items()])  # fmt: skip
            started = time.monotonic()
            first = audit(cache, corrections=table).suspects.head(100)
            seconds = time.monotonic() - started
        wrong = {(rows["video"][i], rows["person"][i]) for i in chosen}
        hits = sum(pair in wrong for pair in zip(first["video"], first["person"], strict=True))
        print(f"seed {seed}: {len(chosen)} of {len(rows)} flipped, {hits} of the first {len(first)}; {seconds:.1f} s")


def swaps(source: Path, labels: str, path: Path) -> None:
    """Swap two tracks of one recording after another, and print the jump's rank."""
    rows = open_cache(path).sequences
    for video, mine in rows.groupby("video"):
        if not {"left", "right"} <= {*mine["person"]}:
            continue
        with tempfile.TemporaryDirectory() as folder:
            at = int(mine["length"].iloc[0]) // 2
            add(Path(folder) / "corrections.csv", [Correction(str(video), "swap", "left", at, value="right")])
            skelemo.ingest(source, Path(folder) / "cache", labels, corrections=Path(folder) / "corrections.csv")
            found = audit(open_cache(Path(folder) / "cache")).suspects
        jump = found[(found["kind"] == "identity") & (found["video"] == video) & ((found["first"] - at).abs() <= 3)]
        print(f"{video}: frame {at}, rank {', '.join(map(str, jump['rank'])) or 'none'} of {len(found)}")


def copies(path: Path) -> None:
    """Add 60 copies, and count which are found, and what is taken for a copy among the others."""
    cache, random = open_cache(path), np.random.default_rng(3)
    keypoints, own = cache.read().keypoints, []
    for row in cache.sequences.to_dict("records"):
        points = keypoints[row["start"] : row["start"] + row["length"]]
        if (points[..., 2] > 0).any():
            own.append(Sequence(row["id"], row["video"], points, np.arange(len(points), dtype=np.int32),
                                person=row["person"], subject=row["subject"], fps=row["fps"]))  # fmt: skip
    for jitter in (0.0, 0.25, 0.5, 0.75, 1.0):
        again = []
        for one in (own[i] for i in random.choice(len(own), min(60, len(own)), replace=False)):
            points, size, place = one.keypoints.copy(), random.uniform(0.5, 2), random.uniform(0, 300, 2)
            jittered = points[..., :2] + random.normal(0, jitter, points[..., :2].shape)
            points[..., :2] = np.where(points[..., 2:] > 0, size * jittered + place, 0)
            again.append(Sequence(f"copy/{one.id}", f"copy/{one.video}", points, one.number, fps=one.fps))
        with tempfile.TemporaryDirectory() as folder:
            write_shard(Path(folder), Header(cache.layout.name, ()), [*own, *again])
            suspects = audit(open_cache(folder)).suspects
        rows = suspects[suspects["kind"] == "duplicate"]
        pairs = [{a, b.split(" like ")[1].split(" (")[0].split()[0]}
                 for a, b in zip(rows["video"], rows["found"], strict=True)]  # fmt: skip
        found = sum({one.video, one.video.removeprefix("copy/")} in pairs for one in again)
        false = sum(not any(name.startswith("copy/") for name in pair) for pair in pairs)
        print(f"jitter {jitter}: {found} of {len(again)} copies found; {false} pairs of others")


def timed(sequences: int, frames: int) -> None:
    """Time the audit of a cache of random walks with a class for each clip."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        header, written = Header("body_25+face_70", (EXPRESSION,)), 0
        for start in range(0, sequences, 200):
            some = [walk(number, frames) for number in range(start, min(start + 200, sequences))]
            write_shard(Path(folder), header, some)
            written += len(some)
        cache = open_cache(folder)
        started = time.monotonic()
        found = audit(cache)
        print(
            f"{written:,} sequences, {cache.frames:,} frames: {time.monotonic() - started:.1f} s, {len(found.suspects)}"
        )


def walk(number: int, frames: int) -> Sequence:
    """Somebody who walks at random, with a random class."""
    random = np.random.default_rng(number)
    keypoints = np.ones((frames, 95, 3), np.float32)
    shape = random.uniform(300, 500, (95, 2)) + random.normal(0, 1, (frames, 1, 2)).cumsum(0)
    keypoints[..., :2] = shape + random.normal(0, 1, (frames, 95, 2))
    keypoints[random.random((frames, 95)) < 0.1] = 0
    labels = {EXPRESSION.name: np.full(frames, random.integers(7), np.int16)}
    return Sequence(f"clip {number}", f"clip {number}", keypoints, np.arange(frames, dtype=np.int32), labels, fps=25.0)


def main() -> None:
    """Run one of the four."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("flips")
    one.add_argument("cache", type=Path)
    one.add_argument("--seeds", type=int, default=3)
    two = verbs.add_parser("swaps")
    two.add_argument("json", type=Path)
    two.add_argument("labels")
    two.add_argument("cache", type=Path)
    three = verbs.add_parser("time")
    three.add_argument("--sequences", type=int, default=2000)
    three.add_argument("--frames", type=int, default=500)
    verbs.add_parser("copies").add_argument("cache", type=Path)
    given = parser.parse_args()
    if given.verb == "flips":
        flips(given.cache, given.seeds)
    elif given.verb == "swaps":
        swaps(given.json, given.labels, given.cache)
    elif given.verb == "copies":
        copies(given.cache)
    else:
        timed(given.sequences, given.frames)


if __name__ == "__main__":
    main()
