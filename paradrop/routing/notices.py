"""What peers do wrong, in the log: short, on one line, and so many a minute.

A peer chooses what it sends and how often. It may neither fill the disk nor write what looks like somebody else's line.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from twisted.logger import Logger, formatEvent
from twisted.python.failure import Failure

log = Logger(namespace="paradrop.routing")

MOST = 20
"""Lines about one peer in one :data:`WINDOW`."""
MOST_IN_ALL = 200
"""… and about all of them together."""
WINDOW = 60.0
"""Seconds."""
MOST_PEERS = 1024
SHOWN = 200
"""Characters of a line."""


@dataclass(slots=True)
class _Window:
    since: float
    lines: int = 0


def shown(text: str) -> str:
    """*text* for the log: cut, and with everything escaped that does not print."""
    return repr(text[:SHOWN])[1:-1][:SHOWN]


class Notices:
    """Writes lines about peers, and counts those it leaves out."""

    def __init__(self, clock: Callable[[], float], write: Callable[[str], None] | None = None) -> None:
        """*clock*: seconds, never going back. *write*: takes one line; the log by default."""
        self._clock = clock
        self._write = write or (lambda line: log.warn("{line}", line=line))
        self._all = _Window(clock())
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def say(self, about: str, text: str) -> None:
        """One line about the peer *about*, unless there were too many already."""
        now = self._clock()
        if self._all.since + WINDOW <= now:
            self._all = _Window(now)
        window = self._windows.get(about)
        if window is None or window.since + WINDOW <= now:
            before = window.lines if window is not None else 0
            window = self._windows[about] = _Window(now)
            self._windows.move_to_end(about)
            if len(self._windows) > MOST_PEERS:
                self._windows.popitem(last=False)
            if before > MOST:
                self._line(f"{about}: {before - MOST} lines were left out")
        window.lines += 1
        if window.lines > MOST:
            return
        self._line(f"{about}: {text}")
        if window.lines == MOST:
            self._line(f"{about}: what comes in the next {WINDOW:.0f} seconds is left out")

    def _line(self, text: str) -> None:
        self._all.lines += 1
        if self._all.lines <= MOST_IN_ALL:
            self._write(shown(text))
        if self._all.lines == MOST_IN_ALL:
            self._write(f"what comes about anybody in the next {WINDOW:.0f} seconds is left out")


class PeerLog:
    """Stands in for the loggers of Autobahn and Crossbar where a peer can make them write what it likes (26.10)."""

    __slots__ = ("_about", "_notices")

    def __init__(self, notices: Notices, about: str) -> None:
        self._notices = notices
        self._about = about

    def trace(self, format: str = "", **values: object) -> None:
        """Nothing, as each of the levels that tell of ordinary things: peers join and leave all day."""

    debug = info = trace

    def warn(self, format: str = "", **values: object) -> None:
        """The last line of the message: of a traceback that is the reason."""
        lines = formatEvent({**values, "log_format": format}).strip().splitlines() or [""]
        self._notices.say(self._about, lines[-1])

    error = critical = warn

    def failure(self, format: str | Failure = "", failure: Failure | None = None, **values: object) -> None:
        """What was raised, and where."""
        failure = failure or (format if isinstance(format, Failure) else Failure())
        place = f" at {failure.frames[-1][1]}:{failure.frames[-1][2]}" if failure.frames else ""
        self._notices.say(self._about, f"{failure.type.__name__ if failure.type else 'failure'}{place}: {failure.value}")
