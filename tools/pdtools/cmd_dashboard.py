"""``dashboard``: the device's page, already logged in."""

from __future__ import annotations

import click

from pdtools.app import App, command, json_option


@click.command(epilog="Example: pdtools dashboard --no-open")
@click.option("--no-open", is_flag=True, help="Only print the address.")
@json_option
@command
async def dashboard(app: App, no_open: bool, as_json: bool) -> None:
    """Print a one-time address of the dashboard, and open it where there is a display."""
    app.only_here("The dashboard")
    link = await app.with_device(lambda device: device.link())
    if as_json:
        app.show.json(link)
    else:
        app.show.text(str(link["url"]))
    if app.browser is not None and not no_open and not as_json:
        app.browser(str(link["url"]))
