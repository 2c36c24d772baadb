"""Registries: names typed by a user import what they name, names read from files never do."""

import sys
from importlib.metadata import EntryPoint

import pytest

from skelemo import plugins
from skelemo.errors import ConfigError
from skelemo.plugins import Registry

MODULE = """
LIMIT = 3
def double(x, *, factor=2):
    return factor * x
class Tools:
    halve = staticmethod(lambda x: x / 2)
"""


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A package of somebody else, which is not imported yet."""
    (tmp_path / "somelab.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("somelab", None)


def things(**options) -> Registry:
    return Registry("thing", "skelemo.no_such_group", **options)


def test_a_name_from_a_file_does_not_import_its_module(lab):
    registry = things(default="facts")
    with pytest.raises(ConfigError, match="'somelab:double' is not part of skelemo: import somelab first, if you trus"):
        registry["somelab:double"]
    assert "somelab" not in sys.modules
    found = registry.find("somelab:double")
    assert (found.function(4), found.facts, found.settings) == (8, "facts", {"factor": 2})
    assert registry["somelab:Tools.halve"].function(4) == 2, "its module is imported by now"
    with pytest.raises(ConfigError, match="thing 'somelab:nothing' cannot be imported"):
        registry.find("somelab:nothing")


def test_a_function_keeps_its_facts_under_its_long_name(lab):
    registry = things(default="usual")
    import somelab

    registry.register("double", "own")(somelab.double)
    assert registry.find("somelab:double").facts == "own"


def test_an_object_of_the_wrong_type_is_refused(lab):
    with pytest.raises(ConfigError, match="thing 'somelab:LIMIT' has the wrong type: int"):
        things().find("somelab:LIMIT")
    assert things(accepts=lambda value: isinstance(value, int)).find("somelab:LIMIT").function == 3


def test_names_are_sorted_and_match_patterns_and_an_unknown_one_is_suggested():
    registry = things()
    for name in ("beta2", "alpha", "beta1"):
        registry.add(name, len)
    assert registry.names() == [*registry] == ["alpha", "beta1", "beta2"]
    assert registry.names("b*") == ["beta1", "beta2"]
    assert "alpha" in registry
    assert "gamma" not in registry
    with pytest.raises(ConfigError, match=r"unknown thing 'alpa': did you mean 'alpha'\? choose from alpha, beta1, be"):
        registry["alpa"]


def test_a_name_is_given_once_but_a_module_may_be_loaded_again():
    registry = things()
    registry.add("one", len)
    registry.add("one", len)
    with pytest.raises(ConfigError, match="thing 'one' is registered twice, by builtins and builtins"):
        registry.add("one", max)
    assert registry["one"].function is len


def test_entry_points_are_loaded_when_they_are_named(lab, monkeypatch):
    points = [EntryPoint("twice", "somelab:double", "g"), EntryPoint("gone", "nowhere:x", "g")]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == "skelemo.of_this_test" else [])
    registry = Registry("thing", "skelemo.of_this_test", default="facts")
    assert registry.names() == ["gone", "twice"]
    assert "somelab" not in sys.modules
    assert (registry["twice"].function(3), registry["twice"].facts) == (6, "facts")
    with pytest.raises(ConfigError, match=r"'gone': the entry point nowhere:x of skelemo\.of_this_test cannot be impo"):
        registry["gone"]
