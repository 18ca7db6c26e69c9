"""Output of the daemon: capture, storage and display.

::

    from paradrop.base.output import out

    out.info("chute started", chute="hello")
    out.exception(error, "while starting")

``out`` prints to the console as it comes. :meth:`Output.startLogging` also writes a log (source ``daemon`` of the log store),
takes over stdio when asked, and gathers what Twisted, Autobahn and Crossbar log; :meth:`Output.endLogging` puts everything back.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Full
from types import MappingProxyType
from typing import Any, TextIO, cast

from twisted.logger import ILogObserver, LogPublisher, globalLogPublisher

from paradrop.base._capture import OutputRedirect
from paradrop.base._printing import BACKLOG, SOURCE, Backlog, PrintLogThread, structures
from paradrop.base._streams import (
    SECRETS,
    BaseOutput,
    ExceptionOutput,
    Level,
    LogDict,
    TwistedException,
    TwistedOutput,
    logPrefix,
    masked,
    parseLogPrefix,
    redacted,
)
from paradrop.base.exceptions import InvalidInput
from paradrop.base.seams import WallClock
from paradrop.logstore import LogStore
from paradrop.logstore.segment import day_of

__all__ = [
    "SOURCE",
    "BaseOutput",
    "ExceptionOutput",
    "Level",
    "LogDict",
    "Output",
    "OutputRedirect",
    "PrintLogThread",
    "TwistedException",
    "TwistedOutput",
    "logPrefix",
    "out",
    "parseLogPrefix",
]

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
LONGEST_SHOWN = 8000
"""Characters of a message on the console; the log has all of it."""

COLOURS = MappingProxyType({"HEADER": "95", "VERBOSE": "2", "PERF": "36", "WARN": "33", "ERR": "31"})
"""SGR parameters (ECMA-48) by level, for a console that is a terminal; INFO is plain."""

PATIENCE = 5.0
"""Seconds that ending waits for a slow disk."""


class Output:
    """Streams by name: ``Output(info=BaseOutput(Level.INFO))`` makes ``output.info("…")`` work.

    A name that is no stream can be called all the same, and does nothing, so that code that speaks on an optional stream needs no
    test for it. ``redact`` is a list of patterns, of which everything after group 1 is masked in every message.
    """

    def __init__(self, *, wall: WallClock = time.time, **streams: BaseOutput) -> None:
        self.redact = list(SECRETS)
        self._wall = wall
        self._streams = streams
        self._level = Level.VERBOSE
        self._console = True
        self._thread: PrintLogThread | None = None
        self._store: LogStore | None = None
        self._owned = False
        self._redirects: dict[str, OutputRedirect] = {}
        self._publisher: LogPublisher | None = None
        self._lost = 0
        for name, stream in streams.items():
            setattr(self, name, partial(self._say, stream))

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("_"):
            raise AttributeError(name)
        return _nothing

    def startLogging(
        self,
        filePath: Path | str | None = None,
        stealStdio: bool = False,
        printToConsole: bool = True,
        *,
        level: Level = Level.VERBOSE,
        store: LogStore | None = None,
        publisher: LogPublisher = globalLogPublisher,
    ) -> None:
        """Begin logging; ends it first when it has begun.

        * *filePath*: folder of the log; without it, and without *store*, nothing is written.
        * *stealStdio*: whether what is printed (stdout as INFO, stderr as WARN) goes to the log.
        * *printToConsole*: whether messages are shown on the console too, with warnings and errors on stderr.
        * *level*: messages of a lesser level are dropped.
        * *store*: the log store to write to, when it exists already.
        * *publisher*: Twisted's; a process that wants its early events too, and critical ones on the console only once, has its
          entry point call ``globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)`` after this.
        """
        self.endLogging()
        self._level, self._console = level, printToConsole
        self._owned = store is None
        if store is None and filePath is not None:
            store = LogStore(Path(filePath), self._wall)
        if store is not None:
            self._store = store
            self._thread = PrintLogThread(store.folder, Backlog(BACKLOG), SOURCE, store=store)
            self._thread.start()
        if stealStdio:
            for name, kind in (("stdout", Level.INFO), ("stderr", Level.WARN)):
                self._redirects[name] = OutputRedirect(getattr(sys, name), self._captured, kind)
                setattr(sys, name, self._redirects[name])
        self._publisher = publisher
        publisher.addObserver(cast(ILogObserver, self._observe))

    def endLogging(self) -> None:
        """Put stdio and Twisted's observers back, write all that waits, and close the log. Nothing to do when not logging."""
        if self._publisher is not None:
            self._publisher.removeObserver(cast(ILogObserver, self._observe))
            self._publisher = None
        for name, redirect in self._redirects.items():
            redirect.finish()
            if getattr(sys, name) is redirect:  # else somebody has put theirs on top, and ours cannot be taken out
                setattr(sys, name, redirect.output)
        self._redirects = {}
        thread, self._thread = self._thread, None
        if thread is not None and thread.finish(PATIENCE) and self._owned:
            thread.store.close()
        self._level, self._console = Level.VERBOSE, True

    def handlePrint(self, logDict: LogDict | None) -> None:
        """Where every message goes: it gets what it lacks, and then to the log and the console.

        *logDict* must have ``message`` and ``type`` (a :class:`Level` or its name), or :class:`InvalidInput` is raised; ``None``
        is a message that its stream has dropped.
        """
        if logDict is None:
            return
        try:
            kind = logDict["type"]
            level = kind if isinstance(kind, Level) else Level[kind]
            message = redacted(str(logDict["message"]), self.redact)
        except KeyError as problem:
            raise InvalidInput(f"not a log structure: {problem}") from problem
        if level.weight < self._level.weight:
            return
        logDict = {"timestamp": self._wall(), **logDict, "type": level.name, "message": message}
        if logDict.get("extra"):
            logDict["extra"] = masked(logDict["extra"], self.redact)
        self._store_away(logDict)
        if self._console:
            self._show(logDict, level)

    def messageToString(self, message: LogDict) -> str:
        """A log structure as the console shows it, by the rules of its own stream."""
        for stream in self._streams.values():
            if stream.type.name == message["type"]:
                return stream.formatOutput(message)
        return BaseOutput(Level.INFO).formatOutput(message)

    def getLogsSince(self, target: float, purge: bool = False) -> Iterator[LogDict]:
        """The log structures later than *target*, in seconds since the epoch, oldest first.

        They are read from disk one by one as they are asked for, and files that can hold no newer ones are not opened. What was
        said before this call is among them, unless the disk is slow. With *purge*, the files of all days before today are deleted
        once the last structure was taken.
        """
        if self._thread is not None:
            self._thread.flush(1.0)
        return iter(()) if self._store is None else self._read(self._store, target, purge)

    def _read(self, store: LogStore, target: float, purge: bool) -> Iterator[LogDict]:
        yield from structures(store, target)
        if purge:
            store.purge_before(day_of(self._wall()), SOURCE)

    def _say(self, stream: BaseOutput, /, *args: Any, **extra: Any) -> None:
        if stream.type.weight >= self._level.weight:
            self.handlePrint(stream(*args, **extra))

    def _captured(self, logDict: LogDict, output: TextIO) -> None:
        self.handlePrint(logDict)

    def _observe(self, event: dict[str, Any]) -> None:
        stream = self._streams.get("twistedErr" if event.get("log_failure") else "twisted")
        if stream is not None:
            self.handlePrint(stream(event))

    def _store_away(self, logDict: LogDict) -> None:
        if self._thread is None:
            return
        try:
            if self._lost:
                lost = f"{self._lost} messages were lost here: the disk is too slow"
                self._thread.queue.put_nowait({"message": lost, "type": Level.WARN.name, "timestamp": logDict["timestamp"]})
                self._lost = 0
            self._thread.queue.put_nowait(logDict)
        except Full:
            self._lost += 1

    def _show(self, logDict: LogDict, level: Level) -> None:
        name = "stderr" if level.value >= Level.WARN.value else "stdout"
        redirect = self._redirects.get(name)
        target: TextIO | None = getattr(sys, name) if redirect is None else redirect.output
        if target is None:  # a process without a console
            return
        text = _harmless(self.messageToString(logDict))
        with suppress(OSError, ValueError):  # the console may be gone; the daemon is not
            if target.isatty() and level.name in COLOURS:
                text = f"\033[{COLOURS[level.name]}m{text}\033[0m"
            target.write(text + "\n")
            target.flush()


def _harmless(text: str) -> str:
    """*text* for a screen: messages quote what others have sent, which must neither steer it nor pass for lines of our own."""
    cut = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} … ({len(text)} characters)"
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", cut).replace("\n", "\n    ")


def _nothing(*args: Any, **kwargs: Any) -> None:
    """What a stream that is not there does."""


out = Output(
    header=BaseOutput(Level.HEADER),
    testing=BaseOutput(Level.VERBOSE),
    verbose=BaseOutput(Level.VERBOSE),
    info=BaseOutput(Level.INFO),
    usage=BaseOutput(Level.INFO),
    perf=BaseOutput(Level.PERF),
    warn=BaseOutput(Level.WARN),
    err=BaseOutput(Level.ERR),
    fatal=BaseOutput(Level.ERR),
    exception=ExceptionOutput(Level.ERR),
    twisted=TwistedOutput(Level.INFO),
    twistedErr=TwistedException(Level.ERR),
)
"""The process's own output."""
