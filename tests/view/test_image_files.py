"""``skelemo cache images``: PNGs in class folders."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from opencv_drawing import in_frame_coordinates
from small_caches import BODY, BODY_AND_FACE, a_cache, a_sequence, moods

from skelemo.cache.shard import Header
from skelemo.cache.store import open_cache
from skelemo.cli.cache.formats import images as command
from skelemo.errors import ConfigError
from skelemo.render import SkeletonRenderer
from skelemo.view.image_files import export_images
from skelemo.view.stills import png


def read(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def cache(tmp_path: Path):
    """Two sequences with every kind of frame: labeled, without a class, and labeled without anybody."""
    one = a_sequence("train/Kick 1", 6, width=400, height=300, splits={"fold_1": "train"})
    one.labels["expression"][:] = [0, 1, -1, 2, 0, 0]
    one.keypoints[4] = 0
    two = a_sequence("two", 3, width=300, height=400, splits={"fold_1": "test"})
    two.labels["expression"][:] = [1, -1, 1]
    return open_cache(a_cache(tmp_path / "cache", one, two))


def test_every_labeled_frame_with_people_is_in_the_folder_of_its_class(cache, tmp_path):
    exported = export_images(cache, tmp_path / "out", size=32)
    assert files_in(tmp_path / "out") == {
        "glad/train_Kick 1_000000.png", "glad/train_Kick 1_000005.png", "sad/train_Kick 1_000001.png",
        "calm/train_Kick 1_000003.png", "sad/two_000000.png", "sad/two_000002.png",
    }  # fmt: skip
    assert exported.images == {"calm": 1, "glad": 2, "sad": 3}
    assert (exported.unlabeled, exported.unseen, exported.no_subset) == (2, 1, 0)


def test_images_equal_the_renderers_output(cache, tmp_path):
    export_images(cache, tmp_path / "out", size=48, view="person")
    points = in_frame_coordinates(cache.read().keypoints[3], 400, 300)
    drawn = SkeletonRenderer("body_25", 48, "person")(torch.from_numpy(points)[None, None], torch.tensor([400, 300]))
    image = read(tmp_path / "out" / "calm" / "train_Kick 1_000003.png")
    np.testing.assert_allclose(image, drawn[0].permute(1, 2, 0).mul(255), atol=0.6)
    assert image.any()


def test_a_split_comes_first_and_leaves_out_who_is_not_in_it(tmp_path):
    sequences = [
        a_sequence(name, 2, splits=splits, expression=np.int8([0, 0]))
        for name, splits in (("a", {"fold_1": "train"}), ("b", {"fold_1": "test"}), ("c", {"fold_2": "train"}))
    ]
    cache = open_cache(a_cache(tmp_path / "cache", *sequences))
    exported = export_images(cache, tmp_path / "out", size=16, split="fold_1")
    assert exported.images == {"test/glad": 2, "train/glad": 2}
    assert exported.no_subset == 2
    with pytest.raises(ConfigError, match=r"unknown split 'fold_3'.*fold_1, fold_2"):
        export_images(cache, tmp_path / "other", split="fold_3")


def test_a_frame_that_is_skipped_is_counted_for_one_reason(tmp_path):
    """Neither in a subset nor visible: counted as without a subset."""
    hidden = a_sequence("a", 2, expression=np.int8([0, 0]))
    hidden.keypoints[1] = 0
    shown = a_sequence("b", 1, splits={"fold_1": "test"}, expression=np.int8([0]))
    cache = open_cache(a_cache(tmp_path / "cache", hidden, shown))
    exported = export_images(cache, tmp_path / "out", size=16, split="fold_1")
    assert (exported.images, exported.unlabeled, exported.unseen, exported.no_subset) == ({"test/glad": 1}, 0, 0, 2)


def test_a_frame_whose_points_are_too_faint_to_be_drawn_is_skipped(tmp_path):
    one = a_sequence("one", 3, expression=np.int8([0, 0, 0]))
    one.keypoints[1:, :, 2] = np.where(one.keypoints[1:, :, 2] > 0, 0.04, 0)  # OpenPose draws from 0.05
    one.keypoints[2, 1] = 100, 100, 0.06
    exported = export_images(open_cache(a_cache(tmp_path / "cache", one)), tmp_path / "out", size=16)
    assert (exported.images, exported.unseen) == ({"glad": 2}, 1)


def test_every_nth_frame_is_counted_within_each_sequence(tmp_path):
    sequences = [a_sequence(name, count, expression=np.zeros(count, np.int8)) for name, count in (("a", 5), ("b", 4))]
    export_images(open_cache(a_cache(tmp_path / "cache", *sequences)), tmp_path / "out", size=16, every=3)
    numbers = {"glad/a_000000.png", "glad/a_000003.png", "glad/b_000000.png", "glad/b_000003.png"}
    assert files_in(tmp_path / "out") == numbers


def test_existing_files_are_unchanged(cache, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        export_images(cache, out)
    assert files_in(tmp_path / "out") == {"mine.txt"}
    (out / "mine.txt").unlink()
    export_images(cache, out, size=16)  # an empty folder will do
    assert len(files_in(out)) == 6


def test_an_export_that_breaks_off_leaves_nothing(cache, tmp_path):
    def full(done: int, total: int) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        export_images(cache, tmp_path / "out", size=16, report=full)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache"]


def test_a_killed_export_can_be_repeated_and_its_remains_are_removed(cache, tmp_path):
    code = (
        "import os, pathlib, sys\n"
        "from skelemo.cache.store import open_cache\n"
        "from skelemo.view import image_files\n"
        "image_files.png = lambda *_: os._exit(9)\n"
        "image_files.export_images(open_cache(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2]), size=32)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, tmp_path / "cache", tmp_path / "out"], check=False)
    assert killed.returncode == 9
    foreign = tmp_path / ".partial-of-another-program"
    foreign.write_text("")
    os.utime(foreign, (0, 0))
    assert len(list(tmp_path.glob(".partial-*"))) == 2
    export_images(cache, tmp_path / "out", size=32)
    assert len(files_in(tmp_path / "out")) == 6
    assert list(tmp_path.glob(".partial-*")) == [foreign]


def test_a_cache_without_labels_is_refused(tmp_path):
    cache = open_cache(a_cache(tmp_path / "cache", a_sequence(expression=np.full(7, -1, np.int8))))
    with pytest.raises(ConfigError, match="no frame has a class, a subset and a visible person"):
        export_images(cache, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pngs_keep_every_pixel():
    image = np.random.default_rng(0).integers(0, 256, (17, 31, 3)).astype(np.uint8)
    decoded = cv2.imdecode(np.frombuffer(png(image), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(decoded[..., ::-1], image)


def test_coordinates_without_pixels_are_drawn_in_their_places(tmp_path):
    signed = a_sequence("one", 2, expression=np.int8([0, 0]), scale="signed")
    signed.keypoints[:] = 0
    signed.keypoints[:, 0] = -0.9, 0.9, 1  # a nose in the lower left corner
    signed.keypoints[:, 1] = 0.9, -0.9, 1
    folder = a_cache(tmp_path / "cache", signed, header=BODY)
    export_images(open_cache(folder), tmp_path / "out", size=64)
    image = read(tmp_path / "out" / "glad" / "one_000000.png")
    assert image[58:, :7].any()
    assert image[:7, 58:].any()
    assert not image[:20, :20].any()


def test_the_command_prints_written_and_skipped_images(cache, tmp_path):
    answer = CliRunner().invoke(
        command, [str(cache.paths[0]), "--out", str(tmp_path / "out"), "--size", "16", "--split", "fold_1"]
    )
    assert answer.exit_code == 0, answer.output
    assert "train/glad" in answer.output
    assert "skipped: frames without a class" in answer.output
    assert (tmp_path / "out" / "test" / "sad").is_dir()


def test_class_names_of_any_kind_make_folders(tmp_path):
    header = Header("body_25", moods("joy/delight", ".."))
    sequence = a_sequence(expression=np.int8([0, 1, 0, 1, 0, 1, 0]))
    export_images(open_cache(a_cache(tmp_path / "cache", sequence, header=header)), tmp_path / "out", size=16)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["_", "joy_delight"]


@pytest.mark.parametrize("view", ["face", "person+face"])
def test_a_view_of_a_face_that_no_frame_shows_is_refused(tmp_path, view):
    bodies = a_sequence("one", points=95, expression=np.zeros(7, np.int8))
    bodies.keypoints[:, 25:] = 0
    cache = open_cache(a_cache(tmp_path / "cache", bodies, header=BODY_AND_FACE))
    with pytest.raises(ConfigError, match="no frame has a face"):
        export_images(cache, tmp_path / "out", view=view)
    assert not (tmp_path / "out").exists()


def test_frames_without_a_face_make_no_black_images_of_faces(tmp_path):
    people = a_sequence("one", points=95, expression=np.zeros(7, np.int8))
    people.keypoints[2:5, 25:] = 0
    people.keypoints[[0, 1, 5, 6], 25:60, 2] = 0.9
    cache = open_cache(a_cache(tmp_path / "cache", people, header=BODY_AND_FACE))
    done = export_images(cache, tmp_path / "out", view="face")
    assert (sum(done.images.values()), done.unseen) == (4, 3)
    assert all(read(file).any() for file in (tmp_path / "out").rglob("*.png"))
