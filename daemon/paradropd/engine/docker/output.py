"""What one container prints, read from Docker's log to its end.

The log has the engine's own time for everything, so reading goes on after a restart of ours where it stopped, with nothing lost
and nothing twice. :mod:`.throttle` keeps the container from printing faster than that.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.internet.interfaces import IReactorTime

from paradrop.base.exceptions import ParadropException
from paradrop.base.seams import WallClock
from paradropd.engine.docker.frames import Frames, News, merged, stamped
from paradropd.engine.docker.throttle import Throttle
from paradropd.engine.docker.wire import Stream, Wire

FIRST_WORDS = 512
"""Bytes."""

Deliver = Callable[[str, bytes, float], None]
"""``deliver(stream, data, time)``."""


class Follower:
    """One container's output.

    :ivar last: time of the newest output delivered, in seconds since the epoch.
    :ivar complaint: how the first piece it printed on stderr begins, at most :data:`FIRST_WORDS`.
    :ivar reading: whether its log is being read.
    """

    def __init__(
        self, reactor: IReactorTime, wire: Wire, wall: WallClock, container: str, deliver: Deliver, last: float | None = None
    ) -> None:
        self._reactor, self._wire, self._wall = reactor, wire, wall
        self._container, self._deliver = container, deliver
        self.last = last
        self.complaint = b""
        self.reading = False
        self._stream: Stream | None = None
        self._throttle: Throttle | None = None
        self._closed = False
        self._one_at_a_time = DeferredLock()
        self._waiting: list[Deferred[None]] = []

    async def follow(self) -> None:
        """Read what it prints, from :attr:`last` on, until its end. Nothing to do when that is being done.

        Raises what :meth:`.wire.Wire.stream` raises.
        """
        if self.reading:
            return
        self.reading = True
        try:
            self._throttle = throttle = Throttle(self._reactor, self._wire, self._container)
            Deferred.fromCoroutine(throttle.open())
            await self._read(throttle, follow=1)
        finally:
            self._ended()

    async def rest(self) -> None:
        """Read what there is after :attr:`last` in the log of a container that has ended.

        Following a log is not enough: it may end a moment before the last lines are in it.
        """
        await self._one_at_a_time.run(lambda: Deferred.fromCoroutine(self._read(None, follow=0)))

    async def _read(self, throttle: Throttle | None, follow: int) -> None:
        frames, after, begun = Frames(), self.last, self._wall()
        news = {stream: News(after) for stream in ("out", "err")}

        def receive(data: bytes) -> None:
            now = self._wall()
            stamps = (stamped(stream, payload) for stream, payload in frames.feed(data))
            pieces = [piece for piece in stamps if news[piece.stream].takes(piece.time, now)]
            for piece in merged(pieces):
                self._hand_on(*piece)
            if throttle is not None:
                # What was printed before we attached has not been counted there either.
                throttle.seen(sum(len(piece.data) for piece in pieces if piece.time >= begun))

        parameters: dict[str, str | int] = {"follow": follow, "stdout": 1, "stderr": 1, "timestamps": 1}
        if after is not None:
            parameters["since"] = f"{after:.9f}"
        path = f"/containers/{self._container}/logs"
        self._stream = stream = await self._wire.stream("GET", path, receive, parameters=parameters)
        if self._closed:
            stream.close()
        try:
            # A stream that broke ends like any other: whoever waits for the end looks at the container next.
            with suppress(ParadropException):
                await stream.finished
        finally:
            stream.close()

    def _hand_on(self, stream: str, data: bytes, time: float) -> None:
        self.last = time
        if stream == "err" and not self.complaint:
            self.complaint = data[:FIRST_WORDS]
        self._deliver(stream, data, time)

    def _ended(self) -> None:
        self.reading, self._stream = False, None
        if self._throttle is not None:
            self._throttle.close()
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    def ended(self) -> Deferred[None]:
        """Fires when its log is no longer being read; at once when it is not."""
        if not self.reading:
            return succeed(None)
        deferred: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(deferred)
        return deferred

    def close(self) -> None:
        """Stop reading, for good."""
        self._closed = True
        for stream in (self._stream, self._throttle):
            if stream is not None:
                stream.close()
