"""``server devices``, ``users``, ``groups``, ``wanted``, ``audit``."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from paradrop.base.exceptions import Conflict, DeviceNotFoundException, NotPermitted
from paradrop.values import AuditEntry, Device, Grant, Group, Invitation, User, UserKey, Wanted, WantedState, plain
from pdtools import cmd_server_audit
from pdtools.testing import EPOCH, Bench

SERVER = "org.paradrop.server."
KEY, OTHER_KEY = "3f9c" + "0" * 60, "3f80" + "1" * 60
ADA = User(
    name="ada",
    keys=(UserKey(public_key=KEY, added=EPOCH - 90, label="laptop"), UserKey(public_key=OTHER_KEY, added=EPOCH)),
    grants=(Grant(scope="server", role="owner"), Grant(scope="group:shops", role="viewer")),
)
INVITATION = Invitation(subject="acme.r1", token="pd1.a.b", expires=EPOCH + 3600, url="https://shop.example:8443")
WANTED = Wanted(pdid="acme.r9", chute="hello", version="1.2", state=WantedState.WAITING, by="ada", at=EPOCH - 60, change="w-3")


@pytest.fixture(autouse=True)
def _offered(bench: Bench, screen: Bench) -> None:
    for one in (bench, screen):
        one.log_in()
        offers: dict[str, Any] = {
            "devices.list": list,
            "devices.create": lambda pdid, groups: plain(Device(pdid=pdid, groups=tuple(groups))),
            "devices.remove": lambda pdid: None,
            "devices.invite": lambda pdid, lifetime: plain(replace(INVITATION, subject=pdid)),
            "users.list": lambda: plain([ADA, User(name="bob")]),
            "users.add": lambda name, lifetime: plain(replace(INVITATION, subject=name)),
            "users.invite": lambda name, lifetime: plain(replace(INVITATION, subject=name)),
            "users.remove": lambda name: None,
            "users.forget_key": lambda name, key: None,
            "users.grant": lambda name, role, scope: None,
            "users.revoke": lambda name, scope: None,
            "groups.list": lambda: plain([Group(name="shops", devices=("acme.r1", "acme.r2")), Group(name="lab")]),
            "groups.add": lambda name: None,
            "groups.remove": lambda name: None,
            "groups.join": lambda group, pdid: None,
            "groups.leave": lambda group, pdid: None,
            "wanted.list": lambda pdid: [],
            "wanted.forget": lambda pdid, chute: None,
            "audit.read": lambda after, limit: [],
        }
        for name, function in offers.items():
            one.server.offer(SERVER + name, function)


def called(bench: Bench, name: str) -> list[tuple[Any, ...]]:
    return [(*call.args, *call.keywords.values()) for call in bench.server.called(SERVER + name)]


def test_the_devices(bench: Bench) -> None:
    known = [
        Device(pdid="acme.r2", claimed=True, seen=EPOCH - 7200, role="viewer", waiting=2),
        Device(pdid="acme.r1", claimed=True, online=True, groups=("lab", "shops"), role="owner"),
        Device(pdid="acme.r3"),
    ]
    bench.server.offer(f"{SERVER}devices.list", lambda: plain(known))
    assert bench.run("server", "devices").out.splitlines() == [
        "DEVICE   STATE      SEEN    GROUPS      ROLE    WAITING",
        "acme.r1  online     now     lab, shops  owner   -",
        "acme.r2  offline    2h ago  -           viewer  2",
        "acme.r3  unclaimed  -       -           -       -",
    ]
    assert json.loads(bench.run("server", "devices", "--json").out)[0]["pdid"] == "acme.r2"


def test_no_devices_says_how_to_make_one(bench: Bench) -> None:
    result = bench.run("server", "devices")
    assert (result.code, result.out) == (0, "")
    assert result.err == "No devices yet. Make one: pdtools server create-device acme.r1\n"
    assert bench.run("server", "devices", "--json").out == "[]\n"


def test_making_a_device(bench: Bench) -> None:
    result = bench.run("server", "create-device", "acme.r1", "--group", "shops", "--group", "lab")
    assert result.out == "acme.r1 is there, and waits for its device.\n"
    assert "pdtools server claim-token acme.r1" in result.err
    assert called(bench, "devices.create") == [("acme.r1", ["shops", "lab"])]
    assert json.loads(bench.run("server", "create-device", "acme.r1", "--json").out)["pdid"] == "acme.r1"


def test_what_the_server_says_no_to(bench: Bench) -> None:
    def no(*args: Any, **keywords: Any) -> None:
        raise Conflict("acme.r1 is there already")

    bench.server.offer(f"{SERVER}devices.create", no)
    assert bench.run("server", "create-device", "acme.r1").err == "Error: acme.r1 is there already\n"


def test_what_one_may_not_do_is_named_shortly(bench: Bench) -> None:
    def no(*args: Any, **keywords: Any) -> None:
        raise NotPermitted("you may not call org.paradrop.server.audit.read")

    bench.server.offer(f"{SERVER}audit.read", no)
    result = bench.run("server", "audit")
    assert (result.code, result.err) == (77, "Error: you may not call server.audit.read\n")


def test_a_claim_token_and_what_to_do_with_it(bench: Bench) -> None:
    result = bench.run("server", "claim-token", "acme.r1", "--expires", "90m")
    assert result.out == "pd1.a.b\n"
    assert "\n  pdtools provision https://shop.example:8443 pd1.a.b\n" in result.err
    assert called(bench, "devices.invite") == [("acme.r1", 5400.0)]
    assert json.loads(bench.run("server", "claim-token", "acme.r1", "--json").out)["token"] == "pd1.a.b"
    assert called(bench, "devices.invite")[1] == ("acme.r1", 86400.0)


@pytest.mark.parametrize("text", ["0s", "soon", "-1h", "24"])
def test_a_time_that_is_none(bench: Bench, text: str) -> None:
    assert bench.run("server", "claim-token", "acme.r1", "--expires", text).code == 2
    assert called(bench, "devices.invite") == []


@pytest.mark.parametrize(
    ("arguments", "procedure", "asked"),
    [
        (["remove-device", "acme.r1"], "devices.remove", ("acme.r1",)),
        (["users", "remove", "ada"], "users.remove", ("ada",)),
        (["users", "forget-key", "ada", "3F9C"], "users.forget_key", ("ada", KEY)),
        (["groups", "remove", "shops"], "groups.remove", ("shops",)),
    ],
)
def test_what_destroys_asks_first(
    bench: Bench, screen: Bench, arguments: list[str], procedure: str, asked: tuple[str, ...]
) -> None:
    assert bench.run("server", *arguments).code == 2
    assert screen.run("server", *arguments, input="n\n").code == 2
    assert called(bench, procedure) == called(screen, procedure) == []
    assert screen.run("server", *arguments, input="y\n").code == 0
    assert bench.run("server", *arguments, "--yes").code == 0
    assert called(bench, procedure) == called(screen, procedure) == [asked]


def test_the_users(bench: Bench) -> None:
    assert bench.run("server", "users").out.splitlines() == [
        "NAME  KEYS  ROLES",
        "ada   2     owner of server, viewer of group:shops",
        "bob   0     -",
    ]
    assert bench.run("server", "users", "list").out == bench.run("server", "users").out
    assert [user["name"] for user in json.loads(bench.run("server", "users", "--json").out)] == ["ada", "bob"]


@pytest.mark.parametrize("verb", ["add", "invite"])
def test_a_login_code_and_what_to_do_with_it(bench: Bench, verb: str) -> None:
    result = bench.run("server", "users", verb, "carol")
    assert result.out == "pd1.a.b\n"
    assert "\n  pdtools server login https://shop.example:8443 pd1.a.b\n" in result.err
    assert called(bench, f"users.{verb}") == [("carol", 3600.0)]


@pytest.mark.parametrize("scope", ["server", "group:shops", "device:acme.r1"])
def test_granting_and_revoking(bench: Bench, scope: str) -> None:
    assert bench.run("server", "users", "grant", "ada", "operator", scope).out == f"ada is operator of {scope} now.\n"
    assert bench.run("server", "users", "revoke", "ada", scope).code == 0
    assert called(bench, "users.grant") == [("ada", "operator", scope)]
    assert called(bench, "users.revoke") == [("ada", scope)]


@pytest.mark.parametrize("arguments", [["ada", "king", "server"], ["ada", "owner", "shops"], ["ada", "owner", "group:"]])
def test_what_cannot_be_granted(bench: Bench, arguments: list[str]) -> None:
    assert bench.run("server", "users", "grant", *arguments).code == 2
    assert called(bench, "users.grant") == []


def test_keys(bench: Bench) -> None:
    assert [line.split() for line in bench.run("server", "users", "keys", "ada").out.splitlines()[1:]] == [
        [KEY, "1m", "ago", "laptop"],
        [OTHER_KEY, "0s", "ago", "-"],
    ]
    assert "users invite bob" in bench.run("server", "users", "keys", "bob").err
    assert bench.run("server", "users", "keys", "eve").code == 1
    assert len(json.loads(bench.run("server", "users", "keys", "ada", "--json").out)) == 2


@pytest.mark.parametrize("key", ["3f", "ffff"])
def test_a_key_must_be_one(bench: Bench, key: str) -> None:
    assert bench.run("server", "users", "forget-key", "ada", key, "--yes").code == 2
    assert called(bench, "users.forget_key") == []


def test_the_groups(bench: Bench) -> None:
    assert bench.run("server", "groups").out.splitlines() == [
        "GROUP  DEVICES",
        "lab    -",
        "shops  acme.r1, acme.r2",
    ]
    bench.server.offer(f"{SERVER}groups.list", list)
    assert "groups add" in bench.run("server", "groups", "list").err


def test_changing_groups(bench: Bench) -> None:
    assert bench.run("server", "groups", "add", "shops").code == 0
    assert bench.run("server", "groups", "join", "shops", "acme.r1").out == "acme.r1 is in shops now.\n"
    assert bench.run("server", "groups", "leave", "shops", "acme.r1").out == "acme.r1 is not in shops any more.\n"
    assert called(bench, "groups.join") == called(bench, "groups.leave") == [("shops", "acme.r1")]


def test_wanted_against_actual(bench: Bench) -> None:
    delivered = replace(
        WANTED, chute="clock", state=WantedState.FAILED, reason="no engine\nmore", actual="1.1 running", actual_at=EPOCH - 5
    )
    bench.server.offer(f"{SERVER}wanted.list", lambda pdid: plain([WANTED, delivered]))
    assert bench.run("server", "wanted", "acme.r9").out.splitlines() == [
        "CHUTE  WANTED  STATE    BY   WHEN    CHANGE  DEVICE HAS   AS OF   REASON",
        "hello  1.2     waiting  ada  1m ago  w-3     unknown      -",
        "clock  1.2     failed   ada  1m ago  w-3     1.1 running  5s ago  no engine",
    ]
    assert json.loads(bench.run("server", "wanted", "acme.r9", "--json").out)[0]["state"] == "waiting"


def test_nothing_wanted(bench: Bench) -> None:
    assert "Nothing waits for acme.r9" in bench.run("server", "wanted", "acme.r9").err
    bench.run("server", "wanted", "acme.r9", "--forget", "hello")
    assert called(bench, "wanted.forget") == [("acme.r9", "hello")]


def test_an_unknown_device(bench: Bench) -> None:
    def none(pdid: str) -> None:
        raise DeviceNotFoundException

    bench.server.offer(f"{SERVER}wanted.list", none)
    assert bench.run("server", "wanted", "acme.r7").err == "Error: There is no device of that name.\n"


class Audit:
    """The server's audit log."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.entries: list[AuditEntry] = []
        bench.server.offer(f"{SERVER}audit.read", self.read)

    def add(self, what: str, **different: Any) -> None:
        entry = AuditEntry(id=len(self.entries) + 1, at=self.bench.wall(), who="user ada", action="call", what=what, allowed=True)
        self.entries.append(replace(entry, **different))

    def read(self, after: int, limit: int) -> Any:
        first = max(0, len(self.entries) + after) if after < 0 else after
        return plain(self.entries[first : first + limit])


