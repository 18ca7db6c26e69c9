"""``wanted.*`` and ``audit.*``: what waits for a device, and what happened here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from paradrop import uris
from paradrop.base.exceptions import InvalidInput, ParadropException
from paradrop.permissions import Permission
from paradrop.procedure import procedure
from paradrop.values import AuditEntry, Wanted
from pdserver.api.notices import Notices
from pdserver.callers import Caller
from pdserver.presence import Presence
from pdserver.registry import Registry
from pdserver.wanted import WantedBook, as_wanted

MOST_ENTRIES = 1000


class WantedApi:
    def __init__(
        self,
        *,
        registry: Registry,
        wanted: WantedBook,
        presence: Presence,
        notices: Notices,
        look: Callable[[str], Awaitable[None]],
    ) -> None:
        """*look*: asks a device for its chutes, and remembers them."""
        self._registry = registry
        self._wanted = wanted
        self._presence = presence
        self._notices = notices
        self._look = look

    @procedure(uris.WANTED_LIST, Permission.VIEW)
    async def list(self, caller: Caller, pdid: str) -> list[Wanted]:
        caller.device(self._registry.directory, pdid, Permission.VIEW)
        records = await self._wanted.of(pdid)
        if records and pdid in self._presence.online:
            with suppress(ParadropException):  # then what it said last is shown, with the time of that
                await self._look(pdid)
        actual = await self._registry.actual(pdid)
        return [as_wanted(record, actual) for record in records]

    @procedure(uris.WANTED_FORGET, Permission.OPERATE)
    async def forget(self, caller: Caller, pdid: str, chute: str) -> None:
        caller.device(self._registry.directory, pdid, Permission.OPERATE)
        await self._wanted.forget(pdid, chute)
        self._notices.device(pdid)


class AuditApi:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    @procedure(uris.AUDIT_READ, Permission.ADMINISTER)
    async def read(self, caller: Caller, after: int = 0, limit: int = 100) -> list[AuditEntry]:
        """The oldest first; a negative *after* counts from the end."""
        if not 1 <= limit <= MOST_ENTRIES:
            raise InvalidInput(f"limit is from 1 to {MOST_ENTRIES}")
        return await self._registry.audit(after, limit)
