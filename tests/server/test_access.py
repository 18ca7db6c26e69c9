"""Who may do what on the server's realm: the decisions, as tables, and what holds whatever the strings are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paradrop import uris
from paradrop.permissions import Role
from pdserver.access import (
    DevicePeer,
    GuestPeer,
    Peer,
    ServerPeer,
    UserPeer,
    candidates,
    elsewhere,
    harmless,
    may,
    peer_of,
)
from pdserver.gate import names

R1 = DevicePeer("acme.r1", frozenset({"field"}))
R2 = DevicePeer("acme.r2", frozenset({"field", "lab"}))
R10 = DevicePeer("acme.r10")
DEVICES = {device.pdid: device for device in (R1, R2, R10)}
ACTIONS = ("call", "register", "publish", "subscribe")
MATCHES = ("exact", "prefix", "wildcard")

ADA = UserPeer("ada", {"server": Role.OWNER})
OWNER = UserPeer("olga", {"device:acme.r1": Role.OWNER})
OPERATOR = UserPeer("otto", {"group:field": Role.OPERATOR})
VIEWER = UserPeer("vera", {"device:acme.r1": Role.VIEWER})
NOBODY = UserPeer("nils")
GUEST, SERVER = GuestPeer("inv1"), ServerPeer()


def allowed(peer: Peer, action: str, name: str, match: str = "exact") -> bool:
    """*name* is spelled below ``org.paradrop.``, unless it begins with ``wamp.`` or a slash."""
    uri = name if name.startswith("wamp.") else name[1:] if name.startswith("/") else uris.ROOT + name
    device = next((DEVICES[pdid] for pdid in candidates(uri) if pdid in DEVICES), None)
    return may(peer, action, uri, match, device)


OWN_SPACE = [
    ("acme.r1.", "prefix", True),
    ("acme.r1.chute.", "prefix", True),
    ("acme.r1.chute.hello.greet", "exact", True),
    ("acme.r1.chute..greet", "wildcard", True),
    ("acme.r1", "exact", False),
    ("acme.r1", "prefix", False),
    ("acme.r10.", "prefix", False),
    ("acme.r10.chute.hello.greet", "exact", False),
    ("acme.r2.", "prefix", False),
    ("acme.r2.chute.hello.greet", "exact", False),
    ("acme.", "prefix", False),
    ("acme..chute.hello", "wildcard", False),
    (".r1.chute.hello", "wildcard", False),
    ("", "prefix", False),
    ("server.", "prefix", False),
    ("server.info", "exact", False),
    ("server.gate.authenticate", "exact", False),
    ("local.", "prefix", False),
    ("wamp.", "prefix", False),
    ("wamp.session.on_join", "exact", False),
    ("/org.", "prefix", False),
    ("/", "prefix", False),
    ("/....", "wildcard", False),
    ("/com.example.x", "exact", False),
    ("/org.paradropacme.r1.x", "exact", False),
    ("acme.r1.", "anything", False),
]


@pytest.mark.parametrize("action", ["register", "publish"])
@pytest.mark.parametrize(("name", "match", "right"), OWN_SPACE)
def test_a_device_registers_and_publishes_in_its_own_space_only(action: str, name: str, match: str, right: bool) -> None:
    assert allowed(R1, action, name, match) is right


@pytest.mark.parametrize("pdid", ["server", "server.gate", "server.gate.x"])
def test_not_even_a_device_of_that_name_gets_into_the_servers_space(pdid: str) -> None:
    for action in ("register", "publish"):
        assert not allowed(DevicePeer(pdid), action, f"{pdid}.decide")
        assert not allowed(DevicePeer(pdid), action, f"{pdid}.", "prefix")


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("server.access.role", True),
        ("server.devices.left", True),
        ("server.devices.remove", False),
        ("server.invitations.accept", False),
        ("server.gate.sessions", False),
        ("acme.r2.chute.hello.greet", True),
        ("acme.r2.chutes.list", False),
        ("acme.r2.chute", False),
        ("acme.r2.uplink.want", False),
        ("acme.r10.chute.hello.greet", False),
        ("acme.r9.chute.hello.greet", False),
        ("acme.r1.chute.hello.greet", False),
        ("wamp.session.list", False),
    ],
)
def test_a_device_calls_chutes_of_devices_that_share_a_group_with_it(name: str, right: bool) -> None:
    assert allowed(R1, "call", name) is right


@pytest.mark.parametrize(
    ("name", "match", "right"),
    [
        ("acme.r1.chute.hello.ticks", "exact", True),
        ("acme.r1.", "prefix", True),
        ("acme.r2.chute.hello.ticks", "exact", True),
        ("acme.r2.chute.", "prefix", True),
        ("acme.r2.chute..ticks", "wildcard", True),
        ("acme.r2.chute", "prefix", False),
        ("acme.r2.", "prefix", False),
        ("acme.r2.logs.appended", "exact", False),
        ("acme.r10.chute.hello.ticks", "exact", False),
        ("acme..chute.hello.ticks", "wildcard", False),
        ("", "prefix", False),
        ("server.devices.updated", "exact", False),
        ("wamp.session.on_join", "exact", False),
    ],
)
def test_a_device_hears_itself_and_chutes_of_devices_that_share_a_group_with_it(name: str, match: str, right: bool) -> None:
    assert allowed(R1, "subscribe", name, match) is right


@pytest.mark.parametrize(
    ("action", "name", "match", "who"),
    [
        ("call", "acme.r1.chutes.list", "exact", "ada olga otto vera"),
        ("call", "acme.r1.chutes.deploy", "exact", "ada olga otto"),
        ("call", "acme.r1.config.set", "exact", "ada olga"),
        ("call", "acme.r1.chute.hello.greet", "exact", "ada olga otto"),
        ("call", "acme.r1.uplink.want", "exact", ""),
        ("call", "acme.r2.chutes.list", "exact", "ada otto"),
        ("call", "acme.r10.chutes.list", "exact", "ada"),
        ("call", "acme.r9.chutes.list", "exact", ""),
        ("call", "server.info", "exact", "ada olga otto vera nils"),
        ("call", "server.devices.remove", "exact", "ada olga otto vera nils"),
        ("call", "server.gate.close", "exact", ""),
        ("call", "wamp.session.kill", "exact", ""),
        ("publish", "acme.r1.chute.hello.in", "exact", "ada olga otto"),
        ("publish", "server.devices.updated", "exact", ""),
        ("register", "acme.r1.chute.hello.greet", "exact", ""),
        ("register", "server.info", "exact", ""),
        ("register", "", "prefix", ""),
        ("subscribe", "acme.r1.logs.appended", "exact", "ada olga otto vera"),
        ("subscribe", "acme.r1.", "prefix", "ada olga otto vera"),
        ("subscribe", "acme.r1.chute..ticks", "wildcard", "ada olga otto vera"),
        ("subscribe", "acme.r1", "prefix", "ada"),
        ("subscribe", "acme.", "prefix", "ada"),
        ("subscribe", "..logs.appended", "wildcard", "ada"),
        ("subscribe", "acme.r9.logs.appended", "exact", "ada"),
        ("subscribe", "", "prefix", "ada"),
        ("subscribe", "/org.", "prefix", ""),
        ("subscribe", "/...", "wildcard", ""),
        ("subscribe", "wamp.session.on_join", "exact", ""),
        ("subscribe", "server.gate.presence", "exact", ""),
        ("subscribe", "server.devices.updated", "exact", "ada olga otto vera nils"),
        ("subscribe", "server.wanted.updated", "exact", "ada olga otto vera nils"),
        ("subscribe", "server.audit.updated", "exact", "ada"),
        ("subscribe", "server.", "prefix", "ada"),
    ],
)
def test_a_user_may_what_their_role_allows(action: str, name: str, match: str, who: str) -> None:
    people = (ADA, OWNER, OPERATOR, VIEWER, NOBODY)
    assert " ".join(user.name for user in people if allowed(user, action, name, match)) == who


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("name", ["server.invitations.accept", "server.info", "acme.r1.chutes.list", "server.gate.close", ""])
def test_a_guest_accepts_the_invitation_and_nothing_else(action: str, name: str) -> None:
    assert allowed(GUEST, action, name) is (action == "call" and name == "server.invitations.accept")


def test_the_server_itself_may_everything() -> None:
    assert all(allowed(SERVER, action, name, match) for action in ACTIONS for name in ("", "wamp.x") for match in MATCHES)


@pytest.mark.parametrize(
    ("action", "options", "right"),
    [
        ("publish", {}, True),
        ("publish", {"acknowledge": True, "eligible": [1]}, True),
        ("publish", {"retain": True}, False),
        ("register", {"match": "prefix", "invoke": "single", "force_reregister": True}, True),
        ("register", {}, True),
        ("register", {"invoke": "roundrobin"}, False),
        ("register", {"invoke": "random"}, False),
        ("register", {"concurrency": 1}, False),
        ("subscribe", {"get_retained": True}, True),
        ("call", {"timeout": 1}, True),
    ],
)
def test_options_that_keep_something_in_the_router_are_the_servers(action: str, options: dict[str, object], right: bool) -> None:
    assert harmless(action, options) is right


@pytest.mark.parametrize(
    ("uri", "pdids"),
    [
        ("org.paradrop.a.b.c", ["a", "a.b"]),
        ("org.paradrop.a.", ["a"]),
        ("org.paradrop.a", []),
        ("org.paradrop.", []),
        ("org.paradrop.server.info", []),
        ("org.example.a.b", []),
        ("", []),
    ],
)
def test_in_whose_space_a_name_would_lie(uri: str, pdids: list[str]) -> None:
    assert list(candidates(uri)) == pdids


@pytest.mark.parametrize(
    ("peer", "action", "name", "right"),
    [
        (R1, "call", "acme.r9.chute.hello.greet", True),
        (R1, "call", "acme.r9.chutes.list", False),
        (R1, "register", "acme.r9.chute.hello.greet", False),
        (R1, "publish", "acme.r9.chute.hello.greet", False),
        (R10, "call", "acme.r9.chute.hello.greet", False),
        (VIEWER, "call", "acme.r9.chutes.list", True),
        (VIEWER, "subscribe", "acme.r9.chutes.updated", True),
        (VIEWER, "register", "acme.r9.chutes.list", False),
        (VIEWER, "call", "server.gate.close", False),
        (NOBODY, "call", "acme.r9.chutes.list", False),
        (GUEST, "call", "acme.r9.chutes.list", False),
    ],
)
def test_the_directory_is_asked_only_where_it_could_allow_something(peer: Peer, action: str, name: str, right: bool) -> None:
    assert elsewhere(peer, action, uris.ROOT + name) is right


@pytest.mark.parametrize(
    ("role", "name", "extra", "peer"),
    [
        ("device", "acme.r1", {"groups": ["field"]}, R1),
        ("device", "acme.r10", None, R10),
        ("device", None, {}, None),
        ("user", "vera", {"grants": {"device:acme.r1": "viewer"}}, VIEWER),
        ("user", "nils", {"grants": {"server": "emperor"}}, NOBODY),
        ("guest", "inv1", {}, GUEST),
        ("server", "x", {}, SERVER),
        ("chute", "hello", {}, None),
        ("trusted", "x", {}, None),
        (None, "x", {}, None),
    ],
)
def test_who_a_session_is(role: str | None, name: str | None, extra: dict[str, object] | None, peer: Peer | None) -> None:
    assert peer_of(role, name, extra) == peer


COMPONENT = st.text(alphabet="abr12-_", min_size=1, max_size=4)
PDID = st.lists(COMPONENT, min_size=1, max_size=3).map(".".join)
PIECE = st.one_of(st.sampled_from(["org", "paradrop", "server", "gate", "wamp", "local", "chute", ""]), COMPONENT)
URI = st.one_of(
    st.text(max_size=40),
    st.lists(PIECE, max_size=7).map(".".join),
    st.lists(PIECE, max_size=5).map(lambda parts: uris.ROOT + ".".join(parts)),
)


@given(PDID, URI, st.sampled_from(["register", "publish"]), st.sampled_from(MATCHES), st.one_of(st.none(), PDID), st.booleans())
def test_whatever_it_tries_a_device_stays_in_its_own_space(
    pdid: str, uri: str, action: str, match: str, other: str | None, near: bool
) -> None:
    uri = uris.device_space(pdid)[: len(uri)] + uri if near else uri
    groups = frozenset({"g"})
    if may(DevicePeer(pdid, groups), action, uri, match, None if other is None else DevicePeer(other, groups)):
        assert uri.startswith(uris.device_space(pdid))
        assert not uri.startswith(uris.SERVER)


@given(URI, st.sampled_from(ACTIONS), st.sampled_from(MATCHES), PDID)
def test_nobody_but_the_server_reaches_the_gates_names_or_the_routers_own(uri: str, action: str, match: str, pdid: str) -> None:
    for peer in (DevicePeer(pdid, frozenset({"g"})), UserPeer("ada", {"server": Role.OWNER}), GUEST):
        if may(peer, action, uri, match, DevicePeer(pdid, frozenset({"g"}))):
            assert uri.startswith(uris.ROOT)
            assert not uri.startswith(names.SPACE)
