"""Keeps chutes as they are wanted: starts again what ended, checks health, restores everything after a start of the daemon.

What is wanted is only ever read here. A chute that a change is working on is left to the change: both hold the chute's lock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from twisted.application.internet import backoffPolicy
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from paradrop.base.exceptions import ParadropException
from paradrop.base.seams import WallClock
from paradrop.values import ChuteStatus, Want
from paradropd.changes.plan import plan
from paradropd.changes.steps import OpenSocket, RemoveInstance, Start, Step, Stop
from paradropd.chutes.health import HealthChecker
from paradropd.chutes.model import Chute
from paradropd.chutes.status import Care, status
from paradropd.chutes.store import ChuteStore
from paradropd.engine.port import Engine, InstanceKey, InstanceState, InstanceStatus
from paradropd.logs import Collector

log = Logger(namespace="paradropd.keeper")

STEADY = 60.0
"""Seconds after which a run counts as a success: the next end is the first in a row again."""

delay_after = backoffPolicy(initialDelay=1.0, maxDelay=60.0, factor=2.0)
"""Seconds to wait after so many ends in a row: 1, doubling to 60, each with up to a second of jitter."""


class Keeper:
    """Watches the engine (it is its observer) and brings back what should run."""

    def __init__(
        self,
        *,
        clock: IReactorTime,
        wall: WallClock,
        store: ChuteStore,
        logs: Collector,
        announce: Callable[[ChuteStatus], Any],
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._store = store
        self._logs = logs
        self._announce = announce
        self._engine: Engine | None = None
        self._perform: Callable[[Step], Awaitable[None]] | None = None
        self._health: HealthChecker | None = None
        self._locks: dict[str, DeferredLock] = defaultdict(DeferredLock)
        self._care: dict[InstanceKey, Care] = {}
        self._retries: dict[str, IDelayedCall] = {}
        self._checks: dict[str, LoopingCall] = {}
        self._failures: dict[str, int] = {}
        self._stopping = False
        self.states: dict[InstanceKey, InstanceState] = {}
        """The newest word of the engine about each instance."""

    async def begin(self, engine: Engine, perform: Callable[[Step], Awaitable[None]], health: HealthChecker) -> None:
        """Clear away what is nobody's, and bring every chute to what is wanted of it."""
        self._engine, self._perform, self._health = engine, perform, health
        self.states.update({state.key: state for state in await engine.instances()})
        chutes = {chute.name: chute for chute in self._store.all()}
        for key in list(self.states):
            if key.chute not in chutes:
                await engine.remove(key)
                del self.states[key]
        for name in chutes:
            await self.converge(name)

    def stop(self) -> None:
        """Leave nothing pending, and react to nothing any more."""
        self._stopping = True
        for call in self._retries.values():
            call.cancel()
        self._retries.clear()
        for check in self._checks.values():
            check.stop()
        self._checks.clear()

    def lock(self, name: str) -> DeferredLock:
        """Held by whoever alters that chute."""
        return self._locks[name]

    def status(self, chute: Chute) -> ChuteStatus:
        return status(chute, self.states, self._care, changing=self._locks[chute.name].locked)

    # The engine calls these.

    def state_changed(self, state: InstanceState) -> None:
        self.states[state.key] = state
        if state.status is InstanceStatus.EXITED:
            self._logs.ended(state.key, self._wall())
        if not self._stopping:
            self.look_after(state.key.chute)

    def output(self, key: InstanceKey, stream: str, data: bytes, time: float) -> None:
        self._logs.output(key, stream, data, time)

    # Changes call this when they are through with a chute.

    def look_after(self, name: str) -> None:
        """See that the chute is as it should be; say how it is."""
        chute = self._store.find(name)
        if chute is None:
            return
        self._forget_others(chute)
        self._schedule_checks(chute)
        if not self._locks[name].locked and chute.want is Want.RUNNING and name not in self._retries:
            ended = [key for key in chute.release.keys if not self._runs(key)]
            if ended:
                delay = max(delay_after(self._count_end(key) - 1) for key in ended)
                self._retries[name] = self._clock.callLater(delay, self._retry, name)
        self._announce(self.status(chute))

    def settled(self, name: str) -> None:
        """A change of that chute has ended well: whatever went wrong before is history."""
        self._cancel_retry(name)
        for key in [key for key in self._care if key.chute == name]:
            del self._care[key]

    def gone(self, name: str) -> None:
        """That chute is not there any more."""
        self._cancel_retry(name)
        self._stop_checks(name)
        for table in (self.states, self._care):
            for key in [key for key in table if key.chute == name]:
                del table[key]

    async def converge(self, name: str) -> None:
        """Bring one chute to what is wanted, without waiting for its health. An error is kept as the chute's detail."""
        lock = self._locks[name]
        await lock.acquire()
        try:
            chute = self._store.find(name)
            if chute is not None and self._perform is not None:
                have = [state for state in self.states.values() if state.key.chute == name]
                for step in plan(have, chute):
                    if isinstance(step, Stop | OpenSocket | Start | RemoveInstance):
                        await self._perform(step)
                self._note(chute, "")
        except ParadropException as problem:
            log.warn("{name} could not be started: {problem}", name=name, problem=problem)
            if chute is not None:
                self._note(chute, str(problem))
        finally:
            lock.release()
        if not self._stopping:
            self.look_after(name)

    def _retry(self, name: str) -> None:
        del self._retries[name]
        Deferred.fromCoroutine(self.converge(name)).addErrback(lambda failure: log.failure("keeping {name}", failure, name=name))

    def _cancel_retry(self, name: str) -> None:
        call = self._retries.pop(name, None)
        if call is not None:
            call.cancel()

    def _runs(self, key: InstanceKey) -> bool:
        state = self.states.get(key)
        return state is not None and state.status is InstanceStatus.RUNNING

    def _count_end(self, key: InstanceKey) -> int:
        """One more end of *key* in a row, or the first after a steady run. Returns how many."""
        care, state = self._care.get(key, Care()), self.states.get(key)
        steady = state is not None and state.started is not None and self._wall() - state.started > STEADY
        ends = 1 if steady else care.ends + 1
        self._care[key] = replace(care, ends=ends, restarts=care.restarts + 1)
        return ends

    def _note(self, chute: Chute, problem: str) -> None:
        for key in chute.release.keys:
            self._care[key] = replace(self._care.get(key, Care()), problem=problem)

    def _forget_others(self, chute: Chute) -> None:
        """Drop what is known of instances of earlier releases once they have ended."""
        keys = chute.release.keys
        for key in [key for key in self._care if key.chute == chute.name and key not in keys]:
            del self._care[key]

    def _schedule_checks(self, chute: Chute) -> None:
        health = chute.release.manifest.health
        runs = health is not None and chute.want is Want.RUNNING and all(self._runs(key) for key in chute.release.keys)
        if not runs:
            self._stop_checks(chute.name)
        elif chute.name not in self._checks and health is not None:
            check = LoopingCall(lambda: Deferred.fromCoroutine(self._check(chute.name)))
            check.clock = self._clock
            self._checks[chute.name] = check
            check.start(health.interval, now=False)

    def _stop_checks(self, name: str) -> None:
        check = self._checks.pop(name, None)
        self._failures.pop(name, None)
        if check is not None and check.running:
            check.stop()

    async def _check(self, name: str) -> None:
        chute = self._store.find(name)
        if chute is None or self._health is None or self._locks[name].locked:
            return
        health = chute.release.manifest.health
        if health is None:
            return
        key = InstanceKey(name, health.service, chute.release.number)
        healthy = await self._health.healthy(chute.release)
        self._failures[name] = 0 if healthy else self._failures.get(name, 0) + 1
        care = self._care.get(key, Care())
        unhealthy = self._failures[name] >= health.retries
        if care.healthy == unhealthy:
            self._care[key] = replace(care, healthy=not unhealthy)
            self._announce(self.status(chute))
        if unhealthy and self._engine is not None:
            log.warn("{name} is not healthy: it is started again", name=name)
            self._failures[name] = 0
            await self._engine.stop(key, health.timeout)
