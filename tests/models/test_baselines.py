import json
import warnings

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.special import softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import BayesianRidge, LogisticRegression, Ridge
from sklearn.metrics import log_loss, recall_score
from sklearn.model_selection import LeaveOneOut, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from skelemo.errors import ConfigError
from skelemo.models import create, list_models
from skelemo.models.baselines import Baseline
from skelemo.models.estimators import Grid
from skelemo.models.heads import probabilities
from skelemo.models.kernel_ridge import KernelRidge as Ours
from skelemo.models.kernel_ridge import KernelSum
from skelemo.models.registry import Spec, entry
from skelemo.models.streams import Streams, mirrored
from skelemo.models.window_features import Features, features
from skelemo.preprocess import Preparation, prepare
from skelemo.skeleton import layout
from skelemo.targets import AU, EXPRESSION, VA

BODY = layout("body_25")


def windows(count: int = 4, frames: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(0)
    points = random.normal(size=(count, frames, 25, 3)).astype(np.float32)
    points[..., 2] = random.uniform(0.2, 1, points.shape[:-1])
    points *= random.uniform(size=(count, frames, 25, 1)) > 0.2
    mask = np.ones((count, frames), bool)
    mask[1, 4:] = mask[2, :2] = mask[3] = False
    return torch.from_numpy(points * mask[..., None, None]), torch.from_numpy(mask)


BASELINES = list_models(fitted=True)
SMALL = {"boosting": {"trees": 20, "share": 0.5}}


def test_a_single_frame_is_its_points_and_whether_they_are_visible():
    points, mask = windows(frames=1)
    rows = features(points, mask)
    assert rows.shape == (4, 75)
    seen = points[0, 0, :, 2] > 0
    assert torch.equal(rows[0, 50:], seen.float())
    assert torch.equal(rows[0, :50].view(25, 2)[seen], points[0, 0, seen, :2])
    assert rows[0, :50].view(25, 2)[~seen].isnan().all()


def test_statistics_are_those_of_the_frames_in_which_a_point_is_visible():
    points, mask = windows()
    points[0, :, 3] = 0
    rows = features(points, mask, moments=4).numpy()
    assert rows.shape == (4, 25 * 2 * 5 + 25 + 4 * 50 + 3 * 50)
    mean, deviation, low, high = (rows[:, i * 50 : i * 50 + 50].reshape(4, 25, 2) for i in range(4))
    share = rows[:, 250:275]
    for window in range(4):
        for point in range(25):
            seen = points[window, :, point][points[window, :, point, 2] > 0][:, :2].numpy()
            nothing = [np.full(2, np.nan)] * 4
            expected = [seen.mean(0), seen.std(0), seen.min(0), seen.max(0)] if len(seen) else nothing
            found = [part[window, point] for part in (mean, deviation, low, high)]
            np.testing.assert_allclose(found, expected, atol=1e-6)
            assert share[window, point] == pytest.approx(len(seen) / max(int(mask[window].sum()), 1))


def test_a_missing_point_stays_at_its_last_visible_position():
    points = torch.ones(1, 5, 25, 3)
    points[0, :, 0, 0] = torch.tensor([0, 7, 0, 0, 9])
    points[0, [0, 2, 3], 0] = 0
    moments = features(points, torch.ones(1, 5, dtype=torch.bool), moments=5)[0, 275 : 275 + 250].reshape(5, 25, 2)
    assert moments[:, 0, 0].tolist() == [7, 7, 7, 7, 9]


def test_moments_lie_evenly_between_the_first_and_the_last_visible_frame():
    """Frames 1 to 4 of 6 are visible: the moments are at 1, 2.5 and 4."""
    points = torch.ones(1, 6, 25, 3)
    points[0, :, 0, 0] = torch.tensor([9.0, 0, 2, 8, 6, 9])
    mask = torch.tensor([[False, True, True, True, True, False]])
    rows = features(points, mask, moments=3)[0, 275:]
    assert rows[:150].view(3, 25, 2)[:, 0, 0].tolist() == [0, 5, 6]
    assert rows[150:].view(2, 25, 2)[:, 0, 0].tolist() == [5, 1]


def test_masked_frames_change_no_feature():
    points, mask = windows()
    junk = torch.where(mask[..., None, None], points, 5)
    longer = torch.cat([junk, torch.full((4, 3, 25, 3), 8.0)], 1)
    padded = torch.cat([mask, torch.zeros(4, 3, dtype=torch.bool)], 1)
    torch.testing.assert_close(features(points, mask), features(longer, padded), equal_nan=True)
    assert not features(points, mask)[3].nan_to_num(0).any()


def test_a_face_mirrored_twice_is_the_face():
    points, _ = windows()
    twin = mirrored(points, BODY)
    assert torch.equal(twin[0, 0, BODY.index("body_25.LWrist"), 0], -points[0, 0, 4, 0])
    assert torch.equal(mirrored(twin, BODY), points)


def people(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, dict[str, np.ndarray]]:
    """Frames whose right wrist shows the class and the values; a fifth of the points missing."""
    random = np.random.default_rng(seed)
    points = random.normal(scale=0.3, size=(count, 1, 25, 3)).astype(np.float32)
    points[..., 2] = 1
    expression = random.choice([0, 2, 5], count).astype(np.int16)
    va = random.uniform(-1, 1, (count, 2)).astype(np.float32)
    points[:, 0, 4, 0] += expression
    points[:, 0, 7, :2] += 2 * va
    visible = random.uniform(size=(count, 1, 25, 1)) > 0.2
    visible[:, :, [4, 7]] = True
    points *= visible
    flags = np.repeat((va[:, :1] > 0).astype(np.int8), 12, 1)
    labels = {"expression": expression, "va": va, "au": flags}
    return torch.from_numpy(points), torch.ones(count, 1, dtype=torch.bool), labels


def fitted(name: str, count: int = 90, *, mirror: bool = False, **settings) -> Baseline:
    settings = SMALL.get(name, {}) | settings
    model = create(name, layout_name="body_25", heads=(EXPRESSION, VA, AU), **settings)
    points, mask, labels = people(count)
    model.fit([(points[:50], mask[:50]), (points[50:], mask[50:])], labels, np.arange(count), mirror=mirror, seed=3)
    return model.eval()


def kernel_ridge(rows: np.ndarray, truth: np.ndarray, asked: np.ndarray, *, discriminant: bool = False) -> np.ndarray:
    """Probabilities of classes, or values, by scikit-learn's regression, refitted without each window for the scale."""
    discrete = truth.dtype.kind == "i"
    classes, label = np.unique(truth, return_inverse=True) if discrete else (np.zeros(1), np.zeros(len(rows), int))
    weight = 1 / np.bincount(label)[label]
    wanted = np.where(label[:, None] == np.arange(len(classes)), 1.0, -1.0) if discrete else truth[:, None]
    centered = rows - np.stack([rows[label == one].mean(0) for one in range(len(classes))])[label]
    within = 0.3 * centered.T @ centered / len(rows) + 0.7 * (centered**2).mean() * np.eye(rows.shape[1])
    white, other = (np.linalg.solve(np.linalg.cholesky(within), part.T).T for part in (rows, asked))
    size, middle = (white**2).sum(1).mean(), np.average(wanted, 0, weight)

    def outputs(known: np.ndarray, others: np.ndarray, at: slice | np.ndarray = slice(None)) -> np.ndarray:
        kernels = (1 / (1 + 0.2 / size * cdist(part, known, "sqeuclidean")) for part in (known, others))
        one = KernelRidge(alpha=0.6, kernel="precomputed")
        shares = weight / weight.mean()
        return one.fit(next(kernels), (wanted - middle)[at], shares[at]).predict(next(kernels)) + middle

    found = outputs(white, other)
    if not discrete:
        return found[:, 0]
    left_out = np.concatenate([outputs(white[at], white[own], at) for at, own in LeaveOneOut().split(white)])
    if discriminant:
        even = np.full(len(classes), 1 / len(classes))
        lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=1e-3, priors=even).fit(left_out[:, :-1], label)
        left_out, found = (lda.decision_function(part[:, :-1]) for part in (left_out, found))
    factors = np.geomspace(0.1, 100, 20_001)
    best = factors[np.argmin([log_loss(label, softmax(one * left_out, 1)) for one in factors[::100]]) * 100]
    near = factors[(factors > best / 1.1) & (factors < best * 1.1)]
    return softmax(near[np.argmin([log_loss(label, softmax(one * left_out, 1)) for one in near])] * found, 1)


