"""What was denied, gathered in the router's process until the server has taken it for its audit log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

MOST = 1000
"""Different denials that are kept; after that they are counted together."""
LONGEST = 200
"""Characters of each text."""
REST = ("", "", "denied", "", "more than can be told apart")
INTERVAL = 1.0
"""Seconds between two deliveries."""

Key = tuple[str, str, str, str, str]
"""``authrole, authid, action, uri, detail``."""


class Denials:
    """Counts how often the same was denied; bounded, whatever the peers do."""

    def __init__(self) -> None:
        self._times: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self._times)

    def add(self, authrole: str, authid: str, action: str, uri: str, detail: str = "", times: int = 1) -> None:
        key = (authrole, authid[:LONGEST], action, uri[:LONGEST], detail[:LONGEST])
        if key not in self._times and len(self._times) >= MOST:
            key = REST
        self._times[key] = self._times.get(key, 0) + times

    def take(self) -> list[list[Any]]:
        """``[[authrole, authid, action, uri, times, detail], …]``, and begin anew."""
        times, self._times = self._times, {}
        return [[role, name, action, uri, count, detail] for (role, name, action, uri, detail), count in times.items()]

    def give_back(self, rows: list[list[Any]]) -> None:
        """Those could not be delivered."""
        for role, name, action, uri, count, detail in rows:
            self.add(role, name, action, uri, detail, count)

    async def deliver(self, deliver: Callable[[list[list[Any]]], Awaitable[Any]]) -> None:
        """Hand everything to *deliver*; what it fails with is no concern of ours, and nothing is lost by it."""
        if not self._times:
            return
        rows = self.take()
        try:
            await deliver(rows)
        except Exception:  # noqa: BLE001 - see above
            self.give_back(rows)
