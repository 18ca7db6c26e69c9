"""The three health checks, asked once and during a deploy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError, DNSLookupError
from twisted.python.failure import Failure
from twisted.web.client import Headers, ResponseFailed
from twisted.web.iweb import IAgent, IResponse
from zope.interface import implementer

from paradrop.values import ChangeRecord, ChangeState, ProcedureInfo
from paradropd.changes.perform import LOOK_AGAIN
from paradropd.engine.memory import Behaviour
from paradropd.engine.port import InstanceKey
from paradropd.testing import World, result_of

CHUTE = "name: hello\nversion: '1'\ntype: light\nuse: python3\ncommand: stay\n"
TIMES = "interval: 10s, timeout: 2s, start: 20s"
CHECKS = {
    "procedure": f"health: {{procedure: greet, {TIMES}}}\n",
    "http": f"health: {{http: {{path: /ready, port: 8080}}, {TIMES}}}\n",
    "command": f"health: {{command: check it, {TIMES}}}\n",
}


@implementer(IResponse)
class Answer:
    """As much of a response as the checker looks at."""

    def __init__(self, code: int) -> None:
        self.version, self.code, self.phrase, self.headers, self.length = (b"HTTP", 1, 1), code, b"", Headers(), 0
        self.request = self.previousResponse = None
        self.closed = False

    def deliverBody(self, protocol: Any) -> None:
        protocol.makeConnection(self)

    def loseConnection(self) -> None:
        self.closed = True

    def setPreviousResponse(self, response: Any) -> None:
        raise NotImplementedError


@implementer(IAgent)
class Agent:
    """Answers what a test says, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.answer: Callable[[], Deferred[Any]] = Deferred

    def request(self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None) -> Deferred[Any]:
        self.asked.append(method + b" " + uri)
        return self.answer()


def answering(code: int) -> Callable[[], Deferred[Any]]:
    def answer() -> Deferred[Any]:
        deferred: Deferred[Any] = Deferred()
        deferred.callback(Answer(code))
        return deferred

    return answer


def failing(problem: Exception) -> Callable[[], Deferred[Any]]:
    def answer() -> Deferred[Any]:
        deferred: Deferred[Any] = Deferred()
        deferred.errback(problem)
        return deferred

    return answer


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture
def world(make_world: Callable[..., World], agent: Agent) -> World:
    world = make_world(agent=agent)
    world.begin()
    return world


GREET = "org.paradrop.local.chute.hello.greet"

MISSING = {
    "procedure": "it has not registered hello.greet",
    "http": "GET /ready on its port 8080 is not answered with 2xx or 3xx",
    "command": "check it does not exit with 0",
}
YES: dict[str, Callable[[World, Agent], object]] = {
    "procedure": lambda world, agent: world.procedures.append(ProcedureInfo(uri=GREET, match="exact", owner="hello")),
    "http": lambda world, agent: setattr(agent, "answer", answering(204)),
    "command": lambda world, agent: world.engine.commands.update({("check", "it"): Behaviour(exit_code=0)}),
}
"""What makes each check say yes; without it, it says no."""


def deploy(world: World, kind: str) -> str:
    return world.deploy(CHUTE + CHECKS[kind])


@pytest.mark.parametrize("kind", CHECKS)
class TestDeploy:
    def test_healthy_at_once(self, world: World, agent: Agent, kind: str) -> None:
        YES[kind](world, agent)
        change = deploy(world, kind)
        # The chute's own procedure is proof enough; elsewhere another program may have answered.
        assert world.newest(change).state is (ChangeState.DONE if kind == "procedure" else ChangeState.RUNNING)
        world.advance(LOOK_AGAIN)
        assert world.newest(change).state is ChangeState.DONE
        assert "wait until it is healthy" in [step.title for step in world.newest(change).steps]

    def test_healthy_after_a_while(self, world: World, agent: Agent, kind: str) -> None:
        change = deploy(world, kind)
        world.advance(15)
        assert world.newest(change).state is ChangeState.RUNNING
        YES[kind](world, agent)
        world.advance(3)
        assert world.newest(change).state is ChangeState.DONE

    def test_never(self, world: World, kind: str) -> None:
        record = world.finish(deploy(world, kind))
        assert record.state is ChangeState.FAILED
        assert record.reason.startswith(f"main did not become healthy within 20 s: {MISSING[kind]}")
        assert world.clock.seconds() <= 23
        assert world.running() == {}

    def test_an_update_that_never_is_goes_back(self, world: World, agent: Agent, kind: str) -> None:
        assert world.finish(world.deploy(CHUTE)).state is ChangeState.DONE
        record: ChangeRecord = world.finish(deploy(world, kind))
        assert record.state is ChangeState.ROLLED_BACK
        assert world.running() == {"hello/main": 1}

    def test_it_ends_while_it_is_waited_for(self, world: World, kind: str) -> None:
        change = deploy(world, kind)
        world.advance(5)
        world.engine.end(InstanceKey("hello", "main", 1), 3)
        record = world.finish(change)
        assert record.reason == "main ended with exit code 3"
        assert world.clock.seconds() < 8


