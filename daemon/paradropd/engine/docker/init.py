"""Whether a container's command was really executed.

Without an init runc tells when a command cannot be executed. With one (``Init``: tini 0.19 in Docker 20.10 to 28) the start
always succeeds: tini forks, the child fails to execute, and the container ends a moment later with 127. We want
the first behaviour with the second's signals and reaping, so a start looks whether tini's child has become another program.
"""

from __future__ import annotations

import os
from pathlib import Path

COMPLAINT = b"[FATAL tini"
"""How tini begins what it says about a command that cannot be executed."""

CODES = (126, 127)
"""tini's exit codes for it."""


def executed(pid: int) -> bool:
    """Whether the init with process id *pid* has a child that runs another program; ``True`` where we may not look."""
    try:
        init = os.stat(f"/proc/{pid}/exe")  # noqa: PTH116 - a magic link: only its target's identity counts
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except PermissionError:
        return True
    except OSError:
        return False  # it has ended meanwhile
    return any(_program(child) not in (None, (init.st_dev, init.st_ino)) for child in children)


def _program(pid: str) -> tuple[int, int] | None:
    try:
        found = os.stat(f"/proc/{pid}/exe")  # noqa: PTH116
    except OSError:
        return None
    return found.st_dev, found.st_ino


def complaint(said: bytes, exit_code: int | None) -> str:
    """Why the command was not executed, from the first words on stderr and the exit code; empty when it was."""
    line = said.splitlines()[0] if said else b""
    if exit_code in CODES and line.startswith(COMPLAINT):
        return line.partition(b"] ")[2].decode("utf-8", "replace")
    return ""
