"""The containers we know of, and telling the observer what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from twisted.internet.defer import TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from paradrop.base.exceptions import EngineError, NotFound
from paradrop.base.seams import WallClock
from paradropd.engine.docker.calls import Calls
from paradropd.engine.docker.containers import follows, running, state_of
from paradropd.engine.docker.names import Names
from paradropd.engine.docker.output import Follower
from paradropd.engine.docker.wire import Wire
from paradropd.engine.port import InstanceKey, InstanceState, InstanceStatus, Observer

LAST_WORDS = 5.0
"""Seconds to wait for the rest of the output of a container that has ended."""

STREAM_ENDED = 1.0
"""Seconds after the end of a container's output in which its own end is expected."""

Resume = Callable[[InstanceKey], float | None]
"""Time of the last output that was kept of an instance, in seconds since the epoch."""


@dataclass(slots=True)
class Entry:
    """One container of ours. It is here only because its labels said so, or because we made it; ids are never used twice."""

    id: str
    key: InstanceKey
    follower: Follower
    state: InstanceState | None = None
    leaving: bool = False
    """Nothing more is told about it: it is being removed, or its start failed."""
    starting: bool = False
    """Its first state is told by whoever starts it; events wait until then."""
    missed: bool = False
    """Whether an event came meanwhile."""


class Roster:
    """Entries by container id. All methods run on the reactor's thread."""

    def __init__(
        self,
        reactor: IReactorTime,
        calls: Calls,
        wire: Wire,
        wall: WallClock,
        names: Names,
        observer: Observer,
        resume: Resume,
        background: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._reactor, self._calls, self._wire, self._wall = reactor, calls, wire, wall
        self._names, self._observer, self._resume = names, observer, resume
        self._background = background
        self._entries: dict[str, Entry] = {}

    def of(self, key: InstanceKey) -> list[Entry]:
        return [entry for entry in self._entries.values() if entry.key == key and not entry.leaving]

    def get(self, container: str) -> Entry | None:
        return self._entries.get(container)

    def add(self, container: str, key: InstanceKey, *, last: float | None = None) -> Entry:
        def deliver(stream: str, data: bytes, time: float) -> None:
            self._observer.output(key, stream, data, time)

        follower = Follower(self._reactor, self._wire, self._wall, container, deliver, last)
        entry = self._entries[container] = Entry(container, key, follower)
        return entry

    def drop(self, entry: Entry) -> None:
        entry.leaving = True
        entry.follower.close()
        self._entries.pop(entry.id, None)

    def states(self) -> Iterator[InstanceState]:
        return (entry.state for entry in self._entries.values() if entry.state is not None and not entry.leaving)

    async def look(self, *, tell: bool = True) -> None:
        """Compare with what Docker has: take up what is new, follow its output, tell what changed.

        Without *tell*, the present states are only noted: they are what an observer starts from.
        """
        listed = await self._calls("containers", all=True, filters=self._names.container_filters())
        found = {item["Id"]: item for item in listed if self._names.key(item) is not None}
        for entry in [entry for entry in self._entries.values() if entry.id not in found and not entry.starting]:
            self._gone(entry)
        for container, item in found.items():
            await self._look_at(container, item, tell)

    async def _look_at(self, container: str, item: Mapping[str, Any], tell: bool) -> None:
        key = self._names.key(item)
        entry = self._entries.get(container)
        if entry is None and key is not None:
            entry = self.add(container, key, last=self._resume(key))
        if entry is None or entry.leaving or entry.starting:
            return
        known_running = entry.state is not None and entry.state.status is InstanceStatus.RUNNING
        if entry.state is None or known_running != running(item):
            await self.refresh(entry, tell=tell)
        elif known_running:
            self.follow(entry)

    async def refresh(self, entry: Entry, *, tell: bool = True) -> None:
        """Look at one container and tell what changed; its end is told after the last of its output."""
        try:
            inspected = await self._calls("inspect_container", entry.id)
        except NotFound:
            self._gone(entry)
            return
        state = state_of(inspected, entry.key, self._names.network(entry.key.chute))
        if state.status is InstanceStatus.RUNNING:
            self.follow(entry)
        elif follows(state, entry.state):
            await self.last_words(entry)
        self.apply(entry, state, tell=tell)

    def follow(self, entry: Entry) -> None:
        """See to it that a running container's output is read."""
        if not entry.follower.reading:
            self._background(self._follow(entry))

    async def _follow(self, entry: Entry) -> None:
        """Reading that ends before its container does is taken up again: the log is sometimes cut off when Docker rotates it."""
        await entry.follower.follow()
        if entry.leaving:
            return
        await deferLater(self._reactor, STREAM_ENDED)
        if not entry.leaving and entry.state is not None and entry.state.status is InstanceStatus.RUNNING:
            await self.refresh(entry)

    async def last_words(self, entry: Entry) -> None:
        """Wait until all output of an ended container is here, at most :data:`LAST_WORDS`."""
        with suppress(EngineError, NotFound, TimeoutError):
            await entry.follower.ended().addTimeout(LAST_WORDS, self._reactor)
            await entry.follower.rest()

    def apply(self, entry: Entry, state: InstanceState, *, tell: bool = True) -> None:
        """Note a state, and tell it when it is news."""
        if entry.leaving or not follows(state, entry.state):
            return
        entry.state = state
        if tell:
            self._observer.state_changed(state)

    def _gone(self, entry: Entry) -> None:
        """Somebody else removed it."""
        if entry.state is not None and entry.state.status is InstanceStatus.RUNNING:
            self.apply(entry, replace(entry.state, status=InstanceStatus.EXITED, address=None, detail="was removed from Docker"))
        self.drop(entry)

    def close(self) -> None:
        for entry in list(self._entries.values()):
            self.drop(entry)
