"""The real gate in the real router, in memory: what each kind of peer gets to see when it tries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from autobahn.wamp import message
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.role import RoleCallerFeatures
from autobahn.wamp.types import CallOptions, PublishOptions, RegisterOptions, SubscribeOptions
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from gated import GatedRealm, Member, WampRawSocketServerFactory
from paradrop.base._serializers import CBORSerializer
from paradrop.base.exceptions import Conflict, NotFound, NotPermitted, TooManyAttempts, Unreachable
from paradrop.keys import Key
from pdserver.gate import names

ACKNOWLEDGED = PublishOptions(acknowledge=True)
PREFIX = RegisterOptions(match="prefix", force_reregister=True)


Make = Callable[..., GatedRealm]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes realms, whose gates are put out again: they replace attributes of Crossbar's classes."""
    realms: list[GatedRealm] = []

    def make_one(**options: Any) -> GatedRealm:
        realms.append(GatedRealm(**options))
        return realms[-1]

    yield make_one
    for realm in realms:
        realm.stop()


@pytest.fixture
def realm(make: Make) -> GatedRealm:
    return make()


def refused(realm: GatedRealm, answer: Any) -> Exception:
    """What *answer* fails with."""
    try:
        value = realm.result(answer)
    except Exception as problem:
        return problem
    raise AssertionError(f"it was allowed, and gave {value!r}")


def denials(realm: GatedRealm) -> list[list[Any]]:
    """What the service was told."""
    realm.run(1.1)
    return realm.service.denied


