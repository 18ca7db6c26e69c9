"""What every engine must do, as tests: the one contract that the memory, the process and the Docker engine are held to.

It is shipped, like a fake, so that an engine written somewhere else can be held to it too. A test module subclasses
:class:`EngineContract`, or :class:`SandboxContract` when the engine runs real programs, gives the hooks, and pytest does the
rest. Nothing here sleeps: a scenario waits for what the :class:`~.testbench.Witness` sees, under the one time limit of
:meth:`~.testbench.Hooks.drive`.
"""

from __future__ import annotations

from paradrop.base.exceptions import BuildFailed, ChuteNotRunning, DeadlineExceeded, ImageNotFound, StartFailed
from paradrop.manifest.model import MIB, Limits, ServiceKind

from .port import BuildSpec, InstanceStatus
from .testbench import (
    CANNOT,
    CHATTER,
    EAT_MEMORY,
    ENVIRONMENT,
    EXIT_3,
    FORK,
    KEEP,
    OBEY,
    SPEAK,
    STATUS,
    STAY,
    STUBBORN,
    SUCCEED,
    TOUCH_SYSTEM,
    UNKNOWN,
    Hooks,
    refusal,
    scenario,
)


class EngineContract(Hooks):
    """What holds for every engine, the one in memory included."""

    @scenario
    async def test_says_what_it_is(self) -> None:
        async with self.open() as bench:
            info = await bench.engine.info()
            assert info.available
            assert info.name == bench.engine.name
            assert {*self.wanted, *self.limited} <= set(info.isolates)
            assert not set(info.isolates) & set(info.shares)

    @scenario
    async def test_builds_each_kind_once(self) -> None:
        async with self.open() as bench:
            for kind in self.kinds:
                spec, reads = bench.build_spec(kind, {**self.files(kind), "once.txt": bench.device})
                image = await bench.engine.build(spec, lambda line: None)
                reads.clear()
                assert await bench.engine.build(spec, lambda line: None) == image
                assert reads == []
                assert (await bench.finish(SUCCEED, image=image)).exit_code == 0
                await bench.engine.discard(image)

    @scenario
    async def test_a_failed_build_says_why_and_leaves_nothing(self) -> None:
        async with self.open() as bench:
            for kind in self.kinds:
                broken = self.broken(kind)
                if broken is not None:
                    spec, reads = bench.build_spec(kind, broken[0])
                    lines: list[str] = []
                    for _ in range(2):
                        reads.clear()
                        problem = await refusal(BuildFailed, bench.engine.build(spec, lines.append))
                        assert broken[1] in str(problem)
                        assert reads
                    assert any(broken[1] in line for line in lines)

    @scenario
    async def test_an_image_that_does_not_exist(self) -> None:
        async with self.open() as bench:
            if ServiceKind.IMAGE in self.kinds:
                spec = BuildSpec(
                    key=bench.key(),
                    kind=ServiceKind.IMAGE,
                    image="localhost:1/no/such:image",
                    digest="0" * 64,
                    files=lambda: iter(()),
                )
                await refusal(ImageNotFound, bench.engine.build(spec, lambda line: None))
            await refusal(ImageNotFound, bench.start(SUCCEED, image="paradrop-no-such-image:none"))
            assert await bench.engine.instances() == ()

    @scenario
    async def test_a_start_is_seen(self) -> None:
        async with self.open() as bench:
            state = await bench.start(STAY)
            assert state.key == bench.key()
            assert state.status is InstanceStatus.RUNNING
            assert state.exit_code is None
            assert state.started is not None
            await bench.seen.until(lambda: bool(bench.seen.states))
            assert bench.seen.states[0].status is InstanceStatus.RUNNING
            assert await bench.status(bench.key()) is InstanceStatus.RUNNING

    @scenario
    async def test_output_arrives_complete_in_order_and_before_the_end(self) -> None:
        async with self.open() as bench:
            end = await bench.finish(SPEAK)
            assert bench.seen.text(end.key, "out") == "one\ntwo\nthree"
            assert bench.seen.text(end.key, "err") == "uno\ndue\n"

    @scenario
    async def test_much_output_arrives_in_small_pieces(self) -> None:
        async with self.open() as bench:
            end = await bench.finish(CHATTER)
            lines = bench.seen.text(end.key).splitlines()
            assert lines == [f"line {i} of a chute that has a lot to say" for i in range(20000)]
            assert bench.seen.longest <= 1 << 16

    @scenario
    async def test_the_exit_code(self) -> None:
        async with self.open() as bench:
            assert (await bench.finish(SUCCEED)).exit_code == 0
            await bench.start(EXIT_3)
            end = await bench.seen.end(bench.key(), 2)
            assert (end.exit_code, end.address) == (3, None)
            (listed,) = await bench.engine.instances()
            assert (listed.status, listed.exit_code) == (InstanceStatus.EXITED, 3)

    @scenario
    async def test_a_command_that_cannot_be_executed(self) -> None:
        async with self.open() as bench:
            for command in (CANNOT, UNKNOWN):
                await refusal(StartFailed, bench.start(command))
            assert await bench.engine.instances() == ()

    @scenario
    async def test_stop_lets_a_program_say_goodbye(self) -> None:
        async with self.open() as bench:
            await bench.start(OBEY)
            await bench.seen.says(bench.key(), "here")
            await bench.engine.stop(bench.key(), 30.0)
            end = await bench.seen.end(bench.key())
            assert end.exit_code == 0
            assert bench.seen.text(bench.key()) == "here\nbye\n"
            assert await bench.status(bench.key()) is InstanceStatus.EXITED
            await bench.engine.stop(bench.key(), 30.0)
            await bench.engine.stop(bench.key("nobody"), 30.0)
            assert len(bench.seen.ends(bench.key())) == 1

    @scenario
    async def test_stop_ends_a_program_that_does_not_listen(self) -> None:
        async with self.open() as bench:
            await bench.start(STUBBORN)
            await bench.seen.says(bench.key(), "here")
            await bench.engine.stop(bench.key(), 0.3)
            assert (await bench.seen.end(bench.key())).exit_code == 128 + 9

    @scenario
    async def test_remove_is_silent_and_may_be_repeated(self) -> None:
        async with self.open() as bench:
            await bench.start(STAY)
            await bench.start(STAY, bench.key("other"))
            await bench.seen.says(bench.key(), "here")
            await bench.engine.remove(bench.key())
            assert await bench.status(bench.key()) is None
            assert await bench.status(bench.key("other")) is InstanceStatus.RUNNING
            await bench.engine.remove(bench.key())
            await bench.engine.stop(bench.key("other"), 0.0)
            await bench.seen.end(bench.key("other"))
            assert bench.seen.ends(bench.key()) == []

    @scenario
    async def test_start_takes_the_place_of_an_older_one(self) -> None:
        async with self.open() as bench:
            await bench.start(STAY)
            await bench.seen.says(bench.key(), "here")
            await bench.start(SPEAK)
            await bench.seen.end(bench.key())
            await bench.start(STAY)
            (listed,) = await bench.engine.instances()
            assert listed.status is InstanceStatus.RUNNING
            assert len(bench.seen.ends(bench.key())) == 1
            assert bench.seen.text(bench.key()).startswith("here\none\ntwo\nthree")

    @scenario
    async def test_the_environment(self) -> None:
        async with self.open() as bench:
            spec = bench.spec(ENVIRONMENT, environment={"GREETING": "good day = fine", "PARADROP_CHUTE_NAME": "contract"})
            await bench.engine.start(spec)
            await bench.seen.end(bench.key())
            greeting, chute, data, system, fabric = bench.seen.text(bench.key()).strip().split("|")
            assert (greeting, chute) == ("good day = fine", "contract")
            assert data in ("/data", str(spec.data_dir))
            assert system in ("/paradrop", str(spec.system_dir))
            assert fabric == f"unix:{system}/fabric.sock"

    @scenario
    async def test_data_is_kept_from_one_release_to_the_next(self) -> None:
        async with self.open() as bench:
            data = self.folder("data")
            await bench.finish(KEEP, bench.key(release=1), data_dir=data)
            await bench.finish(KEEP, bench.key(release=2), data_dir=data)
            assert bench.seen.text(bench.key(release=2)) == "kept\nkept\n"
            assert (data / "note").read_text() == "kept\nkept\n"

    @scenario
    async def test_execute(self) -> None:
        async with self.open() as bench:
            await refusal(ChuteNotRunning, bench.engine.execute(bench.key(), SUCCEED, 30.0))
            await bench.start(STAY)
            assert await bench.engine.execute(bench.key(), SUCCEED, 30.0) == 0
            assert await bench.engine.execute(bench.key(), EXIT_3, 30.0) == 3
            await refusal(DeadlineExceeded, bench.engine.execute(bench.key(), STAY, 0.5))
            assert await bench.status(bench.key()) is InstanceStatus.RUNNING
            await bench.engine.stop(bench.key(), 0.0)
            await refusal(ChuteNotRunning, bench.engine.execute(bench.key(), SUCCEED, 30.0))

    @scenario
    async def test_discard_leaves_what_is_in_use_and_may_be_repeated(self) -> None:
        async with self.open() as bench:
            files = {**self.files(self.kinds[0]), "mark.txt": bench.device}
            image = await bench.build(self.kinds[0], files)
            await bench.start(STAY, image=image)
            await bench.engine.discard(image)
            await bench.start(STAY, image=image)
            await bench.engine.remove(bench.key())
            for _ in range(2):
                await bench.engine.discard(image)
            await bench.engine.discard("somebody-elses:image")
            await refusal(ImageNotFound, bench.start(STAY, image=image))
            for _ in range(2):
                await bench.engine.forget("contract")

    @scenario
    async def test_instances_are_listed_in_order(self) -> None:
        async with self.open() as bench:
            keys = [bench.key("b"), bench.key("a", release=2), bench.key("a", release=1)]
            for key in keys:
                await bench.start(STAY, key)
            assert [state.key for state in await bench.engine.instances()] == sorted(keys)

    @scenario
    async def test_two_devices_do_not_see_each_other(self) -> None:
        async with self.open() as one, self.open() as two:
            await one.start(STAY)
            assert await two.engine.instances() == ()
            await two.engine.stop(one.key(), 0.0)
            await two.engine.remove(one.key())
            await two.engine.forget("contract")
            assert await one.status(one.key()) is InstanceStatus.RUNNING
            assert two.seen.states == []

    @scenario
    async def test_close_and_open_again(self) -> None:
        async with self.open() as first:
            await first.start(STAY)
            await first.seen.says(first.key(), "here")
            await first.engine.close()
            assert self.leftovers() == []
            async with self.open(first.device) as second:
                assert await second.status(second.key()) is (InstanceStatus.RUNNING if self.survives else None)
                if self.survives:
                    await second.engine.stop(second.key(), 0.0)
                    assert (await second.seen.end(second.key())).exit_code in (128 + 9, 128 + 15)
            await first.engine.open(first.seen)
            assert await first.engine.instances() == ()


