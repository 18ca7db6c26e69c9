"""What somebody with bad intentions can do to a real server, over its real TLS port: nothing, and this is what they see."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import sqlite3
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from paradrop.keys import Key
from paradrop.tokens import Token
from rawpeer import CALL, HELLO, PUBLISH, WELCOME, RawPeer, Refused
from serving import ServerProcess, until

SERVER = "org.paradrop.server."
SILENT = 5000
WELL = 3.0
"""Seconds within which a server that is well lets an administrator in, and answers."""
PATIENCE = 20.0
"""Seconds that the server gives a connection to become a session."""


class Site:
    """A server with its administrator, and devices and people as they are needed."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.admin = Key.generate()
        self.accept(server.admin_code, self.admin)
        self._names = iter(range(1000))

    def peer(self, patience: float = 20.0) -> RawPeer:
        return RawPeer(self.server.url, self.server.authority_pem, patience)

    def joined(self, key: Key, name: str | None = None) -> RawPeer:
        peer = self.peer()
        try:
            peer.join(key, name)
        except BaseException:
            peer.socket.close()
            raise
        return peer

    def ask(self, procedure: str, *args: object, **kwargs: object) -> object:
        """Call one of the server's procedures as the administrator."""
        with self.joined(self.admin) as peer:
            return peer.call(SERVER + procedure, *args, **kwargs)

    def accept(self, token: str, key: Key) -> object:
        invitation = Token.read(token)
        with self.peer() as peer:
            peer.join(name=invitation.id, ticket=invitation.secret)
            return peer.call(SERVER + "invitations.accept", key.public)

    def invitation(self, pdid: str = "", **more: object) -> tuple[str, str]:
        """A new device that nobody has claimed: its pdid and its token."""
        pdid = pdid or f"acme.d{next(self._names)}"
        self.ask("devices.create", pdid)
        invited = self.ask("devices.invite", pdid, **more)
        assert isinstance(invited, dict)
        return pdid, invited["token"]

    def device(self, pdid: str = "") -> tuple[str, Key]:
        pdid, token = self.invitation(pdid)
        key = Key.generate()
        self.accept(token, key)
        return pdid, key

    def user(self, name: str) -> Key:
        invited = self.ask("users.add", name)
        assert isinstance(invited, dict)
        key = Key.generate()
        self.accept(invited["token"], key)
        return key

    def audit(self, part: str) -> list[dict[str, object]]:
        entries = self.ask("audit.read", -200, 200)
        assert isinstance(entries, list)
        return [entry for entry in entries if part in f"{entry['who']} {entry['action']} {entry['what']} {entry['detail']}"]

    def well(self) -> bool:
        """Whether it serves an ordinary person within :data:`WELL`."""
        began = time.monotonic()
        self.ask("info")
        return time.monotonic() - began < WELL


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with ServerProcess() as server:
        yield Site(server)


def refused(attempt: object) -> Refused:
    """What whoever tried *attempt* saw."""
    assert callable(attempt)
    with pytest.raises(Refused) as seen:
        attempt()
    print(f"the attacker saw: {seen.value}")
    return seen.value


