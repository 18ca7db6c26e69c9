"""The real gate in the real Crossbar router, in this process: fake wires, and a clock that a test advances."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from autobahn.twisted.rawsocket import WampRawSocketClientFactory
from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.types import Challenge, CloseDetails, ComponentConfig, RegisterOptions
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump, connect

from paradrop import uris
from paradrop.base._serializers import CBORSerializer
from paradrop.base.cxbr import BaseSession
from paradrop.keys import Key
from paradropd.fabric import lean

# The plain import of Crossbar warns of what it brings along, and takes seconds.
lean.load()
from crossbar.router import RouterOptions, unisocket  # noqa: E402
from crossbar.router.protocol import WampRawSocketServerFactory  # noqa: E402
from crossbar.router.role import RouterRole, RouterRoleStaticAuth  # noqa: E402
from crossbar.router.router import RouterFactory  # noqa: E402
from crossbar.router.service import RouterServiceAgent  # noqa: E402
from crossbar.router.session import RouterSessionFactory  # noqa: E402

from pdserver.gate import names  # noqa: E402
from pdserver.gate.component import Gate  # noqa: E402

__all__ = ["GatedRealm", "Member", "WampRawSocketServerFactory"]

AUTH = {"type": "dynamic", "authenticator": names.AUTHENTICATE, "authenticator-realm": uris.DEVICE_REALM}


class _Realm(SimpleNamespace):
    """What the router wants to know about its realm; Crossbar keeps it in a dict."""

    __hash__ = object.__hash__


class _Reactor(Clock):
    """Time, and nobody who listens."""

    def getReaders(self) -> list[Any]:
        return []


class _Routers(RouterFactory):
    """Gets its reactor, and a worker that is none of Crossbar's own."""

    def __init__(self, clock: Clock) -> None:
        self._node_id = self._worker_id = "test"
        self._worker: Any = None
        self._routers: dict[str, Any] = {}
        self._options = RouterOptions(uri_check=RouterOptions.URI_CHECK_LOOSE)
        self._reactor = clock

    def on_last_detach(self, router: Any) -> None:
        """The realm stays."""


class Wire(FakeTransport):
    """One end of a connection; *stuck* is how many bytes wait in it for somebody who does not read."""

    stuck = 0
    offset = 0
    aborted = False
    _tempDataLen = 0

    @property
    def dataBuffer(self) -> bytes:
        return bytes(self.stuck)

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()


class Member(BaseSession):
    """A session of somebody who proves themselves with a key or a ticket."""

    key: Key
    ticket = ""
    name: str | None = None
    left: CloseDetails | None = None

    def onConnect(self) -> None:
        method = "ticket" if self.ticket else "cryptosign"
        self.join(uris.DEVICE_REALM, authmethods=[method], authid=self.name, authextra=self.key.extra)

    def onChallenge(self, challenge: Challenge) -> str:
        return self.ticket or self.key.answer(challenge)

    def onLeave(self, details: CloseDetails) -> Any:
        self.left = details
        return super().onLeave(details)


class Service(BaseSession):
    """Stands in for the server's own process."""

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__(config)
        self.principals: dict[str, dict[str, Any]] = {}
        """By public key, or by ticket."""
        self.decisions: dict[tuple[str, ...], bool] = {}
        self.denied: list[list[Any]] = []
        self.presence: list[tuple[str, bool]] = []

    async def offer(self) -> None:
        await self.stockRegister(self._authenticate, names.AUTHENTICATE)
        await self.stockRegister(self._decide, names.DECIDE)
        await self.stockRegister(self.denied.extend, names.DENIED)
        await self.stockSubscribe(lambda *event: self.presence.append(event), names.PRESENCE)
        await self.stockRegister(self._anything, uris.ROOT, RegisterOptions(match="prefix", details_arg="details"))

    def _authenticate(self, realm: str, authid: str | None, details: dict[str, Any]) -> dict[str, Any]:
        proof = details.get("ticket") or details["authextra"]["pubkey"]
        if proof not in self.principals:
            raise ValueError("nobody knows you")
        return {"realm": realm, **self.principals[proof]}

    def _decide(self, *question: str) -> bool:
        return self.decisions.get(question, False)

    def _anything(self, *args: Any, details: Any) -> str:
        return f"caught {details.procedure} from {details.caller_authid}"


