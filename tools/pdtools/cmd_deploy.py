"""``deploy``: a folder becomes a running chute."""

from __future__ import annotations

from pathlib import Path

import click
from rich.filesize import decimal

from paradrop.base.exceptions import InvalidInput, NotPermitted
from paradrop.manifest import parse
from paradrop.source import read_piece, scan
from paradrop.source.sending import send
from paradrop.values import ChangeRecord
from pdtools.app import App, command, json_option
from pdtools.device import Device
from pdtools.folder import FOLDER, read_manifest
from pdtools.progress import Progress
from pdtools.watch import carry_out

TIMES = 3
"""How often what is missing is sent once more."""


@click.command(epilog="Example: pdtools deploy chutes/hello")
@click.argument("folder", metavar="[DIR]", type=FOLDER, default=".")
@json_option
@command
async def deploy(app: App, folder: Path, as_json: bool) -> None:
    """Deploy the chute in DIR (here, when left out) and wait until it runs.

    Only what the device has not got yet is sent. Ends with 0 only once the new version runs; with 1 and the reason when it was
    not to be, and then the version before it runs again. Ctrl-C ends the waiting, not the change. When the device is behind a
    server (--target) and offline, the server keeps the chute until it is back; that ends with 0 too.
    """
    manifest = parse(read_manifest(folder))
    source = scan(folder)

    async def prepare(device: Device, progress: Progress) -> None:
        try:
            count = await send(device, source.tree, source.files, read_piece, progress.sent)
        except NotPermitted as problem:  # it names a procedure that nobody has asked for by name
            raise NotPermitted(f"You may not deploy to {app.subject}.") from problem
        progress.say(f"{manifest.name} {manifest.version}: {len(source.tree.entries)} files, {decimal(count)} sent")

    async def ask(device: Device) -> ChangeRecord:
        # A device that comes or goes in the middle leaves some of the content with its server, and some with itself.
        for _ in range(TIMES):
            try:
                return await device.deploy(source.tree)
            except InvalidInput:
                if not await send(device, source.tree, source.files, read_piece, lambda done, total: None):
                    raise  # nothing was missing: it is about something else
        return await device.deploy(source.tree)

    await carry_out(app, ask, as_json, prepare)
