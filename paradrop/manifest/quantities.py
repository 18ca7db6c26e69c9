"""What people write for sizes, durations and commands, as numbers and words. Each raises ``ValueError`` with the reason."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

MIN_MEMORY = 6 << 20
"""Bytes. Docker starts nothing with less (``linuxMinMemory`` of Docker 20.10 and later)."""
MAX_MEMORY = 1 << 40
MIN_SECONDS = 0.1
MAX_SECONDS = 24 * 3600.0

SIZE = re.compile(r"([0-9]{1,15})\s?(?:([KMGT])i?)?B?", re.IGNORECASE)
DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s?(ms|s|m|h)?")
_POWERS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def memory(value: int | float | str) -> int:
    """Bytes. ``64M``, ``64MB`` and ``64MiB`` are the same, 64 × 2²⁰, as on Docker's command line."""
    if isinstance(value, str):
        match = SIZE.fullmatch(value)
        if match is None:
            raise ValueError(f"{value!r} is not a size: a number of bytes, or such as 64M or 64MiB")
        size = int(match[1]) << _POWERS[(match[2] or "").upper()]
    else:
        size = int(value)
    if size < MIN_MEMORY:
        raise ValueError(f"{value} is too little; a service needs {MIN_MEMORY >> 20}M or more")
    if size > MAX_MEMORY:
        raise ValueError(f"{value} is too much; at most {MAX_MEMORY >> 40}T")
    return size


def seconds(value: float | str) -> float:
    """Seconds: a number of them, or such as ``5s``, ``1m``, ``500ms``, ``1h``."""
    if isinstance(value, str):
        match = DURATION.fullmatch(value)
        if match is None:
            raise ValueError(f"{value!r} is not a duration: a number of seconds, or such as 5s or 1m")
        duration = float(match[1]) * _UNITS[match[2] or ""]
    else:
        duration = float(value)
    if not MIN_SECONDS <= duration <= MAX_SECONDS:
        raise ValueError(f"{value} is out of range; from 100ms to 24h")
    return duration


def words(command: str | Sequence[str]) -> tuple[str, ...]:
    """A command as the words of its argument list. A text is split by the quoting rules of a POSIX shell; nothing is expanded."""
    if not isinstance(command, str):
        return tuple(command)
    try:
        split = shlex.split(command)
    except ValueError as problem:
        raise ValueError(f"{command!r} cannot be split into words: {str(problem).lower()}") from None
    if not split or not split[0]:
        raise ValueError("is empty")
    return tuple(split)
