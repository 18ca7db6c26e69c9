"""Procedures of the daemon: declared with a permission, checked before they run, answered in plain data."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from autobahn.wamp.request import Registration
from autobahn.wamp.types import CallDetails
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from paradrop import uris
from paradrop.base.exceptions import ChuteNotFound, InteralException, InvalidInput
from paradrop.permissions import Permission, Person, Role
from paradrop.procedure import Procedure, collect, procedure, register
from paradrop.values import TreeEntry


class Things:
    """An area with a procedure of every kind."""

    def __init__(self) -> None:
        self.callers: list[Person] = []

    @procedure("things.whoami", Permission.VIEW)
    async def whoami(self, person: Person) -> str:
        self.callers.append(person)
        return person.name

    @procedure("things.typed", Permission.OPERATE)
    async def typed(
        self,
        person: Person,
        text: str,
        count: int = 1,
        rate: float = 1.0,
        really: bool = False,
        data: bytes = b"",
        names: list[str] | None = None,
        options: dict[str, Any] | None = None,
        anything: Any = None,
    ) -> list[Any]:
        return [text, count, rate, really, len(data), names, options, anything]

    @procedure("things.value", Permission.VIEW)
    async def value(self, person: Person) -> tuple[TreeEntry, ...]:
        return (TreeEntry(path="a", size=1, sha256="0"),)

    @procedure("things.missing", Permission.VIEW)
    async def missing(self, person: Person) -> None:
        raise ChuteNotFound("there is no chute 'x'")

    @procedure("things.broken", Permission.VIEW)
    async def broken(self, person: Person) -> None:
        raise ZeroDivisionError("a secret of the daemon")

    def helper(self) -> None:
        """Not declared."""


class RecordingSession:
    """The daemon's session: keeps what is registered."""

    def __init__(self) -> None:
        self.endpoints: dict[str, Callable[..., Any]] = {}
        self.options: list[Any] = []

    def stockRegister(self, endpoint: Callable[..., Any], procedure: str, options: Any = None) -> Deferred[None]:
        self.endpoints[procedure] = endpoint
        self.options.append(options)
        return succeed(None)


class Bench:
    def __init__(self) -> None:
        self.things = Things()
        self.session = RecordingSession()
        SynchronousTestCase().successResultOf(
            Deferred.fromCoroutine(register(self.session, collect([self.things])))  # type: ignore[arg-type]
        )

    def call(self, name: str, *args: Any, authid: str = "ada", role: str = "owner", **kwargs: Any) -> Any:
        uri = uris.local(name)
        details = CallDetails(Registration(None, 1, uri, None), caller_authid=authid, caller_authrole=role)
        answer = Deferred.fromCoroutine(self.session.endpoints[uri](*args, details=details, **kwargs))
        outcome: list[Any] = []
        answer.addBoth(outcome.append)
        if hasattr(outcome[0], "raiseException"):
            outcome[0].raiseException()
        return outcome[0]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_is_declared_is_collected_by_its_whole_name() -> None:
    things = Things()
    found = collect([things])
    assert {uri: declared.permission for uri, declared in found.items()} == {
        "org.paradrop.local.things.whoami": Permission.VIEW,
        "org.paradrop.local.things.typed": Permission.OPERATE,
        "org.paradrop.local.things.value": Permission.VIEW,
        "org.paradrop.local.things.missing": Permission.VIEW,
        "org.paradrop.local.things.broken": Permission.VIEW,
    }
    assert found["org.paradrop.local.things.whoami"] == Procedure("things.whoami", Permission.VIEW, things.whoami)


def test_what_is_collected_is_registered_with_its_callers_details(bench: Bench) -> None:
    assert set(bench.session.endpoints) == set(collect([bench.things]))
    assert {options.details_arg for options in bench.session.options} == {"details"}


@pytest.mark.parametrize("role", list(Role))
def test_a_procedure_is_told_which_person_calls(bench: Bench, role: Role) -> None:
    assert bench.call("things.whoami", authid="grace", role=role.value) == "grace"
    assert bench.things.callers == [Person("grace", role)]


@pytest.mark.parametrize("role", ["chute", "trusted", "anything"])
def test_who_is_no_person_is_a_viewer(bench: Bench, role: str) -> None:
    bench.call("things.whoami", authid="hello", role=role)
    assert bench.things.callers == [Person("hello", Role.VIEWER)]


def test_arguments_arrive_by_place_and_by_name(bench: Bench) -> None:
    assert bench.call("things.typed", "a", 2, names=["b"], options={"c": 1}, anything=[None]) == [
        *("a", 2, 1.0, False, 0, ["b"], {"c": 1}, [None])
    ]
    assert bench.call("things.typed", "a", rate=3, data=b"abc")[2:5] == [3, False, 3]
    assert bench.call("things.typed", "a", names=None)[5] is None


@pytest.mark.parametrize(
    ("args", "kwargs", "reason"),
    [
        ((), {}, "missing a required argument: 'text'"),
        (("a", 1, 1.0, True, b"", [], {}, 0, "more"), {}, "too many positional arguments"),
        (("a",), {"colour": "red"}, "got an unexpected keyword argument 'colour'"),
        (("a",), {"text": "b"}, "multiple values for argument 'text'"),
        (("a",), {"person": Person("root", Role.OWNER)}, "multiple values for argument 'person'"),
        ((1,), {}, "text is not text"),
        ((None,), {}, "text is not text"),
        (("a", "many"), {}, "count is not a whole number"),
        (("a", 1.5), {}, "count is not a whole number"),
        (("a", True), {}, "count is not a whole number"),
        (("a",), {"rate": "fast"}, "rate is not a number"),
        (("a",), {"rate": True}, "rate is not a number"),
        (("a",), {"really": 1}, "really is not true or false"),
        (("a",), {"data": "text"}, "data is not bytes"),
        (("a",), {"names": "b"}, "names is not a list of text"),
        (("a",), {"names": ["b", 1]}, "names is not a list of text"),
        (("a",), {"options": []}, "options is not a mapping"),
    ],
)
def test_wrong_arguments_are_named(bench: Bench, args: tuple[Any, ...], kwargs: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        bench.call("things.typed", *args, **kwargs)
    assert str(refused.value) == f"things.typed: {reason}"


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(junk, max_size=10), st.dictionaries(st.sampled_from(["text", "count", "names", "x"]), junk))
def test_whatever_is_sent_is_taken_or_refused_as_input(args: list[Any], kwargs: dict[str, Any]) -> None:
    answer: Any = None
    with suppress(InvalidInput):
        answer = Bench().call("things.typed", *args, **kwargs)
    assert answer is None or (isinstance(answer[0], str) and isinstance(answer[1], int))


def test_values_are_answered_as_plain_data(bench: Bench) -> None:
    (answered,) = bench.call("things.value")
    assert answered == {"path": "a", "size": 1, "sha256": "0", "executable": False}


def test_an_error_of_the_tree_is_the_answer(bench: Bench) -> None:
    with pytest.raises(ChuteNotFound, match="there is no chute 'x'"):
        bench.call("things.missing")


def test_a_defect_is_logged_and_told_without_its_inside(bench: Bench) -> None:
    logged: list[Any] = []
    globalLogPublisher.addObserver(logged.append)
    try:
        with pytest.raises(InteralException) as raised:
            bench.call("things.broken")
    finally:
        globalLogPublisher.removeObserver(logged.append)
    assert "secret" not in str(raised.value)
    (event,) = [event for event in logged if event.get("log_failure") is not None]
    assert event["log_failure"].type is ZeroDivisionError
    assert event["name"] == "things.broken"
