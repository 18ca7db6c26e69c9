"""``status`` and ``ps``: the device and its chutes at a glance."""

from __future__ import annotations

import click

from pdtools import tables
from pdtools.app import App, device_command, json_option
from pdtools.device import Device


@click.command(epilog="Example: pdtools status")
@json_option
@device_command
async def status(app: App, device: Device, as_json: bool) -> None:
    """Show the device: what it runs on, and how it is."""
    info = await device.info()
    if as_json:
        app.show.json(info)
    else:
        app.show.table(tables.node(info))


@click.command(epilog="Example: pdtools ps")
@click.argument("name", required=False)
@json_option
@device_command
async def ps(app: App, device: Device, name: str | None, as_json: bool) -> None:
    """List the chutes, or the services of the chute NAME."""
    if name is not None:
        chute = await device.chute(name)
        if as_json:
            app.show.json(chute)
        else:
            app.show.table(tables.services(chute, app.wall()))
        return
    chutes = await device.chutes()
    if as_json:
        app.show.json(chutes)
    elif chutes:
        app.show.table(tables.chutes(chutes, app.wall()))
    else:
        app.show.note("No chutes. Deploy one: pdtools deploy chutes/hello")
