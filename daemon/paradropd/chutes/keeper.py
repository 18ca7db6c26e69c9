"""Keeps chutes as they are wanted: starts again what ended, checks health, restores everything after a start of the daemon.

What is wanted is only ever read here. A chute that a change is working on is left to the change: both hold the chute's lock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, NoReturn

from twisted.application.internet import backoffPolicy
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from paradrop.base.exceptions import EngineUnavailable, ParadropException
from paradrop.base.seams import WallClock
from paradrop.values import ChuteStatus, Want
from paradropd.changes.plan import plan, plan_removal
from paradropd.changes.progress import reason_of
from paradropd.changes.steps import OpenSocket, RemoveInstance, Start, Step, Stop
from paradropd.chutes.checks import Checks
from paradropd.chutes.health import HealthChecker
from paradropd.chutes.model import Chute, Release
from paradropd.chutes.status import Care, status
from paradropd.chutes.store import ChuteStore
from paradropd.engine.port import Engine, InstanceKey, InstanceState, InstanceStatus
from paradropd.logs import Collector

log = Logger(namespace="paradropd.keeper")

STEADY = 60.0
"""Seconds after which a run counts as a success: the next end is the first in a row again."""

PATIENCE = 20.0
"""Seconds a change waits for the engine to be there when the daemon has just started."""

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
        self._locks: dict[str, DeferredLock] = defaultdict(DeferredLock)
        self._care: dict[InstanceKey, Care] = {}
        self._retries: dict[str, IDelayedCall] = {}
        self._work: set[Deferred[None]] = set()
        self._checks = Checks(clock, self._checked)
        self._attempts: dict[str, int] = {}
        """How often in a row it was tried to clear away what is left over of a chute."""
        self._stopping = False
        self._begun = False
        self._waiting: list[Deferred[None]] = []
        self.states: dict[InstanceKey, InstanceState] = {}
        """The newest word of the engine about each instance."""

    async def begin(self, engine: Engine, perform: Callable[[Step], Awaitable[None]], health: HealthChecker) -> None:
        """Clear away what is nobody's, and bring every chute to what is wanted of it.

        Raises :class:`EngineUnavailable` when the engine cannot say what there is.
        """
        self._engine, self._perform, self._checks.health = engine, perform, health
        self.states.update({state.key: state for state in await engine.instances()})
        self._begun = True
        for waiting in self._waiting:
            if not waiting.called:
                waiting.callback(None)
        self._waiting.clear()
        names = {chute.name for chute in self._store.all()} | {key.chute for key in self.states}
        # Chutes that a change works on come last: their turn may be long in coming.
        for name in sorted(names, key=lambda name: (bool(self._locks[name].locked), name)):
            await self.converge(name, reopen=True)

    async def ready(self) -> None:
        """Wait until the engine is there, as it is not for the first moments of the daemon.

        Raises :class:`EngineUnavailable` when that takes more than :data:`PATIENCE`.
        """
        if self._begun:
            return

        def away(result: object, seconds: float) -> NoReturn:
            raise EngineUnavailable(f"the engine has not been there for {seconds:g} s")

        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        await waiting.addTimeout(PATIENCE, self._clock, away)

    def stop(self) -> None:
        """Leave nothing pending, and react to nothing any more."""
        self._stopping = True
        for name in list(self._retries):
            self._cancel_retry(name)
        self._checks.stop()
        for work in list(self._work):
            work.cancel()

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
        if self._stopping:
            return
        chute = self._store.find(name)
        if chute is not None:
            self._forget_others(chute)
            self._schedule_checks(chute)
        if not self._locks[name].locked and name not in self._retries:
            delay = self._due(name, chute)
            if delay is not None:
                self._retries[name] = self._clock.callLater(delay, self._retry, name)
        if chute is not None:
            self._announce(self.status(chute))
        elif not self._locks[name].locked:
            del self._locks[name]  # nobody holds it or waits for it, and who comes gets a new one

    def settled(self, name: str) -> None:
        """A change of that chute has ended well: whatever went wrong before is history."""
        self._cancel_retry(name)
        chute = self._store.find(name)
        if chute is not None:
            self._schedule_checks(chute)
            self._checks.proven(name)
        for key in [key for key in self._care if key.chute == name]:
            del self._care[key]

    def gone(self, name: str) -> None:
        """That chute is not there any more. What could not be removed of it is cleared away by :meth:`look_after`."""
        self._cancel_retry(name)
        self._checks.leave(name)
        for key in [key for key in self._care if key.chute == name]:
            del self._care[key]
        self._attempts.pop(name, None)

    async def converge(self, name: str, *, reopen: bool = False) -> None:
        """Bring one chute to what is wanted, without waiting for its health. An error is kept as the chute's detail.

        *reopen*: give a chute that is running its way to the fabric again, which ended with the daemon before.
        """
        lock = self._locks[name]
        await lock.acquire()
        chute, problem = None, ""
        try:
            chute = self._store.find(name)
            for step in self._steps(name, chute, reopen=reopen):
                if self._perform is not None:
                    await self._perform(step)
        except CancelledError:
            raise
        except Exception as failure:  # noqa: BLE001 - one chute that cannot be started must not keep the others from it
            problem = reason_of(failure)
            log.warn("{name} could not be started: {problem}", name=name, problem=problem)
        finally:
            if chute is not None:
                self._note(chute, problem)
            lock.release()
        self.look_after(name)

    def _steps(self, name: str, chute: Chute | None, *, reopen: bool) -> tuple[Step, ...]:
        have = [state for state in self.states.values() if state.key.chute == name]
        if chute is None:
            # A first deploy that was cut short, or could not be undone. Whether there was data before it is not known any more.
            return plan_removal(have, name, keep_data=True, keep_log=True)
        steps = tuple(step for step in plan(have, chute) if isinstance(step, Stop | OpenSocket | Start | RemoveInstance))
        if reopen and chute.want is Want.RUNNING and not any(isinstance(step, OpenSocket) for step in steps):
            return (OpenSocket(chute.release), *steps)
        return steps

    def _due(self, name: str, chute: Chute | None) -> float | None:
        """Seconds until something is to be done for a chute that nobody works on; ``None`` when it is as it should be."""
        wanted = chute.release.keys if chute is not None and chute.want is Want.RUNNING else ()
        ended = [key for key in wanted if not self._runs(key)]
        if ended:
            return max(delay_after(self._count_end(key) - 1) for key in ended)
        left_over = chute is None and bool(self._store.numbers(name))
        if left_over or any(key.chute == name and key not in wanted for key in self.states):
            self._attempts[name] = self._attempts.get(name, 0) + 1
            return delay_after(self._attempts[name] - 1)
        self._attempts.pop(name, None)
        return None

    def _retry(self, name: str) -> None:
        del self._retries[name]
        self._spawn(self.converge(name))

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
        if chute.want is Want.RUNNING and all(self._runs(key) for key in chute.release.keys):
            self._checks.watch(chute.release)
        else:
            self._checks.leave(chute.name)

    def _checked(self, release: Release, noes: int) -> None:
        """A health check has answered."""
        chute, health = self._store.find(release.chute), release.manifest.health
        if health is None or chute is None or chute.release.number != release.number or self._locks[chute.name].locked:
            return  # a change works on it
        key = InstanceKey(chute.name, health.service, release.number)
        unhealthy = noes >= health.retries
        care = self._care.get(key, Care())
        if care.healthy == unhealthy and (unhealthy or noes == 0):
            self._care[key] = replace(care, healthy=not unhealthy)
            self._announce(self.status(chute))
        if unhealthy:
            log.warn("{name} is not healthy: it is started again", name=chute.name)
            self._spawn(self._end(key, health.timeout))

    async def _end(self, key: InstanceKey, grace: float) -> None:
        """End an instance, so that it is started again like one that ended by itself."""
        lock = self._locks[key.chute]
        await lock.acquire()
        try:
            if self._engine is not None:
                await self._engine.stop(key, grace)
        except ParadropException as problem:
            log.warn("{key} could not be ended: {problem}", key=key, problem=problem)
        finally:
            lock.release()
        self.look_after(key.chute)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin *work*, which ends when the keeper is stopped."""
        running = Deferred.fromCoroutine(work)
        self._work.add(running)
        running.addErrback(self._failed)
        running.addBoth(lambda _: self._work.discard(running))

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            log.failure("keeping a chute failed in an unforeseen way", failure)
