"""Following a change to its final state, over lost events and lost links."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import CancelledError

from paradrop import uris
from paradrop.base.exceptions import ChangeFailed, DeadlineExceeded, InvalidInput, NotFound, ParadropException, Unreachable
from paradrop.values import ChangeKind, ChangeRecord, ChangeState, read
from pdtools.app import App
from pdtools.device import Device
from pdtools.fabric import Event, Fabric, Inbox
from pdtools.progress import Progress

SAFETY = 3.0
"""Seconds without an event after which the record itself is asked for: an event can be lost, the record cannot."""
WAITING = "w-"
"""How the id of a change begins that a server keeps for a device that is away."""
DONE = {
    ChangeKind.START: "started",
    ChangeKind.STOP: "stopped",
    ChangeKind.RESTART: "restarted",
    ChangeKind.REMOVE: "removed",
    ChangeKind.DEPLOY: "runs",
}


class Watch:
    """The newest known record of one change; its observer hears of each newer one."""

    def __init__(self, record: ChangeRecord, update: Callable[[ChangeRecord], None]) -> None:
        self.record = record
        self._update = update
        update(record)

    def see(self, record: ChangeRecord) -> None:
        """Take *record* in, unless it is of another change or older than what is known."""
        if record.id == self.record.id and record.revision > self.record.revision:
            self.record = record
            self._update(record)

    async def follow(self, fabric: Fabric, inbox: Inbox[ChangeRecord]) -> ChangeRecord:
        """Wait for the final state on this link. May be called again on the next link."""
        await fabric.subscribe(lambda event: _put(inbox, event), uris.local(uris.ON_CHANGE))
        while not self.record.state.final:
            # Asked after subscribing and after each silence: what was published in between is in the record.
            self.see(await Device(fabric).change(self.record.id))
            while not self.record.state.final:
                heard = await inbox.next(SAFETY)
                if heard is None:
                    break
                self.see(heard)
        return self.record


def _put(inbox: Inbox[ChangeRecord], event: Event) -> None:
    try:
        inbox.put(read(ChangeRecord, *event.args))
    except (InvalidInput, TypeError):
        # Not a record that this version knows how to read: the safety net asks for one.
        return


async def nothing(device: Device, progress: Progress) -> None:
    """A change that needs no preparation."""


async def carry_out(
    app: App,
    ask: Callable[[Device], Awaitable[ChangeRecord]],
    as_json: bool,
    prepare: Callable[[Device, Progress], Awaitable[None]] = nothing,
) -> None:
    """Ask for a change, show it as it goes, and end with it.

    *prepare* comes first, and again on the next link when this one is lost in the middle of it; *ask* is done once. Raises
    :class:`ChangeFailed` unless the change ends as done. When a person has enough of waiting, the change goes on, and they are
    told how to see it.
    """
    watch: Watch | None = None
    with Progress(app.show) as progress:

        async def work(fabric: Fabric) -> ChangeRecord:
            nonlocal watch
            if watch is None:
                await prepare(Device(fabric), progress)
                watch = Watch(await _once(Device(fabric), ask), progress.update)
            if waits(watch.record):
                return watch.record
            return await watch.follow(fabric, Inbox(fabric, app.clock))

        try:
            record = await app.staying(work)
        except CancelledError:
            if watch is not None:
                progress.stop()
                app.show.note(f"The change goes on. To see it: pdtools changes {watch.record.id}")
            raise
    await conclude(app, record, as_json)


async def _once(device: Device, ask: Callable[[Device], Awaitable[ChangeRecord]]) -> ChangeRecord:
    """What *ask* says. When its answer is lost, it may have been heard, and nobody must ask again by themselves."""
    try:
        return await ask(device)
    except (Unreachable, DeadlineExceeded) as unknown:
        if device.fabric.connected and isinstance(unknown, Unreachable):
            raise
        message = "The device's answer was lost. Whether it took the change: pdtools changes"
        raise ParadropException(message) from unknown


def waits(record: ChangeRecord) -> bool:
    """Whether the server keeps this change for a device that is away: nobody knows when it will be back."""
    return record.id.startswith(WAITING) and not record.state.final


async def conclude(app: App, record: ChangeRecord, as_json: bool) -> None:
    """Say how a change ended. Raises :class:`ChangeFailed` unless it is done, or waits for its device."""
    if as_json:
        app.show.json(record)
    if waits(record):
        if not as_json:
            app.show.raw(f"{app.subject} is offline: {_subject(record)} is saved on the server, and delivered when it is back.")
            app.show.note(f"See: pdtools server wanted {app.subject}")
        return
    if record.state is ChangeState.DONE:
        if not as_json:
            app.show.raw(f"{_subject(record)} {DONE[record.kind]}.")
        return
    how = "was rolled back" if record.state is ChangeState.ROLLED_BACK else "failed"
    again = " The same may work when tried again." if record.retry else ""
    what = f"{record.kind} of {_subject(record)} {how}: {record.reason or 'no reason given'}{again}"
    raise ChangeFailed(f"{what}\n{await _now(app, record)}")


def _subject(record: ChangeRecord) -> str:
    return f"{record.chute} {record.version}" if record.kind is ChangeKind.DEPLOY and record.version else record.chute


async def _now(app: App, record: ChangeRecord) -> str:
    """What is there after a failed change."""
    try:
        chute = await app.with_device(lambda device: device.chute(record.chute))
    except NotFound:
        return f"There is no {record.chute} on {app.subject} now."
    return f"{chute.name} {chute.version} is {chute.state} now."
