"""How a procedure is declared, checked and registered."""

from __future__ import annotations

import inspect
import types
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from autobahn.wamp.types import CallDetails, RegisterOptions
from twisted.logger import Logger

from paradrop import uris
from paradrop.base.cxbr import BaseSession
from paradrop.base.exceptions import InteralException, InvalidInput, ParadropException
from paradrop.permissions import Permission, Person, Role
from paradrop.values import plain

log = Logger(namespace="paradrop.procedure")

Handler = Callable[..., Awaitable[Any]]
"""A coroutine function whose first parameter is the caller, as a :data:`CallerOf` gives it; the others are the procedure's
arguments."""

H = TypeVar("H", bound=Handler)


@dataclass(frozen=True, slots=True)
class Procedure:
    name: str
    permission: Permission
    handler: Handler


def procedure(name: str, permission: Permission) -> Callable[[H], H]:
    """Declare a method to be the procedure *name*, for callers who have *permission*."""

    def declare(handler: H) -> H:
        handler.declared = (name, permission)  # type: ignore[attr-defined]
        return handler

    return declare


def collect(areas: Iterable[object], whole: Callable[[str], str] = uris.local) -> dict[str, Procedure]:
    """Every declared method of *areas*, by whole URI, which *whole* makes of a short one."""
    found = {}
    for area in areas:
        for _, method in inspect.getmembers(area, inspect.ismethod):
            if hasattr(method, "declared"):
                name, permission = method.declared
                found[whole(name)] = Procedure(name, permission, method)
    return found


CallerOf = Callable[[CallDetails, Procedure], Any]
"""Who called a procedure, as its handler gets to know it. It may raise ``NotPermitted``, where the router has not decided yet."""


def person(details: CallDetails, declared: Procedure) -> Person:
    """Who called, as a device's router disclosed it: a chute that was let through may see what a viewer sees."""
    role = details.caller_authrole
    return Person(details.caller_authid, Role(role) if role in list(Role) else Role.VIEWER)


async def register(session: BaseSession, procedures: Mapping[str, Procedure], caller: CallerOf = person) -> None:
    """Put *procedures* on the fabric."""
    for uri, declared in procedures.items():
        await session.stockRegister(endpoint(declared, caller), uri, RegisterOptions(details_arg="details"))


def endpoint(declared: Procedure, caller: CallerOf) -> Callable[..., Awaitable[Any]]:
    """What to register for *declared*: its arguments are checked, and what it answers becomes plain data."""

    async def answer(*args: Any, details: CallDetails, **kwargs: Any) -> Any:
        try:
            who = caller(details, declared)
            _check(declared, args, kwargs)
            return plain(await declared.handler(who, *args, **kwargs))
        except ParadropException:
            raise
        except Exception as problem:
            log.failure("{name} failed in an unforeseen way", name=declared.name)
            raise InteralException from problem

    return answer


def _check(declared: Procedure, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raises :class:`InvalidInput` unless the handler can be called with these arguments."""
    signature, hints = _shape(declared.handler)
    try:
        bound = signature.bind(None, *args, **kwargs)
    except TypeError as problem:
        raise InvalidInput(f"{declared.name}: {problem}") from None
    for name, value in bound.arguments.items():
        if name in hints and not _is_a(value, hints[name]):
            raise InvalidInput(f"{declared.name}: {name} is not {_words(hints[name])}")


@cache
def _shape(handler: Handler) -> tuple[inspect.Signature, dict[str, Any]]:
    hints = get_type_hints(handler)
    signature = inspect.signature(handler)
    first = next(iter(signature.parameters))
    return signature, {name: hint for name, hint in hints.items() if name not in (first, "return")}


def _is_a(value: Any, hint: Any) -> bool:
    if isinstance(hint, types.UnionType):
        return any(_is_a(value, each) for each in get_args(hint))
    kind = get_origin(hint) or hint
    if kind is Any:
        return True
    if isinstance(value, bool):
        return kind is bool
    if kind is list:
        return isinstance(value, list) and all(_is_a(item, each) for each in get_args(hint) for item in value)
    return isinstance(value, (int, float) if kind is float else kind)


def _words(hint: Any) -> str:
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false", bytes: "bytes", dict: "a mapping"}
    if isinstance(hint, types.UnionType):
        return " or ".join(_words(each) for each in get_args(hint) if each is not type(None))
    if get_origin(hint) is list:
        return f"a list of {' '.join(_words(each) for each in get_args(hint))}"
    return names.get(get_origin(hint) or hint, str(hint))
