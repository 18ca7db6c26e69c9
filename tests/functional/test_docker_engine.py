"""The engine contract on a real Docker, and what only Docker promises."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import time
from typing import Any

import docker
import pytest
from paradrop_chutes.base.build_base import SUITE, default_cache
from paradrop_chutes.base.debian import debian
from twisted.internet.threads import deferToThreadPool
from twisted.protocols.portforward import ProxyFactory, ProxyServer

from paradrop.base.exceptions import BuildFailed, Conflict, DeadlineExceeded, EngineUnavailable, ImageNotFound, StartFailed
from paradrop.manifest.model import MIB, Limits, PortBinding, ServiceKind
from paradropd.engine.contract import SandboxContract
from paradropd.engine.docker import DockerEngine
from paradropd.engine.port import InstanceKey, InstanceStatus
from paradropd.engine.testbench import STAY, SUCCEED, Hooks, Witness, refusal, scenario, shell

pytestmark = [pytest.mark.needs("docker"), pytest.mark.timeout(300)]

SOCKET = "unix:///var/run/docker.sock"


@pytest.fixture(scope="session")
def root_image() -> str:
    """A small image with Python and a shell, made of Debian packages."""
    with closing(docker.from_env()) as client:
        return debian(client, SUITE, default_cache(), print, refresh=False)


@pytest.fixture
def client() -> Iterator[Any]:
    client = docker.APIClient(version="auto")
    yield client
    client.close()


class DockerHooks(Hooks):
    kinds = (ServiceKind.LIGHT, ServiceKind.NORMAL, ServiceKind.IMAGE)
    survives = True
    wanted = ("files", "processes", "network", "memory", "cpu", "pids", "privileges")

    @pytest.fixture(autouse=True)
    def parts(self, reactor_thread: Any, tmp_path: Path, root_image: str, client: Any) -> Iterator[None]:
        self.thread, self.tmp_path, self.image, self.client = reactor_thread, tmp_path, root_image, client
        self.devices: set[str] = set()
        self.seen_until: float | None = None
        yield
        for device in self.devices:
            for image in client.images(filters=built(device)):
                client.remove_image(image["Id"], force=True)
            assert client.containers(all=True, filters=ours(device)) == []
            assert client.networks(filters=ours(device)) == []

    def new_engine(self, device: str, base_url: str = SOCKET) -> DockerEngine:
        reactor = self.thread.reactor
        self.devices.add(device)

        def threads(function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
            return deferToThreadPool(reactor, reactor.getThreadPool(), function, *args, **options)

        return DockerEngine(reactor, threads, time, base_url, device, {"python3": self.image}, resume=lambda key: self.seen_until)

    def drive(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.thread.run(scenario)

    def leftovers(self) -> list[object]:
        return self.thread.delayed_calls()

    def new_folder(self, name: str) -> Path:
        folder = self.tmp_path / name
        folder.mkdir()
        return folder

    def base(self, kind: ServiceKind) -> str:
        return {ServiceKind.LIGHT: "python3", ServiceKind.NORMAL: "", ServiceKind.IMAGE: self.image}[kind]

    def files(self, kind: ServiceKind) -> Mapping[str, str]:
        if kind is ServiceKind.NORMAL:
            return {"Dockerfile": f"FROM {self.image}\nCOPY . /srv/\n", "a/b.txt": "text\n"}
        return super().files(kind)

    def broken(self, kind: ServiceKind) -> tuple[Mapping[str, str], str] | None:
        if kind is ServiceKind.NORMAL:
            return {"Dockerfile": f"FROM {self.image}\nRUN echo it is broken && exit 4\n"}, "it is broken"
        if kind is ServiceKind.LIGHT:
            return {"requirements.txt": "no such requirement!\n"}, "pip"
        return None


class Timed(Witness):
    """Remembers the time of the last output, as the daemon's log does."""

    last: float | None = None

    def output(self, key: InstanceKey, stream: str, data: bytes, time: float) -> None:
        self.last = time
        super().output(key, stream, data, time)


class _Relay(ProxyServer):
    def connectionMade(self) -> None:
        self.transport.pauseProducing()
        self.factory.open.append(self.transport)
        client = self.clientProtocolFactory()
        client.setServer(self)
        self.factory.reactor.connectUNIX("/var/run/docker.sock", client)


class Gate(ProxyFactory):
    """A way to Docker that can be shut: what a restart of Docker looks like, without one."""

    protocol = _Relay

    def __init__(self, reactor: Any, path: Path) -> None:
        super().__init__("", 0)
        self.reactor, self.path = reactor, path
        self.open: list[Any] = []

    def go(self) -> None:
        self.port = self.reactor.listenUNIX(str(self.path), self)

    async def shut(self) -> None:
        await self.port.stopListening()
        for transport in self.open:
            transport.abortConnection()
        self.open.clear()


