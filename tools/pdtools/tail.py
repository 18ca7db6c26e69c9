"""The end of a log, and what comes after it, without a gap and without a repeat.

The cursor is a sequence number. It survives the link: the next link asks for what is after it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from paradrop import uris
from paradrop.values import LogLine, LogPage
from pdtools.device import Device
from pdtools.fabric import Event, Fabric, Inbox

PAGE = 500
"""Lines in one question."""
SAFETY = 5.0
"""Seconds without an event after which the log is read anyway: an event can be lost, a line cannot."""

Emit = Callable[[list[LogLine]], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines of which log."""

    source: str
    since: float | None = None
    """Seconds since the epoch."""
    last: int | None = None
    """At most so many before the following begins."""
    service: str | None = None

    def keeps(self, line: LogLine) -> bool:
        return self.service is None or line.service == self.service


class Tail:
    """Reads one log onwards from its cursor."""

    def __init__(self, wanted: Wanted, emit: Emit, missed: Callable[[int], None]) -> None:
        """*emit* gets the lines; *missed* how many are gone because the device made room."""
        self.wanted = wanted
        self.cursor: int | None = None
        self._emit = emit
        self._missed = missed

    async def begin(self, device: Device) -> None:
        """Emit what is there, and set the cursor behind it."""
        if self.wanted.last is None:
            await self._read(device, self.wanted.since, None, self._emit, self._advance)
            return
        if self.wanted.since is None:
            lines, self.cursor = await self._end(device, self.wanted.last)
        else:
            kept: deque[LogLine] = deque(maxlen=self.wanted.last)
            self.cursor = await self._read(device, self.wanted.since, None, kept.extend)
            lines = list(kept)
        self._emit(lines)

    async def forward(self, device: Device) -> None:
        """Emit everything after the cursor."""
        await self._read(device, None, self.cursor, self._emit, self._advance)

    def _advance(self, page: LogPage) -> None:
        # Page by page: if the link breaks within a long read, the next one begins behind what was shown.
        self.cursor = page.cursor
        if page.missed:
            self._missed(page.missed)

    async def _read(
        self,
        device: Device,
        since: float | None,
        after: int | None,
        emit: Callable[[list[LogLine]], object],
        each: Callable[[LogPage], None] = lambda page: None,
    ) -> int:
        while True:
            page = await device.logs(self.wanted.source, since, after, PAGE)
            emit([line for line in page.lines if self.wanted.keeps(line)])
            each(page)
            after = page.cursor
            if not page.more:
                return page.cursor

    async def _end(self, device: Device, count: int) -> tuple[list[LogLine], int]:
        """The last *count* lines that are wanted. Asked from ever further back: a log can only be read onwards."""
        back = max(1, count)
        while True:
            kept: deque[LogLine] = deque(maxlen=count)
            there = 0

            def counted(page: LogPage) -> None:
                nonlocal there
                there += len(page.lines)

            cursor = await self._read(device, None, -back, kept.extend, counted)
            if len(kept) == count or there < back:
                return list(kept), cursor
            back *= 4


async def follow(fabric: Fabric, inbox: Inbox[int], tail: Tail) -> None:
    """Emit lines as they come, until the link is lost; call again on the next."""

    def appended(event: Event) -> None:
        if event.args[:1] == (tail.wanted.source,):
            inbox.put(0)

    await fabric.subscribe(appended, uris.local(uris.ON_LOG))
    if tail.cursor is None:
        await tail.begin(Device(fabric))
    while True:
        # Forgotten before reading: whatever comes while we read makes the next round.
        inbox.clear()
        await tail.forward(Device(fabric))
        await inbox.next(SAFETY)
