"""One device: everything it is made of, put together in one visible place."""

from __future__ import annotations

import grp
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any

from twisted.application.internet import backoffPolicy
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python import threadable
from twisted.web.client import Agent

from paradrop import claim, uris
from paradrop.base.cxbr import BaseSession
from paradrop.base.exceptions import AuthenticationError, ChuteNotFound, InvalidInput, NotFound, ParadropException
from paradrop.base.seams import Threads, WallClock
from paradrop.base.settings import Mode, Settings
from paradrop.logstore import LogStore
from paradrop.permissions import Permission, Person, Role
from paradrop.procedure import Procedure, collect, register
from paradrop.source import SourceLimits
from paradrop.source.blobs import Blobs
from paradrop.uplink import link
from paradrop.values import ChangeRecord, ChuteStatus, Uplink, plain
from paradropd.api.chutes import ChangesApi, ChutesApi
from paradropd.api.logs import LogsApi
from paradropd.api.node import BlobsApi, ConfigApi, FabricApi, NodeApi, PeopleApi
from paradropd.changes.perform import Performer, Times
from paradropd.changes.service import Changes
from paradropd.changes.store import ChangeStore
from paradropd.chutes.health import HealthChecker
from paradropd.chutes.keeper import Keeper
from paradropd.chutes.store import ChuteStore
from paradropd.configuration import Configuration
from paradropd.door import FabricDoor
from paradropd.engine.port import Engine, InstanceKey, InstanceStatus
from paradropd.fabric import Realm, RealmOptions
from paradropd.home import Home
from paradropd.logs import Collector
from paradropd.node import Node
from paradropd.permissions import DaemonPeer, Peer
from paradropd.storage import Database
from paradropd.uplink import DeviceSide, UplinkService
from paradropd.uplink.service import Accept, Identity, MakeLink
from paradropd.web.accounts import Accounts, owasp_hasher
from paradropd.web.limiter import Limit, Limiter
from paradropd.web.people import People
from paradropd.web.site import Device as SiteFacts
from paradropd.web.site import make_site
from paradropd.web.tokens import Tokens, Visitor

log = Logger(namespace="paradropd")

LOCAL_PERSON = Person("local", Role.OWNER)
"""Whoever may open the control socket."""

delay_after = backoffPolicy(initialDelay=1.0, maxDelay=30.0, factor=2.0)
"""Seconds until the engine is looked for again: 1, doubling to 30, each with up to a second of jitter."""

LOOPBACK = "127.0.0.1"

GROUP = "paradrop"
"""Whose members a production device takes for its owners."""

STATIC = Path(__file__).parent / "web" / "static"


