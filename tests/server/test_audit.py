"""Denied attempts on their way to the log: counted together, bounded, never lost to a database that is away."""

from __future__ import annotations

from paradrop import uris
from paradrop.values import AuditEntry, read
from pdserver.audit import BURST, OTHERS, SHOWN, Denials
from pdserver.gate import names
from pdserver.testing import World


class TestDenials:
    def test_the_same_is_one_entry_with_how_often(self) -> None:
        denials = Denials(0.0)
        for _ in range(1000):
            denials.add(1.0, "user bob", "call", "org.paradrop.server.x")
        denials.add(1.0, "user bob", "call", "org.paradrop.server.y", times=7)
        assert [(entry.what[-1], entry.times, entry.allowed) for entry in denials.take()] == [("x", 1000, False), ("y", 7, False)]
        assert denials.take() == []

    def test_a_flood_of_different_ones_is_counted_together(self) -> None:
        denials = Denials(0.0)
        for number in range(5000):
            denials.add(0.0, "stranger", "login", f"name{number}")
        entries = denials.take()
        assert len(entries) == BURST + 1
        assert (entries[-1].who, entries[-1].action, entries[-1].times) == (OTHERS, "login", 5000 - BURST)

    def test_there_is_room_again_after_a_while(self) -> None:
        denials = Denials(0.0)
        for number in range(5000):
            denials.add(0.0, "stranger", "login", f"name{number}")
        denials.take()
        denials.add(10.0, "stranger", "login", "somebody")
        assert [entry.what for entry in denials.take()] == ["somebody"]

    def test_what_somebody_sent_is_cut(self) -> None:
        denials = Denials(0.0)
        denials.add(0.0, "user " + "x" * 999, "call", "y" * 999, "z" * 999)
        assert [len(text) for entry in denials.take() for text in (entry.who, entry.what, entry.detail)] == [SHOWN] * 3


class TestAudit:
    def test_what_the_gate_denied_is_written_down(self, world: World) -> None:
        ada = world.administrator()
        rows = [
            ["device", "acme.r1", "register", "org.paradrop.acme.r2.", 3, "not yours"],
            ["", "mallory", "login", "", 2, "wrong"],
        ]
        world.node.router.call(names.DENIED, rows)
        world.advance(1.5)
        _, first, second = read(list[AuditEntry], ada.call(uris.AUDIT_READ))
        assert (first.who, first.action, first.what, first.times) == ("device acme.r1", "register", "org.paradrop.acme.r2.", 3)
        assert (second.who, second.action, second.what, second.detail) == ("stranger", "login", "mallory", "wrong")

    def test_entries_wait_for_a_database_that_is_away(self, world: World) -> None:
        ada = world.administrator()
        with world.database_away():
            world.node.router.call(names.DENIED, [["user", "bob", "call", "org.paradrop.x", 1, ""]])
            world.advance(5)
        world.advance(1.5)
        assert [entry.who for entry in read(list[AuditEntry], ada.call(uris.AUDIT_READ))] == ["server", "user bob"]

    def test_the_last_entries_are_written_when_the_server_stops(self, make_world) -> None:  # type: ignore[no-untyped-def]
        world = make_world()
        world.administrator()
        world.node.router.call(names.DENIED, [["user", "bob", "call", "org.paradrop.x", 1, ""]])
        ada = make_world().administrator("eve")
        assert [entry.who for entry in read(list[AuditEntry], ada.call(uris.AUDIT_READ))] == ["server", "user bob"]
