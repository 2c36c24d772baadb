"""The audit's page in a browser, and the command on it, which opens the suspects in the viewer."""

import re
import shlex

from browsing import findings, serving
from click.testing import CliRunner
from playwright.sync_api import expect
from small_caches import a_cache, a_sequence

from skelemo.cli import main


def test_the_page_is_ranked_and_filtered_and_its_command_opens_the_queue(browser, tmp_path):
    """One sequence stands still for 12 frames, another shows nobody for 40 labeled ones."""
    made = [a_sequence(name, 90, width=400, height=400, fps=25.0) for name in ("still <b>", "gone", "fine")]
    made[0].keypoints[20:32] = made[0].keypoints[20]
    made[1].keypoints[30:70] = 0
    a_cache(tmp_path / "my cache", *made)
    words = ["audit", tmp_path / "my cache", "--out", tmp_path / "out"]
    ended = CliRunner().invoke(main, [*map(str, words)])
    assert ended.exit_code == 0, ended.output
    context = browser.new_context(bypass_csp=True)
    tab = context.new_page()
    tab.set_default_timeout(30_000)
    tab.goto((tmp_path / "out" / "audit.html").as_uri())
    assert findings(tab) == []
    lines = tab.locator(".suspects tbody tr")
    scores = [float(text) for text in lines.locator(".bar").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    kinds = lines.locator(".kind").all_inner_texts()
    assert {"frozen", "empty"} <= {*kinds}
    tab.get_by_role("radio", name=re.compile("^all ")).focus()
    while not tab.get_by_role("radio", name=re.compile("^frozen ")).is_checked():
        tab.keyboard.press("ArrowRight")
    assert lines.locator("visible=true").count() > 0
    shown = [line for line in lines.all() if line.is_visible()]
    assert len(shown) == kinds.count("frozen")
    assert "still <b>" in shown[0].inner_text()
    assert "20 to 31" in shown[0].inner_text()
    program, *command = shlex.split(tab.inner_text(".command"))
    assert program == "skelemo"
    with serving(*command) as address:
        tab.goto(address)
        tab.select_option("#kinds select", "empty")
        expect(tab.locator("#title")).to_have_text("gone")
        assert tab.inner_text("#corrections p") == "Frames 30 to 69"
        assert tab.locator("#queue .item:visible").count() == kinds.count("empty")
        tab.reload()
        expect(tab.locator("#title")).to_have_text("gone")  # the address names the suspect
        assert tab.inner_text("#corrections p") == "Frames 30 to 69"
        tab.keyboard.press("p")
        expect(tab.locator("#title")).not_to_have_text("gone")
    context.close()
