"""YAML as a manifest may use it: plain values in one document, and nothing that a reader could stumble over.

Allowed are mappings with text keys, lists, texts, numbers, ``true``/``false`` and null. Anchors and aliases (a few lines of them
grow to gigabytes), tags, duplicate keys and several documents are refused with the line. Plain words mean what the core schema
of YAML 1.2 says (section 10.3.2): ``on`` and ``no`` are texts, and so is ``2024-01-01``.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

import yaml

from paradrop.base.exceptions import InvalidManifest

MAX_SIZE = 256 * 1024
"""Bytes. Nothing of a longer text is parsed."""
MAX_DEPTH = 32
MAX_VALUES = 10_000
MAX_NUMBER = 40
"""Characters; what is longer is a text that looks like a number."""

_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_PREFIXED = {"0o": 8, "0x": 16}

# libyaml where PyYAML was built with it: about thirty times faster on the events that both loaders agree on.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class WrittenInt(int):
    """A whole number that remembers how it was written, so that ``version: 007`` stays ``007``."""

    written: str

    def __new__(cls, written: str) -> WrittenInt:
        number = super().__new__(cls, int(written, _PREFIXED.get(written[:2], 10)))
        number.written = written
        return number


class WrittenFloat(float):
    """A number that remembers how it was written, so that ``version: 1.10`` stays ``1.10``."""

    written: str

    def __new__(cls, written: str) -> WrittenFloat:
        number = super().__new__(cls, written.lower().replace(".inf", "inf").replace(".nan", "nan"))
        number.written = written
        return number


def as_text(value: str | int | float) -> str:
    """A text, a number or a truth value as the author wrote it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(getattr(value, "written", value))


def read_document(text: bytes | str) -> dict[str, Any]:
    """The mapping that *text* is.

    Raises :class:`InvalidManifest` with every problem found up to the place where reading became impossible, each with its line.
    """
    events = _events(_decode(text))
    reader = _Reader(events)
    try:
        document = reader.document()
    except yaml.MarkedYAMLError as error:
        reader.problems.append(_not_yaml(error))
    except yaml.YAMLError as error:
        reader.problems.append(f"paradrop.yaml: this is not YAML: {_sentence(error)}")
    if reader.problems:
        raise InvalidManifest(reader.problems)
    if document is None:
        raise InvalidManifest("paradrop.yaml: is empty")
    if not isinstance(document, dict):
        raise InvalidManifest("paradrop.yaml: is not a mapping; it starts with lines such as `name: hello`")
    return document


def _decode(text: bytes | str) -> str:
    if len(text) > MAX_SIZE:
        raise InvalidManifest(f"paradrop.yaml: is longer than {MAX_SIZE // 1024} KiB")
    try:
        data = text.encode() if isinstance(text, str) else text
        decoded = data.decode("utf-8-sig")
    except UnicodeError:
        raise InvalidManifest("paradrop.yaml: is not UTF-8 text") from None
    if len(data) > MAX_SIZE:
        raise InvalidManifest(f"paradrop.yaml: is longer than {MAX_SIZE // 1024} KiB")
    return decoded


def _events(text: str) -> Iterator[Any]:
    loader = _Loader(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    finally:
        loader.dispose()


def _not_yaml(error: yaml.MarkedYAMLError) -> str:
    mark, context = error.problem_mark, error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "paradrop.yaml"
    inside = f" {error.context} from line {context.line + 1}" if error.context and context else ""
    return f"{where}: this is not YAML: {error.problem or 'it ends too early'}{inside}"


def _sentence(error: yaml.YAMLError) -> str:
    return str(getattr(error, "reason", "") or error).splitlines()[0]


class _Impossible(yaml.YAMLError):
    """Reading ends here: going on would cost too much or mean too little."""


class _Reader:
    """Values out of libyaml's events. The depth is bounded, so recursion is safe."""

    def __init__(self, events: Iterator[Any]) -> None:
        self.problems: list[str] = []
        self._events = events
        self._values = 0

    def document(self) -> Any:
        value = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._problem(event, "a second document starts here; a manifest is one")
                    return value
                value = self._value(next(self._events), 1)
        return value

    def _problem(self, event: Any, reason: str) -> None:
        self.problems.append(f"line {event.start_mark.line + 1}: {reason}")

    def _value(self, event: Any, depth: int) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            raise _Impossible(f"there are more than {MAX_VALUES} values")
        if depth > MAX_DEPTH:
            raise _Impossible(f"line {event.start_mark.line + 1} is nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.AliasEvent):
            self._problem(event, f"the alias *{event.anchor} cannot be used here; write the value out")
            return None
        if event.anchor is not None:
            self._problem(event, f"the anchor &{event.anchor} cannot be used here")
        if event.tag is not None:
            self._problem(event, f"the tag {event.tag!r} cannot be used here")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(depth)
        return self._mapping(depth)

    def _list(self, depth: int) -> list[Any]:
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, depth + 1))
        return items

    def _mapping(self, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._value(event, depth + 1)
            value = self._value(next(self._events), depth + 1)
            if not isinstance(key, str):
                self._problem(event, "this key is not a text; put it in quotes")
            elif key in mapping:
                self._problem(event, f"the key {key!r} is here twice (first on line {lines[key]})")
            else:
                mapping[key] = value
                lines[key] = event.start_mark.line + 1
        return mapping

    def _scalar(self, event: Any) -> Any:
        written: str = event.value
        if any(unicodedata.category(character) == "Cc" and character not in "\n\t" for character in written):
            self._problem(event, f"there is a control character in {written[:40]!r}")
            return ""
        if not event.implicit[0]:
            return written
        value = _plain(written)
        if isinstance(value, float) and not math.isfinite(value):
            self._problem(event, f"{written} is not a finite number")
        return value


def _plain(written: str) -> Any:
    """What a word without quotes means."""
    if _NULL.fullmatch(written):
        return None
    if _TRUE.fullmatch(written):
        return True
    if _FALSE.fullmatch(written):
        return False
    if len(written) <= MAX_NUMBER:
        if _INTEGER.fullmatch(written):
            return WrittenInt(written)
        if _FLOAT.fullmatch(written):
            return WrittenFloat(written)
    return written