def by_scikit_learn(name: str, rows: np.ndarray, labels: dict[str, np.ndarray], asked: np.ndarray):
    """Probabilities of the three classes, values and probabilities of the first flag, by scikit-learn alone."""
    width = rows.shape[1]
    if name == "boosting":
        common = {"max_iter": 20, "learning_rate": 0.1, "max_leaf_nodes": 8, "max_features": 0.5}
        common |= {"early_stopping": False, "random_state": 3}
        classifier, regressor = HistGradientBoostingClassifier(**common), HistGradientBoostingRegressor(**common)
    else:
        scaler = StandardScaler().fit(rows)
        rows, asked = (np.nan_to_num(scaler.transform(part)) for part in (rows, asked))
        if name == "kernel_ridge":
            columns = [labels["expression"].astype(int), *labels["va"].T, labels["au"][:, 0].astype(int)]
            classes, valence, arousal, flag = (kernel_ridge(rows, one, asked) for one in columns)
            return classes, np.stack([valence, arousal], 1).clip(-1, 1), flag[:, 1]
        classifier, regressor = {
            "svm": (SVC(C=10, gamma=0.2 / width, break_ties=True), SVR(C=10, gamma=0.2 / width, epsilon=0.05)),
            "lda": (LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.3), BayesianRidge()),
            "logistic": (LogisticRegression(C=0.03, max_iter=2000), Ridge(alpha=1 / 0.03)),
        }[name]

    def chances(truth: np.ndarray) -> np.ndarray:
        one = classifier.fit(rows, truth)
        if name != "svm":
            return one.predict_proba(asked)
        decided = one.decision_function(asked)
        decided = np.stack([-decided, decided], 1) if decided.ndim == 1 else decided
        odds = np.exp(decided)
        return odds / odds.sum(1, keepdims=True)

    values = [np.clip(regressor.fit(rows, labels["va"][:, i]).predict(asked), -1, 1) for i in range(2)]
    return chances(labels["expression"]), np.stack(values, 1), chances(labels["au"][:, 0])[:, 1]


