"""``people``: who may log in to the device."""

from __future__ import annotations

import sys

import click

from pdtools import tables
from pdtools.app import App, device_command, json_option
from pdtools.device import Device

ROLES = ("owner", "operator", "viewer")


@click.group()
def people() -> None:
    """Show and change who may log in to the device, and as what."""


@people.command("list", epilog="Example: pdtools people list")
@json_option
@device_command
async def listing(app: App, device: Device, as_json: bool) -> None:
    """List everybody who may log in."""
    known = await device.people()
    if as_json:
        app.show.json(known)
    elif known:
        app.show.table(tables.people(known))
    else:
        app.show.note("Nobody yet. Add somebody: pdtools people add ada --role owner")


@people.command(epilog="Example: pdtools people add ada --role owner")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input: its first line.")
@click.pass_obj
def add(app: App, name: str, role: str, password_stdin: bool) -> None:
    """Let NAME log in. The password is asked for; it is never an argument, which others could see.

    A viewer sees, an operator also changes what runs, an owner may do everything.
    """
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif app.interactive:
        password = click.prompt("Password", hide_input=True, confirmation_prompt="The same again", err=True)
    else:
        raise click.UsageError("Nobody is here to ask for a password: use --password-stdin.")
    if not password:
        raise click.UsageError("The password is empty.")
    app.drive(app.with_device(lambda device: device.add_person(name, password, role)))
    app.show.text(f"{name} may log in as {role}.")


@people.command(epilog="Example: pdtools people remove ada")
@click.argument("name")
@device_command
async def remove(app: App, device: Device, name: str) -> None:
    """Do not let NAME log in any more."""
    await device.remove_person(name)
    app.show.text(f"{name} may not log in any more.")
