"""What one step does to the disk, the engine and the fabric."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from paradrop.base.exceptions import EngineUnavailable, StorageFull
from paradrop.source.blobs import SPARED
from paradrop.values import ChangeState
from paradropd.changes.steps import Forget, OpenSocket, Step, Tidy
from paradropd.engine.port import BuildSpec, InstanceKey, InstanceSpec
from paradropd.testing import World, result_of

CHUTE = "name: hello\nversion: '1'\nservices:\n  main: {type: light, image: python3, source: src, command: stay}\n"
FILES = {"src/main.py": b"pass", "src/lib/a.py": b"a", "README": b"read me"}


def deployed(world: World, text: str = CHUTE, files: dict[str, bytes] | None = None) -> None:
    assert world.finish(world.deploy(text, files or FILES)).state is ChangeState.DONE


def asked(world: World, name: str) -> list[object]:
    return [argument for call, argument in world.engine.calls if call == name]


def test_a_build_gets_the_files_of_its_own_folder(world: World) -> None:
    deployed(world)
    (spec,) = asked(world, "build")
    assert isinstance(spec, BuildSpec)
    assert {file.path: file.content.read_bytes() for file in spec.files()} == {"main.py": b"pass", "lib/a.py": b"a"}
    assert len(spec.digest) == 64


def test_the_digest_is_of_everything_that_goes_into_the_build_and_of_nothing_else(world: World) -> None:
    deployed(world)
    deployed(world, CHUTE.replace("'1'", "'2'"), {**FILES, "README": b"another"})
    deployed(world, CHUTE.replace("python3", "node"))
    deployed(world, CHUTE, {**FILES, "src/main.py": b"pass "})
    digests = [spec.digest for spec in asked(world, "build") if isinstance(spec, BuildSpec)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_an_instance_gets_its_folders(world: World) -> None:
    deployed(world)
    (spec,) = asked(world, "start")
    assert isinstance(spec, InstanceSpec)
    assert (spec.data_dir, spec.system_dir) == (world.home.data_dir("hello"), world.home.system_dir("hello"))
    assert spec.command == ("stay",)


def test_source_that_nobody_needs_any_more_is_deleted(world: World) -> None:
    for version in range(4):
        deployed(world, CHUTE, {**FILES, "src/main.py": b"%d" % version})
        world.advance(SPARED)
    kept = {
        entry.sha256
        for number in world.chutes.numbers("hello")
        for entry in world.chutes.tree(world.chutes.release("hello", number)).entries
    }
    assert {path.name for path in world.home.blobs.rglob("*") if len(path.name) == 64} >= kept
    assert len({path.name for path in world.home.blobs.rglob("*") if len(path.name) == 64}) <= len(kept) + 1


def test_an_image_that_another_chute_needs_stays(world: World) -> None:
    deployed(world)
    deployed(world, CHUTE.replace("hello", "other"))
    assert len(world.engine.images) == 1
    world.finish(world.changes.remove("hello", False, "x").id)
    assert len(world.engine.images) == 1
    world.finish(world.changes.remove("other", False, "x").id)
    assert world.engine.images == set()


def test_an_image_that_cannot_be_deleted_keeps_nothing_from_going_on(world: World) -> None:
    deployed(world)
    world.engine.refusals["discard"] = EngineUnavailable("busy")
    record = world.finish(world.changes.remove("hello", False, "x").id)
    assert record.state is ChangeState.DONE
    assert not world.home.data_dir("hello").exists()


def test_a_full_disk_is_named_as_one(make_world: Callable[..., World]) -> None:
    def doing(step: Step) -> None:
        if isinstance(step, OpenSocket):
            raise StorageFull

    world = make_world(doing=doing)
    world.begin()
    record = world.finish(world.deploy(CHUTE, FILES))
    assert (record.state, record.retry) == (ChangeState.FAILED, True)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_what_the_system_says_of_a_full_disk(world: World, code: int) -> None:
    world.doors.problem = OSError(code, "no")
    record = world.finish(world.deploy(CHUTE, FILES))
    assert (record.reason, record.retry) == (StorageFull.sentence(), True)


def test_data_is_deleted_or_kept_as_it_is_asked(world: World) -> None:
    folder = world.home.data_dir("hello")
    folder.mkdir()
    (folder / "precious").write_text("x")
    result_of(world.performer.perform(Forget("hello", keep_data=True)))
    assert (folder / "precious").exists()
    result_of(world.performer.perform(Forget("hello", keep_data=False)))
    assert not folder.exists()
    folder.mkdir()
    result_of(world.performer.perform(Forget("hello", keep_data=True)))
    assert not folder.exists()  # there was nothing to keep


def test_tidying_a_chute_that_is_not_there_closes_its_door(world: World) -> None:
    deployed(world)
    release = world.chutes.get("hello").release
    world.finish(world.changes.remove("hello", False, "x").id)
    result_of(world.doors.open(release))
    result_of(world.performer.perform(Tidy("hello")))
    assert world.doors.open_for == {}


def test_forgetting_twice_is_nothing_new(world: World) -> None:
    deployed(world)
    world.finish(world.changes.remove("hello", False, "x").id)
    result_of(world.performer.perform(Forget("hello")))
    assert InstanceKey("hello", "main", 1) not in world.keeper.states
