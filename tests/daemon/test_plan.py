"""Plans are lists of steps: compared as they are, and performed on a small model of the world."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paradrop.manifest.model import Health, HealthCheck, Manifest, Service, ServiceKind
from paradrop.values import Want
from paradropd.changes.plan import plan, plan_removal, plan_restart, touches
from paradropd.changes.steps import (
    AwaitHealthy,
    Build,
    CloseSocket,
    Forget,
    OpenSocket,
    Record,
    RemoveInstance,
    Start,
    Step,
    Stop,
    Tidy,
)
from paradropd.chutes.model import Chute, Release
from paradropd.engine.port import InstanceKey, InstanceState, InstanceStatus


def release(number: int, *services: str, built: bool = True) -> Release:
    names = services or ("main",)
    manifest = Manifest(
        name="hello",
        version=f"{number}.0",
        services=tuple(Service(name=name, kind=ServiceKind.LIGHT, image="python3", command=("x",)) for name in names),
    )
    images = {name: f"image-{name}-{number}" for name in names} if built else {}
    return Release(number=number, manifest=manifest, images=images)


def wanted(release: Release, want: Want = Want.RUNNING) -> Chute:
    return Chute(want=want, release=release)


def running(number: int, service: str = "main") -> InstanceState:
    return InstanceState(key=InstanceKey("hello", service, number), status=InstanceStatus.RUNNING)


def ended(number: int, service: str = "main") -> InstanceState:
    return InstanceState(key=InstanceKey("hello", service, number), status=InstanceStatus.EXITED, exit_code=1)


def key(number: int, service: str = "main") -> InstanceKey:
    return InstanceKey("hello", service, number)


ONE, TWO = release(1), release(2)


# The lists.


def test_the_first_deploy() -> None:
    new = release(1, built=False)
    want = wanted(new)
    assert plan((), want) == (
        Build(new, "main"),
        OpenSocket(new),
        Start(new, "main"),
        AwaitHealthy(new),
        Record(want),
        Tidy("hello"),
    )


def test_a_release_of_several_services() -> None:
    new = release(1, "web", "store", built=False)
    want = wanted(new)
    assert plan((), want) == (
        Build(new, "web"),
        Build(new, "store"),
        OpenSocket(new),
        Start(new, "web"),
        Start(new, "store"),
        AwaitHealthy(new),
        Record(want),
        Tidy("hello"),
    )


def test_an_update_builds_before_it_stops_and_clears_away_when_the_new_one_is_healthy() -> None:
    new = release(2, built=False)
    want = wanted(new)
    assert plan((running(1),), want) == (
        Build(new, "main"),
        Stop(key(1)),
        OpenSocket(new),
        Start(new, "main"),
        AwaitHealthy(new),
        Record(want),
        RemoveInstance(key(1)),
        Tidy("hello"),
    )


def test_an_update_that_is_half_built() -> None:
    new = replace(release(2, "web", "store"), images={"web": "image"})
    assert plan((), wanted(new))[:2] == (Build(new, "store"), OpenSocket(new))


def test_an_update_of_what_had_ended_has_nothing_to_stop() -> None:
    assert plan((ended(1),), wanted(TWO)) == (
        OpenSocket(TWO),
        Start(TWO, "main"),
        AwaitHealthy(TWO),
        Record(wanted(TWO)),
        RemoveInstance(key(1)),
        Tidy("hello"),
    )


def test_what_is_there_already_is_only_remembered() -> None:
    steps = plan((running(1),), wanted(ONE))
    assert steps == (Record(wanted(ONE)), Tidy("hello"))
    assert not touches(steps)


def test_only_the_service_that_is_missing_is_started() -> None:
    both = release(1, "web", "store")
    assert plan((running(1, "web"), ended(1, "store")), wanted(both)) == (
        OpenSocket(both),
        Start(both, "store"),
        AwaitHealthy(both),
        Record(wanted(both)),
        Tidy("hello"),
    )


def test_what_still_runs_of_another_release_is_stopped_before_it_is_cleared_away() -> None:
    assert plan((running(1), running(2)), wanted(TWO)) == (
        Stop(key(1)),
        Record(wanted(TWO)),
        RemoveInstance(key(1)),
        Tidy("hello"),
    )


def test_stop() -> None:
    want = wanted(release(1, "web", "store"), Want.STOPPED)
    assert plan((running(1, "web"), ended(1, "store")), want) == (
        Stop(key(1, "web")),
        CloseSocket("hello"),
        Record(want),
        RemoveInstance(key(1, "store")),
        RemoveInstance(key(1, "web")),
    )


def test_stop_of_what_does_not_run() -> None:
    want = wanted(ONE, Want.STOPPED)
    assert plan((), want) == (CloseSocket("hello"), Record(want))


def test_start_of_what_was_stopped() -> None:
    assert plan((), wanted(ONE)) == (
        OpenSocket(ONE),
        Start(ONE, "main"),
        AwaitHealthy(ONE),
        Record(wanted(ONE)),
        Tidy("hello"),
    )


def test_restart_stops_and_starts_the_same_release() -> None:
    assert plan_restart((running(1),), wanted(ONE)) == (
        Stop(key(1)),
        OpenSocket(ONE),
        Start(ONE, "main"),
        AwaitHealthy(ONE),
        Record(wanted(ONE)),
        Tidy("hello"),
    )


def test_restart_clears_away_what_is_of_another_release() -> None:
    steps = plan_restart((running(1), running(2)), wanted(TWO))
    assert steps[:2] == (Stop(key(1)), Stop(key(2)))
    assert RemoveInstance(key(1)) in steps


def test_remove() -> None:
    assert plan_removal((running(1), ended(2)), "hello") == (
        Stop(key(1)),
        CloseSocket("hello"),
        RemoveInstance(key(1)),
        RemoveInstance(key(2)),
        Forget("hello", keep_data=False, keep_log=False),
        Tidy("hello"),
    )


@pytest.mark.parametrize(("keep_data", "keep_log"), [(True, False), (False, True)])
def test_remove_keeps_what_it_is_told_to_keep(keep_data: bool, keep_log: bool) -> None:
    steps = plan_removal((), "hello", keep_data=keep_data, keep_log=keep_log)
    assert steps == (CloseSocket("hello"), Forget("hello", keep_data, keep_log), Tidy("hello"))


@pytest.mark.parametrize(
    ("have", "back"),
    [
        # The build failed: nothing was touched.
        ((running(1),), (Record(wanted(ONE)), Tidy("hello"))),
        # The new one could not be started, or did not stay up.
        (
            (ended(1), ended(2)),
            (
                *(OpenSocket(ONE), Start(ONE, "main"), AwaitHealthy(ONE), Record(wanted(ONE))),
                *(RemoveInstance(key(2)), Tidy("hello")),
            ),
        ),
        # It runs, and never became healthy.
        (
            (ended(1), running(2)),
            (
                *(Stop(key(2)), OpenSocket(ONE), Start(ONE, "main"), AwaitHealthy(ONE), Record(wanted(ONE))),
                *(RemoveInstance(key(2)), Tidy("hello")),
            ),
        ),
    ],
    ids=["build", "start", "health"],
)
def test_the_way_back_from_an_update(have: tuple[InstanceState, ...], back: tuple[Step, ...]) -> None:
    assert plan(have, wanted(ONE)) == back


CARED_FOR = replace(
    ONE, manifest=replace(ONE.manifest, health=Health(check=HealthCheck.PROCEDURE, service="main", procedure="greet"))
)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Build(ONE, "main"), "build main"),
        (Stop(key(1)), "stop main"),
        (OpenSocket(ONE), "open the fabric"),
        (Start(ONE, "main"), "start main"),
        (AwaitHealthy(ONE), "see that it stays up"),
        (AwaitHealthy(CARED_FOR), "wait until it is healthy"),
        (Record(wanted(ONE)), "remember it"),
        (RemoveInstance(key(1)), "clear away main of release 1"),
        (CloseSocket("hello"), "close the fabric"),
        (Forget("hello"), "forget it"),
        (Tidy("hello"), "tidy up"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_step_has_words_for_a_person(step: Step, words: str) -> None:
    assert step.title == words


# Performed on a model of the world.


class World:
    """What a device would have after each step: instances, images and the chute's socket. Refuses what a device cannot do."""

    def __init__(self, have: Iterable[InstanceState] = (), images: Iterable[tuple[int, str]] = ()) -> None:
        self.instances = {state.key: state for state in have}
        self.images = set(images)
        self.socket: int | None = None
        self.recorded: Chute | None = None

    @property
    def have(self) -> tuple[InstanceState, ...]:
        return tuple(self.instances.values())

    @property
    def running(self) -> set[InstanceKey]:
        return {state.key for state in self.have if state.status is InstanceStatus.RUNNING}

    def perform(self, step: Step) -> None:
        match step:
            case Build(release, service):
                self.images.add((release.number, service))
            case Stop(key):
                self.instances[key] = replace(self.instances[key], status=InstanceStatus.EXITED)
            case OpenSocket(release):
                self.socket = release.number
            case Start(release, service):
                assert (release.number, service) in self.images, "started before it was built"
                assert self.socket == release.number, "started without its way to the fabric"
                assert {key.release for key in self.running} <= {release.number}, "two releases at a time"
                started = InstanceKey("hello", service, release.number)
                self.instances[started] = InstanceState(key=started, status=InstanceStatus.RUNNING)
            case AwaitHealthy(release):
                assert self.running == set(release.keys)
            case Record(chute):
                self.recorded = chute
            case RemoveInstance(key):
                assert key not in self.running, "cleared away while it runs"
                del self.instances[key]
            case CloseSocket():
                self.socket = None
            case Forget():
                assert not self.instances
                self.recorded = None
            case Tidy():
                pass

    def perform_all(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self.perform(step)

    def is_as_wanted(self, want: Chute) -> bool:
        running = set(want.release.keys) if want.want is Want.RUNNING else set()
        socket = want.release.number if want.want is Want.RUNNING else None
        return set(self.instances) == self.running == running and (self.recorded, self.socket) == (want, socket)


SERVICES = ("main", "store", "web")
RELEASES = {
    number: release(number, *services)
    for number, services in enumerate([("main",), ("main", "web"), ("store", "web"), SERVICES], start=1)
}
ALL_IMAGES = [(number, service) for number in RELEASES for service in SERVICES]

states = st.builds(
    lambda number, service, status: InstanceState(key=InstanceKey("hello", service, number), status=status),
    st.sampled_from(sorted(RELEASES)),
    st.sampled_from(SERVICES),
    st.sampled_from(InstanceStatus),
)
haves = st.lists(states, unique_by=lambda state: state.key, max_size=8)
wants = st.builds(
    lambda number, want, built: wanted(replace(RELEASES[number], images=RELEASES[number].images if built else {}), want),
    st.sampled_from(sorted(RELEASES)),
    st.sampled_from(Want),
    st.booleans(),
)
PLANNERS: list[Callable[[Iterable[InstanceState], Chute], tuple[Step, ...]]] = [plan, plan_restart]


def world(have: list[InstanceState], want: Chute) -> World:
    images = [image for image in ALL_IMAGES if image[0] != want.release.number or want.release.images]
    made = World(have, images)
    if made.running >= set(want.release.keys):
        made.socket = want.release.number
    return made


@given(haves, wants, st.sampled_from(PLANNERS))
def test_a_plan_reaches_what_is_wanted_from_anything(
    have: list[InstanceState], want: Chute, planner: Callable[[Iterable[InstanceState], Chute], tuple[Step, ...]]
) -> None:
    made = world(have, want)
    made.perform_all(planner(have, want))
    assert made.is_as_wanted(want)


@given(haves, wants, wants, st.integers(0, 30))
def test_there_is_a_way_back_from_every_point(have: list[InstanceState], before: Chute, want: Chute, point: int) -> None:
    before = replace(before, release=RELEASES[before.release.number])
    made = world(have, before)
    made.perform_all(plan(have, before))
    made.perform_all(plan(made.have, want)[:point])
    made.perform_all(plan(made.have, before))
    assert made.is_as_wanted(before)


@given(haves, st.booleans())
def test_a_removal_leaves_nothing(have: list[InstanceState], keep: bool) -> None:
    made = World(have)
    made.perform_all(plan_removal(have, "hello", keep_data=keep))
    assert made.instances == {}
    assert (made.socket, made.recorded) == (None, None)


@given(haves, wants)
def test_nothing_is_stopped_before_everything_is_built(have: list[InstanceState], want: Chute) -> None:
    steps = plan(have, want)
    builds = [place for place, step in enumerate(steps) if isinstance(step, Build)]
    assert builds == list(range(len(builds)))


@given(haves, wants)
def test_a_plan_from_what_is_wanted_touches_nothing(have: list[InstanceState], want: Chute) -> None:
    made = world(have, want)
    made.perform_all(plan(have, want))
    built = replace(want, release=RELEASES[want.release.number])
    assert not touches(plan(made.have, built))


@given(st.permutations([running(1, "main"), running(1, "web"), ended(2, "store"), ended(3, "web")]), wants)
def test_the_order_in_which_an_engine_lists_does_not_matter(have: list[InstanceState], want: Chute) -> None:
    assert plan(have, want) == plan(sorted(have, key=lambda state: state.key), want)