class Raw(Protocol):
    """A client that speaks bytes, and keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.gone = False

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: object = None) -> None:
        self.gone = True


def frame(msg: Any) -> bytes:
    payload, _ = CBORSerializer().serialize(msg)
    return len(payload).to_bytes(4, "big") + payload


# Devices.


def test_a_device_is_online_while_it_has_its_prefix_registered(realm: GatedRealm) -> None:
    device = realm.device("acme.r1", prefix=False)
    assert realm.result(realm.service.stockCall(names.ONLINE)) == []
    registration = realm.result(device.stockRegister(lambda: None, "org.paradrop.acme.r1.", PREFIX))
    assert realm.result(realm.service.stockCall(names.ONLINE)) == ["acme.r1"]
    realm.result(registration.unregister())
    assert realm.result(realm.service.stockCall(names.ONLINE)) == []
    realm.register_prefix(device, "acme.r1")
    device.leave()
    realm.run()
    assert realm.service.presence == [("acme.r1", True), ("acme.r1", False), ("acme.r1", True), ("acme.r1", False)]
    assert realm.result(realm.service.stockCall(names.SESSIONS)) == []


def test_a_deeper_prefix_makes_no_device_callable(realm: GatedRealm) -> None:
    device = realm.device("acme.r1", prefix=False)
    realm.result(device.stockRegister(lambda: None, "org.paradrop.acme.r1.chute.", PREFIX))
    assert realm.result(realm.service.stockCall(names.ONLINE)) == []


@pytest.mark.parametrize(
    ("uri", "options"),
    [
        ("org.paradrop.acme.r2.", PREFIX),
        ("org.paradrop.acme.r2.chute.hello.greet", None),
        ("org.paradrop.", PREFIX),
        ("org.paradrop.acme.", PREFIX),
        ("org.paradrop.server.", PREFIX),
        (names.AUTHENTICATE, RegisterOptions(force_reregister=True)),
        ("wamp.", PREFIX),
        ("wamp.session.get", None),
        ("org.paradrop.acme..greet", RegisterOptions(match="wildcard")),
        ("org.paradrop.acme.r1.x", RegisterOptions(invoke="roundrobin")),
        ("org.paradrop.acme.r1.x", RegisterOptions(concurrency=1)),
    ],
)
def test_a_device_that_registers_elsewhere_is_refused_and_written_down(
    realm: GatedRealm, uri: str, options: RegisterOptions | None
) -> None:
    realm.device("acme.r2")
    rogue = realm.device("acme.r1")
    assert str(refused(realm, rogue.stockRegister(lambda: None, uri, options))) == f"you may not register {uri}"
    assert denials(realm) == [["device", "acme.r1", "register", uri, 1, ""]]
    assert realm.result(realm.service.stockCall("org.paradrop.acme.r2.x"))[0] == "org.paradrop.acme.r2.x"


def test_publishing_elsewhere_is_refused_and_written_down_even_when_nobody_listens(realm: GatedRealm) -> None:
    rogue = realm.device("acme.r1")
    for topic in ("org.paradrop.acme.r2.chutes.updated", "wamp.session.on_leave", names.PRESENCE):
        assert type(refused(realm, rogue.stockPublish(topic, options=ACKNOWLEDGED))) is NotPermitted
    rogue.stockPublish("org.paradrop.acme.r2.chutes.updated", 1)
    retained = PublishOptions(acknowledge=True, retain=True)
    assert type(refused(realm, rogue.stockPublish("org.paradrop.acme.r1.chutes.updated", options=retained))) is NotPermitted
    assert [row[3:5] for row in denials(realm)] == [
        ["org.paradrop.acme.r2.chutes.updated", 2],
        ["wamp.session.on_leave", 1],
        [names.PRESENCE, 1],
        ["org.paradrop.acme.r1.chutes.updated", 1],
    ]


def test_what_one_device_may_is_not_lent_to_another(realm: GatedRealm) -> None:
    # Crossbar caches decisions by role and URI: the second would get the first one's.
    first, second = realm.device("acme.r1"), realm.device("acme.r2")
    for _ in range(2):
        realm.result(first.stockPublish("org.paradrop.acme.r1.x", options=ACKNOWLEDGED))
        realm.result(first.stockSubscribe(lambda: None, "org.paradrop.acme.r1.x"))
        for attempt in (
            second.stockPublish("org.paradrop.acme.r1.x", options=ACKNOWLEDGED),
            second.stockSubscribe(lambda: None, "org.paradrop.acme.r1.x"),
            second.stockCall("org.paradrop.acme.r1.chute.hello.greet"),
        ):
            assert type(refused(realm, attempt)) is NotPermitted
    assert realm.router._authorization_cache == {}


def test_chutes_of_devices_that_share_a_group_reach_each_other(realm: GatedRealm) -> None:
    first, _, other = realm.device("acme.r1", "field"), realm.device("acme.r2", "field"), realm.device("acme.r3", "lab")
    assert realm.result(first.stockCall("org.paradrop.acme.r2.chute.hello.greet"))[1:] == ["acme.r1", "device"]
    assert type(refused(realm, other.stockCall("org.paradrop.acme.r2.chute.hello.greet"))) is NotPermitted


def forwarded(authid: object, authrole: object = "chute", session: object = 1) -> list[dict[str, object]]:
    return [{"session": session, "authid": authid, "authrole": authrole}]


@pytest.mark.parametrize(
    ("forward_for", "seen"),
    [
        (forwarded("hello"), ["hello@acme.r1", "chute"]),
        (forwarded("ada", "user"), ["acme.r1", "device"]),
        (forwarded("acme.r2", "device"), ["acme.r1", "device"]),
        (forwarded("hello@acme.r2"), ["acme.r1", "device"]),
        (forwarded("hello") + forwarded("x"), ["acme.r1", "device"]),
        (forwarded(None), ["acme.r1", "device"]),
    ],
)
def test_a_device_speaks_for_its_own_chutes_and_for_nobody_else(realm: GatedRealm, forward_for: Any, seen: list[str]) -> None:
    caller = realm.device("acme.r1", "field")
    realm.device("acme.r2", "field")
    answer = caller.stockCall("org.paradrop.acme.r2.chute.hello.greet", options=CallOptions(forward_for=forward_for))
    assert realm.result(answer)[1:] == seen


def test_the_session_a_device_names_is_replaced_by_its_own(realm: GatedRealm) -> None:
    seen: list[Any] = []

    def answer(details: Any) -> None:
        seen.append(details.caller)

    caller, callee = realm.device("acme.r1", "field"), realm.device("acme.r2", "field", prefix=False)
    realm.result(callee.stockRegister(answer, "org.paradrop.acme.r2.chute.a.b", RegisterOptions(details_arg="details")))
    victim = realm.user("ada")
    options = CallOptions(forward_for=forwarded("hello", session=victim._session_id))
    realm.result(caller.stockCall("org.paradrop.acme.r2.chute.a.b", options=options))
    assert seen == [caller._session_id]


def test_an_event_says_which_chute_sent_it(realm: GatedRealm) -> None:
    heard: list[Any] = []

    def hear(details: Any) -> None:
        heard.append((details.publisher_authid, details.publisher_authrole))

    device, ada = realm.device("acme.r1"), realm.user("ada", server="owner")
    realm.result(ada.stockSubscribe(hear, "org.paradrop.acme.r1.chute.hello.t", SubscribeOptions(details_arg="details")))
    for who in (forwarded("hello"), forwarded("ada", "user")):
        options = PublishOptions(acknowledge=True, forward_for=who)
        realm.result(device.stockPublish("org.paradrop.acme.r1.chute.hello.t", options=options))
    assert heard == [("hello@acme.r1", "chute"), ("acme.r1", "device")]


def test_a_user_cannot_pretend_to_be_somebody_else(realm: GatedRealm) -> None:
    realm.device("acme.r1")
    rogue = realm.user("mallory", device__acme_r1="operator")
    options = CallOptions(forward_for=forwarded("ada", "user"))
    assert realm.result(rogue.stockCall("org.paradrop.acme.r1.chute.a.b", options=options))[1:] == ["mallory", "user"]


def test_the_newest_session_of_a_device_wins(realm: GatedRealm) -> None:
    key = Key.generate()
    realm.service.principals[key.public] = {"pubkey": key.public, "authid": "acme.r1", "role": "device", "extra": {}}
    older = realm.member("acme.r1", key)
    realm.register_prefix(older, "acme.r1")
    newer = realm.member("acme.r1", key)
    assert older.left is not None
    assert older.left.message == "the same device has joined again"
    realm.register_prefix(newer, "acme.r1")
    assert realm.service.presence == [("acme.r1", True), ("acme.r1", False), ("acme.r1", True)]
    assert realm.result(realm.service.stockCall("org.paradrop.acme.r1.x"))[0] == "org.paradrop.acme.r1.x"
    realm.run(3)
    assert [row[2] for row in realm.result(realm.service.stockCall(names.SESSIONS))] == ["acme.r1"]


def test_a_half_open_session_does_not_block_the_device_that_comes_back(realm: GatedRealm) -> None:
    key = Key.generate()
    realm.service.principals[key.public] = {"pubkey": key.public, "authid": "acme.r1", "role": "device", "extra": {}}
    older = realm.member("acme.r1", key)
    realm.register_prefix(older, "acme.r1")
    pump = realm.pumps.pop()  # nothing passes there any more, in either direction
    newer = realm.member("acme.r1", key)
    realm.register_prefix(newer, "acme.r1")
    assert realm.result(realm.service.stockCall("org.paradrop.acme.r1.x"))[0] == "org.paradrop.acme.r1.x"
    realm.run(3)
    assert pump.serverIO.aborted


def test_an_ended_connection_that_is_closed_already_is_not_aborted_too(realm: GatedRealm) -> None:
    """TLS has nothing left to abort then, and raises."""
    device = realm.device("acme.r1")
    wire = realm.pumps[-1].serverIO
    assert realm.result(realm.service.stockCall(names.CLOSE, [device._session_id], "enough")) == 1
    realm.run()
    assert wire.disconnected
    realm.run(3)
    assert not wire.aborted


# Joining.


def test_a_signature_by_another_key_is_refused_and_written_down(realm: GatedRealm) -> None:
    real, copied = Key.generate(), Key.generate()
    realm.service.principals[copied.public] = {"pubkey": real.public, "authid": "acme.r1", "role": "device", "extra": {}}
    thief = realm.member("acme.r1", copied)
    assert thief.left is not None
    assert not thief.is_connected()
    [[role, name, action, uri, times, detail]] = denials(realm)
    assert (role, name, action, uri, times) == ("", "acme.r1", "login", "", 1)
    assert "signature" in detail
    assert realm.result(realm.service.stockCall(names.SESSIONS)) == []


def test_an_authid_of_ones_own_choice_is_of_no_use(realm: GatedRealm) -> None:
    key = Key.generate()
    realm.service.principals[key.public] = {"pubkey": key.public, "authid": "acme.r1", "role": "device", "extra": {}}
    realm.member("acme.r2", key)
    assert [row[2] for row in realm.result(realm.service.stockCall(names.SESSIONS))] == ["acme.r1"]


def test_a_guest_joins_with_a_ticket_and_may_only_accept(realm: GatedRealm) -> None:
    realm.service.principals["s3cret"] = {"authid": "inv1", "role": "guest", "extra": {}}
    guest = realm.member("inv1", ticket="s3cret")
    assert realm.result(guest.stockCall("org.paradrop.server.invitations.accept")).startswith("caught")
    assert type(refused(realm, guest.stockCall("org.paradrop.server.info"))) is NotPermitted
    assert realm.member("inv1", ticket="other").left is not None


def test_sessions_are_told_with_the_key_that_they_have_proved(realm: GatedRealm) -> None:
    ada = realm.user("ada")
    assert realm.result(realm.service.stockCall(names.SESSIONS)) == [[ada._session_id, "user", "ada", ada.key.public, ""]]


def test_closed_sessions_are_gone_at_once(realm: GatedRealm) -> None:
    device, ada = realm.device("acme.r1"), realm.user("ada", server="owner")
    sessions = [device._session_id, ada._session_id, 12345]
    assert realm.result(realm.service.stockCall(names.CLOSE, sessions, "the key is not good any more")) == 2
    for member in (device, ada):
        assert member.left is not None
        assert member.left.message == "the key is not good any more"
    assert realm.result(realm.service.stockCall(names.ONLINE)) == []
    realm.run(3)
    assert realm.result(realm.service.stockCall(names.SESSIONS)) == []


def test_nobody_else_closes_sessions(realm: GatedRealm) -> None:
    device, ada = realm.device("acme.r1"), realm.user("ada", server="owner")
    for peer in (device, ada):
        for name in (names.CLOSE, names.SESSIONS, names.ONLINE, names.DECIDE, names.DENIED):
            assert type(refused(realm, peer.stockCall(name, [ada._session_id]))) is NotPermitted
    assert ada.left is None


GREETING = b"\x7f\xf3\x00\x00"
"""RawSocket, messages up to 16 MiB, CBOR."""


def hello(key: str, name: str = "acme.r1") -> Any:
    roles = {"caller": RoleCallerFeatures()}
    return message.Hello("paradrop", roles, authmethods=["cryptosign"], authid=name, authextra={"pubkey": key})


def raw(realm: GatedRealm, *data: bytes) -> tuple[Raw, Any]:
    """Somebody who sends *data*, piece by piece. Returns them, and the server's end of their connection."""
    client = Raw()
    server, own = realm.wire(client)
    for piece in data:
        own.write(piece)
        realm.run()
    realm.run()
    return client, server


