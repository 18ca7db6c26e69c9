"""``server groups``: devices that belong together."""

from __future__ import annotations

import click

from pdtools import server_tables
from pdtools.app import App, json_option, server_command
from pdtools.server import Server


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def groups(context: click.Context, as_json: bool) -> None:
    """List the groups of devices, or change them.

    Roles can be granted on a group, and the chutes of its devices may talk to each other.
    """
    if context.invoked_subcommand is None:
        context.invoke(listing, as_json=as_json)


@groups.command("list", epilog="Example: pdtools server groups list")
@json_option
@server_command
async def listing(app: App, server: Server, as_json: bool) -> None:
    """List the groups, and which devices are in them."""
    known = await server.groups()
    if as_json:
        app.show.json(known)
    elif known:
        app.show.table(server_tables.groups(known))
    else:
        app.show.note("No groups yet. Make one: pdtools server groups add shops")


@groups.command(epilog="Example: pdtools server groups add shops")
@click.argument("name")
@server_command
async def add(app: App, server: Server, name: str) -> None:
    """Make the group NAME."""
    await server.add_group(name)
    app.show.raw(f"{name} is there.")
    app.show.note(f"Next: pdtools server groups join {name} PDID")


@groups.command(epilog="Example: pdtools server groups remove shops")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def remove(app: App, name: str, yes: bool) -> None:
    """Remove the group NAME, and the roles granted on it. Its devices stay."""
    app.confirm(f"Remove the group {name}, and all roles on it?", yes, "Nothing was removed.")
    app.drive(app.with_server(lambda server: server.remove_group(name)))
    app.show.raw(f"{name} removed.")


@groups.command(epilog="Example: pdtools server groups join shops acme.r1")
@click.argument("name")
@click.argument("pdid")
@server_command
async def join(app: App, server: Server, name: str, pdid: str) -> None:
    """Put the device PDID into the group NAME."""
    await server.join_group(name, pdid)
    app.show.raw(f"{pdid} is in {name} now.")


@groups.command(epilog="Example: pdtools server groups leave shops acme.r1")
@click.argument("name")
@click.argument("pdid")
@server_command
async def leave(app: App, server: Server, name: str, pdid: str) -> None:
    """Take the device PDID out of the group NAME."""
    await server.leave_group(name, pdid)
    app.show.raw(f"{pdid} is not in {name} any more.")
