"""SQLAlchemy's engines for the two databases, set up so that both behave alike: a writing transaction has the database to itself
from its beginning, waits a bounded time for that, and is on the disk when it is committed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import StaticPool

from paradrop.base.exceptions import DatabaseUnavailable, InvalidSettings

WRITERS = 0x7061_7261_6472_6F70
"""The advisory lock that writers hold on PostgreSQL: "paradrop" in ASCII."""
SLOWEST = 30
"""Seconds a statement may take on PostgreSQL."""


def read_url(text: str) -> URL:
    """Raises :class:`InvalidSettings`, without quoting *text*, which may hold a password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    if url is not None and url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url is not None and url.drivername == "sqlite" and not url.host:
        return url
    raise InvalidSettings("database: sqlite:////absolute/path/of/server.db or postgresql://user:password@host:port/database")


def in_memory(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")


def make_engine(url: URL, patience: float) -> Engine:
    """*patience*: seconds to wait for a lock, a connection or a place in the pool."""
    return _sqlite(url, patience) if url.get_backend_name() == "sqlite" else _postgresql(url, patience)


def begin_writing(connection: Connection) -> None:
    """The first thing of a writing transaction. What it checks is then still so when it writes."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(WRITERS)))


def _sqlite(url: URL, patience: float) -> Engine:
    options: dict[str, Any] = {"hide_parameters": True}
    if in_memory(url):
        options["poolclass"] = StaticPool  # one connection is one such database
    else:
        _make_file(Path(str(url.database)))
        options["pool_timeout"] = patience
    # Isolation level None: sqlite3 begins no transactions on its own, and leaves that to BEGIN below.
    arguments = {"timeout": patience, "check_same_thread": False, "isolation_level": None}
    engine = create_engine(url, connect_args=arguments, **options)

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        # In WAL mode the default would lose the last commits when the power fails, and a device has its key only once.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _make_file(path: Path) -> None:
    """Let the file be there, readable by this user only; SQLite gives its companions the same mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as problem:
        raise DatabaseUnavailable(f"{path} cannot be opened: {problem.strerror}") from None


def _postgresql(url: URL, patience: float) -> Engine:
    arguments: dict[str, Any] = {
        "connect_timeout": max(2, round(patience)),  # libpq takes no less
        "keepalives_idle": 10,
        "tcp_user_timeout": 10_000,  # milliseconds: a connection that was cut without a word is noticed
        "application_name": "pdserver",
    }
    engine = create_engine(
        url,
        connect_args={name: value for name, value in arguments.items() if name not in url.query},
        hide_parameters=True,
        pool_pre_ping=True,  # after a restart of PostgreSQL the pool is full of dead connections
        pool_timeout=patience,
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {max(1, round(patience * 1000))}")
            cursor.execute(f"SET statement_timeout = {SLOWEST * 1000}")
        connection.commit()

    return engine
