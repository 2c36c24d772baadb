"""Damaged shards of a cache made whole again: what is healthy is kept, what is not is read anew from its source."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from skelemo.cache.part import untorn, write_part
from skelemo.cache.partial import finished, locked
from skelemo.cache.shard import Header, Shard, open_shard
from skelemo.cache.store import join, shard_files
from skelemo.cache.verify import Finding, remains
from skelemo.errors import CacheError, ConfigError
from skelemo.ingest.plan import Plan, make_plan
from skelemo.ingest.run import ingest
from skelemo.ingest.tally import Tally
from skelemo.ingest.task import Settings

#: Behind the name of a damaged shard that nothing needs any more.
ASIDE = ".damaged"
_WORKSHOP = ".repair"

#: Told as files are read: how many so far, and of how many.
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Repair:
    """What a repair has done.

    Parameters
    ----------
    aside : damaged shards that nothing needs any more, under their new names.
    lost : what is still missing, a line each that says why. The damaged shards that held it are where they were.
    tally : what was read again.
    """

    aside: tuple[Path, ...]
    lost: tuple[str, ...]
    tally: Tally


@dataclass(frozen=True)
class _Wound:
    """A damaged shard and what it takes to heal it."""

    path: Path
    header: Header
    wanted: Mapping[str, tuple[str, str]]  # damaged sequences that no other shard has -> (sha256, video)
    videos: frozenset[str] | None  # those to read again; None: nobody knows which the shard held
    lost: list[str] = field(default_factory=list)

    @property
    def blind(self) -> bool:
        """Whether what comes out cannot be compared with what was written."""
        return not self.wanted and (self.videos is None or bool(self.videos))


def repair(
    folder: Path,
    findings: list[Finding],
    source: Path,
    labels: str | None,
    *,
    jobs: int = 1,
    report: Report = lambda *_: None,
) -> Repair:
    """Read the recordings of damaged sequences again and put whole shards into the place of damaged ones.

    Healthy sequences of a damaged shard are copied. Recordings are read under the settings that the damaged shard
    tells, or that the cache's other shards agree on. A sequence that comes out other than it was written is not taken.
    A damaged shard is set aside, renamed, when all that it held is whole in other shards of the cache, and not before.

    Parameters
    ----------
    findings : what `skelemo.cache.verify.verify` has found.
    source, labels : as at the ingest.

    Raises
    ------
    CacheError
        Nothing tells how the lost recordings were read, or another process is repairing the cache.
    ConfigError, InputError
        As in `make_plan`, or ``source`` or ``labels`` cannot be those of the cache.
    """
    damaged = {finding.path for finding in findings}
    healthy = [open_shard(path) for path in shard_files(folder) if path not in damaged]
    with _workshop(folder) as shop:
        whole = healthy + [piece for finding in findings for piece in _salvage(finding, shop)]
        wounds = [_wound(finding, whole) for finding in findings]
        again, tally, failed = _read_again(wounds, whole, (source, labels), shop, jobs, report)
        _tell_lost(wounds, again, failed, source)
        whole += [piece for shard in again for piece in _accepted(shard, wounds, whole, shop)]
        if whole:
            join((folder,), whole)
        healed = [wound.path for wound in wounds if not wound.lost]
        with locked(folder):
            aside = _put_in_place(folder, [shard.path for shard in whole if shard.path.parent != folder], healed)
    return Repair(tuple(aside), tuple(line for wound in wounds for line in wound.lost), tally)


@contextmanager
def _workshop(folder: Path) -> Iterator[Path]:
    """A hidden folder in the cache for one repair at a time, however that ends; a killed one's is removed."""
    shop = folder / _WORKSHOP
    with _only_one(folder):
        shutil.rmtree(shop, ignore_errors=True)
        try:
            shop.mkdir()
            yield shop
        finally:
            shutil.rmtree(shop, ignore_errors=True)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """No other process of this machine repairs the cache meanwhile."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks can only trust
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CacheError(f"{folder}: another process is repairing it") from None
        yield
    finally:
        os.close(lock)


def _salvage(finding: Finding, shop: Path) -> list[Shard]:
    """The healthy sequences of a damaged shard, in shards of their own."""
    try:
        shard = open_shard(finding.path)
    except CacheError:
        return []
    place = shop / f"salvaged {finding.path.name}"
    place.mkdir()
    bad = shard.damaged()
    keep = ~shard.sequences["id"].isin(bad).to_numpy()
    return [open_shard(path) for path in write_part(shard, keep, place, untorn)]


def _wound(finding: Finding, whole: list[Shard]) -> _Wound:
    """What a damaged shard held that no whole shard holds."""
    left = remains(finding.path)
    wanted = {}
    if left.sequences is not None and finding.damaged:
        rows = left.sequences[left.sequences["id"].isin(finding.damaged)]
        held = _held(whole)
        listed = zip(rows["id"], rows["sha256"], rows["video"], strict=True)
        wanted = {name: (sha256, video) for name, sha256, video in listed if held.get(name) != sha256}
    header = left.header or _agreed(finding, whole)
    if finding.reason and finding.recordings is None:
        return _Wound(finding.path, header, wanted, None)
    videos = {video for _, video in wanted.values()}
    if finding.reason and left.recordings is not None:
        known = {video for shard in whole for video in shard.recordings["video"]} if finding.damaged else set()
        videos |= set(left.recordings["video"]) - known
    return _Wound(finding.path, header, wanted, frozenset(videos))


def _agreed(finding: Finding, whole: list[Shard]) -> Header:
    """How the cache's other shards were ingested, if that is one way."""
    headers = {_key(shard.header): shard.header for shard in whole}
    if len(headers) == 1:
        return next(iter(headers.values()))
    why = "the others were ingested under different settings" if headers else "there is no other shard"
    raise CacheError(
        f"{finding.path}: it no longer tells how it was ingested, and {why}: remove it and ingest into the cache "
        "again, with the options of the first time"
    )


