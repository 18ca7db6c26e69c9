"""Standard output and standard error, taken over so that a ``print`` ends in the log."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Any, TextIO

from paradrop.base._streams import BaseOutput, Level, LogDict, logPrefix

LONGEST = 16 * 1024
"""Characters that are kept of a line without an end, before it counts as a line."""


class OutputRedirect:
    """Stands in for *output* (``sys.stdout`` or ``sys.stderr``) and calls *contentAppearedCallback* for each line written to it.

    The callback gets the line as a log structure of level *logType*, and the true *output*, so that it can tell two redirects
    apart. What is not about writing (``fileno``, ``encoding``, ``buffer``) is the true output's own.
    """

    def __init__(self, output: TextIO, contentAppearedCallback: Callable[[LogDict, TextIO], None], logType: Level) -> None:
        self.output = output
        self.callback = contentAppearedCallback
        self.type = logType
        self._stream = BaseOutput(logType)
        self._rest = ""
        self._lock = RLock()  # the callback may itself print

    def trueWrite(self, contents: str) -> None:
        """Write to the true output, for somebody who really wants to."""
        self.output.write(contents)
        self.output.flush()

    def write(self, contents: str) -> int:
        """Take *contents*: whole lines go to the callback, the rest waits for its end."""
        with self._lock:
            *lines, self._rest = (self._rest + contents).split("\n")
            if len(self._rest) > LONGEST:
                lines.append(self._rest)
                self._rest = ""
        for line in lines:
            self._appeared(line)
        return len(contents)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing: a line waits for its end. See :meth:`finish`."""

    def finish(self) -> None:
        """Pass on the last line, which has no end."""
        with self._lock:
            rest, self._rest = self._rest, ""
        self._appeared(rest)

    def isatty(self) -> bool:
        """No: what is written here ends in a file, where colours are noise."""
        return False

    def _appeared(self, line: str) -> None:
        if line.strip():
            self.callback(self._stream.structure(line.rstrip("\r"), logPrefix(), {}), self.output)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.output, name)