def test_a_flag_is_learned_from_all_windows_with_its_label():
    """As in data sets of two years with other action units: no window has all labels."""
    points, mask, labels = people(90)
    labels["au"][:45, 1:] = labels["au"][45:, 0] = -1
    model = create("logistic", layout_name="body_25", heads=(AU,))
    model.fit([(points, mask)], labels, np.arange(90), mirror=False, seed=3)
    asked, seen, _ = people(40, seed=1)
    rows, others = (features(*pair).numpy().astype(np.float64) for pair in ((points, mask), (asked, seen)))
    scaler = StandardScaler().fit(rows)
    rows, others = (np.nan_to_num(scaler.transform(part)) for part in (rows, others))
    found = probabilities(AU, model.eval()(asked, seen)["au"])
    for flag, known in ((0, slice(45)), (1, slice(45, 90))):
        expected = LogisticRegression(C=0.03, max_iter=2000).fit(rows[known], labels["au"][known, flag])
        np.testing.assert_allclose(found[:, flag], expected.predict_proba(others)[:, 1], atol=2e-4)


@pytest.mark.parametrize("name", BASELINES)
def test_torch_predicts_what_scikit_learn_fitted(name):
    model = fitted(name)
    points, mask, labels = people(90)
    asked, seen, _ = people(40, seed=1)
    asked[0] = 0  # nobody
    rows, others = features(points, mask).numpy().astype(np.float64), features(asked, seen).numpy().astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classes, values, flag = by_scikit_learn(name, rows, labels, others)
    outputs = model(asked, seen)
    shares = probabilities(EXPRESSION, outputs["expression"])
    np.testing.assert_allclose(shares[:, [0, 2, 5]], classes, atol=2e-4)
    assert not shares[:, [1, 3, 4, 6]].any()
    np.testing.assert_allclose(outputs["va"], values, atol=2e-4)
    np.testing.assert_allclose(probabilities(AU, outputs["au"])[:, 0], flag, atol=2e-4)


