"""Whether a release does its work: one check, asked whenever somebody wants to know."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.web.iweb import IAgent

from paradrop import uris
from paradrop.manifest.model import Health, HealthCheck
from paradrop.values import ProcedureInfo
from paradropd.chutes.model import Release
from paradropd.engine.port import Engine, InstanceKey, InstanceState

log = Logger(namespace="paradropd.keeper")


def missing(chute: str, health: Health) -> str:
    """What the check waits for, in words."""
    match health.check:
        case HealthCheck.PROCEDURE:
            return f"it has not registered {chute}.{health.procedure}"
        case HealthCheck.HTTP:
            return f"GET {health.path} on its port {health.port} is not answered with 2xx or 3xx"
        case HealthCheck.COMMAND:
            return f"{shlex.join(health.command)} does not exit with 0"


class HealthChecker:
    """Asks a release how it is, in the way its manifest names."""

    def __init__(
        self,
        clock: IReactorTime,
        engine: Engine,
        agent: IAgent,
        states: Mapping[InstanceKey, InstanceState],
        procedures: Callable[[], Iterable[ProcedureInfo]],
    ) -> None:
        self._clock = clock
        self._engine = engine
        self._agent = agent
        self._states = states
        self._procedures = procedures

    async def healthy(self, release: Release) -> bool:
        """The answer of one check; a check that fails in whatever way, or takes too long, is a no."""
        health = release.manifest.health
        if health is None:
            return True
        check: Deferred[bool] = Deferred.fromCoroutine(self._ask(release, health))
        check.addTimeout(health.timeout, self._clock)
        try:
            return await check
        except CancelledError:
            raise
        except Exception as problem:  # noqa: BLE001 - an agent's errors have no common root
            log.debug("{name}: its health check failed: {problem}", name=release.chute, problem=problem)
            return False

    async def _ask(self, release: Release, health: Health) -> bool:
        key = InstanceKey(release.chute, health.service, release.number)
        match health.check:
            case HealthCheck.PROCEDURE:
                uri = uris.chute_space(release.chute) + health.procedure
                return any(info.uri == uri and info.owner == release.chute for info in self._procedures())
            case HealthCheck.HTTP:
                return await self._get(key, health)
            case HealthCheck.COMMAND:
                return await self._engine.execute(key, health.command, health.timeout) == 0

    async def _get(self, key: InstanceKey, health: Health) -> bool:
        state = self._states.get(key)
        if state is None or state.address is None:
            return False
        url = f"http://{state.address}:{health.port}{health.path}"
        response = await self._agent.request(b"GET", url.encode("ascii"))
        response.deliverBody(_NotRead())
        return bool(response.code < 400)


class _NotRead(Protocol):
    """Ends the connection instead of reading the body."""

    def connectionMade(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
