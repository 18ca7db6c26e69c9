"""Arguments from the command line as values for the fabric, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from paradrop import uris
from paradrop.base.exceptions import InvalidInput
from pdtools.fabric import Event
from pdtools.show import to_json


def _no_options(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Arguments may be negative numbers, and not mistyped options."""
    for text in texts:
        if text.startswith("--"):
            raise click.UsageError(f"No such option: {text}. For a text that begins with dashes: '\"{text}\"'", context)
    return texts


arguments = click.argument("arguments", metavar="[ARG]...", nargs=-1, callback=_no_options)
keywords_option = click.option(
    "--kw", "keywords", multiple=True, metavar="KEY=VALUE", help="A keyword argument; may be repeated."
)
string_option = click.option("--string", "as_strings", is_flag=True, help="Take every argument as a string, not as JSON.")


def value(text: str, as_string: bool = False) -> Any:
    """What *text* means: JSON when it is JSON, else the text itself. ``5`` is a number, ``World`` a string, ``"5"`` a string."""
    if as_string:
        return text
    try:
        return json.loads(text, parse_constant=_not_json)
    except (ValueError, RecursionError):
        return text


def _not_json(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def values(texts: Sequence[str], as_strings: bool) -> list[Any]:
    return [value(text, as_strings) for text in texts]


def keywords(pairs: Sequence[str], as_strings: bool) -> dict[str, Any]:
    """``KEY=VALUE`` each. Raises :class:`InvalidInput`."""
    found = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise InvalidInput(f"--kw {pair!r} is not KEY=VALUE")
        found[key] = value(text, as_strings)
    return found


def uri(name: str, pattern: bool = False) -> str:
    """The URI that *name* is short for. Raises :class:`InvalidInput` when it cannot be one.

    In a *pattern*, components may be empty and the end may be open (WAMP, "Pattern-based Subscriptions").
    """
    whole = uris.resolve(name)
    if not uris.is_uri(".".join(part or "any" for part in whole.split(".")) if pattern else whole):
        raise InvalidInput(f"{name!r} is no name on the fabric")
    return whole


def spoken(result: Any) -> str:
    """A result for a person: text as it is, everything else as JSON."""
    return result if isinstance(result, str) else to_json(result, indent=2)


def heard(event: Event) -> str:
    """An event's payload on one line."""
    parts = [part if isinstance(part, str) else to_json(part) for part in event.args]
    named = [f"{key}={part if isinstance(part, str) else to_json(part)}" for key, part in sorted(event.kwargs.items())]
    return " ".join([*parts, *named])
