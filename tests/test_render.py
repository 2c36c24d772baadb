"""Skeleton images against OpenPose's drawing with OpenCV, and what they must not depend on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from opencv_drawing import agreement, drawn, in_frame_coordinates, made_small
from recordings import find_recordings

from skelemo.errors import ConfigError
from skelemo.openpose.people import read_people
from skelemo.render import VIEWS, SkeletonRenderer
from skelemo.render.over import draw_over
from skelemo.render.views import crop, whole
from skelemo.simulate import simulate
from skelemo.skeleton import BODY_25, FACE_70, layout

BOTH = layout("body_25+face_70")
BODY = layout("body_25")

#: Recordings and the size of picture that their coordinates suggest; the files do not say it.
RECORDINGS = {
    "v1.0-coco18-old-keys": (1280, 720),
    "v1.2-body25-face": (1080, 1080),
    "v1.2-body25-signer": (640, 480),
    "v1.2-coco18-candidates": (640, 480),
    "v1.3-body25-crowd": (1280, 720),
    "v1.3-body25-kicks": (1080, 1920),
    "v1.3-coco18": (224, 300),
}


def rendered(keypoints: np.ndarray, width: int, height: int, **settings) -> np.ndarray:
    """Images ``[F, H, W, 3]`` of people ``[F, V, 3]`` in pixels of a picture."""
    frames = torch.from_numpy(in_frame_coordinates(keypoints, width, height))
    chosen = BODY if len(frames[0]) == len(BODY) else BOTH
    images = SkeletonRenderer(settings.pop("layout", chosen), **settings)(
        frames[:, None], torch.tensor([width, height])
    )
    return images.permute(0, 2, 3, 1).numpy()


def reference(keypoints: np.ndarray, width: int, height: int, size: tuple[int, int] = (224, 224), where=BOTH):
    return np.stack([made_small(drawn(person, where, width, height), size) for person in keypoints])


def actors(number: int = 0, frames: int = 40, every: int = 5, **settings) -> tuple[np.ndarray, int, int]:
    """A simulated person, ``[F, V, 3]`` in pixels, and the picture's width and height."""
    clips = simulate(subjects=5, clips=1, frames=frames, seed=7, **settings)
    clip = next(clip for index, clip in enumerate(clips) if index == number)
    return clip.keypoints[::every], clip.width, clip.height


@pytest.fixture(scope="module")
def person() -> tuple[np.ndarray, int, int]:
    return actors()


@pytest.fixture(scope="module")
def batch(person) -> torch.Tensor:
    """``[2, 3, 95, 3]`` in frame coordinates."""
    keypoints, width, height = person
    return torch.from_numpy(in_frame_coordinates(keypoints[:6], width, height)).view(2, 3, 95, 3)


def a_cross(confidence: float = 1.0) -> np.ndarray:
    """A body whose shoulder line and trunk cross a picture of 640 x 480."""
    points = np.zeros((25, 3), np.float32)
    for name, x, y in (
        ("Nose", 320, 60), ("Neck", 320, 120), ("RShoulder", 200, 130), ("LShoulder", 450, 140), ("MidHip", 330, 400),
    ):  # fmt: skip
        points[BODY_25.index(name)] = x, y, confidence
    return points


