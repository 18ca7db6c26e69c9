"""Imports Crossbar's router without the packages a router never uses.

``import crossbar`` (26.10) pulls in a blockchain stack, NumPy and two database layers: 130 MB resident and 1.8 s on the machine
this was measured on. None of it is touched by the broker, the dealer or the two WAMP transports. While :func:`load` imports the
router's modules, every import of one of :data:`UNUSED` is answered with an empty stand-in whose attributes are empty classes (so
that class statements and annotations still work); afterwards the stand-ins leave ``sys.modules``, so that anybody else who
imports one of those packages gets the real one. What remains is 56 MB and 0.4 s.

``tests/functional/test_lean_router.py`` runs the same session against the lean and the plain import; the setting
``LEAN_ROUTER = false`` turns this off.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import MutableSequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import paradrop.base._serializers  # noqa: F401 - before anything of Crossbar's imports them with bjdata

UNUSED = frozenset({"cfxdb", "eth_abi", "eth_typing", "humanize", "numpy", "pygments", "txtorcon", "web3", "xbr", "zlmdb"})
"""Top-level packages that Crossbar imports and the router does not use."""

MODULES = (
    "crossbar.router.protocol",
    "crossbar.router.role",
    "crossbar.router.router",
    "crossbar.router.service",
    "crossbar.router.session",
    # Imported by RouterSession.onOpen: it must find the stand-ins too.
    "crossbar.bridge.mqtt.wamp",
)


class _StandIn(ModuleType):
    """A module that has every name, each an empty class."""

    __path__: MutableSequence[str] = []  # noqa: RUF012 - empty, and never written to

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__class_getitem__": classmethod(lambda cls, item: cls)})


class _Finder(MetaPathFinder, Loader):
    """Answers imports of :data:`UNUSED`, and remembers what it gave."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in UNUSED or fullname in sys.modules:
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        self.given.append(spec.name)
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


def load(lean: bool = True) -> None:
    """Import Crossbar's router, by default without :data:`UNUSED`. Does nothing the second time."""
    if not lean:
        for name in MODULES:
            importlib.import_module(name)
        return
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        for name in MODULES:
            importlib.import_module(name)
    finally:
        sys.meta_path.remove(finder)
        for name in finder.given:
            sys.modules.pop(name, None)
