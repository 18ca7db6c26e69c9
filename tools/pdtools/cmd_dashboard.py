"""``dashboard``: the device's page, already logged in."""

from __future__ import annotations

import click

from pdtools.app import App, device_command, json_option
from pdtools.device import Device


@click.command(epilog="Example: pdtools dashboard --no-open")
@click.option("--no-open", is_flag=True, help="Only print the address.")
@json_option
@device_command
async def dashboard(app: App, device: Device, no_open: bool, as_json: bool) -> None:
    """Print a one-time address of the dashboard, and open it where there is a display."""
    link = await device.link()
    if as_json:
        app.show.json(link)
    else:
        app.show.text(str(link["url"]))
    if app.browser is not None and not no_open and not as_json:
        app.browser(str(link["url"]))
