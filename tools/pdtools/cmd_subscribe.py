"""``subscribe``: events as they come."""

from __future__ import annotations

import click
from rich.text import Text

from paradrop.uris import short
from pdtools import words
from pdtools.app import App, command, json_option
from pdtools.fabric import Event, Fabric, Inbox
from pdtools.moment import clock_time


@click.command(epilog="Example: pdtools subscribe hello.ticks --count 3")
@click.argument("name")
@click.option("--match", type=click.Choice(["exact", "prefix", "wildcard"]), default="exact", show_default=True)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N events.")
@json_option
@command
async def subscribe(app: App, name: str, match: str, count: int | None, as_json: bool) -> None:
    """Print the events of the topic NAME until Ctrl-C.

    With --match prefix, NAME is the beginning of the topics (hello. is everything of the chute hello); with --match wildcard,
    an empty component stands for any one (hello..changed). With --json, each event is a line of JSON. A lost link is
    connected again; what is published meanwhile is not heard.
    """
    uri, left, said = words.uri(name, pattern=match != "exact"), count, False

    async def listen(fabric: Fabric) -> None:
        nonlocal left, said
        inbox: Inbox[Event] = Inbox(fabric, app.clock)
        await fabric.subscribe(inbox.put, uri, match)
        if not said:
            app.show.note(f"Listening to {short(uri)} (Ctrl-C ends)")
            said = True
        while left is None or left > 0:
            event = await inbox.next()
            if event is not None:
                print_event(app, event, as_json)
                left = None if left is None else left - 1

    await app.staying(listen)


def print_event(app: App, event: Event, as_json: bool) -> None:
    """One event, on one line, at once."""
    now = app.wall()
    if as_json:
        app.show.json_line({"time": now, "topic": event.topic, "args": event.args, "kwargs": dict(event.kwargs)})
    else:
        when, topic = (clock_time(now), "quiet"), (short(event.topic), "name")
        app.show.line(Text.assemble(when, "  ", topic, "  ", app.show.theirs(words.heard(event))))
    app.show.flush()
