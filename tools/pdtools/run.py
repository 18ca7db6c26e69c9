"""Builds everything, runs one command, and turns its end into an exit code: the only place that prints an error."""

from __future__ import annotations

import os
import platform
import sys
import time
import webbrowser
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from paradrop.base.exceptions import ParadropException
from paradrop.claim import accept
from paradrop.tokens import Token
from paradrop.uris import CHUTE_AREA, LOCAL, SERVER
from paradrop.values import Welcome
from pdtools.app import App
from pdtools.cli import cli
from pdtools.driver import drive
from pdtools.fabric import Fabric
from pdtools.show import standard
from pdtools.target import Place, Target
from pdtools.wamp import dial

T = TypeVar("T")
INTERRUPTED = 130
"""128 + SIGINT, as a shell has it."""


def run(arguments: Sequence[str], reactor: Any) -> int:
    """Run one command on this process's streams and *reactor*; returns the exit code."""

    async def dialled(target: Target) -> Fabric:
        return await dial(target, reactor)

    def driven(work: Coroutine[Any, Any, T]) -> T:
        return drive(reactor, work)

    async def accepted(url: str, token: Token, public_key: str, label: str) -> Welcome:
        return await accept(reactor, url, token, public_key, label, kind="user")

    app = App(
        show=standard(),
        place=Place(directory=Path.cwd(), home=Path.home(), uid=os.geteuid(), environment=os.environ, machine=platform.node()),
        wall=time.time,
        clock=reactor,
        dial=dialled,
        accept=accepted,
        drive=driven,
        browser=webbrowser.open if _has_display(os.environ, sys.platform) else None,
        interactive=sys.stdin.isatty() and sys.stderr.isatty(),
    )
    return execute(arguments, app)


def execute(arguments: Sequence[str], app: App) -> int:
    """One command: its exit code, after its error, if any, was said on standard error."""
    try:
        result = cli.main(list(arguments), prog_name="pdtools", standalone_mode=False, obj=app)
        app.show.flush()
    except ParadropException as problem:
        app.show.error(_as_typed(str(problem)))
        return problem.exit_code
    except click.ClickException as usage:
        usage.show()
        return usage.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has seen enough. Python flushes once more at its end: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return result if isinstance(result, int) else 0


def _as_typed(sentence: str) -> str:
    """*sentence* with names as a person writes them: ``hello.greet``, not the whole URI."""
    return sentence.replace(LOCAL + CHUTE_AREA, "").replace(LOCAL, "").replace(SERVER, "server.")


def _has_display(environment: Mapping[str, str], platform: str) -> bool:
    return platform == "darwin" or any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
