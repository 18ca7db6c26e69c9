"""The process engine with real processes, in each way of keeping them apart that this machine has."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
from twisted.internet.threads import deferToThreadPool

from paradrop.base.exceptions import Conflict, EngineError
from paradrop.manifest.model import PortBinding, ServiceKind
from paradropd.engine.contract import SandboxContract
from paradropd.engine.port import InstanceKey
from paradropd.engine.process import ProcessEngine
from paradropd.engine.process.groups import find, group_name
from paradropd.engine.process.limits import Limiter, ResourceLimiter
from paradropd.engine.process.probing import PYTHON, Candidates, candidates
from paradropd.engine.process.sandbox import Bubblewrap, Plain
from paradropd.engine.process.view import layers, look
from paradropd.engine.testbench import STAY, STUBBORN, Hooks, Witness, refusal, shell


class ProcessHooks(Hooks):
    """Gives :class:`ProcessEngine` to the contract."""

    sandboxes: ClassVar[Candidates]
    limiter: ClassVar[Callable[[str], Limiter]] = find
    countable: ClassVar[bool] = False
    """Whether processes can be counted without groups."""
    proof: ClassVar[tuple[str, ...]] = PYTHON
    wanted = ("processes", "privileges")
    grace = 5.0

    @pytest.fixture(autouse=True)
    def parts(self, reactor_thread: Any) -> Iterator[None]:
        self.reactor_thread = reactor_thread
        self.place = Path(tempfile.mkdtemp(prefix="paradrop-test-"))
        self.place.chmod(0o755)
        limiter = type(self).limiter("contract-probe")
        limiter.close()
        self.limited = (*limiter.words, "pids") if self.countable else tuple(limiter.words)
        yield
        shutil.rmtree(self.place)

    def new_engine(self, device: str) -> ProcessEngine:
        reactor = self.reactor_thread.reactor

        async def threads(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            return await deferToThreadPool(reactor, reactor.getThreadPool(), function, *args, **kwargs)

        return ProcessEngine(
            processes=reactor,
            clock=reactor,
            threads=threads,
            wall=reactor.seconds,
            home=self.place / "home",
            device=device,
            environment=os.environ,
            sandboxes=type(self).sandboxes,
            proof=self.proof,
            limiter=type(self).limiter,
            grace=self.grace,
        )

    def drive(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.reactor_thread.run(scenario)

    def leftovers(self) -> list[object]:
        return self.reactor_thread.delayed_calls()

    def new_folder(self, name: str) -> Path:
        folder = self.place / name
        folder.mkdir()
        return folder

    def broken(self, kind: ServiceKind) -> tuple[Mapping[str, str], str] | None:
        return {"requirements.txt": "this is no requirement\n"}, "requirement"


THING = {
    "thing/pyproject.toml": """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
""",
    "thing/backend.py": """
import zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("thing.py", "WORD = 'found'")
        wheel.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: thing\\nVersion: 1.0\\n")
        wheel.writestr(
            "thing-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        )
        wheel.writestr("thing-1.0.dist-info/RECORD", "thing.py,,\\n")
    return name
""",
}
"""A package that needs nothing from anywhere to be built."""

AS_ROOT = os.geteuid() == 0


@pytest.mark.needs("bubblewrap")
class TestBubblewrap(ProcessHooks, SandboxContract):
    wanted = ("files", "processes", "privileges")
    countable = not AS_ROOT
    sandboxes = staticmethod(lambda private: [Bubblewrap(look(private), root=AS_ROOT)])


@pytest.mark.needs("bubblewrap")
class TestBubblewrapWithoutGroups(TestBubblewrap):
    limiter = staticmethod(lambda device: ResourceLimiter())


@pytest.mark.needs("root")
class TestNobody(ProcessHooks, SandboxContract):
    """Programs of the user nobody, who may not reach this checkout's Python."""

    proof = ("true",)

    def broken(self, kind: ServiceKind) -> None:
        return None

    sandboxes = staticmethod(lambda private: [Plain(nobody=True, root=True, namespace=True)])


class TestPlain(ProcessHooks, SandboxContract):
    """Programs of the daemon's own user, in a process namespace."""

    wanted = ("processes",)
    keeps_system_read_only = False
    sandboxes = staticmethod(lambda private: [Plain(namespace=True, root=AS_ROOT)])


@pytest.mark.needs("bubblewrap")
class TestBestWay(ProcessHooks):
    """What this machine's best way does beside the contract."""

    sandboxes = staticmethod(candidates)

    def test_the_other_kinds_are_refused_with_what_to_do(self) -> None:
        async def scenario() -> None:
            async with self.open() as bench:
                for kind in (ServiceKind.NORMAL, ServiceKind.IMAGE):
                    problem = await refusal(EngineError, bench.build(kind, {}))
                    assert "type: light" in str(problem)
                    assert "Docker" in str(problem)

        self.drive(scenario)

    def test_a_port_keeps_its_number(self) -> None:
        async def scenario() -> None:
            async with self.open() as bench:
                problem = await refusal(EngineError, bench.start(STAY, ports=(PortBinding(external=80, internal=8080),)))
                assert "8080" in str(problem)
                port = _free_port()
                state = await bench.start(STAY, ports=(PortBinding(external=port, internal=port),))
                assert state.address == "127.0.0.1"

        self.drive(scenario)

    @pytest.mark.parametrize("protocol", ["tcp", "udp"])
    def test_a_port_that_another_program_has(self, protocol: str) -> None:
        async def scenario() -> None:
            kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
            async with self.open() as bench:
                with socket.socket(socket.AF_INET, kind) as other:
                    other.bind(("0.0.0.0", 0))
                    if protocol == "tcp":
                        other.listen()
                    port = other.getsockname()[1]
                    ports = (PortBinding(external=port, internal=port, protocol=protocol),)
                    problem = await refusal(Conflict, bench.start(STAY, ports=ports))
                assert str(problem) == f"port {port}/{protocol} of the device is taken by another program"
                await bench.start(STAY, ports=ports)

        self.drive(scenario)

    def test_nothing_can_be_written_but_to_its_own_places(self) -> None:
        script = (
            "for place in / /dev /etc /paradrop .; do echo x > $place/x && exit 1; mkdir $place/y && exit 2; done; "
            "for place in /tmp /dev/shm /data; do echo x > $place/x || exit 3; done; "
            "echo x > /dev/null || exit 4; test -r /etc/passwd || exit 5"
        )

        async def scenario() -> None:
            async with self.open() as bench:
                end = await bench.finish(shell(script))
                assert end.exit_code == 0, bench.seen.text(end.key, "err")

        self.drive(scenario)

    def test_python_can_import_paradrop(self) -> None:
        async def scenario() -> None:
            async with self.open() as bench:
                end = await bench.finish(("python3", "-c", "import paradrop; print(paradrop.__name__)"))
                assert (end.exit_code, bench.seen.text(end.key)) == (0, "paradrop\n")

        self.drive(scenario)

    def test_requirements_are_installed_beside_paradrop(self) -> None:
        async def scenario() -> None:
            async with self.open() as bench:
                files = {"requirements.txt": "./thing\n", **THING}
                image = await bench.build(ServiceKind.LIGHT, files)
                program = "import thing, paradrop; print(thing.WORD)"
                end = await bench.finish(("python3", "-c", program), image=image)
                assert (end.exit_code, bench.seen.text(end.key)) == (0, "found\n")

        self.drive(scenario)

    def test_the_device_is_not_to_be_seen_or_changed(self) -> None:
        script = (
            f"ls {self.place / 'home'} {Path.home()}/.ssh /etc/shadow /etc/ssl/private /sys && exit 1; "
            "echo 1 > /proc/sys/kernel/core_uses_pid && exit 2; echo x > /usr/x && exit 3; echo x > x && exit 4; "
            "kill -0 $PARENT && exit 5; exit 0"
        )

        async def scenario() -> None:
            async with self.open() as bench:
                end = await bench.finish(shell(script), environment={"PARENT": str(os.getpid())})
                assert end.exit_code == 0, bench.seen.text(end.key, "err")

        self.drive(scenario)

    def test_execute_is_inside_and_without_privileges(self) -> None:
        async def scenario() -> None:
            async with self.open() as bench:
                await bench.start(shell("echo $$ > /tmp/mark; echo here; while :; do sleep 0.1; done"))
                await bench.seen.says(bench.key(), "here")
                look_around = 'kill -0 "$(cat /tmp/mark)" && grep -q "^CapEff:.0*$" /proc/self/status && test -d /data'
                assert await bench.engine.execute(bench.key(), shell(look_around), 30.0) == 0

        self.drive(scenario)

    def test_close_lets_all_say_goodbye_at_the_same_time(self) -> None:
        """Each waits for the other's goodbye, so they end only when both were asked."""
        script = (
            "trap 'touch $OWN; until test -e $OTHER; do sleep 0.1; done; echo bye; exit 0' TERM; "
            "echo here; while :; do sleep 0.1; done"
        )

        async def scenario() -> None:
            self.grace = 30.0
            async with self.open() as bench:
                data = self.folder("data")
                names = ("one", "two")
                for own, other in (names, names[::-1]):
                    environment = {"OWN": f"/data/{own}", "OTHER": f"/data/{other}"}
                    await bench.start(shell(script), bench.key(own), data_dir=data, environment=environment)
                    await bench.seen.says(bench.key(own), "here")
                await bench.engine.close()
                assert [bench.seen.text(bench.key(name)) for name in names] == ["here\nbye\n"] * 2
                assert self.leftovers() == []

        self.drive(scenario)

    def test_close_ends_what_does_not_listen(self) -> None:
        async def scenario() -> None:
            self.grace = 0.3
            async with self.open() as bench:
                await bench.start(STUBBORN)
                await bench.seen.says(bench.key(), "here")
                await bench.engine.close()
                assert (await bench.seen.end(bench.key())).exit_code == 128 + 9

        self.drive(scenario)

    def test_a_flood_of_output_does_not_make_the_daemon_grow(self) -> None:
        class Counter(Witness):
            count = calls = largest = 0

            def output(self, key: InstanceKey, stream: str, data: bytes, time: float) -> None:
                self.count += len(data)
                self.calls += 1
                if self.calls % 500 == 0:
                    self.largest = max(self.largest, _resident())

        async def scenario() -> None:
            async with self.open() as bench:
                bench.seen = counter = Counter()
                await bench.engine.close()
                await bench.engine.open(counter)
                before = _resident()
                await bench.finish(shell("head -c 100000000 /dev/zero"))
                assert counter.count == 100_000_000
                assert 0 < counter.largest < before + (16 << 20)

        self.drive(scenario)


@pytest.mark.needs("bubblewrap")
class TestHomeInView(ProcessHooks):
    """A device whose home lies in a folder that every chute sees."""

    @staticmethod
    def sandboxes(private: Sequence[Path]) -> list[Bubblewrap]:
        view = look(private)
        folders, hidden = layers([*view.folders, private[0].parent], private)
        return [Bubblewrap(replace(view, folders=folders, hidden=hidden), root=AS_ROOT)]

    def test_nothing_of_a_home_in_a_folder_that_is_seen(self) -> None:
        async def scenario() -> None:
            secret = self.place / "home" / "accounts.yaml"
            async with self.open() as bench:
                secret.write_text("secret")
                end = await bench.finish(shell(f"test -d {self.place} && ! test -e {secret} && test -d . && ! touch x"))
                assert end.exit_code == 0, bench.seen.text(end.key, "err")

        self.drive(scenario)


@pytest.mark.needs("root")
class TestClosedHome(ProcessHooks):
    """A home that is closed to everybody else, as a device makes it."""

    proof = ("true",)
    sandboxes = staticmethod(
        lambda private: [Plain(namespace=True, root=True, nobody=nobody) for nobody in (True, False)],
    )

    def test_nobody_is_not_chosen_and_that_is_said(self) -> None:
        async def scenario() -> None:
            (self.place / "home").mkdir(mode=0o700)
            async with self.open() as bench:
                info = await bench.engine.info()
                assert "privileges" not in info.isolates
                assert {"files", "users", "network", "privileges"} <= set(info.shares)
                assert info.detail == "chutes run as root and can change the device: install bubblewrap"
                assert sorted(entry.name for entry in (self.place / "home").iterdir()) == ["images", "probe"]

        self.drive(scenario)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _resident() -> int:
    """Bytes of memory that this process has now."""
    return int(psutil.Process().memory_info().rss)


DAEMON = """
import os, sys, time
from pathlib import Path
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from paradrop.base.seams import inline
from paradropd.engine.process import ProcessEngine
from paradropd.engine.process.sandbox import Bubblewrap, Plain
from paradropd.engine.process.view import look
from paradropd.engine.testbench import STAY, Hooks, Witness, refusal, shell
from paradropd.engine.port import BuildSpec, InstanceKey, InstanceSpec
from paradropd.engine.testbench import Witness
from paradrop.base.exceptions import EngineError
from paradrop.manifest.model import PortBinding, ServiceKind

place = Path(sys.argv[1])
home = place / "home"
root = os.geteuid() == 0
way = Bubblewrap(look([home]), root=root) if sys.argv[2] == "bubblewrap" else Plain(namespace=True, root=root)
engine = ProcessEngine(
    processes=reactor, clock=reactor, threads=inline, wall=time.time, home=home, device="kill", environment=os.environ,
    sandboxes=lambda private: [way],
)

async def main():
    await engine.open(Witness())
    key = InstanceKey("kill", "main", 1)
    image = await engine.build(
        BuildSpec(key=key, kind=ServiceKind.LIGHT, image="python3", digest="0" * 64, files=lambda: iter(())), print
    )
    command = ("sh", "-c", 'exec 5> "$PARADROP_DATA_DIR/fifo"; echo in >&5; setsid sleep 1000 & sleep 1000')
    await engine.start(InstanceSpec(key=key, image=image, system_dir=place, data_dir=place / "data", command=command))

Deferred.fromCoroutine(main()).addErrback(lambda failure: (print(failure), reactor.stop()))
reactor.run()
"""


@pytest.mark.parametrize("way", [pytest.param("bubblewrap", marks=pytest.mark.needs("bubblewrap")), "plain"])
def test_a_killed_daemon_leaves_no_chute_behind(tmp_path: Path, way: str) -> None:
    """The chute and its child, which has left its session, hold a pipe: it comes to its end only when both are gone."""
    (tmp_path / "data").mkdir()
    fifo = tmp_path / "data" / "fifo"
    os.mkfifo(fifo, 0o666)
    with subprocess.Popen([sys.executable, "-c", DAEMON, str(tmp_path), way]) as daemon, fifo.open("rb") as pipe:
        assert pipe.readline() == b"in\n"
        daemon.kill()
        assert pipe.read() == b""
    find(group_name("kill", tmp_path / "home")).close()
