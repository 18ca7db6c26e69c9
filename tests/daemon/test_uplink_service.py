"""A device gets its place on a server, keeps it over restarts, moves, and gives it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from autobahn.wamp.types import SubscribeOptions
from twisted.internet.defer import Deferred

from paradrop import uris
from paradrop.base.cxbr import BaseSession
from paradrop.base.exceptions import (
    Conflict,
    InvalidInput,
    InvitationRefused,
    NotFound,
    ParadropException,
    PdidError,
    StorageFull,
    Unreachable,
)
from paradrop.keys import Key
from paradrop.tokens import Token
from paradrop.values import NodeInfo, Uplink, UplinkState, Welcome, read
from upstream import Outcome, Upstream

URL = "https://server.example:8443"
TOKEN = str(Token("one", "secret", b"authority"))
OTHER_TOKEN = str(Token("two", "secret"))
Box = Any


class Accepting:
    """Instead of :func:`paradrop.claim.accept`."""

    def __init__(self) -> None:
        self.answers: list[Welcome | Exception | Deferred[Welcome]] = []
        self.asked: list[tuple[str, str, str, str]] = []

    async def __call__(
        self, reactor: Any, url: str, token: Token, public_key: str, label: str = "", *, transport: str = ""
    ) -> Welcome:
        self.asked.append((url, token.id, public_key, transport))
        answer = self.answers.pop(0) if self.answers else Welcome(subject="acme.r1", server=url)
        if isinstance(answer, Deferred):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return answer


class Fleet:
    """Boxes on one home, one after the other, and the servers' realm."""

    def __init__(self, folder: Path, box_class: Any) -> None:
        self.folder, self.box_class = folder, box_class
        self.accepting = Accepting()
        self.reactor = box_class.make_reactor()
        self.upstream = Upstream(self.reactor)
        self.box = self.again()

    def again(self) -> Box:
        self.box = self.box_class(self.folder, self.reactor, make_link=self.upstream.make_link, accept=self.accepting)
        self.box.start()
        return self.box

    @property
    def uplink(self) -> Uplink:
        return read(NodeInfo, self.box.call("node.info")).uplink

    @property
    def link(self) -> Any:
        return self.upstream.links[-1]

    def keys(self, kind: str) -> list[str]:
        return [name for name in self.box.nexus.keyNames() if name.startswith(kind)]

    def info(self) -> tuple[Any, ...]:
        info = self.box.nexus.info
        return info.pdid, info.pdserver, info.wampRouter


@pytest.fixture
def fleet(tmp_path: Path, box_class: Any) -> Any:
    fleet = Fleet(tmp_path, box_class)
    yield fleet
    fleet.box.stop()
    assert fleet.reactor.getDelayedCalls() == []


