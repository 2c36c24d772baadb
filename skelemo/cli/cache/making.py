"""What the verbs that make a cache out of others show."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skelemo.cache.merge import Combined


def tell(done: "Combined", out: Path) -> None:
    """What the new cache holds."""
    from skelemo.cli.screen import Screen
    from skelemo.text import count

    twice = f"; {done.twice:,} were there twice" if done.twice else ""
    twice += f", {count(done.corrections, 'correction')}" if done.corrections else ""
    Screen(soft_wrap=True).print(
        f"{count(done.sequences, 'sequence')}, {count(done.frames, 'frame')} "
        f"in {count(len(done.shards), 'shard')} of {out}{twice}"
    )
