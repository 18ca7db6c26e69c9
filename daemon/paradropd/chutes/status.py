"""From what is wanted and what is seen to the words a person reads: pure functions.

A chute is as its worst service is. The order, from worst to best::

    failed        it ended again and again; it is still tried, ever more seldom
    restarting    it ended, and will be started again in a moment
    unhealthy     it runs, and its health check says no
    starting      a change is bringing it up
    running
    stopped       as somebody asked
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paradrop.manifest.model import Service
from paradrop.values import ChuteState, ChuteStatus, ServiceStatus, Want
from paradropd.chutes.model import Chute
from paradropd.engine.port import InstanceKey, InstanceState, InstanceStatus

WORST_FIRST = (
    ChuteState.FAILED,
    ChuteState.RESTARTING,
    ChuteState.UNHEALTHY,
    ChuteState.STARTING,
    ChuteState.RUNNING,
    ChuteState.STOPPED,
)

GIVING_UP = 5
"""Ends in a row after which a chute is called failed."""


@dataclass(frozen=True, slots=True)
class Care:
    """What the keeper knows of one instance beside the engine's word."""

    ends: int = 0
    """How often in a row it ended soon after a start."""
    restarts: int = 0
    healthy: bool = True
    problem: str = ""
    """Why it could not be started again."""


def status(
    chute: Chute, states: Mapping[InstanceKey, InstanceState], care: Mapping[InstanceKey, Care], *, changing: bool
) -> ChuteStatus:
    """What to show of *chute*. *changing*: whether a change of it is running."""
    release = chute.release
    services = tuple(_service(chute, service, states, care, changing) for service in release.manifest.services)
    started = [service.started for service in services if service.started is not None]
    web = release.manifest.web
    return ChuteStatus(
        name=chute.name,
        version=release.manifest.version,
        release=release.number,
        state=min((service.state for service in services), key=WORST_FIRST.index),
        want=chute.want,
        description=release.manifest.description,
        since=min(started) if started else None,
        web=f"/chutes/{chute.name}/" if web else None,
        services=services,
        detail="; ".join(f"{service.name}: {service.detail}" for service in services if service.detail),
    )


def _service(
    chute: Chute,
    service: Service,
    states: Mapping[InstanceKey, InstanceState],
    care: Mapping[InstanceKey, Care],
    changing: bool,
) -> ServiceStatus:
    key = chute.release.key(service)
    state, cared = states.get(key), care.get(key, Care())
    running = state is not None and state.status is InstanceStatus.RUNNING
    return ServiceStatus(
        name=service.name,
        state=_state(chute.want, running, cared, changing),
        image=service.image or service.kind.value,
        restarts=cared.restarts,
        exit_code=None if state is None or running else state.exit_code,
        started=state.started if state is not None and running else None,
        detail=_detail(chute.want, state, cared),
    )


def _state(want: Want, running: bool, cared: Care, changing: bool) -> ChuteState:
    if running:
        return ChuteState.RUNNING if cared.healthy else ChuteState.UNHEALTHY
    if want is Want.STOPPED:
        return ChuteState.STARTING if changing else ChuteState.STOPPED
    if changing:
        return ChuteState.STARTING
    return ChuteState.FAILED if cared.ends >= GIVING_UP else ChuteState.RESTARTING


def _detail(want: Want, state: InstanceState | None, cared: Care) -> str:
    if cared.problem:
        return cared.problem
    if want is Want.STOPPED or state is None or state.status is InstanceStatus.RUNNING:
        return "" if cared.healthy else "the health check says no"
    return f"ended with exit code {state.exit_code}" + (f" ({state.detail})" if state.detail else "")