@pytest.mark.parametrize("discriminant", [False, True])
def test_a_class_between_two_others_is_found_by_the_discriminant(discriminant):
    """The indicator of a class between two others is seldom the largest, as in linear regression."""
    random = np.random.default_rng(0)
    truth, rows = random.integers(0, 3, 300), random.normal(size=(300, 4))
    rows[:, 0] = 1.5 * (truth - 1) + 0.4 * rows[:, 0]
    model, learned = KernelSum(), slice(0, 200)
    one = Ours("classes", 0.2, 10, 0.7, discriminant, balanced=True, points=200, seed=0)
    model.copy([one.fit(rows[learned], truth[learned], np.arange(200))])
    found = model(torch.from_numpy(rows[200:])).argmax(1)
    assert (recall_score(truth[200:], found, average=None)[1] > 0.75) == discriminant


def test_classes_by_the_discriminant_are_those_of_scikit_learn():
    model = fitted("kernel_ridge", discriminant=True)
    points, mask, labels = people(90)
    asked, seen, _ = people(40, seed=1)
    rows, others = (features(*pair).numpy().astype(np.float64) for pair in ((points, mask), (asked, seen)))
    scaler = StandardScaler().fit(rows)
    rows, others = (np.nan_to_num(scaler.transform(part)) for part in (rows, others))
    expected = kernel_ridge(rows, labels["expression"].astype(int), others, discriminant=True)
    shares = probabilities(EXPRESSION, model(asked, seen)["expression"])
    np.testing.assert_allclose(shares[:, [0, 2, 5]], expected, atol=2e-4)


def test_kernel_ridge_regression_leaves_out_all_windows_of_a_person():
    random = np.random.default_rng(0)
    rows, truth, people = random.normal(size=(60, 8)), random.integers(0, 2, 60), np.arange(60) % 6
    rows[:, 0] += 3 * truth
    rows[:, 1] = 5 * (people % 2 == truth)  # one person's windows betray each other
    settings = {"gamma": 1, "penalty": 0.1, "shrinkage": 1, "discriminant": False, "balanced": True, "seed": 0}
    known, unknown = (Ours("classes", points=60, **settings).fit(rows, truth, who) for who in (people, np.arange(60)))
    assert np.abs(known.weight).sum() < np.abs(unknown.weight).sum()  # less certain


def test_kernel_ridge_regression_on_few_points_comes_close():
    random = np.random.default_rng(0)
    rows = random.normal(size=(400, 3))
    truth = np.sin(rows[:, 0]) + rows[:, 1]
    settings = {"gamma": 1, "penalty": 0.1, "shrinkage": 1, "discriminant": False, "balanced": True, "seed": 0}
    all_points, few = (
        Ours("values", points=points, **settings).fit(rows, truth, np.arange(400)) for points in (400, 80)
    )
    assert len(few.vectors) == 80
    assert np.corrcoef(all_points.predict(rows), few.predict(rows))[0, 1] > 0.99


