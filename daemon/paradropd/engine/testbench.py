"""The bench that :mod:`.contract` tests an engine on: programs, a witness, and the hooks that a subclass gives."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial, wraps
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from uuid import uuid4

from twisted.internet.defer import Deferred

from paradrop.manifest.model import ServiceKind

from .port import BuildSpec, Engine, InstanceKey, InstanceSpec, InstanceState, InstanceStatus, Observer, SourceFile

E = TypeVar("E", bound=BaseException)


def shell(script: str) -> tuple[str, ...]:
    """The command that runs *script*."""
    return ("sh", "-c", script)


# The programs of the contract. They need a POSIX shell, ``cat`` and ``sleep``, and do not mind being process 1.
SUCCEED = shell("exit 0")
EXIT_3 = shell("exit 3")
STAY = shell("echo here; while :; do sleep 0.1; done")
OBEY = shell("trap 'echo bye; exit 0' TERM; echo here; while :; do sleep 0.1; done")
STUBBORN = shell("trap '' TERM; echo here; while :; do sleep 0.1; done")
SPEAK = shell("echo one; echo uno >&2; echo two; echo due >&2; printf three")
CHATTER = shell('i=0; while [ $i -lt 20000 ]; do echo "line $i of a chute that has a lot to say"; i=$((i+1)); done')
ENVIRONMENT = shell('echo "$GREETING|$PARADROP_CHUTE_NAME|$PARADROP_DATA_DIR|$PARADROP_SYSTEM_DIR|$PARADROP_FABRIC"')
KEEP = shell('echo kept >> "$PARADROP_DATA_DIR/note"; cat "$PARADROP_DATA_DIR/note"')
TOUCH_SYSTEM = shell('test -e "${PARADROP_FABRIC#unix:}" || exit 9; echo x > "$PARADROP_SYSTEM_DIR/x" && exit 0; exit 7')
EAT_MEMORY = shell('x=0123456789abcdef; while :; do x="$x$x"; done')
FORK = shell("i=0; while [ $i -lt 60 ]; do sleep 60 & i=$((i+1)); done; echo all of them")
STATUS = shell('while read -r line; do echo "$line"; done < /proc/self/status')
CANNOT = ("/no/such/program",)
UNKNOWN = ("no-such-program-anywhere",)


class Witness(Observer):
    """An observer that remembers, and that a scenario can wait for."""

    def __init__(self) -> None:
        self.states: list[InstanceState] = []
        self.printed: dict[tuple[InstanceKey, str], bytes] = {}
        self.longest = 0
        """Bytes in the longest piece of output seen."""
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def state_changed(self, state: InstanceState) -> None:
        self.states.append(state)
        self._look()

    def output(self, key: InstanceKey, stream: str, data: bytes, time: float) -> None:
        self.printed[key, stream] = self.printed.get((key, stream), b"") + data
        self.longest = max(self.longest, len(data))
        self._look()

    def text(self, key: InstanceKey, stream: str = "out") -> str:
        """Everything *key* printed on *stream* so far."""
        return self.printed.get((key, stream), b"").decode()

    def ends(self, key: InstanceKey) -> list[InstanceState]:
        """The ends of *key* that were told."""
        return [state for state in self.states if state.key == key and state.status is InstanceStatus.EXITED]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until *condition* holds; it is asked again after everything the engine tells."""
        if not condition():
            waiting: Deferred[None] = Deferred()
            self._waiting.append((condition, waiting))
            await waiting

    async def says(self, key: InstanceKey, word: str, stream: str = "out") -> None:
        """Wait until *key* has printed *word*."""
        await self.until(lambda: word in self.text(key, stream))

    async def end(self, key: InstanceKey, times: int = 1) -> InstanceState:
        """Wait until *key* has ended *times* times, and return the last end."""
        await self.until(lambda: len(self.ends(key)) >= times)
        return self.ends(key)[-1]

    def _look(self) -> None:
        ready = [entry for entry in self._waiting if entry[0]()]
        self._waiting = [entry for entry in self._waiting if entry not in ready]
        for _, waiting in ready:
            waiting.callback(None)


async def refusal(kind: type[E], attempt: Coroutine[Any, Any, object]) -> E:
    """The *kind* of error that *attempt* must end with."""
    try:
        result = await attempt
    except kind as problem:
        return problem
    raise AssertionError(f"{kind.__name__} was expected, and it returned {result!r}")


