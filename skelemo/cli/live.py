"""``skelemo live``."""

import gc
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skelemo.cli import on_interrupt
from skelemo.cli.extract import finding
from skelemo.cli.screen import notes
from skelemo.cli.values import PATH, TEXT, allow_option, min_seen_option, port_option, scale_option, size_and_rate
from skelemo.errors import ConfigError, InputError
from skelemo.text import count, duration, signed, visible

if TYPE_CHECKING:
    from rich.table import Table

    from skelemo.inference.live.sources import Problems
    from skelemo.inference.live.stream import LiveFrame, LiveModel
    from skelemo.pose.registry import Options
    from skelemo.targets import Head

#: Receives each frame's predictions.
Show = Callable[["LiveFrame"], None]

_REFRESH = 0.1  # seconds between refreshes of the table
_WARN_EVERY = 10.0  # seconds between messages about unreadable frames
_LATENCIES = 20_000  # most recent latencies, for the percentiles


@click.command("live")
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.argument("source", type=TEXT)
@click.option("--to", type=click.Choice(["table", "jsonl", "websocket"]), default=None,
              help="Self-refreshing table, JSON lines, or a web page with a WebSocket.  [default: table on a terminal, "
              "else jsonl]")  # fmt: skip
@port_option
@min_seen_option
@click.option("--clip", type=click.IntRange(0), default=0, metavar="FRAMES",
              help="Number of frames treated as a clip, for runs trained on whole clips.")  # fmt: skip
@click.option("--from-start", is_flag=True,
              help="Read all files already in the folder, not only the latest ones as context.")  # fmt: skip
@click.option("--every-frame", is_flag=True, help="Predict for every frame read, even if a newer one is waiting.")
@click.option("--stop-after", type=click.FloatRange(0), default=0.0, metavar="SECONDS",
              help="Stop when no frame has arrived for this long.  [default: never]")  # fmt: skip
@size_and_rate
@scale_option
@click.option("--device", type=TEXT, default="cpu", show_default=True, help="cpu, cuda, cuda:1, mps.")
@click.option(
    "--threads", type=click.IntRange(0), default=0, help="Torch threads.  [default: the fastest number on this machine]"
)
@allow_option
@finding
def command(
    runs: tuple[Path, ...],
    source: str,
    to: str | None,
    port: int,
    clip: int,
    size: tuple[int, int],
    device: str,
    threads: int,
    allow: tuple[str, ...],
    pose: "Options | None",
    **options: Any,
) -> None:
    """Predict with RUNS while SOURCE is being recorded.

    SOURCE is a folder that OpenPose is writing to, - for standard input with one JSON frame per line, or, with a pose
    estimator (--with), a video, camera, or camera:1 for the second one. People are tracked from frame to frame and
    dropped after they leave. Only past frames are used. Several runs are averaged. Stop with Ctrl-C.

    \b
    skelemo live runs/ann openpose/ --to websocket
    skelemo live runs/ann camera --with mediapipe --to websocket
    pose-program | skelemo live runs/ann - --to jsonl > predictions.jsonl
    """
    from skelemo.inference.live.sources import Problems
    from skelemo.inference.live.stream import live, live_model

    to = to or ("table" if sys.stdout.isatty() else "jsonl")
    model = live_model(runs, clip=clip, device=device, allow=allow)
    problems, latencies, begun, frames = Problems(), deque[float](maxlen=_LATENCIES), time.monotonic(), 0
    answers = live(model, source, size=size, pose=pose, problems=problems, **options)
    notes(model.notes)
    model.tune(threads or (1 if pose else 0))  # the pose estimator uses all other cores
    gc.collect()
    gc.freeze()  # exclude loaded objects from garbage collection, which would take longer than a frame
    shows: dict[str, Callable[[], AbstractContextManager[Show]]]
    shows = {"table": lambda: _table(model.heads), "jsonl": lambda: nullcontext(_write_lines),
             "websocket": lambda: _page(model, model.model.name, size, port)}  # fmt: skip
    on_interrupt(lambda: f"stopped; {_summary(frames, begun, latencies, problems)}")
    with shows[to]() as show:
        warn = _warner(problems, quiet=to == "table")
        for frame in answers:
            frames += 1
            latencies.append(frame.latency)
            show(frame)
            warn()
    click.echo(_summary(frames, begun, latencies, problems), err=True)
    if not frames:
        within = f" within {options['stop_after']:g} s" if options["stop_after"] else ""
        raise InputError(f"{source}: no frame arrived{within}")


