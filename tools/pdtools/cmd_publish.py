"""``publish``: one event."""

from __future__ import annotations

import click

from pdtools import words
from pdtools.app import App, command


@click.command(context_settings={"ignore_unknown_options": True}, epilog="Example: pdtools publish hello.mood happy")
@click.argument("name")
@words.arguments
@words.keywords_option
@words.string_option
@command
async def publish(app: App, name: str, arguments: tuple[str, ...], keywords: tuple[str, ...], as_strings: bool) -> None:
    """Publish an event to the topic NAME. Names and ARGs are as in `pdtools call`."""
    uri, args, kwargs = words.uri(name), words.values(arguments, as_strings), words.keywords(keywords, as_strings)
    await app.with_device(lambda device: device.fabric.publish(uri, *args, keywords=kwargs))
