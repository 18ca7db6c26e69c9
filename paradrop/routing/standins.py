"""Empty stand-ins for packages that something imports and does not use.

While a :class:`StandIns` is installed, every import of one of its packages is answered with a module that has every name, each an
empty class, so that class statements and annotations still work.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, MutableSequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _StandIn(ModuleType):
    """A module that has every name, each an empty class."""

    __path__: MutableSequence[str] = []  # noqa: RUF012 - empty, and never written to

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__class_getitem__": classmethod(lambda cls, item: cls)})


class StandIns(MetaPathFinder, Loader):
    """Answers imports of *packages* and of everything in them, and remembers what it gave."""

    def __init__(self, packages: Iterable[str]) -> None:
        self._packages = frozenset(packages)
        self._given: list[str] = []

    def install(self) -> None:
        sys.meta_path.insert(0, self)

    def remove(self) -> None:
        """Answer no more, and let go of what was given: whoever imports one of the packages from now on gets the real one."""
        sys.meta_path.remove(self)
        while self._given:
            sys.modules.pop(self._given.pop(), None)

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Implements :meth:`importlib.abc.MetaPathFinder.find_spec`."""
        parts = fullname.split(".")
        if fullname in sys.modules or self._packages.isdisjoint(".".join(parts[:number]) for number in range(1, len(parts) + 1)):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Implements :meth:`importlib.abc.Loader.create_module`."""
        self._given.append(spec.name)
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""
