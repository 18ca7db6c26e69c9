"""The service process: ``python -m pdserver.component``, started by the supervisor, with its settings on standard input.

What it prints goes to the operator; its log goes to standard error, which the supervisor keeps.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import txaio
from twisted.internet.defer import Deferred
from twisted.logger import FilteringLogObserver, Logger, LogLevel, LogLevelFilterPredicate, globalLogBeginner, textFileLogObserver

from paradrop.base._running import end
from paradrop.base._running import run as run_reactor
from paradrop.base.exceptions import InteralException, ParadropException
from paradrop.base.seams import in_thread
from pdserver.home import ServerHome
from pdserver.keyring import Keyring
from pdserver.settings import ServerSettings

log = Logger(namespace="pdserver")


def announce(line: str) -> None:
    """Say one line to the operator."""
    print(line, flush=True)


def authority_of(home: ServerHome, settings: ServerSettings) -> bytes:
    """What tokens carry, as DER: nothing when the operator's own certificate is shown."""
    return Keyring(home).known_authority() if settings.authority_pinned else b""


def run(settings: ServerSettings) -> int:
    """Run until SIGTERM. Returns the exit code: 0, or that of the error that kept the service from starting."""
    from twisted.internet import reactor as global_reactor  # noqa: TID251 - this is an entry point

    from pdserver.service import Service  # only now: it imports the database

    reactor: Any = global_reactor
    txaio.use_twisted()
    txaio.set_global_log_level("warn")
    _log_to(sys.stderr)
    home = ServerHome(settings.home)
    service = Service(
        reactor=reactor,
        wall=time.time,
        threads=in_thread,
        settings=settings,
        home=home,
        authority=authority_of(home, settings),
        announce=announce,
        end=lambda: end(reactor),
    )
    exit_code = 0

    def give_up(code: int, reason: object) -> None:
        nonlocal exit_code
        exit_code = code
        print(f"Error: {reason}", file=sys.stderr, flush=True)
        end(reactor)

    async def start() -> None:
        try:
            await service.start()
        except ParadropException as problem:
            give_up(problem.exit_code, problem)
        except Exception:  # noqa: BLE001 - whatever it is, it is logged, and the supervisor tries again
            log.failure("the service cannot go on")
            give_up(70, InteralException.sentence())  # EX_SOFTWARE of sysexits(3)

    async def stop() -> None:
        try:
            await service.stop()
        except Exception:  # noqa: BLE001 - the end comes anyway
            log.failure("the service did not stop as it should")

    run_reactor(reactor, lambda: Deferred.fromCoroutine(start()), stop)
    return exit_code


def _log_to(stream: Any) -> None:
    """Warnings and worse, with their tracebacks."""
    observer = FilteringLogObserver(textFileLogObserver(stream), [LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)


def main() -> int:
    return run(ServerSettings.from_json(sys.stdin.buffer.read()))


if __name__ == "__main__":
    sys.exit(main())
