"""Settings in YAML files from untrusted sources, and limits on plain data."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from skelemo.errors import InputError, one_line

#: Limits on values read from a file: length of a text, nesting, magnitude of a number.
MOST_TEXT, MOST_DEPTH, MOST_NUMBER = 4096, 8, 1e15
#: Largest file of settings in bytes.
MOST_YAML = 256 * 1024


class _Loader(yaml.SafeLoader):
    """YAML without aliases, which could expand a kilobyte to gigabytes, and without repeated keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not supported; repeat the value")
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if twice := [key for key, times in keys.items() if times > 1]:
            raise yaml.YAMLError(f"{twice[0]} is set twice; keep one")
        return node


def read_yaml(path: Path) -> dict[str, Any]:
    """The settings in an untrusted YAML file.

    Raises `ValueError`, with a message to follow the path: too large, not YAML, aliases, or not a mapping of settings.
    """
    with path.open("rb") as file:
        text = file.read(MOST_YAML + 1)
    if len(text) > MOST_YAML:
        raise ValueError(f"larger than {MOST_YAML:,} bytes")
    try:
        content = yaml.load(text, _Loader)
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else one_line(error)
        raise ValueError(f"not a readable YAML file ({why})") from None
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise ValueError("expected a mapping of settings, e.g. 'lr: 0.001'")
    if wrong := limit_error(content):
        raise ValueError(wrong)
    return content


def read_user_yaml(file: Path) -> dict[str, Any]:
    """As `read_yaml`, but raises `InputError`."""
    try:
        return read_yaml(file)
    except OSError as error:
        raise InputError(f"{file}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None


def limit_error(value: Any, depth: int = 0) -> str:
    """What in a value exceeds the limits or is not plain data; "" if valid."""
    if isinstance(value, dict | list):
        if depth == MOST_DEPTH:
            return f"nested more than {MOST_DEPTH} deep"
        if isinstance(value, dict) and (odd := [key for key in value if not isinstance(key, str)]):
            return f"{odd[0]!r:.40} where the name of a setting is expected, e.g. 'lr: 0.001'"
        items = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        return next((wrong for item in items if (wrong := limit_error(item, depth + 1))), "")
    if isinstance(value, str):
        if len(value) > MOST_TEXT:
            return f"a text of {len(value):,} characters, {value[:20]!r}…"
        return "" if value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value) else f"no text: {value!a:.80}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        fits = math.isfinite(value) and abs(value) <= MOST_NUMBER
        return "" if fits else f"the number {value!r:.40} is out of bounds"
    return "" if value is None or isinstance(value, bool) else f"{value!r:.80} is neither text, number nor list"