@pytest.mark.parametrize("name", BASELINES)
def test_two_classes_have_the_probabilities_of_scikit_learn(name):
    points, mask, labels = people(90)
    labels["expression"][labels["expression"] == 2] = 0
    model = create(name, layout_name="body_25", heads=(EXPRESSION,), **SMALL.get(name, {}))
    model.fit([(points, mask)], labels, np.arange(90), mirror=False, seed=3)
    asked, seen, _ = people(40, seed=1)
    rows, others = features(points, mask).numpy().astype(np.float64), features(asked, seen).numpy().astype(np.float64)
    expected, *_ = by_scikit_learn(name, rows, labels, others)
    shares = probabilities(EXPRESSION, model(asked, seen)["expression"])
    np.testing.assert_allclose(shares[:, [0, 5]], expected, atol=2e-4)
    assert not shares[:, [1, 2, 3, 4, 6]].any()


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_learns(name):
    weak = {"logistic": {"c": 1.0}, "lda": {"shrinkage": 0.01}, "kernel_ridge": {"penalty": 0.1, "shrinkage": 0.05}}
    model = fitted(name, 600, **weak.get(name, {}))
    points, mask, labels = people(100, seed=2)
    outputs = model(points, mask)
    assert (outputs["expression"].argmax(1).numpy() == labels["expression"]).mean() > 0.95
    assert np.corrcoef(outputs["va"][:, 0].numpy(), labels["va"][:, 0])[0, 1] > 0.9


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_is_its_arrays(name):
    model = fitted(name, 60)
    again = create(name, layout_name="body_25", heads=(EXPRESSION, VA, AU), **SMALL.get(name, {}))
    again.load_state_dict({key: value.clone() for key, value in model.state_dict().items()})
    points, mask, _ = people(10, seed=4)
    for head, output in model(points, mask).items():
        assert torch.equal(again(points, mask)[head], output)


@pytest.mark.parametrize("name", BASELINES)
def test_missing_points_are_no_zeros_and_confidences_no_features(name):
    model = fitted(name)
    points, mask, _ = people(30, seed=5)
    loud, unsure = points.clone(), points.clone()
    loud[points[..., 2] == 0] = torch.tensor([9.0, -9.0, 0.0])
    unsure[..., 2] *= 0.6
    for head, output in model(points, mask).items():
        assert torch.equal(model(loud, mask)[head], output)
        assert torch.equal(model(unsure, mask)[head], output)


@pytest.mark.parametrize("name", BASELINES)
def test_a_point_that_is_never_visible_in_training_changes_nothing(name):
    model = create(name, layout_name="body_25", heads=(EXPRESSION, VA, AU), **SMALL.get(name, {}))
    points, mask, labels = people(90)
    points[:, :, 11] = 0
    model.fit([(points, mask)], labels, np.arange(90), mirror=False, seed=3)
    asked, seen, _ = people(10, seed=4)
    hidden = asked.clone()
    hidden[:, :, 11] = 0
    for head, output in model.eval()(hidden, seen).items():
        assert not output.isnan().any()
        if name == "boosting":  # the others would extrapolate
            assert torch.equal(model(asked, seen)[head], output)


def test_features_are_standardized_over_the_windows_that_have_them():
    points, mask, labels = people(300)
    points[..., 0] += 50  # far from the zeros of missing points
    points[points[..., 2] == 0] = 0
    model = create("logistic", layout_name="body_25", heads=(EXPRESSION,))
    model.fit([(points, mask)], labels, np.arange(300), mirror=False, seed=0)
    for point in range(25):
        seen = points[:, 0, point][points[:, 0, point, 2] > 0]
        assert model.scaler.mean[2 * point] == pytest.approx(float(seen[:, 0].double().mean()), abs=1e-4)
        assert model.scaler.scale[2 * point] == pytest.approx(float(seen[:, 0].double().std(correction=0)), rel=1e-4)
    assert model.scaler(features(torch.zeros(1, 1, 25, 3), mask[:1]).double())[0, :50].abs().max() == 0


def test_learning_both_ways_round_doubles_the_windows():
    assert len(fitted("svm", 60, mirror=True).estimators["va"].vectors) > len(
        fitted("svm", 60).estimators["va"].vectors
    )