class TestTokens:
    def test_a_token_works_once(self, site: Site) -> None:
        _, token = site.invitation()
        site.accept(token, Key.generate())
        assert refused(lambda: site.accept(token, Key.generate())).uri == "org.paradrop.error.invitation_refused"

    def test_whose_answer_was_lost_may_ask_again(self, site: Site) -> None:
        pdid, token = site.invitation()
        key = Key.generate()
        first, again = site.accept(token, key), site.accept(token, key)
        assert isinstance(first, dict)
        assert first["subject"] == pdid
        assert again == first

    def test_a_token_expires(self, site: Site) -> None:
        _, token = site.invitation(lifetime=1.0)
        seen: list[Refused] = []

        def expired() -> bool:
            invitation = Token.read(token)
            with site.peer() as peer:
                try:
                    peer.join(name=invitation.id, ticket=invitation.secret)
                except Refused as no:
                    seen.append(no)
                return bool(seen)

        until(expired, "the end of the token")
        assert seen[0].uri == "org.paradrop.error.invitation_refused"

    @pytest.mark.parametrize("forge", [lambda t: (t.id, "A" * 43), lambda t: ("i0000000000000000", t.secret), lambda t: ("", "")])
    def test_a_forged_token_is_refused_and_nobody_learns_what_was_wrong(self, site: Site, forge: object) -> None:
        assert callable(forge)
        name, secret = forge(Token.read(site.invitation()[1]))
        with site.peer() as peer:
            no = refused(lambda: peer.join(name=name, ticket=secret or "x"))
        assert (no.uri, no.words) == (
            "org.paradrop.error.invitation_refused",
            "That token is not good: it was used already, has expired, or never was one.",
        )

    def test_of_two_devices_that_race_for_a_token_one_wins(self, site: Site) -> None:
        pdid, token = site.invitation()
        keys = [Key.generate() for _ in range(6)]
        won: list[Key] = []
        lost: list[str] = []
        start = threading.Barrier(len(keys))

        def run(key: Key) -> None:
            start.wait()
            try:
                site.accept(token, key)
                won.append(key)
            except Refused as no:
                lost.append(no.uri)

        runners = [threading.Thread(target=run, args=(key,)) for key in keys]
        for runner in runners:
            runner.start()
        for runner in runners:
            runner.join()
        assert len(won) == 1
        assert lost == ["org.paradrop.error.invitation_refused"] * 5
        with site.joined(won[0], pdid) as peer:
            assert peer.session

    def test_whoever_has_a_token_can_do_nothing_else_with_it(self, site: Site) -> None:
        invitation = Token.read(site.invitation()[1])
        with site.peer() as peer:
            peer.join(name=invitation.id, ticket=invitation.secret)
            for uri in (f"{SERVER}devices.list", f"{SERVER}users.list", "org.paradrop.acme.d0.node.info", "wamp.session.list"):
                assert refused(lambda uri=uri: peer.call(uri)).uri == "wamp.error.not_authorized"


class TestDevices:
    def test_a_copied_pdid_with_another_key_is_refused(self, site: Site) -> None:
        pdid, _ = site.device()
        with site.peer() as peer:
            assert refused(lambda: peer.join(Key.generate(), pdid)).uri == "org.paradrop.error.authentication"
        until(lambda: [entry for entry in site.audit(pdid) if not entry["allowed"]], "an entry in the audit log")

    def test_a_copied_public_key_without_the_private_one_is_refused(self, site: Site) -> None:
        pdid, key = site.device()
        thief = Key.generate()
        with site.peer() as peer:
            peer.greet()
            details = {
                "roles": {"caller": {}},
                "authmethods": ["cryptosign"],
                "authid": pdid,
                "authextra": {"pubkey": key.public},
            }

            def sign(challenge: dict[str, object]) -> str:
                from autobahn.wamp.types import Challenge

                return thief.answer(Challenge("cryptosign", challenge))

            assert "signature" in refused(lambda: peer.hello("paradrop", details, sign)).words

    @pytest.mark.parametrize(
        ("uri", "options"),
        [
            ("org.paradrop.", {"match": "prefix"}),
            ("org.paradrop", {"match": "prefix"}),
            ("org.", {"match": "prefix"}),
            ("", {"match": "prefix"}),
            ("org.paradrop.acme.", {"match": "prefix"}),
            ("org.paradrop.acme.victim.", {"match": "prefix", "force_reregister": True}),
            ("org.paradrop.acme.victim.chute.x", {}),
            ("org.paradrop..chute.hello.greet", {"match": "wildcard"}),
            ("org.paradrop.server.devices.list", {"force_reregister": True}),
            ("org.paradrop.server.gate.authenticate", {"force_reregister": True}),
            ("org.paradrop.local.x", {}),
            ("wamp.session.list", {}),
            ("com.example.x", {}),
        ],
    )
    def test_a_device_registers_nothing_that_is_not_its_own(self, site: Site, uri: str, options: dict[str, object]) -> None:
        with site.joined(_device(site)) as peer:
            no = refused(lambda: peer.register(uri, **options))
            assert no.uri in ("wamp.error.not_authorized", "wamp.error.invalid_uri")

    def test_a_device_publishes_nothing_that_is_not_its_own(self, site: Site) -> None:
        with site.joined(_device(site)) as peer:
            for topic in (
                "org.paradrop.acme.victim.chute.x.y",
                f"{SERVER}devices.updated",
                "wamp.session.on_join",
                "com.example",
            ):
                assert refused(lambda topic=topic: peer.publish(topic, 1)).uri in (
                    "wamp.error.not_authorized",
                    "wamp.error.invalid_uri",
                )

    def test_one_devices_permission_is_not_anothers(self, site: Site) -> None:
        """Crossbar's own cache of decisions knows roles and not sessions."""
        first, key = site.device()
        with site.joined(key) as peer:
            assert peer.register(f"org.paradrop.{first}.", match="prefix")
        with site.joined(_device(site)) as peer:
            assert refused(lambda: peer.register(f"org.paradrop.{first}.", match="prefix")).uri == "wamp.error.not_authorized"

    def test_a_removed_device_is_out_at_once(self, site: Site) -> None:
        pdid, key = site.device()
        with site.joined(key) as peer:
            site.ask("devices.remove", pdid)
            assert peer.closed()
        assert refused(lambda: site.joined(key)).uri == "org.paradrop.error.authentication"