class Device:
    """Builds all parts; :meth:`start` brings them up in order, :meth:`stop` takes them down in the opposite one."""

    def __init__(
        self,
        *,
        reactor: Any,
        wall: WallClock,
        threads: Threads,
        settings: Settings,
        load_settings: Callable[[], Settings],
        make_engine: Callable[[Home, Callable[[InstanceKey], float | None]], Engine],
        logs: LogStore,
        version: str,
        identity: Identity,
        make_link: MakeLink = link,
        accept: Accept = claim.accept,
    ) -> None:
        self.settings = settings
        self.home = Home.of(settings)
        self._reactor = reactor
        self._closing = ExitStack()
        self._port: IListeningPort | None = None
        self._bringing_up: Deferred[None] | None = None
        self._stopped = False

        database = Database(settings.database)
        self._closing.callback(database.close)
        chutes, change_store = ChuteStore(database), ChangeStore(database)
        blobs = Blobs(self.home.blobs, max_size=settings.max_source_bytes)

        options = RealmOptions(
            max_message=settings.max_message_size,
            ping_interval=settings.ping_interval,
            ping_timeout=settings.ping_timeout,
            lean=settings.lean_router,
        )
        self.realm = Realm(reactor, self._demand, options)
        self._session = BaseSession(self.realm.config())
        self._border = DeviceSide(self.realm.config())
        self._looking: IDelayedCall | None = None
        self.collector = Collector(logs, reactor, lambda source, seq: self._publish(uris.ON_LOG, source, seq))
        logs.appended = self._log_grew

        self.engine = make_engine(self.home, self.collector.resume)
        self.keeper = Keeper(
            clock=reactor, wall=wall, store=chutes, logs=self.collector, announce=lambda status: self._say_chute(status)
        )
        agent = Agent(reactor, connectTimeout=5)
        self._health = HealthChecker(reactor, self.engine, agent, self.keeper.states, self.realm.procedures)
        self._door = FabricDoor(self.realm, self.home)
        self._performer = Performer(
            clock=reactor,
            threads=threads,
            engine=self.engine,
            store=chutes,
            blobs=blobs,
            home=self.home,
            logs=self.collector,
            remove_log=logs.remove,
            door=self._door,
            health=self._health,
            states=self.keeper.states,
            router_id=identity.info.pdid or settings.device_name,
            times=Times(settle=settings.settle, grace=settings.stop_grace),
        )
        self._changes = Changes(
            wall=wall,
            engine=self.engine,
            chutes=chutes,
            store=change_store,
            blobs=blobs,
            keeper=self.keeper,
            perform=self._performer.perform,
            has_data=lambda name: self.home.data_dir(name).exists(),
            has_log=lambda name: self.collector.position(name) > 0,
            announce=self._say_change,
            gone=self._chute_gone,
            limits=SourceLimits(files=settings.max_source_files, bytes=settings.max_source_bytes),
            site_port=lambda: self._site_port,
        )

        accounts = Accounts(self.home.accounts, owasp_hasher(), threads)
        self.tokens = Tokens(wall, settings.token_lifetime)
        limit = Limit(settings.login_attempts, settings.login_window)
        self._site = make_site(
            clock=reactor,
            static=STATIC,
            device=SiteFacts(name=settings.device_name, version=version),
            accounts=accounts,
            tokens=self.tokens,
            limiter=Limiter(reactor.seconds, by_address=limit),
            fabric=self.realm.websocket(self._login, self._logged_in),
            agent=agent,
            address_of=self._address_of,
        )
        people = People(accounts, self.tokens, lambda: self.url)
        self.uplink = UplinkService(
            reactor=reactor,
            wall=wall,
            identity=identity,
            device=self._border,
            demand=self._demand,
            shares=self._shares,
            subscriptions=lambda: self.realm.subscriptions(self._border),
            announce=self._say_uplink,
            name=settings.device_name,
            transport=settings.uplink_transport,
            make_link=make_link,
            accept=accept,
        )
        node = Node(
            name=settings.device_name,
            pdid=lambda: identity.info.pdid,
            uplink=lambda: self.uplink.status,
            version=version,
            mode=settings.mode,
            home=self.home.root,
            site=lambda: self.url,
            wall=wall,
            engine=self.engine,
            chutes=lambda: [self.keeper.status(chute) for chute in chutes.all()],
        )
        self._chutes = chutes
        self._procedures: dict[str, Procedure] = collect(
            [
                NodeApi(node, self.uplink),
                ChutesApi(chutes, self.keeper, self._changes),
                ChangesApi(change_store),
                LogsApi(logs),
                FabricApi(self.realm),
                ConfigApi(Configuration(settings, self.home.settings, load_settings)),
                BlobsApi(blobs),
                PeopleApi(people),
            ]
        )
        self.tokens.observe(self._end_sessions_of)

    @property
    def url(self) -> str:
        """Where people reach the web site, from this machine or, when it listens everywhere, by the machine's name."""
        port = self.settings.portal_server_port if self._site_port is None else self._site_port
        host = self.settings.portal_address
        return f"http://{os.uname().nodename if host in ('', '0.0.0.0') else host}:{port}/"  # noqa: S104 - compared, not bound

    @property
    def _site_port(self) -> int | None:
        """The port of the web site, when it listens."""
        bound: Any = self._port.getHost() if self._port is not None else None
        return None if bound is None else int(bound.port)

    async def start(self) -> None:
        """Bring up the realm, what the daemon offers on it, the control socket and the web site; then whatever is to run.

        Raises ``InvalidInput`` when a socket's path is too long or the web site's port is taken.
        """
        await self.realm.start()
        self.realm.attach(self._session)
        self.realm.attach(self._border, DaemonPeer("uplink"), interrupts=True)
        await register(self._session, self._procedures)
        self.realm.watch_subscriptions(self._subscriptions_changed)
        await self.uplink.start()
        self._changes.abandon()
        self.realm.listen(self.home.control_socket, LOCAL_PERSON, mode=0o660)
        if self.settings.mode is Mode.PRODUCTION:
            with suppress(KeyError):  # no such group here: then the device is root's alone
                self.home.admit(grp.getgrnam(GROUP).gr_gid)
        address, port = self.settings.portal_address, self.settings.portal_server_port
        try:
            self._port = await TCP4ServerEndpoint(self._reactor, port, interface=address).listen(self._site)
        except CannotListenError as problem:
            reason = f"the web site cannot listen on {address}:{port}: {problem.socketError}; "
            reason += "choose another with the setting portal_server_port (0 takes a free one)"
            raise InvalidInput(reason) from problem

    async def run_chutes(self) -> None:
        """Open the engine and bring every chute to what is wanted of it; tries again for as long as the engine is away.

        Ends early, and quietly, when the device is stopped.
        """
        self._bringing_up = Deferred.fromCoroutine(self._run_chutes())
        with suppress(CancelledError):
            await self._bringing_up

    async def _run_chutes(self) -> None:
        await self._until_there(lambda: self.engine.open(self.keeper))
        await self._until_there(lambda: self.keeper.begin(self.engine, self._performer.perform, self._health))
        await self._changes.tidy()

    async def _until_there(self, ask: Callable[[], Awaitable[object]]) -> None:
        """*ask*, again and again while the engine is away."""
        for attempt in count():
            try:
                await ask()
                return
            except ParadropException as problem:  # whatever it is, the realm and the site must stay up
                log.warn("the engine is not there yet: {problem}", problem=problem)
                await deferLater(self._reactor, delay_after(attempt))

    async def stop(self) -> None:
        """Take no more, cut short what is under way, and leave nothing behind."""
        self._stopped = True
        if self._bringing_up is not None:
            self._bringing_up.cancel()
        self.keeper.stop()
        if self._port is not None:
            stopped = self._port.stopListening()
            if isinstance(stopped, Deferred):
                await stopped
        await self._changes.end()
        if self.settings.stop_chutes:
            await self._stop_chutes()
        await self.engine.close()
        self.collector.stop()
        await self.uplink.stop()
        await self.realm.stop()
        if self._looking is not None and self._looking.active():
            self._looking.cancel()
        self._closing.close()

    async def _stop_chutes(self) -> None:
        """Have what runs end, all at the same time; what is wanted stays as it is."""
        running = [key for key, state in self.keeper.states.items() if state.status is InstanceStatus.RUNNING]

        async def stop(key: InstanceKey) -> None:
            try:
                await self.engine.stop(key, self.settings.stop_grace)
            except ParadropException as problem:
                log.warn("{key} could not be stopped: {problem}", key=key, problem=problem)

        await DeferredList([Deferred.fromCoroutine(stop(key)) for key in running])

    def _demand(self, uri: str) -> Permission | None:
        declared = self._procedures.get(uri)
        return declared.permission if declared is not None else None

    def _shares(self, chute: str) -> Sequence[str]:
        try:
            return self._chutes.get(chute).release.manifest.fabric.shares
        except ChuteNotFound:
            return ()

    def _subscriptions_changed(self) -> None:
        # Later, and once for many: the router is in the middle of it.
        if self._looking is None and not self._stopped:
            self._looking = self._reactor.callLater(0, self._look)

    def _look(self) -> None:
        self._looking = None
        self.uplink.subscriptions_changed()

    def _login(self, name: str, ticket: str) -> Peer:
        visitor = self.tokens.visitor(ticket)
        if visitor.name != name:
            raise AuthenticationError("that token is somebody else's")
        return visitor

    def _logged_in(self, peer: Peer) -> bool:
        return not isinstance(peer, Visitor) or self.tokens.good(peer)

    def _end_sessions_of(self, name: str) -> None:
        self.realm.end_sessions(lambda peer: peer.name == name and not self._logged_in(peer))

    def _address_of(self, name: str) -> tuple[str, int] | None:
        release = self._chutes.get(name).release
        web = release.manifest.web
        if web is None:
            raise ChuteNotFound(f"the chute {name!r} has no page")
        state = self.keeper.states.get(release.key(release.manifest.service(web.service)))
        if state is None or state.status is not InstanceStatus.RUNNING or state.address is None:
            return None
        if state.address == LOOPBACK and web.port == self._site_port:
            raise NotFound(f"the page of the chute {name!r} would be the device's own site")  # which would ask itself for ever
        return state.address, web.port

    def _log_grew(self, source: str, seq: int) -> None:
        # The daemon's own log is written by a thread of its own, chutes' logs by the reactor's.
        if threadable.isInIOThread():
            self.collector.appended(source, seq)
        elif not self._stopped:
            self._reactor.callFromThread(self.collector.appended, source, seq)

    def _chute_gone(self, name: str) -> None:
        self._publish(uris.ON_CHUTE_REMOVED, name)

    def _say_chute(self, status: ChuteStatus) -> None:
        self._publish(uris.ON_CHUTE, plain(status))

    def _say_change(self, record: ChangeRecord) -> None:
        self._publish(uris.ON_CHANGE, plain(record))

    def _say_uplink(self, uplink: Uplink) -> None:
        self._publish(uris.ON_UPLINK, plain(uplink))

    def _publish(self, topic: str, *args: Any) -> None:
        if self._session.is_attached():
            self._session.publish(topic, *args)