@pytest.mark.parametrize("kind", ["http", "command"])
@pytest.mark.parametrize("after", [0.0, LOOK_AGAIN / 2])
def test_a_yes_of_somebody_else_does_not_make_a_dead_chute_healthy(world: World, agent: Agent, kind: str, after: float) -> None:
    YES[kind](world, agent)
    world.engine.commands["stay",] = Behaviour(exit_code=1, after=after)
    record = world.finish(deploy(world, kind))
    assert (record.state, record.reason) == (ChangeState.FAILED, "main ended with exit code 1")


class TestOneCheck:
    def asked(self, world: World, kind: str) -> bool:
        release = world.chutes.get("hello").release
        return result_of(world.health.healthy(release))

    def test_a_procedure_must_be_the_chutes_own(self, world: World) -> None:
        change = deploy(world, "procedure")
        world.procedures.append(ProcedureInfo(uri=GREET, match="exact", owner="stranger"))
        world.procedures.append(ProcedureInfo(uri=GREET + ".more", match="exact", owner="hello"))
        assert world.finish(change).state is ChangeState.FAILED

    @pytest.mark.parametrize(
        ("code", "healthy"), [(200, True), (204, True), (302, True), (400, False), (404, False), (503, False)]
    )
    def test_http_codes(self, world: World, agent: Agent, code: int, healthy: bool) -> None:
        agent.answer = answering(200)
        world.finish(deploy(world, "http"))
        agent.answer = answering(code)
        assert self.asked(world, "http") is healthy
        assert agent.asked[-1] == b"GET http://127.0.0.1:8080/ready"

    @pytest.mark.parametrize(
        "problem",
        [
            ConnectionRefusedError(),
            DNSLookupError(),
            ResponseFailed([Failure(ConnectionRefusedError())]),
            ValueError("not a URL"),
            OSError("no route"),
        ],
    )
    def test_every_error_is_a_no(self, world: World, agent: Agent, problem: Exception) -> None:
        agent.answer = answering(200)
        world.finish(deploy(world, "http"))
        agent.answer = failing(problem)
        assert self.asked(world, "http") is False

    def test_the_body_is_not_read(self, world: World, agent: Agent) -> None:
        answer = Answer(200)

        def give() -> Deferred[Any]:
            deferred: Deferred[Any] = Deferred()
            deferred.callback(answer)
            return deferred

        agent.answer = give
        world.finish(deploy(world, "http"))
        assert answer.closed

    def test_http_without_an_answer_is_a_no_after_its_timeout(self, world: World, agent: Agent) -> None:
        agent.answer = answering(200)
        world.finish(deploy(world, "http"))
        agent.answer = Deferred
        answers: list[bool] = []
        Deferred.fromCoroutine(world.health.healthy(world.chutes.get("hello").release)).addCallback(answers.append)
        world.advance(1.9)
        assert answers == []
        world.advance(0.2)
        assert answers == [False]

    def test_what_does_not_run_is_not_healthy(self, world: World, agent: Agent) -> None:
        for kind in ("http", "command"):
            YES[kind](world, agent)
            world.finish(deploy(world, kind))
            release = world.chutes.get("hello").release
            world.engine.end(InstanceKey("hello", "main", release.number), 1)
            assert self.asked(world, kind) is False

    def test_a_chute_without_a_check_is_healthy(self, world: World) -> None:
        world.finish(world.deploy(CHUTE))
        assert self.asked(world, "none") is True
