"""What one container prints, followed to its end.

A container that we start is *attached* before it runs: nothing is lost at the start or at the end, and when we read slowly the
container waits. Docker's log (``logs?follow``) cannot do that: dockerd 20.10 with ``max-size`` was seen to drop 79 of 100 MB that
a container printed faster than the log was read. It is what remains for a container found running after a restart of ours: it
has the engine's times, so it goes on from the last time that was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred, succeed

from paradrop.base.exceptions import EngineError
from paradrop.base.seams import WallClock
from paradropd.engine.docker.frames import Frames, Piece, merged, stamped
from paradropd.engine.docker.wire import Stream, Wire

KEPT = 512

Deliver = Callable[[str, bytes, float], None]
"""``deliver(stream, data, time)``."""


class Follower:
    """One container's output.

    :ivar last: time of the newest output delivered, in seconds since the epoch.
    :ivar complaint: the first piece of what it printed on stderr, at most :data:`KEPT` bytes.
    :ivar reading: whether a stream of it is open, or being opened.
    """

    def __init__(self, wire: Wire, wall: WallClock, container: str, deliver: Deliver, last: float | None = None) -> None:
        self._wire, self._wall, self._container, self._deliver = wire, wall, container, deliver
        self.last = last
        self._stream: Stream | None = None
        self._closed = False
        self.complaint = b""
        self._waiting: list[Deferred[None]] = []
        self.reading = False

    async def attach(self) -> None:
        """Take the output of a container that is about to start. Raises :class:`EngineError`."""
        frames = Frames()

        def receive(data: bytes) -> None:
            now = self._wall()
            self._hand_on(Piece(stream, payload, now) for stream, payload in frames.feed(data))

        await self._read("POST", "attach", receive, stream=1)

    async def follow(self) -> None:
        """Take what it printed after :attr:`last` and what it still prints. Raises :class:`EngineError`."""
        frames = Frames()
        after = self.last

        def receive(data: bytes) -> None:
            pieces = (stamped(stream, payload) for stream, payload in frames.feed(data))
            self._hand_on(piece for piece in pieces if after is None or piece.time > after)

        since = {} if after is None else {"since": f"{after:.9f}"}
        await self._read("GET", "logs", receive, follow=1, timestamps=1, **since)

    async def _read(self, method: str, what: str, receive: Callable[[bytes], None], **parameters: str | int) -> None:
        if self.reading:
            return
        self.reading = True
        path = f"/containers/{self._container}/{what}"
        try:
            self._stream = await self._wire.stream(method, path, receive, parameters={"stdout": 1, "stderr": 1, **parameters})
        except BaseException:
            self._ended()
            raise
        # A stream that broke ends like any other: whoever waits for the end looks at the container next.
        self._stream.finished.addErrback(lambda failure: failure.trap(EngineError)).addBoth(lambda _: self._ended())
        if self._closed:
            self._stream.close()

    def _hand_on(self, pieces: Iterable[Piece]) -> None:
        for piece in merged(pieces):
            self.last = piece.time
            if piece.stream == "err" and not self.complaint:
                self.complaint = piece.data[:KEPT]
            self._deliver(*piece)

    def _ended(self) -> None:
        self.reading, self._stream = False, None
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    def ended(self) -> Deferred[None]:
        """Fires at the end of what is being read; at once when nothing is."""
        if not self.reading:
            return succeed(None)
        deferred: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(deferred)
        return deferred

    def close(self) -> None:
        """Stop reading, for good."""
        self._closed = True
        if self._stream is not None:
            self._stream.close()