def _key(header: Header) -> str:
    return json.dumps([header.layout, header.classes, header.settings], sort_keys=True)


def _held(shards: list[Shard]) -> dict[str, str]:
    """Sequences -> sha256."""
    return {
        name: sha256
        for shard in shards
        for name, sha256 in zip(shard.sequences["id"], shard.sequences["sha256"], strict=True)
    }


def _read_again(
    wounds: list[_Wound],
    whole: list[Shard],
    origin: tuple[Path, str | None],
    shop: Path,
    jobs: int,
    report: Report,
) -> tuple[list[Shard], Tally, dict[str, str]]:
    """Ingest the recordings that are wanted into new shards, once for each way in which they were ingested.

    Returned are the shards, what was done, and why a recording could not be used.
    """
    plans: list[Plan] = []
    for key in {_key(wound.header): None for wound in wounds}:
        alike = [wound for wound in wounds if _key(wound.header) == key and (wound.videos is None or wound.videos)]
        if alike:
            plans.append(_plan(alike, whole, origin, shop / f"again {len(plans)}"))
    total = Tally()
    files = sum(plan.files for plan in plans)
    for plan in (plan for plan in plans if plan.tasks):
        before = total.files
        total.add(ingest(plan, jobs=jobs, report=lambda read: report(before + read, files)))  # noqa: B023 - called now
    reasons = {failure.file: failure.reason for failure in total.failures}
    tasks = [task for plan in plans for task in plan.tasks if task.recording.source in reasons]
    failed = {task.video: reasons[task.recording.source] for task in tasks}
    return [open_shard(path) for path in dict.fromkeys(total.shards)], total, failed


