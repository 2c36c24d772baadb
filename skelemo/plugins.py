"""One kind of registry for everything that is found by name: ours, other packages', and the user's own functions.

A `Registry` finds a name among

1. what modules of one of our packages registered,
2. entry points of its group that other installed packages declare, such as ``skelemo.models``,
3. ``package.module:function``, imported when it is asked for.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from skelemo.errors import ConfigError, SkelemoError, unknown

Function = TypeVar("Function", bound=Callable[..., Any])
#: Facts that are registered beside a function.
Facts = TypeVar("Facts")


@dataclass(frozen=True)
class Entry(Generic[Facts]):
    """A function under its name, with the facts that it was registered with."""

    name: str
    function: Callable[..., Any]
    facts: Facts

    @property
    def settings(self) -> dict[str, Any]:
        """Keyword-only arguments of the function with their defaults."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


@dataclass(eq=False)
class Registry(Generic[Facts]):
    """Functions by name.

    Parameters
    ----------
    noun : what one entry is, for messages: "architecture".
    group : entry-point group in which other packages declare theirs: "skelemo.models".
    package : our package whose modules register functions on import; they are imported at the first look-up.
    default : facts of a function that registers none: what ``package.module:function`` or a bare entry point has.
    """

    noun: str
    group: str
    package: str = ""
    default: Facts | None = None
    _entries: dict[str, Entry[Facts]] = field(default_factory=dict, repr=False)
    _loaded: bool = field(default=False, repr=False)

    def register(self, name: str, facts: Facts | None = None) -> Callable[[Function], Function]:
        """Decorate a function to be found under the name.

        Raises
        ------
        ConfigError
            The name is taken by another function.
        """

        def add(function: Function) -> Function:
            taken = self._entries.get(name)
            if taken is not None and _origin(taken.function) != _origin(function):
                by = f"{taken.function.__module__} and {function.__module__}"
                raise ConfigError(f"{self.noun} {name!r} is registered twice, by {by}")
            self._entries[name] = Entry(name, function, self._facts(facts))
            return function

        return add

    def __getitem__(self, name: str) -> Entry[Facts]:
        """The entry of a name; see the module for where it is looked for.

        Raises
        ------
        ConfigError
            Nothing has the name (the known names are listed), or its package cannot be imported.
        """
        self._load()
        if name not in self._entries and ":" in name:
            self._import(name)
        if name not in self._entries:
            self._load_entry_point(name)
        if name not in self._entries:
            raise unknown(self.noun, name, self.names())
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._entries or name in self._entry_points()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def names(self, pattern: str = "*") -> list[str]:
        """Names that match a shell pattern, sorted; those of other packages included."""
        self._load()
        return sorted(name for name in {*self._entries, *self._entry_points()} if fnmatch(name, pattern))

    def _load(self) -> None:
        if self._loaded or not self.package:
            return
        self._loaded = True
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__, f"{self.package}."):
            importlib.import_module(module.name)

    def _entry_points(self) -> dict[str, Any]:
        return {point.name: point for point in entry_points(group=self.group)}

    def _load_entry_point(self, name: str) -> None:
        point = self._entry_points().get(name)
        if point is None:
            return
        try:
            function = point.load()
        except SkelemoError:
            raise
        except Exception as error:
            raise ConfigError(
                f"{self.noun} {name!r}: {point.value} of the group {self.group} cannot be imported: {error}"
            ) from error
        if name not in self._entries:  # the module may have registered it with facts of its own
            self.register(name)(function)

    def _import(self, path: str) -> None:
        module, _, attribute = path.partition(":")
        try:
            function = importlib.import_module(module)
            for part in attribute.split("."):
                function = getattr(function, part)
        except SkelemoError:
            raise
        except Exception as error:
            raise ConfigError(f"{self.noun} {path!r} cannot be imported: {error}") from error
        if not callable(function):
            raise ConfigError(f"{self.noun} {path!r} is {type(function).__name__}, not a function")
        found = next((entry for entry in self._entries.values() if entry.function is function), None)
        self._entries[path] = Entry(path, function, found.facts if found else self._facts(None))

    def _facts(self, facts: Facts | None) -> Facts:
        chosen = self.default if facts is None else facts
        if chosen is None:
            raise TypeError(f"an entry of the registry of {self.noun} needs facts")
        return chosen


def _origin(function: Callable[..., Any]) -> tuple[str, str]:
    return function.__module__, getattr(function, "__qualname__", repr(function))
