"""The choice of an engine, and that nothing else is made or asked."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from paradrop.base.exceptions import InvalidSettings
from paradropd.engine.choose import choose, make_engine
from paradropd.engine.memory import MemoryEngine


@pytest.mark.parametrize(
    ("setting", "answers", "name"),
    [
        ("auto", True, "docker"),
        ("auto", False, "process"),
        ("docker", False, "docker"),
        ("process", True, "process"),
    ],
)
def test_choose(setting: str, answers: bool, name: str) -> None:
    assert choose(setting, answers) == name


@pytest.mark.parametrize("setting", ["", "Docker", "podman"])
def test_an_unknown_engine_is_refused_with_those_there_are(setting: str) -> None:
    with pytest.raises(InvalidSettings, match="auto, docker, process"):
        choose(setting, True)


class TestMakeEngine(SynchronousTestCase):
    def setUp(self) -> None:
        self.asked = 0
        self.made: list[str] = []

    async def answers(self) -> bool:
        self.asked += 1
        return True

    def maker(self, name: str) -> MemoryEngine:
        self.made.append(name)
        clock = Clock()
        return MemoryEngine(clock, clock.seconds)

    def make(self, setting: str) -> Coroutine[Any, Any, Any]:
        makers = {"docker": lambda: self.maker("docker"), "process": lambda: self.maker("process")}
        return make_engine(setting, self.answers, makers)

    def test_auto_asks_docker(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.make("auto")))
        assert (self.asked, self.made) == (1, ["docker"])

    def test_a_named_engine_is_made_without_asking(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.make("process")))
        assert (self.asked, self.made) == (0, ["process"])

    def test_an_unknown_one_makes_nothing(self) -> None:
        self.failureResultOf(Deferred.fromCoroutine(self.make("podman")), InvalidSettings)
        assert self.made == []
