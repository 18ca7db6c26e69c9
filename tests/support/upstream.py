"""A realm that stands for a server's, in memory: whoever a test wants to be is on it, and devices link to it with no port."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CloseDetails, ComponentConfig
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from paradrop import uris
from paradrop.keys import Key
from paradrop.permissions import Role
from paradrop.uplink import Behind, PassingSession, UplinkSession
from paradropd.fabric import Realm, lean
from paradropd.testing import result_of

lean.load(True)  # before anything of Crossbar's

from crossbar.router.role import RouterRole  # noqa: E402

from paradropd.fabric.router import _Embedded  # noqa: E402


class _Anybody(RouterRole):  # type: ignore[misc]
    def authorize(self, session: Any, uri: str, action: str, options: dict[str, Any]) -> dict[str, bool]:
        return {"allow": True, "disclose": True, "cache": False}


class Upstream:
    """What a server's gate decides is not here: every role may do everything, so that what a device decides shows."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.realm = Realm(reactor, lambda uri: None)
        result_of(self.realm.start())
        self.router = self.realm._router._router
        for role in ("chute", "device", "user", "server", "guest", "stranger"):
            self.router.add_role(_Anybody(self.router, role))
        self.roles: dict[str, Role | None] = {}
        self.asked: list[tuple[Any, ...]] = []
        """What devices have asked about callers: session and name."""
        self.left: list[str] = []
        self.links: list[MemoryLink] = []
        self.refusing = ""
        """Words with which the server refuses whoever links to it now."""
        self.away = False
        self.server = self.session("server", "server")
        self._register(uris.SERVER_ROLE, self._role)
        self._register(uris.DEVICES_LEFT, lambda: self.left.append("left"))

    def _register(self, uri: str, function: Callable[..., Any]) -> None:
        outcome = Outcome(self.server.stockRegister(function, uri))
        assert not outcome.pending

    def _role(self, user: str) -> str | None:
        self.asked.append(user)
        role = self.roles.get(user)
        return role.value if role is not None else None

    def session(self, authid: str, authrole: str, kind: type[Any] = PassingSession, **extra: Any) -> Any:
        """Somebody on this realm."""
        config = ComponentConfig(realm=uris.DEVICE_REALM, extra={"pdid": authid, "reactor": self.reactor, **extra})
        session = kind(config)
        _Embedded(session, self.router, authid=authid, authrole=authrole).interrupts = True
        self.router._session_joined(session, session.session_details)  # Crossbar has embedded sessions in no role otherwise
        return session

    def end(self, session: Any) -> None:
        """*session*'s link is gone, and both sides know it."""
        self.router._session_left(session, session.session_details, CloseDetails())
        self.router.detach(session)
        session.onClose(False)

    def make_link(self, reactor: Any, address: str, pdid: str, key: Key, behind: Behind, **more: Any) -> MemoryLink:
        """Instead of :func:`paradrop.uplink.link`."""
        self.links.append(MemoryLink(self, address, pdid, key, behind, more))
        return self.links[-1]


class MemoryLink:
    """A link with no wire."""

    def __init__(self, upstream: Upstream, address: str, pdid: str, key: Key, behind: Behind, more: Mapping[str, Any]) -> None:
        self.upstream, self.address, self.pdid, self.key, self.behind = upstream, address, pdid, key, behind
        self.authority = more.get("authority")
        self.session: UplinkSession | None = None
        self.stopped = False
        if not upstream.away:
            self.connect()

    def connect(self) -> None:
        """One attempt."""
        if self.upstream.refusing:
            self.behind.down(self.upstream.refusing, True)
            return
        self.session = self.upstream.session(self.pdid, "device", UplinkSession, key=self.key, behind=self.behind)

    def cut(self) -> None:
        """The link is lost."""
        session, self.session = self.session, None
        if session is not None:
            self.upstream.end(session)

    def stop(self) -> None:
        """Instead of :meth:`paradrop.uplink.Link.stop`."""
        self.stopped = True
        if self.session is not None:
            self.session.over = True
        self.cut()


class Outcome:
    """What came of a call."""

    def __init__(self, answer: Deferred[Any]) -> None:
        self.answer = answer
        self.values: list[Any] = []
        answer.addBoth(self.values.append)

    @property
    def pending(self) -> bool:
        return not self.values

    @property
    def result(self) -> tuple[list[Any], dict[str, Any]]:
        """Arguments and keywords of the result."""
        (value,) = self.values
        if isinstance(value, Failure):
            value.raiseException()
        return list(value.results), dict(value.kwresults)

    @property
    def error(self) -> tuple[str, list[Any], dict[str, Any]]:
        """URI, arguments and keywords."""
        (value,) = self.values
        assert isinstance(value, Failure), value
        if isinstance(value.value, ApplicationError):
            return value.value.error, list(value.value.args), dict(value.value.kwargs)
        uri = getattr(value.value, "uri", lambda: type(value.value).__name__)()
        return uri, list(value.value.args), {}


def call(session: PassingSession, uri: str, /, *args: Any, progress: Any = None, **kwargs: Any) -> Outcome:
    """Call as somebody on a realm, whatever the keywords are."""
    return Outcome(session.pass_call(uri, args, kwargs, progress=progress))
