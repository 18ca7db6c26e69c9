"""On whose behalf a device calls and publishes: pure decisions.

Crossbar 26.10 takes the first entry of ``forward_for`` for the caller or publisher, whoever sends it. Only a device speaks for
others, and only for its own chutes.
"""

from __future__ import annotations

from typing import Any

from paradrop.uris import NAME
from pdserver.gate.names import WampRole


def origin(forward_for: Any, session: int, pdid: str) -> list[dict[str, Any]] | None:
    """What the router is told instead of a device's *forward_for*: the chute ``hello`` of ``acme.r1`` is ``hello@acme.r1``.

    ``None`` when that says nothing which the device may say: it is the caller itself then.
    """
    if not isinstance(forward_for, list) or len(forward_for) != 1 or not isinstance(forward_for[0], dict):
        return None
    chute, role = forward_for[0].get("authid"), forward_for[0].get("authrole")
    if role != WampRole.CHUTE or not isinstance(chute, str) or not NAME.fullmatch(chute):
        return None
    # The session is the device's own: an id of its choice might be somebody else's.
    return [{"session": session, "authid": f"{chute}@{pdid}", "authrole": str(WampRole.CHUTE)}]
