import pytest
import yaml

from skelemo.errors import ConfigError, InputError
from skelemo.targets import EXPRESSION, VA
from skelemo.training.config import Config, load_config, parse_assignments, repeated, unused


def test_assignments_go_before_the_file(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text("lr: 1e-3\nepochs: 7\nmodel: {width: 64, dropout: 0.1}\n")
    config = load_config(file, parse_assignments(["lr=2e-4", "model.width=32"]))
    assert (config.lr, config.epochs, config.model) == (2e-4, 7, {"width": 32, "dropout": 0.1})


def test_what_is_written_reads_back_as_the_same_configuration(tmp_path):
    config = load_config(None, {"data": ["a", "b"], "head": "both", "mirror": 0.5, "model": {"width": 3}})
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    assert load_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("learning_rate=1", "unknown setting 'learning_rate': did you mean 'lr'. skelemo train --settings lists all$"),
        ("leraning_rate=1", "unknown setting 'leraning_rate': did you mean 'lr'. skelemo train --settings lists all$"),
        ("epoch=3", "unknown setting 'epoch': did you mean 'epochs'. skelemo train --settings lists all$"),
        ("lr=0.1 lr=0.2", "--set lr is given twice; keep one$"),
        ("loss=focal", "setting loss = 'focal': expected a name by head, as loss.HEAD=…$"),
        (
            "loss_weight.va=-1",
            "loss_weight = {'va': -1}: expected a number from 0 by head, as loss_weight.HEAD",
        ),
        ("lr=-1", "setting lr = -1: expected a number above 0 and up to 100, or auto$"),
        ("lr=.nan", "setting lr = nan"),
        ("lr=1e9", "setting lr = '1e9'"),
        ("weight_decay=.inf", "setting weight_decay = inf"),
        ("batch_size=1", "setting batch_size = 1: expected a whole number from 2"),
        ("lr=foo", "setting lr = 'foo': expected a number above 0 and up to 100, or auto$"),
        ("neutral_radius=7", "setting neutral_radius = 7: expected a number from 0 and up to 2, or auto or null$"),
        ("calibrate=trak", "setting calibrate = 'trak': expected one of none, track, running, auto$"),
        ("flip_average=maybe", "setting flip_average = 'maybe': expected one of false, true, auto$"),
        ("evaluate_every=0", "evaluate_every = 0: expected a whole number from 1 and up to 1,000,000, or auto$"),
        ("memory=lots", "setting memory 'lots': expected a number and a unit, as in 512MB or 2GB$"),
        ("epochs=1.5", "setting epochs = 1.5: expected a whole number from 1 and up to 1,000,000$"),
        ("batch_size=1e20", "setting batch_size = '1e20': expected a whole number from 2"),
        ("smooth=99999999999", "setting smooth = 99999999999: expected a whole number from 0 and up to 1,001"),
        ("dilation=99999999999999999999", "setting dilation = 99999999999999999999: expected a whole number"),
        ("every=99999999999999999999", "setting every = 99999999999999999999: expected a whole number"),
        ("optimizer=adan", "unknown optimizer 'adan': did you mean 'adam'"),
        ("schedule=cosin", "unknown schedule 'cosin': did you mean 'cosine'"),
        ("data=[1]", r"setting data = \[1\]: expected names$"),
        ("compile=7", "setting compile = 7: expected true or false$"),
        ("model=7", "setting model = 7: expected a mapping$"),
        ("lr", "expected key=value"),
        ("model=[1", "not a YAML value"),
        ("widht=3", "unknown setting 'widht': did you mean 'width'"),
        (
            "kernel=3",
            "unknown setting 'kernel': ann has the settings activation, dropout, standardize, streams, width",
        ),
        (
            "arch=svm width=8",
            "unknown setting 'width': svm has the settings balanced, c, gamma, rescale, streams",
        ),
        ("lr.x=3", "setting lr.x: lr is not a mapping"),
        ("arch=annn width=3", "unknown architecture 'annn': did you mean 'ann'"),
    ],
)
def test_an_invalid_setting_names_the_remedy(assignment, message):
    with pytest.raises(ConfigError, match=message):
        load_config(None, parse_assignments(assignment.split()))


@pytest.mark.parametrize("text", ["streams=[joint,bone]", "streams=joint,bone", "model.streams=joint, bone"])
def test_model_prefix_may_be_omitted(text):
    config = load_config(None, {"arch": "stgcnpp", **parse_assignments([text, "widths=64,128", "lr=0.1"])})
    assert config.model == {"streams": ["joint", "bone"], "widths": [64, 128]}
    assert config.lr == 0.1
    assert load_config(None, parse_assignments(["arch=svm", "gamma=0.1"])).model == {"gamma": 0.1}


