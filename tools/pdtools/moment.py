"""Times as people write and read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

from paradrop.base.exceptions import InvalidInput

AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def since(text: str, now: float, zone: tzinfo | None = None) -> float:
    """``5m``, ``1.5h``, ``2d`` (ago), or an ISO 8601 time, as seconds since the epoch.

    A time without an offset is in *zone*, which is the machine's own when None. Raises :class:`InvalidInput`.
    """
    if ago := AGO.fullmatch(text.strip()):
        return now - float(ago[1]) * SECONDS[ago[2]]
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise InvalidInput(f"{text!r} is no time: say 30s, 5m, 2h, 3d, or 2026-05-31T14:00") from None


def duration(text: str) -> float:
    """``30m``, ``24h``, ``7d`` as seconds. Raises :class:`InvalidInput`."""
    if said := AGO.fullmatch(text.strip()):
        return float(said[1]) * SECONDS[said[2]]
    raise InvalidInput(f"{text!r} is no time: say 30m, 24h or 7d")


def lasted(seconds: float) -> str:
    """A duration in its two largest units: ``3d 4h``, ``12m``, ``8s``; minutes and more leave the seconds out."""
    whole = max(0, int(seconds))
    parts: list[tuple[int, str]] = []
    for unit in ("d", "h", "m", "s"):
        count, whole = divmod(whole, SECONDS[unit])
        if count or (unit == "s" and not parts):
            parts.append((count, unit))
    if len(parts) > 1 and parts[-1][1] == "s":
        parts.pop()
    return " ".join(f"{count}{unit}" for count, unit in parts[:2])


def clock_time(when: float, zone: tzinfo | None = None) -> str:
    """Date and time to the second, in *zone* (the machine's own when None)."""
    return datetime.fromtimestamp(when, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
