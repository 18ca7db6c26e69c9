"""Output streams: each turns what it is called with into a *log structure*, and a log structure into a line for the console.

A log structure is a dict with at least ``message`` and ``type`` (a :class:`Level`'s name). It also has ``timestamp`` (seconds
since the epoch), ``package``, ``module`` and ``line`` of the code that spoke, and ``extra``, a dict of whatever it added.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from types import FrameType, MappingProxyType
from typing import Any, ClassVar

from twisted.logger import LogLevel, formatEvent
from twisted.python.failure import Failure
from twisted.python.log import textFromEventDict

from paradrop.base.pdutils import stimestr

LogDict = dict[str, Any]
Prefix = tuple[str, str, int]
"""Package, module and line of some code."""


class Level(Enum):
    """How much a message matters. ``HEADER`` is a heading: it is kept wherever ``INFO`` is."""

    HEADER = 1
    VERBOSE = 2
    INFO = 3
    PERF = 4
    WARN = 5
    ERR = 6

    @property
    def weight(self) -> int:
        """What a threshold is compared with."""
        return Level.INFO.value if self is Level.HEADER else self.value


OURS = frozenset({__name__, "paradrop.base.output", "paradrop.base._capture"})
"""Modules that pass a message on: the caller is looked for above them."""


def logPrefix(stepsUp: int | None = None) -> Prefix:
    """Who called: package, module and line.

    *stepsUp* counts from the function that calls this one (0), over its caller (1), upwards; without it, the first caller outside
    the output modules is taken. Empty names and line 0 when there is nobody that far up.
    """
    frame: FrameType | None = sys._getframe(1)
    steps = stepsUp
    while frame is not None and (frame.f_globals.get("__name__") in OURS if steps is None else steps > 0):
        frame = frame.f_back
        steps = None if steps is None else steps - 1
    if frame is None:
        return "", "", 0
    package, _, module = str(frame.f_globals.get("__name__", "")).rpartition(".")
    return package, module, frame.f_lineno


def parseLogPrefix(tb: Sequence[Any]) -> Prefix:
    """Package, module and line of the innermost entry of a traceback, as ``traceback.extract_tb`` gives it."""
    if not tb:
        return "", "", 0
    filename, line = tb[-1][0], tb[-1][1]
    path = PurePath(str(filename))
    return path.parent.name, path.stem, int(line or 0)


class BaseOutput:
    """A stream of one level: the text of its arguments, with a space between them. Keyword arguments become ``extra``."""

    def __init__(self, logType: Level) -> None:
        self.type = logType

    def __call__(self, *args: Any, **extra: Any) -> LogDict | None:
        """The log structure; ``None`` when there is nothing to say."""
        return self.structure(" ".join(str(arg) for arg in args), logPrefix(), extra)

    def structure(self, message: str, prefix: Prefix, extra: Mapping[str, Any]) -> LogDict:
        """A log structure of this stream's level."""
        package, module, line = prefix
        return {
            "message": message,
            "type": self.type.name,
            "package": package,
            "module": module,
            "line": line,
            "extra": {key: value if isinstance(value, str | int | float | None) else str(value) for key, value in extra.items()},
        }

    def formatOutput(self, logDict: LogDict) -> str:
        """A log structure as a line (or several) for the console."""
        where = ".".join(part for part in (logDict.get("package"), logDict.get("module")) if part)
        if where and logDict.get("line"):
            where += f":{logDict['line']}"
        extra = "".join(f" {key}={value}" for key, value in (logDict.get("extra") or {}).items())
        moment = stimestr(logDict.get("timestamp"))
        return f"{moment} {logDict['type']:<7} {f'[{where}] ' if where else ''}{logDict['message']}{extra}"