def test_a_flipped_window_has_the_label_of_its_original():
    points, mask, labels = people(90)
    twice = {head: np.concatenate([values, values]) for head, values in labels.items()}
    both = [(points, mask), (mirrored(points, BODY), mask)]
    models = [create("logistic", layout_name="body_25", heads=(EXPRESSION, VA, AU)) for _ in range(2)]
    models[0].fit(both[:1], labels, np.arange(90), mirror=True, seed=0)
    models[1].fit(both, twice, np.tile(np.arange(90), 2), mirror=False, seed=0)
    first, second = (model(points, mask) for model in models)
    for head in first:
        torch.testing.assert_close(first[head], second[head])


def test_a_person_and_the_flipped_twin_are_in_one_fold():
    points, mask, labels = people(6)
    labels["va"][4] = np.nan
    model, found = create("logistic", layout_name="body_25", heads=(VA,), rescale=True), []
    model._cross_predict = lambda head, rows, truth, people, seed: (found.extend(people), truth)[1]
    model.fit([(points, mask)], labels, np.array([7, 7, 3, 3, 5, 5]), mirror=True, seed=0)
    assert found == [7, 7, 3, 3, 5] * 2


def test_unknown_baselines_and_settings_are_refused():
    usual = {"balanced": False, "streams": ("joint",), "rescale": False}
    assert entry("logistic").settings == {"c": 0.03, **usual}
    with pytest.raises(ConfigError, match="did you mean 'svm'"):
        create("svn")
    with pytest.raises(ConfigError, match="unknown setting of svm 'gama': did you mean 'gamma'"):
        create("svm", gama=1)


@pytest.mark.parametrize(
    ("name", "setting", "value", "said"),
    [
        ("svm", "c", -1, "'C' parameter of SVC must be a float in the range .* Got -1"),
        ("svm", "c", "foo", "is 'foo'; expected a number, e.g. 10.0"),
        ("svm", "gamma", "foo", "is 'foo'; expected a number"),
        ("svm", "gamma", -0.5, "Got -0.5"),
        ("svm", "gamma", 10**400, "too large"),
        ("svm", "gamma", float("nan"), "expected a number"),
        ("logistic", "c", 0, "Got 0"),
        ("logistic", "balanced", 5, "is 5; expected true or false"),
        ("boosting", "trees", 0, "'max_iter' parameter of .* Got 0"),
        ("boosting", "trees", 2.5, "expected a whole number"),
        ("boosting", "rate", 0, "Got 0"),
        ("boosting", "leaves", 1, "Got 1"),
        ("lda", "shrinkage", 1.5, "Got 1.5"),
        ("lda", "shrinkage", "auto", "expected a number"),
        ("boosting", "share", 1.5, "Got 1.5"),
        ("kernel_ridge", "gamma", 0, "greater than 0. Got 0"),
        ("kernel_ridge", "penalty", 0, "greater than 0. Got 0"),
        ("kernel_ridge", "shrinkage", 0, "greater than 0 and at most 1. Got 0"),
        ("kernel_ridge", "points", 0, "at least 1. Got 0"),
    ],
)
def test_a_value_that_a_setting_cannot_have_is_refused(name, setting, value, said):
    with pytest.raises(ConfigError, match=f"settings? .*of {name}.*{said}"):
        create(name, **{setting: value}).require_valid()


#: The least and a great value of each setting.
EXTREMES = {
    "svm": {"c": (1e-6, 50), "gamma": (0, 50)},
    "lda": {"shrinkage": (0, 1)},
    "logistic": {"c": (1e-6, 50)},
    "kernel_ridge": {"gamma": (1e-6, 50), "penalty": (1e-6, 1e6), "shrinkage": (1e-6, 1), "points": (1, 52)},
    "boosting": {"trees": (1, 51), "rate": (1e-6, 10), "leaves": (2, 52), "share": (1e-6, 1)},
}


@pytest.mark.parametrize("name", BASELINES)
def test_extreme_values_of_settings_can_be_fitted(name):
    for setting, values in EXTREMES[name].items():
        for value in values:
            few = {"trees": 2} if name == "boosting" else {}
            model = fitted(name, 30, **{**few, setting: value})
            model.require_valid()
            points, mask, _ = people(30)
            for output in model(points, mask).values():
                assert not output.isnan().any(), (setting, value)  # a class that never occurred has -inf