class Collector(Witness):
    """Keeps much output cheaply."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []

    def output(self, key: InstanceKey, stream: str, data: bytes, time: float) -> None:
        self.pieces.append(data)


def ours(device: str) -> dict[str, str]:
    return {"label": f"org.paradrop.device={device}"}


def built(device: str) -> dict[str, str]:
    return {"label": f"org.paradrop.image.device={device}"}


def python(script: str) -> tuple[str, ...]:
    return ("python3", "-u", "-c", script)


class TestContract(DockerHooks, SandboxContract):
    """Everything an engine must do."""


class TestDocker(DockerHooks):
    """What only Docker promises."""

    def inspect(self, device: str) -> list[dict[str, Any]]:
        listed = self.client.containers(all=True, filters=ours(device))
        return [self.client.inspect_container(item["Id"]) for item in listed]

    @scenario
    async def test_what_is_not_ours_is_not_touched(self) -> None:
        foreign = self.client.create_container(self.image, ["sleep", "600"], labels={"org.paradrop.device": "somebody"})["Id"]
        try:
            self.client.start(foreign)
            before = self.client.inspect_container(foreign)
            async with self.open() as bench:
                await bench.start(STAY)
                assert len(await bench.engine.instances()) == 1
                await bench.engine.discard(self.image)
                await bench.engine.stop(bench.key(), 0.0)
                await bench.engine.remove(bench.key())
            after = self.client.inspect_container(foreign)
            assert (after["State"], after["RestartCount"]) == (before["State"], before["RestartCount"])
            assert self.client.inspect_image(self.image)
        finally:
            self.client.remove_container(foreign, force=True)

    @scenario
    async def test_a_name_that_somebody_else_has(self) -> None:
        async with self.open() as bench:
            name = f"paradrop-{bench.device}-contract.main.1"
            foreign = self.client.create_container(self.image, ["sleep", "600"], name=name)["Id"]
            try:
                await refusal(Conflict, bench.start(STAY))
                assert self.client.inspect_container(foreign)["Name"] == f"/{name}"
            finally:
                self.client.remove_container(foreign, force=True)
            assert (await bench.start(STAY)).status is InstanceStatus.RUNNING

    @scenario
    async def test_everything_carries_our_labels(self) -> None:
        async with self.open() as bench:
            await bench.start(STAY)
            chute = {"org.paradrop.device": bench.device, "org.paradrop.chute": "contract"}
            (container,) = self.inspect(bench.device)
            mine = {"org.paradrop.service": "main", "org.paradrop.release": "1", "org.paradrop.instance": bench.device}
            assert {**chute, **mine}.items() <= container["Config"]["Labels"].items()
            (network,) = self.client.networks(filters=ours(bench.device))
            assert network["Labels"] == chute
            assert self.client.inspect_image(bench.image)["Config"]["Labels"] == {
                "org.paradrop.image.device": bench.device,
                "org.paradrop.image.chute": "contract",
                "org.paradrop.image.service": "main",
            }

    @scenario
    async def test_a_container_run_by_hand_from_our_image_is_not_ours(self) -> None:
        async with self.open() as bench:
            await bench.start(STAY)
            (mine,) = self.inspect(bench.device)
            # The second is what a step of a build is, whose Dockerfile states our labels.
            wanted = [{}, {"labels": mine["Config"]["Labels"]}]
            foreign = [self.client.create_container(bench.image, ["sleep", "600"], **more)["Id"] for more in wanted]
            try:
                for container in foreign:
                    self.client.start(container)
                before = [self.client.inspect_container(container) for container in foreign]
                await bench.engine.close()
                await bench.engine.open(bench.seen)
                assert [state.key for state in await bench.engine.instances()] == [bench.key()]
                await bench.start(STAY)
                await bench.engine.stop(bench.key(), 0.0)
                await bench.engine.remove(bench.key())
                after = [self.client.inspect_container(container) for container in foreign]
                assert [found["State"] for found in after] == [found["State"] for found in before]
                assert await bench.engine.instances() == ()
            finally:
                for container in foreign:
                    self.client.remove_container(container, force=True)

    @scenario
    async def test_a_step_of_a_build_has_limits(self) -> None:
        look = (
            "RUN grep 'Max processes' /proc/self/limits; cd /sys/fs/cgroup; "
            "cat memory.max cpu.max memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us 2>/dev/null || true\n"
        )
        said: list[str] = []
        async with self.open() as bench:
            spec, _ = bench.build_spec(ServiceKind.NORMAL, {"Dockerfile": f"FROM {self.image}\n{look}"})
            await bench.engine.build(spec, said.append)
        words = [word for line in said if not line.startswith("Step") for word in line.split()]
        quota = int(self.client.info()["NCPU"] * 75_000)
        assert {"4096", str(1024 * MIB), str(quota)} <= set(words)

    @scenario
    async def test_a_failed_build_leaves_nothing(self) -> None:
        dockerfile = f"FROM {self.image}\nRUN echo %s > /one\nRUN echo ' ---> %s' && exit 4\n"
        async with self.open() as bench:
            name = self.client.inspect_image(self.image)["Id"].removeprefix("sha256:")[:12]
            said: list[str] = []
            spec, _ = bench.build_spec(ServiceKind.NORMAL, {"Dockerfile": dockerfile % (bench.device, name)})
            await refusal(BuildFailed, bench.engine.build(spec, said.append))
            base, made = [line.removeprefix(" ---> ") for line in said if re.fullmatch(r" ---> [0-9a-f]{12}", line)][:2]
            assert base == name
            assert self.client.inspect_image(base)
            with pytest.raises(docker.errors.ImageNotFound):
                self.client.inspect_image(made)

    @scenario
    async def test_an_image_of_ours_that_lost_its_name_goes_with_the_next_that_is_discarded(self) -> None:
        async with self.open() as bench:
            images = []
            for text in ("one", "two"):
                spec, _ = bench.build_spec(
                    ServiceKind.NORMAL, {"Dockerfile": f"FROM {self.image}\nRUN echo {text} > /srv/text\n"}
                )
                images.append(await bench.engine.build(spec, lambda line: None))
            lost = self.client.inspect_image(images[0])["Id"]
            self.client.tag(images[1], *images[0].split(":"))
            assert self.client.inspect_image(lost)["RepoTags"] == []
            await bench.engine.discard(images[1])
            with pytest.raises(docker.errors.ImageNotFound):
                self.client.inspect_image(lost)
            assert self.client.inspect_image(self.image)

    @scenario
    async def test_limits_are_docker_s_own(self) -> None:
        async with self.open() as bench:
            await bench.start(STAY, limits=Limits(memory=48 * MIB, cpu=0.5, pids=33))
            ((host, user),) = [(found["HostConfig"], found["Config"]["User"]) for found in self.inspect(bench.device)]
            assert (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"]) == (
                48 * MIB,
                48 * MIB,
                500_000_000,
                33,
            )
            assert host["CapDrop"] == ["ALL"]
            assert not host["Privileged"]
            assert host["RestartPolicy"]["Name"] == "no"
            assert user == "1000:1000"

    @scenario
    async def test_more_processors_than_there_are_is_no_error(self) -> None:
        async with self.open() as bench:
            assert (await bench.finish(SUCCEED, limits=Limits(cpu=1000.0))).exit_code == 0

    @scenario
    async def test_out_of_memory_is_said(self) -> None:
        async with self.open() as bench:
            end = await bench.finish(python("x = b'x' * 200_000_000"), limits=Limits(memory=32 * MIB))
            assert (end.exit_code, end.detail) == (128 + 9, "out of memory")

    @scenario
    async def test_services_of_a_chute_see_each_other_and_no_other_chute(self) -> None:
        listen = "import socket\ns = socket.create_server(('', 8000))\nprint('listens')\nwhile True: s.accept()[0].close()"
        async with self.open() as bench:
            server = await bench.start(python(listen))
            await bench.seen.says(bench.key(), "listens")
            friend, stranger = bench.key("friend"), bench.key(chute="stranger")
            await bench.start(STAY, friend)
            await bench.start(STAY, stranger)
            connect = "import socket; socket.create_connection((%r, 8000), 2)"
            assert await bench.engine.execute(friend, python(connect % "main"), 30.0) == 0
            assert await bench.engine.execute(stranger, python(connect % server.address), 30.0) == 1
            await refusal(Conflict, bench.engine.forget("stranger"))
            await bench.engine.remove(stranger)
            await bench.engine.forget("stranger")

    @scenario
    async def test_a_port_that_is_taken(self) -> None:
        async with self.open() as bench:
            port = PortBinding(external=0, internal=80)
            await bench.start(STAY, ports=(port,))
            (found,) = self.inspect(bench.device)
            taken = int(found["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"])
            await refusal(Conflict, bench.start(STAY, bench.key("other"), ports=(PortBinding(external=taken, internal=80),)))
            assert [state.key for state in await bench.engine.instances()] == [bench.key()]

    @scenario
    async def test_output_goes_on_where_it_was_left(self) -> None:
        count = python("import time\nfor i in range(10**9):\n  print(i)\n  time.sleep(0.002)")
        async with self.open() as bench:
            await bench.start(count)
            text = ""
            for _ in range(4):
                await bench.engine.close()
                reader = Timed()
                await bench.engine.open(reader)
                await reader.until(lambda reader=reader: reader.text(bench.key()).count("\n") > 40)
                await bench.engine.close()
                text += reader.text(bench.key())
                self.seen_until = reader.last
            lines = text.splitlines()
            assert lines == [str(number) for number in range(len(lines))]
            await bench.engine.open(bench.seen)

    @scenario
    async def test_a_chute_that_prints_more_than_docker_keeps_is_held_back_and_loses_nothing(self) -> None:
        script = "seq -f '%011.0f of a great many lines that are much the same, and all of which must arrive' 1 300000"
        async with self.open() as bench:
            await bench.engine.close()
            reader = Collector()
            await bench.engine.open(reader)
            await bench.start(shell(script))
            await reader.end(bench.key())
            numbers = [int(line.split()[0]) for line in b"".join(reader.pieces).splitlines()]
            assert numbers == list(range(1, 300001))

    @scenario
    async def test_what_happens_while_docker_is_away_is_told_when_it_is_back(self) -> None:
        count = python("import time\nfor i in range(10**9):\n  print(i)\n  time.sleep(0.002)")
        gate = Gate(self.thread.reactor, self.tmp_path / "docker.sock")
        gate.go()
        async with self.open() as bench:
            await bench.start(STAY, bench.key("stays"))
            await bench.start(count)
            engine, reader = self.new_engine(bench.device, f"unix://{gate.path}"), Witness()
            await engine.open(reader)
            await reader.says(bench.key(), "\n50\n")
            await gate.shut()
            assert not (await engine.info()).available
            await bench.engine.stop(bench.key(), 0.0)
            gate.go()
            await reader.end(bench.key())
            lines = reader.text(bench.key()).splitlines()
            assert lines == [str(number) for number in range(len(lines))]
            assert reader.text(bench.key()) == bench.seen.text(bench.key())
            assert [state.key for state in reader.states] == [bench.key()]
            await engine.close()
            await gate.shut()

    @scenario
    async def test_a_network_that_somebody_deleted_is_made_again(self) -> None:
        async with self.open() as bench:
            await bench.finish(SUCCEED)
            self.client.remove_network(f"paradrop-{bench.device}-contract")
            assert (await bench.finish(SUCCEED)).exit_code == 0

    @scenario
    async def test_an_instance_that_somebody_removed_has_ended(self) -> None:
        async with self.open() as bench:
            await bench.start(STAY)
            (found,) = self.inspect(bench.device)
            self.client.remove_container(found["Id"], force=True)
            end = await bench.seen.end(bench.key())
            assert end.status is InstanceStatus.EXITED
            assert await bench.engine.instances() == ()

    @scenario
    async def test_a_command_that_ran_too_long_is_gone(self) -> None:
        async with self.open() as bench:
            spec = bench.spec(STAY)
            await bench.engine.start(spec)
            await refusal(DeadlineExceeded, bench.engine.execute(bench.key(), shell("echo $$ > /data/pid; exec sleep 600"), 3.0))
            pid = int((spec.data_dir / "pid").read_text())
            assert await bench.engine.execute(bench.key(), shell(f"grep -q sleep /proc/{pid}/cmdline"), 30.0) != 0

    @scenario
    async def test_an_engine_that_is_not_there(self) -> None:
        engine = self.new_engine("nobody", f"unix://{self.tmp_path}/docker.sock")
        info = await engine.info()
        assert not info.available
        assert info.detail
        await refusal(EngineUnavailable, engine.open(Witness()))
        await refusal(EngineUnavailable, engine.instances())
        await engine.close()

    @scenario
    async def test_a_base_that_the_settings_do_not_have(self) -> None:
        async with self.open() as bench:
            spec, _ = bench.build_spec(ServiceKind.LIGHT)
            problem = await refusal(
                ImageNotFound, bench.engine.build(replace(spec, image="cobol", digest="1" * 64), lambda line: None)
            )
            assert "python3" in str(problem)

    @scenario
    async def test_the_reason_of_a_command_that_cannot_be_executed(self) -> None:
        async with self.open() as bench:
            problem = await refusal(StartFailed, bench.start(("no-such-program",)))
            assert "no-such-program" in str(problem)
            for _ in range(5):
                await refusal(StartFailed, bench.start(("/no/such/program",)))
            assert (await bench.finish(shell("exit 127"))).exit_code == 127
