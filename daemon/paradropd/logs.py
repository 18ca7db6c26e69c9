"""What chutes print, from an engine's bytes to lines in the log store."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from paradrop.logstore import LogStore
from paradropd.engine.port import InstanceKey

LONGEST = 16 << 10
"""Bytes of a line; a longer one is cut into several."""

PAUSE = 0.02
"""Seconds between two announcements of one log: a chute that prints without end makes 50 events a second, not 50,000."""

LOOK_BACK = 500
"""How many lines of a chute's log are searched for the last one of a service."""

STREAMS = ("out", "err")
"""What a chute itself prints, as opposed to what is noted in its log."""


def source_of(chute: str) -> str:
    """The name of a chute's log."""
    return f"chute.{chute}"


class Collector:
    """Writes down what chutes print, and announces that there is more to read, in chutes' logs and in the daemon's own.

    An announcement only says how far a log goes; whoever follows it reads the lines by their numbers, so that none is lost or
    seen twice however many announcements were missed.
    """

    def __init__(self, store: LogStore, clock: IReactorTime, announce: Callable[[str, int], Any]) -> None:
        """*announce*: told a source and its last sequence number."""
        self._store = store
        self._clock = clock
        self._announce = announce
        self._rest: dict[tuple[InstanceKey, str], bytes] = {}
        self._due: dict[str, int] = {}
        self._pauses: dict[str, IDelayedCall] = {}
        self._stopped = False
        self._before: dict[str, int] = {}
        """How far each chute's log went before this collector wrote the first line of output to it."""
        self.seen: dict[InstanceKey, float] = {}
        """The engine's time of the last output of each instance: where to go on after the daemon was away."""

    def output(self, key: InstanceKey, stream: str, data: bytes, time: float) -> None:
        """Some bytes, as :class:`~paradropd.engine.port.Observer` has it."""
        self._begin(key.chute)
        lines = (self._rest.pop((key, stream), b"") + data).split(b"\n")
        rest = lines.pop()
        for line in lines:
            while len(line) > LONGEST:
                line = self._cut(key, stream, line, time)
            self._write(key, stream, line, time)
        while len(rest) > LONGEST:
            rest = self._cut(key, stream, rest, time)
        if rest:
            self._rest[key, stream] = rest
        self.seen[key] = time

    def ended(self, key: InstanceKey, time: float | None = None) -> None:
        """The instance prints no more, since *time* or now: a last line without an end is a line."""
        self.seen.pop(key, None)
        for stream in STREAMS:
            rest = self._rest.pop((key, stream), b"")
            if rest:
                self._write(key, stream, rest, time)

    def forget(self, chute: str) -> None:
        """Keep nothing in memory of a chute that is not there any more."""
        self._before.pop(chute, None)
        for key in [key for key in self.seen if key.chute == chute]:
            del self.seen[key]
        for part in [part for part in self._rest if part[0].chute == chute]:
            del self._rest[part]

    def note(self, chute: str, service: str, text: str, stream: str = "build") -> None:
        """A line of the daemon's own in a chute's log."""
        self._store.append(source_of(chute), text, stream=stream, service=service)

    def resume(self, key: InstanceKey) -> float | None:
        """Where to go on with the output of an instance: the engine's time of the last of it that is written down.

        When none of the last lines that the daemon before this one wrote is of that service, it is the time of the first of
        them: what the service printed before was written down before. ``None`` when there is nothing: go on from the beginning.
        """
        if key in self.seen:
            return self.seen[key]
        # Not what was written since: another service may have caught up already, with more lines than are looked at.
        last = self._begin(key.chute)
        if last == 0:
            return None
        page = self._store.read(
            source_of(key.chute), after=max(0, last - LOOK_BACK), limit=LOOK_BACK, size=LOOK_BACK * 2 * LONGEST
        )
        lines = [line for line in page.lines if line.seq <= last]
        times = [line.time for line in lines if line.service == key.service and line.stream in STREAMS]
        return times[-1] if times else next((line.time for line in lines), None)

    def position(self, chute: str) -> int:
        """The number of the last line of a chute's log; 0 when it has none."""
        source = source_of(chute)
        return self._store.last(source) if source in self._store.sources() else 0

    def tail(self, chute: str, service: str, count: int, after: int) -> list[str]:
        """The last *count* lines that *service* printed since the line number *after*."""
        source, last = source_of(chute), self.position(chute)
        if last <= after:
            return []
        lines = self._store.read(source, after=max(after, last - 10 * count), limit=10 * count).lines
        return list(deque((line.text for line in lines if line.service == service and line.stream in STREAMS), maxlen=count))

    def appended(self, source: str, seq: int) -> None:
        """Announce that *source* goes up to *seq*: at once, or after the pause when that was done just now."""
        if self._stopped:
            return
        if source in self._pauses:
            self._due[source] = seq
            return
        self._announce(source, seq)
        self._pauses[source] = self._clock.callLater(PAUSE, self._resume, source)

    def stop(self) -> None:
        """Leave nothing pending, and announce nothing more."""
        self._stopped = True
        for call in self._pauses.values():
            call.cancel()
        self._pauses.clear()

    def _begin(self, chute: str) -> int:
        if chute not in self._before:
            self._before[chute] = self.position(chute)
        return self._before[chute]

    def _resume(self, source: str) -> None:
        del self._pauses[source]
        if source in self._due:
            self.appended(source, self._due.pop(source))

    def _cut(self, key: InstanceKey, stream: str, line: bytes, time: float) -> bytes:
        """Write the first part of *line*, in whole characters. Returns the rest."""
        end = LONGEST
        while end > LONGEST - 4 and line[end] & 0xC0 == 0x80:  # inside a character of UTF-8 (RFC 3629, section 3)
            end -= 1
        self._write(key, stream, line[:end], time)
        return line[end:]

    def _write(self, key: InstanceKey, stream: str, line: bytes, time: float | None) -> None:
        text = line.rstrip(b"\r").decode("utf-8", "replace")
        self._store.append(source_of(key.chute), text, stream=stream, service=key.service, time=time)
