"""What the user is told."""

import pytest

from skelemo.errors import CacheError, ConfigError, InputError, SkelemoError, unknown


def test_an_unknown_name_offers_the_nearest_and_lists_all():
    error = unknown("architecture", "resnet_18", ["vit", "resnet18", "ann"])
    assert str(error) == "unknown architecture 'resnet_18': did you mean 'resnet18'? choose from ann, resnet18, vit"


def test_a_name_like_no_other_gets_the_list_alone():
    assert str(unknown("part", "zzz", ("body", "face"))) == "unknown part 'zzz': choose from body, face"
    assert str(unknown("part", 3, iter(["body"]))) == "unknown part '3': choose from body"


def test_a_name_known_twice_is_listed_once_and_an_empty_list_is_told():
    assert str(unknown("column", "zzz", ["va", "va"])) == "unknown column 'zzz': choose from va"
    assert str(unknown("head", "zzz", [])) == "unknown head 'zzz': none is available"


@pytest.mark.parametrize("kind", [InputError, ConfigError, CacheError])
def test_everything_the_user_can_put_right_is_one_kind(kind):
    assert issubclass(kind, SkelemoError)
    assert not issubclass(kind, OSError | ValueError)
