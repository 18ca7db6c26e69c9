"""What passes over the border between the device's own realm and its server's: calls and events, both ways.

``local`` is translated in names of procedures and topics, and nowhere else. A call goes down when somebody upstream calls below
``org.paradrop.<pdid>.``, and up by the default route: the device's realm gives this bridge whatever nobody has registered there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from autobahn.wamp import message
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallDetails
from twisted.internet.interfaces import IReactorTime

from paradrop import border, uris
from paradrop.base.exceptions import NotPermitted, Unreachable
from paradrop.permissions import Permission, Role, WampRole
from paradrop.uplink import PassingSession, UplinkSession, caller_of
from paradropd.uplink.callers import Recent, Shares, known_as, person_may_call, shared
from paradropd.uplink.mirror import Mirror, Pattern

REMEMBERED_CALLERS = 1000

PEOPLE: list[str] = [WampRole.USER.value, WampRole.SERVER.value]
"""Who gets the events of a topic that its chute does not share with chutes of other devices."""

Route = Callable[[str, Sequence[Any], Mapping[str, Any], CallDetails], Awaitable[Any]]


def no_such_procedure(uri: str) -> ApplicationError:
    """What a router answers when nobody has registered *uri*."""
    return ApplicationError(ApplicationError.NO_SUCH_PROCEDURE, f"no callee registered for procedure <{uri}>")


class DeviceSide(PassingSession):
    """The bridge's session on the device's own realm. Its default route is there while :attr:`route` is."""

    route: Route | None = None

    def serve(self, uri: str, args: Sequence[Any], kwargs: Mapping[str, Any], details: CallDetails) -> Awaitable[Any]:
        """Answer a call that nobody on the device has registered a procedure for."""
        if self.route is None:
            raise no_such_procedure(uri)
        return self.route(uri, args, kwargs, details)


class Bridge:
    """Implements :class:`paradrop.uplink.Behind` for a device's realm."""

    def __init__(
        self,
        *,
        clock: IReactorTime,
        pdid: str,
        device: PassingSession,
        demand: Callable[[str], Permission | None],
        shares: Shares,
        subscriptions: Callable[[], Iterable[Pattern]],
        on_up: Callable[[], None],
        on_down: Callable[[str, bool], None],
    ) -> None:
        """*device*: a session on the device's realm that may do everything there. *demand*: the permission that the daemon's
        procedure of a URI demands. *subscriptions*: everything that peers of the device's realm, but *device*, listen to."""
        self.pdid = pdid
        self._device = device
        self._demand = demand
        self._shares = shares
        self._subscriptions = subscriptions
        self._on_up, self._on_down = on_up, on_down
        self._uplink: UplinkSession | None = None
        self._problem = "it is being made"
        self._roles: Recent[Role | None] = Recent(REMEMBERED_CALLERS)
        self._up, self._down = Mirror(self._heard_here, clock), Mirror(self._heard_upstream, clock)
        self._up.attach(device)

    @property
    def uplink(self) -> UplinkSession | None:
        """The session upstream, while there is one."""
        return self._uplink

    @property
    def relayed(self) -> frozenset[Pattern]:
        """The topics whose events go up, as on the device's realm."""
        return self._up.held

    # What the link tells.

    def up(self, session: UplinkSession) -> None:
        """Implements :meth:`paradrop.uplink.Behind.up`."""
        self._roles.clear()
        self._uplink = session
        self.look()
        self._down.attach(session)
        self._on_up()

    def down(self, reason: str, refused: bool) -> None:
        """Implements :meth:`paradrop.uplink.Behind.down`: calls that wait for an answer from upstream have failed already."""
        self._uplink, self._problem = None, reason
        self._up.want(())
        self._down.detach()
        self._on_down(reason, refused)

    def want(self, patterns: list[tuple[str, str]]) -> None:
        """Implements :meth:`paradrop.uplink.Behind.want`."""
        here = (border.pattern_downwards(match, uri, self.pdid) for match, uri in patterns)
        self._up.want(pattern for pattern in here if pattern is not None)

    def stop(self) -> None:
        """Let everything go; the link is stopped by whoever made it."""
        self._uplink = None
        self._up.detach()
        self._down.detach()

    # Calls.

    def call(self, uri: str, args: Sequence[Any], kwargs: Mapping[str, Any], details: CallDetails) -> Awaitable[Any]:
        """Implements :meth:`paradrop.uplink.Behind.call`: a call from upstream goes down."""
        here = border.downwards(uri, self.pdid)
        match details.caller_authrole:
            case WampRole.USER:
                if details.caller not in self._roles:
                    return self._ask_and_call(here, args, kwargs, details)
                return self._call_as(self._roles.get(details.caller), here, args, kwargs, details)
            case WampRole.SERVER:
                return self._call_as(Role.OWNER, here, args, kwargs, details)
            case WampRole.CHUTE if shared(here, self._shares):
                return self._pass_down(WampRole.CHUTE.value, here, args, kwargs, details)
        raise NotPermitted(f"you may not call {uri}")

    async def _ask_and_call(self, here: str, args: Sequence[Any], kwargs: Mapping[str, Any], details: CallDetails) -> Any:
        uplink = self._uplink
        if uplink is None or details.caller is None:
            raise NotPermitted(f"nobody knows who calls {border.upwards(here, self.pdid)}")
        answer = await uplink.stockCall(uris.SERVER_ROLE, details.caller_authid)
        role = Role(answer) if answer in list(Role) else None
        if uplink is self._uplink:
            self._roles.put(details.caller, role)
        return await self._call_as(role, here, args, kwargs, details)

    def _call_as(
        self, role: Role | None, here: str, args: Sequence[Any], kwargs: Mapping[str, Any], details: CallDetails
    ) -> Awaitable[Any]:
        if role is None or not person_may_call(role, here, self._demand(here)):
            raise NotPermitted(f"you may not call {border.upwards(here, self.pdid)}")
        return self._pass_down(role.value, here, args, kwargs, details)

    def _pass_down(
        self, role: str, here: str, args: Sequence[Any], kwargs: Mapping[str, Any], details: CallDetails
    ) -> Awaitable[Any]:
        caller = caller_of(details.caller, known_as(details.caller_authid, details.caller_authrole), role)
        return self._device.pass_call(here, args, kwargs, forward_for=caller, progress=details.progress)

    def upwards(self, uri: str, args: Sequence[Any], kwargs: Mapping[str, Any], details: CallDetails) -> Awaitable[Any]:
        """The default route of the device's realm, whose router has checked already that the caller may call *uri*.

        Raises ``wamp.error.no_such_procedure`` for a name of this device, :class:`NotPermitted` for whoever is not a chute,
        :class:`Unreachable` when there is no link.
        """
        if not border.is_foreign(uri, self.pdid):
            raise no_such_procedure(uri)
        if details.caller_authrole != WampRole.CHUTE:
            raise NotPermitted(f"only chutes call other devices by way of this one; call {uri} at the server")
        if self._uplink is None:
            raise Unreachable(f"{uri} is not on this device, and there is no link to the server: {self._problem}")
        caller = caller_of(details.caller, details.caller_authid, WampRole.CHUTE.value)
        return self._uplink.pass_call(uri, args, kwargs, forward_for=caller, progress=details.progress)

    # Events.

    def look(self) -> None:
        """Somebody on the device's realm has subscribed or unsubscribed."""
        if self._uplink is not None:
            here = self._subscriptions()
            self._down.want(each for match, uri in here for each in border.patterns_upwards(match, uri, self.pdid))

    def _heard_here(self, event: message.Event, topic: str) -> None:
        if self._uplink is None:
            return
        chute = event.publisher_authrole == WampRole.CHUTE
        publisher = caller_of(event.publisher, event.publisher_authid, WampRole.CHUTE.value) if chute else None
        eligible = None if shared(topic, self._shares) else PEOPLE
        self._uplink.pass_event(border.upwards(topic, self.pdid), event, forward_for=publisher, eligible=eligible)

    def _heard_upstream(self, event: message.Event, topic: str) -> None:
        here = border.downwards(topic, self.pdid)
        # Nobody upstream is called local; and in the device's own space only people and the server publish.
        if topic.startswith(uris.LOCAL) or (here != topic and event.publisher_authrole not in PEOPLE):
            return
        name = known_as(event.publisher_authid, event.publisher_authrole)
        publisher = caller_of(event.publisher, name, event.publisher_authrole)
        self._device.pass_event(here, event, forward_for=publisher)
