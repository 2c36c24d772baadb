"""Hyperparameter search with Optuna, scored on the validation subset, in one or several processes.

Trials are stored in a file or a database with their settings, score or reason of failure. Processes with the same
storage search together. Only trials that have ended count, so a killed trial is replaced by another one.
"""

import math
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import lightning
import yaml
from filelock import FileLock

from skelemo.atomic import finished, lives, locked, owner, partial_path, sweep
from skelemo.errors import ConfigError, SkelemoError
from skelemo.runs.folder import write_json
from skelemo.study.space import Search
from skelemo.text import count
from skelemo.training.config import load_config
from skelemo.training.validation import ValidationScorer

#: Trials before Optuna's pruner becomes active.
_UNPRUNED = 5
#: Time in which a process claims a trial that it has created; later, it must have been killed.
_CLAIMED_WITHIN = timedelta(seconds=10)
BEST, PAGE, TABLE, FAILURES, STORAGE = "best.yaml", "search.html", "trials.csv", "failures.json", "trials.journal"
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Found:
    """Result of a search."""

    study: Any
    search: Search
    scorer: ValidationScorer

    def trials(self, *states: str) -> list[Any]:
        """Trials in some states: COMPLETE, PRUNED, FAIL, RUNNING."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.name in states]

    @property
    def ended(self) -> list[Any]:
        """Trials with a score, pruned or failed."""
        return self.trials("COMPLETE", "PRUNED", "FAIL")

    def begun(self, before: float = math.inf) -> set[int]:
        """Trials (of a grid: cells) that have ended or that another process here is running, up to a trial's number.

        Trials running on other machines do not count, since they may have been killed.
        """
        running = [trial for trial in self.trials("RUNNING") if _is_elsewhere(trial)]
        counted = [trial for trial in [*self.ended, *running] if trial.number < before]
        return {_cell(trial) for trial in counted}

    @property
    def best(self) -> Any:
        """The trial with the highest score; None without any score."""
        return max(self.trials("COMPLETE"), key=lambda trial: (trial.value, -trial.number), default=None)

    @property
    def failures(self) -> dict[str, str]:
        """Reasons of failed trials by number."""
        return {str(trial.number): trial.user_attrs.get("reason", "unknown") for trial in self.trials("FAIL")}

    @property
    def summary(self) -> str:
        """One line with the number of trials by outcome."""
        sizes = {"scored": "COMPLETE", "ended early": "PRUNED", "failed": "FAIL"}
        return ", ".join(f"{len(found)} {word}" for word, state in sizes.items() if (found := self.trials(state)))


def tune(
    search: Search, out: Path, *, storage: str = "", keep: bool = False, progress: Progress = lambda *_: None
) -> Found:
    """Search until the requested number of trials, of all processes, has ended; writes the results to ``out``.

    ``out`` contains ``best.yaml`` (settings for ``skelemo train``), ``search.html``, ``trials.csv`` and
    ``failures.json``; with ``keep`` also the folders of the trainings, in ``trials/``.

    Raises `ConfigError`: Optuna is missing, the storage cannot be opened or has another search, or the settings do not
    fit the data.

    Parameters
    ----------
    storage : a file, or the URL of a database for SQLAlchemy; default a file in ``out``.
    """
    optuna = _optuna()
    scorer = ValidationScorer(load_config(None, dict(search.base)), search.fold)
    out.mkdir(parents=True, exist_ok=True)
    sweep(out)
    study = _open(optuna, search, storage or str(out / STORAGE), scorer)
    found = Found(study, search, scorer)
    _report_progress(found, progress, "")
    while len(found.begun()) < search.trials:
        before = {trial.number for trial in found.ended}
        try:
            study.optimize(lambda trial: _run(optuna, trial, found, out, keep), n_trials=1, catch=(Exception,))
        except _Abandoned as abandoned:
            if abandoned.__cause__:
                raise abandoned.__cause__ from None
        for trial in found.ended:
            if trial.number not in before:
                _report_progress(found, progress, _line(trial))
    write_results(found, out)
    return found


def _report_progress(found: Found, progress: Progress, note: str) -> None:
    progress(len(found.ended), found.search.trials, note)


def _line(trial: Any) -> str:
    if trial.state.name == "FAIL":
        return f"trial {trial.number} failed: {trial.user_attrs.get('reason', 'unknown')}"
    return f"trial {trial.number} {f'{trial.value:.3f}' if trial.state.name == 'COMPLETE' else 'ended early'}"


class _Abandoned(BaseException):
    """Ends a trial without an outcome. Optuna leaves it in the state RUNNING, as if its process had been killed."""


def _is_elsewhere(trial: Any) -> bool:
    """Whether another process that is still running on this machine owns a trial, or is just about to claim it."""
    named = trial.user_attrs.get("owner", "")
    if not named:
        return bool(datetime.now() - trial.datetime_start < _CLAIMED_WITHIN)
    return named != owner() and lives(named)


def _cell(trial: Any) -> int:
    """The cell of a grid that a stored trial is for; otherwise its number."""
    return int(trial.system_attrs.get("grid_id", trial.number))


def _run(optuna: Any, trial: Any, found: Found, out: Path, keep: bool) -> float:
    """Run a trial; returns its score."""
    trial.set_user_attr("owner", owner())
    begun = found.begun(before=trial.number)
    if len(begun) >= found.search.trials or _cell(trial.study.get_trials(deepcopy=False)[trial.number]) in begun:
        raise _Abandoned  # another process has just begun this cell or the last trial
    try:
        drawn = {name: axis.suggest(trial, name) for name, axis in found.search.space.items()}
        config = load_config(None, found.search.settings(drawn))
        with _place(out, trial.number, keep) as folder:
            judged = found.scorer(config, folder, callbacks=[_Watch(optuna, trial, found.search.prune_after)])
        trial.set_user_attr("figures", judged.figures)
        return judged.score
    except optuna.TrialPruned:
        raise
    except KeyboardInterrupt as interrupt:  # Optuna would count the trial as failed
        raise _Abandoned from interrupt
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        reason = lines[0] if isinstance(error, SkelemoError) else f"{type(error).__name__}: {lines[0]}"
        trial.set_user_attr("reason", reason[:500])
        raise


class _Watch(lightning.Callback):
    """Reports the validation score of every epoch to Optuna, and stops the training if it is pruned."""

    def __init__(self, optuna: Any, trial: Any, after: int) -> None:
        self.optuna, self.trial, self.after = optuna, trial, after

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Report the epoch."""
        score = float(trainer.callback_metrics.get("validation_score", math.nan))
        if math.isfinite(score):
            self.trial.report(score, trainer.current_epoch)
            if trainer.current_epoch + 1 >= self.after and self.trial.should_prune():
                raise self.optuna.TrialPruned


