"""Small helpers for data that came from outside, for showing values to people, and for timing.

New code has better means for most of this (``paradrop.values`` checks and converts whole values); these are the names that the
reference fixes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote

from paradrop.base.exceptions import InvalidInput
from paradrop.base.seams import WallClock

UNITS = ((86_400, "day", "days"), (3600, "hr", "hrs"), (60, "min", "mins"), (1, "sec", "sec"))
"""Seconds in each unit, with its name for one and for several."""


def timeflt(wall: WallClock = time.time) -> float:
    """Seconds since the epoch."""
    return wall()


def timeint(wall: WallClock = time.time) -> int:
    """Whole seconds since the epoch."""
    return int(wall())


def timestr(seconds: float | None = None) -> str:
    """*seconds* since the epoch, or now, in local time: ``Sat Nov 21 12:00:00 2026``."""
    return time.asctime(time.localtime(seconds))


def stimestr(seconds: float | None = None) -> str:
    """*seconds* since the epoch, or now, in local time, short and sortable: ``2026-11-21 12:00:00``."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def timedur(seconds: float) -> str:
    """A duration in words: 300 is ``5 mins``, 86705 is ``1 day, 5 mins, 5 sec``. Fractions of a second are left out."""
    rest = int(abs(seconds))
    parts = []
    for size, one, several in UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {one if count == 1 else several}")
    words = ", ".join(parts) or "0 sec"
    return f"-{words}" if parts and seconds < 0 else words


def json2str(value: Any, default: str = "") -> str:
    """*value* as JSON in one line with sorted keys; *default* when JSON cannot hold it."""
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return default


def str2json(text: str | bytes, default: Any = None) -> Any:
    """The value in a JSON *text*; *default* when it is not JSON."""
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return default


def jsonPretty(value: Any) -> str:
    """*value* as JSON for people: indented, keys sorted. Raises ``TypeError`` when JSON cannot hold it."""
    return json.dumps(value, sort_keys=True, indent=4, separators=(",", ": "), ensure_ascii=False)


def convertUnicode(elem: Any) -> Any:
    """*elem* with every ``bytes`` in it, keys too, decoded from UTF-8; usable as ``json.loads(text, object_hook=…)``.

    In Python 2 this went the other way, to the ``str`` of that language; what callers want is still *one* kind of string.
    """
    if isinstance(elem, bytes):
        return elem.decode("utf-8", "replace")
    return _mapped(convertUnicode, elem)


def urlEncodeMe(elem: Any, safe: str = " ") -> Any:
    """*elem* with every string in it percent-encoded (RFC 3986, section 2.1), keys too; *safe* characters stay."""
    return quote(elem, safe=safe) if isinstance(elem, str) else _mapped(lambda each: urlEncodeMe(each, safe), elem)


def urlDecodeMe(elem: Any) -> Any:
    """The inverse of :func:`urlEncodeMe`."""
    return unquote(elem) if isinstance(elem, str) else _mapped(urlDecodeMe, elem)


def _mapped(function: Callable[[Any], Any], elem: Any) -> Any:
    """*elem*, if it is a dict, list or tuple, with *function* done to what is in it."""
    if isinstance(elem, dict):
        return {function(key): function(value) for key, value in elem.items()}
    if isinstance(elem, list):
        return [function(value) for value in elem]
    if isinstance(elem, tuple):
        return tuple(function(value) for value in elem)
    return elem


def explode(pkt: Any, *args: str) -> tuple[Any, ...]:
    """The values of the keys *args* in *pkt*, ``None`` for one that is not there::

        zero, one, none = explode({"a": 0, "b": 1}, "a", "b", "c")

    Raises :class:`InvalidInput` when no key is asked for.
    """
    if not args:
        raise InvalidInput("explode: no keys were asked for")
    if not isinstance(pkt, dict):
        return (None,) * len(args)
    return tuple(pkt.get(key) for key in args)


def check(pkt: Any, pktType: type, keyMatches: Iterable[str] | None = None, **valMatches: Any) -> str | None:
    """Whether *pkt*, which came from outside, is as it should be: ``None`` when it is, else a sentence that says why not.

    * *pktType*: its type.
    * *keyMatches*: keys that must be there.
    * *valMatches*: keys whose value must be equal to what is given, or be of that type when a type is given.
    """
    if not isinstance(pkt, pktType):
        return f"expected {pktType.__name__}, got {type(pkt).__name__}"
    keys = [*(keyMatches or ()), *valMatches]
    if not keys:
        return None
    if not isinstance(pkt, dict):
        return f"expected keys, got {type(pkt).__name__}"
    missing = [key for key in keys if key not in pkt]
    if missing:
        return f"missing: {', '.join(dict.fromkeys(missing))}"
    for key, wanted in valMatches.items():
        value = pkt[key]
        if isinstance(wanted, type):
            if not isinstance(value, wanted):
                return f"{key}: expected {wanted.__name__}, got {type(value).__name__}"
        elif value != wanted:
            return f"{key}: expected {wanted!r}, got {value!r}"
    return None


class dict2obj:
    """A dict's entries as attributes: ``dict2obj({"a": 1}).a``, or ``dict2obj(a=1).a``."""

    def __init__(self, aDict: dict[str, Any] | None = None, **kwargs: Any) -> None:
        vars(self).update(aDict or {}, **kwargs)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"there is no {name!r} here")

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if isinstance(other, dict2obj) else NotImplemented

    def __repr__(self) -> str:
        return f"dict2obj({vars(self)!r})"


class Timer:
    """Measures how long a block takes, and says so at its end::

        with Timer(key="build") as timer:
            build()
        print(timer.secs)

    * *key*: what to call the block.
    * *verbose*: whether to report at all.
    * *report*: takes the sentence; *clock* gives seconds from any beginning.
    """

    def __init__(
        self,
        key: str = "",
        verbose: bool = True,
        *,
        report: Callable[[str], object] = print,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.key = key
        self.verbose = verbose
        self.secs = 0.0
        self.msecs = 0.0
        self._report = report
        self._clock = clock
        self._start = 0.0

    def __enter__(self) -> Self:
        self._start = self._clock()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.secs = self._clock() - self._start
        self.msecs = self.secs * 1000
        if self.verbose:
            self._report(f"{self.key or 'elapsed'}: {self.msecs:.3f} ms")