class Bench:
    """One engine of one device, open, with its witness, and short ways to use it."""

    def __init__(self, hooks: Hooks, device: str) -> None:
        self.hooks, self.device = hooks, device
        self.engine: Engine = hooks.new_engine(device)
        self.seen = Witness()
        self.image = ""

    def key(self, service: str = "main", release: int = 1, chute: str = "contract") -> InstanceKey:
        return InstanceKey(chute, service, release)

    def build_spec(self, kind: ServiceKind, files: Mapping[str, str] | None = None) -> tuple[BuildSpec, list[str]]:
        """A spec that builds *files*, and the list of the times they were asked for."""
        wanted = self.hooks.files(kind) if files is None else files
        reads: list[str] = []
        folder = self.hooks.folder("source")

        def listing() -> Iterator[SourceFile]:
            reads.append(kind)
            for path, text in sorted(wanted.items()):
                content = folder / hashlib.sha256(path.encode()).hexdigest()
                content.write_text(text)
                yield SourceFile(path=path, content=content, size=len(text.encode()))

        digest = hashlib.sha256(repr((kind, sorted(wanted.items()))).encode()).hexdigest()
        spec = BuildSpec(key=self.key(), kind=kind, image=self.hooks.base(kind), digest=digest, files=listing)
        return spec, reads

    async def build(self, kind: ServiceKind, files: Mapping[str, str] | None = None) -> str:
        return await self.engine.build(self.build_spec(kind, files)[0], lambda line: None)

    def spec(self, command: tuple[str, ...], key: InstanceKey | None = None, **more: Any) -> InstanceSpec:
        """A spec of *command* on the contract's image, with folders of its own unless *more* has them."""
        if "system_dir" not in more:
            more["system_dir"] = self.hooks.folder("system")
            (more["system_dir"] / "fabric.sock").touch()
        more.setdefault("data_dir", self.hooks.folder("data"))
        return InstanceSpec(key=key or self.key(), image=more.pop("image", self.image), command=command, **more)

    async def start(self, command: tuple[str, ...], key: InstanceKey | None = None, **more: Any) -> InstanceState:
        return await self.engine.start(self.spec(command, key, **more))

    async def finish(self, command: tuple[str, ...], key: InstanceKey | None = None, **more: Any) -> InstanceState:
        """Start *command*, wait for its end, take it away, and return the end."""
        key = key or self.key()
        times = len(self.seen.ends(key)) + 1
        await self.start(command, key, **more)
        state = await self.seen.end(key, times)
        await self.engine.remove(key)
        return state

    async def status(self, key: InstanceKey) -> InstanceStatus | None:
        """What the engine's list says of *key*."""
        return {state.key: state.status for state in await self.engine.instances()}.get(key)

    async def leave(self) -> None:
        for state in await self.engine.instances():
            await self.engine.remove(state.key)
        await self.engine.forget("contract")
        await self.engine.close()


class Hooks:
    """What a subclass gives."""

    kinds: ClassVar[tuple[ServiceKind, ...]] = (ServiceKind.LIGHT,)
    """What the engine can build; the first is used for everything but the tests of building."""
    survives: ClassVar[bool] = False
    """Whether what runs goes on when the engine is closed."""
    keeps_system_read_only: ClassVar[bool] = True
    """Whether a program cannot write to its system folder."""
    limited: tuple[str, ...] = ("memory", "pids")
    """What the engine can limit on the machine at hand."""
    wanted: ClassVar[tuple[str, ...]] = ("processes",)
    """Words that ``EngineInfo.isolates`` must have."""

    def new_engine(self, device: str) -> Engine:
        """A new engine, not open yet, for the device with the id *device*; all of one test share home and daemon."""
        raise NotImplementedError

    def drive(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run *scenario* to its end, on the reactor's thread, in at most a minute."""
        raise NotImplementedError

    def leftovers(self) -> list[object]:
        """Threads and delayed calls that a closed engine has left behind."""
        raise NotImplementedError

    def new_folder(self, name: str) -> Path:
        """A new folder at a path that has *name* in it; an instance may have it as its system or data folder."""
        raise NotImplementedError

    def base(self, kind: ServiceKind) -> str:
        """``BuildSpec.image`` for *kind*."""
        return "python3" if kind is ServiceKind.LIGHT else ""

    def files(self, kind: ServiceKind) -> Mapping[str, str]:
        """A source that builds an image with ``sh``, ``cat`` and ``sleep`` in it."""
        return {"main.py": "print('hello')\n", "lib/deep/data.txt": "text\n"}

    def broken(self, kind: ServiceKind) -> tuple[Mapping[str, str], str] | None:
        """A source whose build fails, and a word that the error must then have; ``None`` where there is nothing to build."""
        return None

    _folders: ClassVar[Iterator[int]] = count()

    def folder(self, name: str) -> Path:
        return self.new_folder(f"{name}-{next(self._folders)}")

    @asynccontextmanager
    async def open(self, device: str = "") -> AsyncIterator[Bench]:
        """A bench with the contract's image built; afterwards everything is taken away."""
        bench = Bench(self, device or f"contract-{uuid4().hex[:8]}")
        await bench.engine.open(bench.seen)
        try:
            bench.image = await bench.build(self.kinds[0])
            yield bench
        finally:
            await bench.leave()


H = TypeVar("H", bound=Hooks)


def scenario(test: Callable[[H], Coroutine[Any, Any, None]]) -> Callable[[H], None]:
    """Make a test that pytest can call of an ``async`` one."""

    @wraps(test)
    def run(self: H) -> None:
        self.drive(partial(test, self))
        assert self.leftovers() == []

    return run