class ExceptionOutput(BaseOutput):
    """Takes an exception, or Twisted's ``Failure``, and perhaps a sentence: ``out.exception(error, "while starting")``.

    Without an argument, the exception that is being handled is meant. The message has the whole traceback, and the place is
    where the exception was raised.
    """

    def __call__(self, *args: Any, **extra: Any) -> LogDict | None:
        error, *rest = args or (sys.exception(),)
        prefix = logPrefix()
        if isinstance(error, Failure):
            text = error.getTraceback()
        elif isinstance(error, BaseException):
            text = "".join(traceback.format_exception(error))
            if error.__traceback__ is not None:
                prefix = parseLogPrefix(traceback.extract_tb(error.__traceback__))
        else:
            text = str(error)
        return self.structure("\n".join([*map(str, rest), text.rstrip()]), prefix, extra)


TWISTED_LEVELS: Mapping[Any, Level] = MappingProxyType(
    {
        LogLevel.debug: Level.VERBOSE,
        LogLevel.info: Level.INFO,
        LogLevel.warn: Level.WARN,
        LogLevel.error: Level.ERR,
        LogLevel.critical: Level.ERR,
    }
)


class TwistedOutput(BaseOutput):
    """Takes an event of Twisted's logging, of the new kind or the old; the event's own level counts, if it has one."""

    blacklist: ClassVar[list[str]] = ["Starting factory", "Stopping factory", "Log opened"]
    """Beginnings of messages that nobody needs."""

    def __call__(self, *args: Any, **extra: Any) -> LogDict | None:
        (event,) = args
        message = event_text(event)
        if not message or any(message.startswith(beginning) for beginning in self.blacklist):
            return None
        return self.event(event, message, extra)

    def event(self, event: Mapping[str, Any], message: str, extra: Mapping[str, Any]) -> LogDict:
        """The log structure of an *event* with that *message*."""
        package, _, module = _namespace(event).rpartition(".")
        result = self.structure(message, (package, module, 0), extra)
        level = TWISTED_LEVELS.get(event.get("log_level"))
        if level is not None:
            result["type"] = level.name
        moment = event.get("log_time", event.get("time"))
        if moment is not None:
            result["timestamp"] = moment
        return result


class TwistedException(TwistedOutput):
    """Takes an event of Twisted's logging that carries a failure; the message has the whole traceback."""

    def __call__(self, *args: Any, **extra: Any) -> LogDict | None:
        (event,) = args
        failure = event.get("log_failure") or event.get("failure")
        parts = [event_text(event), failure.getTraceback().rstrip() if isinstance(failure, Failure) else ""]
        return self.event(event, "\n".join(part for part in parts if part), extra)


def event_text(event: Mapping[str, Any]) -> str:
    """The message of a Twisted event.

    An event of a category that has no format (Crossbar 26.10.1 logs so) is told by the category and its values.
    """
    if "log_format" not in event and "log_level" not in event:
        return textFromEventDict(dict(event)) or ""
    text = formatEvent(dict(event))
    if text or "log_category" not in event:
        return text
    values = (f"{key}={value}" for key, value in event.items() if not key.startswith("log_"))
    return " ".join([str(event["log_category"]), *values])


SECRETS: tuple[re.Pattern[str], ...] = (
    re.compile(r"""(?i)((?:password|passwd|secret|token|api_?key)\w*["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s,;&"'}\])]+)"""),
    re.compile(r"(?i)(\bbearer\s+)([\w.~+/=-]+)"),
)
"""What no log may tell: group 1 stays, the rest of a match is masked."""


def masked(extra: Mapping[str, Any], patterns: Sequence[re.Pattern[str]]) -> dict[str, Any]:
    """*extra*, with the values masked that the *patterns* find in ``key=value``."""
    pairs = {key: f"{key}={value}" for key, value in extra.items()}
    return {key: value if redacted(pairs[key], patterns) == pairs[key] else "***" for key, value in extra.items()}


def redacted(text: str, patterns: Sequence[re.Pattern[str]]) -> str:
    """*text* with what the *patterns* find masked."""
    for pattern in patterns:
        text = pattern.sub(r"\1***", text)
    return text


def _namespace(event: Mapping[str, Any]) -> str:
    """Who says it; what goes through Twisted's old logging says of itself only that it does."""
    namespace = str(event.get("log_namespace") or "")
    return "twisted" if namespace == "log_legacy" else namespace or str(event.get("system") or "")
