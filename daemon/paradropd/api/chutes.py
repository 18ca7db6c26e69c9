"""``chutes.*`` and ``changes.*``: what runs, and everything that alters it."""

from __future__ import annotations

from typing import Any

from paradrop import uris
from paradrop.base.exceptions import InvalidInput
from paradrop.permissions import Permission, Person
from paradrop.procedure import procedure
from paradrop.source.admission import tree_of
from paradrop.values import ChangeRecord, ChuteStatus
from paradropd.changes.service import Changes
from paradropd.changes.store import ChangeStore
from paradropd.chutes.keeper import Keeper
from paradropd.chutes.store import ChuteStore

MOST_CHANGES = 200


class ChutesApi:
    def __init__(self, chutes: ChuteStore, keeper: Keeper, changes: Changes) -> None:
        self._chutes = chutes
        self._keeper = keeper
        self._changes = changes

    @procedure(uris.CHUTES_LIST, Permission.VIEW)
    async def list(self, caller: Person) -> list[ChuteStatus]:
        return [self._keeper.status(chute) for chute in self._chutes.all()]

    @procedure(uris.CHUTES_GET, Permission.VIEW)
    async def get(self, caller: Person, name: str) -> ChuteStatus:
        return self._keeper.status(self._chutes.get(name))

    @procedure(uris.CHUTES_DEPLOY, Permission.OPERATE)
    async def deploy(self, caller: Person, tree: dict[str, Any]) -> ChangeRecord:
        return self._changes.deploy(tree_of(tree), caller.name)

    @procedure(uris.CHUTES_START, Permission.OPERATE)
    async def start(self, caller: Person, name: str) -> ChangeRecord:
        return self._changes.start(name, caller.name)

    @procedure(uris.CHUTES_STOP, Permission.OPERATE)
    async def stop(self, caller: Person, name: str) -> ChangeRecord:
        return self._changes.stop(name, caller.name)

    @procedure(uris.CHUTES_RESTART, Permission.OPERATE)
    async def restart(self, caller: Person, name: str) -> ChangeRecord:
        return self._changes.restart(name, caller.name)

    @procedure(uris.CHUTES_REMOVE, Permission.OPERATE)
    async def remove(self, caller: Person, name: str, keep_data: bool = False) -> ChangeRecord:
        return self._changes.remove(name, keep_data, caller.name)


class ChangesApi:
    def __init__(self, store: ChangeStore) -> None:
        self._store = store

    @procedure(uris.CHANGES_LIST, Permission.VIEW)
    async def list(self, caller: Person, limit: int = 20, chute: str | None = None) -> list[ChangeRecord]:
        """The newest first."""
        if not 1 <= limit <= MOST_CHANGES:
            raise InvalidInput(f"limit is from 1 to {MOST_CHANGES}")
        return self._store.newest(limit, chute)

    @procedure(uris.CHANGES_GET, Permission.VIEW)
    async def get(self, caller: Person, change: str) -> ChangeRecord:
        return self._store.get(change)
