"""The registry of everything that is looked up by name.

A `Registry` looks a name up in

1. functions registered by modules of one of our packages,
2. entry points of other installed packages, in a group such as ``skelemo.models``,
3. ``package.module:function``. `Registry.find`, for names typed by the user, imports the module;
   ``registry[name]``, for names read from files, does not.
"""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, cast

from skelemo.errors import ConfigError, SkelemoError, unknown

Function = TypeVar("Function", bound=Callable[..., Any])
#: Properties registered with a function.
Facts = TypeVar("Facts")


@cache
def _entry_points_of(group: str, path: tuple[str, ...]) -> dict[str, Any]:
    """Entry points by name; cached by ``path`` because the look-up takes 8 ms."""
    return {point.name: point for point in entry_points(group=group)}


@dataclass(frozen=True)
class Entry(Generic[Facts]):
    """A registered function (or value), its name and its properties."""

    name: str
    function: Any
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
    noun : name of an entry in messages, such as "architecture".
    group : entry-point group of other packages, such as "skelemo.models".
    package : our package whose modules register functions; imported on the first look-up.
    default : facts of functions registered without, such as entry points and ``package.module:function``.
    accepts : whether an object can be an entry; by default any callable.
    """

    noun: str
    group: str
    package: str = ""
    default: Facts | None = None
    accepts: Callable[[object], bool] = field(default=callable, repr=False)
    _entries: dict[str, Entry[Facts]] = field(default_factory=dict, repr=False)
    _loaded: bool = field(default=False, repr=False)

    def register(self, name: str, facts: Facts | None = None) -> Callable[[Function], Function]:
        """Return a decorator that registers a function under the name.

        Raises `ConfigError`: the name belongs to another function.
        """

        def add(function: Function) -> Function:
            self.add(name, function, facts)
            return function

        return add

    def add(self, name: str, value: Any, facts: Facts | None = None) -> None:
        """Register a value under the name; see `register`."""
        taken = self._entries.get(name)
        if taken is not None and taken.function != value and _origin(taken.function) != _origin(value):
            by = f"{_origin(taken.function)[0]} and {_origin(value)[0]}"
            raise ConfigError(f"{self.noun} {name!r} is registered twice, by {by}")
        self._entries[name] = Entry(name, value, self._facts(facts))

    def find(self, name: str) -> Entry[Facts]:
        """The entry for a name typed by the user; imports ``package.module:function``.

        Raises `ConfigError`: unknown name, or its package cannot be imported.
        """
        if ":" in name and name not in self:
            self._import(name)
        return self[name]

    def __getitem__(self, name: str) -> Entry[Facts]:
        """The entry for a name; ``package.module:function`` only if the package is already imported.

        Raises `ConfigError`: unknown name, or its package cannot be imported.
        """
        self._load()
        if name not in self._entries:
            self._load_entry_point(name)
        if name not in self._entries and ":" in name and name.partition(":")[0] in sys.modules:
            self._import(name)
        if name in self._entries:
            return self._entries[name]
        if ":" in name:
            module = name.partition(":")[0]
            raise ConfigError(f"{self.noun} {name!r} is not part of skelemo: import {module} first, if you trust it")
        raise unknown(self.noun, name, self.names())

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._entries or name in self._entry_points()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def names(self, pattern: str = "*") -> list[str]:
        """Sorted names that match a shell pattern, including entry points."""
        self._load()
        return sorted(name for name in {*self._entries, *self._entry_points()} if fnmatch(name, pattern))

    def registered(self) -> list[Entry[Facts]]:
        """The entries in memory, without importing modules or entry points."""
        return list(self._entries.values())

    def _load(self) -> None:
        if self._loaded or not self.package:
            return
        self._loaded = True
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__, f"{self.package}."):
            importlib.import_module(module.name)

    def _entry_points(self) -> dict[str, Any]:
        return _entry_points_of(self.group, tuple(sys.path))

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
                f"{self.noun} {name!r}: the entry point {point.value} of {self.group} cannot be imported: {error}"
            ) from error
        if name not in self._entries:  # the module may have registered it with its own facts
            self._check(name, function)
            self.add(name, function)

    def _import(self, path: str) -> None:
        try:
            function: Any = importlib.import_module(path.partition(":")[0])
            for attribute in path.partition(":")[2].split("."):
                function = getattr(function, attribute)
        except SkelemoError:
            raise
        except Exception as error:
            raise ConfigError(f"{self.noun} {path!r} cannot be imported: {error}") from error
        self._check(path, function)
        found = next((entry for entry in self._entries.values() if entry.function is function), None)
        self._entries[path] = Entry(path, function, found.facts if found else self._facts(None))

    def _facts(self, facts: Facts | None) -> Facts:
        return cast(Facts, self.default if facts is None else facts)

    def _check(self, name: str, value: object) -> None:
        if not self.accepts(value):
            raise ConfigError(f"{self.noun} {name!r} has the wrong type: {type(value).__name__}")


def _origin(value: Any) -> tuple[str, str]:
    return getattr(value, "__module__", "skelemo"), getattr(value, "__qualname__", repr(value))
