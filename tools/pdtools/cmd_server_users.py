"""``server users``: who may do what on a server's devices."""

from __future__ import annotations

import click

from paradrop.base.exceptions import InvalidInput
from paradrop.permissions import Role
from pdtools import server_tables
from pdtools.app import App, json_option, server_command
from pdtools.cmd_server_devices import expires_option, hand_over, lifetime
from pdtools.server import Server

LOGIN = "pdtools server login"
ROLES = click.Choice([role.value for role in Role])
SCOPES = "SCOPE is server (everything), group:NAME or device:PDID."


def scope(text: str) -> str:
    """What a role is granted on. Raises :class:`InvalidInput`."""
    kind, _, name = text.partition(":")
    if text != "server" and (kind not in ("group", "device") or not name):
        raise InvalidInput(f"{text!r} is no scope. {SCOPES}")
    return text


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def users(context: click.Context, as_json: bool) -> None:
    """List who may use the server, or change that."""
    if context.invoked_subcommand is None:
        context.invoke(listing, as_json=as_json)


@users.command("list", epilog="Example: pdtools server users list")
@json_option
@server_command
async def listing(app: App, server: Server, as_json: bool) -> None:
    """List everybody, and their roles."""
    known = await server.users()
    if as_json:
        app.show.json(known)
    elif known:
        app.show.table(server_tables.users(known))
    else:
        app.show.note("Nobody that you may see. Add somebody: pdtools server users add ada")


@users.command(epilog="Example: pdtools server users add ada")
@click.argument("name")
@expires_option("1h")
@json_option
@server_command
async def add(app: App, server: Server, name: str, expires: str, as_json: bool) -> None:
    """Add the user NAME, and print the code for their first login. They may see nothing yet: see users grant."""
    hand_over(app, await server.add_user(name, lifetime(expires)), LOGIN, as_json)
    if not as_json:
        app.show.note(f"Next: pdtools server users grant {name} operator group:NAME")


@users.command(epilog="Example: pdtools server users invite ada")
@click.argument("name")
@expires_option("1h")
@json_option
@server_command
async def invite(app: App, server: Server, name: str, expires: str, as_json: bool) -> None:
    """Print one more login code for NAME: for another machine, or after a key was lost."""
    hand_over(app, await server.invite_user(name, lifetime(expires)), LOGIN, as_json)


@users.command(epilog="Example: pdtools server users remove ada")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def remove(app: App, name: str, yes: bool) -> None:
    """Remove NAME, with all keys and roles. Whatever they do at the moment ends."""
    app.confirm(f"Remove {name}, with all keys and roles?", yes, "Nothing was removed.")
    app.drive(app.with_server(lambda server: server.remove_user(name)))
    app.show.raw(f"{name} removed.")


@users.command(epilog="Example: pdtools server users grant ada operator group:shops")
@click.argument("name")
@click.argument("role", type=ROLES)
@click.argument("scope_text", metavar="SCOPE")
@server_command
async def grant(app: App, server: Server, name: str, role: str, scope_text: str) -> None:
    """Make NAME owner, operator or viewer of SCOPE, instead of what they were of it.

    SCOPE is server (everything), group:NAME or device:PDID. A viewer sees, an operator also changes what runs, an owner may do
    everything; an owner of the server is an administrator.
    """
    await server.grant(name, role, scope(scope_text))
    app.show.raw(f"{name} is {role} of {scope_text} now.")


@users.command(epilog="Example: pdtools server users revoke ada group:shops")
@click.argument("name")
@click.argument("scope_text", metavar="SCOPE")
@server_command
async def revoke(app: App, server: Server, name: str, scope_text: str) -> None:
    """Take from NAME their role on SCOPE: server, group:NAME or device:PDID."""
    await server.revoke(name, scope(scope_text))
    app.show.raw(f"{name} has no role on {scope_text} itself any more.")


@users.command(epilog="Example: pdtools server users keys ada")
@click.argument("name")
@json_option
@server_command
async def keys(app: App, server: Server, name: str, as_json: bool) -> None:
    """List the keys of NAME, and where each was made."""
    user = await server.user(name)
    if as_json:
        app.show.json(user.keys)
    elif user.keys:
        app.show.table(server_tables.keys(user, app.wall()))
    else:
        app.show.note(f"{name} has never logged in. A code for that: pdtools server users invite {name}")


@users.command("forget-key", epilog="Example: pdtools server users forget-key ada 3f9c01d2a4b6")
@click.argument("name")
@click.argument("key")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def forget_key(app: App, name: str, key: str, yes: bool) -> None:
    """Do not take the KEY of NAME any more; its beginning is enough. Whoever is there by it has to leave."""

    async def find(server: Server) -> str:
        found = [one for one in (await server.user(name)).keys if one.public_key.startswith(key.lower())]
        if len(found) != 1:
            raise InvalidInput(
                f"{name} has {'several keys that begin' if found else 'no key that begins'} with {key}. "
                f"See: pdtools server users keys {name}"
            )
        return found[0].public_key

    whole = app.drive(app.with_server(find))
    app.confirm(f"Forget the key {whole[:12]}… of {name}?", yes)
    app.drive(app.with_server(lambda server: server.forget_key(name, whole)))
    app.show.raw(f"The key {whole[:12]}… of {name} is not taken any more.")
