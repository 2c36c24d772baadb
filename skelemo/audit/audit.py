"""Run an audit of a cache and write the ranked table and its page."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from skelemo import __version__
from skelemo.atomic import LOCK, PARTIAL, claimed, finished
from skelemo.audit.duplicates import duplicates
from skelemo.audit.labels import label_errors, shifted, untimed
from skelemo.audit.movement import empty, frozen, jumps, outside, steps_of
from skelemo.audit.out_of_fold import from_baseline, from_runs
from skelemo.audit.suspects import KINDS, Places, Suspect, ranked, write_suspects
from skelemo.cache.corrections import in_words, read_corrections
from skelemo.cache.store import Cache
from skelemo.data.corpus import load_corpus
from skelemo.data.corrected import correct
from skelemo.errors import ConfigError, InputError
from skelemo.preprocess import Preparation
from skelemo.report.templates import templates
from skelemo.text import count

#: Maximum number of suspects of a kind, and on the page.
MOST, _SHOWN = 1000, 500
TABLE, PAGE = "suspects.csv", "audit.html"


@dataclass(frozen=True)
class Audit:
    """The result of an audit; ``suspects`` has the columns `skelemo.audit.suspects.COLUMNS`."""

    suspects: pd.DataFrame
    notes: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    simulated: bool
    paths: tuple[Path, ...]
    runs: tuple[Path, ...] = ()


def audit(
    cache: Cache,
    runs: Sequence[Path] = (),
    *,
    corrections: Path | None = None,
    most: int = MOST,
    report: Callable[[int, int], None] = lambda *_: None,
) -> Audit:
    """Search a cache for labels, tracks and sequences that are probably wrong.

    Raises `InputError` or `CacheError`: the cache, a run or the table cannot be read; `ConfigError`: cleanlab is not
    installed.

    Parameters
    ----------
    runs : run folders whose out-of-fold predictions are compared with the labels; by default a quick baseline is
        cross-validated.
    corrections : correction table to apply first.
    most : maximum number of suspects of each kind.
    """
    corpus = load_corpus(cache, Preparation(reference="window"))  # keypoints as OpenPose wrote them
    if not len(corpus):
        raise InputError(f"{cache.name}: nothing to audit: nobody was detected in any recording of this cache")
    facts = [("Cache", f"{cache.name}, content {cache.hash[:8]}")]
    if corrections:
        corpus, changes = correct(corpus, cache, read_corrections(corrections))
        facts.append(("Corrections", in_words(changes)))
    facts.append(("Size", f"{count(len(corpus.sequences), 'sequence')}, {count(len(corpus), 'frame')}"))
    places = Places(corpus)
    predicted, notes = from_runs(corpus, runs) if runs else from_baseline(corpus, report=report)
    notes = [*notes, *untimed(corpus, predicted)]
    if not corpus.heads:
        notes = [*notes, "the cache has no labels: only tracks were checked"]
    judges = ", ".join(path.name for path in runs) or "a baseline, cross-validated in 5 folds by subject and recording"
    facts.append(("Labels compared with", judges))
    steps = steps_of(corpus, places)
    labeled = np.any([head.labeled(corpus.labels[head.name].numpy()) for head in corpus.heads], axis=0)

    def suspects() -> Iterator[Suspect]:
        for one in predicted:
            yield from label_errors(corpus, places, one)
            yield from shifted(corpus, places, one)
        yield from jumps(corpus, places, steps)
        yield from frozen(places, steps)
        yield from empty(corpus, places, labeled)
        yield from outside(corpus, places)
        yield from duplicates(corpus, places)

    return Audit(ranked(suspects(), most), tuple(notes), tuple(facts), cache.simulated, cache.paths, tuple(runs))


def write_audit(found: Audit, out: Path) -> None:
    """Write the table ``suspects.csv`` and the page ``audit.html`` into a folder.

    Raises `ConfigError`: the folder has other content.
    """
    with claimed(out):
        inside = {path.name for path in out.iterdir() if path.name != LOCK and not path.name.startswith(PARTIAL)}
        if strange := inside - {TABLE, PAGE}:
            raise ConfigError(f"{out}: contains {min(strange)!r}; expected only an audit: choose another --out")
        write_suspects(out / TABLE, found.suspects)
        with finished(out / PAGE) as partial:
            partial.write_text(page(found, out / TABLE), encoding="utf-8")


def page(found: Audit, table: Path) -> str:
    """The page: one file without scripts or external resources."""
    numbers, rows = found.suspects["kind"].value_counts(), found.suspects.head(_SHOWN)
    command = ["skelemo", "view", *map(str, found.paths)]
    command += [word for run in found.runs for word in ("--runs", str(run))]
    command += ["--queue", str(table)]
    content = {
        "found": found,
        "kinds": [(kind, what, int(numbers.get(kind, 0))) for kind, what in KINDS.items()],
        "rows": rows.to_dict("records"),
        "shown": rows["kind"].value_counts().to_dict(),
        "people": bool((rows["person"] != "").any()),
        "command": shlex.join(command),
        "table": TABLE,
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version": __version__,
    }
    return templates("audit").get_template("audit.html.j2").render(content)
