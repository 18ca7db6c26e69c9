"""The settings of one server: read once by ``pdserver run``, handed to its processes as one value."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from paradrop.base.exceptions import InvalidSettings

PORT = 8443
"""What a server listens on when nobody says otherwise."""

DATABASES = frozenset({"sqlite", "postgresql", "postgres", "postgresql+psycopg"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    home: Path
    name: str
    """The server's name as people read it: the machine's, mostly."""
    listen_host: str = ""
    """The address to listen on; empty: every IPv4 address, ``::``: every address."""
    listen_port: int = PORT
    url: str
    """Where devices and people find the server: ``https://host:port``."""
    database: str = field(default="", repr=False)
    """A URL, perhaps with a password in it; empty: SQLite in the home."""
    certificate: Path | None = None
    """The operator's own certificate (PEM, with what it was issued by after it); none: one that the home's authority issued."""
    key: Path | None = None
    max_message: int = 4 << 20
    """Bytes. RawSocket can say powers of two up to 16 MiB only."""
    patience: float = 20.0
    """Seconds from a connection to a joined session."""
    strangers: int = 16_384
    """Connections that have not joined; the oldest makes room for one more. See :attr:`strangers_allowed`."""
    connections: int = 50_000
    """Of any kind at a time: below what the process may have as open files."""
    device_quota: int = 1 << 30
    """Bytes of source that may wait for one device that is away."""
    log_level: str = "warn"
    """Of the Crossbar node: none, error, warn, info, debug or trace."""

    lean: bool = True
    """Whether the router worker does without the packages that it imports and never uses: see :mod:`pdserver.lean`."""

    @property
    def strangers_allowed(self) -> int:
        """:attr:`strangers` with room for others among :attr:`connections`: where these are all taken, Crossbar refuses whoever
        comes next, and those who say nothing would keep everybody out."""
        return min(self.strangers, self.connections * 3 // 4)

    @property
    def authority_pinned(self) -> bool:
        """Whether the server's certificate is its own making, so that tokens must say by what to verify it."""
        return self.certificate is None

    def to_json(self) -> bytes:
        """For the pipe to a child process: a command line and an environment can be read by others."""
        return json.dumps(asdict(self), default=str).encode()

    @classmethod
    def from_json(cls, data: bytes) -> ServerSettings:
        """The inverse of :meth:`to_json`."""
        values: dict[str, Any] = json.loads(data)
        for name in ("home", "certificate", "key"):
            values[name] = None if values[name] is None else Path(values[name])
        return cls(**values)


def read_listen(text: str) -> tuple[str, int]:
    """``HOST:PORT``, ``:PORT``, ``PORT`` or ``[IPv6]:PORT`` → host and port. Raises :class:`InvalidSettings`."""
    host, _, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise InvalidSettings(f"--listen {text}: an IPv6 address is written in brackets, as in [::]:{PORT}")
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise InvalidSettings(f"--listen {text}: HOST:PORT is needed, or a port alone, from 1 to 65535")
    return ("" if host in ("*", "0.0.0.0") else host), int(port)  # noqa: S104 - "everything" is what it means here


def read_url(text: str) -> str:
    """A server's public URL in its short form, ``https://host[:port]``. Raises :class:`InvalidSettings`."""
    try:
        parts = urlsplit(text.strip())
        port, host = parts.port, parts.hostname
    except ValueError:
        raise InvalidSettings(f"--url {text}: that is no URL") from None
    if parts.scheme != "https" or not host or parts.username is not None:
        raise InvalidSettings(f"--url {text}: it must be https://HOST or https://HOST:PORT")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InvalidSettings(f"--url {text}: nothing may follow the port")
    shown = f"[{host}]" if ":" in host else host
    return f"https://{shown}:{port}" if port is not None else f"https://{shown}"


def host_of(url: str) -> str:
    """The host of a URL that :func:`read_url` has accepted."""
    return urlsplit(url).hostname or ""


def read_database(text: str) -> str:
    """A database's URL as it is. Raises :class:`InvalidSettings`, which does not quote it: there may be a password in it."""
    scheme, separator, rest = text.strip().partition("://")
    if scheme not in DATABASES or not separator or not rest:
        raise InvalidSettings("the database's URL must begin with postgresql:// or sqlite:///, and name a database")
    return text.strip()
