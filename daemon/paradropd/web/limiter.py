"""How often somebody may guess: by the address the guesses come from, and by the account they are for.

Why no library: ``limits`` is the one that is kept up, and its memory storage reads ``time.time`` itself and starts a timer thread
to clean up, so that it can be neither tested with a clock nor left out of the daemon's count of threads. What is needed here is
one bounded table.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from paradrop.base.exceptions import TooManyAttempts


@dataclass(frozen=True, slots=True)
class Limit:
    failures: int
    window: float
    """Seconds."""


BY_ADDRESS = Limit(10, 300.0)
BY_NAME = Limit(30, 300.0)
"""Looser than by address, so that one guesser does not lock the owner out so easily. A link from ``pdtools dashboard`` logs in
whatever this says."""
MOST_KEYS = 4096


class Limiter:
    """Counts failures in a sliding window.

    A success takes back its own attempt and no other: neither a guesser with an account of his own nor an owner who logs in gives
    a guesser new attempts. Addresses of the device itself are no exception.
    """

    def __init__(
        self, clock: Callable[[], float], by_address: Limit = BY_ADDRESS, by_name: Limit = BY_NAME, most: int = MOST_KEYS
    ) -> None:
        """*clock*: seconds, never going back (a reactor's ``seconds``). *most*: keys kept; the longest unused is forgotten."""
        self._clock = clock
        self._by_address = by_address
        self._by_name = by_name
        self._most = most
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def __len__(self) -> int:
        """Keys kept now."""
        return len(self._failures)

    @contextmanager
    def attempt(self, address: str, name: str | None = None) -> Iterator[None]:
        """One attempt, made inside the ``with``; it failed when an exception comes out. Raises :class:`TooManyAttempts` at once
        when *address* or *name* had too many.

        The attempt counts from its beginning: attempts made at the same time do not slip through together.
        """
        keys = [(("address", network(address)), self._by_address)]
        if name is not None:
            keys.append((("name", name[:64]), self._by_name))
        now = self._clock()
        if (wait := max(self._wait(key, limit, now) for key, limit in keys)) > 0:
            raise TooManyAttempts(f"too many attempts; wait {math.ceil(wait)} seconds", wait)
        for key, limit in keys:
            self._mark(key, limit, now)
        yield
        for key, _ in keys:
            self._take_back(key, now)

    def _wait(self, key: tuple[str, str], limit: Limit, now: float) -> float:
        times = self._failures.get(key)
        if times is None or len(times) < limit.failures:
            return 0.0
        return max(0.0, times[0] + limit.window - now)

    def _mark(self, key: tuple[str, str], limit: Limit, now: float) -> None:
        self._failures.setdefault(key, deque(maxlen=limit.failures)).append(now)
        self._failures.move_to_end(key)
        while len(self._failures) > self._most:
            self._failures.popitem(last=False)

    def _take_back(self, key: tuple[str, str], time: float) -> None:
        times = self._failures.get(key)
        if times is None or time not in times:
            return
        times.remove(time)
        if not times:
            del self._failures[key]


def network(address: str) -> str:
    """What one guesser has: an IPv4 address, or the /64 that every IPv6 host gets (RFC 4291, 2.5.4). Anything else is itself."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> 64 << 64))
