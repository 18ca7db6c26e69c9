"""Holding a container back that prints faster than its log is read.

Docker's log is bounded, so it forgets what is not read in time: dockerd 20.10 was seen to drop 79 of 100 MB printed at 20 MB/s.
But Docker also passes the same bytes to whoever is attached, and waits for him. So we attach too, throw away what comes, and stop
reading as soon as that is too far ahead of what has come out of the log.
"""

from __future__ import annotations

from contextlib import suppress

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from paradrop.base.exceptions import ParadropException
from paradropd.engine.docker.frames import Frames
from paradropd.engine.docker.wire import Stream, Wire

AHEAD = 2 << 20
"""Bytes that may be printed and not yet read from the log: with Docker's own buffers (1 MB, and the socket's) much less than one
of its log files holds."""

PATIENCE = 30.0
"""Seconds without anything from the log after which a held container is let go: better lost output than a chute that stands."""


class Throttle:
    """One container's. It holds it back only while :meth:`seen` is called now and then."""

    def __init__(self, reactor: IReactorTime, wire: Wire, container: str) -> None:
        self._reactor, self._wire, self._container = reactor, wire, container
        self._frames = Frames()
        self._stream: Stream | None = None
        self._ahead = 0
        self._held: IDelayedCall | None = None
        self._closed = False

    async def open(self) -> None:
        """Attach. When that does not work the container has ended, or is not held back."""
        with suppress(ParadropException):
            path, parameters = f"/containers/{self._container}/attach", {"stream": 1, "stdout": 1, "stderr": 1}
            self._stream = stream = await self._wire.stream("POST", path, self._printed, parameters=parameters)
            if self._closed:
                stream.close()
            with suppress(ParadropException):
                await stream.finished
        self.let_go()

    def _printed(self, data: bytes) -> None:
        self._ahead += sum(len(payload) for _, payload in self._frames.feed(data))
        if self._ahead > AHEAD and self._held is None and self._stream is not None:
            self._held = self._reactor.callLater(PATIENCE, self.let_go)
            self._stream.pause()

    def seen(self, size: int) -> None:
        """*size* bytes came out of the log."""
        self._ahead -= size
        if self._held is None:
            return
        if self._ahead < AHEAD // 2:
            self._resume()
        else:
            self._held.reset(PATIENCE)

    def let_go(self) -> None:
        """Forget how far ahead it is: nobody reads the log."""
        self._ahead = 0
        self._resume()

    def _resume(self) -> None:
        held, self._held = self._held, None
        if held is None:
            return
        if held.active():
            held.cancel()
        if self._stream is not None:
            self._stream.resume()

    def close(self) -> None:
        self._closed = True
        self.let_go()
        if self._stream is not None:
            self._stream.close()
