"""Everything that reaches the screen: one console a stream, one theme, plain text where there is no terminal.

What a device says is not trusted to be printable: on a terminal, colours of a chute's own output pass and every other control
character is shown instead of obeyed (it could move the cursor, or rename the window). Into a pipe, text goes as it came.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import is_dataclass
from io import TextIOWrapper
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from paradrop.values import plain

THEME = Theme(
    {
        "head": "bold",
        "name": "bold",
        "quiet": "dim",
        "error": "bold red",
        "warn": "yellow",
        "log.err": "red",
        "link": "underline cyan",
        "bar.complete": "cyan",
        "bar.finished": "green",
        "state.starting": "cyan",
        "state.running": "green",
        "state.unhealthy": "yellow",
        "state.restarting": "yellow",
        "state.stopped": "dim",
        "state.failed": "red",
        "state.accepted": "cyan",
        "state.planned": "cyan",
        "state.waiting": "dim",
        "state.done": "green",
        "state.rolled-back": "yellow",
        "state.online": "green",
        "state.offline": "yellow",
        "state.unclaimed": "dim",
        "state.connecting": "cyan",
        "state.refused": "red",
        "state.delivering": "cyan",
        "state.delivered": "green",
    }
)
NO_WRAP = 10_000
"""Columns of a "screen" that is a pipe: tables are never folded there."""

_CONTROL = re.compile(r"\x1b(?!\[[0-9;:]*m)|[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f]")


def safe(text: str) -> Text:
    """One line of *text* for a terminal: colours pass, other control characters show as ``�`` and do nothing."""
    return Text.from_ansi(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.rstrip("\r\n")))


def state(word: str) -> Text:
    """A state, in the colour it has everywhere."""
    return Text(word, style=f"state.{word.replace(' ', '-')}")


def columns(*names: str, wrap: str = "") -> Table:
    """An empty table: no lines, aligned, with the column named *wrap* taking what is left of the screen."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="head")
    for name in names:
        table.add_column(name.upper(), no_wrap=name != wrap, overflow="fold" if name == wrap else "ellipsis")
    return table


def facts(pairs: Mapping[str, RenderableType]) -> Table:
    """Names and what they are, a line each."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="quiet")
    table.add_column(overflow="fold")
    for name, value in pairs.items():
        table.add_row(name, value)
    return table


def to_json(value: Any, indent: int | None = None) -> str:
    """*value*, which may hold our values and bytes (as base64), as JSON."""
    return json.dumps(value, ensure_ascii=False, indent=indent, default=_unusual)


def _unusual(value: Any) -> Any:
    if is_dataclass(value):
        return plain(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode("ascii")
    return str(value)


class Show:
    """The two streams of a command: results on *out*, everything said about them on *err*."""

    def __init__(self, out: TextIO, err: TextIO, *, terminal: bool | None = None, width: int | None = None) -> None:
        """*terminal* None asks the streams themselves; *width* in columns, None for the real one."""
        self.out = _console(out, terminal, width)
        self.err = _console(err, terminal, width)

    @property
    def terminal(self) -> bool:
        """Whether results go to a person's screen."""
        return self.out.is_terminal

    def table(self, table: Table) -> None:
        if self.terminal:
            self.out.print(table)
            return
        with self.out.capture() as captured:
            self.out.print(table)
        for line in captured.get().splitlines():
            self.raw(line.rstrip())

    def theirs(self, text: str) -> Text:
        """One line of somebody else's *text*, as it may go to where results go."""
        return safe(text) if self.terminal else Text(text)

    def line(self, text: Text) -> None:
        """One line of our own making."""
        if self.terminal:
            self.out.print(text, soft_wrap=True)
        else:
            self.raw(text.plain)

    def text(self, text: str) -> None:
        """Text of any number of lines from somebody else."""
        if self.terminal:
            for line in text.split("\n"):
                self.line(safe(line))
        else:
            self.raw(text)

    def raw(self, text: str) -> None:
        """Exactly this, and a line end."""
        self.out.file.write(text + "\n")

    def json(self, value: Any) -> None:
        """One document."""
        self.raw(to_json(value, indent=2))

    def json_line(self, value: Any) -> None:
        """One document of a stream of them."""
        self.raw(to_json(value))

    def flush(self) -> None:
        """Let a reader at the other end of a pipe see what there is."""
        self.out.file.flush()

    def note(self, sentence: str) -> None:
        """Something about the results that is not one of them."""
        self.err.print(Text(sentence, style="quiet"), soft_wrap=True)

    def warn(self, sentence: str) -> None:
        self.err.print(Text(sentence, style="warn"), soft_wrap=True)

    def error(self, sentence: str) -> None:
        for number, line in enumerate(sentence.splitlines() or [""]):
            lead = ("Error: ", "error") if number == 0 else "       "
            self.err.print(Text.assemble(lead, safe(line) if self.err.is_terminal else line), soft_wrap=True)


def standard() -> Show:
    """On the process's own streams, which replace what their encoding has no sign for."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    return Show(sys.stdout, sys.stderr)


def _console(stream: TextIO, terminal: bool | None, width: int | None) -> Console:
    console = Console(file=stream, theme=THEME, force_terminal=terminal, width=width, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = NO_WRAP
    return console