def test_a_second_hello_ends_the_connection(realm: GatedRealm) -> None:
    key = Key.generate().public
    realm.service.principals[key] = {"pubkey": key, "authid": "acme.r1", "role": "device", "extra": {}}
    client, _ = raw(realm, GREETING, frame(hello(key)))
    assert not client.gone
    client, _ = raw(realm, GREETING, frame(hello(key)) * 2)
    assert client.gone


def test_a_second_ticket_ends_the_connection(realm: GatedRealm) -> None:
    # Crossbar would welcome the session twice, and be left with one that has no id and never ends.
    realm.service.principals["s3cret"] = {"authid": "inv1", "role": "guest", "extra": {}}
    asked = message.Hello("paradrop", {"caller": RoleCallerFeatures()}, authmethods=["ticket"], authid="inv1")
    client, _ = raw(realm, GREETING, frame(asked), frame(message.Authenticate("s3cret")) * 2)
    assert client.gone
    assert None not in realm.router._session_id_to_session
    assert realm.result(realm.service.stockCall(names.SESSIONS)) == []


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02",
        b"\x7f",  # the first byte of a greeting, and no more
        b"\x7f\x00\x00\x00",
        GREETING,
        GREETING + b"\x00\x00\x00\x20half",
        GREETING + b"\x00\x00\x00\x04\xff\xff\xff\xff",
        GREETING + b"\x00\x00\x00\x02\x81\x01",
        GREETING + b"\x7f\xff\xff\xff",
        b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"",
    ],
)
def test_garbage_and_silence_end_their_own_connection_in_time(realm: GatedRealm, data: bytes) -> None:
    device = realm.device("acme.r1")
    client, server = raw(realm, *([data] if data else []))
    realm.run(21)
    assert client.gone
    assert len(realm.gate.guard.strangers) == 0
    assert device.left is None
    assert realm.result(realm.service.stockCall("org.paradrop.acme.r1.x"))[0] == "org.paradrop.acme.r1.x"
    assert server.disconnecting


