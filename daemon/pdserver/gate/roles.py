"""The roles of everybody but the server itself, decided in the router's process on every action.

Crossbar 26.10 keeps a cached decision by role and URI, not by session: one device's permission would be every device's.
Nothing is cached here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crossbar.router.role import RouterRole

from pdserver.access import harmless, may

if TYPE_CHECKING:
    from pdserver.gate.guard import Guard


class GuardedRole(RouterRole):
    """Asks :func:`pdserver.access.may`, every time."""

    def __init__(self, router: Any, uri: str, guard: Guard) -> None:
        super().__init__(router, uri)
        self._guard = guard

    def authorize(self, session: Any, uri: str, action: str, options: dict[str, Any]) -> Any:
        guard = self._guard
        peer = getattr(session, "peer", None)
        if peer is not None and harmless(action, options):
            if may(peer, action, uri, options.get("match") or "exact", guard.fleet.device_of(uri)):
                return {"allow": True, "disclose": True, "cache": False}
            if guard.elsewhere(session, action, uri):
                return guard.ask(session, action, uri, options.get("match") or "exact")
        guard.denied_to(session, action, uri)
        return {"allow": False, "disclose": True, "cache": False}
