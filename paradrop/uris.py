"""Names on the fabric: every URI Paradrop uses, with its meaning, in one place.

A device's own address space is ``org.paradrop.<pdid>.``; on its own realm that is spelled ``org.paradrop.local.`` whatever the
device is called. Below it, the daemon offers ``<area>.<verb>`` and a chute offers ``chute.<chute>.<name>``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

ROOT = "org.paradrop."
LOCAL_PDID = "local"
LOCAL = f"{ROOT}{LOCAL_PDID}."
CHUTE_AREA = "chute."
DEVICE_REALM = "paradrop"
"""The realm's name, on a device and on a server alike (the reference's ``BaseSession.start`` has it as its default)."""

# What the daemon offers, below a device's address space.
NODE_INFO = "node.info"
CHUTES_LIST = "chutes.list"
CHUTES_GET = "chutes.get"
CHUTES_DEPLOY = "chutes.deploy"
CHUTES_START = "chutes.start"
CHUTES_STOP = "chutes.stop"
CHUTES_RESTART = "chutes.restart"
CHUTES_REMOVE = "chutes.remove"
CHANGES_LIST = "changes.list"
CHANGES_GET = "changes.get"
LOGS_SOURCES = "logs.sources"
LOGS_READ = "logs.read"
CONFIG_SHOW = "config.show"
CONFIG_GET = "config.get"
CONFIG_SET = "config.set"
BLOBS_MISSING = "blobs.missing"
BLOBS_PUT = "blobs.put"
FABRIC_PROCEDURES = "fabric.procedures"
PEOPLE_LINK = "people.link"
PEOPLE_LIST = "people.list"
PEOPLE_ADD = "people.add"
PEOPLE_REMOVE = "people.remove"

# What the daemon publishes, below the same address space.
ON_CHUTE = "chutes.updated"
"""One :class:`paradrop.values.ChuteStatus`, after anything about it changed."""
ON_CHUTE_REMOVED = "chutes.removed"
"""The name of a chute that is gone."""
ON_CHANGE = "changes.updated"
"""One :class:`paradrop.values.ChangeRecord`, after each step of it."""
ON_LOG = "logs.appended"
"""``source, seq``: a log grew up to that sequence number. Read the lines themselves with ``logs.read``."""

AREAS = frozenset({"blobs", "changes", "chute", "chutes", "config", "fabric", "logs", "node", "people"})
"""First segments that are the daemon's own, today."""

RESERVED_NAMES = AREAS | frozenset({"api", "daemon", "local", "org", "paradrop", "server", "uplink", "wamp", "web", "ws"})
"""Names no chute may take: they would be mistaken for an area, a path of the web site or a WAMP space."""

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
"""A chute's or a service's name (an RFC 1123 label that starts with a letter)."""

COMPONENT = re.compile(r"[^\s.#]+")
"""One component of a loose WAMP URI (WAMP, section "URIs")."""


def local(name: str) -> str:
    """``chutes.list`` → ``org.paradrop.local.chutes.list``."""
    return LOCAL + name


def chute_space(chute: str) -> str:
    """The prefix under which *chute*, and nobody else, registers and publishes on its own device."""
    return f"{LOCAL}{CHUTE_AREA}{chute}."


def resolve(name: str) -> str:
    """What a person or a chute means by a short *name*, on the device's own realm.

    ``hello.greet`` is the procedure or topic ``greet`` of the chute ``hello``; ``chutes.list`` belongs to the daemon, because
    ``chutes`` is one of :data:`AREAS`; a name under ``org.`` or ``wamp.`` is taken as it stands.
    """
    first, _, rest = name.partition(".")
    if first in ("org", "wamp") and rest:
        return name
    return LOCAL + (name if first in AREAS else CHUTE_AREA + name)


def short(uri: str) -> str:
    """The inverse of :func:`resolve`, for showing to a person."""
    chutes = LOCAL + CHUTE_AREA
    if uri.startswith(chutes):
        return uri.removeprefix(chutes)
    return uri.removeprefix(LOCAL)


def is_uri(text: str) -> bool:
    """Whether every component of *text* may stand in a loose WAMP URI."""
    return 0 < len(text) <= 512 and all(COMPONENT.fullmatch(part) for part in text.split("."))


def chute_may(chute: str, uses: Sequence[str], action: str, uri: str, match: str = "exact") -> bool:
    """Whether *chute*, with *uses* as its manifest's ``fabric.uses``, may do *action* (as WAMP calls it) there.

    A pattern that begins with an allowed prefix can only match below it: in prefix and wildcard matching alike the components
    that are written out must be equal (WAMP, section "Pattern-based Subscriptions").
    """
    if uri.startswith(chute_space(chute)):
        return True
    if action not in ("call", "subscribe") or not uri.startswith(ROOT):
        return False  # outside it is the router's own space, whatever a manifest says
    for use in uses:
        if use.endswith(".*"):
            if uri.startswith(resolve(use[:-1])):
                return True
        elif match == "exact" and uri == resolve(use):
            return True
    return False
