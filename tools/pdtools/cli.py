"""The commands, put together."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import click

from pdtools import (
    cmd_call,
    cmd_changes,
    cmd_chute,
    cmd_config,
    cmd_dashboard,
    cmd_deploy,
    cmd_lifecycle,
    cmd_logs,
    cmd_people,
    cmd_provision,
    cmd_publish,
    cmd_server,
    cmd_status,
    cmd_subscribe,
)
from pdtools.app import App
from pdtools.known import SERVER_VARIABLE
from pdtools.target import HOME_VARIABLE, TARGET_VARIABLE, Where

PATH = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--socket", type=PATH, metavar="PATH", help="Control socket of the device.")
@click.option("--home", type=PATH, metavar="DIR", help=f"Home of the device (or {HOME_VARIABLE} in the environment).")
@click.option("--target", metavar="PDID", help=f"A device behind a server (or {TARGET_VARIABLE} in the environment).")
@click.option("--server", metavar="NAME_OR_URL", help=f"Which server, when you know several (or {SERVER_VARIABLE}).")
@click.version_option(version("paradrop"), message="pdtools %(version)s")
@click.pass_context
def cli(context: click.Context, socket: Path | None, home: Path | None, target: str | None, server: str | None) -> None:
    """Deploy, watch and call the services of a Paradrop device.

    The device is found by its control socket: that of --socket or --home, else of the nearest .paradrop folder from here
    upwards, else of ~/.paradrop, else the system's own. With --target it is one behind a server that you are logged in to.

    \b
    pdtools status
    pdtools deploy chutes/hello
    pdtools call hello.greet World
    pdtools --target acme.r1 logs -f hello
    """
    if socket and home:
        raise click.UsageError("--socket and --home both say where the device is: use one.")
    if target and (socket or home):
        raise click.UsageError("--target is a device behind a server, --socket and --home are for one here: use one.")
    app = context.ensure_object(App)
    context.obj = replace(app, where=Where(socket, home, target, server))


for one in (
    cmd_status.status,
    cmd_status.ps,
    cmd_deploy.deploy,
    *cmd_lifecycle.ALL,
    cmd_logs.logs,
    cmd_changes.changes,
    cmd_call.call,
    cmd_publish.publish,
    cmd_subscribe.subscribe,
    cmd_call.procedures,
    cmd_config.config,
    cmd_people.people,
    cmd_dashboard.dashboard,
    cmd_provision.provision,
    cmd_provision.unprovision,
    cmd_server.server,
    cmd_chute.chute,
):
    cli.add_command(one)