def _plan(wounds: list[_Wound], whole: list[Shard], origin: tuple[Path, str | None], out: Path) -> Plan:
    """The plan of an ingest from the start, cut down to what is wanted; it knows of none of the cache's sequences."""
    source, labels = origin
    header = wounds[0].header
    if labels is None and any(wound.blind for wound in wounds) and any(map(_is_labelled, whole)):
        raise ConfigError(f"{wounds[0].path}: the cache is labelled: say --labels as at the ingest")
    try:
        settings = Settings(**header.settings)
    except TypeError:
        raise CacheError(f"{wounds[0].path}: its settings are not those of an ingest by this version") from None
    plan = make_plan(source, out, labels, settings)
    if plan.header.classes != header.classes:
        raise ConfigError(
            f"{wounds[0].path} has the classes {', '.join(header.classes)}, these labels have "
            f"{', '.join(plan.header.classes)}: say --labels as at the ingest"
        )
    videos = {video for wound in wounds for video in wound.videos or ()}
    tasks = [task for task in plan.tasks if task.video in videos]
    if any(wound.videos is None for wound in wounds):
        there = _videos(whole)
        if whole and there.isdisjoint(task.video for task in plan.tasks):
            raise ConfigError(f"{source} has none of the recordings that the cache holds: name the source of the cache")
        tasks = [task for task in plan.tasks if task.video in videos or task.video not in there]
    return replace(plan, tasks=tuple(tasks))


def _is_labelled(shard: Shard) -> bool:
    rows = shard.sequences
    told = (rows["subject"] != "").any() or any(rows["splits"])
    return bool(told or shard.counts.labels[:, :-1].any() or shard.counts.rated.any())


def _videos(shards: list[Shard]) -> set[str]:
    """Recordings of which something, or all that there is, is in the shards."""
    found: set[str] = set()
    for shard in shards:
        found |= {*shard.sequences["video"], *shard.recordings["video"][shard.recordings["people"] == 0]}
    return found


def _tell_lost(wounds: list[_Wound], again: list[Shard], failed: Mapping[str, str], source: Path) -> None:
    """Note at each damaged shard what is still missing of it."""
    came, read = _held(again), {video for shard in again for video in shard.recordings["video"]}
    for wound in wounds:
        for video in sorted(set(failed) if wound.videos is None else wound.videos - read):
            reason = failed.get(video, f"{source} has no such recording")
            wound.lost.append(f"{wound.path.name}: {video} is not read again: {reason}")
        for name, (sha256, video) in wound.wanted.items():
            if video in read and came.get(name) != sha256:
                found = "comes out other than it was written" if name in came else "does not come out again"
                wound.lost.append(
                    f"{wound.path.name}: sequence {name} {found} (its files, --labels or skelemo have changed)"
                )


def _accepted(shard: Shard, wounds: list[_Wound], whole: list[Shard], shop: Path) -> list[Shard]:
    """What was read again, without sequences that are not what is wanted or what whole shards hold."""
    expected = _held(whole) | {name: sha256 for wound in wounds for name, (sha256, _) in wound.wanted.items()}
    anything = any(wound.blind for wound in wounds)
    rows = zip(shard.sequences["id"], shard.sequences["sha256"], strict=True)
    keep = np.array([expected[name] == sha256 if name in expected else anything for name, sha256 in rows], bool)
    if keep.all():
        return [shard]
    place = shop / f"accepted {shard.path.name}"
    place.mkdir()
    return [open_shard(path) for path in write_part(shard, keep, place, untorn)]


def _put_in_place(folder: Path, fresh: list[Path], healed: list[Path]) -> list[Path]:
    """Move new shards into the cache, then healed ones out of the way; where both share a name, at one blow."""
    aside = {path: path.with_name(path.name + ASIDE) for path in healed}
    for path in fresh:
        target = folder / path.name
        if target in aside:
            with finished(aside[target]) as partial:
                shutil.copyfile(target, partial)
        os.replace(path, target)
    for path in set(healed) - {folder / path.name for path in fresh}:
        os.replace(path, aside[path])
    return list(aside.values())
