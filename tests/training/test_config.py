import pytest

from skelemo.errors import ConfigError, InputError
from skelemo.training.config import load_config, parse_assignments


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
        ("learning_rate=1", "unknown setting 'learning_rate'"),
        ("epoch=3", "did you mean 'epochs'"),
        ("lr=-1", "setting lr = -1: Input should be greater than 0"),
        ("lr=.nan", "setting lr = nan"),
        ("lr=1e9", "setting lr = '1e9'"),
        ("weight_decay=.inf", "setting weight_decay = inf"),
        ("batch_size=1", "setting batch_size = 1"),
        ("optimizer=adan", "setting optimizer = 'adan'"),
        ("lr", "expected key=value"),
        ("model=[1", "not a YAML value"),
        ("widht=3", "unknown setting 'widht': did you mean 'width'"),
        ("streams=joint", "unknown setting 'streams'"),
        ("lr.x=3", "setting lr.x: expected a mapping under lr"),
        ("arch=annn width=3", "unknown architecture 'annn': did you mean 'ann'"),
    ],
)
def test_a_wrong_setting_is_told_with_the_remedy(assignment, message):
    with pytest.raises(ConfigError, match=message):
        load_config(None, parse_assignments(assignment.split()))


@pytest.mark.parametrize("text", ["streams=[joint,bone]", "streams=joint,bone", "model.streams=joint, bone"])
def test_settings_of_the_architecture_stand_beside_the_others(text):
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


def test_a_tagged_yaml_object_is_not_built(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text("lr: !!python/object/apply:os.system ['touch /tmp/owned']\n")
    with pytest.raises(InputError):
        load_config(file)