@pytest.mark.parametrize("name", RECORDINGS)
def test_real_people_look_as_openpose_draws_them(shared_data: Path, name: str):
    width, height = RECORDINGS[name]
    found = [read_people(recording, BOTH).keypoints for recording in find_recordings(shared_data / "openpose" / name)]
    people = np.concatenate(found)
    people = people[:: max(1, len(people) // 24)]
    overlap, error = agreement(rendered(people, width, height), reference(people, width, height))
    assert overlap >= 0.85
    assert error <= 0.01


@pytest.mark.parametrize("number", range(3))
def test_simulated_bodies_and_faces_look_as_openpose_draws_them(number: int):
    people, width, height = actors(number)
    overlap, error = agreement(rendered(people, width, height), reference(people, width, height))
    assert overlap >= 0.85
    assert error <= 0.01


def test_circles_of_very_small_people_are_outlines():
    body = a_cross()
    body[:, :2] = np.where(body[:, 2:] > 0, (320, 240) + (body[:, :2] - (320, 240)) * 0.1, 0)
    tiny = body.copy()
    tiny[:, :2] = np.where(body[:, 2:] > 0, (320, 240) + (body[:, :2] - (320, 240)) * 0.4, 0)
    for points in (body, tiny):  # a share of the picture of 7 and of 3 %
        image = rendered(points[None], 640, 480, size=(480, 640))
        assert agreement(image, reference(points[None], 640, 480, (480, 640), BODY))[0] >= 0.85


def test_smaller_and_oblong_images_are_the_same_drawing(person):
    people, width, height = person
    for size in ((112, 112), (96, 256), (256, 96)):
        overlap, _ = agreement(rendered(people, width, height, size=size), reference(people, width, height, size))
        assert overlap >= 0.85


def test_hands_are_drawn_too(person):
    people, width, height = person
    rng = np.random.default_rng(3)
    every = layout("body_25+face_70+hand_21x2")
    spread = (
        rng.normal(0, height / 20, (len(people), 2, 21, 2)) + rng.uniform(0.3, 0.7, (len(people), 2, 1, 2)) * height
    )
    hands = np.concatenate([spread, rng.uniform(0, 1, (len(people), 2, 21, 1))], -1).reshape(-1, 42, 3)
    people = np.concatenate([people, hands.astype(np.float32)], 1)
    images = rendered(people, width, height, layout=every)
    overlap, error = agreement(images, reference(people, width, height, where=every))
    assert overlap >= 0.85
    assert error <= 0.01


def test_pixels_within_strokes_have_openposes_very_colors():
    body = a_cross()
    picture = drawn(body, BODY, 640, 480)
    image = rendered(body[None], 640, 480, size=(480, 640))[0]
    # Wherever all pixels within two of it have its color too.
    padded = np.pad(picture, ((2, 2), (2, 2), (0, 0)))
    around = [padded[y : y + 480, x : x + 640] for y in range(5) for x in range(5)]
    within = np.all([near == picture for near in around], axis=(0, 3)) & picture.any(-1)
    assert within.sum() > 200
    np.testing.assert_allclose(image[within], picture[within] / 255, atol=0.01)


def test_circles_lie_over_limbs_and_later_limbs_over_earlier_ones():
    body = a_cross()
    body[BODY_25.index("RElbow")] = 420, 300, 1
    body[BODY_25.index("RWrist")] = 250, 260, 1  # the lower arm crosses the trunk
    image = rendered(body[None], 640, 480, size=(480, 640))[0]
    neck, wrist = (np.array(BODY_25.drawing.color(BODY_25.index(name))) / 255 for name in ("Neck", "RWrist"))
    np.testing.assert_allclose(image[120, 320], neck, atol=0.01)
    np.testing.assert_allclose(image[277, 324], wrist, atol=0.01)


@pytest.mark.parametrize(("part", "threshold"), [(BODY_25, 0.05), (FACE_70, 0.4)])
def test_points_show_only_above_their_parts_threshold(part, threshold: float):
    points = np.zeros((95, 3), np.float32)
    rows = BOTH.slices[part.name]
    points[rows] = np.random.default_rng(0).uniform((50, 50, 0), (600, 400, 0), (len(part), 3))
    points[rows, 2] = 1  # all of them make the box
    first, second = rows.start, rows.start + 2
    for confidence, visible in ((threshold, False), (np.nextafter(np.float32(threshold), np.float32(1)), True)):
        points[[first, second], 2] = confidence
        image = rendered(points[None], 640, 480, size=(480, 640))
        gone = points.copy()
        gone[[first, second]] = 0
        assert (agreement(image, rendered(gone[None], 640, 480, size=(480, 640)))[0] < 0.999) == visible
        assert agreement(image, reference(points[None], 640, 480, (480, 640)))[0] > 0.85


def test_people_who_leave_the_picture_are_cut_off_where_it_ends(person):
    people, width, height = person
    moved = people.copy()
    moved[..., :2] += np.where(people[..., 2:] > 0, np.array([width * 0.45, -height * 0.3]), 0)
    square = rendered(moved, width, height)
    expected = reference(moved, width, height)
    shown = expected.any((0, 2, 3)).nonzero()[0]
    rows = slice(shown.min(), shown.max() + 1)  # the drawing ends with the picture, the image with its own border
    assert agreement(square[:, rows], expected[:, rows])[0] >= 0.85


def test_limbs_that_only_pass_through_are_drawn_where_they_pass():
    body = np.zeros((25, 3), np.float32)
    body[BODY_25.index("Neck")] = -3000, -2000, 1
    body[BODY_25.index("MidHip")] = 4000, 2500, 1
    image = rendered(body[None], 640, 480, size=(48, 64))
    assert image.any(-1).sum() > 40
    assert agreement(image, reference(body[None], 640, 480, (48, 64), BODY))[0] >= 0.85


def test_nothing_that_cannot_be_a_point_is_drawn(batch):
    broken = batch.clone()
    renderer = SkeletonRenderer(BOTH, 64)
    for value in (torch.nan, torch.inf, -torch.inf, 3e38, 1e5):
        for channel in (0, 1):
            broken[:, :, 7, channel] = value
        broken[:, :, 7, 2] = 0.9
        gone = broken.clone()
        gone[:, :, 7] = 0
        assert torch.equal(renderer(broken), renderer(gone))
    broken[..., 2] = torch.nan
    assert not renderer(broken).any()


@pytest.mark.parametrize("view", VIEWS)
def test_frames_without_anybody_are_black_and_change_no_other(batch, view: str):
    renderer = SkeletonRenderer(BOTH, 64, view)
    holes = batch.clone()
    holes[0, 1] = 0
    images = renderer(holes)
    assert images.shape == (6, 3, *renderer.picture)
    assert not images[1].any()
    whole = renderer(batch)
    assert all(torch.equal(images[row], whole[row]) for row in (0, 2, 3, 4, 5))


@pytest.mark.parametrize("view", VIEWS)
def test_an_image_is_the_same_alone_in_a_batch_and_again(batch, view: str):
    renderer = SkeletonRenderer(BOTH, (48, 80), view)
    together = renderer(batch)
    assert torch.equal(together, renderer(batch))
    for row, image in enumerate(together):
        alone = renderer(batch[row // 3, row % 3][None, None])
        torch.testing.assert_close(alone[0], image, rtol=0, atol=1e-6)
    assert renderer(batch[:0]).shape == (0, 3, *renderer.picture)


@pytest.mark.parametrize(("view", "part"), [("person", None), ("face", FACE_70)])
def test_a_crop_is_the_drawing_of_a_picture_of_its_own(person, view: str, part):
    people, width, height = person
    images = rendered(people, width, height, view=view)
    large = []
    for points in people:
        shown = points.copy()
        if part is not None:
            shown[: BOTH.slices[part.name].start] = 0
        threshold = np.concatenate([np.full(len(each), each.drawing.threshold) for each in BOTH.parts])
        seen = shown[shown[:, 2] > threshold, :2]
        box = np.ptp(seen, axis=0).max() * 1.2  # a margin of a tenth on either side
        shown[:, :2] = (shown[:, :2] - (seen.min(0) + seen.max(0)) / 2) * (1280 / box) + 640
        large.append(made_small(drawn(shown, BOTH, 1280, 1280), (224, 224)))
    overlap, error = agreement(images, np.stack(large))
    assert overlap >= 0.85
    assert error <= 0.01


def test_crops_do_not_depend_on_where_and_how_large_a_person_is(batch):
    for view in ("person", "face", "person+face"):
        renderer = SkeletonRenderer(BOTH, 96, view)
        moved = batch.clone()
        moved[..., :2] = torch.where(batch[..., 2:] > 0, batch[..., :2] * 0.5 + 0.125, 0)
        overlap, _ = agreement(renderer(batch).numpy(), renderer(moved).numpy())
        assert overlap > 0.98


def test_person_and_face_side_by_side_are_each_as_large_as_alone(batch):
    renderer = SkeletonRenderer(BOTH, (64, 49), "person+face")
    both = renderer(batch)
    assert both.shape == (6, 3, *renderer.picture) == (6, 3, 64, 98)
    assert torch.equal(both[..., :49], SkeletonRenderer(BOTH, (64, 49), "person")(batch))
    assert torch.equal(both[..., 49:], SkeletonRenderer(BOTH, (64, 49), "face")(batch))


def test_an_unknown_frame_size_is_the_usual_one(batch):
    renderer = SkeletonRenderer(BOTH, 96)
    expected = renderer(batch, torch.tensor([1280, 720]))
    torch.testing.assert_close(renderer(batch), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(renderer(batch, torch.tensor([[0, 0], [1280, 720]])), expected, rtol=0, atol=1e-6)
    sizes = torch.tensor([[640, 480], [1920, 1080]])
    assert torch.equal(renderer(batch, sizes)[3:], renderer(batch[1:], sizes[1:]))


def test_strokes_keep_their_proportions_in_frames_smaller_than_the_image(batch):
    renderer = SkeletonRenderer(BOTH, 224)
    torch.testing.assert_close(renderer(batch, torch.tensor([64, 64])), renderer(batch, torch.tensor([224, 224])))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_images_have_the_type_of_the_keypoints(batch, dtype: torch.dtype):
    renderer = SkeletonRenderer(BOTH, 64, "person")
    images = renderer.to(dtype)(batch.to(dtype))
    assert images.dtype == dtype
    expected = SkeletonRenderer(BOTH, 64, "person")(batch.to(dtype).float())
    torch.testing.assert_close(images.float(), expected, rtol=0, atol=0.005)


def test_traced_as_one_graph_it_draws_the_same_for_any_batch(batch):
    renderer = SkeletonRenderer(BOTH, 48)
    compiled = torch.compile(renderer, backend="eager", fullgraph=True, dynamic=True)
    for part in (batch, torch.cat([batch, batch])):
        torch.testing.assert_close(compiled(part), renderer(part), rtol=0, atol=1e-5)


def test_exported_it_draws_the_same_for_any_batch(batch):
    renderer = SkeletonRenderer(BOTH, 48, "person+face")
    dynamic = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(renderer, (batch,), dynamic_shapes=({0: dynamic},)).module()
    for part in (batch, batch[:1], torch.cat([batch, batch])):
        torch.testing.assert_close(exported(part), renderer(part), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_compiled_it_draws_the_same(batch):
    renderer = SkeletonRenderer("face_70", 48)
    faces = batch[:, :, BOTH.slices["face_70"]]
    compiled = torch.compile(renderer, fullgraph=True, dynamic=True)
    torch.testing.assert_close(compiled(faces), renderer(faces), rtol=0, atol=1e-5)


def test_fixed_shapes_are_wide_enough_for_every_stroke(monkeypatch):
    from skelemo.render import raster, strokes

    longest = []

    def measured(bound: int, length: torch.Tensor) -> int:
        longest.append((int(length.max().ceil()), bound))
        return bound

    monkeypatch.setattr(strokes, "at_most", measured)
    monkeypatch.setattr(raster, "at_most", measured)
    rng = np.random.default_rng(0)
    wild = torch.from_numpy(rng.uniform((-0.7, -0.7, 0), (0.7, 0.7, 1), (2, 3, 95, 3)).astype(np.float32))
    for size in (32, 224, (30, 100)):
        for view in VIEWS:
            SkeletonRenderer(BOTH, size, view)(wild)
        for frame in ((100, 60), (300, 900), (4096, 2160)):
            SkeletonRenderer(BOTH, size)(wild, torch.tensor(frame))
    assert all(length <= bound for length, bound in longest)


def test_an_overlay_is_openposes_drawing_at_85_percent():
    body, video = a_cross(), torch.full((1, 480, 640, 3), 100, dtype=torch.uint8)
    picture = drawn(body, BODY, 640, 480).astype(float)
    draw_over(video, torch.from_numpy(body)[None], BODY)
    padded = np.pad(picture, ((2, 2), (2, 2), (0, 0)))
    around = np.stack([padded[y : y + 480, x : x + 640] for y in range(5) for x in range(5)])
    within, outside = (around == picture).all((0, 3)) & picture.any(-1), ~around.any((0, 3))
    assert min(within.sum(), outside.sum()) > 200
    found = video[0].numpy()
    np.testing.assert_allclose(found[within], 0.85 * picture[within] + 15, atol=3)
    assert (found[outside] == 100).all()


def test_an_overlay_without_a_person_in_the_picture_changes_nothing():
    nobody, away = np.zeros((25, 3), np.float32), a_cross()
    away[:, 0] += 3000 * (away[:, 2] > 0)
    broken = np.full((25, 3), np.nan, np.float32)
    video = torch.randint(0, 256, (3, 480, 640, 3), dtype=torch.uint8)
    before = video.clone()
    for points in (nobody, away, broken):
        draw_over(video, torch.from_numpy(points).expand(3, -1, -1), BODY)
    assert torch.equal(video, before)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ConfigError, match=r"did you mean 'person'.*frame"):
        SkeletonRenderer(BOTH, 64, "persn")
    with pytest.raises(ConfigError, match="shows a face, which the layout body_25 lacks"):
        SkeletonRenderer("body_25", 64, "person+face")
    with pytest.raises(ConfigError, match="sides must be 2 or more"):
        SkeletonRenderer(BOTH, (0, 64))
    with pytest.raises(ConfigError, match="at most 8,192"):
        SkeletonRenderer(BOTH, 10**11)
    with pytest.raises(ConfigError, match=r"95 points with 2 channels.*x, y and confidence"):
        SkeletonRenderer(BOTH, 64)(torch.zeros(1, 1, 95, 2))


def test_a_point_beyond_all_bounds_does_not_disturb_an_overlay():
    body = a_cross()
    unseen = int(np.flatnonzero(body[:, 2] == 0)[0])
    expected = torch.full((1, 480, 640, 3), 100, dtype=torch.uint8)
    draw_over(expected, torch.from_numpy(body)[None], BODY)
    for place in (1e9, -1e7, np.inf, np.nan):
        wild, video = body.copy(), torch.full((1, 480, 640, 3), 100, dtype=torch.uint8)
        wild[unseen] = place, 50, 0.9
        draw_over(video, torch.from_numpy(wild)[None], BODY)
        assert torch.equal(video, expected)


def test_a_whole_frame_is_centered_and_a_small_one_is_enlarged_before_it_is_drawn():
    """Into 200 × 200: 640 × 480 as 200 × 150, and 100 × 50 as a frame of 200 × 100."""
    placed = whole(torch.tensor([[640.0, 480.0], [100.0, 50.0]]), torch.tensor([200.0, 200.0]))
    assert placed.picture.tolist() == [[640, 480], [200, 100]]
    assert placed.scale.tolist() == [[0.3125], [1]]
    assert placed.corner.tolist() == [[0, 25], [0, 50]]
    assert placed.zoom.tolist() == [[640], [200]]
    assert placed.origin.tolist() == [[320, 240], [100, 50]]


def test_a_crop_has_a_tenth_of_its_longer_side_as_margin_around_the_visible_points():
    points = torch.tensor([[[0.0, 0.4, 9.0], [0.0, 0.2, 9.0]], [[7.0, 8.0, 9.0]] * 2, [[0.3, 8.0, 9.0]] * 2])
    seen = torch.tensor([[True, True, False], [False] * 3, [True, False, False]])
    placed = crop(points, seen, torch.tensor([320.0, 180.0]))
    assert placed.picture.tolist() == [[1280, 720]]
    assert placed.scale.tolist() == [[0.25]]
    zoom = 720 / 0.28  # the box is 0.48 × 0.28, and 1280 / 0.48 is more
    torch.testing.assert_close(placed.zoom, torch.tensor([[zoom], [72_000], [72_000]]))  # 0.01 at least
    middle = [[640 - 0.2 * zoom, 360 - 0.1 * zoom], [640, 360], [640 - 21_600, 360 - 21_600]]
    torch.testing.assert_close(placed.origin, torch.tensor(middle))
    large = crop(points, seen, torch.tensor([2560.0, 1440.0]))
    assert (large.picture.tolist(), large.scale.tolist()) == ([[2560, 1440]], [[1]])
