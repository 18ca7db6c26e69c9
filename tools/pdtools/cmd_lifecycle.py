"""``start``, ``stop``, ``restart`` and ``remove``: one change each."""

from __future__ import annotations

import click

from paradrop import uris
from paradrop.values import ChangeRecord
from pdtools.app import App, command, json_option
from pdtools.device import Device
from pdtools.watch import carry_out


def _simple(verb: str, procedure: str, help_text: str) -> click.Command:
    @click.command(verb, help=help_text, epilog=f"Example: pdtools {verb} hello")
    @click.argument("name")
    @json_option
    @command
    async def change(app: App, name: str, as_json: bool) -> None:
        async def ask(device: Device) -> ChangeRecord:
            return await device.change_of(procedure, name)

        await carry_out(app, ask, as_json)

    return change


@click.command(epilog="Example: pdtools remove hello --keep-data")
@click.argument("name")
@click.option("--keep-data", is_flag=True, help="Keep the chute's data folder for a later deploy of the same name.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def remove(app: App, name: str, keep_data: bool, yes: bool, as_json: bool) -> None:
    """Remove the chute NAME, and its data unless --keep-data."""
    place = f" from {app.pdid}" if app.pdid else ""
    app.confirm(f"Remove {name}{place}" + ("?" if keep_data else " and all its data?"), yes, "Nothing was removed.")

    async def ask(device: Device) -> ChangeRecord:
        return await device.change_of(uris.CHUTES_REMOVE, name, keep_data)

    app.drive(carry_out(app, ask, as_json))


ALL = (
    _simple("start", uris.CHUTES_START, "Start the chute NAME, and wait until it runs."),
    _simple("stop", uris.CHUTES_STOP, "Stop the chute NAME. It stays stopped over restarts of the device."),
    _simple("restart", uris.CHUTES_RESTART, "Stop the chute NAME and start it again."),
    remove,
)
