"""The keeper: what ended is started again, what is unhealthy too, and what is stopped is left alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from paradrop.base.exceptions import BuildFailed, EngineUnavailable, ImageNotFound
from paradrop.values import ChangeState, ChuteState
from paradropd.chutes.keeper import delay_after
from paradropd.engine.memory import Behaviour, Build
from paradropd.engine.port import InstanceKey
from paradropd.testing import World, result_of

HELLO = InstanceKey("hello", "main", 1)
CHUTE = "name: hello\nversion: '1'\ntype: light\nuse: python3\ncommand: stay\n"
CHECKED = CHUTE + "health: {command: check, interval: 10s, timeout: 2s, retries: 3, start: 20s}\n"


def deployed(world: World, text: str = CHUTE) -> None:
    assert world.finish(world.deploy(text)).state is ChangeState.DONE


def starts(world: World) -> int:
    return sum(name == "start" for name, _ in world.engine.calls)


def restarts_after(world: World) -> float:
    """Seconds until the chute, which has just ended, is started."""
    before, begun = starts(world), world.clock.seconds()
    while starts(world) == before:
        world.clock.advance(0.1)
        assert world.clock.seconds() - begun < 120
    return float(world.clock.seconds()) - begun


@pytest.mark.parametrize(("ends", "least"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (100, 60), (5000, 60)])
def test_the_delay_doubles_up_to_a_minute(ends: int, least: float) -> None:
    assert least <= delay_after(ends - 1) <= least + 1


def test_what_ends_is_started_again_ever_more_seldom(world: World) -> None:
    deployed(world)
    for least in (1, 2, 4, 8, 16, 32, 60, 60):
        world.engine.end(HELLO, 1)
        assert least - 0.1 <= restarts_after(world) <= least + 1.2
        assert world.running() == {"hello/main": 1}


def test_an_end_after_a_steady_minute_is_the_first_again(world: World) -> None:
    deployed(world)
    for _ in range(4):
        world.engine.end(HELLO, 1)
        restarts_after(world)
    world.advance(61)
    world.engine.end(HELLO, 1)
    assert restarts_after(world) <= 2.2


def test_five_ends_in_a_row_are_called_failed_and_it_is_still_tried(world: World) -> None:
    deployed(world)
    states = []
    for _ in range(5):
        world.engine.end(HELLO, 7, "out of memory")
        states.append(world.statuses[-1].state)
        restarts_after(world)
    assert states == [ChuteState.RESTARTING] * 4 + [ChuteState.FAILED]
    status = world.keeper.status(world.chutes.get("hello"))
    assert (status.state, status.services[0].restarts) == (ChuteState.RUNNING, 5)


def test_a_status_says_how_it_ended(world: World) -> None:
    deployed(world)
    world.engine.end(HELLO, 137, "out of memory")
    status = world.statuses[-1]
    assert status.detail == "main: ended with exit code 137 (out of memory)"
    assert status.services[0].exit_code == 137


def test_a_change_that_ends_well_makes_the_past_history(world: World) -> None:
    deployed(world)
    for _ in range(5):
        world.engine.end(HELLO, 1)
        restarts_after(world)
    world.finish(world.changes.restart("hello", "x").id)
    world.engine.end(HELLO, 1)
    assert restarts_after(world) <= 2.2


def test_a_stopped_chute_is_left_alone(world: World) -> None:
    deployed(world)
    world.finish(world.changes.stop("hello", "x").id)
    before = starts(world)
    world.advance(600)
    assert starts(world) == before


def test_only_the_service_that_ended_is_started(world: World) -> None:
    deployed(
        world,
        "name: hello\nversion: '1'\nservices:\n"
        "  main: {type: light, image: python3, command: stay}\n  other: {type: light, image: python3, command: stay}\n",
    )
    began = world.keeper.states[InstanceKey("hello", "other", 1)].started
    world.engine.end(HELLO, 1)
    assert world.statuses[-1].state is ChuteState.RESTARTING
    world.advance(5)
    assert world.running() == {"hello/main": 1, "hello/other": 1}
    assert world.keeper.states[InstanceKey("hello", "other", 1)].started == began


def test_a_start_that_is_refused_is_an_end_like_any_other_and_its_reason_is_told(world: World) -> None:
    deployed(world)
    world.advance(100)  # a steady run …
    world.engine.images.clear()
    world.engine.end(HELLO, 1)
    delays = [restarts_after(world) for _ in range(6)]
    for least, delay in zip((1, 2, 4, 8, 16, 32), delays, strict=True):  # … counts once
        assert least - 0.1 <= delay <= least + 1.2
    status = world.statuses[-1]
    assert status.state is ChuteState.FAILED
    assert "there is no image" in status.detail


def test_a_chute_whose_image_has_vanished_runs_again_when_it_is_back(world: World) -> None:
    deployed(world)
    images = set(world.engine.images)
    world.engine.refusals["start"] = ImageNotFound("it is not there")
    world.engine.end(HELLO, 1)
    world.advance(20)
    assert "it is not there" in world.statuses[-1].detail
    assert world.engine.images == images
    del world.engine.refusals["start"]
    world.advance(70)
    assert (world.statuses[-1].state, world.statuses[-1].detail) == (ChuteState.RUNNING, "")


def test_one_chute_that_cannot_be_prepared_does_not_keep_others_from_running(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.begin()
    deployed(world)
    deployed(world, CHUTE.replace("hello", "other"))
    world = make_world(world)
    world.home.data_dir("hello").rmdir()
    world.home.data_dir("hello").write_text("a file where a folder should be")
    world.begin()
    assert world.running() == {"other/main": 1}
    world.home.data_dir("hello").unlink()
    world.advance(10)
    assert world.running() == {"hello/main": 1, "other/main": 1}


class TestBegin:
    def test_what_is_nobodys_is_cleared_away(self, make_world: Callable[..., World]) -> None:
        world = make_world(survives=True)
        world.begin()
        deployed(world)
        world.chutes.forget("hello")
        world = make_world(world)
        world.begin()
        assert result_of(world.engine.instances()) == ()

    def test_another_release_is_stopped_and_removed(self, make_world: Callable[..., World]) -> None:
        world = make_world(survives=True)
        world.begin()
        deployed(world)
        world.deploy(CHUTE.replace("'1'", "'2'"))
        world.advance(1)
        assert world.running() == {"hello/main": 2}
        world = make_world(world)
        world.begin()
        assert world.running() == {"hello/main": 1}
        assert len(result_of(world.engine.instances())) == 1

    def test_what_runs_gets_its_way_to_the_fabric_again(self, make_world: Callable[..., World]) -> None:
        world = make_world(survives=True)
        world.begin()
        deployed(world)
        before = starts(world)
        world = make_world(world)
        world.begin()
        assert "hello" in world.doors.open_for
        assert starts(world) == before

    def test_the_engine_is_away_and_comes_back(self, make_world: Callable[..., World]) -> None:
        world = make_world()
        world.begin()
        deployed(world)
        world = make_world(world)
        world.engine.unavailable = "it is not started"
        with pytest.raises(EngineUnavailable):
            world.begin()
        world.engine.unavailable = ""
        world.begin()
        assert world.running() == {"hello/main": 1}

    def test_the_engine_goes_away_while_chutes_are_started(self, make_world: Callable[..., World]) -> None:
        world = make_world()
        world.begin()
        deployed(world)
        deployed(world, CHUTE.replace("hello", "other"))
        world = make_world(world)
        world.engine.patience = {"start": 1}
        world.begin()
        assert world.statuses[-1].detail == "main: it was stopped"
        world.engine.patience, world.engine.unavailable = {}, ""
        world.advance(10)
        assert world.running() == {"hello/main": 1, "other/main": 1}

    def test_a_first_deploy_that_is_under_way_is_not_taken_for_nobodys(self, make_world: Callable[..., World]) -> None:
        world = make_world()
        result_of(world.engine.open(world.keeper))
        change = world.deploy(CHUTE)
        world.advance(1)
        world.bring_up()
        assert world.finish(change).state is ChangeState.DONE
        assert world.running() == {"hello/main": 1}


class TestHealth:
    @pytest.fixture
    def checked(self, world: World) -> World:
        world.engine.commands["check",] = Behaviour(exit_code=0)
        deployed(world, CHECKED)
        return world

    def test_three_noes_in_a_row_start_it_again(self, checked: World) -> None:
        checked.engine.commands["check",] = Behaviour(exit_code=1)
        checked.advance(21)
        assert checked.statuses[-1].state is ChuteState.RUNNING
        before = starts(checked)
        checked.advance(10)
        assert ChuteState.UNHEALTHY in {status.state for status in checked.statuses}
        checked.engine.commands["check",] = Behaviour(exit_code=0)
        checked.advance(5)
        assert starts(checked) == before + 1
        checked.advance(15)
        assert (checked.statuses[-1].state, checked.statuses[-1].detail) == (ChuteState.RUNNING, "")

    def test_one_that_starts_slowly_comes_back_after_an_end(self, world: World) -> None:
        world.engine.commands["check",] = Behaviour(exit_code=0)
        deployed(world, CHECKED.replace("start: 20s", "start: 100s"))
        world.engine.commands["check",] = Behaviour(exit_code=1)
        world.engine.end(HELLO, 1)
        before = starts(world)
        world.advance(90)
        assert starts(world) == before + 1
        world.engine.commands["check",] = Behaviour(exit_code=0)
        world.advance(15)
        world.engine.commands["check",] = Behaviour(exit_code=1)
        world.advance(35)
        world.advance(5)
        assert starts(world) == before + 2

    def test_one_that_never_becomes_healthy_again_is_started_again_in_the_end(self, world: World) -> None:
        world.engine.commands["check",] = Behaviour(exit_code=0)
        deployed(world, CHECKED.replace("start: 20s", "start: 100s"))
        world.engine.commands["check",] = Behaviour(exit_code=1)
        world.engine.end(HELLO, 1)
        before = starts(world)
        world.advance(140)
        assert starts(world) == before + 2

    def test_a_yes_between_makes_the_noes_forgotten(self, checked: World) -> None:
        before = starts(checked)
        for code in (1, 1, 0) * 4:
            checked.engine.commands["check",] = Behaviour(exit_code=code)
            checked.advance(10)
        assert starts(checked) == before

    def test_a_check_without_an_end_is_a_no(self, checked: World) -> None:
        checked.engine.commands["check",] = Behaviour()
        before = starts(checked)
        checked.advance(40)
        assert starts(checked) == before + 1

    def test_checks_go_on_after_an_error(self, checked: World) -> None:
        checked.engine.commands["check",] = Behaviour(exit_code=1)
        checked.engine.refusals["stop"] = EngineUnavailable("gone")
        checked.advance(50)
        del checked.engine.refusals["stop"]
        before = starts(checked)
        checked.advance(15)
        assert starts(checked) == before + 1

    def test_a_check_that_is_overtaken_by_a_change_says_nothing(self, checked: World) -> None:
        checked.engine.commands["check",] = Behaviour(exit_code=1)
        checked.advance(25)  # two noes
        checked.engine.commands["check",] = Behaviour(exit_code=1, after=1.5)
        checked.advance(5.5)  # the third is under way
        checked.engine.commands["check",] = Behaviour(exit_code=0)
        record = checked.finish(checked.changes.restart("hello", "x").id)
        before = starts(checked)
        checked.advance(20)
        assert record.state is ChangeState.DONE
        assert starts(checked) == before

    def test_while_a_change_works_on_it_nobody_else_ends_it(self, checked: World) -> None:
        checked.engine.commands["check",] = Behaviour(exit_code=1)
        checked.engine.builds[""] = Build(takes=95.0, problem=BuildFailed("no"))
        change = checked.deploy(CHECKED.replace("python3", "node"))
        checked.finish(change)
        assert [name for name, _ in checked.engine.calls].count("stop") == 0
        checked.advance(10)
        assert [name for name, _ in checked.engine.calls].count("stop") == 1

    def test_a_chute_that_was_checked_and_stopped_is_not_asked(self, checked: World) -> None:
        checked.finish(checked.changes.stop("hello", "x").id)
        asked = sum(name == "execute" for name, _ in checked.engine.calls)
        checked.advance(100)
        assert sum(name == "execute" for name, _ in checked.engine.calls) == asked

    def test_the_next_release_is_asked_at_its_own_interval(self, checked: World) -> None:
        checked.finish(checked.deploy(CHECKED.replace("10s", "100s").replace("'1'", "'2'")))
        asked = sum(name == "execute" for name, _ in checked.engine.calls)
        checked.advance(99)
        assert sum(name == "execute" for name, _ in checked.engine.calls) == asked
        checked.advance(2)
        assert sum(name == "execute" for name, _ in checked.engine.calls) == asked + 1


class TestWhatGrows:
    def test_a_chute_that_is_gone_leaves_no_lock(self, world: World) -> None:
        deployed(world)
        lock = world.keeper.lock("hello")
        update = world.deploy(CHUTE.replace("'1'", "'2'"))
        remove = world.changes.remove("hello", False, "x").id  # both wait for the update
        again = world.deploy(CHUTE)
        assert {record.state for record in world.finish_all([update, remove, again])} == {ChangeState.DONE}
        assert world.keeper.lock("hello") is lock
        world.finish(world.changes.remove("hello", False, "x").id)
        assert world.keeper.lock("hello") is not lock

    def test_what_is_removed_leaves_nothing_with_the_collector(self, world: World) -> None:
        deployed(world)
        world.keeper.output(HELLO, "out", b"half a line", 1.0)
        deployed(world, CHUTE.replace("'1'", "'2'"))
        assert HELLO not in world.collector.seen
        assert "half a line" in [line.text for line in world.logs.read("chute.hello").lines]


class TestStop:
    def test_nothing_is_pending_whatever_was_under_way(self, world: World) -> None:
        world.engine.commands["check",] = Behaviour(exit_code=0)
        deployed(world, CHECKED)
        deployed(world, CHUTE.replace("hello", "other"))
        world.engine.end(InstanceKey("other", "main", 1), 1)
        world.deploy(CHUTE.replace("hello", "third"))
        world.engine.commands["check",] = Behaviour()
        world.advance(10.5)
        world.deploy(CHUTE.replace("hello", "fourth"))
        world.keeper.stop()
        result_of(world.changes.end())
        result_of(world.engine.close())
        world.collector.stop()
        assert world.clock.getDelayedCalls() == []

    def test_nothing_is_started_any_more(self, world: World) -> None:
        deployed(world)
        world.keeper.stop()
        before = starts(world)
        world.engine.end(HELLO, 1)
        world.advance(100)
        assert starts(world) == before
