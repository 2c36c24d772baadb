"""``skelemo synth``: write simulated actors as OpenPose JSON with labels."""

from pathlib import Path
from shlex import quote

import click

from skelemo.cli.values import PATH, SEED


@click.command("synth")
@click.argument("out", type=PATH)
@click.option("--form", default="affwild2", show_default=True, type=click.Choice(["affwild2", "dfew", "both"]),
              help="Label format.")  # fmt: skip
@click.option("--subjects", default=24, show_default=True, help="Number of different actors.")
@click.option("--clips", default=2, show_default=True, help="Videos per actor (dfew: per emotion).")
@click.option("--frames", default=600, show_default=True, help="Approximate frames per video (dfew: a tenth of it).")
@click.option("--difficulty", default=0.5, show_default=True, help="From 0 (nearly separable) to 1 (hard).")
@click.option("--seed", default=0, show_default=True, type=SEED, help="The same seed gives the same files.")
def command(out: Path, form: str, subjects: int, clips: int, frames: int, difficulty: float, seed: int) -> None:
    """Simulate actors: OpenPose JSON, labels and ground truth.

    OUT is a new folder. Describe all results on these data as simulated.
    """
    from itertools import count as counting

    from skelemo.cli.progress import progress
    from skelemo.simulate import Plan, write
    from skelemo.text import count

    plan = Plan(form, subjects, clips, frames, difficulty, seed)
    done = counting(1)
    with progress("simulating", "clips") as update:
        rows = write(out, plan, progress=lambda *_: update(next(done), plan.long + plan.short))
    videos = {row.video: row for row in rows}
    frames_in_all = sum(row.frames for row in videos.values())
    of = f"{count(frames_in_all, 'frame')}, {count(subjects, 'subject')}"
    click.echo(f"{out}: {count(len(videos), 'simulated clip')}, {of}")
    for there, kind, name in ((plan.long, "affwild2", "json"), (plan.short, "dfew", "dfew/json")):
        if there:
            source, labels = quote(str(out / name)), quote(f"{kind}:{out / kind}")
            click.echo(f"skelemo ingest {source} --labels {labels} --out cache/{kind}")
