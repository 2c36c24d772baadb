"""Small inputs that once failed: each is a script that ends with 0 once the fault is mended."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "shared" / "cases"
CASES = sorted(path.name for path in FOLDER.glob("*") if path.is_file())
PROGRAM = Path(sys.executable).with_name("skelemo")


@pytest.mark.skipif(not CASES or not PROGRAM.exists(), reason=f"no cases at {FOLDER}, or skelemo is not installed")
@pytest.mark.parametrize("name", CASES or [""])
def test_the_fault_is_mended(name, tmp_path):
    environment = os.environ | {"SKELEMO": str(PROGRAM), "PYTHON": sys.executable, "TMPDIR": str(tmp_path)}
    ended = subprocess.run(["bash", FOLDER / name], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-2000:]
