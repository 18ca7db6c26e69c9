"""What the daemon offers, as methods with values: the only place of the command line that knows its procedures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from paradrop import uris
from paradrop.base.cxbr import DEADLINE
from paradrop.values import (
    ChangeRecord,
    ChuteStatus,
    LogPage,
    NodeInfo,
    ProcedureInfo,
    Setting,
    SourceTree,
    Uplink,
    plain,
    read,
)
from pdtools.fabric import Fabric

T = TypeVar("T")
SLOW = 120.0
"""Seconds for what a device may have to think about: taking in a whole source tree, or asking a server."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device, over a joined session. Every method raises what :meth:`pdtools.fabric.Fabric.call` does."""

    fabric: Fabric

    async def _ask(self, kind: type[T], name: str, *args: Any, deadline: float = DEADLINE, **keywords: Any) -> T:
        return read(kind, await self.fabric.call(uris.local(name), *args, keywords=keywords, deadline=deadline))

    async def info(self) -> NodeInfo:
        return await self._ask(NodeInfo, uris.NODE_INFO)

    async def chutes(self) -> list[ChuteStatus]:
        return await self._ask(list[ChuteStatus], uris.CHUTES_LIST)

    async def chute(self, name: str) -> ChuteStatus:
        return await self._ask(ChuteStatus, uris.CHUTES_GET, name)

    async def deploy(self, tree: SourceTree) -> ChangeRecord:
        return await self._ask(ChangeRecord, uris.CHUTES_DEPLOY, plain(tree), deadline=SLOW)

    async def change_of(self, verb: str, *args: Any) -> ChangeRecord:
        """Ask for a change by its procedure, such as :data:`paradrop.uris.CHUTES_STOP`."""
        return await self._ask(ChangeRecord, verb, *args)

    async def changes(self, limit: int, chute: str | None = None) -> list[ChangeRecord]:
        return await self._ask(list[ChangeRecord], uris.CHANGES_LIST, limit=limit, chute=chute)

    async def change(self, identity: str) -> ChangeRecord:
        return await self._ask(ChangeRecord, uris.CHANGES_GET, identity)

    async def logs(self, source: str, since: float | None, after: int | None, limit: int) -> LogPage:
        """Lines later than *since* (seconds since the epoch) or numbered above *after*; negative, it counts from the end."""
        return await self._ask(LogPage, uris.LOGS_READ, source, since=since, after=after, limit=limit)

    async def settings(self) -> list[Setting]:
        return await self._ask(list[Setting], uris.CONFIG_SHOW)

    async def setting(self, key: str) -> Setting:
        return await self._ask(Setting, uris.CONFIG_GET, key)

    async def set(self, key: str, value: str) -> Setting:
        return await self._ask(Setting, uris.CONFIG_SET, key, value)

    async def procedures(self) -> list[ProcedureInfo]:
        return await self._ask(list[ProcedureInfo], uris.FABRIC_PROCEDURES)

    async def blobs_missing(self, digests: list[str]) -> list[str]:
        return await self._ask(list[str], uris.BLOBS_MISSING, digests, deadline=SLOW)

    async def put_blob(self, digest: str, size: int, offset: int, data: bytes) -> int:
        """Send a piece; returns how many bytes of the blob the device has, from its start."""
        return int((await self._ask(dict[str, int], uris.BLOBS_PUT, digest, size, offset, data))["have"])

    async def link(self) -> dict[str, Any]:
        """``url`` and ``expires`` of a one-time login to the dashboard."""
        return await self._ask(dict[str, Any], uris.PEOPLE_LINK)

    async def people(self) -> list[dict[str, Any]]:
        return await self._ask(list[dict[str, Any]], uris.PEOPLE_LIST)

    async def add_person(self, name: str, password: str, role: str) -> Any:
        return await self.fabric.call(uris.local(uris.PEOPLE_ADD), name, password, role)

    async def remove_person(self, name: str) -> Any:
        return await self.fabric.call(uris.local(uris.PEOPLE_REMOVE), name)

    async def provision(self, url: str, token: str) -> Uplink:
        """Join the server at *url*."""
        return await self._ask(Uplink, uris.NODE_PROVISION, url, token, deadline=SLOW)

    async def unprovision(self) -> Uplink:
        """Leave the server; the answer has a ``problem`` when the server could not be told."""
        return await self._ask(Uplink, uris.NODE_UNPROVISION, deadline=SLOW)
