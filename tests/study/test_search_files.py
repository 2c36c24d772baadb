"""What a search or study file may say about each setting, and what is refused in a line."""

import pytest
from test_space import a_search

from skelemo.errors import ConfigError, InputError
from skelemo.study.grid import read_entries, require_fixed, word


@pytest.mark.parametrize(
    ("axis", "said"),
    [
        ({"low": 0.1, "high": 0.9, "log": True, "step": 0.1}, "log only above 0 and without step"),
        ({"low": 0.1, "high": 0.9, "step": 0}, "a step above 0"),
        ({"low": 0.1, "high": 0.1}, "expected low below high"),
        ({"low": False, "high": True}, "expected numbers for low, high and step"),
        ({"low": 0.1}, "expected a list of values, or a range"),
        (0.1, "expected a list of values, or a range"),
    ],
)
def test_a_range_that_cannot_be_drawn_from_is_refused(tmp_path, axis, said):
    with pytest.raises(InputError, match=rf"search\.yaml: space, lr: .*{said}") as error:
        a_search(tmp_path, {"lr": axis})
    assert "\n" not in str(error.value)


def test_a_wrong_value_anywhere_in_a_list_is_named(tmp_path):
    space = {"lr": [0.1, 0.2], "optimizer": ["adam", "sgd", "adamm"]}
    with pytest.raises(ConfigError, match=r"search\.yaml, with lr=0\.1, optimizer=adamm: "):
        a_search(tmp_path, space)


@pytest.mark.parametrize(
    ("key", "value", "least"),
    [("fold", 0, 1), ("seed", -1, 0), ("prune_after", -1, 0), ("trials", True, 1), ("fold", 1.5, 1)],
)
def test_a_number_of_a_search_is_whole_and_not_too_small(tmp_path, key, value, least):
    with pytest.raises(InputError, match=rf"{key} is {value!r}; expected a whole number from {least}$"):
        a_search(tmp_path, {"lr": [0.1]}, **{key: value})
    assert getattr(a_search(tmp_path, {"lr": [0.1]}, **{key: least}), key) == least


def test_a_grid_is_never_cut_off_in_silence(tmp_path):
    assert a_search(tmp_path, {"epochs": {"low": 1, "high": 1000}}, sampler="grid").trials == 1000
    with pytest.raises(InputError, match="a grid has at most 1,000 values of epochs; give it a larger step"):
        a_search(tmp_path, {"epochs": {"low": 1, "high": 1001}}, sampler="grid")
    assert a_search(tmp_path, {"epochs": {"low": 1, "high": 1001}}).trials == 50, "any other sampler draws from it"


def test_a_table_of_corrections_may_lie_elsewhere_in_the_same_search(tmp_path):
    one, other = (a_search(tmp_path, {"lr": [0.1]}, {"corrections": name}) for name in ("a.csv", "b.csv"))
    assert one.identity == other.identity


def test_a_base_is_settings_or_a_file_of_them(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text("base: [1]\n")
    with pytest.raises(InputError, match=r"study\.yaml: expected base with settings, or the path of a file"):
        read_entries(file, ("base",))


@pytest.mark.parametrize(
    ("key", "names", "refused"),
    [
        ("model.width", {"width"}, True),
        ("width", {"model.width"}, True),
        ("model", {"width"}, True),
        ("loss_weight", {"loss_weight.va"}, True),
        ("loss_weight.va", {"loss_weight"}, True),
        ("lr", {"lr_drop"}, False),
        ("widths", {"width"}, False),
    ],
)
def test_a_setting_is_the_same_by_either_name_and_holds_those_inside_it(tmp_path, key, names, refused):
    if refused:
        with pytest.raises(ConfigError, match=f"--set {key}: .* varies {min(names)}; omit --set"):
            require_fixed(tmp_path, names, {key: 1})
    else:
        require_fixed(tmp_path, names, {key: 1})


def test_a_cell_is_named_by_all_parts_of_a_list_and_the_first_of_a_bundle():
    assert word("parts", ["body_25", "face_70"]) == "body_25+face_70"
    assert word("parts", []) == "all"
    assert word("rate", {"optimizer": "sgd", "lr": 0.1}) == "sgd"
    assert word("loss_weight", {"va": 1, "mood": 2}) == "1_2", "a setting that is a mapping is no bundle"