class TestProvision:
    def test_a_device_joins_and_shows_it(self, fleet: Fleet) -> None:
        assert fleet.uplink == Uplink()
        answer = read(Uplink, fleet.box.call("node.provision", "server.example", TOKEN))
        assert (answer.state, answer.pdid, answer.server) == (UplinkState.ONLINE, "acme.r1", URL)
        assert fleet.uplink == answer
        assert fleet.box.call("node.info")["pdid"] == "acme.r1"
        assert fleet.info() == ("acme.r1", URL, "rss://server.example:8443")
        assert (fleet.link.address, fleet.link.pdid) == ("rss://server.example:8443", "acme.r1")
        assert "BEGIN CERTIFICATE" in fleet.link.authority

    def test_its_key_stays_here_and_is_the_one_it_proves_itself_with(self, fleet: Fleet) -> None:
        fleet.box.call("node.provision", URL, TOKEN)
        (name,) = fleet.keys("device")
        saved = Key.read(fleet.box.nexus.getKey(name))
        assert fleet.accepting.asked == [(URL, "one", saved.public, "rawsocket")]
        assert fleet.link.key.public == saved.public
        assert (fleet.box.home.root / "keys" / name).stat().st_mode & 0o777 == 0o600

    def test_no_two_servers_see_the_same_key_and_the_old_one_is_removed(self, fleet: Fleet) -> None:
        """One could pass the other's challenge on, and be this device there."""
        fleet.box.call("node.provision", URL, TOKEN)
        fleet.box.call("node.provision", "https://other.example", OTHER_TOKEN)
        (_, _, first, _), (_, _, second, _) = fleet.accepting.asked
        assert first != second
        (name,) = fleet.keys("device")
        assert Key.read(fleet.box.nexus.getKey(name)).public == second == fleet.link.key.public
        assert len(fleet.keys("server-authority")) == 1

    def test_the_token_of_one_server_at_another_is_tried_with_another_key(self, fleet: Fleet) -> None:
        fleet.accepting.answers = [Unreachable("no route"), Unreachable("no route")]
        for url in (URL, "https://other.example"):
            with pytest.raises(Unreachable):
                fleet.box.call("node.provision", url, TOKEN)
        assert len({key for _, _, key, _ in fleet.accepting.asked}) == 2

    def test_a_lost_answer_and_a_restart_on_the_way_to_another_server(self, fleet: Fleet) -> None:
        """The server knows the pending key already, and takes the same token from no other."""
        fleet.box.call("node.provision", URL, TOKEN)
        fleet.accepting.answers = [Unreachable("the link went down before the answer came")]
        with pytest.raises(Unreachable):
            fleet.box.call("node.provision", "https://other.example", OTHER_TOKEN)
        fleet.box.stop()
        fleet.again()
        assert fleet.link.key.public == fleet.accepting.asked[0][2]
        fleet.box.call("node.provision", "https://other.example", OTHER_TOKEN)
        assert fleet.accepting.asked[1][2] == fleet.accepting.asked[2][2] == fleet.link.key.public

    def test_a_power_cut_before_the_info_file_is_written(self, fleet: Fleet) -> None:
        """The device is still on its first server, with that one's key and authority."""
        fleet.box.call("node.provision", URL, TOKEN)
        key, authority = fleet.link.key.public, fleet.link.authority
        provision = fleet.box.nexus.provision

        def cut(*args: Any) -> None:
            raise StorageFull

        fleet.box.nexus.provision = cut
        with pytest.raises(StorageFull):
            fleet.box.call("node.provision", "https://other.example", OTHER_TOKEN)
        fleet.box.nexus.provision = provision
        fleet.box.stop()
        fleet.again()
        assert (fleet.link.address, fleet.link.key.public) == ("rss://server.example:8443", key)
        assert fleet.link.authority == authority != ""
        fleet.box.call("node.provision", "https://other.example", OTHER_TOKEN)
        assert fleet.accepting.asked[1][2] == fleet.accepting.asked[2][2]

    def test_a_power_cut_after_the_info_file_was_written(self, fleet: Fleet) -> None:
        fleet.box.call("node.provision", URL, TOKEN)
        (old,) = fleet.keys("device")
        secret = fleet.box.nexus.getKey(old)
        fleet.box.call("node.provision", "https://other.example", OTHER_TOKEN)
        fleet.box.nexus.saveKey(secret, old)  # nothing was tidied up
        fleet.box.stop()
        fleet.again()
        assert fleet.link.key.public == fleet.accepting.asked[1][2]
        assert old not in fleet.keys("device")

    def test_keys_of_tokens_that_were_refused_do_not_pile_up(self, fleet: Fleet) -> None:
        for number in range(3):
            fleet.accepting.answers = [InvitationRefused("unknown")]
            with pytest.raises(InvitationRefused):
                fleet.box.call("node.provision", URL, str(Token(str(number), "secret")))
        assert fleet.keys("device") == []

    def test_what_is_under_way_ends_with_the_device(self, fleet: Fleet) -> None:
        late: Deferred[Welcome] = Deferred()
        late.addErrback(lambda problem: problem)
        fleet.accepting.answers = [late]
        Outcome(fleet.box.owner.call("node.provision", URL, TOKEN))
        fleet.box.stop()
        assert late.called
        assert fleet.info() == (None, "", "")
        fleet.again()

    def test_it_is_still_that_device_after_a_restart(self, fleet: Fleet) -> None:
        fleet.box.call("node.provision", URL, TOKEN)
        fleet.box.stop()
        fleet.again()
        assert fleet.uplink.state is UplinkState.ONLINE
        assert len(fleet.accepting.asked) == 1
        assert fleet.upstream.links[0].key.public == fleet.link.key.public

    @pytest.mark.parametrize(
        ("url", "token"),
        [
            ("", TOKEN),
            ("ftp://server.example", TOKEN),
            ("https://server.example/path", TOKEN),
            ("https://server.example:x", TOKEN),
            (URL, ""),
            (URL, "pd1.x"),
            (URL, "secret"),
        ],
    )
    def test_what_is_no_url_or_no_token(self, fleet: Fleet, url: str, token: str) -> None:
        with pytest.raises(InvalidInput):
            fleet.box.call("node.provision", url, token)
        assert fleet.accepting.asked == []
        assert fleet.info() == (None, "", "")

    @pytest.mark.parametrize(
        "problem", [InvitationRefused("used already"), Unreachable("no route"), Conflict("that key"), NotFound("x")]
    )
    def test_nothing_changes_when_it_fails(self, fleet: Fleet, problem: ParadropException) -> None:
        fleet.box.call("node.provision", URL, TOKEN)
        before, links = fleet.info(), list(fleet.upstream.links)
        fleet.accepting.answers = [problem]
        with pytest.raises(type(problem), match=str(problem)):
            fleet.box.call("node.provision", "https://other.example", OTHER_TOKEN)
        assert (fleet.info(), fleet.upstream.links) == (before, links)
        assert fleet.uplink.state is UplinkState.ONLINE
        assert not fleet.link.stopped

    @pytest.mark.parametrize("subject", ["", "local", "server.x", "A b", "wamp..x"])
    def test_a_server_that_gives_an_id_that_is_none(self, fleet: Fleet, subject: str) -> None:
        fleet.accepting.answers = [Welcome(subject=subject, server=URL)]
        with pytest.raises(PdidError):
            fleet.box.call("node.provision", URL, TOKEN)
        assert fleet.info() == (None, "", "")
        assert fleet.upstream.links == []

    def test_a_full_disk_changes_nothing(self, fleet: Fleet) -> None:
        fleet.box.call("node.provision", URL, TOKEN)
        (authority,) = fleet.keys("server-authority")
        kept = fleet.box.nexus.getKey(authority)

        def full(*args: Any) -> None:
            raise StorageFull

        fleet.box.nexus.provision = full  # the disk is full
        with pytest.raises(StorageFull):
            fleet.box.call("node.provision", "https://other.example", OTHER_TOKEN)
        assert fleet.box.nexus.getKey(authority) == kept != ""
        assert not fleet.link.stopped

    def test_another_server_is_joined_before_the_first_is_left(self, fleet: Fleet) -> None:
        fleet.box.call("node.provision", URL, TOKEN)
        fleet.accepting.answers = [Welcome(subject="beta.x", server="s")]
        answer = read(Uplink, fleet.box.call("node.provision", "wss://other.example:443/ws", OTHER_TOKEN))
        assert (answer.pdid, answer.server) == ("beta.x", "https://other.example:443")
        assert [link.stopped for link in fleet.upstream.links] == [True, False]
        assert fleet.upstream.left == ["left"]  # the first one knows
        assert fleet.link.address == "wss://other.example:443/ws"
        assert fleet.link.authority == ""
        assert sum(info["uri"] == uris.ROOT for info in fleet.box.call("fabric.procedures")) == 1

    @pytest.mark.parametrize("again", [URL, "https://10.0.0.1:8443"])
    def test_the_same_place_with_another_token_is_not_left(self, fleet: Fleet, again: str) -> None:
        """The server would forget the key that it has just been given."""
        fleet.box.call("node.provision", URL, TOKEN)
        fleet.box.call("node.provision", again, str(Token("two", "secret", b"authority")))
        assert fleet.upstream.left == []
        assert fleet.uplink.state is UplinkState.ONLINE

    def test_one_at_a_time(self, fleet: Fleet) -> None:
        late: Deferred[Welcome] = Deferred()
        fleet.accepting.answers = [late]
        first = Outcome(fleet.box.owner.call("node.provision", URL, TOKEN))
        for name, args in (("node.provision", (URL, OTHER_TOKEN)), ("node.unprovision", ())):
            with pytest.raises(Conflict, match="right now"):
                fleet.box.call(name, *args)
        late.callback(Welcome(subject="acme.r1", server=URL))
        assert read(Uplink, first.values[0]).state is UplinkState.ONLINE

    def test_websocket_where_the_setting_says_so(self, tmp_path: Path, fleet: Fleet) -> None:
        fleet.box.call("config.set", "uplink_transport", "websocket")
        fleet.box.stop()
        fleet.again()
        fleet.box.call("node.provision", URL, TOKEN)
        assert fleet.link.address == "wss://server.example:8443/ws"
        assert fleet.accepting.asked[0][3] == "websocket"


