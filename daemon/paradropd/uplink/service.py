"""The device's place on a server: gets it, keeps the link, gives it back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import replace
from itertools import count
from typing import Any, Protocol

from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.request import Registration
from autobahn.wamp.types import CallOptions
from twisted.application.internet import backoffPolicy
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from paradrop import claim, uris
from paradrop.base.cxbr import BaseSession
from paradrop.base.exceptions import (
    AuthenticationError,
    Conflict,
    InvalidInput,
    InvitationRefused,
    ParadropException,
    PdidError,
    PdidExclusionError,
    Unreachable,
)
from paradrop.base.seams import WallClock
from paradrop.base.tls import explain
from paradrop.keys import Key
from paradrop.permissions import Permission
from paradrop.tokens import Token
from paradrop.uplink import Behind, Link, link
from paradrop.values import Uplink, UplinkState, Welcome
from paradropd.uplink import places, state
from paradropd.uplink.bridge import Bridge, DeviceSide
from paradropd.uplink.callers import Shares
from paradropd.uplink.mirror import Pattern
from paradropd.uplink.state import Happened

log = Logger(namespace="paradropd.uplink")

LEAVING = 5.0
"""Seconds that a lost link has for coming back, and then the server for taking note that the device leaves. It leaves anyway."""

LOOK = 0.2
"""Seconds between two looks whether the link is back."""

NOT_TOLD = "the server could not be told"

GIVEN_UP = (InvitationRefused, AuthenticationError, InvalidInput, PdidError, PdidExclusionError, Conflict)
"""Errors of a claim that the same claim would meet again."""

BUSY_DELAY = 1.0
"""Seconds until a claim looks again whether somebody else is done with provisioning the device."""

delay_after = backoffPolicy(initialDelay=1.0, maxDelay=30.0, factor=2.0)
"""Seconds until a claim is tried again: 1, doubling to 30, each with up to a second of jitter."""


class Identity(places.Keys, Protocol):
    """Who the device is, kept over restarts: :class:`paradrop.base.nexus.NexusBase`."""

    info: Any
    """``pdid``, ``pdserver``, ``wampRouter`` and ``keys``, the name of the place that is taken."""

    def provisioned(self) -> bool: ...

    def provision(self, pdid: str, pdserver: str = ..., wampRouter: str = ..., keys: str = ...) -> None: ...

    def unprovision(self) -> None: ...


class Accept(Protocol):
    """:func:`paradrop.claim.accept`."""

    def __call__(
        self, reactor: Any, url: str, token: Token, public_key: str, label: str = "", *, transport: str = ...
    ) -> Awaitable[Welcome]: ...


class MakeLink(Protocol):
    """:func:`paradrop.uplink.link`."""

    def __call__(
        self,
        reactor: Any,
        address: str,
        pdid: str,
        key: Key,
        behind: Behind,
        *,
        authority: str = ...,
        explain: Callable[[Failure], str] = ...,
    ) -> Link: ...


class UplinkService:
    """Runs the uplink of one device."""

    def __init__(
        self,
        *,
        reactor: Any,
        wall: WallClock,
        identity: Identity,
        device: DeviceSide,
        demand: Callable[[str], Permission | None],
        shares: Shares,
        subscriptions: Callable[[], Iterable[Pattern]],
        announce: Callable[[Uplink], None],
        name: str = "",
        transport: str = "rawsocket",
        make_link: MakeLink = link,
        accept: Accept = claim.accept,
    ) -> None:
        """*name* is what people call this device; the other parameters are those of :class:`Bridge`. *device* is attached to the
        device's realm before :meth:`start`."""
        self.status = Uplink()
        self._reactor = reactor
        self._wall = wall
        self._identity = identity
        self._device = device
        self._demand = demand
        self._shares = shares
        self._subscriptions = subscriptions
        self._announce = announce
        self._name = name
        self._transport = transport
        self._make_link = make_link
        self._accept = accept
        self._link: Link | None = None
        self._bridge: Bridge | None = None
        self._route: Registration | None = None
        self._busy = False
        self._moving: Deferred[Uplink] | None = None
        self._claiming: Deferred[None] | None = None
        self._stopped = False

    async def start(self) -> None:
        """Make the link, if the device is provisioned; it comes up when it comes up."""
        if self._identity.provisioned():
            places.forget_left(self._identity)
            await self._begin()

    async def stop(self) -> None:
        """Close the link, and end a claim, or the way to another server, that is under way."""
        self._stopped = True
        for working in (self._claiming, self._moving):
            if working is not None:
                working.cancel()
        await self._end()

    def subscriptions_changed(self) -> None:
        """To be called after somebody on the device's realm has subscribed or unsubscribed."""
        if self._bridge is not None:
            self._bridge.look()

    async def provision(self, url: str, token: str) -> Uplink:
        """Take the place on the server at *url* that *token* holds, leaving the one there was; nothing changes when that fails.

        Raises :class:`InvalidInput` for a URL or a token that is none, :class:`InvitationRefused`, ``Unreachable`` with the
        reason, :class:`Conflict` while another one is under way, and what else the server raises.
        """
        address = claim.address(url, self._transport)
        return await self._alone(self._provision(claim.normal(url), url, address, Token.read(token)))

    async def unprovision(self) -> Uplink:
        """Leave the server, and be a device alone again. The answer has a ``problem`` when the server could not be told."""
        return await self._alone(self._unprovision())

    async def _alone(self, work: Coroutine[Any, Any, Uplink]) -> Uplink:
        """Do *work*, the only one of its kind at a time; :meth:`stop` cancels it."""
        if self._busy:
            work.close()
            raise Conflict("this device is being provisioned, or leaves its server, right now")
        self._busy = True
        try:
            self._moving = Deferred.fromCoroutine(work)
            return await self._moving
        except CancelledError:
            if self._stopped:
                raise Unreachable("this device is being stopped") from None
            raise
        finally:
            self._busy, self._moving = False, None

    async def _provision(self, server: str, url: str, address: str, token: Token) -> Uplink:
        identity, before = self._identity, places.taken(self._identity)
        place = places.place_for(identity, server, token)
        key = places.key_of(identity, place)
        try:
            welcome = await self._accept(self._reactor, url, token, key.public, self._name, transport=self._transport)
        except InvitationRefused:  # whatever that key was tried for, it is good for nothing
            if place != before:
                places.forget(identity, place)
            raise
        elsewhere = self._is_elsewhere(welcome.subject, server, token)
        identity.saveKey(token.authority_pem, place.authority)
        identity.provision(welcome.subject, server, address, place.name)
        log.info("this device is {pdid} of {server} now", pdid=welcome.subject, server=server)
        if elsewhere:
            await self._tell_server()
        places.forget_all(identity, but=place)
        await self._end()
        if not self._stopped:
            await self._begin()
        return self.status

    def _is_elsewhere(self, pdid: str, server: str, token: Token) -> bool:
        """Whether the place there was is another than the new one. If it is the same, under another address perhaps, then leaving
        it would have the server forget the new key."""
        info = self._identity.info
        if not self._identity.provisioned():
            return False
        authority = self._identity.getKey(places.taken(self._identity).authority) or ""
        return bool(info.pdid != pdid or (info.pdserver != server and authority != token.authority_pem))

    async def _unprovision(self) -> Uplink:
        if not self._identity.provisioned():
            return self.status
        told = await self._tell_server()
        self._identity.unprovision()
        await self._end()
        places.forget_all(self._identity)
        self._say(Uplink())
        return self.status if told else replace(self.status, problem=NOT_TOLD)

    async def claim(self, url: str, token: str) -> None:
        """Provision the device as soon as the server can be reached, unless it is provisioned already: a unit file says the same
        at every start, also after the device was moved. Ends when it is done, or when the server
        refuses; then the log says why."""
        self._claiming = Deferred.fromCoroutine(self._claim(url, token))
        try:
            await self._claiming
        except CancelledError:
            log.info("the claim was ended")

    async def _claim(self, url: str, token: str) -> None:
        for attempt in count():
            try:
                while self._busy:  # a person's, which may fail
                    await deferLater(self._reactor, BUSY_DELAY)
                if self._identity.provisioned():
                    info = self._identity.info
                    log.info("nothing to claim: this device is {pdid} of {server}", pdid=info.pdid, server=info.pdserver)
                    return
                await self.provision(url, token)
                return
            except GIVEN_UP as problem:
                log.error("the claim at {url} is given up: {problem}", url=url, problem=problem)
                return
            except (ParadropException, ApplicationError) as problem:
                log.warn("not claimed yet: {problem}", problem=problem)
            await deferLater(self._reactor, delay_after(attempt))

    async def _tell_server(self) -> bool:
        """Whether the server knows now that this device leaves."""
        session: BaseSession | None = None
        try:
            session = await self._linked()
            if session is None:
                log.warn("the server is not told that this device leaves: there is no link")
                return False
            await session.stockCall(uris.DEVICES_LEFT, options=CallOptions(timeout=LEAVING))
            return True
        except Unreachable as problem:
            # Most of the time it is the link that the server closes, as soon as it has forgotten the key.
            log.info("leaving the server: {problem}", problem=problem)
            return session is not None and not session.is_attached()
        except (ParadropException, ApplicationError) as problem:
            log.warn("the server has not taken note that this device leaves: {problem}", problem=problem)
        except CancelledError:
            log.info("the server has not answered yet, and is left")
        return False

    async def _linked(self) -> BaseSession | None:
        """The session at the server; one that is lost has a moment to come back. A server that refuses it will go on to."""
        for _ in range(round(LEAVING / LOOK)):
            if self._bridge is None or self._bridge.uplink is not None or self.status.state is not UplinkState.CONNECTING:
                break
            await deferLater(self._reactor, LOOK)
        return self._bridge.uplink if self._bridge is not None else None

    async def _begin(self) -> None:
        info, place = self._identity.info, places.taken(self._identity)
        bridge = Bridge(
            clock=self._reactor,
            pdid=info.pdid,
            device=self._device,
            demand=self._demand,
            shares=self._shares,
            subscriptions=self._subscriptions,
            on_up=lambda: self._happened(bridge, Happened.UP),
            on_down=lambda reason, refused: self._happened(bridge, Happened.REFUSED if refused else Happened.LOST, reason),
        )
        self._bridge = bridge
        self._device.route = bridge.upwards
        self._route = await self._device.offer(uris.ROOT)
        self._say(state.begun(info.pdid, info.pdserver, self._wall()))
        try:
            self._link = self._make_link(
                self._reactor,
                info.wampRouter,
                info.pdid,
                places.key_of(self._identity, place),
                bridge,
                authority=self._identity.getKey(place.authority) or "",
                explain=lambda reason: explain(reason, self._wall()),
            )
        except InvalidInput as problem:  # written by hand, or by an older version
            self._happened(bridge, Happened.LOST, str(problem))

    async def _end(self) -> None:
        made, self._link = self._link, None
        bridge, self._bridge = self._bridge, None
        route, self._route = self._route, None
        self._device.route = None
        if made is not None:
            made.stop()
        if bridge is not None:
            bridge.stop()
        if route is not None and self._device.is_attached():
            await route.unregister()

    def _happened(self, bridge: Bridge, happened: Happened, problem: str = "") -> None:
        if bridge is self._bridge:
            self._say(state.after(self.status, happened, self._wall(), problem))

    def _say(self, status: Uplink) -> None:
        if status == self.status:
            return
        if status.state is not self.status.state or status.problem != self.status.problem:
            words = status.state.value + (f": {status.problem}" if status.problem else "")
            (log.info if status.state in (UplinkState.ONLINE, UplinkState.NONE) else log.warn)("uplink: {words}", words=words)
        self.status = status
        self._announce(status)