class SandboxContract(EngineContract):
    """What holds for every engine that runs real programs."""

    @scenario
    async def test_the_system_folder_is_read_only(self) -> None:
        async with self.open() as bench:
            spec = bench.spec(TOUCH_SYSTEM)
            await bench.engine.start(spec)
            end = await bench.seen.end(bench.key())
            assert end.exit_code == (7 if self.keeps_system_read_only else 0)
            assert (spec.system_dir / "x").exists() is not self.keeps_system_read_only

    @scenario
    async def test_memory_is_limited(self) -> None:
        async with self.open() as bench:
            end = await bench.finish(EAT_MEMORY, limits=Limits(memory=32 * MIB))
            assert end.exit_code not in (None, 0)
            assert end.detail == "out of memory" or end.exit_code != 128 + 9

    @scenario
    async def test_processes_are_limited(self) -> None:
        if "pids" not in self.limited:
            return
        async with self.open() as bench:
            end = await bench.finish(FORK, limits=Limits(pids=16))
            assert end.exit_code != 0
            assert "all of them" not in bench.seen.text(end.key)

    @scenario
    async def test_there_are_no_privileges(self) -> None:
        async with self.open() as bench:
            end = await bench.finish(STATUS)
            facts = dict(line.split(":", 1) for line in bench.seen.text(end.key).splitlines() if ":" in line)
            assert facts["NoNewPrivs"].strip() == "1"
            for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
                assert int(facts[name], 16) == 0, name
