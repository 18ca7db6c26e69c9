"""A server's values as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from paradrop.values import AuditEntry, Device, Grant, Group, ServerInfo, User, Wanted
from pdtools.known import KnownServer
from pdtools.moment import clock_time, lasted
from pdtools.show import columns, facts, safe, state
from pdtools.tables import NOTHING


def known(servers: Sequence[KnownServer]) -> Table:
    """The servers of a person, a line each."""
    table = columns("name", "you are", "url", "verified by")
    for one in servers:
        by = "its own authority" if one.authority else "the system"
        table.add_row(Text(one.name, style="name"), Text(one.user), Text(one.url), Text(by))
    return table


def info(server: ServerInfo, url: str) -> Table:
    """A server at a glance."""
    return facts(
        {
            "server": Text(server.name, style="name"),
            "url": Text(url, style="link"),
            "pdserver": Text(f"{server.version}, up {lasted(server.now - server.started)}"),
            "devices": Text(f"{server.online} of {server.devices} online" if server.devices else "none"),
            "users": Text(str(server.users)),
            "you": Text(server.you + (", an administrator" if server.administrator else "")),
        }
    )


def _ago(when: float | None, now: float) -> Text:
    return Text(NOTHING if when is None else f"{lasted(now - when)} ago")


def devices(known: Sequence[Device], now: float) -> Table:
    """Devices, a line each; columns in which nobody has anything are left out."""
    groups, waiting = any(one.groups for one in known), any(one.waiting for one in known)
    table = columns("device", "state", "seen", *(["groups"] if groups else []), "role", *(["waiting"] if waiting else []))
    for one in sorted(known, key=lambda one: one.pdid):
        table.add_row(
            Text(one.pdid, style="name"),
            state("online" if one.online else "offline" if one.claimed else "unclaimed"),
            Text("now") if one.online else _ago(one.seen, now),
            *([Text(", ".join(one.groups) or NOTHING)] if groups else []),
            Text(one.role or NOTHING),
            *([Text(str(one.waiting) if one.waiting else NOTHING)] if waiting else []),
        )
    return table


def _granted(grant: Grant) -> str:
    return f"{grant.role} of {grant.scope}"


def users(known: Sequence[User]) -> Table:
    """Users, a line each."""
    table = columns("name", "keys", "roles", wrap="roles")
    for one in sorted(known, key=lambda one: one.name):
        roles = ", ".join(_granted(grant) for grant in one.grants)
        table.add_row(Text(one.name, style="name"), Text(str(len(one.keys))), Text(roles or NOTHING))
    return table


def keys(user: User, now: float) -> Table:
    """The keys of one user, a line each."""
    table = columns("key", "added", "on")
    for one in user.keys:
        table.add_row(Text(one.public_key, style="name"), _ago(one.added, now), safe(one.label or NOTHING))
    return table


def groups(known: Sequence[Group]) -> Table:
    """Groups, a line each."""
    table = columns("group", "devices", wrap="devices")
    for one in sorted(known, key=lambda one: one.name):
        table.add_row(Text(one.name, style="name"), Text(", ".join(one.devices) or NOTHING))
    return table


def wanted(known: Sequence[Wanted], now: float) -> Table:
    """Chutes, a line each: what was wanted, how far that is, and what the device has."""
    reason = any(one.reason for one in known)
    table = columns(
        "chute", "wanted", "state", "by", "when", "change", "device has", "as of", *(["reason"] if reason else []), wrap="reason"
    )
    for one in known:
        table.add_row(
            Text(one.chute, style="name"),
            safe(one.version),
            state(one.state),
            Text(one.by or NOTHING),
            _ago(one.at, now),
            Text(one.change or NOTHING),
            safe(one.actual or NOTHING) if one.actual_at is not None else Text("unknown", style="quiet"),
            _ago(one.actual_at, now),
            *([safe(one.reason.partition("\n")[0])] if reason else []),
        )
    return table


def audit_line(entry: AuditEntry) -> Text:
    """One entry of the audit log, on one line."""
    times = f" ×{entry.times}" if entry.times > 1 else ""
    return Text.assemble(
        (f"{clock_time(entry.at)}  ", "quiet"),
        ("" if entry.allowed else f"denied{times}  ", "error"),
        (f"{safe(entry.who).plain}  ", "name"),
        f"{entry.action}  {safe(entry.what).plain}".rstrip(),
        (f"  {safe(entry.detail).plain}" if entry.detail else "", "quiet"),
    )
