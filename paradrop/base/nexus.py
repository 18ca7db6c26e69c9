"""The device's command centre: who it is, its keys, and its session with the server.

::

    from paradrop.base import nexus

    print(nexus.core.info.pdid)
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Awaitable
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import yaml
from autobahn.wamp.exception import Error as AutobahnError

from paradrop.base import output, settings
from paradrop.base._files import write_atomically
from paradrop.base._info import AttrWrapper, info_problems, validateInfo, writeYaml
from paradrop.base.exceptions import InvalidInput, InvalidSettings, PdidError
from paradrop.base.seams import WallClock
from paradrop.logstore import LogStore

__all__ = ["AttrWrapper", "NexusBase", "Session", "SessionClass", "core", "resolveInfo", "validateInfo", "writeYaml"]

PDID = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*")
"""A device's id: components of a WAMP URI in small letters, such as ``pd.acme.r1``."""

NOT_PDIDS = frozenset({"local", "server", "error"})
"""First components below ``org.paradrop.`` that mean something else; see ``paradrop.uris``."""

KEY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Session(Protocol):
    """A session that is connected."""

    def stop(self) -> Awaitable[None] | None:
        """Close it cleanly, and do not reconnect."""


class SessionClass(Protocol):
    """``paradrop.base.cxbr.BaseSession`` and its subclasses."""

    def start(self, address: str, pdid: str, *, debug: bool = False) -> Awaitable[Session]:
        """Connect to the router at *address* as *pdid*; see the reference for more keywords."""


