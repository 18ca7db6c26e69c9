"""From what is wanted and what is seen to the words a person reads."""

from __future__ import annotations

import pytest

from paradrop.manifest.model import Manifest, Service, ServiceKind, Web
from paradrop.values import ChuteState, ServiceStatus, Want
from paradropd.chutes.model import Chute, Release
from paradropd.chutes.status import GIVING_UP, WORST_FIRST, Care, status
from paradropd.engine.port import InstanceKey, InstanceState, InstanceStatus

MAIN, STORE = InstanceKey("hello", "main", 3), InstanceKey("hello", "store", 3)


def chute(want: Want = Want.RUNNING, web: Web | None = None) -> Chute:
    services = (
        Service(name="main", kind=ServiceKind.LIGHT, image="python3", command=("x",)),
        Service(name="store", kind=ServiceKind.NORMAL, source="store"),
    )
    manifest = Manifest(name="hello", version="1.1", description="Greets.", services=services, web=web)
    return Chute(want=want, release=Release(number=3, manifest=manifest))


def runs(key: InstanceKey, started: float | None = None) -> InstanceState:
    return InstanceState(key=key, status=InstanceStatus.RUNNING, started=started)


def ended(key: InstanceKey, code: int = 1, detail: str = "") -> InstanceState:
    return InstanceState(key=key, status=InstanceStatus.EXITED, exit_code=code, detail=detail)


BOTH = {MAIN: runs(MAIN), STORE: runs(STORE)}


def test_what_is_known_is_shown() -> None:
    shown = status(
        chute(web=Web(service="main", port=80)), {MAIN: runs(MAIN, 20.0), STORE: runs(STORE, 10.0)}, {}, changing=False
    )
    assert (shown.name, shown.version, shown.release, shown.want) == ("hello", "1.1", 3, Want.RUNNING)
    assert (shown.description, shown.web, shown.since, shown.detail) == ("Greets.", "/chutes/hello/", 10.0, "")
    assert shown.services == (
        ServiceStatus(name="main", state=ChuteState.RUNNING, image="python3", started=20.0),
        ServiceStatus(name="store", state=ChuteState.RUNNING, image="normal", started=10.0),
    )


def test_a_chute_without_a_page_or_a_start_has_none() -> None:
    shown = status(chute(), {}, {}, changing=False)
    assert (shown.web, shown.since) == (None, None)


@pytest.mark.parametrize(
    ("want", "state", "care", "changing", "word"),
    [
        (Want.RUNNING, runs(MAIN), Care(), False, ChuteState.RUNNING),
        (Want.RUNNING, runs(MAIN), Care(healthy=False), False, ChuteState.UNHEALTHY),
        (Want.RUNNING, ended(MAIN), Care(ends=1), False, ChuteState.RESTARTING),
        (Want.RUNNING, ended(MAIN), Care(ends=GIVING_UP), False, ChuteState.FAILED),
        (Want.RUNNING, None, Care(), False, ChuteState.RESTARTING),
        (Want.RUNNING, None, Care(), True, ChuteState.STARTING),
        (Want.RUNNING, ended(MAIN), Care(ends=GIVING_UP), True, ChuteState.STARTING),
        (Want.STOPPED, None, Care(), False, ChuteState.STOPPED),
        (Want.STOPPED, ended(MAIN, 0), Care(), False, ChuteState.STOPPED),
        (Want.STOPPED, None, Care(), True, ChuteState.STARTING),
        (Want.STOPPED, runs(MAIN), Care(), True, ChuteState.RUNNING),
    ],
)
def test_the_word_for_a_service(want: Want, state: InstanceState | None, care: Care, changing: bool, word: ChuteState) -> None:
    shown = status(chute(want), {MAIN: state} if state else {}, {MAIN: care}, changing=changing)
    assert shown.services[0].state is word


@pytest.mark.parametrize(
    ("main", "store", "word"),
    [
        (Care(), Care(), ChuteState.RUNNING),
        (Care(healthy=False), Care(), ChuteState.UNHEALTHY),
        (Care(), Care(healthy=False), ChuteState.UNHEALTHY),
    ],
)
def test_a_chute_is_as_its_worst_service(main: Care, store: Care, word: ChuteState) -> None:
    assert status(chute(), BOTH, {MAIN: main, STORE: store}, changing=False).state is word


def test_one_service_that_ended_makes_the_chute_restarting_and_then_failed() -> None:
    states = {MAIN: runs(MAIN), STORE: ended(STORE)}
    assert status(chute(), states, {STORE: Care(ends=1)}, changing=False).state is ChuteState.RESTARTING
    assert status(chute(), states, {STORE: Care(ends=GIVING_UP)}, changing=False).state is ChuteState.FAILED


def test_every_state_has_its_place_in_the_order() -> None:
    assert set(WORST_FIRST) == set(ChuteState)
    assert len(WORST_FIRST) == len(ChuteState)


def test_why_it_is_not_well_is_told() -> None:
    states = {MAIN: ended(MAIN, 137, "out of memory"), STORE: runs(STORE)}
    shown = status(chute(), states, {MAIN: Care(ends=2, restarts=7), STORE: Care(healthy=False)}, changing=False)
    assert shown.detail == "main: ended with exit code 137 (out of memory); store: the health check says no"
    assert (shown.services[0].exit_code, shown.services[0].restarts, shown.services[1].exit_code) == (137, 7, None)


def test_why_it_could_not_be_started_again_goes_before_the_exit_code() -> None:
    shown = status(chute(), {MAIN: ended(MAIN)}, {MAIN: Care(problem="the image is gone")}, changing=False)
    assert shown.services[0].detail == "the image is gone"


def test_what_was_stopped_on_purpose_needs_no_reason() -> None:
    assert status(chute(Want.STOPPED), {MAIN: ended(MAIN, 143)}, {}, changing=False).detail == ""
