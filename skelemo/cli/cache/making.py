"""What the verbs that make a cache out of others show."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skelemo.cache.combine import Combined


@contextmanager
def frames_bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """A bar over frames; it is told how many are done, and of how many."""
    from skelemo.cli.display import progress

    with progress("frames") as bar:
        task = bar.add_task(description, total=None, note="")
        yield lambda done, of: bar.update(task, completed=done, total=of)


def tell(done: "Combined", out: Path) -> None:
    """What the new cache holds."""
    from rich.console import Console

    twice = f"; {done.twice:,} were there twice" if done.twice else ""
    Console(soft_wrap=True, highlight=False, markup=False).print(
        f"{done.sequences:,} sequences, {done.frames:,} frames in {len(done.shards):,} shards of {out}{twice}"
    )
