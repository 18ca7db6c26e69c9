"""From what is and what is wanted to a list of steps: pure functions, with no engine in sight."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from paradrop.values import Want
from paradropd.changes.steps import (
    AwaitHealthy,
    Build,
    CloseSocket,
    Forget,
    OpenSocket,
    Record,
    RemoveInstance,
    Start,
    Step,
    Stop,
    Tidy,
)
from paradropd.chutes.model import Chute
from paradropd.engine.port import InstanceState, InstanceStatus

Have = Iterable[InstanceState]
"""The instances of one chute that there are, of whatever release."""


def plan(have: Have, want: Chute) -> tuple[Step, ...]:
    """The steps from *have* to *want*.

    Images are made before anything is stopped, so that a chute that does not build costs nobody anything. What ran before is
    stopped, and cleared away only when the new release has proved itself: until then going back is a plan like any other.
    """
    instances = sorted(have, key=lambda state: state.key)
    release = want.release
    if want.want is Want.STOPPED:
        return (*_stops(instances), CloseSocket(want.name), Record(want), *_removals(instances, want))
    builds = [Build(release, service.name) for service in release.manifest.services if service.name not in release.images]
    running = {state.key for state in instances if state.status is InstanceStatus.RUNNING}
    missing = [service.name for service in release.manifest.services if release.key(service) not in running]
    others = _stops(state for state in instances if state.key not in release.keys)
    if not missing and not builds:
        return (*others, Record(want), *_removals(instances, want), Tidy(want.name))
    return (
        *builds,
        *others,
        OpenSocket(release),
        *(Start(release, service) for service in missing),
        AwaitHealthy(release),
        Record(want),
        *_removals(instances, want),
        Tidy(want.name),
    )


def plan_restart(have: Have, want: Chute) -> tuple[Step, ...]:
    """Stop whatever runs, then :func:`plan`."""
    instances = sorted(have, key=lambda state: state.key)
    ended = [replace(state, status=InstanceStatus.EXITED) for state in instances]
    return (*_stops(instances), *plan(ended, want))


def plan_removal(have: Have, chute: str, *, keep_data: bool = False, keep_log: bool = False) -> tuple[Step, ...]:
    """The steps to a device that does not know *chute*."""
    instances = sorted(have, key=lambda state: state.key)
    return (
        *_stops(instances),
        CloseSocket(chute),
        *(RemoveInstance(state.key) for state in instances),
        Forget(chute, keep_data, keep_log),
        Tidy(chute),
    )


def touches(steps: Iterable[Step]) -> bool:
    """Whether any of the steps alters what runs."""
    return any(isinstance(step, Stop | Start | RemoveInstance) for step in steps)


def _stops(instances: Have) -> tuple[Stop, ...]:
    return tuple(Stop(state.key) for state in instances if state.status is InstanceStatus.RUNNING)


def _removals(instances: Have, want: Chute) -> tuple[RemoveInstance, ...]:
    """What is of another release, or ended when it is wanted to be stopped."""
    wanted = want.release.keys if want.want is Want.RUNNING else ()
    return tuple(RemoveInstance(state.key) for state in instances if state.key not in wanted)
