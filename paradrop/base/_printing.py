"""The one thread through which the daemon's own log gets to disk, the bounded queue before it, and the way back from disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Full, Queue
from threading import Event, Thread
from typing import Any

from paradrop.base._streams import Level, LogDict
from paradrop.base.exceptions import LogNotFound
from paradrop.base.seams import WallClock
from paradrop.logstore import LogStore, Record
from paradrop.logstore.record import CONTINUES

SOURCE = "daemon"
"""The log store's source for the daemon's own log."""

BACKLOG = 4 << 20
"""About how many bytes of messages may wait for a slow disk; what does not fit is dropped and counted."""

RESERVED = frozenset({"message", "timestamp", "source", "text", "stream", "service", "time", "seq", "self"})

Item = LogDict | Event | None
"""A log structure to write; an event to set once all before it is written; ``None`` for the end."""


class Backlog(Queue[Item]):
    """A queue bounded by the size of what waits in it, not by the count: 10,000 tracebacks are not 10,000 short lines.

    It overrides the four methods that :class:`queue.Queue` has for this.
    """

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self._bytes = 0

    def _qsize(self) -> int:
        return self._bytes

    def _put(self, item: Item) -> None:
        self._bytes += _weight(item)
        super()._put(item)

    def _get(self) -> Item:
        item: Item = super()._get()
        self._bytes -= _weight(item)
        return item


def _weight(item: Item) -> int:
    # 600 bytes: a dict of this shape with its short values, measured with sys.getsizeof on Python 3.11.
    return 600 + len(item["message"]) if isinstance(item, dict) else 1


class PrintLogThread(Thread):
    """Writes what it finds on its *queue* to the log *name* below the folder *path*, until it finds the end.

    It does not close the store: :meth:`paradrop.base.output.Output.endLogging` does, once this thread has ended.
    """

    def __init__(
        self,
        path: Path | str,
        queue: Queue[Item],
        name: str = SOURCE,
        *,
        store: LogStore | None = None,
        wall: WallClock = time.time,
    ) -> None:
        super().__init__(name=f"log-{name}", daemon=True)  # a disk that hangs must not keep the process from ending
        self.store = LogStore(Path(path), wall) if store is None else store
        self.source = name
        self.queue = queue

    def run(self) -> None:
        while (item := self.queue.get()) is not None:
            if isinstance(item, Event):
                item.set()
            else:
                self._write(item)

    def flush(self, timeout: float) -> bool:
        """Wait until all that is on the queue now is written; false when that took more than *timeout* seconds."""
        done = Event()
        try:
            self.queue.put(done, timeout=timeout)
        except Full:
            return False
        return done.wait(timeout)

    def finish(self, timeout: float) -> bool:
        """Write all that is on the queue and end the thread; false when that took more than *timeout* seconds."""
        try:
            self.queue.put(None, timeout=timeout)
        except Full:
            return False
        self.join(timeout)
        return not self.is_alive()

    def _write(self, logDict: LogDict) -> None:
        more: dict[str, Any] = {key: value for key, value in logDict.items() if key not in RESERVED}
        message, moment = str(logDict["message"]), logDict.get("timestamp")
        stream = str(logDict["type"]).lower()
        try:
            self.store.append(self.source, message, stream=stream, time=moment, **more)
        except (TypeError, ValueError, RecursionError):  # something in it that JSON cannot hold
            self.store.append(self.source, message, stream=stream, time=moment, type=logDict["type"])


def structures(store: LogStore, target: float) -> Iterator[LogDict]:
    """The log structures later than *target* (seconds since the epoch); messages that were split are whole again."""
    with suppress(LogNotFound):
        parts: list[str] = []
        for record in store.since(SOURCE, target):
            parts.append(record["text"])
            if not record.pop(CONTINUES, False):
                yield _structure(record, "".join(parts))
                parts = []


def _structure(record: Record, message: str) -> LogDict:
    """A log store's record as a log structure."""
    stream = str(record["stream"]).upper()
    kind = stream if stream in Level.__members__ else Level.INFO.name
    rest = {key: value for key, value in record.items() if key not in ("text", "time", "stream", "service")}
    return {"type": kind, **rest, "message": message, "timestamp": record["time"]}
