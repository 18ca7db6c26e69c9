"""The limiter: who is stopped, for how long, and what it remembers."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from paradrop.base.exceptions import InvalidCredentials, TooManyAttempts
from paradropd.web.limiter import Limit, Limiter, network


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.limiter = Limiter(self.clock.seconds, Limit(3, 60.0), Limit(5, 60.0), most=100)

    def fail(self, address: str, name: str | None = None) -> None:
        with pytest.raises(InvalidCredentials), self.limiter.attempt(address, name):
            raise InvalidCredentials

    def succeed(self, address: str, name: str | None = None) -> None:
        with self.limiter.attempt(address, name):
            pass

    def refuse(self, address: str, name: str | None = None) -> float:
        with pytest.raises(TooManyAttempts) as caught:
            self.succeed(address, name)
        return caught.value.wait


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("address", ["192.0.2.7", "127.0.0.1", "::1", "unix"])
def test_after_some_failures_an_address_waits(world: World, address: str) -> None:
    for _ in range(3):
        world.fail(address)
        world.clock.advance(10)
    assert world.refuse(address) == 30.0
    world.succeed("192.0.2.8")
    world.clock.advance(30)
    world.succeed(address)


def test_the_window_slides(world: World) -> None:
    for _ in range(10):
        world.fail("192.0.2.7")
        world.clock.advance(25)
    world.succeed("192.0.2.7")


def test_a_name_waits_wherever_the_guesses_come_from(world: World) -> None:
    for number in range(5):
        world.fail(f"192.0.2.{number}", "owner")
    world.refuse("192.0.2.99", "owner")
    world.succeed("192.0.2.99", "guest")
    world.succeed("192.0.2.99")


def test_a_refused_attempt_does_not_prolong_the_wait(world: World) -> None:
    for _ in range(3):
        world.fail("192.0.2.7", "owner")
    world.clock.advance(20)
    assert [world.refuse("192.0.2.7", "owner") for _ in range(5)] == [40.0] * 5


def test_a_success_takes_back_only_itself(world: World) -> None:
    world.fail("192.0.2.7", "owner")
    world.fail("192.0.2.7", "owner")
    for _ in range(10):
        world.succeed("192.0.2.7", "guest")
        world.succeed("192.0.2.8", "owner")
    world.fail("192.0.2.7", "owner")
    world.refuse("192.0.2.7", "owner")
    world.fail("192.0.2.8", "owner")
    world.fail("192.0.2.9", "owner")
    world.refuse("192.0.2.10", "owner")


def test_attempts_made_at_once_do_not_slip_through_together(world: World) -> None:
    attempts = [world.limiter.attempt("192.0.2.7") for _ in range(4)]
    for attempt in attempts[:3]:
        attempt.__enter__()
    with pytest.raises(TooManyAttempts):
        attempts[3].__enter__()
    for attempt in attempts[:3]:
        attempt.__exit__(None, None, None)
    world.succeed("192.0.2.7")


def test_memory_is_bounded(world: World) -> None:
    for number in range(1000):
        world.fail(f"198.51.{number // 250}.{number % 250}", f"{number}{'x' * 10_000}")
    assert len(world.limiter) <= 100


def test_the_longest_unused_is_forgotten_first(world: World) -> None:
    for _ in range(3):
        world.fail("192.0.2.7")
        for number in range(99):
            world.fail(f"198.51.100.{number}")
            world.clock.advance(0.01)
    world.refuse("192.0.2.7")
    assert len(world.limiter) == 100


def test_nothing_is_kept_of_successes(world: World) -> None:
    world.succeed("192.0.2.7", "owner")
    assert len(world.limiter) == 0


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("unix", "unix"),
        ("", ""),
    ],
)
def test_an_ipv6_guesser_has_one_network_and_not_many_addresses(address: str, expected: str) -> None:
    assert network(address) == expected
