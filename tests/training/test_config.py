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
        ("optimizer=adan", "setting optimizer = 'adan'"),
        ("lr", "expected key=value"),
        ("model=[1", "not a YAML value"),
    ],
)
def test_a_wrong_setting_is_told_with_the_remedy(assignment, message):
    with pytest.raises(ConfigError, match=message):
        load_config(None, parse_assignments([assignment]))


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
