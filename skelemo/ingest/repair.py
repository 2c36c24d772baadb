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

from skelemo.cache.cache import join, shard_files
from skelemo.cache.extract import untorn, write_part
from skelemo.cache.partial import finished, locked
from skelemo.cache.shard import Header, Shard, open_shard
from skelemo.cache.share.manifest import held
from skelemo.cache.verify import Finding, is_gone, remains
from skelemo.errors import CacheError, ConfigError, UnreadableError
from skelemo.ingest.plan import Plan, make_plan
from skelemo.ingest.result import Tally
from skelemo.ingest.run import ingest
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
    videos: frozenset[str]  # recordings to read again, as far as the shard tells
    anywhere: bool  # it no longer tells all its recordings: what is nowhere else may have been in it
    blind: bool  # no hash of a sequence is left: only the file's name tells what was written
    lost: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Again:
    """What has been read again.

    Parameters
    ----------
    pieces : shards in which wanted sequences are to be found.
    guesses : shards for blind wounds, of the recordings of each.
    failed : recordings that could not be used -> why.
    """

    pieces: tuple[Shard, ...]
    guesses: tuple[Shard, ...]
    tally: Tally
    failed: Mapping[str, str]

    @property
    def shards(self) -> tuple[Shard, ...]:
        """All of them."""
        return self.pieces + self.guesses


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
    tells, or that the cache's other shards agree on. A sequence that comes out other than it was written is not taken:
    its hash tells, and where a shard's hashes cannot be read, the shard's name, which is a hash over them all.
    A damaged shard is set aside, renamed, when all that it held is whole in other shards of the cache, and not before.
    One that is there no longer, as an ingest has replaced it, is passed over.

    Parameters
    ----------
    findings : what `skelemo.cache.verify.verify` has found.
    source, labels : as at the ingest.

    Raises
    ------
    CacheError
        Nothing tells how the lost recordings were read, another process is repairing the cache, or a shard cannot be
        opened.
    ConfigError, InputError
        As in `make_plan`, or ``source`` or ``labels`` cannot be those of the cache.
    """
    findings = [finding for finding in findings if not is_gone(finding.path)]
    damaged = {finding.path for finding in findings}
    healthy = [open_shard(path) for path in shard_files(folder) if path not in damaged]
    with _workshop(folder) as shop:
        whole = healthy + [piece for finding in findings for piece in _salvage(finding, shop)]
        wounds = [_wound(finding, whole) for finding in findings]
        again = _read_again(wounds, whole, (source, labels), shop, jobs, report)
        _tell_lost(wounds, again, source)
        whole += _accepted(again, wounds, whole, shop)
        if whole:
            join((folder,), whole)
        with locked(folder):
            wounds = [wound for wound in wounds if not is_gone(wound.path)]
            healed = [wound.path for wound in wounds if not wound.lost]
            aside = _put_in_place(folder, [shard.path for shard in whole if shard.path.parent != folder], healed)
    return Repair(tuple(aside), tuple(line for wound in wounds for line in wound.lost), again.tally)


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
    except UnreadableError:
        raise
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
        there = held(whole)
        listed = zip(rows["id"], rows["sha256"], rows["video"], strict=True)
        wanted = {name: (sha256, video) for name, sha256, video in listed if there.get(name) != sha256}
    header = left.header or _agreed(finding, whole)
    blind = bool(finding.reason) and not finding.damaged
    anywhere = bool(finding.reason) and finding.recordings is None
    videos = {video for _, video in wanted.values()}
    if finding.reason and not anywhere and left.recordings is not None:
        known = {video for shard in whole for video in shard.recordings["video"]} if finding.damaged else set()
        videos |= set(left.recordings["video"]) - known
    return _Wound(finding.path, header, wanted, frozenset(videos), anywhere, blind)


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


def _read_again(
    wounds: list[_Wound],
    whole: list[Shard],
    origin: tuple[Path, str | None],
    shop: Path,
    jobs: int,
    report: Report,
) -> _Again:
    """Ingest the recordings that are wanted into new shards, once for each way in which they were ingested."""
    plans: list[tuple[Plan, bool]] = []
    there = _videos(whole)
    for key in {_key(wound.header): None for wound in wounds}:
        alike = [wound for wound in wounds if _key(wound.header) == key and (wound.anywhere or wound.videos)]
        if alike:
            plan = _plan(alike, whole, origin, shop / "again")
            plans += [(_for_pieces(plan, alike, there), False)]
            plans += [(guess, True) for guess in _for_guesses(plan, alike, there)]
    total, came = Tally(), {False: list[Path](), True: list[Path]()}
    files = sum(plan.files for plan, _ in plans)
    for number, (plan, guessed) in enumerate(plans):
        if plan.tasks:
            before, plan = total.files, replace(plan, out=shop / f"again {number}")
            tally = ingest(plan, jobs=jobs, report=lambda read: report(before + read, files))  # noqa: B023 - called now
            came[guessed] += dict.fromkeys(tally.shards)
            total.add(tally)
    reasons = {failure.file: failure.reason for failure in total.failures}
    tasks = [task for plan, _ in plans for task in plan.tasks if task.recording.source in reasons]
    failed = {task.video: reasons[task.recording.source] for task in tasks}
    return _Again(tuple(map(open_shard, came[False])), tuple(map(open_shard, came[True])), total, failed)


def _plan(wounds: list[_Wound], whole: list[Shard], origin: tuple[Path, str | None], out: Path) -> Plan:
    """The plan of an ingest from the start, which knows of none of the cache's sequences."""
    source, labels = origin
    header, settings = wounds[0].header, _settings(wounds[0], source)
    if labels is None and any(wound.blind for wound in wounds) and any(map(_is_labelled, whole)):
        raise ConfigError(f"{wounds[0].path}: the cache is labelled: say --labels as at the ingest")
    plan = make_plan(source, out, labels, settings)
    if plan.header.classes != header.classes:
        raise ConfigError(
            f"{wounds[0].path} has the classes {', '.join(header.classes)}, these labels have "
            f"{', '.join(plan.header.classes)}: say --labels as at the ingest"
        )
    there = _videos(whole)
    if whole and any(wound.anywhere for wound in wounds) and there.isdisjoint(task.video for task in plan.tasks):
        raise ConfigError(f"{source} has none of the recordings that the cache holds: name the source of the cache")
    return plan