def test_posed_faces_are_told_apart_as_well_as_by_the_reference(shared_data):
    names = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
    files = [
        (label, file) for label, name in enumerate(names) for file in sorted((shared_data / "faces" / name).iterdir())
    ]
    faces = [json.loads(file.read_text())["people"][0]["face_keypoints_2d"] for _, file in files]
    points = np.array(faces, np.float32).reshape(-1, 70, 3)
    labels = np.array([label for label, _ in files], np.int16)
    face = layout("face_70")
    placed, mask = prepare(torch.from_numpy(points)[:, None], face, Preparation())
    mask[:] = True
    found = np.zeros(len(labels), int)
    for train, test in StratifiedKFold(10, shuffle=True, random_state=0).split(labels, labels):
        model = create("svm", layout_name="face_70", heads=(EXPRESSION,))
        model.fit([(placed[train], mask[train])], {"expression": labels[train]}, train, mirror=False, seed=0)
        found[test] = model(placed[test], mask[test])["expression"].argmax(1)
    assert recall_score(labels, found, average="macro") >= 0.58


def test_streams_stand_side_by_side_and_shapes_of_the_face_show_the_face_alone():
    body_and_face = layout("body_25+face_70")
    spec = Spec(body_and_face, (EXPRESSION,), frames=1)
    points = torch.rand(3, 1, 95, 3) + 0.1
    points[1, 0, 30] = 0
    mask = torch.ones(3, 1, dtype=torch.bool)
    rows = Features(spec, ("joint", "frontal"))(points, mask)
    assert rows.shape == (3, 95 * 3 + 70 * 3)
    torch.testing.assert_close(rows[:, : 95 * 3], features(points, mask), equal_nan=True)
    face = Streams(spec, ("frontal",), normalize=False)(points, mask)[:, 0, 25:, :2].flatten(1)
    shown = rows[:, 95 * 3 : 95 * 3 + 140]
    torch.testing.assert_close(shown.nan_to_num(0), face)
    assert shown[1, 10:12].isnan().all()
    assert rows[1, 95 * 3 + 140 + 5] == 0


def test_values_are_stretched_to_the_deviation_of_labels_of_people_that_are_not_fitted():
    rng = np.random.default_rng(0)
    points, mask, labels = people(200)
    noisy = {"va": (0.5 * labels["va"] + rng.normal(0, 0.3, (200, 2))).clip(-1, 1).astype(np.float32)}
    who = np.arange(200) // 4
    made = {
        rescale: create("logistic", layout_name="body_25", heads=(VA,), rescale=rescale) for rescale in (False, True)
    }
    for model in made.values():
        model.fit([(points, mask)], noisy, who, mirror=True, seed=0)
    asked, seen, _ = people(400, seed=9)
    near, far = (made[wide](asked, seen)["va"].double().numpy() for wide in (False, True))
    middle = noisy["va"].mean(0)
    stretch = made[True].stretches["va"]
    inside = (np.abs(far) < 1).all(1)
    np.testing.assert_allclose(far[inside], (middle + (near - middle) * stretch.factor.numpy())[inside], atol=1e-6)
    assert far.std(0) == pytest.approx(noisy["va"].std(0), rel=0.15)
    assert (near.std(0) < 0.95 * noisy["va"].std(0)).all()
    with pytest.raises(ConfigError, match="rescale of logistic needs windows of at least two people"):
        made[True].fit([(points, mask)], noisy, np.zeros(200, int), mirror=False, seed=0)


def test_no_tree_splits_at_what_rounding_decides():
    rng = np.random.default_rng(0)
    noise = rng.choice([-3e-8, 0.0, 3e-8], (200, 1))
    rows = np.concatenate([noise, rng.uniform(-1, 1, (200, 1))], 1)
    rounded = Grid().fit(rows)
    assert not rounded[:, 0].any()
    assert np.abs(rounded - rows).max() <= 2**-17
    torch.testing.assert_close(Grid()(torch.from_numpy(rows)), torch.from_numpy(rounded), rtol=0, atol=0)
