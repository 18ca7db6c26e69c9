"""The record of one change, as it goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from paradrop.base.exceptions import InteralException, ParadropException
from paradrop.base.seams import WallClock
from paradrop.values import ChangeRecord, ChangeState, StepRecord, StepState
from paradropd.changes.steps import Forget, Record, RemoveInstance, Step, Tidy

log = Logger(namespace="paradropd.changes")

Perform = Callable[[Step], Awaitable[None]]


class Progress:
    """Does steps and keeps the change's record, which is saved before and after each of them."""

    def __init__(self, record: ChangeRecord, save: Callable[[ChangeRecord], None], perform: Perform, wall: WallClock) -> None:
        self.record = record
        self.begun: list[Step] = []
        self._save = save
        self._perform = perform
        self._wall = wall
        self._steps: list[StepRecord] = []
        self._next = 0

    async def do(self, steps: Iterable[Step]) -> None:
        """The planned steps. Raises what the step that fails raises; those after it are not done."""
        planned = tuple(steps)
        self._steps = [StepRecord(title=step.title) for step in planned]
        self._update(state=ChangeState.PLANNED)
        await self._do_all(planned)

    async def go_back(self, steps: Iterable[Step]) -> None:
        """What was not planned, and is to be done now. Raises like :meth:`do`."""
        planned = tuple(steps)
        self._next = len(self._steps)
        self._steps += [StepRecord(title=f"go back: {step.title}") for step in planned]
        await self._do_all(planned)

    def failed(self) -> None:
        """The step that was under way has failed; those after it are not done."""
        self._steps = list(cut_short(self._steps, self._wall()))
        if self._steps:
            self._update(state=ChangeState.RUNNING)

    def end(self, state: ChangeState, reason: str = "", retry: bool = False) -> None:
        self._update(state=state, reason=reason, retry=retry, finished=self._wall())

    async def _do_all(self, steps: Iterable[Step]) -> None:
        settled = False
        for step in steps:
            self.begun.append(step)
            self._mark(StepState.RUNNING, started=self._wall())
            try:
                await self._perform(step)
            except CancelledError:
                raise
            except Exception as problem:
                # Once what is wanted is written down, what cannot be cleared away is no reason to undo it.
                if not isinstance(step, Tidy) and not (settled and isinstance(step, RemoveInstance)):
                    raise
                log.warn("{chute}: {step}: {problem}", chute=self.record.chute, step=step.title, problem=reason_of(problem))
                self._mark(StepState.FAILED, finished=self._wall())
            else:
                self._mark(StepState.DONE, finished=self._wall())
            settled = settled or isinstance(step, Record | Forget)
            self._next += 1

    def _mark(self, state: StepState, *, started: float | None = None, finished: float | None = None) -> None:
        step = self._steps[self._next]
        self._steps[self._next] = replace(
            step, state=state, started=step.started if started is None else started, finished=finished
        )
        self._update(state=ChangeState.RUNNING)

    def _update(self, **changed: Any) -> None:
        self.record = replace(self.record, steps=tuple(self._steps), revision=self.record.revision + 1, **changed)
        self._save(self.record)


def cut_short(steps: Iterable[StepRecord], now: float) -> tuple[StepRecord, ...]:
    """*steps* as they are when nothing more of them is done: what was under way has failed."""
    failed = (replace(step, state=StepState.FAILED, finished=now) if step.state is StepState.RUNNING else step for step in steps)
    return tuple(step for step in failed if step.state is not StepState.WAITING)


def reason_of(problem: Exception) -> str:
    """Why it failed, for a person. What is not foreseen is a defect: its traceback goes to the log and nowhere else."""
    if isinstance(problem, ParadropException):
        return str(problem)
    log.failure("a step failed in an unforeseen way")
    return str(InteralException())


def may_retry(problem: Exception) -> bool:
    return isinstance(problem, ParadropException) and problem.retry