def test_a_message_before_joining_ends_the_connection(realm: GatedRealm) -> None:
    client, _ = raw(realm, GREETING, frame(message.Call(1, "org.paradrop.server.info")))
    assert client.gone


def test_a_drop_at_a_time_is_too_slow(realm: GatedRealm) -> None:
    client = Raw()
    _, own = realm.wire(client)
    data = GREETING + frame(hello("00"))
    for byte in data:
        own.write(bytes([byte]))
        realm.run(1)
        if client.gone:
            break
    assert client.gone
    assert realm.clock.seconds() < 22


def test_a_stranger_cannot_fill_the_memory(realm: GatedRealm) -> None:
    client, _ = raw(realm, GREETING + (1 << 20).to_bytes(4, "big"), *[bytes(10_000)] * 7)
    assert client.gone


def test_a_message_that_has_begun_must_come_to_its_end(make: Make) -> None:
    realm = make(frame_patience=30)
    slow, other = realm.device("acme.r1"), realm.device("acme.r2")
    _, own = slow.wires  # type: ignore[attr-defined]
    published = frame(message.Publish(7, "org.paradrop.acme.r1.x", args=["y" * 100]))
    for byte in published[:-1]:
        own.write(bytes([byte]))
        realm.run(0.1)
    assert slow.is_attached()
    own.write(published[-1:] + published[:2])  # in time, and the next one's time begins
    realm.run()
    realm.run(29)
    assert slow.is_attached()
    realm.run(2)
    assert not slow.is_attached()
    assert other.is_attached()
    assert realm.result(realm.service.stockCall(names.ONLINE)) == ["acme.r2"]


