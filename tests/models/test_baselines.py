import json

import numpy as np
import pytest
import torch
from sklearn.metrics import recall_score
from sklearn.model_selection import StratifiedKFold

from skelemo.errors import ConfigError
from skelemo.models.baselines import CLASSICAL, LIMITS, answers, build, features, mirrored, settings_of
from skelemo.preprocess import Preparation, prepare
from skelemo.skeleton import layout
from skelemo.targets import EXPRESSION, VA, Head

BODY = layout("body_25")


def windows(count: int = 4, frames: int = 6) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    points = random.normal(size=(count, frames, 25, 3)).astype(np.float32)
    points[..., 2] = random.uniform(0.2, 1, points.shape[:-1])
    points *= random.uniform(size=(count, frames, 25, 1)) > 0.2
    mask = np.ones((count, frames), bool)
    mask[1, 4:] = mask[2, :2] = mask[3] = False
    return points * mask[..., None, None], mask


def test_a_single_frame_is_its_points_and_whether_they_were_seen():
    points, mask = windows(frames=1)
    rows = features(points, mask)
    assert rows.shape == (4, 75)
    np.testing.assert_array_equal(rows[0, :50], points[0, 0, :, :2].ravel())
    np.testing.assert_array_equal(rows[0, 50:], points[0, 0, :, 2] > 0)


def test_statistics_are_those_of_the_frames_in_which_a_point_was_seen():
    points, mask = windows()
    points[0, :, 3] = 0
    rows = features(points, mask, moments=4)
    assert rows.shape == (4, 25 * 2 * 5 + 25 + 4 * 50 + 3 * 50)
    mean, deviation, low, high = (rows[:, i * 50 : i * 50 + 50].reshape(4, 25, 2) for i in range(4))
    share = rows[:, 250:275]
    for window in range(4):
        for point in range(25):
            seen = points[window, :, point][points[window, :, point, 2] > 0][:, :2]
            expected = [seen.mean(0), seen.std(0), seen.min(0), seen.max(0)] if len(seen) else [np.zeros(2)] * 4
            found = [part[window, point] for part in (mean, deviation, low, high)]
            np.testing.assert_allclose(found, expected, atol=1e-6)
            assert share[window, point] == pytest.approx(len(seen) / max(mask[window].sum(), 1))


def test_a_missing_point_stays_where_it_was_seen_last():
    points = np.ones((1, 5, 25, 3), np.float32)
    points[0, :, 0, 0] = [0, 7, 0, 0, 9]
    points[0, [0, 2, 3], 0] = 0
    moments = features(points, np.ones((1, 5), bool), moments=5)[0, 275 : 275 + 250].reshape(5, 25, 2)
    assert moments[:, 0, 0].tolist() == [7, 7, 7, 7, 9]


def test_unseen_frames_change_no_feature():
    points, mask = windows()
    junk = np.where(mask[..., None, None], points, 5).astype(np.float32)
    longer = np.concatenate([junk, np.full((4, 3, 25, 3), 8, np.float32)], 1)
    padded = np.concatenate([mask, np.zeros((4, 3), bool)], 1)
    np.testing.assert_allclose(features(points, mask), features(longer, padded), atol=1e-6)
    assert not features(points, mask)[3].any()


def test_a_face_mirrored_twice_is_the_face():
    points, _ = windows()
    twin = mirrored(points, BODY)
    np.testing.assert_array_equal(twin[0, 0, BODY.index("body_25.LWrist"), 0], -points[0, 0, 4, 0])
    np.testing.assert_array_equal(mirrored(twin, BODY), points)


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_baseline_learns_classes_and_answers_for_all_of_them(name):
    random = np.random.default_rng(1)
    labels = np.repeat([0, 2, 5], 20)
    rows = random.normal(size=(60, 12)).astype(np.float32) + labels[:, None]
    settings = {"trees": 10, "share": 0.5} if name == "boosting" else {}
    shares = answers(build(name, EXPRESSION, **settings).fit(rows, labels), rows, EXPRESSION)
    assert shares.shape == (60, 7)
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
    assert not shares[:, [1, 3, 4, 6]].any()
    assert (shares.argmax(1) == labels).mean() > 0.95


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_baseline_of_two_classes_of_values_or_of_flags_answers_alike(name):
    random = np.random.default_rng(2)
    rows = random.normal(size=(80, 5)).astype(np.float32)
    settings = {"trees": 40, "share": 1.0} if name == "boosting" else {"c": 1.0}
    pair = Head("pair", "classes", ("no", "yes"))
    two = answers(build(name, pair, **settings).fit(rows, rows[:, 0] > 0), rows, pair)
    assert ((two[:, 1] > 0.5) == (rows[:, 0] > 0)).mean() > 0.9
    va = np.clip(rows[:, :2] / 2, -1, 1)
    found = answers(build(name, VA, **settings).fit(rows, va), rows, VA)
    assert found.shape == (80, 2)
    assert np.abs(found).max() <= 1
    assert np.corrcoef(found[:, 0], va[:, 0])[0, 1] > 0.9
    flags = Head("units", "flags", ("AU1", "AU2"))
    shares = answers(build(name, flags, **settings).fit(rows, (rows[:, :2] > 0).astype(int)), rows, flags)
    assert shares.shape == (80, 2)
    assert ((shares > 0.5) == (rows[:, :2] > 0)).mean() > 0.9


