"""What reaches the screen."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from rich.text import Text

from paradrop.values import ChangeState, ChuteState, StepState
from pdtools.show import THEME, Show, columns, safe, to_json


def shown(terminal: bool, width: int = 60) -> tuple[Show, StringIO, StringIO]:
    out, err = StringIO(), StringIO()
    return Show(out, err, terminal=terminal, width=width), out, err


@pytest.mark.parametrize("word", [*ChuteState, *ChangeState, *StepState])
def test_every_state_has_a_colour(word: str) -> None:
    assert f"state.{word.replace(' ', '-')}" in THEME.styles


@pytest.mark.parametrize(
    "attack",
    [
        "\x1b[2J",
        "\x1b]0;title\x07",
        "\x1b]8;;http://x\x1b\\",
        "\x1bc",
        "\x9b2J",
        "\x08\x08",
        "\r",
        "\x1b[1;1H",
        "\x1bP1\x1b\\",
        "\x7f",
    ],
)
def test_a_terminal_obeys_no_foreign_control_character(attack: str) -> None:
    show, out, _ = shown(terminal=True)
    show.text(f"a{attack}b")
    assert not any(character < " " or "\x7f" <= character <= "\x9f" for character in out.getvalue().rstrip("\n"))


def test_colours_of_a_chute_pass_on_a_terminal() -> None:
    assert safe("\x1b[31mred\x1b[0m plain").plain == "red plain"
    show, out, _ = shown(terminal=True)
    show.text("\x1b[31mred\x1b[0m plain")
    assert "\x1b[31mred" in out.getvalue()


def test_a_pipe_gets_text_as_it_came() -> None:
    show, out, _ = shown(terminal=False)
    show.text("a\x1b[31mb\r\nc")
    assert out.getvalue() == "a\x1b[31mb\r\nc\n"


def test_markup_and_emoji_codes_are_text() -> None:
    show, out, err = shown(terminal=True)
    show.text("[bold]x[/bold] :smile:")
    show.note("[red]y")
    assert "[bold]x[/bold] :smile:" in out.getvalue()
    assert "[red]y" in err.getvalue()


def test_a_table_is_never_folded_in_a_pipe_and_has_no_colour() -> None:
    show, out, _ = shown(terminal=False)
    table = columns("name", "detail", wrap="detail")
    table.add_row(Text("hello", style="name"), "word " * 100)
    show.table(table)
    head, row = out.getvalue().splitlines()
    assert head == "NAME   DETAIL"
    assert row == "hello  " + ("word " * 100).rstrip()


def test_a_table_on_a_screen_folds_its_last_column() -> None:
    show, out, _ = shown(terminal=True, width=30)
    table = columns("name", "detail", wrap="detail")
    table.add_row("hello", "word " * 10)
    show.table(table)
    assert len(out.getvalue().splitlines()) == 4


def test_json_holds_everything_a_fabric_can_bring() -> None:
    assert json.loads(to_json({"bytes": b"12", "state": ChuteState.RUNNING, "none": None})) == {
        "bytes": "MTI=",
        "state": "running",
        "none": None,
    }
    assert to_json("é") == '"é"'


def test_an_error_of_several_lines() -> None:
    show, out, err = shown(terminal=False)
    show.error("name: is missing\nversion: is missing")
    assert err.getvalue() == "Error: name: is missing\n       version: is missing\n"
    assert out.getvalue() == ""
