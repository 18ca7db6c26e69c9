"""``pdserver simulate``: a fleet on this machine, for seeing what a server bears."""

from __future__ import annotations

import json
import os
import secrets
import ssl
import time
from pathlib import Path
from typing import Any

import click

from paradrop.base.exceptions import InvalidSettings
from pdserver.home import ServerHome
from pdserver.settings import PORT

PATH = click.Path(path_type=Path)


@click.command()
@click.option("--home", type=PATH, help="A server's home here: the devices' keys come from the seed.")
@click.option("--devices", type=click.IntRange(min=1), default=100, show_default=True, help="How many, with --home.")
@click.option("--seed", default="", help="With --home: every key follows from it. --enrol without one draws one, and prints it.")
@click.option("--organization", default="sim", show_default=True, help="What the pdids begin with.")
@click.option("--enrol", is_flag=True, help="Only create the devices in the registry; the server must not run.")
@click.option("--database", envvar="PDSERVER_DATABASE", default="", help="The registry's, where it is not SQLite in the home.")
@click.option("--devices-file", type=PATH, help="Instead of a seed: a line a device, pdid and private key. For any server.")
@click.option("--address", default=f"rss://127.0.0.1:{PORT}", show_default=True, help="rss://HOST:PORT of the server.")
@click.option("--authority", type=PATH, help="Certificate (PEM) to verify the server by.")
@click.option("--processes", type=click.IntRange(min=1), default=os.cpu_count() or 1, show_default=True)
@click.option("--rate", type=click.FloatRange(min=0), default=0.0, help="Devices that join in a second; 0: as many as can.")
@click.option("--joining", type=click.IntRange(min=1), default=100, show_default=True, help="So many at a time, at first.")
@click.option("--tick", type=click.FloatRange(min=0), default=0.0, help="Seconds between two events of each device; 0: none.")
@click.option("--calls", type=click.FloatRange(min=0), default=0.0, help="Calls a second among them, once all have joined.")
@click.option("--seconds", type=click.FloatRange(min=0), default=0.0, help="End after so long; 0: when interrupted.")
def simulate(
    home: Path | None,
    devices: int,
    seed: str,
    organization: str,
    enrol: bool,
    database: str,
    devices_file: Path | None,
    address: str,
    authority: Path | None,
    processes: int,
    rate: float,
    joining: int,
    tick: float,
    calls: float,
    seconds: float,
) -> int:
    """Simulate a fleet of devices: real sessions, each with its own key and prefix, in few processes.

    With --home, first with --enrol while the server is stopped, and then while it runs with the --seed which that has printed.
    Prints what they do as JSON, a line a second; each device offers chute.sim.echo and publishes chute.sim.tick.
    """
    from pdserver.simulate.crew import Plan
    from pdserver.simulate.fleet import SeededFleet, read_address, read_devices

    if (home is None) == (devices_file is None):
        raise InvalidSettings("one of --home and --devices-file is needed")
    if home is not None and not seed:
        if not enrol:
            raise InvalidSettings("--home needs the --seed that --enrol has printed")
        seed = secrets.token_hex(16)  # one that others can guess would let them be any of these devices
    fleet = (
        SeededFleet(seed, devices, organization)
        if devices_file is None
        else read_devices(devices_file.read_text("ascii", errors="replace"))
    )
    if enrol:
        if home is None:
            raise InvalidSettings("--enrol needs --home: the registry is there")
        return _enrol(ServerHome(home.absolute()), database, fleet, seed)
    read_address(address)
    if authority is None and home is not None and (own := ServerHome(home).authority).exists():
        authority = own
    plan = Plan(
        address=address,
        authority=_certificate(authority) if authority else "",
        fleet=fleet,
        processes=processes,
        rate=rate,
        joining=joining,
        tick=tick,
    )
    return _run(plan, calls, seconds)


def _certificate(path: Path) -> str:
    """The text of *path*. Raises :class:`InvalidSettings` when it is no certificate."""
    text = path.read_text("ascii", errors="replace")
    try:
        ssl.PEM_cert_to_DER_cert(text)
    except ValueError:
        raise InvalidSettings(f"--authority {path}: that is no certificate (PEM)") from None
    return text


def _enrol(home: ServerHome, database: str, fleet: Any, seed: str) -> int:
    from twisted.internet.defer import Deferred

    from paradrop.base.seams import inline
    from pdserver.simulate.enrol import enrol

    made: list[int] = []
    # Nothing else runs here, so that nothing waits for a thread.
    Deferred.fromCoroutine(enrol(home, database, fleet, inline, time.time)).addCallbacks(made.append, _raise)
    print(json.dumps({"event": "enrolled", "created": made[0], "devices": len(fleet), "seed": seed}))
    return 0


def _raise(failure: Any) -> None:
    failure.raiseException()


def _run(plan: Any, calls: float, seconds: float) -> int:
    import txaio

    txaio.use_twisted()
    from twisted.internet import reactor as global_reactor  # noqa: TID251 - this is an entry point
    from twisted.internet.defer import CancelledError, Deferred

    from pdserver.simulate.watching import watch

    reactor: Any = global_reactor
    ended: list[Any] = []

    def begin() -> None:
        watching = Deferred.fromCoroutine(watch(reactor, plan, calls, seconds, lambda line: print(json.dumps(line), flush=True)))
        watching.addErrback(lambda failure: failure.trap(CancelledError) and None).addBoth(finish)
        stopped: Deferred[None] = Deferred()
        watching.addBoth(lambda _: stopped.callback(None))

        def stop() -> Deferred[None]:
            watching.cancel()
            return stopped

        reactor.addSystemEventTrigger("before", "shutdown", stop)

    def finish(outcome: Any) -> None:
        ended.append(outcome)
        if reactor.running:
            reactor.callLater(0, _stop, reactor)

    reactor.callWhenRunning(begin)
    reactor.run()
    for outcome in ended:
        if hasattr(outcome, "raiseException"):
            outcome.raiseException()
    return 0


def _stop(reactor: Any) -> None:
    from twisted.internet.error import ReactorNotRunning

    try:
        reactor.stop()
    except ReactorNotRunning:
        return