def test_a_setting_of_the_architecture_goes_before_the_files_wherever_it_stands_there(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text("width: 64\nmodel: {dropout: 0.1, width: 7}\n")
    assert load_config(file).model == {"width": 64, "dropout": 0.1}
    assert load_config(file, {"model.width": 3}).model == {"width": 3, "dropout": 0.1}
    assert load_config(file, {"width": 3, "model": {"dropout": 0.5}}).model == {"width": 3, "dropout": 0.5}
    with pytest.raises(ConfigError, match=r"recipe\.yaml: unknown setting 'width'"):
        load_config(file, {"arch": "resnet18"})


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words", "a: [", "\x00"])
def test_a_file_that_is_no_mapping_of_settings_is_named(tmp_path, text):
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"recipe\.yaml"):
        load_config(file)


@pytest.mark.parametrize("text", ["epochs: 1\nlr: 0.1\nepochs: 2\n", "model: {width: 1, width: 2}\n"])
def test_a_setting_that_a_file_has_twice_is_refused(tmp_path, text):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(InputError, match=r"recipe\.yaml: .*(epochs|width) is set twice; keep one"):
        load_config(tmp_path / "recipe.yaml")


def test_a_tagged_yaml_object_is_not_built(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text("lr: !!python/object/apply:os.system ['touch /tmp/owned']\n")
    with pytest.raises(InputError):
        load_config(file)


def test_settings_come_in_the_order_in_which_they_are_explained():
    names = list(Config.model_fields)
    first = ["data", "length", "split", "mirror", "arch", "loss", "optimizer", "seed"]  # of each class
    assert sorted(first, key=names.index) == first
    assert names[1:4] == ["parts", "reference", "min_confidence"]
    assert list(yaml.safe_load(load_config().to_yaml())) == names


def test_a_configuration_is_read_in_whatever_order_it_was_written(tmp_path):
    config = load_config(None, {"data": "a", "model": {"width": 3}, "split": "kfold:3"})
    backwards = dict(reversed(config.model_dump(mode="json").items()))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(backwards, sort_keys=False))
    assert load_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize("name", [n for n, f in Config.model_fields.items() if f.annotation in (int, float)])
def test_every_number_has_a_least_and_a_most(name):
    for value in (-(10**30), 10**30, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match=f"setting {name} = .*: expected a"):
            load_config(None, {name: value})


@pytest.mark.parametrize(("verb", "key"), [("tune", "space"), ("study", "grid")])
def test_a_search_or_study_file_is_recognized(tmp_path, verb, key):
    file = tmp_path / "search.yaml"
    file.write_text(f"base: {{epochs: 1}}\n{key}: {{lr: [0.1]}}\n")
    with pytest.raises(InputError, match=rf"search\.yaml: {key} belongs in a file for skelemo {verb}; expected"):
        load_config(file)


def test_names_may_be_separated_by_commas():
    config = load_config(None, parse_assignments(["parts=face_70, body_25", "init=run", "init_freeze=body,*norm*"]))
    assert (config.parts, config.init_freeze) == (("face_70", "body_25"), ("body", "*norm*"))


def test_settings_without_effect_are_listed():
    given = {"mixup": 0.4, "ema": 0.9, "mirror": 0.2, "rotate": 9, "fit_windows": 99, "label_smoothing": 0.1}
    assert unused(load_config(None, given | {"arch": "svm"}), [EXPRESSION]) == [
        "rotate",
        "label_smoothing",
        "mixup",
        "ema",
    ]
    assert unused(load_config(None, given), [EXPRESSION]) == ["fit_windows"]
    assert unused(load_config(None, given | {"class_weights": "sqrt"}), [VA]) == [
        *("class_weights", "label_smoothing", "fit_windows")
    ]
    assert unused(load_config(None, {"sampling": "clip", "every": 3, "dilation": 2}), [VA]) == ["dilation", "every"]
    assert unused(load_config(None, {"dilation": 2, "momentum": 0.8}), [VA]) == ["dilation", "momentum"]
    assert unused(load_config(None, {"dilation": 2, "momentum": 0.8, "length": 2, "optimizer": "sgd"}), [VA]) == []
    assert unused(load_config(), [VA]) == []


def test_settings_that_make_up_for_rare_classes_more_than_once_are_listed():
    both = {"balance": True, "class_weights": "sqrt"}
    assert repeated(load_config(None, both), [EXPRESSION]) == ["balance", "class_weights"]
    adjusted = {"balance": True, "loss": {"expression": "focal+logit_adjusted"}}
    assert repeated(load_config(None, adjusted), [VA, EXPRESSION]) == ["balance", "logit_adjusted"]
    assert repeated(load_config(None, {"balance": True, "loss": {"expression": "focal"}}), [EXPRESSION]) == []
    assert repeated(load_config(None, both | {"arch": "svm"}), [EXPRESSION]) == []
