"""Memory that an ingest takes, measured in processes of its own."""

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from pathlib import Path
import skelemo.ingest.batching as groups
from skelemo.ingest.plan import Settings, make_plan
from skelemo.ingest.run import ingest
groups.GROUP_FILES = 500
ingest(make_plan(Path(sys.argv[1]), Path(sys.argv[2]), None, Settings()))
print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))
"""


def peak(source: Path, out: Path) -> int:
    done = subprocess.run([sys.executable, "-c", CODE, source, out], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_memory_does_not_depend_on_the_number_of_recordings(tmp_path, write_recording):
    write_recording("clip", [[(100.0 + frame, 100.0)] for frame in range(25)], folder="few/0")
    for folder, count in (("few", 24), ("many", 480)):
        for number in range(count):
            place = tmp_path / folder / str(number)
            if not place.exists():
                place.mkdir(parents=True)
                for file in (tmp_path / "few" / "0").iterdir():
                    os.link(file, place / file.name)
    few, many = (peak(tmp_path / folder, tmp_path / f"cache of {folder}") for folder in ("few", "many"))
    assert many < 1.1 * few
