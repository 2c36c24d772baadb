"""The documentation builds, with every page that the navigation names, every link, command and docstring."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_documentation_builds_without_a_warning(tmp_path):
    words = ["build", "--strict", "--quiet", "-f", str(ROOT / "docs" / "mkdocs.yml"), "-d", str(tmp_path / "site")]
    done = subprocess.run([sys.executable, "-m", "mkdocs", *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    built = {page.stem for page in (tmp_path / "site").glob("*.html")} - {"404"}
    assert built == {page.stem for page in (ROOT / "docs" / "pages").glob("*.md")}
    assert "skelemo predict" in (tmp_path / "site" / "commands.html").read_text(encoding="utf-8")