def test_the_audit_log(bench: Bench) -> None:
    audit = Audit(bench)
    for number in range(30):
        audit.add(f"x{number}")
    audit.add("org.paradrop.acme.", who="device acme.r1", action="register", allowed=False, times=7, detail="not its own")
    lines = bench.run("server", "audit").out.splitlines()
    assert len(lines) == 20
    assert lines[0].endswith("  user ada  call  x11")
    assert lines[-1].endswith("  denied ×7  device acme.r1  register  org.paradrop.acme.  not its own")
    assert len(bench.run("server", "audit", "-n", "3").out.splitlines()) == 3
    assert json.loads(bench.run("server", "audit", "-n", "1", "--json").out)["times"] == 7


def test_an_empty_audit_log(bench: Bench) -> None:
    assert bench.run("server", "audit").err == "Nothing yet.\n"


def test_a_log_that_begins_with_many_at_once(bench: Bench) -> None:
    audit = Audit(bench)

    def burst() -> None:
        for number in range(50):
            audit.add(f"x{number}")

    bench.clock.callLater(3, burst)
    bench.interrupt_after(10)
    assert len(bench.run("server", "audit", "-f").out.splitlines()) == 50


@pytest.mark.parametrize("page", [3, 500])
def test_following_the_audit_log_misses_and_repeats_nothing(bench: Bench, page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cmd_server_audit, "PAGE", page)
    audit = Audit(bench)
    for second in range(30):
        bench.clock.callLater(second + 0.5, audit.add, f"x{second}")
    bench.clock.callLater(9.9, bench.server.lose, 4.0)
    bench.interrupt_after(40)
    result = bench.run("server", "audit", "-f")
    assert [line.split()[-1] for line in result.out.splitlines()] == [f"x{second}" for second in range(30)]
    assert "The link to shop is lost" in result.err
