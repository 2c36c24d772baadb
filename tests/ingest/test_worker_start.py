import subprocess
import sys


def test_a_worker_loads_nothing_heavy():
    heavy = {"pandas", "scipy", "torch", "lightning", "matplotlib", "sklearn"}
    code = f"import sys, skelemo.ingest.pool; print(*{heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
