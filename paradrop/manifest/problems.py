"""A document held against the published schema, and what is wrong with it in plain sentences.

``schema.json`` is the one description of the format: this module enforces it and ``docs/manifest.md`` documents it. Two things in
it are ours. ``x-reason`` is the sentence for a value that a subschema refuses; the ``format`` names stand for the functions in
:func:`_formats`, which check what a pattern cannot.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from paradrop import uris
from paradrop.manifest import quantities
from paradrop.manifest.document import as_text

if TYPE_CHECKING:
    from jsonschema import FormatChecker
    from jsonschema.exceptions import ValidationError

MOST = 100
"""Problems told of one document."""

Path = tuple[str | int, ...]

_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
}


@cache
def schema() -> Mapping[str, Any]:
    """The published JSON Schema (draft 2020-12) of paradrop.yaml. Not to be altered."""
    loaded: dict[str, Any] = json.loads(files("paradrop.manifest").joinpath("schema.json").read_text(encoding="utf-8"))
    return loaded


def schema_problems(document: Mapping[str, Any]) -> dict[Path, str]:
    """The reason for each place of *document* that the schema refuses; the first reason where there are several."""
    reasons: dict[Path, str] = {}
    errors = _validator().iter_errors(document)
    for path, reason in islice((found for error in errors for found in _sentences(error)), MOST):
        reasons.setdefault(path, reason)
    return reasons


def show_path(path: Iterable[str | int]) -> str:
    """``services.main.requests.port-bindings[0].external``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_short(part)}"
    return text.removeprefix(".") or "paradrop.yaml"


@cache
def _validator() -> Any:
    # Imported here because it costs a tenth of a second, which only those who read a manifest should pay.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError
    from jsonschema.validators import extend

    def whole(_: object, pattern: str, instance: object, __: Mapping[str, Any]) -> Iterator[ValidationError]:
        # Python's $ also matches before a last newline, which JSON Schema's does not; every pattern of ours has ^ and $.
        if isinstance(instance, str) and not re.fullmatch(pattern, instance):
            yield ValidationError(f"{instance!r} does not match {pattern!r}")

    validator: Any = extend(Draft202012Validator, {"pattern": whole})  # type: ignore[no-untyped-call]
    return validator(schema(), format_checker=_formats())


def _formats() -> FormatChecker:
    from jsonschema import FormatChecker

    checker = FormatChecker(formats=())

    def add(name: str, kinds: type | tuple[type, ...], check: Any) -> None:
        def holds(value: object) -> bool:
            if isinstance(value, kinds) and not isinstance(value, bool):
                check(value)
            return True

        checker.checkers[name] = (holds, (ValueError,))

    add("size", (str, int, float), quantities.memory)
    add("seconds", (str, int, float), quantities.seconds)
    add("command-line", str, quantities.words)
    add("folder", str, _check_folder)
    add("fabric-name", str, _check_fabric_name)
    add("own-name", str, _check_own_name)
    return checker


def _check_folder(text: str) -> None:
    if not text or "\\" in text or not text.isprintable():
        raise ValueError(f"{text!r} is not a folder")
    folder = PurePosixPath(text)
    if folder.is_absolute() or ".." in folder.parts:
        raise ValueError(f"{text!r} leaves the chute's folder; write a path below it")


def _check_fabric_name(text: str) -> None:
    """Holds for what :func:`paradrop.uris.resolve` makes a name of some device out of, with or without ``.*``."""
    stem = text.removesuffix(".*")
    if "*" in stem or not uris.is_uri(stem):
        raise ValueError(f"{text!r} is not a name on the fabric, such as clock.now or clock.*")
    first, _, rest = stem.partition(".")
    if first == "wamp":
        raise ValueError(f"{text!r} belongs to the router; no chute may use it")
    if first == "org":
        if not f"{stem}.".startswith(uris.ROOT):
            raise ValueError(f"{text!r} is outside {uris.ROOT}, where everything of Paradrop is")
    elif not uris.NAME.fullmatch(first):
        raise ValueError(f"{text!r} does not begin with the name of a chute or of an area of the device")
    elif stem == text and not rest:
        raise ValueError(f"{text!r} is only the first part of a name; everything below it is '{text}.*'")


def _check_own_name(text: str) -> None:
    """Holds for what stands after a chute's own name, with or without ``.*``, and for ``*``."""
    stem = text.removesuffix(".*")
    if text != "*" and ("*" in stem or not uris.is_uri(stem)):
        raise ValueError(f"{text!r} is none of the chute's own names, such as greet, data.* or *")
    if stem.startswith("org.") or stem == "org":
        raise ValueError(f"{text!r} is a whole name; a chute's own are written without its name, such as greet")


def _sentences(error: ValidationError) -> Iterator[tuple[Path, str]]:
    """Each place that *error* is about, with the reason."""
    place: Path = tuple(error.absolute_path)
    value: Any = error.instance
    wanted: Any = error.validator_value
    part: Any = error.schema
    reason = part.get("x-reason", "") if isinstance(part, Mapping) else ""
    if "propertyNames" in error.absolute_schema_path:
        place = (*place, value)
    if error.validator == "required":
        for key in wanted:
            if key not in value:
                yield (*place, key), f"is missing; {reason}" if reason else "is missing"
    elif error.validator == "additionalProperties":
        known = list(part["properties"])
        for key in value:
            if key not in known:
                yield (*place, key), "is not a key that is known here" + _near(key, known)
    elif error.validator == "format":
        yield place, str(error.cause)
    elif reason:
        yield place, reason if error.validator == "not" or isinstance(value, dict | list) else f"{_show(value)} {reason}"
    else:
        yield place, _plain_reason(error)


def _plain_reason(error: ValidationError) -> str:
    value: Any = error.instance
    wanted: Any = error.validator_value
    match error.validator:
        case "type":
            names = _either([_TYPES[name] for name in ([wanted] if isinstance(wanted, str) else wanted)])
            return f"is empty, and must be {names}" if value is None else f"{_show(value)} is not {names}"
        case "enum":
            return f"{_show(value)} is not one of {', '.join(wanted)}" + _near(value, wanted)
        case "minimum":
            return f"{_show(value)} is less than {wanted}"
        case "maximum":
            return f"{_show(value)} is more than {wanted}"
        case "minLength" | "minItems" | "minProperties":
            return "is empty"
        case "maxLength":
            return f"is longer than {wanted} characters"
        case "maxItems" | "maxProperties":
            return f"has more than {wanted} entries"
    return error.message[:200]


def _either(words: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _near(word: object, known: Iterable[str]) -> str:
    close = get_close_matches(word, known, n=1) if isinstance(word, str) and len(word) < 64 else []
    return f"; did you mean {close[0]!r}?" if close else ""


def _show(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return _TYPES["object" if isinstance(value, dict) else "array"]
    return repr(_short(value)) if isinstance(value, str) else as_text(value)


def _short(text: str) -> str:
    return text if len(text) <= 64 else f"{text[:60]}…"
