"""What each kind of change is to do: decided when its turn has come, from what is wanted of the chute by then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from paradrop.values import Want
from paradropd.changes.plan import plan, plan_removal, plan_restart
from paradropd.changes.steps import Step, Tidy
from paradropd.chutes.model import Chute, Release
from paradropd.engine.port import InstanceState

Plan = Callable[[tuple[InstanceState, ...]], tuple[Step, ...]]
"""From the instances of the chute that there are to steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    version: str
    steps: Plan
    back: Plan = lambda have: ()
    """Plans the way back after a failure."""
    before: Chute | None = None
    """What a failed deploy goes back to."""


def deploying(release: Release, before: Chute | None, *, keep_data: bool) -> Task:
    """*keep_data*: whether the data that is there was there before the deploy."""
    want = Chute(want=Want.RUNNING, release=release)

    def back(have: tuple[InstanceState, ...]) -> tuple[Step, ...]:
        if before is None:
            # The log stays: it tells why there is nothing.
            return plan_removal(have, release.chute, keep_data=keep_data, keep_log=True)
        tidy = Tidy(release.chute)
        return (*(step for step in plan(have, before) if step != tidy), tidy)

    return Task(version=release.manifest.version, steps=lambda have: plan(have, want), back=back, before=before)


def starting(chute: Chute) -> Task:
    want = replace(chute, want=Want.RUNNING)
    version = chute.release.manifest.version
    if chute.want is Want.RUNNING:
        return Task(version=version, steps=lambda have: plan(have, want))
    return Task(version=version, steps=lambda have: plan(have, want), back=lambda have: plan(have, chute))


def stopping(chute: Chute) -> Task:
    want = replace(chute, want=Want.STOPPED)
    return Task(version=chute.release.manifest.version, steps=lambda have: plan(have, want))


def restarting(chute: Chute) -> Task:
    want = replace(chute, want=Want.RUNNING)
    return Task(version=chute.release.manifest.version, steps=lambda have: plan_restart(have, want))


def removing(name: str, version: str, *, keep_data: bool) -> Task:
    """*version*: empty when there is no such chute, and only its log is left over."""
    return Task(version=version, steps=lambda have: plan_removal(have, name, keep_data=keep_data))