def test_who_is_in_no_message_has_all_the_time(make: Make) -> None:
    realm = make(frame_patience=30)
    device = realm.device("acme.r1")
    _, own = device.wires  # type: ignore[attr-defined]
    published = frame(message.Publish(7, "org.paradrop.acme.r1.x"))
    own.write(published[:5])
    realm.run()
    realm.run(29)
    own.write(published[5:])
    realm.run()
    realm.run(1000)
    assert device.is_attached()
    timers = len(realm.clock.getDelayedCalls())
    own.write(published[:5])
    realm.run()
    assert len(realm.clock.getDelayedCalls()) == timers + 1
    device.wires[0].abortConnection()  # type: ignore[attr-defined]
    realm.run()
    assert len(realm.clock.getDelayedCalls()) == timers, "whoever is gone leaves no timer behind"


def test_the_oldest_stranger_makes_room(make: Make) -> None:
    realm = make(strangers=3)
    clients = [raw(realm)[0] for _ in range(5)]
    assert [client.gone for client in clients] == [True, True, False, False, False]
    device = realm.device("acme.r1")  # it pushes out one more, and does not count itself any longer
    assert device.left is None
    assert len(realm.gate.guard.strangers) == 2


def test_who_has_joined_may_be_silent(realm: GatedRealm) -> None:
    device = realm.device("acme.r1")
    realm.run(1000)
    assert device.left is None
    assert realm.result(device.stockCall("org.paradrop.server.access.role")).startswith("caught")


def test_who_does_not_read_is_dropped(realm: GatedRealm) -> None:
    device = realm.device("acme.r1")
    device.wires[0].stuck = (12 << 20) - 100  # type: ignore[attr-defined]
    realm.result(realm.service.stockCall("org.paradrop.acme.r1.x"))
    device.wires[0].stuck = (12 << 20) + 1  # type: ignore[attr-defined]
    assert type(refused(realm, realm.service.stockCall("org.paradrop.acme.r1.x"))) is Unreachable
    assert device.wires[0].aborted  # type: ignore[attr-defined]
    assert realm.result(realm.service.stockCall(names.ONLINE)) == []


def test_the_servers_own_process_may_be_slower(realm: GatedRealm) -> None:
    realm.service_wire.stuck = 40 << 20
    assert realm.result(realm.service.stockCall(names.ONLINE)) == []
    assert not realm.service_wire.aborted


def test_one_subscriber_who_takes_small_messages_only_does_not_keep_events_from_the_others(realm: GatedRealm) -> None:
    heard: list[Any] = []
    device = realm.device("acme.r1")
    people = [realm.user(f"u{n}", server="owner") for n in range(4)]
    for n, member in enumerate(people):
        realm.result(member.stockSubscribe(lambda data, n=n: heard.append(n), "org.paradrop.acme.r1.chute.a.b"))
    small = [session for session in realm.gate.guard.fleet.sessions.values() if session._authid in ("u0", "u1")]
    for session in small:
        session._transport._max_len_send = 512
    realm.result(device.stockPublish("org.paradrop.acme.r1.chute.a.b", "x" * 2000, options=ACKNOWLEDGED))
    assert sorted(heard) == [2, 3]
    assert [member.is_connected() for member in people] == [False, False, True, True]


# Users, and devices that are not there.


