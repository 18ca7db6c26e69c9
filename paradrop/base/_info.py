"""The info file: what a device knows about itself, as attributes in memory and as YAML on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from paradrop.base._files import write_atomically
from paradrop.base.exceptions import InvalidInput, NotPermitted

INFO: Mapping[str, tuple[type, ...]] = MappingProxyType(
    {"pdid": (str, type(None)), "pdserver": (str,), "wampRouter": (str,), "version": (str,), "keys": (str,)}
)
"""What the info file holds, with the types each may have; what else is in it is kept."""


class AttrWrapper:
    """Values as attributes, kept in the dict ``contents``.

    When a new value is assigned, the callback of :meth:`setOnChange` is told; if that raises, the old value is back. After
    :meth:`_lock`, assigning raises :class:`NotPermitted`.
    """

    contents: dict[str, Any]
    locked: bool
    onChange: Callable[[str, Any], None] | None

    def __init__(self, **contents: Any) -> None:
        vars(self).update(contents=contents, locked=False, onChange=None)

    def setOnChange(self, callback: Callable[[str, Any], None] | None) -> None:
        """Call *callback* with key and value after each change; set it once the first values are in."""
        vars(self)["onChange"] = callback

    def _lock(self) -> None:
        vars(self)["locked"] = True

    def __getattr__(self, name: str) -> Any:
        try:
            return vars(self)["contents"][name]
        except KeyError:
            raise AttributeError(f"there is no {name!r} here") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if self.locked:
            raise NotPermitted(f"{name} cannot be changed any more")
        before = dict(self.contents)
        self.contents[name] = value
        if self.onChange is not None and before.get(name, AttrWrapper) != value:
            try:
                self.onChange(name, value)
            except BaseException:
                self.contents.clear()
                self.contents.update(before)
                raise

    def __repr__(self) -> str:
        return f"AttrWrapper({self.contents!r})"


def validateInfo(contents: Any) -> bool:
    """Whether *contents*, as read from an info file, can be used."""
    return not info_problems(contents)


def info_problems(contents: Any) -> list[str]:
    """What is wrong with *contents*, one sentence each."""
    if not isinstance(contents, dict):
        return [f"expected keys and values, got {type(contents).__name__}"]
    problems = [f"{key!r} is not a name" for key in contents if not isinstance(key, str)]
    for key, kinds in INFO.items():
        if key in contents and not isinstance(contents[key], kinds):
            problems.append(f"{key}: {contents[key]!r} is not text")
    return problems


def writeYaml(contents: Mapping[str, Any], path: Path | str) -> None:
    """Replace the file at *path* by *contents* as YAML, atomically.

    Raises ``StorageFull`` when there is no room, and :class:`InvalidInput` for something YAML cannot hold; the old file is then
    untouched.
    """
    try:
        text = yaml.safe_dump(dict(contents), allow_unicode=True, default_flow_style=False, sort_keys=True)
    except yaml.YAMLError as problem:
        raise InvalidInput(" ".join(str(problem).split())) from problem
    write_atomically(Path(path), text.encode())
