"""``logs``: what a chute, or the daemon, has said and says."""

from __future__ import annotations

import click
from rich.text import Text

from paradrop import uris
from paradrop.base.exceptions import LogNotFound, NotFound
from paradrop.values import LogLine, plain
from pdtools.app import App, command, json_option
from pdtools.device import Device
from pdtools.fabric import Fabric, Inbox
from pdtools.moment import clock_time, since
from pdtools.tail import Tail, Wanted, follow

DAEMON = "daemon"
LAST = 100
"""Lines shown when nothing is said about how many."""
STYLES = {"err": "log.err", "ERR": "log.err", "WARN": "warn", "build": "quiet"}


@click.command(epilog="Example: pdtools logs hello --since 5m")
@click.argument("chute", required=False)
@click.option("--since", "since_text", metavar="TIME", help="Only later lines: 30s, 5m, 2h, 3d ago, or 2026-05-31T14:00.")
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on until Ctrl-C, also over a lost link.")
@click.option("-n", "last", type=click.IntRange(min=0), metavar="LINES", help=f"At most the last LINES ({LAST} without --since).")
@click.option("--service", metavar="NAME", help="Only of this service of the chute.")
@json_option
@command
async def logs(
    app: App, chute: str | None, since_text: str | None, follows: bool, last: int | None, service: str | None, as_json: bool
) -> None:
    """Print the log of CHUTE, or of the daemon. With --json, each line is a line of JSON."""
    start = None if since_text is None else since(since_text, app.wall())
    wanted = Wanted(source_of(chute), start, LAST if last is None and start is None else last, service)
    printer = Printer(app, wanted.source, as_json)
    tail = Tail(wanted, printer.lines, printer.missed)

    async def go_on(fabric: Fabric) -> None:
        await printer.learn(Device(fabric), chute, service)
        await follow(fabric, Inbox(fabric, app.clock), tail)

    async def once(device: Device) -> None:
        await printer.learn(device, chute, service)
        await tail.begin(device)

    try:
        await (app.staying(go_on) if follows else app.with_device(once))
    except LogNotFound:
        raise LogNotFound(f"There is no log of {chute!r}: no such chute, or it has said nothing yet.") from None


def source_of(chute: str | None) -> str:
    """The name of a chute's log, or of the daemon's."""
    return DAEMON if chute is None else uris.CHUTE_AREA + chute


class Printer:
    """Lines on the screen; with the service's name where a chute has several."""

    def __init__(self, app: App, source: str, as_json: bool) -> None:
        self._app = app
        self._source = source
        self._json = as_json
        self._several = False

    async def learn(self, device: Device, chute: str | None, service: str | None) -> None:
        """Ask whether the chute has several services. A chute that is gone may have had."""
        if chute is None or service is not None or self._json:
            return
        try:
            self._several = len((await device.chute(chute)).services) > 1
        except NotFound:
            self._several = True

    def lines(self, lines: list[LogLine]) -> None:
        for line in lines:
            if self._json:
                self._app.show.json_line({"source": self._source, **plain(line)})
            else:
                self._app.show.line(self._line(line))
        self._app.show.flush()

    def missed(self, count: int) -> None:
        self._app.show.warn(f"{count} lines are gone: the device removed them to make room.")

    def _line(self, line: LogLine) -> Text:
        head: list[str | tuple[str, str]] = [(f"{clock_time(line.time)}  ", "quiet")]
        style = STYLES.get(line.stream, "")
        if self._source == DAEMON:
            head.append((f"{line.stream:<5}", style or "quiet"))
        elif self._several and line.service:
            head.append((f"{line.service}  ", "name"))
        text = self._app.show.theirs(line.text)
        text.stylize_before(style)
        return Text.assemble(*head, text)