def test_a_denied_call_is_told_to_the_server_with_how_often(realm: GatedRealm) -> None:
    realm.device("acme.r1")
    vera = realm.user("vera", device__acme_r1="viewer")
    for _ in range(3):
        assert type(refused(realm, vera.stockCall("org.paradrop.acme.r1.chutes.deploy"))) is NotPermitted
    assert denials(realm) == [["user", "vera", "call", "org.paradrop.acme.r1.chutes.deploy", 3, ""]]


def test_about_a_device_that_is_away_the_server_decides(realm: GatedRealm) -> None:
    ada = realm.user("ada", group__field="operator")
    uri = "org.paradrop.acme.r9.chutes.list"
    assert type(refused(realm, ada.stockCall(uri))) is NotPermitted
    realm.service.decisions["user", "ada", "call", uri, "exact"] = True
    assert realm.result(ada.stockCall(uri)) == f"caught {uri} from ada"
    realm.service.decisions["user", "ada", "subscribe", "org.paradrop.acme.r9.", "prefix"] = True
    realm.result(ada.stockSubscribe(lambda: None, "org.paradrop.acme.r9.", SubscribeOptions(match="prefix")))
    assert denials(realm) == [["user", "ada", "call", uri, 1, ""]]


def test_a_subscription_that_the_server_allowed_is_wanted_of_the_device_when_it_comes(realm: GatedRealm) -> None:
    ada = realm.user("ada", group__field="operator")
    realm.service.decisions["user", "ada", "subscribe", "org.paradrop.acme.r9.chutes.updated", "exact"] = True
    realm.result(ada.stockSubscribe(lambda: None, "org.paradrop.acme.r9.chutes.updated"))
    device = realm.device("acme.r9", "field")
    realm.run(0.2)
    assert device.wanted == ([["exact", "org.paradrop.acme.r9.chutes.updated"]],)  # type: ignore[attr-defined]


def test_while_the_server_is_away_nobody_is_let_through_to_devices_that_are_away(realm: GatedRealm) -> None:
    ada = realm.user("ada", group__field="operator")
    realm.service.leave()
    realm.run()
    assert isinstance(refused(realm, ada.stockCall("org.paradrop.acme.r9.chutes.list")), ApplicationError)
    assert realm.member("acme.r1").left is not None
    assert len(realm.gate.guard.denials) == 0


def test_a_session_asks_about_a_limited_number_of_devices_at_a_time(make: Make) -> None:
    realm = make(decisions=3)
    ada = realm.user("ada", group__field="operator")
    undecided = RegisterOptions(force_reregister=True)
    realm.result(realm.service.stockRegister(lambda *question: Deferred(), names.DECIDE, undecided))
    answers = [ada.stockCall(f"org.paradrop.acme.r{n}.chutes.list") for n in range(5)]
    realm.run()
    assert [answer.called for answer in answers] == [False] * 3 + [True] * 2
    for answer in answers:
        answer.addErrback(lambda failure: None)
    realm.run(11)
    assert [answer.called for answer in answers] == [True] * 5


# Bounds of a session.


def test_a_device_keeps_a_limited_number_of_registrations(make: Make) -> None:
    realm = make(registrations=3)
    device = realm.device("acme.r1")
    for n in range(2):
        realm.result(device.stockRegister(lambda: None, f"org.paradrop.acme.r1.x{n}"))
    assert type(refused(realm, device.stockRegister(lambda: None, "org.paradrop.acme.r1.x9"))) is NotPermitted


def test_a_session_keeps_a_limited_number_of_subscriptions(make: Make) -> None:
    realm = make(subscriptions=2)
    ada = realm.user("ada", server="owner")
    for n in range(2):
        realm.result(ada.stockSubscribe(lambda: None, f"org.paradrop.acme.x{n}"))
    assert type(refused(realm, ada.stockSubscribe(lambda: None, "org.paradrop.acme.x9"))) is NotPermitted


def test_a_session_has_a_limited_number_of_calls_under_way(make: Make) -> None:
    realm = make(pending=2)
    device = realm.device("acme.r1", prefix=False)
    realm.result(device.stockRegister(lambda: Deferred(), "org.paradrop.acme.r1.chute.a.b"))
    ada = realm.user("ada", server="owner")
    waiting = [ada.stockCall("org.paradrop.acme.r1.chute.a.b") for _ in range(2)]
    realm.run()
    assert type(refused(realm, ada.stockCall("org.paradrop.acme.r1.chute.a.b"))) is TooManyAttempts
    device.leave()
    realm.run()
    assert all(answer.called for answer in waiting)
    for answer in waiting:
        answer.addErrback(lambda failure: None)