class TestState:
    def test_everybody_hears_how_the_link_is(self, fleet: Fleet) -> None:
        seen: list[Uplink] = []
        fleet.box.owner.subscribe(lambda value: seen.append(read(Uplink, value)), uris.ON_UPLINK, SubscribeOptions())
        fleet.upstream.away = True
        fleet.box.call("node.provision", URL, TOKEN)
        fleet.link.behind.down("no route", False)
        fleet.link.connect()
        fleet.link.cut()
        fleet.upstream.refusing = "that key is not known"
        fleet.link.connect()
        states = [(each.state.value, each.problem) for each in seen]
        assert states == [
            ("connecting", ""),
            ("connecting", "no route"),
            ("online", ""),
            ("connecting", "the link went down"),
            ("refused", "that key is not known"),
        ]

    def test_an_old_link_has_no_say_any_more(self, fleet: Fleet) -> None:
        fleet.box.call("node.provision", URL, TOKEN)
        old = fleet.link
        fleet.box.call("node.provision", "https://other.example", OTHER_TOKEN)
        old.behind.down("late", True)
        assert (fleet.uplink.state, fleet.uplink.server) == (UplinkState.ONLINE, "https://other.example:8443")


class TestUnprovision:
    def test_the_device_is_alone_again_and_the_server_knows(self, fleet: Fleet) -> None:
        fleet.box.call("node.provision", URL, TOKEN)
        assert read(Uplink, fleet.box.call("node.unprovision")) == Uplink()
        assert fleet.upstream.left == ["left"]
        assert fleet.link.stopped
        assert fleet.info() == (None, "", "")
        assert fleet.box.nexus.keyNames() == []
        assert uris.ROOT not in [info["uri"] for info in fleet.box.call("fabric.procedures")]
        fleet.box.stop()
        fleet.again()
        assert fleet.uplink == Uplink()

    def test_without_a_link_it_leaves_all_the_same(self, fleet: Fleet) -> None:
        fleet.box.call("node.provision", URL, TOKEN)
        fleet.link.cut()
        before = fleet.reactor.seconds()
        assert read(Uplink, fleet.box.call("node.unprovision")) == Uplink(problem="the server could not be told")
        assert 4 < fleet.reactor.seconds() - before < 6
        assert fleet.upstream.left == []
        assert fleet.uplink == Uplink()

    def test_a_link_that_comes_back_is_waited_for(self, fleet: Fleet) -> None:
        fleet.box.call("node.provision", URL, TOKEN)
        link = fleet.link
        link.cut()
        fleet.reactor.callLater(3, link.connect)
        assert read(Uplink, fleet.box.call("node.unprovision")) == Uplink()
        assert fleet.upstream.left == ["left"]

    def test_a_server_that_refuses_the_device_is_not_waited_for(self, fleet: Fleet) -> None:
        fleet.box.call("node.provision", URL, TOKEN)
        fleet.link.cut()
        fleet.upstream.refusing = "that key is not known"
        fleet.link.connect()
        outcome = Outcome(fleet.box.owner.call("node.unprovision"))
        assert not outcome.pending
        assert fleet.info() == (None, "", "")

    def test_it_is_left_when_the_device_stops_meanwhile(self, fleet: Fleet) -> None:
        fleet.box.call("node.provision", URL, TOKEN)
        fleet.link.cut()
        Outcome(fleet.box.owner.call("node.unprovision"))
        fleet.box.stop()
        assert fleet.info() == (None, "", "")
        fleet.again()

    def test_a_server_that_does_not_answer_is_left_after_a_while(self, fleet: Fleet) -> None:
        fleet.box.call("node.provision", URL, TOKEN)
        fleet.upstream.end(fleet.upstream.server)
        silent = fleet.upstream.session("server", "server", BaseSession)
        Outcome(silent.stockRegister(Deferred, uris.DEVICES_LEFT))
        assert read(Uplink, fleet.box.call("node.unprovision")).problem == "the server could not be told"
        assert fleet.info() == (None, "", "")

    def test_a_server_that_has_forgotten_the_key_before_it_answers_has_been_told(self, fleet: Fleet) -> None:
        fleet.box.call("node.provision", URL, TOKEN)
        fleet.upstream.end(fleet.upstream.server)
        strict = fleet.upstream.session("server", "server", BaseSession)

        def forget() -> Deferred[None]:
            fleet.reactor.callLater(0, fleet.link.cut)
            return Deferred()

        Outcome(strict.stockRegister(forget, uris.DEVICES_LEFT))
        assert read(Uplink, fleet.box.call("node.unprovision")) == Uplink()

    def test_a_device_that_is_alone_stays_alone(self, fleet: Fleet) -> None:
        assert read(Uplink, fleet.box.call("node.unprovision")) == Uplink()

    def test_the_next_claim_is_with_another_key(self, fleet: Fleet) -> None:
        fleet.box.call("node.provision", URL, TOKEN)
        fleet.box.call("node.unprovision")
        fleet.box.call("node.provision", URL, OTHER_TOKEN)
        assert fleet.accepting.asked[0][2] != fleet.accepting.asked[1][2]


