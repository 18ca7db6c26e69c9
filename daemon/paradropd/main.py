"""paradropd: reads its settings, takes its home, and runs one :class:`~paradropd.device.Device` until it is told to end."""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import sys
import time
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from importlib.metadata import version
from typing import Any, TextIO

import txaio
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger, globalLogBeginner

from paradrop.base import nexus as nexus_module
from paradrop.base import settings as settings_module
from paradrop.base._running import end
from paradrop.base._running import run as run_reactor
from paradrop.base.exceptions import InteralException, ParadropException
from paradrop.base.nexus import NexusBase
from paradrop.base.seams import in_thread
from paradrop.base.settings import Mode, Settings
from paradrop.logstore import LogStore
from paradropd.engine.choose import make_engine
from paradropd.home import Home

log = Logger(namespace="paradropd")

M_MMAP_THRESHOLD = -3
"""Of malloc.h."""


CLAIM_TOKEN = "PARADROP_CLAIM_TOKEN"  # noqa: S105 - a name
"""Environment variable."""


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="paradropd", description="Run this machine as a Paradrop device.")
    parser.add_argument("--home", metavar="DIR", help="keep all state and runtime files below DIR")
    parser.add_argument("--mode", choices=[mode.value for mode in Mode], default=Mode.LOCAL.value)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY:VALUE", help="override a setting; may be given several times"
    )
    parser.add_argument(
        "--claim",
        nargs=2,
        metavar=("URL", "TOKEN"),
        help="join that server as soon as it can be reached; a TOKEN of - is read from the environment variable "
        f"{CLAIM_TOKEN} or the first line of stdin, where nobody who lists processes sees it",
    )
    parser.add_argument("--quiet", action="store_true", help="log to the home's log only, not to the console")
    parser.add_argument("--version", action="version", version=f"paradropd {version('paradrop')}")
    return parser.parse_args(argv)


def run(argv: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit code: 0, or that of the error that kept the daemon from starting."""
    options = arguments(argv)
    allow_many_files()
    load = partial(settings_module.loadSettings, options.mode, options.set, home=options.home)
    with ExitStack() as closing:
        try:
            settings = load()
            home = Home.of(settings)
            home.make()
            closing.enter_context(home.lock())
            claim = claim_of(options.claim, os.environ, sys.stdin)
            return _serve(settings, home, load, closing, quiet=options.quiet, claim=claim)
        except ParadropException as problem:
            print(f"paradropd: {problem}", file=sys.stderr)
            return problem.exit_code
        except OSError as problem:
            print(f"paradropd: {problem}", file=sys.stderr)
            return 74  # EX_IOERR of sysexits(3)


def _give_memory_back() -> None:
    """Have glibc return blocks above 1 MiB to the system when they are freed (mallopt(3)).

    By default it keeps the 19 MiB that one password hash needs for good. Another C library is left as it is.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 20)


def allow_many_files() -> None:
    """Raise the soft limit of open files to the hard one. The soft one, mostly 1024, is for programs that use select(2)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # macOS calls its hard limit infinite, and does not take that
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def claim_of(given: Sequence[str] | None, environment: MutableMapping[str, str], stdin: TextIO) -> tuple[str, str] | None:
    """URL and token of ``--claim``. The token of the *environment* is taken out of it: chutes and engines must not inherit it."""
    hidden = environment.pop(CLAIM_TOKEN, "")
    if given is None:
        return None
    url, token = given
    return url, (hidden or stdin.readline().strip()) if token == "-" else token  # noqa: S105 - no token is that short


def _serve(
    settings: Settings,
    home: Home,
    load: Callable[[], Settings],
    closing: ExitStack,
    *,
    quiet: bool,
    claim: tuple[str, str] | None,
) -> int:
    from twisted.internet import reactor as global_reactor  # noqa: TID251 - this is the entry point

    reactor: Any = global_reactor
    _give_memory_back()
    txaio.use_twisted()
    txaio.set_global_log_level("warn")  # Crossbar and Autobahn tell a lot at "info"

    from paradropd.device import Device  # only now: it imports the router

    logs = LogStore(home.logs, time.time, segment_bytes=settings.log_segment, cap_bytes=settings.log_cap)
    closing.callback(logs.close)
    nexus = nexus_module.core = NexusBase(stealStdio=False, printToConsole=not quiet, config=settings, logs=logs)
    nexus.onStart()
    closing.callback(nexus.out.endLogging)
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)

    device = Device(
        reactor=reactor,
        wall=time.time,
        threads=in_thread,
        settings=settings,
        load_settings=load,
        make_engine=partial(
            make_engine, settings=settings, reactor=reactor, threads=in_thread, wall=time.time, environment=os.environ
        ),
        logs=logs,
        version=version("paradrop"),
        identity=nexus,
    )
    exit_code = 0

    async def start() -> None:
        try:
            await device.start()
            log.info("ready: {url}", url=device.url)
            if claim is not None:
                claiming = Deferred.fromCoroutine(device.uplink.claim(*claim))
                claiming.addErrback(lambda failure: log.failure("the claim failed in an unforeseen way", failure=failure))
            await device.run_chutes()
        except ParadropException as problem:
            log.error("{problem}", problem=problem)
            give_up(problem.exit_code, str(problem))
        except (OSError, CannotListenError) as problem:
            log.error("{problem}", problem=problem)
            give_up(74, str(problem))  # EX_IOERR of sysexits(3)
        except Exception:  # noqa: BLE001 - whatever it is, it is logged and ends the daemon
            log.failure("paradropd cannot go on")
            give_up(70, InteralException.sentence())  # EX_SOFTWARE of sysexits(3)

    def give_up(code: int, reason: str) -> None:
        nonlocal exit_code
        exit_code = code
        if quiet:  # else the log has told it to the console
            print(f"paradropd: {reason}", file=sys.stderr)
        end(reactor)

    async def stop() -> None:
        try:
            await device.stop()
        except Exception:  # noqa: BLE001 - the end comes anyway
            log.failure("paradropd did not stop as it should")
        await nexus.onStop()

    run_reactor(reactor, lambda: Deferred.fromCoroutine(start()), stop)
    return exit_code
