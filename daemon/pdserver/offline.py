"""What the server answers for a device that is not there.

It registers the prefix ``org.paradrop.``, less specific than any device's: a call ends up here exactly when the device has not
registered its own, and so it fails at once instead of never.
"""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from autobahn.wamp.types import CallDetails

from paradrop import uris
from paradrop.base.exceptions import ChangeNotFound, DeviceNotFoundException, DeviceOffline, InvalidInput, NotFound, NotPermitted
from paradrop.border import downwards
from paradrop.permissions import Permission
from paradrop.procedure import Procedure, collect, endpoint, procedure
from paradrop.source.admission import tree_of
from paradrop.values import ChangeRecord
from pdserver.access import may
from pdserver.callers import Refused, peer_of, said
from pdserver.presence import Presence
from pdserver.registry.directory import Directory
from pdserver.registry.records import DeviceRecord
from pdserver.wanted import PREFIX, WantedBook, as_change

MOST_DIGESTS = 20_000
MOST_CHANGES = 200


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody who called a device that is not there, and who may."""

    name: str
    device: DeviceRecord


class OfflineApi:
    """What can be done with a device that is not there: deploy to it, and see what became of that."""

    def __init__(self, wanted: WantedBook, taken: Callable[[str], None]) -> None:
        """*taken*: told the device that something waits for."""
        self._wanted = wanted
        self._taken = taken

    @procedure(uris.BLOBS_MISSING, Permission.OPERATE)
    async def missing(self, asker: Asker, digests: builtins.list[str]) -> builtins.list[str]:
        if len(digests) > MOST_DIGESTS:
            raise InvalidInput(f"ask for {MOST_DIGESTS} digests at most")
        return self._wanted.shelves.of(asker.device.pdid).missing(digests)

    @procedure(uris.BLOBS_PUT, Permission.OPERATE)
    async def put(self, asker: Asker, sha256: str, size: int, offset: int, data: bytes) -> dict[str, int]:
        return {"have": self._wanted.shelves.put(asker.device.pdid, sha256, size, offset, data)}

    @procedure(uris.CHUTES_DEPLOY, Permission.OPERATE)
    async def deploy(self, asker: Asker, tree: dict[str, Any]) -> ChangeRecord:
        record = await self._wanted.take(asker.device.pdid, tree_of(tree), asker.name)
        self._taken(asker.device.pdid)  # it may have come back by now
        return as_change(record)

    @procedure(uris.CHANGES_GET, Permission.VIEW)
    async def get(self, asker: Asker, change: str) -> ChangeRecord:
        if not change.startswith(PREFIX):
            raise offline(asker.device, asker.device.seen)
        for record in await self._wanted.of(asker.device.pdid):
            if record.id == change:
                return as_change(record)
        raise ChangeNotFound(f"there is no change {change!r}, or a newer one has taken its place")

    @procedure(uris.CHANGES_LIST, Permission.VIEW)
    async def list(self, asker: Asker, limit: int = 20, chute: str | None = None) -> builtins.list[ChangeRecord]:
        """The server's own changes; the device's are the device's to tell. The newest first."""
        if not 1 <= limit <= MOST_CHANGES:
            raise InvalidInput(f"limit is from 1 to {MOST_CHANGES}")
        records = [record for record in await self._wanted.of(asker.device.pdid) if chute in (None, record.chute)]
        return [as_change(record) for record in sorted(records, key=lambda record: record.at, reverse=True)[:limit]]


class CatchAll:
    """The endpoint of the prefix ``org.paradrop.``."""

    def __init__(self, api: OfflineApi, directory: Directory, presence: Presence, refused: Refused) -> None:
        self._offered = {name: endpoint(declared, self._asker) for name, declared in collect([api], whole=str).items()}
        self._directory = directory
        self._presence = presence
        self._refused = refused

    async def __call__(self, *args: Any, details: CallDetails, **kwargs: Any) -> Any:
        uri = str(details.procedure)
        if uri.startswith(uris.SERVER):
            raise NotFound(f"nobody has registered {uri}")
        device = self._permitted(details)
        name = downwards(uri, device.pdid).removeprefix(uris.LOCAL)
        if name in self._offered:
            return await self._offered[name](*args, details=details, **kwargs)
        raise offline(device, self._presence.seen(device))

    def _asker(self, details: CallDetails, declared: Procedure) -> Asker:
        return Asker(str(details.caller_authid), self._permitted(details))

    def _permitted(self, details: CallDetails) -> DeviceRecord:
        """The device that was called. Raises :class:`NotPermitted`, and :class:`DeviceNotFoundException` for who may know."""
        uri = str(details.procedure)
        authrole, authid = str(details.caller_authrole), str(details.caller_authid)
        peer = peer_of(self._directory, authrole, authid)
        device = self._directory.owner_of(uri)
        if device is None and getattr(peer, "administrator", False):
            raise DeviceNotFoundException(f"no device has a name that {uri} begins with")
        if peer is None or device is None or not may(peer, "call", uri, "exact", device.peer):
            self._refused(said(authrole, authid), "call", uri, "")
            raise NotPermitted(f"you may not call {uri}")
        return device


def offline(device: DeviceRecord, seen: float | None) -> DeviceOffline:
    """Why a call to *device* fails."""
    if device.public_key is None:
        return DeviceOffline(f"{device.pdid} is offline: no device has claimed that place yet")
    if seen is None:
        return DeviceOffline(f"{device.pdid} is offline; it was never connected")
    moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seen))
    return DeviceOffline(f"{device.pdid} is offline; last seen {moment}")
