"""The command line of the server: ``pdserver run``."""

from __future__ import annotations

import datetime
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from paradrop.base.exceptions import ParadropException
from pdserver.home import ServerHome
from pdserver.keyring import Keyring, names_of_machine
from pdserver.nodelog import CappedLog
from pdserver.running import allow_files, answers, check_port, connections_for, name_to_reach, programs, write_node
from pdserver.settings import PORT, ServerSettings, read_database, read_listen, read_url
from pdserver.simulate.command import simulate
from pdserver.supervisor import Supervisor

EX_IOERR = 74
"""Of sysexits(3)."""

PATH = click.Path(path_type=Path)


def main(argv: Sequence[str]) -> int:
    """Run a command; returns the exit code. An error is one line on standard error."""
    try:
        code = commands.main(args=list(argv), prog_name="pdserver", standalone_mode=False)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as problem:
        problem.show()
        return problem.exit_code
    except click.Abort:
        return 1
    except ParadropException as problem:
        say_error(problem)
        return problem.exit_code
    except OSError as problem:
        say_error(problem.strerror if problem.filename is None else problem)
        return EX_IOERR
    return code if isinstance(code, int) else 0


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("paradrop"), prog_name="pdserver")
def commands() -> None:
    """A server that devices and people join: one address space over a fleet."""


commands.add_command(simulate)


@commands.command()
@click.option("--home", required=True, type=PATH, help="Keep everything below this folder.")
@click.option("--listen", default=f":{PORT}", show_default=True, metavar="HOST:PORT", help="Where to listen, with TLS.")
@click.option("--url", metavar="URL", help="Where devices and people find the server: https://HOST:PORT.")
@click.option(
    "--database",
    envvar="PDSERVER_DATABASE",
    default="",
    metavar="URL",
    help="postgresql://… instead of SQLite in the home. Others can see a password here: set PDSERVER_DATABASE instead.",
)
@click.option("--certificate", type=PATH, help="Your own certificate (PEM, with its chain), instead of one made here.")
@click.option("--key", type=PATH, help="The certificate's key (PEM).")
@click.option("--name", metavar="NAME", help="The server's name as people read it; the machine's without it.")
@click.option("--log-level", type=click.Choice(["error", "warn", "info", "debug"]), default="warn", help="Of log/node.log.")
@click.option("--lean/--no-lean", default=True, help="Keep what the router never uses out of its memory (52 MB).")
def run(
    home: Path,
    listen: str,
    url: str | None,
    database: str,
    certificate: Path | None,
    key: Path | None,
    name: str | None,
    log_level: str,
    lean: bool,
) -> int:
    """Run a server until SIGTERM or Ctrl-C."""
    host, port = read_listen(listen)
    machine = socket.gethostname()
    reached = name_to_reach(machine)
    settings = ServerSettings(
        home=home.absolute(),
        name=name or machine,
        listen_host=host,
        listen_port=port,
        url=read_url(url or default_url(host, port, reached)),
        database=read_database(database) if database else "",
        certificate=certificate and certificate.absolute(),
        key=key and key.absolute(),
        connections=connections_for(allow_files()),
        log_level=log_level,
        lean=lean,
    )
    return serve(settings)


def default_url(host: str, port: int, machine: str) -> str:
    """What others may find the server by, as far as the machine itself can know."""
    reached = machine if host in ("", "::") else host
    return f"https://[{reached}]:{port}" if ":" in reached else f"https://{reached}:{port}"


def serve(settings: ServerSettings) -> int:
    """Take the home, make what is missing in it, and run the server's processes. Returns the exit code."""
    home = ServerHome(settings.home)
    with ExitStack() as closing:
        home.make()
        closing.enter_context(home.lock())
        keyring = Keyring(home)
        names = names_of_machine(settings.url, settings.listen_host)
        pair = keyring.serving(settings, names, datetime.datetime.now(datetime.UTC))
        check_port(settings.listen_host, settings.listen_port)
        keyring.install(pair)
        write_node(settings, len(pair.chain))
        return supervise(settings, home)


def supervise(settings: ServerSettings, home: ServerHome) -> int:
    from twisted.internet import reactor as global_reactor  # noqa: TID251 - this is an entry point

    from paradrop.base._running import ENDING
    from paradrop.base._running import run as run_reactor

    reactor: Any = global_reactor
    supervisor = Supervisor(
        reactor,
        programs(settings, os.environ, partial(answers, settings.listen_host, settings.listen_port)),
        tell=say_error,
        log=lambda program: CappedLog(home.logs / f"{program}.log"),
    )

    hang_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)  # nohup(1) means it
    run_reactor(reactor, supervisor.start, supervisor.stop, (*ENDING, *hang_up))
    return 0


def say_error(problem: object) -> None:
    with suppress(OSError):  # an operator who has gone away loses the line, and nothing else
        print(f"pdserver: {problem}", file=sys.stderr, flush=True)