class GatedRealm:
    """A router with the gate in it and a service beside it. Only what a test does happens."""

    def __init__(self, gate: bool = True, **extra: Any) -> None:
        self.clock = _Reactor()
        self.pumps: list[IOPump] = []
        routers = _Routers(self.clock)
        self.sessions = RouterSessionFactory(routers)
        realm: Any = _Realm(config={"name": uris.DEVICE_REALM}, id=uris.DEVICE_REALM, controller=None, session=None)
        self.router = routers.start_realm(realm)
        everything = {"uri": "", "match": "prefix", "allow": dict.fromkeys(("call", "register", "publish", "subscribe"), True)}
        everything |= {"disclose": {"caller": True, "publisher": True}}
        self.router.add_role(RouterRoleStaticAuth(self.router, "server", default_permissions=everything))
        for role in ("device", "user", "guest"):
            self.router.add_role(RouterRole(self.router, role))
        routers._worker = SimpleNamespace(
            _router_session_factory=self.sessions,
            personality=SimpleNamespace(EXTRA_AUTH_METHODS={}),
            has_realm=lambda name: name in routers,
            has_role=lambda name, role: role is None or routers[name].has_role(role),
            get_service_session=lambda name, role: succeed(realm.session),
        )
        realm.session = RouterServiceAgent(ComponentConfig(realm.id, {"onready": Deferred()}), self.router)
        self.sessions.add(realm.session, self.router, authid="router", authrole="trusted")
        self.gate = Gate(ComponentConfig(realm.id, {**extra, "reactor": self.clock}))
        if gate:
            self.embed(self.gate, "gate")
        inside = {"anonymous": {"type": "static", "role": "server"}}
        self.inside = WampRawSocketServerFactory(self.sessions, {"serializers": ["cbor"], "auth": inside})
        self.service = Service(ComponentConfig(realm.id, {"reactor": self.clock}))
        client = WampRawSocketClientFactory(lambda: self.service, CBORSerializer()).buildProtocol(None)
        address = UNIXAddress(None)
        server = self.inside.buildProtocol(address)
        self.service_wire = Wire(server, True, peerAddress=address)
        self.pumps.append(connect(server, self.service_wire, client, Wire(client, False)))
        self.run()
        self.result(self.service.offer())
        self.raw = WampRawSocketServerFactory(
            self.sessions,
            {"serializers": ["cbor"], "auth": {"cryptosign": AUTH, "ticket": AUTH}, "options": {"max_message_size": 1 << 20}},
        )
        self.universal = unisocket.UniSocketServerFactory(rawsocket_factory=self.raw)

    def embed(self, session: ApplicationSession, name: str) -> None:
        """Join *session* without a wire, as Crossbar does with a router component."""
        self.sessions.add(session, self.router, authid=name, authrole="server")
        self.run()

    def run(self, seconds: float = 0) -> None:
        """Carry bytes until nobody has any, and let that time pass."""
        self.clock.advance(seconds)
        moved = True
        while moved:
            moved = bool(sum(pump.pump() for pump in self.pumps))
            due = [call for call in self.clock.getDelayedCalls() if call.getTime() <= self.clock.seconds()]
            self.clock.advance(0)
            moved = moved or bool(due)

    def result(self, awaitable: Awaitable[Any] | Callable[..., Any]) -> Any:
        """What comes of *awaitable*; raises what it fails with."""
        outcome: list[Any] = []
        ensureDeferred(awaitable).addBoth(outcome.append)  # type: ignore[arg-type]
        self.run()
        assert outcome, "there is no answer"
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        return outcome[0]

    def wire(self, client: Any, host: str = "192.0.2.7") -> tuple[Wire, Wire]:
        """Connect the protocol *client*. Returns the server's end and the client's."""
        peer = IPv4Address("TCP", host, 40000)
        server = self.universal.buildProtocol(peer)
        ends = Wire(server, True, peerAddress=peer), Wire(client, False)
        self.pumps.append(connect(server, ends[0], client, ends[1]))
        return ends

    def client(self, session: ApplicationSession) -> tuple[Wire, Wire]:
        return self.wire(WampRawSocketClientFactory(lambda: session, CBORSerializer()).buildProtocol(None))

    def member(self, name: str | None = None, key: Key | None = None, ticket: str = "") -> Member:
        """Somebody who tries to join; whether that succeeds is the gate's business."""
        member = Member(ComponentConfig(uris.DEVICE_REALM, {"reactor": self.clock, "pdid": name or ""}))
        member.key, member.ticket, member.name = key or Key.generate(), ticket, name
        member.wires = self.client(member)  # type: ignore[attr-defined]
        self.run()
        return member

    def device(self, pdid: str, *groups: str, prefix: bool = True) -> Member:
        """A device that has joined, and answers everything in its space with who called what."""
        key = Key.generate()
        self.service.principals[key.public] = _principal(key, pdid, "device", {"groups": list(groups)})
        device = self.member(pdid, key)
        assert device.left is None, device.left
        if prefix:
            self.register_prefix(device, pdid)
        return device

    def register_prefix(self, device: Member, pdid: str) -> None:
        def answer(*args: Any, details: Any) -> list[Any]:
            device.wanted = args if details.procedure.endswith(".uplink.want") else getattr(device, "wanted", None)  # type: ignore[attr-defined]
            return [details.procedure, details.caller_authid, details.caller_authrole]

        options = RegisterOptions(match="prefix", details_arg="details", force_reregister=True)
        self.result(device.stockRegister(answer, uris.device_space(pdid), options))

    def user(self, name: str, **grants: str) -> Member:
        """*grants*: scopes with ``__`` for the colon and ``_`` for dots."""
        key = Key.generate()
        scopes = {scope.replace("__", ":").replace("_", "."): role for scope, role in grants.items()}
        self.service.principals[key.public] = _principal(key, name, "user", {"grants": scopes})
        user = self.member(name, key)
        assert user.left is None, user.left
        return user

    def stop(self) -> None:
        self.gate._stop()


def _principal(key: Key, name: str, role: str, extra: dict[str, Any]) -> dict[str, Any]:
    return {"pubkey": key.public, "authid": name, "role": role, "extra": extra}
