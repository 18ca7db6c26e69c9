"""How far a deploy or a change is: a bar for a person, lines for a file. All of it on standard error."""

from __future__ import annotations

from types import TracebackType

from rich.filesize import decimal
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.text import Text

from paradrop.values import ChangeRecord, StepState
from pdtools.show import Show, safe


class Progress:
    """Shows one amount at a time: bytes sent, then the steps of a change."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._said: set[tuple[int, StepState]] = set()
        self._bars: Bars | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Progress:
        if self._show.err.is_terminal:
            self._bars = Bars(
                BarColumn(bar_width=24, complete_style="bar.complete", finished_style="bar.finished"),
                TextColumn("{task.fields[count]}", style="quiet", markup=False),
                TextColumn("{task.description}", markup=False),
                TimeElapsedColumn(),
                console=self._show.err,
                transient=True,
            )
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Leave the screen as it was."""
        if self._bars is not None:
            self._bars.stop()

    def say(self, sentence: str) -> None:
        """A fact that stays on the screen."""
        self._show.note(sentence)

    def sent(self, done: int, total: int) -> None:
        """*done* of *total* bytes of the source are on the device."""
        self._bar("sending", done, total, f"{decimal(done)} of {decimal(total)}")

    def _bar(self, what: str, done: int, total: int, count: str) -> None:
        if self._bars is None:
            return
        if self._task is None:
            self._task = self._bars.add_task(what, total=total, count=count)
        self._bars.update(self._task, description=what, completed=done, total=total, count=count)

    def update(self, record: ChangeRecord) -> None:
        """The steps of a change."""
        done = sum(step.state is StepState.DONE for step in record.steps)
        running = next((step.title for step in record.steps if step.state is StepState.RUNNING), record.state.value)
        self._bar(safe(running).plain, done, max(1, len(record.steps)), f"{done}/{len(record.steps)}")
        for number, step in enumerate(record.steps, 1):
            if step.state in (StepState.DONE, StepState.FAILED) and (number, step.state) not in self._said:
                self._said.add((number, step.state))
                took = f" ({step.finished - step.started:.1f}s)" if step.started is not None and step.finished is not None else ""
                mark = ("✓ " if step.state is StepState.DONE else "✗ ", f"state.{step.state}")
                place = f"{number}/{len(record.steps)} " if self._bars is None else ""
                line = Text.assemble(mark, place, safe(step.title), (took, "quiet"))
                self._show.err.print(line, soft_wrap=True)
