"""A device behind a node in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autobahn.wamp.types import CallDetails
from twisted.internet.defer import Deferred

from paradrop import uris
from paradrop.base.exceptions import NotFound
from paradrop.keys import Key
from paradrop.manifest import parse
from paradrop.values import ChangeKind, ChangeRecord, ChangeState, ChuteState, ChuteStatus, SourceTree, Want, plain, read


class MemoryDevice:
    """A device behind its own prefix: it keeps blobs, takes deploys, and says what runs."""

    def __init__(self, pdid: str, wall: Callable[[], float]) -> None:
        self.pdid = pdid
        self.key = Key.generate()
        self.blobs: dict[str, bytes] = {}
        self.changes: list[ChangeRecord] = []
        """The oldest first."""
        self.trees: list[SourceTree] = []
        self.calls: list[str] = []
        self.refusing: dict[str, Exception] = {}
        """By procedure: raised instead of an answer."""
        self.losing: dict[str, Exception] = {}
        """By procedure: raised after it was done."""
        self.waiting: dict[str, Deferred[None]] = {}
        """By procedure: waited for before it is done."""
        self.ends = ChangeState.DONE
        self._wall = wall

    async def answer(self, *args: Any, details: CallDetails, **kwargs: Any) -> Any:
        name = str(details.procedure).removeprefix(uris.device_space(self.pdid))
        self.calls.append(name)
        if name in self.waiting:
            await self.waiting[name]
        if name in self.refusing:
            raise self.refusing[name]
        answer = self._do(name, *args, **kwargs)
        if name in self.losing:
            raise self.losing.pop(name)
        return plain(answer)

    def _do(self, name: str, *args: Any, **kwargs: Any) -> Any:
        match name:
            case uris.BLOBS_MISSING:
                return [digest for digest in args[0] if digest not in self.blobs]
            case uris.BLOBS_PUT:
                digest, _, offset, data = args
                whole = self.blobs.get(digest, b"")[:offset] + data
                self.blobs[digest] = whole
                return {"have": len(whole)}
            case uris.CHUTES_DEPLOY:
                return self._deploy(read(SourceTree, args[0]))
            case uris.CHANGES_LIST:
                wanted = [change for change in reversed(self.changes) if kwargs["chute"] in (None, change.chute)]
                return wanted[: kwargs["limit"]]
            case uris.CHANGES_GET:
                return next(change for change in self.changes if change.id == args[0])
            case uris.CHUTES_LIST:
                return [
                    ChuteStatus(
                        name=change.chute,
                        version=change.version,
                        release=1,
                        state=ChuteState.RUNNING,
                        want=Want.RUNNING,
                    )
                    for change in {change.chute: change for change in self.changes}.values()
                ]
        raise NotFound(f"nobody has registered {name}")

    def _deploy(self, tree: SourceTree) -> ChangeRecord:
        self.trees.append(tree)
        manifest = parse(next(self.blobs[entry.sha256] for entry in tree.entries if entry.path == "paradrop.yaml"))
        change = ChangeRecord(
            id=f"c{len(self.changes) + 1}",
            kind=ChangeKind.DEPLOY,
            chute=manifest.name,
            version=manifest.version,
            state=self.ends,
            created=0.0,
            reason="" if self.ends is ChangeState.DONE else "it did not start",
        )
        self.changes.append(change)
        return change
