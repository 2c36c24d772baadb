"""The body's origin and unit do not depend on which points happen to be in the picture."""

import importlib.util
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from skelemo.preprocess import Preparation, prepare
from skelemo.simulate import simulate
from skelemo.skeleton import BODY_25, layout

BODY = layout("body_25")
HIDDEN = {
    "hips": ("MidHip", "RHip", "LHip"),
    "legs": tuple(name for name in BODY_25.keypoints if any(word in name for word in ("Knee", "Ankle", "Toe", "Heel"))),
    "hips and legs": tuple(BODY_25.keypoints[8:15] + BODY_25.keypoints[19:]),
    "an arm": ("LElbow", "LWrist"),
    "right arm and shoulder": ("RShoulder", "RElbow", "RWrist"),
    "left arm and shoulder": ("LShoulder", "LElbow", "LWrist"),
    "hands": ("RWrist", "LWrist"),
    "head but the nose": ("REye", "LEye", "REar", "LEar"),
}


def simulated(shared):
    return [clip.keypoints[:, :25] for clip in simulate(subjects=12, clips=1, frames=120, seed=4, difficulty=0.5)]


def recordings(folder):
    clips: dict[str, list] = {}
    for file in sorted(folder.glob("*.json")):
        people = json.loads(file.read_text())["people"]
        points = people[0]["pose_keypoints_2d"] if people else np.zeros(75)
        clips.setdefault(file.name.removesuffix("_keypoints.json").rstrip("0123456789"), []).append(points)
    return [np.array(frames, np.float32).reshape(-1, 25, 3) for frames in clips.values()]


def kicks(shared):
    return recordings(shared / "openpose" / "v1.3-body25-kicks")


def signer(shared):
    return recordings(shared / "openpose" / "v1.2-body25-signer")


def actions(shared):
    spec = importlib.util.spec_from_file_location("expand", shared.parent / "tools" / "expand_actions.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    data = np.load(shared / "actions" / "msr-action3d.npz")
    cuts = np.cumsum(data["length"])[:-1]
    clips = [module.project(one.astype(float)) for one in np.split(data["joints"], cuts)[::9]]
    return [clip.astype(np.float32) for clip in clips if (clip[:, :9, 2] > 0).mean() > 0.7]


SOURCES = {"simulated": simulated, "kicks": kicks, "signer": signer, "actions": actions}


@cache
def clips_of(source: str, shared: Path | None) -> list[np.ndarray]:
    return SOURCES[source](shared)


@pytest.fixture(params=SOURCES)
def clips(request):
    shared = None if request.param == "simulated" else request.getfixturevalue("shared_data")
    return clips_of(request.param, shared)


def prepared(clip, length):
    """Each window of so many frames (0: the whole clip) normalized, with the windows laid end to end again."""
    length = length or len(clip)
    windows = torch.from_numpy(clip[: len(clip) // length * length]).unflatten(0, (-1, length))
    return prepare(windows, BODY, Preparation())[0].flatten(0, 1).numpy()


def torso(places):
    """Length of the trunk in normalized places; a unit where the hips are never seen."""
    both = (places[:, 1, 2] > 0) & (places[:, 8, 2] > 0)
    return np.median(np.linalg.norm(places[both, 1, :2] - places[both, 8, :2], axis=-1)) if both.any() else 1


def displacement(full, part):
    """How far each point that both show lies from where it was, in torsos."""
    both = (full[..., 2] > 0) & (part[..., 2] > 0)
    return np.linalg.norm(full[both][:, :2] - part[both][:, :2], axis=-1) / torso(full)


def without(clip, names):
    clip = clip.copy()
    clip[:, [BODY_25.index(name) for name in names]] = 0
    return clip


@pytest.mark.parametrize("length", [0, 16, 1], ids=["clip", "16 frames", "frame"])
@pytest.mark.parametrize("hidden", HIDDEN)
def test_hidden_points_move_the_others_by_less_than_a_twentieth_of_a_torso(clips, hidden, length):
    names = HIDDEN[hidden]
    moved = [displacement(prepared(clip, length), prepared(without(clip, names), length)) for clip in clips]
    assert np.median(np.concatenate(moved)) < 0.05
    assert np.median([np.median(one) for one in moved if len(one)]) < 0.05


@pytest.mark.parametrize("above", [0.0, 0.3], ids=["at the hips", "at the waist"])
def test_a_clip_of_the_upper_body_lies_on_the_scale_of_the_whole_one(clips, above):
    ratios = []
    for clip in clips:
        seen = (clip[..., 2] > 0)[:, [1, 8]].all(1)
        if not seen.any():
            continue
        neck, hip = (np.median(clip[seen, point, 1]) for point in (1, 8))
        below = clip[..., 1] > hip - above * (hip - neck)
        full, part = prepared(clip, 0), prepared(np.where(below[..., None], 0, clip).astype(np.float32), 0)
        both = (full[:, [0, 1], 2] > 0).all(1) & (part[:, [0, 1], 2] > 0).all(1)
        sizes = [np.linalg.norm(one[both, 0, :2] - one[both, 1, :2], axis=-1).mean() for one in (full, part)]
        ratios.append(sizes[1] / sizes[0])
    assert abs(np.median(ratios) - 1) < 0.05
    assert np.mean(np.abs(np.array(ratios) - 1) < 0.05) > 0.9
