"""Who may do what: every kind of peer, every action, in the device's space and outside it."""

from __future__ import annotations

import pytest

from paradrop import uris
from paradrop.permissions import Permission, Person, Role, grants
from paradropd.permissions import ChutePeer, DaemonPeer, Peer, may

ACTIONS = ("call", "register", "publish", "subscribe")
OWNER, OPERATOR, VIEWER = (Person("ada", role) for role in Role)
HELLO = ChutePeer("hello", ("weather.today", "node.info", "chutes.*"))
GREET, TODAY = uris.local("chute.hello.greet"), uris.local("chute.weather.today")
LIST, DEPLOY, SET = uris.local("chutes.list"), uris.local("chutes.deploy"), uris.local("config.set")
DEMANDED = {LIST: Permission.VIEW, DEPLOY: Permission.OPERATE, SET: Permission.ADMINISTER}
NEW = uris.local("somewhere.new")
META = "wamp.session.list"
OUTSIDE = "com.example.thing"


def allowed(peer: Peer, action: str) -> set[str]:
    """What of a sample of each kind of URI *peer* may do *action* on."""
    sample = (GREET, TODAY, LIST, DEPLOY, SET, NEW, META, OUTSIDE)
    return {uri for uri in sample if may(peer, action, uri, "exact", DEMANDED.get(uri))}


@pytest.mark.parametrize(
    ("role", "permissions"),
    [
        (Role.OWNER, set(Permission)),
        (Role.OPERATOR, {Permission.PUBLIC, Permission.VIEW, Permission.OPERATE}),
        (Role.VIEWER, {Permission.PUBLIC, Permission.VIEW}),
    ],
)
def test_a_role_includes(role: Role, permissions: set[Permission]) -> None:
    assert {permission for permission in Permission if grants(role, permission)} == permissions


@pytest.mark.parametrize("action", ACTIONS)
def test_the_daemon_may_everything(action: str) -> None:
    assert len(allowed(DaemonPeer(), action)) == 8


def test_an_owner_may_everything_on_the_device_and_ask_the_router() -> None:
    here = {GREET, TODAY, LIST, DEPLOY, SET, NEW}
    assert allowed(OWNER, "call") == {*here, META}
    for action in ("register", "publish", "subscribe"):
        assert allowed(OWNER, action) == here


def test_an_operator_changes_what_runs_and_not_the_device() -> None:
    assert allowed(OPERATOR, "call") == {GREET, TODAY, LIST, DEPLOY}
    assert allowed(OPERATOR, "publish") == {GREET, TODAY}
    assert allowed(OPERATOR, "subscribe") == {GREET, TODAY, LIST, DEPLOY, SET, NEW}
    assert allowed(OPERATOR, "register") == set()


def test_a_viewer_looks() -> None:
    assert allowed(VIEWER, "call") == {LIST}
    assert allowed(VIEWER, "publish") == set()
    assert allowed(VIEWER, "subscribe") == {GREET, TODAY, LIST, DEPLOY, SET, NEW}
    assert allowed(VIEWER, "register") == set()


def test_a_chute_has_its_own_space_and_what_its_manifest_names() -> None:
    assert allowed(HELLO, "register") == {GREET}
    assert allowed(HELLO, "publish") == {GREET}
    assert allowed(HELLO, "call") == {GREET, TODAY, LIST}
    assert TODAY in allowed(HELLO, "subscribe")
    assert allowed(ChutePeer("hello2"), "call") == set()


@pytest.mark.parametrize("permission", [Permission.OPERATE, Permission.ADMINISTER, Permission.PUBLIC])
def test_no_manifest_opens_what_changes_the_device(permission: Permission) -> None:
    peer = ChutePeer("hello", ("chutes.*", "config.*", "org.paradrop.*", "chutes.deploy"))
    assert not may(peer, "call", DEPLOY, "exact", permission)
    assert may(peer, "call", DEPLOY, "exact", Permission.VIEW)


@pytest.mark.parametrize("uses", [("wamp.*",), ("wamp.session.kill",), ("com.example.*",), ("org.paradrop.*",)])
def test_no_manifest_opens_the_router_itself(uses: tuple[str, ...]) -> None:
    for action in ACTIONS:
        assert not may(ChutePeer("hello", uses), action, "wamp.session.kill", "exact", None)


def test_a_pattern_is_held_against_the_same_rules() -> None:
    assert may(HELLO, "subscribe", uris.local("chute.hello."), "prefix", None)
    assert not may(HELLO, "subscribe", uris.local("chute.hello"), "prefix", None)
    assert not may(HELLO, "register", uris.local("chute."), "prefix", None)
    assert not may(HELLO, "subscribe", uris.local("chute..ticks"), "wildcard", None)
    assert not may(VIEWER, "subscribe", "org.paradrop.", "prefix", None)
    assert not may(OPERATOR, "subscribe", "org..local.chutes.updated", "wildcard", None)
