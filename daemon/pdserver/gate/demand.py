"""Which topics of which device somebody else listens to: facts only, no effects.

A device with nobody listening costs nothing here: there is no entry for it, and the answer takes some lookups.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from paradrop.border import pattern_downwards
from paradrop.uris import ROOT, SERVER, device_space
from pdserver.access import candidates

Pattern = tuple[str, str]
"""``match, uri`` of a subscription, as spelled at the server."""

MOST = 1000
"""Patterns that a device is told; with more it is asked for everything."""


class Demand:
    """Counts listeners by pattern, and finds the patterns that concern a device and the devices that a pattern concerns."""

    def __init__(self) -> None:
        self._listeners: dict[Pattern, dict[str, int]] = {}
        """How many sessions of each listener: a device's pdid, or nothing for everybody else."""
        self._ordered: list[tuple[str, str]] = []
        """``uri, match`` of exact and prefix patterns: those in a device's space are neighbours."""
        self._prefixes: set[str] = set()
        """URIs of prefix patterns: one that is shorter than a device's space has all of it."""
        self._wildcards: dict[str, set[Pattern]] = {}
        """By the first component below ``org.paradrop.``, which may be empty."""

    def __len__(self) -> int:
        return len(self._listeners)

    def subscribed(self, listener: str, match: str, uri: str) -> bool:
        """One more session of *listener*. Returns whether that may change what is wanted of some device."""
        if not uri.startswith(ROOT) or uri.startswith(SERVER):
            return False
        listeners = self._listeners.get((match, uri))
        if listeners is None:
            listeners = self._listeners[match, uri] = {}
            self._index(match, uri)
        listeners[listener] = listeners.get(listener, 0) + 1
        # With a second listener, the first is told of what it alone listened to in its own space.
        return listeners[listener] == 1 and len(listeners) <= 2

    def unsubscribed(self, listener: str, match: str, uri: str) -> bool:
        """The inverse of :meth:`subscribed`."""
        listeners = self._listeners.get((match, uri))
        if listeners is None or listener not in listeners:
            return False
        listeners[listener] -= 1
        if listeners[listener]:
            return False
        del listeners[listener]
        if not listeners:
            del self._listeners[match, uri]
            self._forget(match, uri)
        return len(listeners) <= 1

    def wanted(self, pdid: str) -> list[Pattern]:
        """The subscriptions of others to topics of *pdid*, in order."""
        if not self._listeners:
            return []
        space = device_space(pdid)
        found = list(self._inside(space))
        if self._prefixes:
            found += [("prefix", space[:end]) for end in range(len(ROOT), len(space)) if space[:end] in self._prefixes]
        if self._wildcards:
            for first in ("", pdid.partition(".")[0]):
                found += [each for each in self._wildcards.get(first, ()) if pattern_downwards(*each, pdid) is not None]
        wanted = sorted(pattern for pattern in found if self._others(pattern, pdid))
        return wanted if len(wanted) <= MOST else [("prefix", space)]

    def _inside(self, space: str) -> Iterator[Pattern]:
        for index in range(bisect_left(self._ordered, (space, "")), len(self._ordered)):
            uri, match = self._ordered[index]
            if not uri.startswith(space):
                return
            yield match, uri

    def _others(self, pattern: Pattern, pdid: str) -> bool:
        listeners = self._listeners[pattern]
        return len(listeners) > 1 or pdid not in listeners

    def _index(self, match: str, uri: str) -> None:
        if match == "wildcard":
            self._wildcards.setdefault(_first(uri), set()).add((match, uri))
            return
        if match == "prefix":
            self._prefixes.add(uri)
        insort(self._ordered, (uri, match))

    def _forget(self, match: str, uri: str) -> None:
        if match == "wildcard":
            patterns = self._wildcards[_first(uri)]
            patterns.discard((match, uri))
            if not patterns:
                del self._wildcards[_first(uri)]
            return
        if match == "prefix":
            self._prefixes.discard(uri)
        del self._ordered[bisect_left(self._ordered, (uri, match))]


def concerned(match: str, uri: str, devices: Iterable[str]) -> Iterator[str | None]:
    """The devices that may have topics which the pattern matches, and ``None`` for each of *devices* that has not.

    *devices* is not looked at when the pattern itself says where it belongs, so that a caller with many takes a few at a time.
    """
    if match == "exact":
        yield from candidates(uri)
        return
    for pdid in devices:
        yield pdid if pattern_downwards(match, uri, pdid) is not None else None


def _first(uri: str) -> str:
    """The component below ``org.paradrop.``."""
    return uri[len(ROOT) :].partition(".")[0]
