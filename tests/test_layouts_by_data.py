"""A part that is data alone works everywhere: files, cache, preprocessing, drawing, graphs, training steps, exports."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import skelemo
from skelemo import skeleton
from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.errors import ConfigError
from skelemo.models.registry import create
from skelemo.render import SkeletonRenderer
from skelemo.skeleton import COCO_17, MEDIAPIPE_33, Part, layout, register_layout
from skelemo.training.config import load_config
from skelemo.training.fit import train

#: A horse's head, as a data set of animals might have it: five points under a key of its own.
HORSE = Part("horse_5", ("Poll", "LEar", "REar", "Muzzle", "Chin"), limbs=((0, 1), (0, 2), (0, 3), (3, 4)), kind="body")
FRAMES = 6


@pytest.fixture
def horse():
    register_layout("horse_5", HORSE)
    yield
    skeleton.PARTS._entries.pop("horse_5")
    layout.cache_clear()


def written(folder, key, count, turn=0.1):
    """A recording of one person whose points lie on a circle that turns; returns its points ``[T, V, 2]``."""
    angles = turn * np.arange(FRAMES)[:, None] + np.linspace(0, 6, count)
    points = np.round(np.stack([300 + 100 * np.cos(angles), 200 + 100 * np.sin(angles)], -1), 2)
    folder.mkdir(parents=True)
    for number, frame in enumerate(points):
        flat = [float(n) for x, y in frame for n in (x, y, 0.9)]
        person = {"person_id": [-1], key: flat}
        name = f"ride_{number:012d}_keypoints.json"
        (folder / name).write_text(json.dumps({"version": 1.3, "people": [person]}))
    return points


def run(*words):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.usefixtures("horse")
@pytest.mark.parametrize("part", [HORSE, COCO_17, MEDIAPIPE_33], ids=lambda part: part.name)
def test_a_part_defined_by_data_is_read_drawn_trained_and_exported(tmp_path, part):
    points = written(tmp_path / "json", part.key, len(part))
    run("ingest", tmp_path / "json", "--out", tmp_path / "c", "--layout", part.name, "--jobs", 1)
    cache = open_cache(tmp_path / "c")
    assert cache.layout.parts == (part,)
    keypoints = cache.read().keypoints
    np.testing.assert_allclose(keypoints[..., :2], points, atol=0.01)

    image = SkeletonRenderer(part.name, 64)(torch.from_numpy(keypoints)[None] / torch.tensor([640, 640, 1]))
    assert (image.flatten(1).amax(1) > 0).all()

    for arch in ("ann", "stgcnpp"):
        network = create(arch, layout_name=part.name, frames=FRAMES)
        before = [weight.clone() for weight in network.parameters()]
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        batch = torch.from_numpy(keypoints)[None].repeat(4, 1, 1, 1) / 300
        batch[..., :2] += 0.1 * torch.randn((*batch.shape[:-1], 2), generator=torch.Generator().manual_seed(0))
        logits = network(batch, torch.ones(4, FRAMES, dtype=torch.bool))["expression"]
        torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 3])).backward()
        optimizer.step()
        assert any((new != old).any() for new, old in zip(network.parameters(), before, strict=True))

    run("cache", "export", tmp_path / "c", "--to", "csv", "--out", tmp_path / "c.csv")
    header, first = (tmp_path / "c.csv").read_text().splitlines()[:2]
    column = header.split(",").index(f"{part.name}.{part.keypoints[1]}.x")
    assert float(first.split(",")[column]) == pytest.approx(points[0, 1, 0], abs=0.01)
    run("cache", "export", tmp_path / "c", "--to", "pose", "--out", tmp_path / "poses")
    assert [file.suffix for file in (tmp_path / "poses").iterdir()] == [".pose"]


@pytest.mark.usefixtures("horse")
@pytest.mark.parametrize("part", [HORSE, COCO_17], ids=lambda part: part.name)
def test_a_run_in_another_layout_predicts_from_files_a_cache_and_a_stream(tmp_path, part):
    rows = ["video,label"]
    for number in range(8):
        written(tmp_path / "json" / f"ride {number}", part.key, len(part), turn=0.1 + number / 50)
        rows.append(f"ride {number},{'calm' if number % 2 else 'alert'}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    labels = ["--labels", f"table:{tmp_path / 'labels.csv'}", "--layout", part.name]
    run("ingest", tmp_path / "json", *labels, "--out", tmp_path / "c")
    given = {"data": str(tmp_path / "c"), "model": {"width": 16}, "epochs": 1, "length": 3, "reference": "window"}
    given |= {"split": "holdout:0.25", "device": "cpu", "importance": "0", "target": "last", "smooth": 1}
    train(load_config(overrides=given), tmp_path / "run")

    model, one = skelemo.load(tmp_path / "run"), tmp_path / "json" / "ride 3"
    assert model.layout == layout(part.name)
    table, cached = model.predict(one), model.predict(tmp_path / "c")
    assert table["frame"].tolist() == list(range(FRAMES))
    same = cached[cached["video"].str.startswith("ride 3")]
    np.testing.assert_allclose(table["p_calm"], same["p_calm"], atol=1e-5)
    frames = [json.loads(file.read_text()) for file in sorted(one.iterdir())]
    live = [row for frame in skelemo.live(model, frames, every_frame=True) for row in frame.rows()]
    np.testing.assert_allclose([row["p_calm"] for row in live], same["p_calm"], atol=1e-5)


def test_coco_17_is_read_into_body_25_when_named(tmp_path):
    """Nose and wrist keep their place, the neck lies between the shoulders, toes are missing."""
    points = written(tmp_path / "json", "pose_keypoints_2d", 17)
    run("ingest", tmp_path / "json", "--out", tmp_path / "c", "--layout", "body_25", "--body-model", "coco_17")
    body = open_cache(tmp_path / "c").read().keypoints
    np.testing.assert_allclose(body[:, 0, :2], points[:, 0], atol=0.01)  # nose
    np.testing.assert_allclose(body[:, 4, :2], points[:, 10], atol=0.01)  # right wrist
    np.testing.assert_allclose(body[:, 1, :2], (points[:, 5] + points[:, 6]) / 2, atol=0.02)  # neck
    assert (body[:, 19:] == 0).all()


def test_a_body_model_with_more_points_than_the_layout_is_refused(tmp_path):
    written(tmp_path / "json", "pose_keypoints_2d", 25)
    words = ["ingest", tmp_path / "json", "--out", tmp_path / "c", "--layout", "coco_17", "--body-model", "body_25"]
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == 2
    assert "coco_17 has fewer points; choose --layout body_25" in result.output


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"limbs": ((0, 9),)}, "must be positions of its 2 keypoints"),
        ({"mirror": (0, 0)}, "must be positions of its 2 keypoints"),
        ({"kind": "tail"}, "unknown kind of the part p 'tail'"),
        ({"root": "C"}, "unknown keypoint of p 'C'"),
        ({"name": "a b"}, "expected a name of letters"),
    ],
)
def test_a_part_that_fits_not_together_is_refused(facts, said):
    with pytest.raises(ConfigError, match=said):
        Part(**{"name": "p", "keypoints": ("A", "B")} | facts)


def test_the_recipe_for_a_layout_in_contributing_runs():
    text = (Path(skeleton.__file__).parents[2] / "CONTRIBUTING.md").read_text()
    recipe = text.split("## A layout\n")[1].split("```python\n")[1].split("```")[0]
    try:
        exec(recipe, {})
        assert layout("face_70+horse_5").keypoints[70:72] == ("horse_5.Poll", "horse_5.LEar")
        assert layout("horse_5").mirror == (0, 2, 1, 3, 4)
    finally:
        skeleton.PARTS._entries.pop("horse_5", None)
        layout.cache_clear()


def test_the_recipe_works_as_an_entry_point(tmp_path):
    text = (Path(skeleton.__file__).parents[2] / "CONTRIBUTING.md").read_text()
    recipe = text.split("## A layout\n")[1]
    (tmp_path / "their_horse.py").write_text(recipe.split("```python\n")[1].split("```")[0])
    declared = tomllib.loads(recipe.split("```toml\n")[1].split("```")[0])["project"]["entry-points"]
    facts = tmp_path / "their_horse-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: their-horse\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "".join(f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in names.items()) for group, names in declared.items())
    )
    places = os.pathsep.join([str(tmp_path), str(Path(skeleton.__file__).parents[2])])
    code = "import skelemo; print(len(skelemo.layout('horse_5')), len(skelemo.layout('body_25')))"
    found = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": places}, capture_output=True, text=True
    )
    assert found.stdout == "5 25\n", found.stderr
