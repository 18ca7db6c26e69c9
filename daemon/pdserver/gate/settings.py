"""How the gate is set up: the bounds of a server's connections and sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from paradrop.base.exceptions import InvalidSettings
from paradrop.routing.quota import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """What comes in a Crossbar component's ``extra``."""

    patience: float = 20.0
    """Seconds from a connection to a joined session, a TLS handshake included; whoever takes longer is dropped."""
    strangers: int = 16_384
    """Connections that have not joined; the oldest makes room for one more."""
    stranger_bytes: int = 64 << 10
    """What a connection may send before it has joined."""
    unsent: int = 12 << 20
    """Bytes that may wait for a peer to read them: 8 MiB and one largest message. One that lets more wait is dropped."""
    frame_patience: float = 120.0
    """Seconds from the first byte of a message to its last: the largest one, 4 MiB, needs 280 kbit/s."""
    registrations: int = 64
    """Of a device at a time; it needs one."""
    subscriptions: int = 1000
    """Of a session at a time."""
    pending: int = 1000
    """Calls of a session that have no answer yet."""
    pending_bytes: int = 16 << 20
    """What these may carry together."""
    guest_sessions: int = 8
    """Of one invitation at a time: whoever lost the answer comes back while the first connection still looks alive."""
    guest_time: float = 60.0
    """Seconds that a guest has for accepting the invitation."""
    user_sessions: int = 200
    """Of one user at a time."""
    decisions: int = 100
    """Questions about devices that are not connected, of a session at a time."""
    coalesce: float = 0.1
    """Seconds that a device is not told of changes to what is wanted of it, so that many become one."""

    @property
    def limits(self) -> Limits:
        """Of one session."""
        return Limits(
            pending=self.pending,
            pending_bytes=self.pending_bytes,
            kept=self.registrations + self.subscriptions,
            registrations=self.registrations,
            subscriptions=self.subscriptions,
        )

    @classmethod
    def read(cls, extra: Mapping[str, Any]) -> GateSettings:
        """*extra*: keys that are none of these are somebody else's. Raises :class:`InvalidSettings`."""
        values = {each.name: extra[each.name] for each in fields(cls) if each.name in extra}
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
                raise InvalidSettings(f"gate: {name}: {value!r} is not a number above zero")
        return cls(**values)
