"""The server's own part on its node: who may join, what the server offers, and what it does when devices come and go."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from importlib import metadata
from typing import Any

from autobahn.wamp.types import RegisterOptions
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from paradrop import uris
from paradrop.base.cxbr import BaseSession
from paradrop.base.exceptions import DatabaseUnavailable, HomeInUse, NotFound, ParadropException
from paradrop.base.seams import Threads, WallClock
from paradrop.procedure import Procedure, collect, register
from pdserver.api.devices import DevicesApi
from pdserver.api.groups import GroupsApi
from pdserver.api.info import AccessApi, InfoApi
from pdserver.api.invitations import InvitationsApi, Inviter
from pdserver.api.notices import Notices
from pdserver.api.users import UsersApi
from pdserver.api.wanted import AuditApi, WantedApi
from pdserver.audit import Audit
from pdserver.authenticator import Authenticator
from pdserver.callers import Callers
from pdserver.delivery import Delivery, RemoteDevice
from pdserver.gate import names
from pdserver.home import ServerHome
from pdserver.link import Link
from pdserver.offline import CatchAll, OfflineApi
from pdserver.presence import Presence, SeenWriter, Sessions
from pdserver.questions import Questions, for_the_node
from pdserver.registry import Database, Registry
from pdserver.registry.records import Accepted, InvitationKind, WantedRecord
from pdserver.revoking import Revoking
from pdserver.session import Connect, by_socket
from pdserver.settings import ServerSettings
from pdserver.shelves import Shelves
from pdserver.wanted import WantedBook, as_wanted

log = Logger(namespace="pdserver")

FIRST_ADMINISTRATOR = "admin"
FIRST_LIFETIME = 86_400.0
"""Seconds for which the first login code is good."""
NODE_AGAIN = 0.5
"""Seconds until the node, which is on this machine and comes back by itself, is tried again."""
DATABASE_AGAIN = 2.0
"""Seconds until the database is tried again at the start."""
TIDY_EVERY = 3600.0
"""Seconds between looks for contents that were sent and never deployed."""


class Service:
    """Builds all parts; :meth:`start` brings them up, :meth:`stop` takes them down and leaves nothing pending."""

    def __init__(
        self,
        *,
        reactor: Any,
        wall: WallClock,
        threads: Threads,
        settings: ServerSettings,
        home: ServerHome,
        authority: bytes,
        announce: Callable[[str], None],
        connect: Connect | None = None,
        database: Database | None = None,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        """*authority*: the certificate (DER) that tokens carry, or nothing. *announce* says one line to the operator; the one
        with the first login code goes nowhere else. *end*: end this process; the supervisor starts another."""
        self._end = end
        self.settings = settings
        self._reactor = reactor
        self._wall = wall
        self._announce = announce
        self._connect = connect or by_socket(reactor, str(home.socket))
        url = settings.database or f"sqlite:///{home.database}"
        self.registry = Registry(database or Database(url, threads), wall, self._superseded)
        directory = self.registry.directory

        self.link = Link()
        self.presence = Presence(wall, self._presence_changed)
        self.sessions = Sessions(self.link, directory)
        self.revoking = Revoking(reactor, self.sessions)
        self.audit = Audit(reactor, wall, self.registry)
        self._seen = SeenWriter(reactor, self.presence, self.registry)
        self.shelves = Shelves(home.blobs, settings.device_quota, reactor.seconds)
        self.wanted = WantedBook(self.registry, self.shelves, self._wanted_changed)
        self.notices = Notices(reactor, self.link, directory, self.presence, self.wanted)
        self.delivery = Delivery(
            clock=reactor,
            wall=wall,
            registry=self.registry,
            wanted=self.wanted,
            device=lambda pdid: RemoteDevice(self.link, pdid),
            online=lambda pdid: pdid in self.presence.online,
        )
        inviter = self._inviter = Inviter(self.registry, settings.url, authority)
        areas: list[object] = [
            InfoApi(
                directory=directory,
                presence=self.presence,
                wall=wall,
                name=settings.name,
                url=settings.url,
                version=metadata.version("paradrop"),
            ),
            AccessApi(directory),
            InvitationsApi(self.registry, self._accepted, settings.name, settings.url),
            DevicesApi(
                registry=self.registry,
                presence=self.presence,
                wanted=self.wanted,
                notices=self.notices,
                inviter=inviter,
                revoking=self.revoking,
                forget=self._forget,
                key_of=self.sessions.key_of,
            ),
            UsersApi(registry=self.registry, inviter=inviter, revoking=self.revoking),
            GroupsApi(registry=self.registry, notices=self.notices, revoking=self.revoking),
            WantedApi(
                registry=self.registry,
                wanted=self.wanted,
                presence=self.presence,
                notices=self.notices,
                look=self.delivery.look,
            ),
            AuditApi(self.registry),
        ]
        self.procedures: dict[str, Procedure] = self.audit.audited(collect(areas, whole=str))
        self._callers = Callers(directory, self.audit.denied)
        self._authenticate = Authenticator(self.registry, self.audit.denied)
        self._questions = Questions(directory, self.audit.denied)
        self._catch_all = CatchAll(OfflineApi(self.wanted, self.delivery.wake), directory, self.presence, self.audit.denied)
        self._tidying = LoopingCall(lambda: Deferred.fromCoroutine(self.wanted.tidy()))
        self._tidying.clock = reactor
        self._joining: Deferred[None] | None = None
        self._gone: Deferred[None] | None = None
        self._pause: Deferred[Any] | None = None
        self._inviting: Deferred[None] | None = None
        self._ready = False
        self._stopped = False

    async def start(self) -> None:
        """Open the database, however long that takes, and then join the node, again and again.

        Raises :class:`InvalidSettings` when the database is none for this version.
        """
        if not await self._open():
            return
        self.audit.start()
        self._seen.start()
        self._tidying.start(TIDY_EVERY, now=False)
        self._joining = Deferred.fromCoroutine(self._stay())
        self._joining.addErrback(lambda failure: None if failure.check(CancelledError) else failure)
        self._joining.addErrback(lambda failure: log.failure("the way to the node", failure))

    async def stop(self) -> None:
        """Leave the node, write down what is still to be written, and close the database."""
        self._stopped = True
        if self._pause is not None:
            self._pause.cancel()
        if self._inviting is not None:
            self._inviting.cancel()
            await self._inviting
        await self.delivery.stop()
        await self.revoking.stop()
        session = self.link.session
        if session is not None:
            session.stop()
        if self._joining is not None:
            self._joining.cancel()
            await self._joining
        if self._tidying.running:
            self._tidying.stop()
        self.presence.reset([])
        self.notices.stop()
        await self._seen.stop()
        await self.audit.stop()
        await self.registry.close()

    async def joined(self, session: BaseSession) -> None:
        """*session* is on the node: put on it whatever the server offers, and catch up with what happened meanwhile."""
        try:
            await self._offer(session)
            self.link.session = session
            await self._catch_up(session)
        except Exception as problem:  # noqa: BLE001 - a half of what is offered is worse than a short while without
            # Most likely the node went away again. Should it be there: from the start.
            log.warn("joining the node: {problem}", problem=problem)
            session.stop()
            return
        if not self._ready:
            self._ready = True
            self._announce(f"pdserver is ready: {self.settings.url}")
            self._inviting = self._later(self._invite_first(), "the first administrator")

    def left(self, session: BaseSession) -> None:
        """*session* is gone, and with it every registration."""
        if self.link.session is session:
            self.link.session = None
            self.presence.reset([])  # until the node says who is there
        gone, self._gone = self._gone, None
        if gone is not None:
            gone.callback(None)

    # The way in.

    async def _open(self) -> bool:
        """Whether the database is open: not, when the server is stopped before."""
        said_so = ""
        while True:
            try:
                await self.registry.open()
                await self.wanted.load()
            except (DatabaseUnavailable, HomeInUse) as problem:  # the latter: stands by until the other server ends
                if str(problem) != said_so:
                    said_so = str(problem)
                    self._announce(f"pdserver waits for its database: {said_so}")
            else:
                return not self._stopped
            if self._stopped:
                return False
            self._pause = deferLater(self._reactor, DATABASE_AGAIN)
            try:
                await self._pause
            except CancelledError:
                return False

    async def _stay(self) -> None:
        while not self._stopped:
            gone: Deferred[None] = Deferred()
            self._gone = gone
            try:
                await self._connect(self)
            except CancelledError:
                raise
            except Exception as problem:  # noqa: BLE001 - whatever it is, it must not be the end
                log.debug("the node is not there yet: {problem}", problem=problem)
            else:
                await gone
            await deferLater(self._reactor, NODE_AGAIN)

    async def _offer(self, session: BaseSession) -> None:
        details = RegisterOptions(details_arg="details")
        await register(session, self.procedures, self._callers)
        await session.stockRegister(self._catch_all, uris.ROOT, RegisterOptions(match="prefix", details_arg="details"))
        await session.stockRegister(for_the_node(self._questions.decide), names.DECIDE, details)
        await session.stockRegister(for_the_node(self._questions.denied), names.DENIED, details)
        await session.stockSubscribe(self.presence.set, names.PRESENCE)
        await session.stockSubscribe(self._look_at, "wamp.session.on_join")
        # The last, since it opens the door.
        await session.stockRegister(for_the_node(self._authenticate), names.AUTHENTICATE, details)

    async def _catch_up(self, session: BaseSession) -> None:
        self.revoking.outdated()
        try:
            self.presence.reset(await session.stockCall(names.ONLINE))
        except NotFound:
            self.presence.reset([])  # no gate, no devices

    async def _invite_first(self) -> None:
        said_so = ""
        while True:
            try:
                issued = await self.registry.first_administrator(FIRST_ADMINISTRATOR, FIRST_LIFETIME)
                break
            except ParadropException as problem:
                if self._stopped:
                    return
                if str(problem) != said_so:
                    said_so = str(problem)
                    self._announce(f"pdserver cannot make sure that it has an administrator; it tries again: {said_so}")
            try:
                await deferLater(self._reactor, DATABASE_AGAIN)
            except CancelledError:
                return
        if issued is not None:
            token = self._inviter.shown(issued).token
            self._announce(f"No administrator has logged in yet. Within a day: pdtools server login {self.settings.url} {token}")

    # What the node tells.

    def _look_at(self, details: dict[str, Any]) -> Any:
        return self._later(self.sessions.joined(details), "a session that has joined")

    def _later(self, work: Coroutine[Any, Any, None], what: str) -> Deferred[None]:
        done = Deferred.fromCoroutine(work)
        return done.addErrback(lambda failure: log.warn("{what}: {problem}", what=what, problem=failure.getErrorMessage()))

    # What follows from what happened.

    def _superseded(self) -> None:
        self._later(self._stand_by(), "standing by")

    async def _stand_by(self) -> None:
        """What this server knows of who may do what is the past: nobody stays here by it."""
        self._announce("another pdserver has taken over the database: this one stands by for it")
        try:
            await self.sessions.end_all("another server has taken over")
        finally:
            self._end()

    def _presence_changed(self, pdid: str, online: bool) -> None:
        self.notices.device(pdid)
        if online:
            self.delivery.gone(pdid)  # a new link: what was under way on the old one begins again
            self.delivery.wake(pdid)
        else:
            self.delivery.gone(pdid)

    def _forget(self, pdid: str) -> None:
        self.presence.forget(pdid)
        self.delivery.forget(pdid)

    def _wanted_changed(self, record: WantedRecord) -> None:
        self._later(self._tell_wanted(record), "telling what is wanted")

    async def _tell_wanted(self, record: WantedRecord) -> None:
        self.notices.wanted(as_wanted(record, await self.registry.actual(record.pdid)))

    def _accepted(self, done: Accepted) -> None:
        if done.again:
            return
        if done.kind is InvitationKind.DEVICE:
            self.notices.device(done.subject)
        if done.replaced is not None:
            self.revoking.outdated()
