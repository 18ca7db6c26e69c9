"""``server audit``: what was done, and what was tried."""

from __future__ import annotations

import click

from paradrop.values import AuditEntry
from pdtools import server_tables
from pdtools.app import App, command, json_option
from pdtools.fabric import Fabric, Inbox
from pdtools.server import Server

PAGE = 500
"""Entries in one question."""
INTERVAL = 2.0
"""Seconds between two questions: the log is no topic, since whoever reads it is not a device's peer."""


@click.command(epilog="Example: pdtools server audit -n 50 -f")
@click.option("-n", "last", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="The last N entries.")
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on until Ctrl-C, also over a lost link.")
@json_option
@command
async def audit(app: App, last: int, follows: bool, as_json: bool) -> None:
    """Print the audit log: every administrative action, and every attempt that was denied.

    With --json, each entry is a line of JSON.
    """
    seen: int | None = None

    async def forward(server: Server) -> None:
        nonlocal seen
        while True:
            page = await server.audit(-last if seen is None else seen, min(PAGE, last) if seen is None else PAGE)
            for entry in page:
                print_entry(app, entry, as_json)
            app.show.flush()
            seen = page[-1].id if page else seen or 0
            if len(page) < PAGE:
                return

    async def go_on(fabric: Fabric) -> None:
        inbox: Inbox[None] = Inbox(fabric, app.clock)
        while True:
            await forward(Server(fabric))
            await inbox.next(INTERVAL)

    if follows:
        await app.staying_at_server(go_on)
    else:
        await app.with_server(forward)
        if not seen and not as_json:
            app.show.note("Nothing yet.")


def print_entry(app: App, entry: AuditEntry, as_json: bool) -> None:
    if as_json:
        app.show.json_line(entry)
    else:
        app.show.line(server_tables.audit_line(entry))
