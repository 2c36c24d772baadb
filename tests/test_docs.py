"""The documentation builds, and every example on its pages runs as it stands."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import skelemo
from skelemo.cache.shard import open_shard
from skelemo.cli import main
from skelemo.simulate import Plan, write

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs" / "pages").glob("*.md"))
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<why>[^\n]+) -->\n+)?"
    r'```(?P<form>\w+)(?: title="(?P<title>[^"\n]+)")?\n(?P<text>.*?)^```',
    re.DOTALL | re.MULTILINE,
)


def test_the_documentation_builds_without_a_warning(tmp_path):
    words = ["build", "--strict", "--quiet", "-f", str(ROOT / "docs" / "mkdocs.yml"), "-d", str(tmp_path / "site")]
    done = subprocess.run([sys.executable, "-m", "mkdocs", *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    built = {page.stem for page in (tmp_path / "site").glob("*.html")} - {"404"}
    assert built == {page.stem for page in PAGES}
    commands = (tmp_path / "site" / "commands.html").read_text(encoding="utf-8")
    assert "skelemo predict" in commands
    assert "[default: body_25+face_70]" in commands
    assert "UNSET" not in commands
    reference = (tmp_path / "site" / "python.html").read_text(encoding="utf-8")
    assert "``" not in reference  # a description taken for a type
    assert set(re.findall(r'<h3 id="skelemo\.(?:ingest\.|skeleton\.layout\.)?(\w+)"', reference)) >= {
        "ingest_folder" if name == "ingest" else name for name in skelemo.__all__
    }


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "BENCHMARKS.md"])
def test_links_of_the_pages_outside_the_documentation_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", text), flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors
        elif "://" not in target:
            assert (ROOT / target).exists(), target


@pytest.fixture(scope="module")
def actors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated recordings with labels: ``json/VIDEO`` and ``affwild2/``."""
    out = tmp_path_factory.mktemp("docs") / "actors"
    write(out, Plan(subjects=6, clips=2, frames=60, seed=1))
    return out


@pytest.fixture(scope="module")
def trained(actors: Path) -> Path:
    """A cache and two run folders of one epoch, under the names that the pages give them."""
    skelemo.ingest(actors / "json", actors / "cache" / "mine", f"affwild2:{actors / 'affwild2'}")
    for name in ("ann", "svm"):
        skelemo.train(actors / "runs" / name, arch=name, data=[actors / "cache" / "mine"], epochs=1)
    shutil.copytree(actors / "runs" / "ann", actors / "runs" / "stgcnpp")
    return actors


def recordings(to: Path, actors: Path, *names: str) -> None:
    """Recordings of the actors as folders of these names."""
    for name, video in zip(names, sorted(path for path in (actors / "json").iterdir() if path.is_dir()), strict=False):
        for number, file in enumerate(sorted(video.iterdir())):
            (to / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, to / name / f"{number:012d}_keypoints.json")


def prepare_data(page: Path, actors: Path) -> None:
    recordings(page / "openpose", actors, "clip 1", "clip 2")


def prepare_labels(page: Path, actors: Path) -> None:
    recordings(page / "openpose", actors, "interview 1")
    videos = ("anna/talk 1", "ben/talk 1", "walk", "00001", "00002", "Action/Happy/0267", "Action/Sad/0001")
    recordings(page / "recordings", actors, *videos)
    for file in (page / "recordings").rglob("*.json"):
        if int(file.name[:12]) >= 40:  # as the page has them: simulated recordings differ in length
            file.unlink()


def prepare_caches(page: Path, actors: Path) -> None:
    recordings(page / "openpose", actors, "clip 1", "clip 2")


def prepare_python(page: Path, actors: Path) -> None:
    for name in ("happy", "sad"):
        recordings(page / "json" / name, actors, *(f"{name} {number}" for number in range(6)))


def prepare_training(page: Path, trained: Path) -> None:
    shutil.copytree(trained / "cache", page / "cache")


prepare_formats = prepare_studies = prepare_training


def prepare_predict(page: Path, trained: Path) -> None:
    shutil.copytree(trained / "runs", page / "runs")
    recordings(page / "recordings", trained, "interview", "walk")
    shutil.make_archive(str(page / "recordings"), "zip", page / "recordings")


prepare_live = prepare_predict


def prepare_evaluate(page: Path, trained: Path) -> None:
    """Other actors than the run's, with a class that it does not have and a column beside."""
    shutil.copytree(trained / "runs", page / "runs")
    write(page / "others", Plan(subjects=6, clips=1, frames=60, seed=2))
    videos = [path.name for path in sorted((page / "others" / "json").iterdir()) if path.is_dir()]
    rows = [f"{name},{('happy', 'contempt', 'sad')[i % 3]},{'fm'[i % 2]}" for i, name in enumerate(videos)]
    (page / "labels.csv").write_text("\n".join(["video,label,sex", *rows]))
    skelemo.ingest(page / "others" / "json", page / "cache" / "other", f"table:{page / 'labels.csv'}")


