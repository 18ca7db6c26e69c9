"""``node.*``, ``fabric.*``, ``config.*``, ``blobs.*`` and ``people.*``: the device itself."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

from paradrop import uris
from paradrop.base.exceptions import InvalidInput
from paradrop.permissions import Permission, Person, Role
from paradrop.procedure import procedure
from paradrop.source.blobs import Blobs
from paradrop.values import NodeInfo, ProcedureInfo, Setting, Uplink
from paradropd.configuration import Configuration
from paradropd.fabric import Realm
from paradropd.node import Node
from paradropd.uplink import UplinkService
from paradropd.web.people import LoginLink, People

MOST_DIGESTS = 20_000


class NodeApi:
    def __init__(self, node: Node, uplink: UplinkService) -> None:
        self._node = node
        self._uplink = uplink

    @procedure(uris.NODE_INFO, Permission.VIEW)
    async def info(self, caller: Person) -> NodeInfo:
        return await self._node.info()

    @procedure(uris.NODE_PROVISION, Permission.ADMINISTER)
    async def provision(self, caller: Person, url: str, token: str) -> Uplink:
        return await self._uplink.provision(url, token)

    @procedure(uris.NODE_UNPROVISION, Permission.ADMINISTER)
    async def unprovision(self, caller: Person) -> Uplink:
        return await self._uplink.unprovision()


class FabricApi:
    def __init__(self, realm: Realm) -> None:
        self._realm = realm

    @procedure(uris.FABRIC_PROCEDURES, Permission.VIEW)
    async def procedures(self, caller: Person) -> list[ProcedureInfo]:
        return self._realm.procedures()


class ConfigApi:
    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    @procedure(uris.CONFIG_SHOW, Permission.ADMINISTER)
    async def show(self, caller: Person) -> Sequence[Setting]:
        return self._configuration.all()

    @procedure(uris.CONFIG_GET, Permission.ADMINISTER)
    async def get(self, caller: Person, key: str) -> Setting:
        return self._configuration.get(key)

    @procedure(uris.CONFIG_SET, Permission.ADMINISTER)
    async def set(self, caller: Person, key: str, value: str) -> Setting:
        return self._configuration.set(key, value)


class BlobsApi:
    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    @procedure(uris.BLOBS_MISSING, Permission.OPERATE)
    async def missing(self, caller: Person, digests: list[str]) -> list[str]:
        if len(digests) > MOST_DIGESTS:
            raise InvalidInput(f"ask for {MOST_DIGESTS} digests at most")
        return self._blobs.missing(digests)

    @procedure(uris.BLOBS_PUT, Permission.OPERATE)
    async def put(self, caller: Person, sha256: str, size: int, offset: int, data: bytes) -> dict[str, int]:
        return {"have": self._blobs.put(sha256, size, offset, data)}


class PeopleApi:
    def __init__(self, people: People) -> None:
        self._people = people

    @procedure(uris.PEOPLE_LINK, Permission.ADMINISTER)
    async def link(self, caller: Person) -> LoginLink:
        return await self._people.link(caller)

    @procedure(uris.PEOPLE_LIST, Permission.ADMINISTER)
    async def list(self, caller: Person) -> Sequence[Person]:
        return await self._people.list()

    @procedure(uris.PEOPLE_ADD, Permission.ADMINISTER)
    async def add(self, caller: Person, name: str, password: str, role: str = Role.VIEWER.value) -> Person:
        if role not in builtins.list(Role):
            raise InvalidInput(f"a role is one of {', '.join(Role)}")
        return await self._people.add(name, password, Role(role))

    @procedure(uris.PEOPLE_REMOVE, Permission.ADMINISTER)
    async def remove(self, caller: Person, name: str) -> None:
        await self._people.remove(name)