def test_unknown_baselines_and_settings_are_refused():
    assert settings_of("logistic") == {"c": 0.03, "balanced": False}
    with pytest.raises(ConfigError, match="did you mean 'svm'"):
        build("svn", VA)
    with pytest.raises(ConfigError, match="unknown setting of svm 'gama': did you mean 'gamma'"):
        build("svm", VA, gama=1)


@pytest.mark.parametrize(
    ("name", "setting", "value", "said"),
    [
        ("svm", "c", -1, "is -1; expected above 0 and up to"),
        ("svm", "c", "foo", "is 'foo'; expected a number, as in 10.0"),
        ("svm", "gamma", "foo", "is 'foo'; expected a number"),
        ("svm", "gamma", -0.5, "expected above 0"),
        ("svm", "gamma", float("nan"), "expected a number"),
        ("logistic", "c", 10**400, "expected above 0"),
        ("logistic", "c", 0, "is 0; expected above 0"),
        ("logistic", "balanced", 5, "is 5; expected true or false"),
        ("boosting", "trees", 0, "is 0; expected above 0 and up to 100,000"),
        ("boosting", "trees", 2.5, "expected a whole number"),
        ("boosting", "rate", 0, "expected above 0"),
        ("boosting", "leaves", 1, "expected above 1"),
        ("boosting", "share", 1.5, "expected above 0 and up to 1"),
    ],
)
def test_a_value_that_a_setting_cannot_have_is_refused(name, setting, value, said):
    for head in (EXPRESSION, VA):
        with pytest.raises(ConfigError, match=f"setting {setting} of {name} .*{said}"):
            build(name, head, **{setting: value})


@pytest.mark.parametrize("name", CLASSICAL)
def test_every_value_within_the_limits_can_be_fitted(name):
    rows = np.random.default_rng(3).normal(size=(30, 4)).astype(np.float32)
    for setting in settings_of(name).keys() & LIMITS.keys():
        above, most = LIMITS[setting]
        least = above + 1 if isinstance(settings_of(name)[setting], int) else above + 1e-6
        for value in (least, min(most, least + 50)):
            few = {"trees": 2} if name == "boosting" else {}
            build(name, EXPRESSION, **{**few, setting: value}).fit(rows, np.arange(30) % 3)
            build(name, VA, **{**few, setting: value}).fit(rows, np.clip(rows[:, :2], -1, 1))


def test_posed_faces_are_told_apart_as_well_as_by_the_reference(shared_data):
    names = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
    files = [
        (label, file) for label, name in enumerate(names) for file in sorted((shared_data / "faces" / name).iterdir())
    ]
    faces = [json.loads(file.read_text())["people"][0]["face_keypoints_2d"] for _, file in files]
    points = np.array(faces, np.float32).reshape(-1, 70, 3)
    labels = np.array([label for label, _ in files])
    face = layout("face_70")
    placed = prepare(torch.from_numpy(points)[:, None], face, Preparation())[0].numpy()
    rows = features(placed, np.ones(placed.shape[:2], bool))
    found = np.zeros(len(labels), int)
    for train, test in StratifiedKFold(10, shuffle=True, random_state=0).split(rows, labels):
        found[test] = answers(build("svm", EXPRESSION).fit(rows[train], labels[train]), rows[test], EXPRESSION).argmax(
            1
        )
    assert recall_score(labels, found, average="macro") >= 0.58