def _settings(wound: _Wound, source: Path) -> Settings:
    """How the recordings of a damaged shard were read."""
    said = wound.header.settings
    if isinstance(form := said.get("form"), str) and form.isidentifier():
        raise CacheError(
            f"{wound.path}: it was imported from {form}, and a repair only ingests: import it again, with the options "
            f"of the first time, into a new folder: skelemo cache import {source} --from {form} --out NEW"
        )
    try:
        return Settings(**said)
    except TypeError:
        raise CacheError(f"{wound.path}: its settings are not those of an ingest by this version") from None


def _for_pieces(plan: Plan, wounds: list[_Wound], there: set[str]) -> Plan:
    """The part of a plan in which wanted sequences are."""
    seeing = [wound for wound in wounds if not wound.blind]
    videos = {video for wound in seeing for video in wound.videos}
    anywhere = any(wound.anywhere for wound in seeing)
    tasks = [task for task in plan.tasks if task.video in videos or (anywhere and task.video not in there)]
    return replace(plan, tasks=tuple(tasks))


def _for_guesses(plan: Plan, wounds: list[_Wound], there: set[str]) -> Iterator[Plan]:
    """Parts of a plan that give the shards of blind wounds again, if all is as it was.

    The recordings of one that tells them are one group. For others, what is nowhere else is grouped as an ingest does.
    """
    blind = [wound for wound in wounds if wound.blind]
    for videos in (wound.videos for wound in blind if not wound.anywhere):
        yield replace(plan, tasks=tuple(replace(task, group=0) for task in plan.tasks if task.video in videos))
    if any(wound.anywhere for wound in blind):
        elsewhere = there.union(*(wound.videos for wound in wounds))
        yield replace(plan, tasks=tuple(task for task in plan.tasks if task.video not in elsewhere))


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


def _tell_lost(wounds: list[_Wound], again: _Again, source: Path) -> None:
    """Note at each damaged shard what is still missing of it."""
    names = {shard.path.name for shard in again.shards}
    for wound in wounds:
        if wound.path.name not in names:  # else all that it held has come out as it was
            lines = [*_missing(wound, again, source), *([_incomparable(wound, source)] if wound.blind else [])]
            wound.lost.extend(f"{wound.path.name}: {line}" for line in lines)


def _missing(wound: _Wound, again: _Again, source: Path) -> Iterator[str]:
    """Sequences that have not come again as they were, and recordings without a sequence that have not been read."""
    came = held(again.pieces)
    read = {video for shard in again.shards for video in shard.recordings["video"]}
    knows_nothing = wound.blind and wound.anywhere  # whatever has failed may have been in it
    told = set(again.failed) if knows_nothing else wound.videos
    empty = sorted(told - read - {video for _, video in wound.wanted.values()})
    lacking = [(name, video) for name, (sha256, video) in wound.wanted.items() if came.get(name) != sha256]
    for name, video in [*lacking, *zip(empty, empty, strict=True)]:
        if video in read:
            found = "comes out other than it was written" if name in came else "does not come out again"
            yield f"sequence {name} {found} (its files, --labels or skelemo have changed)"
        else:
            yield f"{name} is not read again: {again.failed.get(video, f'{source} has no such recording')}"


def _incomparable(wound: _Wound, source: Path) -> str:
    """What to do about a blind wound that has no equal: a shard's name covers fingerprints, and these files' dates."""
    return (
        "what is read again cannot be compared with what was written: it gives no shard of this name (its files or "
        "their dates, --labels or skelemo have changed, or it was ingested in other parts); to take it as it is now, "
        f"rename the file to {wound.path.name}{ASIDE} and run skelemo ingest {source} --out {wound.path.parent} with "
        "the options of the first time"
    )


def _accepted(again: _Again, wounds: list[_Wound], whole: list[Shard], shop: Path) -> list[Shard]:
    """Of what was read again, shards of a damaged one's name, and sequences that are wanted or held by whole shards."""
    names = {wound.path.name for wound in wounds}
    taken = {shard.path.name: shard for shard in again.shards if shard.path.name in names}
    expected = held(whole) | {name: sha256 for wound in wounds for name, (sha256, _) in wound.wanted.items()}
    pieces = [shard for shard in again.pieces if shard.path.name not in taken]
    return [*taken.values(), *(piece for shard in pieces for piece in _matching(shard, expected, shop))]


def _matching(shard: Shard, expected: Mapping[str, str], shop: Path) -> list[Shard]:
    """The sequences of a shard that have the expected hashes."""
    rows = zip(shard.sequences["id"], shard.sequences["sha256"], strict=True)
    keep = np.array([expected.get(name) == sha256 for name, sha256 in rows], bool)
    if keep.all():
        return [shard]
    place = shop / f"accepted {shard.path.parent.name} {shard.path.name}"
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
