"""``call`` and ``procedures``: what the fabric offers, used from the command line."""

from __future__ import annotations

from difflib import get_close_matches

import click

from paradrop.base.cxbr import DEADLINE
from paradrop.base.exceptions import NotFound, ParadropException
from paradrop.uris import short
from paradrop.values import ChuteState
from pdtools import tables, words
from pdtools.app import App, command, device_command, json_option
from pdtools.device import Device


@click.command(context_settings={"ignore_unknown_options": True}, epilog="Example: pdtools call hello.greet World")
@click.argument("name")
@words.arguments
@words.keywords_option
@words.string_option
@click.option("--deadline", type=click.FloatRange(min=0.001), default=DEADLINE, show_default=True, metavar="SECONDS")
@json_option
@command
async def call(
    app: App,
    name: str,
    arguments: tuple[str, ...],
    keywords: tuple[str, ...],
    as_strings: bool,
    deadline: float,
    as_json: bool,
) -> None:
    """Call the procedure NAME and print its result.

    NAME is short: hello.greet is the procedure greet of the chute hello, chutes.list is the device's own. An ARG that is JSON
    is taken as JSON (5, true, '[1, 2]', '"5"'), any other as a string. Results that are text are printed as they are, all
    others as JSON.
    """
    uri, args, kwargs = words.uri(name), words.values(arguments, as_strings), words.keywords(keywords, as_strings)

    def progress(*args: object, **kwargs: object) -> None:
        app.show.note(" ".join(words.spoken(arg) for arg in args))

    async def ask(device: Device) -> object:
        try:
            return await device.fabric.call(uri, *args, keywords=kwargs, deadline=deadline, on_progress=progress)
        except NotFound as problem:
            if type(problem) is not NotFound:  # the callee's own answer: it found something else missing
                raise
            try:
                hint = await _hint(device, short(uri))
            except ParadropException:  # without a hint, then
                hint = ""
            raise NotFound(f"{problem}{f'; {hint}' if hint else ''}") from problem

    result = await app.with_device(ask)
    if as_json:
        app.show.json(result)
    elif result is not None:
        app.show.text(words.spoken(result))


async def _hint(device: Device, name: str) -> str:
    """What somebody who typed the unknown *name* may have meant."""
    chute, _, procedure = name.partition(".")
    for status in await device.chutes():
        if status.name == chute and status.state is not ChuteState.RUNNING:
            return f"{chute} is {status.state.value}"
    close = get_close_matches(name, [short(info.uri) for info in await device.procedures()], 1)
    if close:
        return f"did you mean {close[0]}?"
    return "" if procedure else "a procedure is named CHUTE.PROCEDURE, such as hello.greet"


@click.command(epilog="Example: pdtools procedures")
@json_option
@device_command
async def procedures(app: App, device: Device, as_json: bool) -> None:
    """List what can be called on the device, and who answers."""
    known = await device.procedures()
    if as_json:
        app.show.json(known)
    else:
        app.show.table(tables.procedures(known))