class TestClaim:
    def claim(self, fleet: Fleet, url: str = URL, token: str = TOKEN) -> Outcome:
        return Outcome(Deferred.fromCoroutine(fleet.box.device.uplink.claim(url, token)))

    def test_it_is_tried_until_the_server_is_there(self, fleet: Fleet) -> None:
        fleet.accepting.answers = [Unreachable("no route"), NotFound("nobody has registered it"), Unreachable("no route")]
        outcome = self.claim(fleet)
        for _ in range(200):
            fleet.reactor.advance(0.1)
        assert not outcome.pending
        assert len(fleet.accepting.asked) == 4
        assert len({key for _, _, key, _ in fleet.accepting.asked}) == 1  # an answer may have been lost
        assert fleet.uplink.state is UplinkState.ONLINE

    @pytest.mark.parametrize("problem", [InvitationRefused("it has expired"), Conflict("somebody else's key")])
    def test_it_is_given_up_when_the_server_refuses(self, fleet: Fleet, problem: ParadropException) -> None:
        fleet.accepting.answers = [problem]
        assert not self.claim(fleet).pending
        assert len(fleet.accepting.asked) == 1
        assert fleet.uplink == Uplink()

    def test_a_token_that_is_none_is_given_up(self, fleet: Fleet) -> None:
        assert not self.claim(fleet, token="nonsense").pending
        assert fleet.accepting.asked == []

    @pytest.mark.parametrize("url", ["server.example", "https://other.example"])
    def test_nothing_is_done_when_the_device_is_provisioned(self, fleet: Fleet, url: str) -> None:
        """Whatever a unit file has said since the device was new, and was moved."""
        fleet.box.call("node.provision", URL, TOKEN)
        assert not self.claim(fleet, url=url, token=OTHER_TOKEN).pending
        assert len(fleet.accepting.asked) == 1
        assert fleet.info()[1] == URL

    def test_it_waits_for_a_person_who_provisions_the_device_and_fails(self, fleet: Fleet) -> None:
        late: Deferred[Welcome] = Deferred()
        fleet.accepting.answers = [late]
        person = Outcome(fleet.box.owner.call("node.provision", "https://other.example", OTHER_TOKEN))
        outcome = self.claim(fleet)
        fleet.reactor.advance(5)
        assert outcome.pending
        late.errback(Unreachable("no route"))
        assert person.error[0] == Unreachable.uri()
        fleet.reactor.advance(5)
        assert not outcome.pending
        assert fleet.uplink.server == URL

    def test_it_ends_with_the_device(self, fleet: Fleet) -> None:
        fleet.accepting.answers = [Unreachable("no route")]
        outcome = self.claim(fleet)
        fleet.box.stop()
        assert not outcome.pending
        fleet.again()


def test_a_session_of_the_device_cannot_say_what_is_wanted(fleet: Fleet) -> None:
    """Nobody on the device's own realm has anything to do with it."""
    fleet.box.call("node.provision", URL, TOKEN)
    with pytest.raises(NotFound):
        fleet.box.call("uplink.want", [])