def test_the_server_itself_is_not_bound(make: Make) -> None:
    realm = make(registrations=1, subscriptions=1, pending=1)
    for n in range(5):
        realm.result(realm.service.stockRegister(lambda: None, f"org.paradrop.server.x{n}"))
        realm.result(realm.service.stockSubscribe(lambda: None, f"org.paradrop.acme.x{n}"))


def test_calls_under_way_carry_a_limited_number_of_bytes(make: Make) -> None:
    realm = make(pending_bytes=100_000)
    device = realm.device("acme.r1", prefix=False)
    answers: list[Deferred[str]] = []

    def take(data: bytes) -> Deferred[str]:
        answers.append(Deferred())
        return answers[-1]

    realm.result(device.stockRegister(take, "org.paradrop.acme.r1.chute.a.b"))
    ada, bob = realm.user("ada", server="owner"), realm.user("bob", server="owner")
    waiting = [ada.stockCall("org.paradrop.acme.r1.chute.a.b", bytes(40_000)) for _ in range(2)]
    realm.run()
    assert type(refused(realm, ada.stockCall("org.paradrop.acme.r1.chute.a.b", bytes(40_000)))) is TooManyAttempts
    waiting.append(ada.stockCall("org.paradrop.acme.r1.chute.a.b", b"small"))
    waiting.append(bob.stockCall("org.paradrop.acme.r1.chute.a.b", bytes(200_000)))  # alone
    realm.run()
    assert len(answers) == 4
    answers[0].callback("done")
    realm.run()
    waiting.append(ada.stockCall("org.paradrop.acme.r1.chute.a.b", bytes(40_000)))
    realm.run()
    for answer in answers[1:]:
        answer.callback("done")
    assert [realm.result(each) for each in waiting] == ["done"] * 5


def test_calls_and_events_that_wait_for_the_servers_decision_carry_no_more(make: Make) -> None:
    realm = make(pending_bytes=100_000)
    ada = realm.user("ada", group__field="operator")
    undecided = RegisterOptions(force_reregister=True)
    realm.result(realm.service.stockRegister(lambda *question: Deferred(), names.DECIDE, undecided))
    asked = [ada.stockCall(f"org.paradrop.acme.r{n}.chutes.list", bytes(40_000)) for n in range(2)]
    realm.run()
    for _ in range(2):
        assert type(refused(realm, ada.stockCall("org.paradrop.acme.r3.chutes.list", bytes(40_000)))) is TooManyAttempts
    event = ada.stockPublish("org.paradrop.acme.r3.chute.a.b", bytes(40_000), options=ACKNOWLEDGED)
    assert type(refused(realm, event)) is TooManyAttempts
    for answer in asked:
        answer.addErrback(lambda failure: None)
    realm.run(11)
    assert [answer.called for answer in asked] == [True] * 2


def test_a_guest_has_few_sessions_and_little_time(make: Make) -> None:
    realm = make(guest_sessions=2, guest_time=60)
    for invitation in ("inv1", "inv2"):
        realm.service.principals[invitation] = {"authid": invitation, "role": "guest", "extra": {}}
    guests = [realm.member("inv1", ticket="inv1") for _ in range(3)]
    assert [guest.left is None for guest in guests] == [True, True, False]
    assert realm.member("inv2", ticket="inv2").left is None
    guests[0].leave()
    realm.run(3)
    assert realm.member("inv1", ticket="inv1").left is None
    realm.run(56)
    assert guests[1].left is None
    realm.run(62)
    assert guests[1].left is not None
    assert realm.result(realm.service.stockCall(names.SESSIONS)) == []


def test_a_user_has_a_limited_number_of_sessions(make: Make) -> None:
    realm = make(user_sessions=2)
    ada = realm.user("ada")
    others = [realm.member("ada", ada.key) for _ in range(2)]
    assert [other.left is None for other in others] == [True, False]
    realm.user("bob")
    assert len(realm.result(realm.service.stockCall(names.SESSIONS))) == 3


