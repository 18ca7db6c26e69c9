"""Becomes another program, which the kernel kills when this one's parent dies: ``python -m pdserver.leash PARENT PROGRAM …``.

Twisted cannot run code between fork and exec, so that is done here, in a process that then turns into the program: its process
id, pipes and environment stay. The program leads a session of its own: a Ctrl-C at a terminal reaches the supervisor only, and
whatever the program starts is ended with its process group.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1
"""Of prctl(2), Linux only. It holds across execve(2), and is not inherited by children."""


def die_with_parent(parent: int) -> bool:
    """Ask the kernel to kill this process when its parent ends; False when *parent* is gone already."""
    with suppress(AttributeError, OSError):  # another system than Linux: pipes that break must do
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    return os.getppid() == parent


def main() -> None:
    parent, program = int(sys.argv[1]), sys.argv[2:]
    os.setsid()
    if not die_with_parent(parent):
        sys.exit(1)
    os.execv(program[0], program)  # noqa: S606 - that is what this is for


if __name__ == "__main__":
    main()
