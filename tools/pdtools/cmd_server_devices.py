"""``server devices`` and what is done to one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from paradrop.base.exceptions import InvalidInput
from paradrop.values import Invitation
from pdtools import server_tables
from pdtools.app import App, json_option, server_command
from pdtools.moment import clock_time, duration
from pdtools.server import Server

F = TypeVar("F", bound=Callable[..., Any])


def expires_option(usual: str) -> Callable[[F], F]:
    """``--expires``: how long a token is good."""
    return click.option("--expires", default=usual, show_default=True, metavar="TIME", help="How long it is good: 30m, 24h, 7d.")


def lifetime(text: str) -> float:
    """Seconds. Raises :class:`InvalidInput`."""
    seconds = duration(text)
    if seconds <= 0:
        raise InvalidInput(f"--expires {text}: it would never be good")
    return seconds


def hand_over(app: App, invitation: Invitation, command: str, as_json: bool) -> None:
    """Print a token, and what to do with it; *command* takes the server's URL and the token."""
    if as_json:
        app.show.json(invitation)
        return
    app.show.raw(invitation.token)
    url = invitation.url or app.server.url
    app.show.note(f"It works once, until {clock_time(invitation.expires)}:\n  {command} {url} {invitation.token}")


@click.command(epilog="Example: pdtools server devices")
@json_option
@server_command
async def devices(app: App, server: Server, as_json: bool) -> None:
    """List the devices that you may see, and whether they are online."""
    known = await server.devices()
    if as_json:
        app.show.json(known)
    elif known:
        app.show.table(server_tables.devices(known, app.wall()))
    else:
        app.show.note("No devices yet. Make one: pdtools server create-device acme.r1")


@click.command("create-device", epilog="Example: pdtools server create-device acme.r1 --group shops")
@click.argument("pdid")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="Put it into this group; may be repeated.")
@json_option
@server_command
async def create_device(app: App, server: Server, pdid: str, groups: tuple[str, ...], as_json: bool) -> None:
    """Make a place for a device, called PDID."""
    device = await server.create_device(pdid, list(groups))
    if as_json:
        app.show.json(device)
        return
    app.show.raw(f"{device.pdid} is there, and waits for its device.")
    app.show.note(f"Next: pdtools server claim-token {device.pdid}")


@click.command("remove-device", epilog="Example: pdtools server remove-device acme.r1")
@click.argument("pdid")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def remove_device(app: App, pdid: str, yes: bool) -> None:
    """Remove the device PDID from the server: its key is not taken any more. The device itself, and its chutes, go on."""
    app.confirm(f"Remove {pdid} from the server, with all roles on it and all that waits for it?", yes, "Nothing was removed.")
    app.drive(app.with_server(lambda server: server.remove_device(pdid)))
    app.show.raw(f"{pdid} removed.")


@click.command("claim-token", epilog="Example: pdtools server claim-token acme.r1 --expires 1h")
@click.argument("pdid")
@expires_option("24h")
@json_option
@server_command
async def claim_token(app: App, server: Server, pdid: str, expires: str, as_json: bool) -> None:
    """Print a token with which a device becomes PDID.

    When PDID has a device, the new one takes its place as soon as it uses the token.
    """
    hand_over(app, await server.invite_device(pdid, lifetime(expires)), "pdtools provision", as_json)


@click.command(epilog="Example: pdtools server wanted acme.r1")
@click.argument("pdid")
@click.option("--forget", metavar="CHUTE", help="Give up what waits for this chute instead.")
@json_option
@server_command
async def wanted(app: App, server: Server, pdid: str, forget: str | None, as_json: bool) -> None:
    """Show what was deployed to PDID while it was offline, and what it has."""
    if forget is not None:
        await server.forget_wanted(pdid, forget)
    known = await server.wanted(pdid)
    if as_json:
        app.show.json(known)
    elif known:
        app.show.table(server_tables.wanted(known, app.wall()))
    else:
        app.show.note(f"Nothing waits for {pdid}, and nothing did.")


ALL = (devices, create_device, remove_device, claim_token, wanted)