class TestPeople:
    def test_a_stranger_to_a_device_may_do_nothing_there(self, site: Site) -> None:
        pdid, key = site.device()
        eve = site.user("eve")
        with site.joined(key) as device, site.joined(eve) as peer:
            device.register(f"org.paradrop.{pdid}.", match="prefix")
            for name in ("node.info", "chutes.deploy", "chute.hello.greet", "uplink.want"):
                uri = f"org.paradrop.{pdid}.{name}"
                assert refused(lambda uri=uri: peer.call(uri)).uri == "wamp.error.not_authorized"
            assert refused(lambda: peer.subscribe(f"org.paradrop.{pdid}.", match="prefix")).uri == "wamp.error.not_authorized"
            assert refused(lambda: peer.subscribe("org.paradrop.", match="prefix")).uri == "wamp.error.not_authorized"
            assert refused(lambda: peer.call(f"{SERVER}users.add", "mallory")).uri == "org.paradrop.error.not_permitted"
            assert peer.call(f"{SERVER}devices.list") == []
        until(lambda: [entry for entry in site.audit("eve") if pdid in str(entry["what"])], "entries in the audit log")

    def test_only_an_administrator_is_told_that_a_device_is_none(self, site: Site) -> None:
        ned = site.user("ned")
        uri = "org.paradrop.acme.nowhere.chute.hello.greet"
        for key, said in ((site.admin, "org.paradrop.error.device_not_found"), (ned, "wamp.error.not_authorized")):
            with site.joined(key) as peer:
                assert refused(lambda peer=peer: peer.call(uri)).uri == said

    def test_a_viewer_does_not_operate(self, site: Site) -> None:
        pdid, key = site.device()
        vic = site.user("vic")
        site.ask("users.grant", "vic", "viewer", f"device:{pdid}")
        with site.joined(key) as device, site.joined(vic) as peer:
            device.register(f"org.paradrop.{pdid}.", match="prefix")
            assert refused(lambda: peer.call(f"org.paradrop.{pdid}.chutes.deploy", {})).uri == "wamp.error.not_authorized"

    def test_a_caller_cannot_say_that_it_is_somebody_else(self, site: Site) -> None:
        pdid, key = site.device()
        ann = site.user("ann")
        site.ask("users.grant", "ann", "operator", f"device:{pdid}")
        lie = [{"session": 1, "authid": "admin", "authrole": "server"}]
        with site.joined(key) as device, site.joined(ann) as peer:
            device.register(f"org.paradrop.{pdid}.", match="prefix")
            peer.send(CALL, 1, {"forward_for": lie}, f"org.paradrop.{pdid}.chute.hello.greet", [])
            details = device.next()[3]
            assert (details["caller_authid"], details["caller_authrole"]) == ("ann", "user")

    def test_a_device_can_only_speak_for_its_own_chutes(self, site: Site) -> None:
        pdid, key = site.device()
        other, callee = site.device()
        site.ask("groups.add", "shop")
        site.ask("groups.join", "shop", pdid)
        site.ask("groups.join", "shop", other)
        with site.joined(callee) as device, site.joined(key) as peer:
            device.register(f"org.paradrop.{other}.", match="prefix")
            for number, (claimed, seen) in enumerate(
                [
                    ({"session": 7, "authid": "hello", "authrole": "chute"}, (f"hello@{pdid}", "chute")),
                    ({"session": 7, "authid": "hello@acme.victim", "authrole": "chute"}, (pdid, "device")),
                    ({"session": 7, "authid": "admin", "authrole": "user"}, (pdid, "device")),
                ],
                1,
            ):
                peer.send(CALL, number, {"forward_for": [claimed]}, f"org.paradrop.{other}.chute.hello.greet", [])
                details = device.next()[3]
                assert (details["caller_authid"], details["caller_authrole"]) == seen

    def test_a_removed_key_and_a_removed_user_are_out_at_once(self, site: Site) -> None:
        key = site.user("gone")
        with site.joined(key) as peer:
            site.ask("users.forget_key", "gone", key.public)
            assert peer.closed()
        other = site.user("away")
        with site.joined(other) as peer:
            site.ask("users.remove", "away")
            assert peer.closed()
        assert refused(lambda: site.joined(other)).uri == "org.paradrop.error.authentication"


