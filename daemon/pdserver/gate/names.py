"""Names between the gate in the router's process and the server beside it. Nobody else may use them."""

from __future__ import annotations

from paradrop.permissions import WampRole
from paradrop.uris import SERVER

__all__ = ["AUTHENTICATE", "CLOSE", "DECIDE", "DENIED", "ONLINE", "PRESENCE", "SESSIONS", "SPACE", "WampRole"]

SPACE = f"{SERVER}gate."

AUTHENTICATE = f"{SPACE}authenticate"
"""Crossbar's dynamic authenticator, registered by the server: ``realm, authid, details`` → a principal."""
DECIDE = f"{SPACE}decide"
"""Registered by the server: ``authrole, authid, action, uri, match`` → whether; asked only about who is not connected."""
DENIED = f"{SPACE}denied"
"""Registered by the server: ``[[authrole, authid, action, uri, times, detail], …]``, for the audit log."""

SESSIONS = f"{SPACE}sessions"
"""Registered by the gate: ``[[session, authrole, authid, public_key, stamp], …]``, everybody who is there but the server itself;
*stamp* is that of the session's ``authextra``."""
CLOSE = f"{SPACE}close"
"""Registered by the gate: ``[session, …], reason``: end those sessions at once."""
ONLINE = f"{SPACE}online"
"""Registered by the gate: the pdids of the devices that are connected and have their prefix registered."""
PRESENCE = f"{SPACE}presence"
"""Published by the gate: ``pdid, online``."""
