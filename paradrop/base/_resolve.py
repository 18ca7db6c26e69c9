"""From four layers of text to one :class:`Settings`: defaults < ``K:V`` list < settings.ini < environment. Pure functions."""

from __future__ import annotations

import configparser
import difflib
import math
import re
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from paradrop.base._settings import AUTOMATIC, DEFAULTS, GIB, KIB, MIB, RULES, Mode, Rule, Settings
from paradrop.base.exceptions import InvalidSettings

SECTION = "base"
INI_NAME = "settings.ini"
PREFIX = "PARADROP_"
UNITS = MappingProxyType({"": 1, "b": 1, "kib": KIB, "mib": MIB, "gib": GIB})
SIZE = re.compile(r"(\d+)\s*([a-z]*)", re.IGNORECASE | re.ASCII)
BOOLEANS = MappingProxyType(
    {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
)


@dataclass(frozen=True, slots=True)
class Given:
    """A value that somebody gave, and where."""

    name: str
    """Lower case."""
    text: str
    source: str
    """``list``, ``settings.ini`` or ``environment``."""
    place: str
    """For an error message: ``/etc/x/settings.ini:12: portal_server_port``."""


def resolve(
    mode: str = "local",
    home: Path | str | None = None,
    slist: Sequence[str] = (),
    ini_text: str = "",
    environ: Mapping[str, str] | None = None,
    *,
    ini_name: str = INI_NAME,
    host: str = "",
) -> Settings:
    """The settings in force.

    * *mode*: ``production``, ``local`` or ``unittest``.
    * *home*: of all state; without it, ``PARADROP_HOME``, or the mode's own folder.
    * *slist*: strings ``KEY:VALUE``, from a command line.
    * *ini_text*: the content of settings.ini, and *ini_name* what to call it in an error.
    * *environ*: of the process. Only names with the prefix ``PARADROP_`` are settings: ``HOME``, ``ENGINE`` or
      ``DEVICE_NAME`` mean something else in many an environment, and must not change a device by accident.
    * *host*: the machine's name; asked for when empty.

    An empty value stands for the default. Raises :class:`InvalidSettings`, which names the place and a near match, for an
    unknown key and for a value of the wrong type or out of range.
    """
    environ = {} if environ is None else environ
    if mode not in list(Mode):
        raise InvalidSettings(f"mode: {mode!r} is none of {', '.join(Mode)}")
    defaults = automatic(Mode(mode), home, environ, host)
    values, sources = dict(defaults), {}
    for given in (*from_list(slist), *from_ini(ini_text, ini_name), *from_environment(environ)):
        rule = _rule(given)
        value = defaults[given.name] if given.text == "" else _parse(rule, given.text, given.place)
        values[given.name] = value
        sources[given.name] = given.source
    return Settings(**values, sources=MappingProxyType(sources), defaults=MappingProxyType(defaults))


def automatic(mode: Mode, home: Path | str | None, environ: Mapping[str, str], host: str = "") -> dict[str, Any]:
    """Every default, with those worked out that follow from the mode, the home and the machine."""
    given = home or environ.get(f"{PREFIX}HOME")
    if given:
        root = Path(given).expanduser().absolute()
    elif mode is Mode.PRODUCTION:
        root = Path("/var/lib/paradrop")
    elif mode is Mode.LOCAL:
        root = Path(environ.get("HOME") or Path.home()) / ".paradrop"
    else:
        root = Path(tempfile.gettempdir()) / "paradrop-unittest"
    production = mode is Mode.PRODUCTION
    worked_out = {
        "mode": mode,
        **paths(root, Path("/run/paradrop") if production and not given else root / "run"),
        "device_name": host or socket.gethostname() or "paradrop",
    }
    plain = {
        name: _parse(RULES[name], value, name) if isinstance(value, str) else value
        for name, value in DEFAULTS.items()
        if value is not AUTOMATIC
    }
    return {**plain, **worked_out}


def paths(home: Path, runtime: Path) -> dict[str, Path]:
    """Where everything is below *home* and *runtime*."""
    return {
        "home": home,
        "config_file": home / "info.yaml",
        "key_dir": home / "keys",
        "log_dir": home / "logs",
        "data_dir": home / "data",
        "blob_dir": home / "blobs",
        "database": home / "paradrop.db",
        "runtime_dir": runtime,
    }


def from_list(slist: Sequence[str]) -> Iterator[Given]:
    """The values of a ``K:V`` list."""
    for entry in slist:
        key, colon, text = entry.partition(":")
        if not colon:
            raise InvalidSettings(f"list: {entry!r} is not KEY:VALUE")
        yield Given(key.strip().lower(), text.strip(), "list", f"list: {key.strip()}")


def from_ini(text: str, name: str = INI_NAME) -> Iterator[Given]:
    """The values of section ``[base]``."""
    parser = configparser.ConfigParser(interpolation=None, default_section="\0")  # [DEFAULT] is a name like any other
    try:
        parser.read_string(text, name)
    except configparser.Error as problem:
        raise InvalidSettings(f"{name}: {' '.join(problem.message.split())}") from problem
    for section in parser.sections():
        if section != SECTION:
            raise InvalidSettings(
                f"{name}:{_line(text, re.escape(f'[{section}]'))}: there is no section [{section}], only [{SECTION}]"
            )
        for key, value in parser.items(section):
            line = _line(text, re.escape(key) + r"[ \t]*[=:]")
            place = f"{name}:{line}: {key}"
            if "\n" in value:
                raise InvalidSettings(f"{place}: the value goes on in the next line")
            yield Given(key, value.strip(), INI_NAME, place)


def from_environment(environ: Mapping[str, str]) -> Iterator[Given]:
    """The values of ``PARADROP_<NAME>``.

    A variable with our prefix that is no setting may belong to a tool or to the SDK (``PARADROP_FABRIC``), and is passed over
    unless it looks like a slip of the pen.
    """
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or name == "home":
            continue
        if name in RULES:
            yield Given(name, environ[variable].strip(), "environment", f"environment: {variable}")
        elif near := difflib.get_close_matches(name, RULES, 1, cutoff=0.85):
            raise InvalidSettings(f"environment: {variable}: unknown setting; did you mean {PREFIX}{near[0].upper()}?")


def parse(name: str, value: object, place: str = "") -> Any:
    """*value* of the setting *name*, checked. Raises :class:`InvalidSettings`."""
    text = value.strip() if isinstance(value, str) else str(value)
    given = Given(name.lower(), text, "", place or name.lower())
    rule = _rule(given)
    return None if text == "" else _parse(rule, text, given.place)


def _rule(given: Given) -> Rule:
    rule = RULES.get(given.name)
    if rule is None:
        near = difflib.get_close_matches(given.name, RULES, 1)
        raise InvalidSettings(f"{given.place}: unknown setting" + (f"; did you mean {near[0]}?" if near else ""))
    if not rule.operator:
        raise InvalidSettings(f"{given.place}: cannot be set here ({rule.description})")
    return rule


def _parse(rule: Rule, text: str, place: str) -> Any:
    try:
        value = _convert(rule, text)
    except ValueError as problem:
        raise InvalidSettings(f"{place}: {problem}") from problem
    if rule.choices and value not in rule.choices:
        raise InvalidSettings(f"{place}: {text!r} is none of {', '.join(rule.choices)}")
    if rule.least is not None and value < rule.least:
        raise InvalidSettings(f"{place}: {text} is below {rule.least:g}")
    if rule.most is not None and value > rule.most:
        raise InvalidSettings(f"{place}: {text} is above {rule.most:g}")
    return value


def _convert(rule: Rule, text: str) -> Any:
    """*text* as the rule's type. Raises ``ValueError`` with a sentence."""
    if len(text.splitlines()) > 1 or "\0" in text:
        raise ValueError("a value is one line")
    if rule.kind is bool:
        if text.lower() not in BOOLEANS:
            raise ValueError(f"{text!r} is neither true nor false")
        return BOOLEANS[text.lower()]
    if rule.size:
        match = SIZE.fullmatch(text)
        if match is None or match[2].lower() not in UNITS:
            raise ValueError(f"{text!r} is not a number of bytes, like 65536 or 64 MiB")
        return int(match[1]) * UNITS[match[2].lower()]
    if rule.kind in (int, float):
        return _number(rule.kind, text)
    if rule.kind is Path:
        return Path(text).expanduser().absolute()
    return _pairs(text) if rule.kind is Mapping else text


def _number(kind: type, text: str) -> float:
    try:
        number: float = kind(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is not a {'whole ' if kind is int else ''}number")
    return number


def _pairs(text: str) -> Mapping[str, str]:
    pairs = [part.strip().partition("=") for part in text.split(",")]
    for name, equals, value in pairs:
        if not (name.strip() and equals and value.strip()):
            raise ValueError(f"{name!r} is not a pair name=value")
    return MappingProxyType({name.strip(): value.strip() for name, _, value in pairs})


def _line(text: str, pattern: str) -> int:
    """The number of the first line that begins with *pattern*."""
    match = re.search(rf"^[ \t]*{pattern}", text, re.IGNORECASE | re.MULTILINE)
    return 0 if match is None else text.count("\n", 0, match.start()) + 1
