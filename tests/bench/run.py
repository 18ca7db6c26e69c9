"""``make bench``: every benchmark, each against something else in the same run, as one report.

::

    python tests/bench/run.py [--quick] [--only NAME …] [--json FILE]

Nothing here fails because of a time: a target stands beside its figure, and a person decides.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from time import strftime
from typing import Any

SECTIONS = {
    "memory": "bench.memory",
    "start": "bench.start",
    "call": "bench.calls",
    "deploy": "bench.deploy",
    "logs": "bench.history",
    "tail": "bench.tail",
    "hops": "bench.hops",
    "fleet": "bench.fleet",
    "growth": "bench.growth",
    "cluster": "bench.cluster",
}
"""The module of each section; its ``measure(place)`` returns a ``bench.report.Section``."""


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    root = Path(__file__).parents[2]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=list(SECTIONS), help="this section; may be given several times")
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that it works, not to quote")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--paradropd", type=Path, help="the daemon's console script (default: the one beside this Python)")
    parser.add_argument("--hello", type=Path, default=root / "chutes" / "hello", help="chute to deploy (default: chutes/hello)")
    return parser.parse_args(argv)


def machine() -> str:
    """The machine, in a line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{platform.machine()}, {os.cpu_count()} processors, {memory:.0f} GB, {platform.system()} {platform.release()},"
        f" Python {platform.python_version()}"
    )


async def measure(reactor: Any, options: argparse.Namespace) -> int:
    from bench import place as places
    from bench import report

    from paradrop.base.exceptions import ParadropException

    def say(text: str) -> None:
        print(f"… {text}", file=sys.stderr, flush=True)

    client, why = places.look(say)
    place = places.Place(
        reactor=reactor,
        quick=options.quick,
        paradropd=options.paradropd or places.console_script("paradropd"),
        hello=options.hello,
        docker=client,
        why=why,
        say=say,
    )
    load = " / ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"Paradrop's benchmarks, {strftime('%Y-%m-%d %H:%M')}\n{machine()}; load before: {load}")
    print(
        "Read: p50 / p99 of many values, min / median / max of few. Targets are shown, not enforced." + " QUICK" * options.quick
    )
    sections, code = [], 0
    for name in options.only or SECTIONS:
        try:
            section = await import_module(SECTIONS[name]).measure(place)
        except (places.NotMeasured, ParadropException) as problem:
            section, code = report.Section(name=name, title="could not be measured", notes=(str(problem),)), 1
        sections.append(section)
        report.show(section, sys.stdout)
    if client is not None:
        client.close()
    if options.json is not None:
        options.json.write_text(report.document(machine(), sections) + "\n", encoding="utf-8")
    return code


def main() -> None:
    options = arguments(sys.argv[1:])
    # With PYTHONSAFEPATH, as make sets it, the folder of the script is not where modules are looked for.
    sys.path.insert(0, str(Path(__file__).parents[1]))

    import txaio
    from twisted.internet.defer import Deferred
    from twisted.internet.task import react

    txaio.use_twisted()

    def begin(reactor: Any) -> Deferred[Any]:
        running: Deferred[Any] = Deferred.fromCoroutine(measure(reactor, options)).addCallback(sys.exit)
        ended: Deferred[None] = Deferred()

        def stop() -> Deferred[None]:
            # Ctrl-C: what was started is ended before the reactor is.
            running.cancel()
            return ended

        reactor.addSystemEventTrigger("before", "shutdown", stop)
        return running.addBoth(_pass_on, ended)

    react(begin)


def _pass_on(result: Any, ended: Any) -> Any:
    from twisted.internet.defer import CancelledError

    ended.callback(None)
    if isinstance(result.value, CancelledError):
        sys.exit(130)  # as a shell has it for an end by SIGINT
    return result


if __name__ == "__main__":
    main()
