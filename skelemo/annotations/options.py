"""The user's options for label readers: classes, meanings of words, units of time, scales of values."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from skelemo.annotations.class_names import Words
from skelemo.errors import ConfigError, unknown
from skelemo.text import folded

#: Units of the starts and ends of intervals for ``--unit``, and their spellings in tables.
UNITS = {
    "frames": ("frames", "frame", "f"),
    "seconds": ("seconds", "second", "secs", "sec", "s"),
    "milliseconds": ("milliseconds", "millisecond", "msec", "ms"),
}


@dataclass(frozen=True)
class Options:
    """Options of label readers; a reader receives those that it declares as keyword arguments.

    Parameters
    ----------
    words : classes and meanings of words.
    unit : of starts and ends, one of `UNITS`; ``auto`` takes it from the table.
    va_scale : valence and arousal in the labels that become -1 and 1.
    """

    words: Words = field(default_factory=Words)
    unit: str = "auto"
    va_scale: tuple[float, float] | None = None

    @classmethod
    def parse(
        cls,
        classes: str | Iterable[str] | None = None,
        meanings: Mapping[str, str] | Iterable[str] = (),
        unit: str = "auto",
        va_scale: str | None = None,
    ) -> "Options":
        """Parse options of the command line or Python: ``a,b,c``, ``WORD=CLASS``, ``seconds``, ``1:9``.

        Raises `ConfigError`: invalid syntax, or two meanings of one word.
        """
        listed = classes.split(",") if isinstance(classes, str) else list(classes or ())
        if unit not in ("auto", *UNITS):
            raise unknown("unit", unit, ("auto", *UNITS))
        names = tuple(name.strip() for name in listed if name.strip())
        return cls(Words(names, _meanings(meanings)), unit, _scale(va_scale) if va_scale else None)

    def given(self) -> dict[str, str]:
        """The options that were given, with their names on the command line."""
        given = {"words": self.words.given, "unit": self.unit != "auto", "va_scale": self.va_scale is not None}
        flags = {"words": "--classes or --map", "unit": "--unit", "va_scale": "--va-scale"}
        return {name: flags[name] for name in given if given[name]}

    def kept(self) -> dict[str, Any]:
        """The options that were given, as a cache records them."""
        kept = {
            "classes": list(self.words.classes),
            "map": dict(self.words.meanings),
            "va_scale": "{:g}:{:g}".format(*self.va_scale) if self.va_scale else "",
            "unit": self.unit if self.unit != "auto" else "",
        }
        return {name: value for name, value in kept.items() if value}


def _meanings(given: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """Parse classes by word, given as a mapping or as ``WORD=CLASS`` each."""
    if isinstance(given, Mapping):
        pairs = [(str(word), str(meaning)) for word, meaning in given.items()]
    else:
        texts = [given] if isinstance(given, str) else list(given)
        for text in texts:
            if "=" not in text:
                raise ConfigError(f"--map {text!r}: expected WORD=CLASS, as in froh=happiness")
        pairs = [(word, meaning) for word, _, meaning in (text.rpartition("=") for text in texts)]
    meanings: dict[str, str] = {}
    for word, meaning in ((word.strip(), meaning.strip()) for word, meaning in pairs):
        if not word:
            raise ConfigError(f"--map ={meaning}: expected a word before the =")
        other = next((before for before in meanings if folded(before) == folded(word)), word)
        if meanings.get(other, meaning) != meaning:
            raise ConfigError(f"--map {word}={meaning}: {other!r} is already mapped to {meanings[other]!r}")
        meanings[other] = meaning
    return meanings


def _scale(text: str) -> tuple[float, float]:
    low, _, high = text.partition(":")
    try:
        scale = float(low), float(high)
    except ValueError:
        scale = math.nan, math.nan
    if not (all(map(math.isfinite, scale)) and scale[0] < scale[1]):
        raise ConfigError(f"--va-scale {text!r}: expected LOW:HIGH, as in 1:9 or 0:1000")
    return scale
