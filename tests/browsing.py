"""Pages in a real browser, what axe-core finds in them, and commands that serve them."""

import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

#: Widths and color schemes in which a page is looked at.
LOOKS = [(1400, "light"), (390, "dark")]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)  # a busy machine is slow
    if shutil.which("chromium") is None:
        pytest.skip("needs chromium")
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield found
        found.close()


def findings(tab, looks=LOOKS):
    """What axe-core finds in a page, wide and light, narrow and dark, and whether the page is too wide.

    The tab's context has to bypass the page's own policy, which lets no other script in.
    """
    import axe_core_python

    tab.evaluate((Path(axe_core_python.__file__).parent / "axe.min.js").read_text())
    found = []
    for width, scheme in looks:
        tab.set_viewport_size({"width": width, "height": 900})
        tab.emulate_media(color_scheme=scheme)
        result = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")
        found += [(width, scheme, one["id"], one["nodes"][0]["html"]) for one in result["violations"]]
        if tab.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append((width, scheme, "wider than the screen", ""))
    return found


@contextmanager
def serving(*words):
    """The address that a command of skelemo's prints; Ctrl-C ends it."""
    command = [sys.executable, "-m", "skelemo", *map(str, words)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout
    yield server.stdout.readline().strip()
    server.send_signal(signal.SIGINT)
    _, told = server.communicate(timeout=20)
    assert server.returncode == 130
    assert not told