@pytest.mark.parametrize("kind", [message.Error, message.Yield])
def test_nobody_answers_a_call_that_somebody_else_was_given(realm: GatedRealm, kind: type[Any]) -> None:
    device, ada = realm.device("acme.r1", prefix=False), realm.user("ada", server="owner")
    given: Deferred[str] = Deferred()
    realm.result(device.stockRegister(lambda: given, "org.paradrop.acme.r1.chute.a.b"))
    answer = ada.stockCall("org.paradrop.acme.r1.chute.a.b")
    realm.run()
    realm.service.principals["s3cret"] = {"authid": "inv1", "role": "guest", "extra": {}}
    for guess in range(40):
        guest = realm.member("inv1", ticket="s3cret")
        if kind is message.Error:
            forged = message.Error(message.Invocation.MESSAGE_TYPE, guess, NotFound.uri(), args=["forged"])
        else:
            forged = message.Yield(guess, args=["forged"])
        guest._transport.send(forged)
        realm.run()
        if guest.left is not None:
            break
        guest.leave()
        realm.run()
    assert guest.left is not None
    assert guest.left.message == "that call was not yours to answer"
    assert ["guest", "inv1", "answer", "", 1, ""] in denials(realm)
    given.callback("the real one")
    assert realm.result(answer) == "the real one"


# What is wanted of devices.


def test_a_device_is_told_what_others_listen_to(realm: GatedRealm) -> None:
    device = realm.device("acme.r1")
    realm.run(1)
    assert not hasattr(device, "wanted")
    vera = realm.user("vera", device__acme_r1="viewer")
    subscription = realm.result(vera.stockSubscribe(lambda: None, "org.paradrop.acme.r1.logs.", SubscribeOptions(match="prefix")))
    realm.result(device.stockSubscribe(lambda: None, "org.paradrop.acme.r1.chutes.updated"))
    realm.run(0.2)
    assert device.wanted == ([["prefix", "org.paradrop.acme.r1.logs."]],)  # type: ignore[attr-defined]
    realm.result(subscription.unsubscribe())
    realm.run(0.2)
    assert device.wanted == ([],)  # type: ignore[attr-defined]
    realm.result(vera.stockSubscribe(lambda: None, "org.paradrop.acme.r1.chutes.updated"))
    realm.run(0.2)
    assert device.wanted == ([["exact", "org.paradrop.acme.r1.chutes.updated"]],)  # type: ignore[attr-defined]
    vera.leave()
    realm.run()
    realm.run(0.2)
    assert device.wanted == ([],)  # type: ignore[attr-defined]


def test_the_servers_own_subscriptions_are_none_of_a_devices_business(realm: GatedRealm) -> None:
    device = realm.device("acme.r1")
    realm.result(realm.service.stockSubscribe(lambda: None, "org.paradrop.acme.r1.chutes.updated"))
    realm.run(1)
    assert not hasattr(device, "wanted")


# The component itself.


def test_without_the_gate_whoever_gets_in_can_do_nothing(make: Make) -> None:
    realm = make(gate=False)
    key = Key.generate()
    realm.service.principals[key.public] = {"pubkey": key.public, "authid": "acme.r1", "role": "device", "extra": {}}
    device = realm.member("acme.r1", key)
    assert device.is_attached()
    for attempt in (
        device.stockRegister(lambda: None, "org.paradrop.acme.r1.", PREFIX),
        device.stockCall("org.paradrop.server.access.role"),
        device.stockSubscribe(lambda: None, "org.paradrop.acme.r1.x"),
    ):
        assert type(refused(realm, attempt)) in (NotPermitted, Conflict, NotFound)


def test_a_crossbar_that_is_not_ours_is_left_alone_and_everybody_is_denied(make: Make, logged_failures: list[Failure]) -> None:
    class Other(WampRawSocketServerFactory.protocol):  # type: ignore[misc, name-defined]
        """A protocol that somebody else has put there."""

    before = WampRawSocketServerFactory.protocol
    WampRawSocketServerFactory.protocol = Other
    try:
        realm = make()
        assert realm.gate._installation is None
        assert "its RawSocket transport is not as expected" in str(logged_failures.pop().value)
        assert WampRawSocketServerFactory.protocol is Other
        key = Key.generate()
        realm.service.principals[key.public] = {"pubkey": key.public, "authid": "acme.r1", "role": "device", "extra": {}}
        device: Member = realm.member("acme.r1", key)
        assert type(refused(realm, device.stockCall("org.paradrop.server.access.role"))) is NotPermitted
    finally:
        WampRawSocketServerFactory.protocol = before


def test_when_the_gate_leaves_nobody_may_do_anything(realm: GatedRealm) -> None:
    device = realm.device("acme.r1")
    realm.stop()
    assert type(refused(realm, device.stockCall("org.paradrop.server.access.role"))) is NotPermitted
