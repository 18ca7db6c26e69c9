"""``provision`` and ``unprovision``: a device on this machine joins a server, or leaves it."""

from __future__ import annotations

import click

from paradrop.tokens import Token
from paradrop.values import Uplink, UplinkState
from pdtools import secret
from pdtools.app import App, command, json_option
from pdtools.device import Device
from pdtools.known import tidy
from pdtools.link import pause

PATIENCE, INTERVAL = 10.0, 0.5
"""Seconds that a new link is waited for, and between two looks at it."""


@click.command(epilog="Example: pdtools provision https://shop.example:8443")
@click.argument("url")
@click.argument("token", required=False)
@json_option
@click.pass_obj
def provision(app: App, url: str, token: str | None, as_json: bool) -> None:
    """Let the device join the server at URL, by the claim TOKEN that its administrator made.

    TOKEN is asked for when left out, and - reads it from standard input. A device that belongs to a server already moves.
    """
    app.only_here("Provisioning")
    url, claim = tidy(url), secret.token(app, token, "claim token")
    uplink = app.drive(app.with_device(lambda device: join(app, device, url, claim)))
    if as_json:
        app.show.json(uplink)
        return
    app.show.raw(f"This device is {uplink.pdid} at {uplink.server or url} now.")
    if uplink.state is not UplinkState.ONLINE:
        problem = f" ({uplink.problem})" if uplink.problem else ""
        app.show.note(f"Its link is {uplink.state.value}{problem}. See: pdtools status")


async def join(app: App, device: Device, url: str, claim: Token) -> Uplink:
    """Have the device claim its place, and wait a moment for its link: an operator wants to see it."""
    uplink = await device.provision(url, str(claim))
    for _ in range(round(PATIENCE / INTERVAL)):
        if uplink.state is not UplinkState.CONNECTING:
            break
        await pause(app.clock, INTERVAL)
        uplink = (await device.info()).uplink
    return uplink


@click.command(epilog="Example: pdtools unprovision")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@command
async def unprovision(app: App, yes: bool, as_json: bool) -> None:
    """Let the device leave its server, and be on its own again. Its chutes go on."""
    app.only_here("Un-provisioning")
    app.confirm("Leave the server? To come back, the device needs a new claim token.", yes)

    async def leave(device: Device) -> tuple[str | None, Uplink]:
        return (await device.info()).pdid, await device.unprovision()

    before, uplink = await app.with_device(leave)
    if as_json:
        app.show.json(uplink)
    else:
        app.show.raw("This device belongs to no server now.")
        if uplink.problem and before:
            remedy = f"pdtools server remove-device {before} (or claim-token for another device)"
            app.show.warn(f"Left here, but {uplink.problem}; there: {remedy}")
