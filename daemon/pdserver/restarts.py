"""When a process that has ended is started again: a pure decision."""

from __future__ import annotations

from dataclasses import dataclass

FIRST = 0.2
"""Seconds before the first new start."""
LONGEST = 5.0
"""Seconds at most, however often it ends."""
STEADY = 30.0
"""Seconds; whoever was up that long has earned a quick new start."""


@dataclass(frozen=True, slots=True)
class Restarts:
    """How a process has fared so far."""

    wait: float = FIRST
    """Seconds that its next end will cost."""

    def ended(self, up: float) -> tuple[float, Restarts]:
        """It has ended after *up* seconds: how many seconds to wait, and how it fares now."""
        wait = FIRST if up >= STEADY else self.wait
        return wait, Restarts(min(2 * wait, LONGEST))
