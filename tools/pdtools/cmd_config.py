"""``config``: the device's settings."""

from __future__ import annotations

import click

from paradrop.values import Setting
from pdtools import tables
from pdtools.app import App, device_command, json_option
from pdtools.device import Device


@click.group()
def config() -> None:
    """Show and change the device's settings."""


@config.command(epilog="Example: pdtools config show")
@json_option
@device_command
async def show(app: App, device: Device, as_json: bool) -> None:
    """List every setting, its value and where that comes from."""
    settings = await device.settings()
    if as_json:
        app.show.json(settings)
    else:
        app.show.table(tables.settings(settings))


@config.command(epilog="Example: pdtools config get ENGINE")
@click.argument("key")
@json_option
@device_command
async def get(app: App, device: Device, key: str, as_json: bool) -> None:
    """Print the value of KEY."""
    setting = await device.setting(key)
    if as_json:
        app.show.json(setting)
    else:
        app.show.text(tables.value_text(setting.value))


@config.command("set", context_settings={"ignore_unknown_options": True}, epilog="Example: pdtools config set ENGINE process")
@click.argument("key")
@click.argument("value")
@json_option
@device_command
async def change(app: App, device: Device, key: str, value: str, as_json: bool) -> None:
    """Set KEY to VALUE, in the device's settings.ini."""
    setting = await device.set(key, value)
    if as_json:
        app.show.json(setting)
    else:
        app.show.text(said(setting, value))


def said(setting: Setting, asked: str) -> str:
    """What a person should know after a setting was changed."""
    now = f"{setting.key} = {tables.value_text(setting.value)}"
    if setting.source == "environment":
        return f"{now}: the environment of paradropd says so, and has precedence over settings.ini, which now says {asked}."
    return f"{now}: used after the next start of paradropd." if setting.restart else now
