"""The process engine with real processes, in each way of keeping them apart that this machine has."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from paradropd.engine.contract import SandboxContract
from paradropd.engine.process import ProcessEngine
from paradropd.engine.process.limits import Limiter, ResourceLimiter, find
from paradropd.engine.process.probing import Candidates
from paradropd.engine.process.sandbox import Bubblewrap, Plain
from paradropd.engine.process.view import look
from twisted.internet.threads import deferToThreadPool

from paradrop.manifest.model import ServiceKind


class ProcessContract(SandboxContract):
    """The contract on a :class:`ProcessEngine`."""

    sandboxes: ClassVar[Candidates]
    limiter: ClassVar[Callable[[str], Limiter]] = find
    wanted = ("processes", "privileges")

    @pytest.fixture(autouse=True)
    def parts(self, reactor_thread: Any) -> Iterator[None]:
        self.reactor_thread = reactor_thread
        self.place = Path(tempfile.mkdtemp(prefix="paradrop-test-"))
        self.place.chmod(0o755)
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
            limiter=type(self).limiter,
        )

    def drive(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.reactor_thread.run(scenario)

    def leftovers(self) -> list[object]:
        return self.reactor_thread.delayed_calls()

    def new_folder(self, name: str) -> Path:
        folder = self.place / name
        folder.mkdir()
        return folder

    def broken(self, kind: ServiceKind) -> tuple[Mapping[str, str], str]:
        return {"requirements.txt": "this is no requirement\n"}, "requirement"


@pytest.mark.needs("bubblewrap")
class TestBubblewrap(ProcessContract):
    wanted = ("files", "processes", "privileges")
    sandboxes = staticmethod(lambda home: [Bubblewrap(look(home))])


@pytest.mark.needs("bubblewrap")
class TestBubblewrapWithoutGroups(TestBubblewrap):
    limiter = staticmethod(lambda device: ResourceLimiter())


@pytest.mark.needs("root")
class TestNobody(ProcessContract):
    sandboxes = staticmethod(lambda home: [Plain(nobody=True, namespace=True)])