@contextmanager
def _place(out: Path, number: int, keep: bool) -> Iterator[Path]:
    """A folder for a training, removed afterwards unless ``keep``."""
    folder = out / "trials" / str(number) if keep else partial_path(out / "trial")
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _open(optuna: Any, search: Search, storage: str, scorer: ValidationScorer) -> Any:
    """The study."""
    shown = "--storage"
    try:
        if "://" in storage:
            shown = f"--storage {storage.partition('://')[0]}://…"  # the URL may contain a password
            opened = _database(optuna, storage)
        else:
            shown = storage
            lock = FileLock(f"{storage}.lock")
            with lock:
                _drop_unfinished_line(Path(storage))
            backend = optuna.storages.journal.JournalFileBackend(storage, lock_obj=lock)
            opened = optuna.storages.JournalStorage(backend)
        study = optuna.create_study(
            storage=opened,
            study_name=search.title,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(_UNPRUNED) if search.pruner == "median" else optuna.pruners.NopPruner(),
        )
        joined = study.user_attrs.get("joined", 0)  # a different seed for each process
        study.set_user_attr("joined", joined + 1)
        study.sampler = _sampler(optuna, search, joined)
        corrected = scorer.corrections.sha256 if scorer.corrections else ""
        identity = [search.identity, scorer.cache.hash + corrected, scorer.config.split]
        known = study.user_attrs.get("search")
        if known is None:
            study.set_user_attr("search", identity)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"{shown} cannot be opened as the storage of a search: {reason}; choose another --out or --storage"
        ) from error
    if known is not None and known != identity:
        what = "settings" if known[0] != identity[0] else "data, corrections or split"
        raise ConfigError(f"{shown} has a search {search.title!r} with other {what}: choose another --out or title")
    return study


def _drop_unfinished_line(journal: Path) -> None:
    """Remove what a killed process or a full disk left of a line; Optuna would append to it and spoil the journal."""
    written = journal.read_bytes() if journal.exists() else b""
    if written and not written.endswith(b"\n"):
        os.truncate(journal, written.rfind(b"\n") + 1)


def _database(optuna: Any, url: str) -> Any:
    """The storage at a URL, with retries in case another process is creating its tables."""
    from sqlalchemy.exc import DatabaseError

    for pause in (0.2, 1.0):
        try:
            return optuna.storages.RDBStorage(url)
        except DatabaseError:
            time.sleep(pause)
    return optuna.storages.RDBStorage(url)


def _sampler(optuna: Any, search: Search, joined: int) -> Any:
    if search.sampler == "grid":
        return optuna.samplers.GridSampler({name: axis.grid() for name, axis in search.space.items()}, search.seed)
    kind = optuna.samplers.TPESampler if search.sampler == "tpe" else optuna.samplers.RandomSampler
    return kind(seed=(search.seed + 1_000_003 * joined) % 2**31)


def write_results(found: Found, out: Path) -> None:
    """Write the best settings, the table of trials, the reasons of failures, and the page."""
    from skelemo.study.tune_page import html, table

    with locked(out):
        write_json(out / FAILURES, found.failures)
        best = found.best
        if best is None:
            return
        settings = yaml.safe_dump(found.search.settings(best.params), sort_keys=False, allow_unicode=True)
        scored = count(len(found.trials("COMPLETE")), "score")
        head = (
            f"# Trial {best.number} of the search {found.search.title!r}: {best.value:.4f} on the validation subset,\n"
            f"# the highest of {scored} and therefore optimistic; the test subset has not been used:\n"
            f"#   skelemo train --config {BEST} --out runs/best\n"
        )
        for name, text in ((BEST, head + settings), (TABLE, table(found).to_csv(index=False)), (PAGE, html(found))):
            with finished(out / name) as partial:
                partial.write_text(text, encoding="utf-8")


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise ConfigError("tune needs Optuna: pip install 'skelemo[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", module="optuna.*")
    return optuna


def importances(found: Found) -> Mapping[str, float]:
    """Share of the variance of scores explained by each setting (PED-ANOVA); empty with too few trials."""
    optuna = _optuna()
    if len({trial.value for trial in found.trials("COMPLETE")}) < 4:
        return {}
    try:
        return dict(optuna.importance.get_param_importances(found.study))
    except (ValueError, RuntimeError):  # no setting varies
        return {}
