"""Tokens and codes from a person: hidden while typed, or from standard input, so that a command line need not show them."""

from __future__ import annotations

import sys

import click

from paradrop.tokens import Token
from pdtools.app import App


def token(app: App, said: str | None, what: str) -> Token:
    """The token that was *said*: ``-`` is standard input, None asks. Raises :class:`InvalidInput` when it is none."""
    if said == "-":
        said = sys.stdin.readline()
    elif said is None:
        if not app.interactive:
            raise click.UsageError(f"Nobody is here to ask for the {what}: say it, or - to read it from standard input.")
        said = click.prompt(what.capitalize(), hide_input=True, err=True)
    return Token.read(said.strip())
