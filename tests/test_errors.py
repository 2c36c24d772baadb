"""What the user is told."""

import pytest

from skelemo.errors import CacheError, ConfigError, InputError, SkelemoError, unknown


def test_an_unknown_name_offers_the_nearest_and_lists_all():
    error = unknown("architecture", "resnet_18", ["vit", "resnet18", "ann"])
    assert str(error) == "unknown architecture 'resnet_18': did you mean 'resnet18'? choose from ann, resnet18, vit"


def test_a_name_without_a_close_match_gets_only_the_list():
    assert str(unknown("part", "zzz", ("body", "face"))) == "unknown part 'zzz': choose from body, face"
    assert str(unknown("part", 3, iter(["body"]))) == "unknown part '3': choose from body"


def test_duplicate_names_are_listed_once_and_an_empty_list_is_noted():
    assert str(unknown("column", "zzz", ["va", "va"])) == "unknown column 'zzz': choose from va"
    assert str(unknown("head", "zzz", [])) == "unknown head 'zzz': none is available"


@pytest.mark.parametrize("kind", [InputError, ConfigError, CacheError])
def test_user_errors_share_one_base_class(kind):
    assert issubclass(kind, SkelemoError)
    assert not issubclass(kind, OSError | ValueError)
