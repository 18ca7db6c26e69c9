"""The service as a whole, in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from paradrop import uris
from paradrop.base.exceptions import Conflict, ParadropException
from paradrop.keys import Key
from paradrop.permissions import Role
from paradrop.tokens import Token
from paradrop.values import Device, ServerInfo, Welcome, read
from pdserver.authenticator import principal
from pdserver.gate import names
from pdserver.testing import AUTHORITY, URL, MemoryDevice, World


class TestFirstDay:
    def test_an_empty_server_says_that_it_is_ready_and_how_its_first_administrator_logs_in(self, world: World) -> None:
        ready, login = world.said
        assert ready == f"pdserver is ready: {URL}"
        command, token = login.rsplit(" ", 1)
        assert command.endswith(f"pdtools server login {URL}")
        assert Token.read(token).authority == AUTHORITY

    def test_the_first_code_makes_an_administrator_and_the_next_start_has_none_for_anybody(
        self, make_world: Callable[[], World]
    ) -> None:
        world, key = make_world(), Key.generate()
        welcome = read(Welcome, world.guest(world.said[-1].split()[-1]).call(uris.SERVER_ACCEPT, key.public, label="laptop"))
        assert (welcome.subject, welcome.server, welcome.name) == ("admin", URL, "fleet")
        assert read(ServerInfo, world.come_in("admin", key).call(uris.SERVER_INFO)).administrator
        assert make_world().said == [f"pdserver is ready: {URL}"]

    def test_a_device_is_made_invited_claimed_and_comes_online(self, world: World) -> None:
        ada, key = world.administrator(), Key.generate()
        ada.call(uris.DEVICES_CREATE, "acme.r1")
        token = world.token(ada.call(uris.DEVICES_INVITE, "acme.r1"))
        assert read(Welcome, world.guest(token).call(uris.SERVER_ACCEPT, key.public)).subject == "acme.r1"
        world.come_in("acme.r1", key)
        world.node.presence("acme.r1", True)
        device = read(Device, ada.call(uris.DEVICES_GET, "acme.r1"))
        assert (device.online, device.claimed, device.role) == (True, True, "owner")


class TestTheNode:
    def test_it_comes_back_to_a_node_that_was_away_with_everything_it_offers(self, world: World) -> None:
        device = world.device("acme.r1")
        world.connect(device)
        before = set(world.node.offered) - {uris.device_space("acme.r1")}
        world.lose_node()
        world.advance(5)
        assert world.node.offered == {}
        world.node.up = True
        world.advance(2)
        assert set(world.node.offered) == before
        assert len(world.node.subscribed) == 2

    @pytest.mark.parametrize("problem", [Conflict(), RuntimeError("odd")])
    def test_a_node_that_does_not_take_its_names_is_asked_again_until_it_does(self, world: World, problem: Exception) -> None:
        before = set(world.node.offered)
        world.node.refusing_names = problem
        world.lose_node()
        world.node.up = True
        world.advance(5)
        assert world.node.offered == {}
        world.node.refusing_names = None
        world.advance(2)
        assert set(world.node.offered) == before

    def test_it_offers_the_way_in_last(self, world: World) -> None:
        assert list(world.node.offered)[-1] == names.AUTHENTICATE

    def test_after_a_time_away_it_knows_who_is_there(self, world: World) -> None:
        ada, r1, r2 = world.administrator(), world.device("acme.r1"), world.device("acme.r2")
        world.connect(r1)
        server = next(peer for peer in world.node.peers.values() if peer.authrole == "server")
        world.node.drop(server)
        gone = next(peer for peer in world.node.peers.values() if peer.authid == "acme.r1")
        world.node.drop(gone)
        peer = world.node.join("device", "acme.r2", facts_of(world, r2))
        peer.stockRegister(r2.answer, uris.device_space("acme.r2"))
        world.advance(2)
        shown = {device.pdid: device.online for device in read(list[Device], ada.call(uris.DEVICES_LIST))}
        assert shown == {"acme.r1": False, "acme.r2": True}

    def test_after_a_time_away_it_puts_out_who_is_not_what_they_were(self, world: World) -> None:
        device, bob, eve = world.device("acme.r1"), world.user("bob"), world.user("eve")
        peer = world.connect(device)
        world.node.drop(next(peer for peer in world.node.peers.values() if peer.authrole == "server"))
        world.run(world.registry.remove_device("acme.r1"))
        world.run(world.registry.grant("eve", "server", Role.OWNER))
        assert {peer.id, bob.id, eve.id} <= set(world.node.peers)
        world.advance(2)
        assert bob.id in world.node.peers
        assert not {peer.id, eve.id} & set(world.node.peers)

    def test_the_gate_is_answered_and_nobody_else(self, world: World) -> None:
        world.device("acme.r1", ["lab"])
        bob = world.user("bob", **{"group:lab": "operator"})
        asked = ("user", "bob", "call", "org.paradrop.acme.r1.chute.hello.greet", "exact")
        assert world.node.router.call(names.DECIDE, *asked) is True
        assert world.node.router.call(names.DECIDE, "user", "bob", "call", "org.paradrop.acme.r1.config.show", "exact") is False
        assert world.node.router.call(names.DECIDE, "user", "eve", *asked[2:]) is False
        for uri, args in [(names.DECIDE, asked), (names.DENIED, ([],)), (names.AUTHENTICATE, ("paradrop", "x", {}))]:
            with pytest.raises(ParadropException):
                bob.call(uri, *args)

    def test_an_administrator_learns_that_there_is_no_such_device_and_nobody_else_does(self, world: World) -> None:
        world.administrator()
        world.user("bob")
        uri = "org.paradrop.acme.r7.chutes.list"
        assert world.node.router.call(names.DECIDE, "user", "ada", "call", uri, "exact") is True
        assert world.node.router.call(names.DECIDE, "user", "bob", "call", uri, "exact") is False


class TestTheDatabase:
    def test_at_the_start_it_waits_for_its_database_and_says_so_once(self, tmp_path: Path) -> None:
        world = World(tmp_path / "home")
        world.database.away = True
        starting = Deferred.fromCoroutine(world.service.start())
        world.advance(20)
        assert world.said == ["pdserver waits for its database: the database is away"]
        assert not starting.called
        world.database.away = False
        world.advance(3)
        assert starting.called
        assert world.said[1] == f"pdserver is ready: {URL}"
        world.stop()

    def test_it_can_be_stopped_while_it_waits(self, tmp_path: Path) -> None:
        world = World(tmp_path / "home")
        world.database.away = True
        starting = Deferred.fromCoroutine(world.service.start())
        starting.addErrback(lambda failure: None)
        world.advance(5)
        world.database.away = False
        world.stop()
        world.advance(10)
        assert world.said == ["pdserver waits for its database: the database is away"]

    def test_when_devices_were_seen_is_written_down(self, make_world: Callable[[], World]) -> None:
        world = make_world()
        device = world.device("acme.r1")
        world.connect(device)
        world.clock.advance(100)
        with world.database_away():
            world.lose_node()
            world.advance(10)
        after = world.wall() - 10
        ada = make_world().administrator()
        assert read(Device, ada.call(uris.DEVICES_GET, "acme.r1")).seen == pytest.approx(after, abs=0.5)


def facts_of(world: World, device: MemoryDevice) -> dict[str, object]:
    """What the authenticator gives to that device's session."""
    return principal(world.registry.directory, device.pdid, device.key.public)["extra"]  # type: ignore[no-any-return]
