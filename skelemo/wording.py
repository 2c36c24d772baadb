"""Words that fit their numbers, and texts that fit into a line."""

import re

#: Control characters, separators of lines, and bytes that are no text: they would break rows, or steer the terminal.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def count(number: int, noun: str, nouns: str = "") -> str:
    """A number with its noun: ``1 shard``, ``12,000 shards``; ``nouns`` is a plural that is more than an s."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def visible(text: str) -> str:
    """A text in one line: what cannot be seen in it, such as a line feed, is spelled out, as ``\\n``."""
    return _UNSEEN.sub(lambda found: repr(found[0])[1:-1], text)
