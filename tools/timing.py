"""Timing contenders side by side, for the benchmarks beside this file.

Other programs share the machine, so contenders take turns, the best of several rounds counts, and what matters is the
ratio between figures of one run.
"""

import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

_LOOK_SECONDS = 0.02

Contenders = dict[str, Callable[[], object]]


class Taken(NamedTuple):
    """Seconds by the clock, which other programs share, and of the processor: this process's and its children's."""

    clock: float
    processor: float


def take_turns(contenders: Contenders, rounds: int) -> dict[str, Taken]:
    """The best times of each contender. One round before those that count warms the file cache."""
    best = {name: Taken(float("inf"), float("inf")) for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            start = Taken(time.perf_counter(), _processor_time())
            run()
            if number:
                clock, processor = time.perf_counter() - start.clock, _processor_time() - start.processor
                best[name] = Taken(min(best[name].clock, clock), min(best[name].processor, processor))
    return best


def _processor_time() -> float:
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


def show(
    title: str, frames: int, best: dict[str, Taken], references: tuple[str, ...], heading: str = "one process"
) -> None:
    """A table of frames per second by the clock, the ratio to each reference, and the processor's share of the time."""
    references = tuple(name for name in references if name in best)
    table = Table(
        title=title, title_justify="left", caption=f"{platform.machine()}, Python {platform.python_version()}"
    )
    table.add_column(heading, no_wrap=True)
    for column in ("frames/s", *(f"x {name}" for name in references), "processor µs a frame", "frames/s of a core"):
        table.add_column(column, justify="right")
    for name, taken in best.items():
        ratios = (f"{best[reference].clock / taken.clock:.2f}" for reference in references)
        core = f"{1e6 * taken.processor / frames:.1f}", f"{frames / taken.processor:,.0f}"
        table.add_row(name, f"{frames / taken.clock:,.0f}", *ratios, *core)
    Console(width=max(100, Console().width)).print(table)


def peak_of(command: list[str]) -> int:
    """Bytes that the largest of a command's processes takes at most, whoever has started it; as Linux tells."""
    process = subprocess.Popen(command)
    most = 0
    while process.poll() is None:
        most = max([most, *map(_peak, _with_descendants(process.pid))])
        time.sleep(_LOOK_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return most


def _with_descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []  # it has just ended
    return [pid, *(one for child in children for one in _with_descendants(int(child)))]


def _peak(pid: int) -> int:
    """What a process has taken at most so far."""
    try:
        said = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in said.splitlines() if line.startswith("VmHWM:")), 0)
