"""Following Docker's events, through restarts of Docker."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.application.internet import backoffPolicy
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from paradrop.base.exceptions import ParadropException
from paradropd.engine.docker.calls import Calls
from paradropd.engine.docker.names import Names
from paradropd.engine.docker.roster import Roster
from paradropd.engine.docker.wire import Stream, Wire, messages

_log = Logger()


class Watcher:
    """Keeps a roster true to what Docker does.

    An event only says *where* to look: what is told comes from the look. So nothing depends on the order of events, or on all of
    them being seen.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        calls: Calls,
        wire: Wire,
        names: Names,
        roster: Roster,
        background: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._reactor, self._calls, self._wire, self._names = reactor, calls, wire, names
        self._roster, self._background = roster, background
        self._stream: Stream | None = None
        self._closed = False

    async def open(self) -> None:
        """Take up what is there, without telling of it, and watch from now on. Raises :class:`EngineError`."""
        stream = await self._connect(tell=False)
        self._background(self._watch(stream))

    async def _watch(self, stream: Stream) -> None:
        delay = backoffPolicy(initialDelay=0.5, maxDelay=10.0, factor=2.0)
        failed = 0
        current: Stream | None = stream
        while True:
            try:
                if current is None:
                    current = await self._connect(tell=True)
                    _log.info("Docker answers again")
                failed = 0
                await current.finished
                _log.warn("Docker closed its events: it is restarting, or gone")
            except ParadropException as problem:
                _log.debug("Docker: {problem}", problem=problem)
            current = None
            if self._closed:
                return  # by an observer that we have just told something: there was nothing to cancel
            await deferLater(self._reactor, delay(failed))
            failed += 1

    async def _connect(self, *, tell: bool) -> Stream:
        """Listen first, and look then: what happens in between is seen twice rather than never."""
        filters = {**self._names.container_filters(), "type": ["container"], "event": ["start", "die", "destroy"]}
        self._wire.version = await self._calls.version()
        parameters = {"filters": json.dumps(filters)}
        self._stream = stream = await self._wire.stream("GET", "/events", messages(self._event), parameters=parameters)
        try:
            await self._roster.look(tell=tell)
        except BaseException:
            self._hang_up()
            raise
        return stream

    def _event(self, event: dict[str, Any]) -> None:
        entry = self._roster.get(event["Actor"]["ID"])
        if entry is None:
            if event["Action"] == "start":
                self._background(self._roster.look())
        elif entry.starting:
            entry.missed = True
        elif not entry.leaving:
            self._background(self._roster.refresh(entry))

    def close(self) -> None:
        """Stop listening, for good."""
        self._closed = True
        self._hang_up()

    def _hang_up(self) -> None:
        if self._stream is not None:
            self._stream.finished.addErrback(lambda failure: failure.trap(ParadropException))
            self._stream.close()
