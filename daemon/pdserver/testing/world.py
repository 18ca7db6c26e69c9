"""A server in memory, and everybody who has to do with it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from autobahn.wamp.types import RegisterOptions
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from paradrop import uris
from paradrop.base.exceptions import DatabaseUnavailable, Unreachable
from paradrop.base.seams import inline
from paradrop.keys import Key
from paradrop.permissions import Role
from paradrop.testing import settled
from paradrop.tokens import Token
from paradrop.values import ChangeRecord, Invitation, SourceTree, TreeEntry, plain, read
from pdserver.access import EVERYTHING
from pdserver.gate import names
from pdserver.gate.names import WampRole
from pdserver.home import ServerHome
from pdserver.registry import Database
from pdserver.registry.records import InvitationKind
from pdserver.service import Service
from pdserver.session import Joining
from pdserver.settings import ServerSettings
from pdserver.testing.device import MemoryDevice
from pdserver.testing.node import MemoryNode, Peer

T = TypeVar("T")

EPOCH = 1_700_000_000.0
"""What the wall clock says when a world's clock says 0."""
URL = "https://fleet.example:8443"
AUTHORITY = b"the authority's certificate"


class WeakDatabase(Database):
    """A database that is away when a test says so."""

    away = False

    def __init__(self, url: str) -> None:
        super().__init__(url, inline, patience=0.1)

    async def read(self, function: Callable[[Connection], T]) -> T:
        self._check()
        return await super().read(function)

    async def write(self, function: Callable[[Connection], T]) -> T:
        self._check()
        return await super().write(function)

    async def upgrade(self) -> None:
        self._check()
        await super().upgrade()

    def _check(self) -> None:
        if self.away:
            raise DatabaseUnavailable("the database is away")


class World:
    """A server, and everybody who has to do with it."""

    def __init__(self, folder: Path, *, clock: Clock | None = None, url: str = "") -> None:
        """*url*: the database's; SQLite in the folder without."""
        self.folder = folder
        self.clock = clock or Clock()
        self.node = MemoryNode(self.clock)
        self.said: list[str] = []
        home = ServerHome(folder)
        home.make()
        self.database = WeakDatabase(url or f"sqlite:///{home.database}")
        self.service = Service(
            reactor=self.clock,
            wall=self.wall,
            threads=inline,
            settings=ServerSettings(home=folder, name="fleet", url=URL),
            home=home,
            authority=AUTHORITY,
            announce=self.said.append,
            connect=self._connect,
            database=self.database,
        )

    @contextmanager
    def database_away(self) -> Iterator[None]:
        """Nothing of the database can be read or written."""
        self.database.away = True
        try:
            yield
        finally:
            self.database.away = False

    @property
    def registry(self) -> Any:
        return self.service.registry

    def wall(self) -> float:
        return EPOCH + float(self.clock.seconds())

    def start(self) -> None:
        self.run(self.service.start())

    def stop(self) -> None:
        """As the server ends: nothing is left pending."""
        self.run(self.service.stop())
        assert self.clock.getDelayedCalls() == [], self.clock.getDelayedCalls()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What *work* returns or raises, which it must do without time passing."""
        answer: T = settled(Deferred.fromCoroutine(work))
        return answer

    def advance(self, seconds: float) -> None:
        """Let time pass, in small steps."""
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)

    def authenticate(self, authid: str | None, **details: Any) -> dict[str, Any]:
        """What the node gets to hear when somebody wants to come in."""
        found: dict[str, Any] = self.node.router.call(
            names.AUTHENTICATE, uris.DEVICE_REALM, authid, {"transport": {"peer": "tcp4:192.0.2.7:4711"}, **details}
        )
        return found

    def come_in(self, authid: str | None, key: Key) -> Peer:
        """A session of whoever has *key*, as the server says who that is."""
        principal = self.authenticate(authid, authmethod="cryptosign", authextra=key.extra)
        return self.node.join(principal["role"], principal["authid"], principal["extra"])

    def guest(self, token: str) -> Peer:
        """A session of whoever has that token."""
        read_token = Token.read(token)
        principal = self.authenticate(read_token.id, authmethod="ticket", ticket=read_token.secret)
        return self.node.join(principal["role"], principal["authid"], principal["extra"])

    def user(self, name: str, **grants: str) -> Peer:
        """A session of a new user, with a key, to whom is granted: ``user("bob", **{"device:acme.r1": "owner"})``."""
        key = Key.generate()
        self.run(self.registry.add_user(name))
        for scope, role in grants.items():
            self.run(self.registry.grant(name, scope, Role(role)))
        issued = self.run(self.registry.invite(InvitationKind.USER, name, 3600.0))
        self.run(self.registry.accept(issued.id, key.public))
        return self.come_in(name, key)

    def administrator(self, name: str = "ada") -> Peer:
        return self.user(name, **{EVERYTHING: "owner"})

    def device(self, pdid: str, groups: list[str] | None = None) -> MemoryDevice:
        """A new device, which has claimed its place and is not connected."""
        device = MemoryDevice(pdid, self.wall)
        for group in groups or []:
            if group not in self.registry.directory.groups():
                self.run(self.registry.add_group(group))
        self.run(self.registry.create_device(pdid, groups or []))
        issued = self.run(self.registry.invite(InvitationKind.DEVICE, pdid, 3600.0))
        self.run(self.registry.accept(issued.id, device.key.public))
        return device

    def connect(self, device: MemoryDevice) -> Peer:
        """*device* comes online: its session, and its prefix."""
        peer = self.come_in(device.pdid, device.key)
        peer.lost = lambda: self.node.presence(device.pdid, False)
        options = RegisterOptions(match="prefix", details_arg="details")
        peer.stockRegister(device.answer, uris.device_space(device.pdid), options)
        self.node.presence(device.pdid, True)
        return peer

    def tree(self, manifest: str, files: Mapping[str, bytes] | None = None) -> tuple[SourceTree, dict[str, bytes]]:
        """A chute's source, and its contents by digest."""
        contents = {**(files or {}), "paradrop.yaml": manifest.encode()}
        entries, blobs = [], {}
        for path, data in sorted(contents.items()):
            digest = hashlib.sha256(data).hexdigest()
            blobs[digest] = data
            entries.append(TreeEntry(path=path, size=len(data), sha256=digest))
        return SourceTree(entries=tuple(entries)), blobs

    def deploy(self, by: Peer, pdid: str, manifest: str, files: Mapping[str, bytes] | None = None) -> ChangeRecord:
        """Deploy to a device as ``pdtools`` does."""
        tree, blobs = self.tree(manifest, files)
        space = uris.device_space(pdid)
        for digest in by.call(space + uris.BLOBS_MISSING, list(blobs)):
            by.call(space + uris.BLOBS_PUT, digest, len(blobs[digest]), 0, blobs[digest])
        return read(ChangeRecord, by.call(space + uris.CHUTES_DEPLOY, plain(tree)))

    def token(self, answer: Any) -> str:
        """The token in what ``devices.invite`` and its siblings answer."""
        return read(Invitation, answer).token

    def lose_node(self) -> None:
        """The node dies; everybody's session with it."""
        self.node.up = False
        for peer in list(self.node.peers.values()):
            self.node.drop(peer)

    async def _connect(self, service: Joining) -> Any:
        if not self.node.up:
            raise Unreachable("no node")
        peer = self.node.join(WampRole.SERVER, "server")
        peer.lost = lambda: service.left(peer)  # type: ignore[arg-type]
        joining = Deferred.fromCoroutine(service.joined(peer))  # type: ignore[arg-type]
        joining.addErrback(Failure.printTraceback)
        return peer