def prepare_corrections(page: Path, trained: Path) -> None:
    """A cache of some recordings, and what it was made from."""
    videos = sorted(path for path in (trained / "json").iterdir() if path.is_dir())
    for folder in videos:
        shutil.copytree(folder, page / "openpose" / folder.name)
    shutil.copytree(trained / "affwild2", page / "affwild2")
    skelemo.ingest(page / "openpose", page / "cache" / "mine", f"affwild2:{page / 'affwild2'}")


def prepare_cache_format(page: Path, trained: Path) -> None:
    (page / "cache" / "faces").mkdir(parents=True)
    shard = next((trained / "cache" / "mine").glob("*.h5"))
    shutil.copy(shard, page / "cache" / "faces" / "0123456789abcdef0123.h5")


#: What a reader of a page has already, by the page's name.
PREPARED: dict[str, Callable[[Path, Path], None]] = {
    name.removeprefix("prepare_").replace("_", "-"): made for name, made in globals().items() if name[:8] == "prepare_"
}


def run_bash(text: str) -> None:
    """The commands of a block, one after another; each begins with skelemo."""
    for line in text.replace("\\\n", " ").splitlines():
        if not (words := shlex.split(line, comments=True)):
            continue
        assert words[0] == "skelemo", f"expected a command of skelemo's: {line}"
        done = CliRunner().invoke(main, words[1:])
        assert done.exit_code == 0, f"{line}\n{done.output}"


def run_python(text: str) -> None:
    """A block as a script of its own."""
    exec(compile(text, "example", "exec"), {"__name__": "__main__"})


def run_csv(text: str) -> None:
    """A label table, which fits the recordings in ``openpose/``."""
    Path("labels.csv").write_text(text, encoding="utf-8")
    tally = skelemo.ingest("openpose", "cache/labeled", "table:labels.csv")
    (shard,) = (open_shard(path) for path in tally.shards)
    assert {head.name for head in shard.header.heads} >= {"pain", "au"}
    assert all(counts[:, 0].sum() for counts in shard.counts.labels.values())


#: A table of what a command made: sequences, their frames and labels.
MADE = re.compile(r"\s*\| sequence \| frames \| label \|\n\|[-|]+\|\n((?:\|.*\|\n)+)")


def check_made(cache: str, table: str) -> None:
    """Exactly the labels that a table on the page says are in the cache."""
    told: dict[str, dict[int, str]] = {}
    for row in table.splitlines():
        name, frames, label = (cell.strip() for cell in row.strip("|").split("|"))
        first, last = map(int, frames.split(" to "))
        told.setdefault(name, {}).update(dict.fromkeys(range(first, last + 1), label))
    opened = skelemo.open_cache(cache)
    read = opened.read()
    made: dict[str, dict[int, str]] = {}
    for row in opened.sequences.to_dict("records"):
        for at in range(row["start"], row["start"] + row["length"]):
            for head in opened.heads:
                value = read.labels[head.name][at]
                if head.kind == "classes" and value >= 0:
                    made.setdefault(row["id"], {})[int(read.number[at])] = head.outputs[value]
                elif head.kind == "values" and (value == value).all():
                    pairs = zip(head.outputs, value.tolist(), strict=True)
                    made.setdefault(row["id"], {})[int(read.number[at])] = ", ".join(f"{n} {v:g}" for n, v in pairs)
    assert made == told


RUN = {"bash": run_bash, "python": run_python, "csv": run_csv}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if BLOCK.search(page.read_text("utf-8"))], ids=lambda p: p.stem
)
def test_every_example_of_a_page_runs(page, tmp_path, monkeypatch, request):
    (tmp_path / "page").mkdir()
    monkeypatch.chdir(tmp_path / "page")
    if made := PREPARED.get(page.stem):
        given = made.__code__.co_varnames[1]
        made(tmp_path / "page", request.getfixturevalue(given))
    text = page.read_text("utf-8")
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) == text.count("\n```") / 2, "a block without a language is no example"
    for block in blocks:
        if block["title"]:
            Path(block["title"]).parent.mkdir(parents=True, exist_ok=True)
            Path(block["title"]).write_text(block["text"], encoding="utf-8")
        elif not block["why"]:
            RUN[block["form"]](block["text"])
            if made := MADE.match(text, block.end()):
                check_made(shlex.split(block["text"])[-1], made[1])
