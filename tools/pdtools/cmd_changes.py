"""``changes``: what was done to the device, and how it ended."""

from __future__ import annotations

import click

from pdtools import tables
from pdtools.app import App, device_command, json_option
from pdtools.device import Device


@click.command(epilog="Example: pdtools changes -n 5")
@click.argument("identity", metavar="[ID]", required=False)
@click.option("-n", "limit", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="How many at most.")
@click.option("--chute", metavar="NAME", help="Only of this chute.")
@json_option
@device_command
async def changes(app: App, device: Device, identity: str | None, limit: int, chute: str | None, as_json: bool) -> None:
    """List the last changes, the newest first, or show the change ID with its steps."""
    if identity is not None:
        record = await device.change(identity)
        if as_json:
            app.show.json(record)
        else:
            app.show.table(tables.change(record))
        return
    records = await device.changes(limit, chute)
    if as_json:
        app.show.json(records)
    elif records:
        app.show.table(tables.changes(records, app.wall()))
    else:
        app.show.note("No changes yet.")
