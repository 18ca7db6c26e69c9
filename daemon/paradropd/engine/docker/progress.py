"""What Docker tells while it builds or pulls."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

KEPT_LINES = 20
"""How many of the last lines of a failed build its error quotes."""

Output = Callable[[str], None]

_LAYER = re.compile(r" ---> ([0-9a-f]{12})\n")
_NOT_MADE = re.compile(r" ---> Using cache\n|Step \d+/\d+ : FROM ", re.IGNORECASE)
"""What comes before a layer that was there before the build (Docker's classic builder, 20.10)."""


class Progress:
    """Docker's messages about a build or a pull, as lines; remembers the end and the error."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._before = ""
        self.last: deque[str] = deque(maxlen=KEPT_LINES)
        self.error = ""
        self.image = ""
        """The id of what was built, once Docker says it."""
        self.layers: list[str] = []
        """Short ids of what the steps left, oldest first. A step may print such a line itself, so they are only a claim."""

    def take(self, message: Mapping[str, Any]) -> None:
        if "error" in message:
            self.error = str(message["error"])
            self._lines(self.error)
        elif "stream" in message:
            self._step(str(message["stream"]))
            self._lines(str(message["stream"]))
        elif "status" in message and not message.get("progressDetail"):
            self._lines(": ".join(str(message[part]) for part in ("id", "status") if message.get(part)))
        elif "aux" in message:
            self.image = str(message["aux"].get("ID", self.image))

    def _step(self, text: str) -> None:
        if not text.strip():
            return
        layer = _LAYER.fullmatch(text)
        if layer and not _NOT_MADE.match(self._before):
            self.layers.append(layer[1])
        self._before = text

    def _lines(self, text: str) -> None:
        for line in text.splitlines():
            if line.strip():
                self.last.append(line)
                self._output(line)