def _summary(frames: int, begun: float, latencies: Sequence[float], problems: "Problems") -> str:
    text = f"{count(frames, 'frame')} in {duration(time.monotonic() - begun)}"
    if latencies:
        ordered = sorted(latencies)
        half, most = (1e3 * ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.99))
        text += f", predicted within {half:.1f} ms (median) and {most:.1f} ms (99 %) of being read"
    if problems.count:
        text += f"; {count(problems.count, 'problem')}, the first: {visible(problems.first)}"
    return text


def _warner(problems: "Problems", *, quiet: bool) -> Callable[[], None]:
    """Reports unreadable frames: the first immediately, later ones at intervals."""
    reported, last = 0, -_WARN_EVERY

    def warn() -> None:
        nonlocal reported, last
        if not quiet and problems.count > reported and time.monotonic() - last >= _WARN_EVERY:
            click.echo(f"unreadable: {visible(problems.latest)} ({problems.count:,} so far)", err=True)
            reported, last = problems.count, time.monotonic()

    return warn


def _write_lines(frame: "LiveFrame") -> None:
    import orjson

    for row in frame.rows():
        sys.stdout.buffer.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


@contextmanager
def _table(heads: "Sequence[Head]") -> Iterator[Show]:
    from rich.live import Live

    from skelemo.cli.screen import Screen

    drawn = 0.0
    with Live(console=Screen(), auto_refresh=False) as screen:

        def show(frame: "LiveFrame") -> None:
            nonlocal drawn
            if time.monotonic() - drawn >= _REFRESH:
                drawn = time.monotonic()
                screen.update(people_table(frame, heads), refresh=True)

        yield show


def people_table(frame: "LiveFrame", heads: "Sequence[Head]") -> "Table":
    """The visible people of a frame and their predictions: classes and flags as bars, values on a scale."""
    from rich.table import Table

    title = f"{visible(frame.video)}, frame {frame.number:,}, {frame.time:.1f} s"
    table = Table(title=title, title_justify="left", caption=f"{1e3 * frame.latency:.1f} ms", caption_justify="left")
    table.add_column("")
    for head in heads:
        for name in [head.name] if head.kind == "classes" else head.outputs:
            table.add_column(name, no_wrap=True)
    for one in frame.people:
        cells = [one.name]
        for head in heads:
            found = one.outputs[head.name].tolist() if one.outputs else []
            if head.kind == "classes":
                best = max(range(len(found)), key=found.__getitem__, default=-1)
                cells.append(f"{_bar(found[best])} {found[best]:4.0%} {head.outputs[best]}" if found else "–")
            else:
                low, high = (head.low, head.high) if head.kind == "values" else (0.0, 1.0)
                cells += [f"{_mark((value - low) / (high - low))} {signed(value, low)}" for value in found] or [
                    "–"
                ] * len(head)
        table.add_row(*cells, style="" if one.seen else "dim")
    return table


def _bar(share: float, width: int = 10) -> str:
    full = round(share * width)
    return "█" * full + "░" * (width - full)


def _mark(share: float, width: int = 11) -> str:
    place = min(width - 1, max(0, round(share * (width - 1))))
    return "─" * place + "●" + "─" * (width - 1 - place)


@contextmanager
def _page(model: "LiveModel", name: str, size: tuple[int, int], port: int) -> Iterator[Show]:
    from skelemo.skeleton import stream_layout

    try:
        import websockets  # noqa: F401  # uvicorn needs it for WebSockets

        from skelemo.view.live_page import LivePage
    except ImportError:
        packages = "starlette, uvicorn and websockets"
        raise ConfigError(f"the page needs the packages {packages}: pip install 'skelemo[live]'") from None

    with LivePage(name, model.heads, stream_layout(model.layout), size, port) as page:
        click.echo(page.address)
        yield page.publish
