"""Maps the words in labels to classes: the seven emotions if the words mean them, otherwise the words themselves."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from skelemo.errors import ConfigError, InputError
from skelemo.targets import EMOTIONS, EXPRESSION, MAX_OUTPUTS, Head
from skelemo.text import count, folded, natural_order, some

# Adjectives and nouns used by data sets (CAER, FERV39k, RAVDESS, FER-2013, KDEF). RAVDESS has calm and neutral, so calm
# is a separate class.
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
#: Length from which two letters may be misspelled, otherwise one: short words differ by two from too many others.
_LONG = 5
#: A class may be a misspelling of one with this many times its rows.
_RARER = 10
_MOST_COMPARED = 100


@dataclass(frozen=True)
class Words:
    """The user's classes and meanings of words, and a record of their use.

    Parameters
    ----------
    classes : all classes in order; by default they are taken from the labels.
    meanings : class by word; "" for unlabeled.
    first : number of the first class in numeric labels, if known.
    read_as : number of rows by word and class, for words that became a class of another name.
    used : the words of ``meanings`` that occur in labels.
    """

    classes: tuple[str, ...] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)
    first: int | None = None
    read_as: Counter[tuple[str, str]] = field(default_factory=Counter, compare=False)
    used: set[str] = field(default_factory=set, compare=False)

    @property
    def given(self) -> bool:
        """Whether there are classes or meanings."""
        return bool(self.classes or self.meanings)


class Classes(NamedTuple):
    """The head of labels, the class of each label (-1 for unlabeled), and notes."""

    head: Head
    numbers: dict[str, int]
    notes: tuple[str, ...]


def emotion(word: str) -> str:
    """The one of the seven emotions, or "other", that a word means in any spelling; "" for any other word."""
    return _MEANING.get(folded(word), "")


def same_word(word: str) -> str:
    """A key shared by the spellings of a word: its emotion, or else the word without case and separators."""
    return emotion(word) or folded(word)


def class_head(
    words: Iterable[str],
    where: object,
    name: str = "label",
    given: Words | None = None,
    *,
    noun: str = "row",
    lines: Mapping[str, int] | None = None,
) -> Classes:
    """The head of some rows' labels.

    Spellings that differ in case, spaces, ``-`` or ``_`` are one word. If all words mean one of the seven emotions, the
    classes are `EMOTIONS`; with "other", `EMOTIONS` and "other" (ABAW's eight); with all seven and further words,
    `EMOTIONS` and these. Otherwise the words are the classes, in natural order. The head is called ``expression`` if
    its classes begin with `EMOTIONS`, otherwise ``name``.

    Raises `InputError`: a word may be misspelled, or is not among the given classes; there are too many labels; or none
    remain.

    Parameters
    ----------
    words : the label of each row; or the number of rows by label.
    where : names the labels in messages.
    given : the user's classes and meanings.
    noun : what has a label, for messages.
    lines : the first line of each word.
    """
    given = given or Words()
    rows: Counter[str] = Counter(words)
    if len(rows) > MAX_OUTPUTS:
        examples = sorted(rows, key=natural_order)
        raise InputError(
            f"{where}: {len(rows)} different labels ({some(examples)}); expected at most {MAX_OUTPUTS} "
            "classes: are these measurements or names of recordings?"
        )
    meanings = {folded(word): meaning for word, meaning in given.meanings.items()}
    given.used.update(folded(word) for word in rows)
    target = {word: meanings.get(folded(word), word.strip()) for word in rows}
    target |= {word: "" for word, meaning in target.items() if meaning == "-1"}
    labels = _Labels(where, noun, lines or {}, Counter())
    for word, number in rows.items():
        if target[word]:
            labels.rows[target[word]] += number
    if not labels.rows:
        raise InputError(f"{where}: no {noun} has a label{' after --map' if given.meanings else ''}")
    confirmed = {folded(meaning) for word, meaning in meanings.items() if word == folded(meaning)}
    classes, index, notes = _given_classes(given, labels) if given.classes else _own_classes(labels, confirmed)
    numbers = {word: index[meaning] if meaning else -1 for word, meaning in target.items()}
    for word, number in rows.items():
        name_of = classes[numbers[word]] if numbers[word] >= 0 else "(no label)"
        if word != name_of and number:
            given.read_as[word, name_of] += number
    head = Head(EXPRESSION.name if classes[: len(EMOTIONS)] == EMOTIONS else name, "classes", classes)
    return Classes(head, numbers, tuple(notes))


class _Labels(NamedTuple):
    """Words with the number of their rows, and their description in messages."""

    where: object
    noun: str
    lines: Mapping[str, int]
    rows: Counter[str]

    def quote(self, word: str) -> str:
        line = f" (line {self.lines[word]})" if word in self.lines else ""
        return f"{word!r}{line}"

    def size(self, word: str) -> str:
        return count(self.rows[word], self.noun)


#: Names of classes, the class of each label, and notes.
_Indexed = tuple[tuple[str, ...], dict[str, int], list[str]]


def _own_classes(labels: _Labels, confirmed: Collection[str]) -> _Indexed:
    """Classes from the labels alone."""
    spellings: dict[str, list[str]] = {}
    for word in sorted(labels.rows, key=lambda word: (-labels.rows[word], natural_order(word))):
        spellings.setdefault(folded(word), []).append(word)
    meaning = {key: _MEANING.get(key, "") for key in spellings}
    _refuse_misspellings(labels, spellings, meaning, confirmed)
    meanings = {*meaning.values()}
    more = sorted((words[0] for key, words in spellings.items() if not meaning[key]), key=natural_order)
    notes = []
    if meanings >= {*EMOTIONS} or ("" not in meanings and meanings != {"other"}):
        classes = (*EMOTIONS, *(["other"] if "other" in meanings else []), *more)
        index = {key: classes.index(meaning[key] or words[0]) for key, words in spellings.items()}
    else:
        classes = tuple(sorted((words[0] for words in spellings.values()), key=natural_order))
        index = {key: classes.index(words[0]) for key, words in spellings.items()}
    if more and meanings - {"", "other"}:
        with_emotions = classes[: len(EMOTIONS)] == EMOTIONS
        own = "the seven and these" if with_emotions else f"the words themselves ({some(classes, 12)})"
        examples = some([f"{word!r} ({labels.size(word)})" for word in more])
        notes.append(f"{labels.where}: {examples}: none of the seven emotions; classes are {own} (see --map)")
    return classes, {word: index[key] for key, words in spellings.items() for word in words}, notes


def _refuse_misspellings(
    labels: _Labels, spellings: Mapping[str, list[str]], meaning: Mapping[str, str], confirmed: Collection[str]
) -> None:
    """Refuse words that may be misspelled, which would become classes, or replace the seven emotions by words."""
    emotions = bool({*meaning.values()} - {"", "other"})
    doubtful = []
    for key, words in spellings.items():
        if meaning[key] or key in confirmed or not key.isalpha():
            continue
        if near := _near_emotion(key, emotions) or _near_class(key, spellings, labels):
            doubtful.append((words[0], near))
    if not doubtful:
        return
    listed = "; ".join(f"{labels.quote(word)}: did you mean {near}? {labels.size(word)}" for word, near in doubtful[:3])
    more = f"; and {len(doubtful) - 3} more words" if len(doubtful) > 3 else ""
    word, near = doubtful[0]
    every = ",".join(words[0] for words in spellings.values())
    raise InputError(
        f"{labels.where}: {listed}{more}. Correct it with --map {word}={near}, keep it with --map {word}={word}, or "
        f"list all classes with --classes {every if len(every) < 200 else 'a,b,c'}"
    )


def _near_emotion(key: str, emotions: bool) -> str:
    """The nearest word for an emotion that a word may be a misspelling of.

    Stricter, and only with long words, if none of the labels is an emotion.
    """
    candidates = [word for word in _MEANING if emotions or (len(word) >= _LONG and _MEANING[word] != "other")]
    most = 2 if len(key) >= (_LONG if emotions else 8) else 1
    near = [(distance, word) for word in candidates if (distance := _distance(key, word, most)) <= most]
    near = [(distance, word) for distance, word in near if distance < 2 or len(word) >= _LONG]
    return min(near)[1] if near else ""


def _near_class(key: str, spellings: Mapping[str, list[str]], labels: _Labels) -> str:
    """A much more frequent label that differs from a rare one by a single letter."""
    if len(key) < _LONG or len(spellings) > _MOST_COMPARED:
        return ""
    rows = {other: sum(labels.rows[word] for word in words) for other, words in spellings.items()}
    for other, words in spellings.items():
        if rows[other] >= _RARER * rows[key] and len(other) >= _LONG and _distance(key, other, 1) == 1:
            return words[0]
    return ""


def _given_classes(given: Words, labels: _Labels) -> _Indexed:
    """The user's classes; if they contain the seven emotions, `EMOTIONS` and the others."""
    keys = [folded(name) for name in given.classes]
    if len(set(keys)) < len(keys):
        raise ConfigError(f"--classes {','.join(given.classes)}: expected distinct names")
    meanings = [_MEANING.get(key, "") for key in keys]
    classes = given.classes
    if {*EMOTIONS} <= {*meanings} and all(meanings.count(emotion) == 1 for emotion in EMOTIONS):
        more = [name for name, emotion in zip(given.classes, meanings, strict=True) if emotion not in EMOTIONS]
        classes = (*EMOTIONS, *more)
    pairs = zip(given.classes, meanings, strict=True)
    index = [classes.index(emotion if emotion in classes else name) for name, emotion in pairs]
    if all(map(_is_number, labels.rows)) and not any(map(_is_number, given.classes)):
        return classes, _numbered(given, index, labels), []
    by_key = dict(zip(keys, index, strict=True))
    by_meaning = {
        emotion: at for emotion, at in zip(meanings, index, strict=True) if emotion and meanings.count(emotion) == 1
    }
    found = {}
    for word in labels.rows:
        at = by_key.get(folded(word), by_meaning.get(emotion(word)))
        if at is None:
            near = min((_distance(folded(word), key, 2), name) for key, name in zip(keys, given.classes, strict=True))
            hint = f"did you mean {near[1]}? " if near[0] <= 2 else ""
            raise InputError(
                f"{labels.where}: {labels.quote(word)} is none of the classes {some(given.classes, 12)}: {hint}"
                f"{labels.size(word)}; add it to --classes, or map it with --map {word}=CLASS"
            )
        found[word] = at
    return classes, found, []


def _numbered(given: Words, index: list[int], labels: _Labels) -> dict[str, int]:
    """The class of each number, which counts the user's classes from 0 or from 1."""
    numbers = {word: int(float(word)) for word in labels.rows}
    first = given.first
    if first is None:
        first = 0 if 0 in numbers.values() else 1 if len(index) in numbers.values() else None
    if first is None:
        raise InputError(
            f"{labels.where}: labels are numbers without 0 and {len(index)}, so the {len(index)} classes may count "
            f"from 0 or from 1: map them with --map 1={given.classes[0]} and so on"
        )
    for word, number in numbers.items():
        if not 0 <= number - first < len(index):
            raise InputError(
                f"{labels.where}: {labels.quote(word)}: expected a number from {first} to {len(index) - 1 + first}, "
                f"for the {len(index)} classes {some(given.classes, 12)}"
            )
    return {word: index[number - first] for word, number in numbers.items()}


def _is_number(word: str) -> bool:
    whole, _, rest = word.partition(".")
    return whole.isascii() and whole.isdecimal() and len(whole) < 10 and not rest.strip("0")


def _distance(word: str, other: str, most: int) -> int:
    """The Levenshtein distance of two words, at most ``most + 1``."""
    if abs(len(word) - len(other)) > most:
        return most + 1
    before = list(range(len(other) + 1))
    for row, letter in enumerate(word, 1):
        now = [row]
        for column, other_letter in enumerate(other, 1):
            now.append(min(before[column] + 1, now[-1] + 1, before[column - 1] + (letter != other_letter)))
        if min(now) > most:
            return most + 1
        before = now
    return min(before[-1], most + 1)
