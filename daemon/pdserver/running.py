"""What ``pdserver run`` keeps running: the two programs of a server, and what each of them may know."""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from paradrop.base._files import write_atomically
from pdserver import lean
from pdserver.home import ServerHome
from pdserver.node import configuration
from pdserver.settings import ServerSettings
from pdserver.supervisor import Program

FILES = 65_536
"""Open files that a server wants to be allowed: every device is one."""
OURS = 512
"""Open files that are no connections."""
HARMLESS = ("HOME", "LANG", "LANGUAGE", "PATH", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""What a child sees of the environment; and of every locale variable, and for the service libpq's own (``PG…``)."""

LEAN = str(Path(lean.__file__).parent)
"""On the node's module path; see :mod:`pdserver.lean.sitecustomize`."""

OPENSSL = """\
openssl_conf = paradrop
[paradrop]
ssl_conf = every
[every]
system_default = groups
[groups]
Groups = X25519:P-256:P-384
"""
"""What the node's OpenSSL reads (config(5ssl)), unless ``pdserver run`` was given an ``OPENSSL_CONF`` of the operator's.

Its usual first choice, X25519MLKEM768, has it keep 9.5 kB more for each connection as long as that lasts (OpenSSL 4.0.3), of
47 kB in all: 95 MB with 10,000 devices.
"""


def programs(settings: ServerSettings, environment: Mapping[str, str], port_open: Callable[[], bool]) -> list[Program]:
    """The node and the service. Neither sees a secret on its command line or in its environment."""
    home = ServerHome(settings.home)
    leash = (sys.executable, "-m", "pdserver.leash", str(os.getpid()))
    crossbar = (str(Path(sys.executable).parent / "crossbar"), "start", "--cbdir", str(home.node))
    node = Program(
        name="node",
        command=(*leash, *crossbar, "--loglevel", settings.log_level, "--color", "false"),
        environment=for_node(settings, environment),
        folder=str(home.node),
        ready=port_open,
    )
    service = Program(
        name="service",
        command=(*leash, sys.executable, "-u", "-m", "pdserver.component"),
        environment=for_child(environment, "PG"),
        folder=str(home.root),
        stdin=settings.to_json(),
        output=to_operator,
    )
    return [node, service]


def for_node(settings: ServerSettings, environment: Mapping[str, str]) -> dict[str, str]:
    """What the node sees of *environment*. An ``OPENSSL_CONF`` in it wins over :data:`OPENSSL`."""
    own = environment.get("OPENSSL_CONF") or str(ServerHome(settings.home).node / "openssl.cnf")
    return for_child(environment) | {"OPENSSL_CONF": own} | ({"PYTHONPATH": LEAN} if settings.lean else {})


def for_child(environment: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """The part of *environment* that a child needs; ``PDSERVER_DATABASE`` and whatever else there is stays out."""
    kept = {name: value for name, value in environment.items() if name in HARMLESS or name.startswith(("LC_", *prefixes))}
    # The folder a child runs in must not be imported from.
    return kept | {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}


def write_node(settings: ServerSettings, chain: int) -> None:
    """Write the node's configuration, and forget which process ran here before: Crossbar would refuse to start if another
    Crossbar of this machine had that number now, and the home's lock says that none runs here."""
    home = ServerHome(settings.home)
    write_atomically(home.node / "openssl.cnf", OPENSSL.encode(), 0o600)
    text = json.dumps(configuration(settings, chain), indent=2)
    write_atomically(home.node / "config.json", f"{text}\n".encode(), 0o600)
    with suppress(FileNotFoundError):
        (home.node / "node.pid").unlink()


def allow_files() -> int:
    """Raise the limit of open files as far as permitted; returns it. Children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    endless = resource.RLIM_INFINITY
    tries = [FILES if hard == endless else max(hard, FILES), FILES if hard == endless else hard]
    for files in tries:
        with suppress(OSError, ValueError):  # only root may go above the hard limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, max(files, hard) if hard != endless else hard))
            return files
    return soft


def connections_for(files: int) -> int:
    """How many connections fit into that many open files."""
    return max(64, files - OURS)


def check_port(host: str, port: int) -> None:
    """Raises ``OSError``, with a sentence for the operator, when nobody can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as problem:
            where = f"{host or 'any address'}, port {port}"
            raise OSError(problem.errno, f"cannot listen on {where}: {problem.strerror}; choose another with --listen") from None


def name_to_reach(machine: str) -> str:
    """What others may find this machine by: its name, or the address it speaks to others from where its name is none."""
    with suppress(OSError):
        socket.getaddrinfo(machine, None)
        return machine
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # an address of RFC 5737, and UDP: nothing is sent
        return str(probe.getsockname()[0])
    return "localhost"


def answers(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    here = {"": "127.0.0.1", "::": "::1"}.get(host, host)
    with socket.socket(socket.AF_INET6 if ":" in here else socket.AF_INET) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((here, port)) == 0


def to_operator(data: bytes) -> None:
    """Pass on what the service prints. An operator who has gone away loses it, and nothing else."""
    with suppress(OSError):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
