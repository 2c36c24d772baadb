"""The pictures of the README, in headless Chromium on simulated actors: ``python tools/screenshots.py``.

Needs the dev extra and a Chromium. Data and run are kept in ``--folder`` for the next time.
"""

import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import click
from PIL import Image

ROOT = Path(__file__).parents[1]
#: Larger pictures have no place in a README.
MOST_BYTES = 200_000
_RATE = 25


@click.command()
@click.option("--out", default=ROOT / ".github", show_default=True, type=click.Path(path_type=Path))
@click.option("--folder", type=click.Path(path_type=Path), help="For data, run and report, which are kept there.")
@click.option(
    "--only", multiple=True, type=click.Choice(["report", "mistakes", "viewer", "live"]), help="These pictures alone."
)
def main(out: Path, folder: Path | None, only: tuple[str, ...]) -> None:
    """Write report.png, mistakes.png, viewer.png and live.png."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as place, sync_playwright() as driver:
        data = folder or Path(place)
        make(data)
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, take in (("report", report), ("mistakes", mistakes), ("viewer", viewer), ("live", live)):
            if not only or name in only:
                picture = take(browser, data)
                save(picture, out / f"{name}.png")
        browser.close()


def make(folder: Path) -> None:
    """Simulated actors, a run that has learned from them, and its report beside a baseline's."""
    if not (folder / "actors").exists():
        skelemo("synth", folder / "actors", "--subjects", 36, "--clips", 2, "--frames", 300, "--seed", 1)
    if not (folder / "cache").exists():
        labels = f"affwild2:{folder / 'actors' / 'affwild2'}"
        skelemo("ingest", folder / "actors" / "json", "--labels", labels, "--out", folder / "cache" / "actors")
    data = ("--data", folder / "cache" / "actors", "--head", "expression,va", "--set", "evaluate_every=1")
    if not (folder / "ann").exists():
        skelemo("train", "--arch", "ann", *data, "--config", ROOT / "configs" / "demo.yaml", "--out", folder / "ann")
    if not (folder / "logistic").exists():
        skelemo("train", "--arch", "logistic", *data, "--set", "every=3", "--out", folder / "logistic")
    skelemo("report", folder / "ann", folder / "logistic", "--out", folder / "report")


def report(browser: Any, folder: Path) -> bytes:
    """The head of the page that compares runs."""
    tab = browser.new_page(viewport={"width": 1280, "height": 1180})
    tab.goto((folder / "report" / "report.html").resolve().as_uri())
    tab.wait_for_timeout(500)
    return bytes(tab.screenshot())


def mistakes(browser: Any, folder: Path) -> bytes:
    """The most confident mistakes of the first run, as they play in the page."""
    tab = browser.new_page(viewport={"width": 1280, "height": 2000})
    tab.goto((folder / "report" / "report.html").resolve().as_uri())
    clips = tab.locator(".clips").first
    clips.scroll_into_view_if_needed()
    tab.wait_for_timeout(500)
    box, above = clips.bounding_box(), 56
    area = {"x": box["x"] - 24, "y": box["y"] - above, "width": box["width"] + 48, "height": box["height"] + above + 16}
    return bytes(tab.screenshot(clip=area))


def viewer(browser: Any, folder: Path) -> bytes:
    """A recording of two people, with labels and predictions, amid its frames."""
    rows = tested(folder)
    with serving(
        "view", folder / "cache" / "actors", "--runs", folder / "ann", "--runs", folder / "logistic"
    ) as address:
        tab = browser.new_page(viewport={"width": 1440, "height": 900})
        tab.goto(f"{address}#{rows.index[rows['several']][0]}")
        tab.wait_for_selector("#player:not(.loading) .track")
        slider = tab.locator("#player input[type=range]")
        slider.evaluate("one => { one.value = Math.round(one.max * .62); one.dispatchEvent(new Event('input')); }")
        tab.wait_for_timeout(800)
        return bytes(tab.screenshot())


def live(browser: Any, folder: Path) -> bytes:
    """The live page while a program writes files at the rate of a camera."""
    rows = tested(folder)
    recording = folder / "actors" / "json" / rows.loc[rows[~rows["several"]]["face"].idxmax(), "video"]
    with tempfile.TemporaryDirectory() as place:
        seen = Path(place)
        words = ("live", folder / "ann", seen, "--to", "websocket", "--fps", _RATE)
        with serving(*words) as address:
            tab = browser.new_page(viewport={"width": 1440, "height": 860})
            tab.goto(address)
            ended = threading.Event()
            writer = threading.Thread(target=play, args=(recording, seen, ended))
            writer.start()
            tab.wait_for_function("document.querySelectorAll('#dials section').length > 1")
            tab.wait_for_timeout(4500)
            picture = bytes(tab.screenshot())
            ended.set()
            writer.join()
    return picture


def play(recording: Path, folder: Path, ended: threading.Event) -> None:
    """Files of a recording as they come from a camera."""
    for file in sorted(recording.glob("*.json")):
        if ended.wait(1 / _RATE):
            break
        shutil.copy(file, folder / f".{file.name}")
        (folder / f".{file.name}").rename(folder / file.name)


def tested(folder: Path) -> Any:
    """The sequences of the cache that the run was tested on, with the share of the face's points that are visible."""
    import skelemo as library

    cache, run = library.open_cache(folder / "cache" / "actors"), library.open_run(folder / "ann")
    rows = cache.sequences.assign(face=cache.counts.points[:, -1] / cache.sequences["length"])
    rows["several"] = rows["video"].duplicated(keep=False)
    return rows[rows["video"].isin({*run.windows["video"].astype(str)})]


@contextmanager
def serving(*words: object) -> Iterator[str]:
    """The address that a command prints; the command ends afterwards."""
    command = [sys.executable, "-m", "skelemo", *map(str, words)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout
        for line in server.stdout:
            if "http://" in line:
                yield line[line.index("http://") :].split()[0]
                break
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def skelemo(*words: object) -> None:
    """Run a command of skelemo's."""
    subprocess.run([sys.executable, "-m", "skelemo", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def save(picture: bytes, path: Path) -> None:
    """A picture with as many colors as it takes, and no more bytes than `MOST_BYTES`."""
    for colors in (256, 128, 64):
        small = BytesIO()
        Image.open(BytesIO(picture)).convert("RGB").quantize(colors, dither=Image.Dither.NONE).save(
            small, "PNG", optimize=True
        )
        if len(small.getvalue()) <= MOST_BYTES:
            break
    else:
        raise click.ClickException(f"{path.name} has {len(small.getvalue()):,} bytes, more than {MOST_BYTES:,}")
    path.write_bytes(small.getvalue())
    click.echo(f"{path}: {len(small.getvalue()):,} bytes, {colors} colors")


if __name__ == "__main__":
    main()
