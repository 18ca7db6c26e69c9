"""The settings of every part of Paradrop.

::

    from paradrop.base import settings

    settings.loadSettings("local")
    print(settings.PORTAL_SERVER_PORT)

New code takes the frozen :class:`Settings` that :func:`resolve` returns as a parameter; the module's own names are a thin layer
over the one that was loaded last. Each layer overrides the one before: the defaults, a list of ``KEY:VALUE`` strings,
settings.ini, and the environment (``PARADROP_<NAME>`` and no bare names; :func:`resolve` says why).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from paradrop.base._inifile import read_ini, store_setting
from paradrop.base._resolve import INI_NAME, automatic, from_ini, parse, paths, resolve
from paradrop.base._settings import RULES, Mode, Settings, show

__all__ = [
    "INI_NAME",
    "Mode",
    "Settings",
    "current",
    "iterate",
    "loadFromFile",
    "loadSettings",
    "parse",
    "parseValue",
    "resolve",
    "show",
    "store_setting",
    "updatePaths",
]

WORDS: Mapping[str, bool | None] = MappingProxyType({"true": True, "false": False, "none": None})

_loaded: Settings | None = None


def current() -> Settings:
    """The settings loaded last; the defaults of local mode before that."""
    global _loaded
    if _loaded is None:
        _loaded = resolve()
    return _loaded


def loadSettings(
    mode: str = "local",
    slist: Sequence[str] = (),
    *,
    home: Path | str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Load all layers: the list *slist* of ``KEY:VALUE``, ``settings.ini`` in the home if it is there, and the environment.

    *environ* is the process's own unless given; *mode* and *home* are as in :func:`resolve`. What is returned is also what the
    names of this module stand for from now on. Raises :class:`~paradrop.base.exceptions.InvalidSettings`, and then nothing
    has changed.
    """
    global _loaded
    environ = os.environ if environ is None else environ
    # A wrong mode is left to resolve, which names the right ones.
    root = automatic(Mode(mode), home, environ)["home"] if mode in list(Mode) else Path()
    ini = root / INI_NAME
    _loaded = resolve(mode, home, slist, read_ini(ini), environ, ini_name=str(ini))
    return _loaded


def loadFromFile(path: Path | str) -> Settings:
    """Put the values of section ``[base]`` of the INI file *path*, with lower-case keys, over the settings in force.

    Raises :class:`~paradrop.base.exceptions.InvalidSettings`, and then nothing has changed.
    """
    global _loaded
    base = current()
    changes: dict[str, Any] = {}
    for given in from_ini(read_ini(Path(path)), str(path)):
        value = parse(given.name, given.text, given.place)
        changes[given.name] = base.defaults[given.name] if value is None else value
    sources = MappingProxyType({**base.sources, **dict.fromkeys(changes, INI_NAME)})
    _loaded = replace(base, **changes, sources=sources)
    return _loaded


def updatePaths(configHomeDir: Path | str, runtimeHomeDir: Path | str = "/var/run/paradrop") -> Settings:
    """Move the home and everything in it to *configHomeDir*, and the sockets to *runtimeHomeDir*."""
    global _loaded
    moved: dict[str, Any] = dict(paths(Path(configHomeDir), Path(runtimeHomeDir)))
    base = current()
    _loaded = replace(base, **moved, defaults=MappingProxyType({**base.defaults, **moved}))
    return _loaded


def iterate(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The settings in a *module*, which are its names in capitals, as pairs (name, value)."""
    for name in dir(module):
        if name.isupper() and not name.startswith("_"):
            yield name, getattr(module, name)


def parseValue(key: str) -> Any:
    """*key*, the text of a value, as the boolean, ``None`` or number that it reads as; else as it is."""
    text = key.strip().lower()
    if text in WORDS:
        return WORDS[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return key


def __getattr__(name: str) -> Any:
    if name.isupper() and name.lower() in RULES:
        return getattr(current(), name.lower())
    raise AttributeError(f"there is no setting {name}")


def __dir__() -> list[str]:
    return [*(name for name in __all__ if not name.isupper()), *(name.upper() for name in RULES)]
