"""From the words that people label with to classes: the seven emotions where words mean them, else their own."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from skelemo.annotations.files import some
from skelemo.errors import ConfigError, InputError
from skelemo.targets import EMOTIONS, EXPRESSION, MAX_OUTPUTS, Head
from skelemo.text import count, folded, natural_order

# Adjectives and nouns that data sets use (CAER, FERV39k, RAVDESS, FER-2013, KDEF). RAVDESS has calm beside neutral,
# so calm is a class of its own.
_WORDS = {
    "happiness": "happiness happy joy joyful",
    "sadness": "sadness sad",
    "neutral": "neutral neutrality",
    "anger": "anger angry",
    "surprise": "surprise surprised",
    "disgust": "disgust disgusted",
    "fear": "fear fearful afraid scared",
    "other": "other others",
}
_MEANING = {word: emotion for emotion, words in _WORDS.items() for word in words.split()}
#: From this length on two letters may be wrong, else one. Shorter ones differ by two from too many others.
_LONG = 5
#: A class of its own is taken for a misspelling of another that has so many times its rows.
_RARER = 10
_MOST_COMPARED = 100


@dataclass(frozen=True)
class Words:
    """What a user says of the words in labels, and, as labels are read, what became of them.

    Parameters
    ----------
    classes : all classes in order; none to take them from the labels.
    meanings : by word, the class that it stands for; "" for a word that is no label.
    first : number of the first class in labels that are numbers, where it is known.
    read_as : rows by word and class, of words that became a class of another name.
    used : the words of ``meanings`` that labels have.
    """

    classes: tuple[str, ...] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)
    first: int | None = None
    read_as: Counter[tuple[str, str]] = field(default_factory=Counter, compare=False)
    used: set[str] = field(default_factory=set, compare=False)

    def __bool__(self) -> bool:
        return bool(self.classes or self.meanings)


class Classes(NamedTuple):
    """The head that labels stand for, the class of each label (-1 for none), and what the user should know."""

    head: Head
    numbers: dict[str, int]
    notes: tuple[str, ...]


def emotion(word: str) -> str:
    """The one of the seven, or "other", that a word means, however it is written; "" for any other word."""
    return _MEANING.get(folded(word), "")


def same_word(word: str) -> str:
    """What spellings of one name share: the emotion that they mean, else what is left without case and separators."""
    return emotion(word) or folded(word)


def class_head(
    words: Iterable[str],
    where: object,
    name: str = "label",
    said: Words | None = None,
    *,
    noun: str = "row",
    lines: Mapping[str, int] | None = None,
) -> Classes:
    """The head that the labels of some rows stand for.

    Words that differ in case, spaces, ``-`` or ``_`` are one. Words that all mean one of the seven emotions give
    `EMOTIONS`; with "other" among them, `EMOTIONS` and "other" (ABAW's eight); with all seven and more, `EMOTIONS` and
    those. All other sets keep their own words in natural order. The head is called ``expression`` where its classes
    begin with `EMOTIONS`, else by ``name``.

    Raises `InputError`: a word is one or two letters from a known one, or is none of the user's classes; there are more
    labels than classes can be; or none is left.

    Parameters
    ----------
    words : the label of each row; or how many rows have each label.
    where : names the labels in messages.
    said : the user's classes and meanings.
    noun : what has a label, for messages.
    lines : the first line with each word.
    """
    said = said or Words()
    rows: Counter[str] = Counter(words)
    if len(rows) > MAX_OUTPUTS:
        known = sorted(rows, key=lambda word: natural_order(word))
        raise InputError(
            f"{where}: {len(rows)} different labels ({some(known)}); at most {MAX_OUTPUTS} "
            "classes are possible: are these measurements or names of recordings?"
        )
    meanings = {folded(word): meaning for word, meaning in said.meanings.items()}
    said.used.update(folded(word) for word in rows)
    target = {word: meanings.get(folded(word), word.strip()) for word in rows}
    target |= {word: "" for word, meaning in target.items() if meaning == "-1"}
    labels = _Labels(where, noun, lines or {}, Counter())
    for word, number in rows.items():
        if target[word]:
            labels.rows[target[word]] += number
    if not labels.rows:
        raise InputError(f"{where}: no {noun} has a label{' that --map leaves' if said.meanings else ''}")
    sure = {folded(meaning) for word, meaning in meanings.items() if word == folded(meaning)}
    classes, of, notes = _given(said, labels) if said.classes else _found(labels, sure)
    index = {word: of[meant] if meant else -1 for word, meant in target.items()}
    for word, number in rows.items():
        became = classes[index[word]] if index[word] >= 0 else "(no label)"
        if word != became and number:
            said.read_as[word, became] += number
    head = Head(EXPRESSION.name if classes[: len(EMOTIONS)] == EMOTIONS else name, "classes", classes)
    return Classes(head, index, tuple(notes))


class _Labels(NamedTuple):
    """Words with the number of their rows, and how to speak of them."""

    where: object
    noun: str
    lines: Mapping[str, int]
    rows: Counter[str]

    def told(self, word: str) -> str:
        line = f" (line {self.lines[word]})" if word in self.lines else ""
        return f"{word!r}{line}"

    def number(self, word: str) -> str:
        return count(self.rows[word], self.noun)


_Found = tuple[tuple[str, ...], dict[str, int], list[str]]


def _found(labels: _Labels, sure: Collection[str]) -> _Found:
    """Classes from the labels alone: names, the class of each label, and notes."""
    spellings: dict[str, list[str]] = {}
    for word in sorted(labels.rows, key=lambda word: (-labels.rows[word], natural_order(word))):
        spellings.setdefault(folded(word), []).append(word)
    meaning = {key: _MEANING.get(key, "") for key in spellings}
    _ask(labels, spellings, meaning, sure)
    meant = {*meaning.values()}
    more = sorted((words[0] for key, words in spellings.items() if not meaning[key]), key=natural_order)
    notes = []
    if meant >= {*EMOTIONS} or ("" not in meant and meant != {"other"}):
        classes = (*EMOTIONS, *(["other"] if "other" in meant else []), *more)
        at = {key: classes.index(meaning[key] or words[0]) for key, words in spellings.items()}
    else:
        classes = tuple(sorted((words[0] for words in spellings.values()), key=natural_order))
        at = {key: classes.index(words[0]) for key, words in spellings.items()}
    if more and meant - {"", "other"}:
        own = (
            "the seven and these"
            if classes[: len(EMOTIONS)] == EMOTIONS
            else f"the words themselves ({some(classes, 12)})"
        )
        told = ", ".join(f"{word!r} ({labels.number(word)})" for word in more[:3])
        others = f" and {len(more) - 3} more" if len(more) > 3 else ""
        notes.append(f"{labels.where}: {told}{others}: none of the seven emotions; classes are {own} (see --map)")
    return classes, {word: at[key] for key, words in spellings.items() for word in words}, notes


def _ask(
    labels: _Labels, spellings: Mapping[str, list[str]], meaning: Mapping[str, str], sure: Collection[str]
) -> None:
    """Refuse words that may be misspelled: they would become classes, or replace the seven by words."""
    emotions = bool({*meaning.values()} - {"", "other"})
    asked = []
    for key, words in spellings.items():
        if meaning[key] or key in sure or not key.isalpha():
            continue
        meant = _near_emotion(key, emotions) or _near_class(key, spellings, labels)
        if meant:
            asked.append((words[0], meant))
    if not asked:
        return
    told = "; ".join(f"{labels.told(word)}: did you mean {meant}? {labels.number(word)}" for word, meant in asked[:3])
    more = f"; and {len(asked) - 3} more words" if len(asked) > 3 else ""
    word, meant = asked[0]
    every = ",".join(words[0] for words in spellings.values())
    raise InputError(
        f"{labels.where}: {told}{more}. --map {word}={meant} reads it so, --map {word}={word} keeps it as it is, and "
        f"--classes lists what may be (--classes {every if len(every) < 200 else 'a,b,c'})"
    )


def _near_emotion(key: str, emotions: bool) -> str:
    """The nearest word for an emotion that a word may be a misspelling of.

    Among labels none of which is an emotion only words that differ little from long ones are.
    """
    known = [word for word in _MEANING if emotions or (len(word) >= _LONG and _MEANING[word] != "other")]
    most = 2 if len(key) >= (_LONG if emotions else 8) else 1
    near = [(distance, word) for word in known if (distance := _distance(key, word, most)) <= most]
    near = [(distance, word) for distance, word in near if distance < 2 or len(word) >= _LONG]
    return min(near)[1] if near else ""


def _near_class(key: str, spellings: Mapping[str, list[str]], labels: _Labels) -> str:
    """The much more frequent label that a rare one is a letter from."""
    if len(key) < _LONG or len(spellings) > _MOST_COMPARED:
        return ""
    rows = {other: sum(labels.rows[word] for word in words) for other, words in spellings.items()}
    for other, words in spellings.items():
        if rows[other] >= _RARER * rows[key] and len(other) >= _LONG and _distance(key, other, 1) == 1:
            return words[0]
    return ""


def _given(said: Words, labels: _Labels) -> _Found:
    """The user's classes: names, the class of each label, and notes."""
    keys = [folded(name) for name in said.classes]
    if len(set(keys)) < len(keys):
        raise ConfigError(f"--classes {','.join(said.classes)}: expected different names")
    meant = [_MEANING.get(key, "") for key in keys]
    classes = said.classes
    if {*EMOTIONS} <= {*meant} and all(meant.count(emotion) == 1 for emotion in EMOTIONS):
        more = [name for name, emotion in zip(said.classes, meant, strict=True) if emotion not in EMOTIONS]
        classes = (*EMOTIONS, *more)
    place = [classes.index(emotion if emotion in classes else name)
             for name, emotion in zip(said.classes, meant, strict=True)]  # fmt: skip
    if all(map(_is_number, labels.rows)) and not any(map(_is_number, said.classes)):
        return classes, _numbered(said, place, labels), []
    by_key = dict(zip(keys, place, strict=True))
    by_meaning = {
        emotion: at for emotion, at in zip(meant, place, strict=True) if emotion and meant.count(emotion) == 1
    }
    of = {}
    for word in labels.rows:
        at = by_key.get(folded(word), by_meaning.get(emotion(word)))
        if at is None:
            near = min((_distance(folded(word), key, 2), name) for key, name in zip(keys, said.classes, strict=True))
            hint = f"did you mean {near[1]}? " if near[0] <= 2 else ""
            raise InputError(
                f"{labels.where}: {labels.told(word)} is none of the classes {some(said.classes, 12)}: {hint}"
                f"{labels.number(word)}; add it to --classes, or say --map {word}=CLASS"
            )
        of[word] = at
    return classes, of, []


def _numbered(said: Words, place: list[int], labels: _Labels) -> dict[str, int]:
    """The class of each number, which counts the user's classes from 0 or from 1."""
    numbers = {word: int(float(word)) for word in labels.rows}
    first = said.first
    if first is None:
        first = 0 if 0 in numbers.values() else 1 if len(place) in numbers.values() else None
    if first is None:
        raise InputError(
            f"{labels.where}: labels are numbers, and neither 0 nor {len(place)} is among them: do they count the "
            f"{len(place)} classes from 0 or from 1? --map 1={said.classes[0]} and so on says it"
        )
    for word, number in numbers.items():
        if not 0 <= number - first < len(place):
            raise InputError(
                f"{labels.where}: {labels.told(word)}: expected a number from {first} to {len(place) - 1 + first}, for "
                f"the {len(place)} classes {some(said.classes, 12)}"
            )
    return {word: place[number - first] for word, number in numbers.items()}


def _is_number(word: str) -> bool:
    whole, _, rest = word.partition(".")
    return whole.isascii() and whole.isdecimal() and len(whole) < 10 and not rest.strip("0")


def _distance(one: str, other: str, most: int) -> int:
    """How many letters must be changed, added or left out to make one word the other; ``most`` + 1 for more."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        here = [row]
        for column, against in enumerate(other, 1):
            here.append(min(before[column] + 1, here[-1] + 1, before[column - 1] + (letter != against)))
        if min(here) > most:
            return most + 1
        before = here
    return min(before[-1], most + 1)
