"""Changes, from being asked for to their end, with the keeper beside them and the engine in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from paradrop.base.exceptions import (
    BuildFailed,
    ChuteNotFound,
    Conflict,
    InvalidInput,
    InvalidManifest,
    InvalidSource,
    StartFailed,
    Unreachable,
)
from paradrop.source import SourceLimits
from paradrop.values import ChangeRecord, ChangeState, ChuteState, SourceTree, StepState, Want
from paradropd.changes.steps import Start, Step
from paradropd.changes.store import ChangeStore
from paradropd.engine.memory import Behaviour, Build
from paradropd.engine.port import BuildSpec, InstanceKey
from paradropd.storage import Database
from paradropd.testing import World, result_of

LEGAL = {
    ChangeState.ACCEPTED: {ChangeState.PLANNED, ChangeState.RUNNING, ChangeState.FAILED},
    ChangeState.PLANNED: {ChangeState.RUNNING, ChangeState.DONE, ChangeState.FAILED},
    ChangeState.RUNNING: {ChangeState.RUNNING, ChangeState.DONE, ChangeState.FAILED, ChangeState.ROLLED_BACK},
}
"""The table of ``changes/service.py``; a way back from a change that was never planned goes on as running."""


def manifest(name: str = "hello", version: str = "1", command: str = "stay", more: str = "") -> str:
    return f"name: {name}\nversion: '{version}'\ntype: light\nuse: python3\ncommand: {command}\n{more}"


def two(version: str = "1") -> str:
    return (
        f"name: pair\nversion: '{version}'\nservices:\n"
        "  a: {type: light, image: python3, command: serve a}\n"
        "  b: {type: light, image: node, command: serve b}\n"
    )


def ports(name: str, port: int) -> str:
    binding = f"[{{external: {port}, internal: 80}}]"
    service = f"{{type: light, image: python3, command: stay, requests: {{port-bindings: {binding}}}}}"
    return f"name: {name}\nversion: '1'\nservices: {{main: {service}}}\n"


def deployed(world: World, text: str) -> ChangeRecord:
    record = world.finish(world.deploy(text))
    assert record.state is ChangeState.DONE, record.reason
    return record


def test_a_new_version_of_the_same_source_is_not_built_again(world: World) -> None:
    for version in ("1", "2"):
        deployed(world, manifest(version=version))
    assert [name for name, _ in world.engine.calls].count("build") == 2
    assert len(world.engine.images) == 1


def nothing_of(world: World, name: str) -> bool:
    """Whether nothing is left of a chute: no record, release, image, instance, socket or data."""
    return (
        world.chutes.find(name) is None
        and world.chutes.numbers(name) == []
        and all(state.key.chute != name for state in result_of(world.engine.instances()))
        and all(key.chute != name for key in world.keeper.states)
        and name not in world.doors.open_for
        and not world.home.data_dir(name).exists()
        and world.engine.images == world.chutes.images()
    )


class TestDeploy:
    def test_first(self, world: World) -> None:
        record = deployed(world, manifest())
        assert world.running() == {"hello/main": 1}
        assert [(step.title, step.state) for step in record.steps] == [
            ("build main", StepState.DONE),
            ("open the fabric", StepState.DONE),
            ("start main", StepState.DONE),
            ("see that it stays up", StepState.DONE),
            ("remember it", StepState.DONE),
            ("tidy up", StepState.DONE),
        ]
        assert (record.actor, record.version, record.reason, record.retry) == ("somebody", "1", "", False)
        assert world.statuses[-1].state is ChuteState.RUNNING
        assert "hello" in world.doors.open_for
        assert world.home.data_dir("hello").stat().st_mode & 0o777 == 0o700

    def test_it_must_stay_up_for_the_settling_time(self, world: World) -> None:
        change = world.deploy(manifest())
        world.advance(1.9)
        assert world.newest(change).state is ChangeState.RUNNING
        world.advance(0.2)
        assert world.newest(change).state is ChangeState.DONE

    def test_update(self, world: World) -> None:
        deployed(world, manifest())
        deployed(world, manifest(version="2"))
        assert world.running() == {"hello/main": 2}
        assert len(result_of(world.engine.instances())) == 1
        assert world.chutes.get("hello").release.manifest.version == "2"

    def test_only_the_release_before_is_kept(self, world: World) -> None:
        for version in ("1", "2", "3", "4"):
            deployed(world, manifest(version=version))
        assert world.chutes.numbers("hello") == [3, 4]
        assert world.engine.images == world.chutes.images()

    def test_the_same_again_builds_nothing_new(self, world: World) -> None:
        deployed(world, manifest())
        images = set(world.engine.images)
        deployed(world, manifest())
        assert world.engine.images == images
        assert world.running() == {"hello/main": 2}

    def test_two_services(self, world: World) -> None:
        deployed(world, two())
        assert world.running() == {"pair/a": 1, "pair/b": 1}

    def test_what_a_build_prints_is_in_the_chutes_log(self, world: World) -> None:
        world.engine.builds[""] = Build(lines=("step 1", "step 2"))
        deployed(world, manifest())
        assert [line.text for line in world.logs.read("chute.hello").lines] == ["step 1", "step 2"]

    def test_a_service_is_told_who_it_is(self, world: World) -> None:
        told: dict[str, str] = {}

        def tell(spec: Any) -> Behaviour:
            told.update(spec.environment)
            return Behaviour()

        world.engine.commands["stay",] = tell
        deployed(world, manifest(version="7", more="config: {environment: {A: b}}\n"))
        assert told["A"] == "b"
        assert (told["PARADROP_CHUTE_NAME"], told["PARADROP_CHUTE_VERSION"], told["PARADROP_ROUTER_ID"]) == (
            "hello",
            "7",
            "router",
        )


class TestRefused:
    """What is not accepted leaves nothing behind, not even a record."""

    def refused(self, world: World, tree: SourceTree, problem: type[Exception], words: str) -> None:
        with pytest.raises(problem, match=words):
            world.changes.deploy(tree, "somebody")
        assert world.records == []
        assert world.store.newest(9) == []
        assert world.chutes.unfinished() == []

    def test_no_manifest(self, world: World) -> None:
        tree = world.tree(manifest(), {"main.py": b"pass"})
        without = SourceTree(entries=tuple(entry for entry in tree.entries if entry.path == "main.py"))
        self.refused(world, without, InvalidInput, r"there is no paradrop\.yaml")

    def test_a_manifest_that_is_not_valid(self, world: World) -> None:
        self.refused(world, world.tree("name: A B\nversion: 1\ntype: light\nuse: python3\n"), InvalidManifest, "name")

    def test_a_manifest_larger_than_any(self, world: World) -> None:
        self.refused(world, world.tree(manifest(more="#" * (10 << 20))), InvalidManifest, "is longer than 256 KiB")

    def test_content_that_was_not_sent(self, world: World) -> None:
        tree = world.tree(manifest())
        absent = replace(tree.entries[0], path="other", sha256="0" * 64)
        self.refused(world, SourceTree(entries=(*tree.entries, absent)), InvalidInput, "content of 1 file has not been sent")

    def test_content_of_another_size(self, world: World) -> None:
        tree = world.tree(manifest(), {"main.py": b"pass"})
        wrong = tuple(replace(entry, size=3) if entry.path == "main.py" else entry for entry in tree.entries)
        self.refused(world, SourceTree(entries=wrong), InvalidInput, r"main\.py: its content has 4 bytes, not 3")

    def test_source_over_the_limits(self, make_world: Callable[..., World]) -> None:
        world = make_world(limits=SourceLimits(files=2, bytes=1 << 20))
        self.refused(world, world.tree(manifest(), {"a": b"", "b": b""}), InvalidSource, "3 files")

    def test_a_path_that_climbs_out(self, world: World) -> None:
        tree = world.tree(manifest(), {"main.py": b"pass"})
        climbing = tuple(replace(entry, path=f"../{entry.path}") for entry in tree.entries)
        self.refused(world, SourceTree(entries=climbing), InvalidSource, r"\.\./main\.py")

    def test_no_room_for_the_record(self, world: World) -> None:
        tree = world.tree(manifest())
        for point in (1, 2):
            world.database.full_at = lambda write, end=world.database.writes + point: write == end
            with pytest.raises(Exception, match="no room"):
                world.changes.deploy(tree, "somebody")
        assert world.store.newest(9) == []
        deployed(world, manifest())
        assert len(world.chutes.numbers("hello")) == 1

    def test_a_port_that_another_chute_has(self, world: World) -> None:
        deployed(world, ports("one", 8000))
        with pytest.raises(Conflict, match="port 8000/tcp of the device is taken by the chute 'one'"):
            world.deploy(ports("two", 8000))
        deployed(world, ports("two", 8001))
        deployed(world, ports("one", 8000))

    def test_where_chutes_have_the_devices_ports_a_page_takes_one(self, world: World) -> None:
        page = "web: {service: main, port: 8000}\n"
        deployed(world, manifest("one", more=page))
        deployed(world, manifest("other", more=page))  # each has its own address
        world.finish(world.changes.remove("other", False, "x").id)
        world.engine.name = "process"
        with pytest.raises(Conflict, match="port 8000/tcp of the device is taken by the chute 'one'"):
            world.deploy(manifest("two", more=page))
        with pytest.raises(Conflict, match="8000"):
            world.deploy(ports("two", 8000))
        deployed(world, manifest("one", more=page))

    def test_the_port_of_the_devices_own_site(self, world: World) -> None:
        world.changes._site_port = lambda: 8000
        with pytest.raises(Conflict, match="port 8000/tcp of the device is taken by its own web site"):
            world.deploy(ports("one", 8000))
        deployed(world, manifest("one", more="web: {service: main, port: 8000}\n"))  # at an address of its own
        world.engine.name = "process"
        with pytest.raises(Conflict, match="web site"):
            world.deploy(manifest("two", more="web: {service: main, port: 8000}\n"))

    def test_a_port_that_a_deploy_under_way_asks_for(self, world: World) -> None:
        first = world.deploy(ports("one", 8000))
        with pytest.raises(Conflict, match="8000"):
            world.deploy(ports("two", 8000))
        world.finish(first)
        world.finish(world.changes.remove("one", False, "x").id)
        deployed(world, ports("two", 8000))

    @pytest.mark.parametrize("verb", ["start", "stop", "restart"])
    def test_no_such_chute(self, world: World, verb: str) -> None:
        with pytest.raises(ChuteNotFound, match="'nothing'"):
            getattr(world.changes, verb)("nothing", "x")
        with pytest.raises(ChuteNotFound):
            world.changes.remove("nothing", False, "x")
        assert world.records == []


def build_b_fails(spec: BuildSpec) -> Build:
    return Build(problem=BuildFailed("no such command")) if spec.image == "node" else Build()


FAILURES: dict[str, tuple[Callable[[World], None], str]] = {
    "build": (lambda world: world.engine.builds.update({"": Build(problem=BuildFailed("line 3: oops"))}), "line 3: oops"),
    "start": (
        lambda world: world.engine.commands.update({("serve", "bad"): Behaviour(problem=StartFailed("cannot be executed"))}),
        "cannot be executed",
    ),
    "exit": (
        lambda world: world.engine.commands.update({("serve", "bad"): Behaviour(exit_code=3, output=(("err", b"alas\n"),))}),
        "main ended with exit code 3; its last lines:\nalas",
    ),
    "exit later": (
        lambda world: world.engine.commands.update({("serve", "bad"): Behaviour(exit_code=0, after=1.5, detail="bored")}),
        "main ended with exit code 0 (bored)",
    ),
    "socket": (lambda world: setattr(world.doors, "problem", InvalidInput("the path is too long")), "the path is too long"),
}


class TestFailing:
    """A first deploy that fails leaves nothing; another leaves what ran before, running."""

    @pytest.mark.parametrize("failure", FAILURES)
    def test_first(self, world: World, failure: str) -> None:
        break_it, reason = FAILURES[failure]
        break_it(world)
        record = world.finish(world.deploy(manifest(command="serve bad")))
        assert (record.state, record.reason, record.retry) == (ChangeState.FAILED, reason, False)
        assert nothing_of(world, "hello")
        world.advance(300)
        assert world.running() == {}

    @pytest.mark.parametrize("failure", FAILURES)
    def test_update(self, world: World, failure: str) -> None:
        deployed(world, manifest())
        break_it, reason = FAILURES[failure]
        break_it(world)
        change = world.deploy(manifest(version="2", command="serve bad"), {"main.py": b"2"})
        if failure == "socket":
            world.doors.problem = None if world.newest(change).state.final else world.doors.problem
        record = world.finish(change)
        if failure == "socket":  # the way back needs it too
            assert record.state is ChangeState.FAILED
            assert "going back failed" in record.reason
            world.doors.problem = None
            world.advance(5)
        else:
            touched = failure != "build"
            assert record.state is (ChangeState.ROLLED_BACK if touched else ChangeState.FAILED)
            assert record.reason == reason
            assert world.chutes.numbers("hello") == [1]
        assert world.running() == {"hello/main": 1}
        assert world.chutes.get("hello").release.manifest.version == "1"
        assert world.doors.open_for["hello"].manifest.version == "1"
        assert len(result_of(world.engine.instances())) == 1

    def test_an_update_that_does_not_build_does_not_touch_what_runs(self, world: World) -> None:
        deployed(world, manifest())
        started = world.keeper.states[InstanceKey("hello", "main", 1)].started
        world.advance(5)
        world.engine.builds[""] = Build(problem=BuildFailed("no"))
        world.finish(world.deploy(manifest(version="2"), {"main.py": b"2"}))
        assert world.keeper.states[InstanceKey("hello", "main", 1)].started == started

    def test_the_build_of_the_second_service_fails(self, world: World) -> None:
        world.engine.builds[""] = build_b_fails
        record = world.finish(world.deploy(two()))
        assert record.reason == "no such command"
        assert [step.state for step in record.steps[:2]] == [StepState.DONE, StepState.FAILED]
        assert nothing_of(world, "pair")

    def test_the_second_service_does_not_start(self, world: World) -> None:
        deployed(world, two())
        world.engine.commands["serve", "b"] = lambda spec: (
            Behaviour(problem=StartFailed("b is ill")) if spec.key.release == 2 else Behaviour()
        )
        record = world.finish(world.deploy(two("2")))
        assert (record.state, record.reason) == (ChangeState.ROLLED_BACK, "b is ill")
        assert world.running() == {"pair/a": 1, "pair/b": 1}

    def test_the_reason_has_the_last_lines_of_this_run_only(self, world: World) -> None:
        said = iter([b"first\n", b"second\n"])
        world.engine.commands["serve", "bad"] = lambda spec: Behaviour(exit_code=1, output=(("out", next(said)),))
        world.finish(world.deploy(manifest(command="serve bad")))
        record = world.finish(world.deploy(manifest(command="serve bad")))
        assert record.reason == "main ended with exit code 1; its last lines:\nsecond"

    def test_the_reason_has_eight_lines_at_most_and_the_torn_one(self, world: World) -> None:
        said = b"".join(b"%d\n" % number for number in range(200)) + b"torn"
        world.engine.commands["serve", "bad"] = Behaviour(exit_code=1, output=(("out", said),))
        record = world.finish(world.deploy(manifest(command="serve bad")))
        assert record.reason.splitlines()[1:] == [*(str(number) for number in range(193, 200)), "torn"]

    def test_a_build_without_an_end(self, world: World) -> None:
        world.engine.builds[""] = Build(takes=1e9)
        record = world.finish(world.deploy(manifest()))
        assert (record.state, record.retry) == (ChangeState.FAILED, True)
        assert "the build took more than 1800 s" in record.reason

    def test_data_that_was_kept_survives_a_first_deploy_that_fails(self, world: World) -> None:
        deployed(world, manifest())
        (world.home.data_dir("hello") / "precious").write_text("x")
        world.finish(world.changes.remove("hello", True, "x").id)
        world.engine.commands["serve", "bad"] = Behaviour(exit_code=1)
        world.finish(world.deploy(manifest(command="serve bad")))
        assert (world.home.data_dir("hello") / "precious").exists()

    def test_a_defect_tells_nothing(self, make_world: Callable[..., World]) -> None:
        def doing(step: Step) -> None:
            if isinstance(step, Start):
                raise RuntimeError("secret")

        world = make_world(doing=doing)
        world.begin()
        record = world.finish(world.deploy(manifest()))
        assert record.state is ChangeState.FAILED
        assert record.reason == "Paradrop has a defect here; the daemon's log says more."
        assert nothing_of(world, "hello")


class TestOthers:
    def test_stop_and_start(self, world: World) -> None:
        deployed(world, manifest())
        assert world.finish(world.changes.stop("hello", "x").id).state is ChangeState.DONE
        assert (world.running(), world.statuses[-1].state) == ({}, ChuteState.STOPPED)
        assert "hello" not in world.doors.open_for
        world.advance(300)
        assert world.running() == {}
        assert world.finish(world.changes.start("hello", "x").id).state is ChangeState.DONE
        assert world.running() == {"hello/main": 1}

    def test_restart(self, world: World) -> None:
        deployed(world, manifest())
        before = world.keeper.states[InstanceKey("hello", "main", 1)].started
        world.finish(world.changes.restart("hello", "x").id)
        after = world.keeper.states[InstanceKey("hello", "main", 1)].started
        assert before is not None
        assert after is not None
        assert after > before

    def test_a_start_that_fails_leaves_it_stopped(self, world: World) -> None:
        deployed(world, manifest())
        world.finish(world.changes.stop("hello", "x").id)
        world.engine.commands["stay",] = Behaviour(exit_code=1)
        record = world.finish(world.changes.start("hello", "x").id)
        assert record.state is ChangeState.FAILED
        assert world.chutes.get("hello").want is Want.STOPPED
        assert result_of(world.engine.instances()) == ()
        world.advance(300)
        assert world.running() == {}

    def test_the_log_of_a_first_deploy_that_failed_can_be_removed(self, world: World) -> None:
        world.engine.builds[""] = Build(lines=("step 1",), problem=BuildFailed("no"))
        assert world.finish(world.deploy(manifest())).state is ChangeState.FAILED
        world.advance(300)
        assert "chute.hello" in world.logs.sources()
        change = world.changes.remove("hello", False, "x").id
        assert world.finish(change).state is ChangeState.DONE
        assert "chute.hello" not in world.logs.sources()
        assert nothing_of(world, "hello")
        with pytest.raises(ChuteNotFound):
            world.changes.remove("hello", False, "x")

    @pytest.mark.parametrize("keep", [True, False])
    def test_remove(self, world: World, keep: bool) -> None:
        deployed(world, manifest())
        (world.home.data_dir("hello") / "precious").write_text("x")
        world.engine.says(InstanceKey("hello", "main", 1), b"line\n")
        world.finish(world.changes.remove("hello", keep, "x").id)
        assert world.home.data_dir("hello").exists() is keep
        assert "chute.hello" not in world.logs.sources()
        assert world.gone == ["hello"]
        if not keep:
            assert nothing_of(world, "hello")


class TestOrder:
    def test_one_chute_one_after_the_other(self, world: World) -> None:
        first, second = world.deploy(manifest()), world.deploy(manifest(version="2"))
        assert world.newest(second).state is ChangeState.ACCEPTED
        world.finish_all([first, second])
        ids = [record.id for record in world.records]
        accepted = ids.index(second)
        assert max(index for index, change in enumerate(ids) if change == first) < ids.index(second, accepted + 1)
        assert world.running() == {"hello/main": 2}

    def test_two_chutes_at_the_same_time(self, world: World) -> None:
        changes = [world.deploy(manifest(name)) for name in ("one", "two")]
        assert {world.newest(change).state for change in changes} == {ChangeState.RUNNING}
        world.advance(2.1)
        assert {world.newest(change).state for change in changes} == {ChangeState.DONE}

    def test_a_stop_during_an_update_stops_the_new_release(self, world: World) -> None:
        deployed(world, manifest())
        changes = [world.deploy(manifest(version="2")), world.changes.stop("hello", "x").id]
        assert [record.state for record in world.finish_all(changes)] == [ChangeState.DONE, ChangeState.DONE]
        chute = world.chutes.get("hello")
        assert (chute.want, chute.release.manifest.version) == (Want.STOPPED, "2")
        assert world.newest(changes[1]).version == "2"

    def test_a_deploy_that_waits_is_not_tidied_away(self, world: World) -> None:
        deployed(world, manifest())
        changes = [world.deploy(manifest(version=version)) for version in ("2", "3", "4")]
        assert [record.state for record in world.finish_all(changes)] == [ChangeState.DONE] * 3
        assert world.chutes.get("hello").release.manifest.version == "4"

    def test_a_failed_update_goes_back_to_the_one_just_before(self, world: World) -> None:
        deployed(world, manifest())
        world.engine.commands["serve", "bad"] = Behaviour(exit_code=1)
        changes = [world.deploy(manifest(version="2")), world.deploy(manifest(version="3", command="serve bad"))]
        records = world.finish_all(changes)
        assert [record.state for record in records] == [ChangeState.DONE, ChangeState.ROLLED_BACK]
        assert world.chutes.get("hello").release.manifest.version == "2"

    def test_two_first_deploys_of_which_the_second_fails(self, world: World) -> None:
        world.engine.commands["serve", "bad"] = Behaviour(exit_code=1)
        changes = [world.deploy(manifest()), world.deploy(manifest(version="2", command="serve bad"))]
        records = world.finish_all(changes)
        assert [record.state for record in records] == [ChangeState.DONE, ChangeState.ROLLED_BACK]
        assert world.running() == {"hello/main": 1}

    def test_a_deploy_right_after_a_remove(self, world: World) -> None:
        world.engine.commands["stay",] = Behaviour(obeys=False)
        deployed(world, manifest())
        changes = [world.changes.remove("hello", False, "x").id, world.deploy(manifest(version="2"))]
        assert [record.state for record in world.finish_all(changes)] == [ChangeState.DONE, ChangeState.DONE]
        assert world.running() == {"hello/main": 2}
        assert "hello" in world.doors.open_for
        world.advance(120)
        assert world.statuses[-1].services[0].restarts == 0

    def test_a_remove_during_an_update(self, world: World) -> None:
        deployed(world, manifest())
        changes = [world.deploy(manifest(version="2")), world.changes.remove("hello", False, "x").id]
        world.finish_all(changes)
        assert nothing_of(world, "hello")

    def test_what_waits_for_a_chute_that_is_removed_fails(self, world: World) -> None:
        world.engine.commands["stay",] = Behaviour(obeys=False)
        deployed(world, manifest())
        changes = [world.changes.remove("hello", False, "x").id, world.changes.restart("hello", "x").id]
        record = world.finish_all(changes)[1]
        assert (record.state, record.reason, record.retry) == (ChangeState.FAILED, "there is no chute 'hello'", False)
        assert nothing_of(world, "hello")

    def test_an_instance_that_ends_while_a_change_works_is_the_changes(self, world: World) -> None:
        deployed(world, two())
        change = world.deploy(two("2"))
        world.advance(0.5)
        world.engine.end(InstanceKey("pair", "b", 2), 9)
        record = world.finish(change)
        assert record.state is ChangeState.ROLLED_BACK
        assert "b ended with exit code 9" in record.reason
        assert world.running() == {"pair/a": 1, "pair/b": 1}
        world.advance(120)
        assert world.statuses[-1].services[0].restarts == 0

    def test_nothing_is_accepted_any_more_at_the_end(self, world: World) -> None:
        deployed(world, manifest())
        under_way, waiting = world.deploy(manifest(version="2")), world.changes.stop("hello", "x").id
        world.advance(1)
        result_of(world.changes.end())
        for change in (under_way, waiting):
            record = world.newest(change)
            assert (record.state, record.retry) == (ChangeState.FAILED, True)
            assert record.reason == "paradropd was stopped in the middle of it"
        with pytest.raises(Unreachable):
            world.changes.restart("hello", "x")


class TestRecord:
    def test_each_revision_is_higher_and_each_state_follows(self, world: World) -> None:
        world.engine.commands["serve", "bad"] = Behaviour(exit_code=1)
        changes = [
            world.finish(world.deploy(manifest())).id,
            world.deploy(manifest(version="2", command="serve bad")),
            world.changes.stop("hello", "x").id,
            world.changes.start("hello", "x").id,
            world.changes.remove("hello", False, "x").id,
            world.deploy(manifest(command="serve bad")),
        ]
        world.finish_all(changes)
        for change in changes:
            records = [record for record in world.records if record.id == change]
            assert [record.revision for record in records] == list(range(len(records)))
            assert records[0].state is ChangeState.ACCEPTED
            for before, after in pairwise(records):
                assert after.state in LEGAL[before.state]
            assert records[-1].finished is not None
            assert all(step.state in (StepState.DONE, StepState.FAILED) for step in records[-1].steps)

    def test_it_is_written_down_before_it_is_begun(self, make_world: Callable[..., World]) -> None:
        seen: list[tuple[ChangeState, list[StepState]]] = []

        def doing(step: Step) -> None:
            record = ChangeStore(Database(world.folder / "paradrop.db")).newest(1)[0]
            seen.append((record.state, [each.state for each in record.steps]))

        world = make_world(doing=doing)
        world.begin()
        world.finish(world.deploy(manifest()))
        for index, (state, steps) in enumerate(seen):
            assert state is ChangeState.RUNNING
            assert steps[: index + 1] == [StepState.DONE] * index + [StepState.RUNNING]

    def test_it_can_be_read_when_the_daemon_is_gone(self, world: World) -> None:
        record = deployed(world, manifest())
        assert ChangeStore(Database(world.folder / "paradrop.db")).get(record.id) == record


class TestNoRoom:
    """The disk is full while something is written down."""

    def test_at_each_write_of_an_update(self, make_world: Callable[..., World]) -> None:
        world = make_world()
        world.begin()
        deployed(world, manifest())
        begin = world.database.writes
        deployed(world, manifest())
        writes = world.database.writes - begin
        assert writes > 10
        for point in range(3, writes + 1):  # the first two refuse the change
            version = world.chutes.get("hello").release.manifest.version
            world.database.full_at = lambda write, at=world.database.writes + point: write == at
            record = world.finish(world.deploy(manifest(version=f"9.{point}")))
            world.database.full_at = lambda write: False
            assert world.store.get(record.id) == record
            expected = f"9.{point}" if record.state is ChangeState.DONE else version
            assert world.chutes.get("hello").release.manifest.version == expected
            assert world.running() == {"hello/main": world.chutes.get("hello").release.number}
            if record.state is not ChangeState.DONE:
                assert (record.reason, record.retry) == ("There is no room left on the device's disk; nothing was changed.", True)

    @pytest.mark.parametrize("more", [1, 6, 9])
    def test_it_stays_full(self, world: World, more: int) -> None:
        deployed(world, manifest())
        world.database.full_at = lambda write, at=world.database.writes + 2 + more: write >= at
        record = world.finish(world.deploy(manifest(version="2")))
        assert record.state is not ChangeState.DONE
        assert "going back" not in record.reason
        assert world.running() == {"hello/main": 1}
        assert world.store.get(record.id) == record  # memory has it
        world.database.full_at = lambda write: False
        deployed(world, manifest(version="3"))
        assert ChangeStore(Database(world.folder / "paradrop.db")).get(record.id) == record

    def test_a_first_deploy(self, world: World) -> None:
        world.database.full_at = lambda write: write == 9
        record = world.finish(world.deploy(manifest()))
        world.database.full_at = lambda write: False
        assert record.state is ChangeState.FAILED or world.running()

    @pytest.mark.parametrize("ballast", [True, False])
    @pytest.mark.parametrize("verb", ["stop", "remove"])
    def test_a_chute_that_has_filled_the_disk_can_be_stopped_and_removed(
        self, make_world: Callable[..., World], verb: str, ballast: bool
    ) -> None:
        world = make_world()
        world.begin()
        deployed(world, manifest())
        filling = world.home.data_dir("hello") / "filling"
        filling.write_bytes(b"x")
        kept_free = world.folder / "ballast"
        if not ballast:
            kept_free.unlink()
        world.database.full_at = lambda write: kept_free.exists() or (filling.exists() and not ballast)
        asked = world.changes.stop("hello", "x") if verb == "stop" else world.changes.remove("hello", False, "x")
        assert world.finish(asked.id).state is ChangeState.DONE
        assert world.store.get(asked.id).state is ChangeState.DONE
        assert world.running() == {}
        world.advance(300)
        assert world.running() == {}
        if verb == "remove":
            assert nothing_of(world, "hello")
        else:
            assert world.chutes.get("hello").want is Want.STOPPED
        world.database.full_at = lambda write: False
        next_daemon = make_world(world)
        next_daemon.begin()
        next_daemon.advance(3)
        # Without any room at all a stop holds only for as long as this daemon runs.
        assert next_daemon.running() == ({"hello/main": 1} if (verb, ballast) == ("stop", False) else {})


class TestEngineAway:
    @pytest.mark.parametrize("call", ["build", "instances", "stop", "start", "remove", "discard"])
    @pytest.mark.parametrize("times", [0, 1])
    def test_from_any_call_on_during_an_update(self, world: World, call: str, times: int) -> None:
        deployed(world, manifest(version="0"))
        deployed(world, manifest())
        world.engine.patience = {call: times}
        record = world.finish(world.deploy(manifest(version="2")))
        assert record.state in (ChangeState.DONE, ChangeState.FAILED)
        if record.state is ChangeState.FAILED:
            assert record.retry
            assert record.reason.startswith("it was stopped")
        world.engine.patience, world.engine.unavailable = {}, ""
        world.advance(130)
        current = world.chutes.get("hello").release
        assert current.manifest.version == ("2" if record.state is ChangeState.DONE else "1")
        assert world.running() == {"hello/main": current.number}
        assert len(result_of(world.engine.instances())) == 1
        deployed(world, manifest(version="3"))

    @pytest.mark.parametrize("call", ["build", "instances", "start", "remove", "forget"])
    def test_from_any_call_on_during_a_first_deploy(self, world: World, call: str) -> None:
        world.engine.commands["serve", "bad"] = Behaviour(exit_code=1)
        world.engine.patience = {call: 0 if call != "instances" else 1}
        record = world.finish(world.deploy(manifest(command="serve bad")))
        assert record.state is ChangeState.FAILED
        world.engine.patience, world.engine.unavailable = {}, ""
        world.advance(130)
        assert result_of(world.engine.instances()) == ()
        assert "hello" not in world.doors.open_for
        assert world.chutes.find("hello") is None

    @pytest.mark.parametrize("call", ["instances", "stop", "remove", "forget"])
    def test_from_any_call_on_during_a_remove(self, world: World, call: str) -> None:
        deployed(world, manifest())
        world.engine.patience = {call: 0}
        record = world.finish(world.changes.remove("hello", False, "x").id)
        assert (record.state, record.retry) == (ChangeState.FAILED, True)
        world.engine.patience, world.engine.unavailable = {}, ""
        world.advance(130)
        assert world.running() == {"hello/main": 1}  # it is wanted still
        assert world.home.data_dir("hello").exists()
        assert world.finish(world.changes.remove("hello", False, "x").id).state is ChangeState.DONE
        assert nothing_of(world, "hello")


class TestKilled:
    def test_at_each_step_of_an_update(self, make_world: Callable[..., World]) -> None:
        """The daemon is killed in each step; the next one brings back what is wanted."""
        world = make_world(survives=True)
        world.begin()
        deployed(world, two())
        for at in range(20):
            version = world.chutes.get("pair").release.manifest.version
            done: list[Step] = []

            def doing(step: Step, at: int = at, done: list[Step] = done) -> Deferred[None] | None:
                done.append(step)
                return Deferred() if len(done) == at + 1 else None

            world.doing = doing
            change = world.deploy(two(f"2.{at}"))
            world.advance(30)
            ended = world.newest(change).state.final
            world = make_world(world)
            world.begin()
            world.advance(30)
            record = world.store.get(change)
            assert record.state.final
            if ended:
                assert at >= 10
                break
            assert (record.state, record.retry, record.revision) == (ChangeState.FAILED, True, record.revision)
            assert all(step.state in (StepState.DONE, StepState.FAILED) for step in record.steps)
            current = world.chutes.get("pair").release
            assert current.manifest.version in (version, f"2.{at}")
            assert world.running() == {"pair/a": current.number, "pair/b": current.number}
            assert len(result_of(world.engine.instances())) == 2
            assert world.chutes.unfinished() == []
            assert world.engine.images == world.chutes.images()
            assert "pair" in world.doors.open_for
        else:
            pytest.fail("the deploy never came to its end")

    @pytest.mark.parametrize("survives", [True, False])
    def test_in_a_first_deploy(self, make_world: Callable[..., World], survives: bool) -> None:
        world = make_world(survives=survives)
        world.begin()
        change = world.deploy(manifest())
        world.advance(1)
        world = make_world(world)
        world.begin()
        assert world.store.get(change).state is ChangeState.FAILED
        assert result_of(world.engine.instances()) == ()
        assert world.chutes.unfinished() == []
        assert world.engine.images == set()
        deployed(world, manifest())

    @pytest.mark.parametrize("survives", [True, False])
    def test_while_it_runs(self, make_world: Callable[..., World], survives: bool) -> None:
        world = make_world(survives=survives)
        world.begin()
        deployed(world, manifest())
        deployed(world, manifest("quiet"))
        world.finish(world.changes.stop("quiet", "x").id)
        world = make_world(world)
        world.begin()
        assert world.running() == {"hello/main": 1}
        assert list(world.doors.open_for) == ["hello"]
        assert world.statuses[-1].state is ChuteState.STOPPED