class TestConnections:
    def test_an_oversized_message_ends_the_connection_of_its_sender_only(self, site: Site) -> None:
        with site.joined(site.admin) as peer, contextlib.suppress(OSError):
            peer.socket.sendall(struct.pack("!I", 15 << 20))
            peer.socket.sendall(bytes(5 << 20))
            assert peer.closed()
        assert site.well()

    @pytest.mark.parametrize(
        "payload", [b"", b"\xff" * 100, b"\x81\x01", b"\x9f" * 10_000, b"\x83\x18\x30\x01\x01", b"\xa0", os.urandom(1000)]
    )
    def test_garbage_ends_the_connection_of_its_sender_only(self, site: Site, payload: bytes) -> None:
        with site.joined(site.admin) as peer:
            peer.frame(payload)
            assert peer.closed()
        assert site.well()

    def test_a_message_before_the_hello_ends_the_connection(self, site: Site) -> None:
        for message in ([CALL, 1, {}, "wamp.session.list"], [WELCOME, 1, {}], [PUBLISH, 1, {}, "x"], [HELLO]):
            with site.peer() as peer:
                peer.greet()
                peer.send(*message)
                assert peer.closed()
        assert site.well()

    @pytest.mark.timeout(180)
    def test_handshakes_that_take_their_time_are_cut_off(self, site: Site) -> None:
        """All at the same time: each of them is given the whole patience."""
        beginnings = [b"", b"\x7f", b"G", b"GET /ws HTTP/1.1\r\nHost: x\r\n", b"\x7f\xf3\x00\x00"]
        parts = urlsplit(site.server.url)
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            slow = [stack.enter_context(site.peer(patience=3 * PATIENCE)) for _ in beginnings]
            for peer, first in zip(slow, beginnings, strict=True):
                peer.socket.sendall(first)
            tls = stack.enter_context(socket.create_connection((parts.hostname or "", parts.port or 0), 3 * PATIENCE))
            tls.sendall(b"\x16\x03\x01")
            assert all(peer.closed() for peer in slow)
            with contextlib.suppress(ConnectionResetError):
                assert tls.recv(1) == b""
        assert time.monotonic() - began < 2 * PATIENCE

    @pytest.mark.timeout(240)
    def test_five_thousand_connections_that_never_say_hello_keep_nobody_out(self, site: Site) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        parts = urlsplit(site.server.url)
        silent: list[socket.socket] = []
        try:
            for _ in range(SILENT):
                silent.append(socket.create_connection((parts.hostname or "", parts.port or 0), 20))
            began = time.monotonic()
            assert site.well()
            print(f"with {SILENT} silent connections an administrator was answered in {time.monotonic() - began:.2f} s")
            worker = site.server.worker
            assert worker is not None
            until(lambda: worker.num_fds() < 200, "the end of the silent connections")
        finally:
            for each in silent:
                each.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert site.well()

    def test_a_server_with_another_authority_is_not_spoken_to(self, site: Site) -> None:
        with ServerProcess() as other, pytest.raises(ssl.SSLCertVerificationError):
            RawPeer(other.url, site.server.authority_pem)


class TestDatabase:
    @pytest.mark.timeout(180)
    def test_while_the_database_is_locked_those_who_are_known_come_in_and_nothing_is_half_done(self, site: Site) -> None:
        pdid, key = site.device()
        database = sqlite3.connect(site.server.home / "server.db", isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        try:
            with site.joined(key, pdid) as peer:
                assert peer.session
            assert refused(lambda: site.ask("devices.create", "acme.late")).uri == "org.paradrop.error.database_unavailable"
        finally:
            database.execute("ROLLBACK")
            database.close()
        assert site.ask("devices.create", "acme.late")


def _device(site: Site) -> Key:
    return site.device()[1]
