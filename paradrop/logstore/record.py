"""One record of a log: a line of JSON. Pure functions between records and bytes.

A record always has ``seq`` (int), ``time`` (seconds since the epoch), ``text``, ``stream`` and ``service``; it may have more
keys, such as the ``type`` and ``package`` of the daemon's own log.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

Record = dict[str, Any]

MAX_TEXT = 16 * 1024
"""Bytes of UTF-8 that one record's text may have. A longer text becomes several records; see :func:`pieces`."""

CONTINUES = "continues"
"""Extra key, ``true`` on every piece of a long text but the last: the text goes on in the record with the next number."""


def pieces(text: str) -> Iterator[str]:
    """*text* in parts of at most :data:`MAX_TEXT` bytes each, cut between characters; nothing is thrown away."""
    data = text.encode("utf-8", "replace")
    start = 0
    while len(data) - start > MAX_TEXT:
        end = start + MAX_TEXT
        while data[end] & 0xC0 == 0x80:  # a continuation byte (RFC 3629): the character began before the cut
            end -= 1
        yield data[start:end].decode()
        start = end
    yield data[start:].decode()


def encode(seq: int, time: float, text: str, stream: str, service: str, extra: Mapping[str, Any]) -> bytes:
    """A record as one line. A key of *extra* never replaces one of ours; a value JSON cannot hold is stored as its ``str``."""
    ours = {"seq": seq, "time": time, "text": text, "stream": stream, "service": service}
    record = {**ours, **extra, **ours} if extra else ours
    line = json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=str)
    return line.encode("utf-8", "replace") + b"\n"


def decode(line: bytes) -> Record | None:
    """The record in *line*, or ``None`` for anything else: a torn or damaged line, or one that is not ours."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    seq, time = record.get("seq"), record.get("time")
    if not isinstance(seq, int) or not isinstance(time, int | float) or isinstance(seq, bool) or isinstance(time, bool):
        return None
    if not math.isfinite(time) or not isinstance(record.get("text"), str):
        return None
    record.setdefault("stream", "out")
    record.setdefault("service", "")
    return record
