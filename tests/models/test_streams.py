import torch

from skelemo.models.graph import parents
from skelemo.models.registry import Spec
from skelemo.models.streams import Streams, bone, motion
from skelemo.skeleton import layout
from skelemo.targets import VA

BODY = layout("body_25")


def people(count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(count, 6, 25, 3, generator=generator)
    points[..., 2] = torch.rand(count, 6, 25, generator=generator) + 0.1
    return points * (torch.rand(count, 6, 25, 1, generator=generator) > 0.3)


def test_a_bone_leads_from_parent_to_point_and_needs_both():
    points, parent = people(), parents(BODY)
    found = bone(points, torch.tensor(parent))
    for window in range(2):
        for frame in range(6):
            for end, start in enumerate(parent):
                to, root = points[window, frame, end], points[window, frame, start]
                known = end != start and to[2] > 0 and root[2] > 0
                expected = [to[0] - root[0], to[1] - root[1], (to[2] + root[2]) / 2] if known else [0, 0, 0]
                torch.testing.assert_close(found[window, frame, end], torch.tensor(expected, dtype=torch.float32))


def test_motion_leads_to_the_next_frame_and_needs_both():
    points = people()
    found = motion(points)
    assert not found[:, -1].any()
    here, there = points[:, :-1], points[:, 1:]
    both = (here[..., 2] > 0) & (there[..., 2] > 0)
    assert not found[:, :-1][~both].any()
    torch.testing.assert_close(found[:, :-1][both][:, :2], (there - here)[both][:, :2])
    assert (found[:, :-1][both][:, 2] > 0).all()


def test_a_point_beside_a_missing_one_does_not_jump():
    points = torch.ones(1, 3, 25, 3) * 5
    points[0, 1, 4] = 0
    assert not motion(points)[0, :, 4].any()
    assert not bone(points, torch.tensor(parents(BODY)))[..., :2].any()


def test_coordinates_are_normalized_over_what_was_seen_and_confidence_becomes_visibility():
    streams = Streams(Spec(BODY, (VA,), 6)).train()
    points, mask = people(), torch.ones(2, 6, dtype=torch.bool)
    mask[1, 4:] = False
    found = streams(points, mask)
    seen = (points[..., 2] > 0) & mask[..., None]
    assert not found[~seen].any()
    assert (found[seen][:, 2] == 1).all()
    for joint in range(25):
        values = points[..., joint, 0][seen[..., joint]]
        expected = (values - values.mean()) / (values.var(correction=0) + 1e-4).sqrt()
        torch.testing.assert_close(found[..., joint, 0][seen[..., joint]], expected, atol=1e-5, rtol=1e-4)


def test_running_statistics_are_used_outside_training_and_kept_for_invisible_points():
    streams = Streams(Spec(BODY, (VA,), 6), ["joint", "joint_motion"]).train()
    points, mask = people(8), torch.ones(8, 6, dtype=torch.bool)
    points[:, :, 7] = 0
    for _ in range(200):
        streams(points, mask)
    torch.testing.assert_close(streams.eval()(points, mask), streams.train()(points, mask), atol=1e-4, rtol=1e-3)
    assert not streams.mean[7].any()
    assert (streams.variance[7] == 1).all()


def test_what_a_missing_point_says_about_its_place_is_not_heard():
    names = ["joint", "bone", "joint_motion", "bone_motion"]
    streams = Streams(Spec(BODY, (VA,), 6), names).train()
    points, mask = people(), torch.ones(2, 6, dtype=torch.bool)
    mask[0, 2] = False
    loud = points.clone()
    loud[points[..., 2] == 0] = torch.tensor([7.0, -7.0, 0.0])
    loud[0, 2] = torch.nan
    torch.testing.assert_close(streams(loud, mask), streams(points, mask))


def test_a_point_far_outside_the_person_is_cut_off():
    streams = Streams(Spec(BODY, (VA,), 1)).eval()
    points = torch.full((1, 1, 25, 3), 1e6)
    found = streams(points, torch.ones(1, 1, dtype=torch.bool))
    assert found[..., :2].max() <= 10


def test_a_constant_coordinate_is_centered_and_not_scaled():
    streams = Streams(Spec(BODY, (VA,), 1)).train()
    points = people(20)[:, :1]
    points[..., 8, :2] = 0.25
    points[..., 8, 2] = 1
    mask = torch.ones(20, 1, dtype=torch.bool)
    for _ in range(200):
        streams(points, mask)
    points[..., 8, 0] += 0.03
    found = streams.eval()(points, mask)[..., 8, :]
    torch.testing.assert_close(found, torch.tensor([0.03, 0, 1]).expand_as(found), atol=1e-4, rtol=0)


def test_streams_are_concatenated():
    streams = Streams(Spec(BODY, (VA,), 6), ["bone", "bone_motion"])
    assert streams.channels == 6
    found = streams(people(), torch.ones(2, 6, dtype=torch.bool))
    assert found.shape == (2, 6, 25, 6)
    assert found.isfinite().all()


def test_the_motion_of_bones_is_that_of_the_vectors_from_the_parent():
    points, mask = people(), torch.ones(2, 6, dtype=torch.bool)
    streams = Streams(Spec(BODY, (VA,), 6), ["joint_motion", "bone_motion"], normalize=False)
    joints, bones = streams(points, mask).split(3, -1)
    seen = torch.cat([points[..., :2], (points[..., 2:] > 0).float()], -1)
    torch.testing.assert_close(joints, motion(seen))
    torch.testing.assert_close(bones, motion(bone(seen, torch.tensor(parents(BODY)))))
