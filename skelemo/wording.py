"""Words that fit their numbers."""


def count(number: int, noun: str, nouns: str = "") -> str:
    """A number with its noun: ``1 shard``, ``12,000 shards``; ``nouns`` is a plural that is more than an s."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"
