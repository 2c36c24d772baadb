"""How a user says that labels are to be read: classes, words of other languages, units of time, scales of values."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from skelemo.annotations.class_names import Words
from skelemo.errors import ConfigError, unknown
from skelemo.text import folded

#: What the starts and ends of intervals are: as ``--unit`` has it, and as columns say it.
UNITS = {
    "frames": ("frames", "frame", "f"),
    "seconds": ("seconds", "second", "secs", "sec", "s"),
    "milliseconds": ("milliseconds", "millisecond", "msec", "ms"),
}


@dataclass(frozen=True)
class Options:
    """What a label reader may be told, by the name of its keyword argument; it gets those that it declares.

    Parameters
    ----------
    words : which classes there are, and what words mean.
    unit : of starts and ends, one of `UNITS`; ``auto`` where the table tells.
    va_scale : lowest and highest valence and arousal in the labels, which become -1 and 1.
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
        """Options as the command line or Python gives them: ``a,b,c``, ``WORD=CLASS``, ``seconds``, ``1:9``.

        Raises `ConfigError`: one is not of its form, or says two things of one word.
        """
        listed = classes.split(",") if isinstance(classes, str) else list(classes or ())
        if unit not in ("auto", *UNITS):
            raise unknown("unit", unit, ("auto", *UNITS))
        names = tuple(name.strip() for name in listed if name.strip())
        return cls(Words(names, _meanings(meanings)), unit, _scale(va_scale) if va_scale else None)

    def given(self) -> dict[str, str]:
        """Those that the user has said, and their names on the command line."""
        said = {"words": bool(self.words), "unit": self.unit != "auto", "va_scale": self.va_scale is not None}
        flags = {"words": "--classes or --map", "unit": "--unit", "va_scale": "--va-scale"}
        return {name: flags[name] for name, there in said.items() if there}

    def kept(self) -> dict[str, Any]:
        """What a cache says of them: those that the user has said."""
        scale = "{:g}:{:g}".format(*self.va_scale) if self.va_scale else ""
        kept = {"classes": list(self.words.classes), "map": dict(self.words.meanings), "va_scale": scale}
        return {name: value for name, value in kept.items() if value} | (
            {"unit": self.unit} if self.unit != "auto" else {}
        )


def _meanings(given: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """Words and their classes, as a mapping or as ``WORD=CLASS`` each."""
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
            raise ConfigError(f"--map ={meaning}: there is no word before the =")
        other = next((known for known in meanings if folded(known) == folded(word)), word)
        if meanings.get(other, meaning) != meaning:
            raise ConfigError(f"--map {word}={meaning}: {other!r} is said to be {meanings[other]!r} already")
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
