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
SERVER = f"{ROOT}server."
"""What the server itself offers."""
DEVICE_REALM = "paradrop"
"""The realm's name, on a device and on a server alike (the reference's ``BaseSession.start`` has it as its default)."""

# What the daemon offers, below a device's address space.
NODE_INFO = "node.info"
NODE_PROVISION = "node.provision"
"""``url, token``: join that server; returns :class:`paradrop.values.Uplink`."""
NODE_UNPROVISION = "node.unprovision"
"""Leave the server, and be a device alone again."""
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

ON_UPLINK = "node.uplink"
"""One :class:`paradrop.values.Uplink`, after the link to the server came up, went down, or was told to go elsewhere."""

UPLINK_WANT = "uplink.want"
"""``[[match, uri], …]``: the topics of this device that somebody upstream listens to, all of them, each spelled as upstream. Only
the server calls it; the device relays those, and no others."""

# What the server offers, and publishes, as whole names.
SERVER_INFO = f"{SERVER}info"
"""Returns :class:`paradrop.values.ServerInfo`."""
SERVER_ACCEPT = f"{SERVER}invitations.accept"
"""``public_key`` (hex), ``label=""``, ``kind=""``: take the place that the invitation holds, which brought this session in;
returns :class:`paradrop.values.Welcome`. With *kind* ``device`` or ``user``, one for the other is refused, and stays good."""
SERVER_ROLE = f"{SERVER}access.role"
"""``user``: the :class:`paradrop.permissions.Role` that *user* has on the calling device, or None."""
DEVICES_LIST = f"{SERVER}devices.list"
DEVICES_GET = f"{SERVER}devices.get"
DEVICES_CREATE = f"{SERVER}devices.create"
"""``pdid, groups=[]``; returns :class:`paradrop.values.Device`."""
DEVICES_REMOVE = f"{SERVER}devices.remove"
DEVICES_INVITE = f"{SERVER}devices.invite"
"""``pdid, lifetime=seconds``: a claim token for that device; returns :class:`paradrop.values.Invitation`."""
DEVICES_LEFT = f"{SERVER}devices.left"
"""Called by a device that is being un-provisioned: its key is forgotten."""
USERS_LIST = f"{SERVER}users.list"
USERS_ADD = f"{SERVER}users.add"
"""``name, lifetime=seconds``: a user, with a first login code; returns :class:`paradrop.values.Invitation`."""
USERS_INVITE = f"{SERVER}users.invite"
"""``name, lifetime=seconds``: one more login code, for one more key."""
USERS_REMOVE = f"{SERVER}users.remove"
USERS_FORGET_KEY = f"{SERVER}users.forget_key"
"""``name, public_key``."""
USERS_GRANT = f"{SERVER}users.grant"
"""``name, role, scope``: *scope* is ``device:<pdid>``, ``group:<name>`` or ``server``."""
USERS_REVOKE = f"{SERVER}users.revoke"
"""``name, scope``."""
GROUPS_LIST = f"{SERVER}groups.list"
GROUPS_ADD = f"{SERVER}groups.add"
GROUPS_REMOVE = f"{SERVER}groups.remove"
GROUPS_JOIN = f"{SERVER}groups.join"
"""``group, pdid``."""
GROUPS_LEAVE = f"{SERVER}groups.leave"
WANTED_LIST = f"{SERVER}wanted.list"
"""``pdid``: list of :class:`paradrop.values.Wanted`, one a chute."""
WANTED_FORGET = f"{SERVER}wanted.forget"
"""``pdid, chute``: give up what has not been delivered."""
AUDIT_READ = f"{SERVER}audit.read"
"""``after=0, limit=100``: list of :class:`paradrop.values.AuditEntry`; negative *after* counts from the end."""
ON_DEVICE = f"{SERVER}devices.updated"
"""One :class:`paradrop.values.Device`, after it came, went or was changed."""
ON_WANTED = f"{SERVER}wanted.updated"
"""One :class:`paradrop.values.Wanted`."""

AREAS = frozenset({"blobs", "changes", "chute", "chutes", "config", "fabric", "logs", "node", "people", "uplink"})
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


def device_space(pdid: str) -> str:
    """``acme.r1`` → ``org.paradrop.acme.r1.``: the prefix under which that device, and nobody else, registers and publishes."""
    return f"{ROOT}{pdid}."


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


def shared(shares: Sequence[str], name: str) -> bool:
    """Whether a chute whose manifest has *shares* as ``fabric.shares`` lets chutes of other devices use its own *name*."""
    return any(name == share or share == "*" or (share.endswith(".*") and name.startswith(share[:-1])) for share in shares)


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