class NexusBase:
    """Everything stateful about a device that is not a chute.

    * *stealStdio*, *printToConsole*: passed on to :meth:`paradrop.base.output.Output.startLogging` by :meth:`onStart`.
    * *config*: the settings that say where the info file, the keys and the logs are; those in force unless given.
    * *out*: where to log, and *logs* the store it writes to: one of its own in ``log_dir`` unless given.
    * *wall*: the clock of that store.

    Raises :class:`InvalidSettings` when the info file is there and cannot be read; it is left as it is.
    """

    PDID: str | None = None
    """The device's id, once it is provisioned."""

    def __init__(
        self,
        stealStdio: bool = True,
        printToConsole: bool = True,
        *,
        config: settings.Settings | None = None,
        out: output.Output = output.out,
        logs: LogStore | None = None,
        wall: WallClock = time.time,
    ) -> None:
        self.config = settings.current() if config is None else config
        self.out = out
        self._own_logs = logs is None
        self.logs = logs or LogStore(self.config.log_dir, wall, self.config.log_segment, self.config.log_cap)
        self.stealStdio = stealStdio
        self.printToConsole = printToConsole
        self.session: Session | None = None
        self.info = AttrWrapper()
        resolveInfo(self, self.config.config_file)
        self.info.setOnChange(self.onInfoChange)

    def onStart(self) -> None:
        """Begin logging."""
        level = output.Level[self.config.log_level.upper()]
        self.out.startLogging(None, self.stealStdio, self.printToConsole, level=level, store=self.logs)
        self.out.info(f"starting, {f'as {self.PDID}' if self.provisioned() else 'not provisioned'}")

    async def onStop(self) -> None:
        """Close the session and end logging."""
        await self._end_session()
        self.out.info("stopped")
        self.out.endLogging()
        if self._own_logs:
            self.logs.close()

    async def connect(self, sessionClass: SessionClass, debug: bool = False) -> Session:
        """Close the session there is, and start one of *sessionClass* with the device's router.

        Raises :class:`PdidError` when the device is not provisioned, and whatever ``start`` raises.
        """
        if not self.provisioned():
            raise PdidError("this device has no pdid yet: provision it first")
        await self._end_session()
        session = await sessionClass.start(self.info.wampRouter, self.info.pdid, debug=debug)
        await self._end_session()  # one that was started while we waited
        self.session = session
        return session

    async def _end_session(self) -> None:
        session, self.session = self.session, None
        if session is None:
            return
        try:
            ended = session.stop()
            if inspect.isawaitable(ended):
                await ended
        except (AutobahnError, OSError) as problem:  # it was lost already
            self.out.verbose(f"ending the old session: {problem}")

    def onInfoChange(self, key: str, value: Any) -> None:
        """Called when something in ``info`` was assigned: it is saved. Raises ``StorageFull``; the old value is then back."""
        if not validateInfo(self.info.contents):
            raise InvalidInput(f"{key}: {value!r} is not a value for it")
        self.save()

    def save(self) -> None:
        """Write ``info`` to its file. Raises ``StorageFull``, with the old file still there."""
        writeYaml(self.info.contents, self.config.config_file)

    def provision(self, pdid: str, pdserver: str = "", wampRouter: str = "wss://", keys: str = "") -> None:
        """Become *pdid* on that server: all is saved at once, or nothing. *keys* says which of the saved keys are meant for it.

        Raises :class:`PdidError` when *pdid* is not one, :class:`InvalidInput` for a value that is not text, ``StorageFull``.
        """
        if not PDID.fullmatch(pdid) or len(pdid) > 255 or pdid.split(".")[0] in NOT_PDIDS:
            raise PdidError(f"{pdid!r} is not a device id: components of small letters and digits, with dots between them")
        contents = {**self.info.contents, "pdid": pdid, "pdserver": pdserver, "wampRouter": wampRouter, "keys": keys}
        if problems := info_problems(contents):
            raise InvalidInput("; ".join(problems))
        writeYaml(contents, self.config.config_file)
        self.info.contents.update(contents)
        self.PDID = pdid

    def unprovision(self) -> None:
        """Be nobody again. Raises ``StorageFull``; nothing has changed then."""
        contents = {**self.info.contents, "pdid": None, "pdserver": "", "wampRouter": "", "keys": ""}
        writeYaml(contents, self.config.config_file)
        self.info.contents.update(contents)
        self.PDID = None

    def provisioned(self) -> bool:
        """Whether this device has an id."""
        return bool(self.info.pdid)

    def saveKey(self, key: str, name: str) -> None:
        """Save *key* under *name*, readable by this user only; overwrites. Raises :class:`InvalidInput` for a bad name."""
        path = self._key_path(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, key.encode(), 0o600)

    def getKey(self, name: str) -> str | None:
        """The key saved under *name*, or ``None``. Raises :class:`InvalidInput` for a bad name."""
        try:
            return self._key_path(name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def removeKey(self, name: str) -> None:
        """Forget the key saved under *name*, if there is one. Raises :class:`InvalidInput` for a bad name."""
        self._key_path(name).unlink(missing_ok=True)

    def keyNames(self) -> list[str]:
        """The names under which keys are saved."""
        try:
            return sorted(path.name for path in self.config.key_dir.iterdir() if KEY_NAME.fullmatch(path.name))
        except FileNotFoundError:
            return []

    def _key_path(self, name: str) -> Path:
        if not KEY_NAME.fullmatch(name):
            raise InvalidInput(f"{name!r} is not the name of a key")
        return self.config.key_dir / name


def resolveInfo(nexus: NexusBase, path: Path | str) -> None:
    """Load the info file at *path* into ``nexus.info``; a device that has none yet is nobody.

    ``version`` is always that of the running code. Raises :class:`InvalidSettings`, which names the file and the place.
    """
    contents: dict[str, Any] = {"pdid": None, "pdserver": "", "wampRouter": "", "keys": ""}
    try:
        read = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        read = {}
    except (yaml.YAMLError, ValueError) as problem:  # ValueError: not UTF-8, or a date that is none
        raise InvalidSettings(f"{path}: {' '.join(str(problem).split())}") from problem
    problems = info_problems(read)
    if problems:
        raise InvalidSettings("\n".join(f"{path}: {problem}" for problem in problems))
    nexus.info.contents.update({**contents, **read, "version": metadata.version("paradrop")})
    nexus.PDID = nexus.info.pdid


core: NexusBase | None = None
"""The process's own nexus. The entry point sets it, and nothing in Paradrop reads it: parts get what they need as parameters. It
is here for code that knows the reference's name."""
