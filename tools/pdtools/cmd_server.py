"""``server``: logging in to one, and the server itself."""

from __future__ import annotations

import click

from paradrop.base.exceptions import Conflict, ParadropException
from paradrop.tokens import Token
from paradrop.values import ServerInfo
from pdtools import (
    cmd_server_audit,
    cmd_server_devices,
    cmd_server_groups,
    cmd_server_users,
    secret,
    server_tables,
)
from pdtools.app import App, json_option, server_command
from pdtools.known import KnownServer, pick, tidy
from pdtools.server import Server


@click.group()
def server() -> None:
    """Log in to a server, and manage its devices and people."""


@server.command(epilog="Example: pdtools server login https://shop.example:8443")
@click.argument("url")
@click.argument("code", required=False)
@json_option
@click.pass_obj
def login(app: App, url: str, code: str | None, as_json: bool) -> None:
    """Log in to the server at URL, by the login CODE that its administrator made.

    CODE is asked for when left out, and - reads it from standard input. A key is made for you, for this server only; the
    code works once, and from then on the key proves who you are.
    """
    url, token = tidy(url), secret.token(app, code, "login code")
    known, info = app.drive(enrol(app, url, token))
    if as_json:
        app.show.json(info)
        return
    app.show.raw(f"You are {known.user} at {known.name} now.")
    app.show.note("See: pdtools server devices")


async def enrol(app: App, url: str, token: Token) -> tuple[KnownServer, ServerInfo]:
    """Have the server take this person's key, remember the server, and see that it lets them in.

    Raises :class:`InvitationRefused`, :class:`Conflict` where they are somebody else already, and what else
    :mod:`paradrop.claim` does.
    """
    servers = app.servers
    key = servers.own_key(url, token.authority_pem)
    try:
        welcome = await app.accept(url, token, key.public, app.place.machine)
    except Conflict as problem:
        for known in servers.known():
            if (known.url, known.authority) == (url, token.authority_pem):
                before = f"You are {known.user} at {known.name}, and the code is for somebody else."
                raise Conflict(f"{before} It is still good: pdtools server logout {known.name}, then log in again.") from problem
        raise
    known = servers.remember(welcome.name, url, welcome.subject, token.authority_pem)
    fabric = await app.dial(known.target(key))
    try:
        return known, await Server(fabric).info()
    finally:
        await fabric.close()


@server.command(epilog="Example: pdtools server logout shop")
@click.argument("name", metavar="[NAME_OR_URL]", required=False)
@click.pass_obj
def logout(app: App, name: str | None) -> None:
    """Forget a server, and remove your key for it from this machine."""
    known = pick(app.servers.known(), name or app.where.server)
    try:
        public = app.servers.key(known).public
    except ParadropException:  # a key that is gone or damaged is removed as well
        public = ""
    app.servers.forget(known)
    app.show.raw(f"You are logged out of {known.name}, and your key for it is removed from this machine.")
    if public:
        app.show.note(
            f"A copy of it would be good until an administrator says: pdtools server users forget-key {known.user} {public[:12]}"
        )


@server.command("list", epilog="Example: pdtools server list")
@json_option
@click.pass_obj
def listing(app: App, as_json: bool) -> None:
    """List the servers you are logged in to."""
    known = app.servers.known()
    if as_json:
        app.show.json([{"name": one.name, "url": one.url, "user": one.user, "pinned": bool(one.authority)} for one in known])
    elif known:
        app.show.table(server_tables.known(known))
    else:
        app.show.note("None yet. Log in to one: pdtools server login URL")


@server.command(epilog="Example: pdtools server status")
@json_option
@server_command
async def status(app: App, server: Server, as_json: bool) -> None:
    """Show the server, and who you are there."""
    info = await server.info()
    if as_json:
        app.show.json(info)
    else:
        app.show.table(server_tables.info(info, app.server.url))


for one in (*cmd_server_devices.ALL, cmd_server_users.users, cmd_server_groups.groups, cmd_server_audit.audit):
    server.add_command(one)
