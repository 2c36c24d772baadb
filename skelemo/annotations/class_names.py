"""From the words that people label with to class lists: the seven emotions where words mean them, else their own."""

from collections.abc import Iterable

from skelemo.annotations.files import some
from skelemo.errors import InputError
from skelemo.targets import EMOTIONS, EXPRESSION, MAX_OUTPUTS, Head
from skelemo.text import natural_order

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


def emotion(word: str) -> str:
    """The one of the seven, or "other", that a word means, in any case; "" for any other word."""
    return _MEANING.get(word.strip().casefold(), "")


def same_word(word: str) -> str:
    """What spellings of one name share: the emotion that they mean, else the letters, case and spacing aside."""
    return emotion(word) or " ".join(word.casefold().split())


def class_list(words: Iterable[str], where: object) -> tuple[tuple[str, ...], dict[str, int]]:
    """The classes that a set of labels stands for, and the index of each label among them.

    Labels that all mean one of the seven emotions give `EMOTIONS`; with "other" among them, `EMOTIONS` and "other"
    (ABAW's eight). All other sets keep their own words in natural order.

    Raises
    ------
    InputError
        There are more labels than classes can be; the message names ``where``.
    """
    labels = sorted(set(words), key=natural_order)
    if len(labels) > MAX_OUTPUTS:
        raise InputError(
            f"{where}: {len(labels)} different labels ({some(labels)}); at most {MAX_OUTPUTS} classes are possible: "
            "are these measurements or names of recordings?"
        )
    meanings = {label: emotion(label) for label in labels}
    if all(meanings.values()) and set(meanings.values()) != {"other"}:
        classes = (*EMOTIONS, "other") if "other" in meanings.values() else EMOTIONS
        return classes, {label: classes.index(meaning) for label, meaning in meanings.items()}
    return tuple(labels), {label: index for index, label in enumerate(labels)}


def class_head(words: Iterable[str], where: object, name: str = "label") -> tuple[Head, dict[str, int]]:
    """The head that a set of labels stands for, and the index of each label among its classes.

    It is called ``expression`` where its classes are emotions, else by ``name``.
    """
    classes, index = class_list(words, where)
    return Head(EXPRESSION.name if classes[: len(EMOTIONS)] == EMOTIONS else name, "classes", classes), index
