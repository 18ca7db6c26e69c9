"""Which names, scopes and texts the registry takes: pure checks at the door."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from paradrop import keys, uris
from paradrop.base.exceptions import InvalidInput, PdidError
from paradrop.base.nexus import NOT_PDIDS, PDID
from pdserver.access import EVERYTHING, device_scope, group_scope

NAME = re.compile(r"[a-z][a-z0-9._-]{0,62}")
"""A user's or a group's name."""
LONGEST_PDID = 255
LONGEST_LIFETIME = 366 * 86400.0
"""Seconds."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, which would garble a terminal, and what PostgreSQL keeps in no text: NUL and lone surrogates."""


def check_pdid(pdid: object) -> str:
    """Raises :class:`PdidError`."""
    if not isinstance(pdid, str) or len(pdid) > LONGEST_PDID or not PDID.fullmatch(pdid):
        raise PdidError(f"{shown(pdid)} is not a device id: components of small letters and digits, with dots between them")
    if pdid.split(".")[0] in NOT_PDIDS:
        raise PdidError(f"{pdid!r} is not a device id: {pdid.split('.')[0]!r} means something else on the fabric")
    return pdid


def above(pdid: str) -> Iterator[str]:
    """The dotted prefixes of *pdid*, without itself: ``acme.r1.left`` → ``acme``, ``acme.r1``."""
    position = pdid.find(".")
    while position != -1:
        yield pdid[:position]
        position = pdid.find(".", position + 1)


def check_name(name: object, kind: str) -> str:
    """*kind*: ``user`` or ``group``, for the message. Raises :class:`InvalidInput`."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidInput(
            f"{shown(name)} is not a {kind}'s name: 1 to 63 small letters, digits, dots, dashes and underscores,"
            " starting with a letter"
        )
    return name


def check_chute(name: object) -> str:
    """Raises :class:`InvalidInput`."""
    if not isinstance(name, str) or not uris.NAME.fullmatch(name):
        raise InvalidInput(f"{shown(name)} is not a chute's name")
    return name


def check_key(public_key: object) -> str:
    """Raises :class:`InvalidInput`."""
    if not isinstance(public_key, str) or not keys.PUBLIC.fullmatch(public_key):
        raise InvalidInput("that is not a public key: 64 hexadecimal digits in small letters")
    return public_key


def check_lifetime(lifetime: object) -> float:
    """Raises :class:`InvalidInput`; *lifetime* is in seconds."""
    if (
        isinstance(lifetime, bool)
        or not isinstance(lifetime, int | float)
        or not math.isfinite(lifetime)
        or not 0 < lifetime <= LONGEST_LIFETIME
    ):
        raise InvalidInput(f"lifetime: more than 0 and at most {LONGEST_LIFETIME:.0f} seconds")
    return float(lifetime)


def read_scope(scope: object) -> tuple[str, str]:
    """``server`` → ``("server", "")``; ``group:lab`` → ``("group", "lab")``; ``device:acme.r1`` → ``("device", "acme.r1")``.

    Raises :class:`InvalidInput`, :class:`PdidError`.
    """
    if scope == EVERYTHING:
        return EVERYTHING, ""
    kind, _, name = scope.partition(":") if isinstance(scope, str) else ("", "", "")
    if kind == "device" and scope == device_scope(name):
        return kind, check_pdid(name)
    if kind == "group" and scope == group_scope(name):
        return kind, check_name(name, "group")
    raise InvalidInput(f"{shown(scope)} is no scope: server, group:NAME or device:PDID")


def askable(name: object) -> bool:
    """Whether *name* can stand in a query at all: every name here is ASCII, and PostgreSQL refuses NUL and lone surrogates."""
    return isinstance(name, str) and name.isascii() and "\0" not in name


def clean(text: object, longest: int) -> str:
    """*text* as every database keeps it and every terminal shows it, and no longer than that many characters."""
    whole = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", str(text)[: longest + 1])
    return whole if len(whole) <= longest else whole[: longest - 1] + "…"


def shown(name: object) -> str:
    """What somebody gave for a name, for a message."""
    return repr(clean(name, 64)) if isinstance(name, str) else f"a {type(name).__name__}"
