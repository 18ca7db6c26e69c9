"""A database's errors in our words: translated here and nowhere else, without statements, values and passwords."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from paradrop.base.exceptions import Conflict, DatabaseUnavailable, InteralException, ParadropException, StorageFull

UNCHANGED = "nothing was changed"
FULL = f"the server's database has no room left; {UNCHANGED}"

SQLITE = {
    "SQLITE_BUSY": "is locked by another program",
    "SQLITE_LOCKED": "is locked by another program",
    "SQLITE_CANTOPEN": "cannot be opened",
    "SQLITE_READONLY": "cannot be written to",
    "SQLITE_PERM": "cannot be written to",
    "SQLITE_IOERR": "cannot be read or written: its disk reports an error",
    "SQLITE_CORRUPT": "is damaged",
    "SQLITE_NOTADB": "is damaged: that file is no database",
    "SQLITE_PROTOCOL": "is locked by another program",
}
"""By primary result code (sqlite.org/rescode.html)."""

POSTGRESQL = {
    "08": "cannot be reached",
    "25": "cannot be written to",
    "28": "does not let the server in",
    "3D": "does not exist",
    "40": "was busy with something that contradicts this",
    "42501": "does not allow the server that",
    "53": "has no resources left",
    "55": "is locked by another program",
    "57": "is shutting down or was too slow",
    "58": "reports an error of its system",
}
"""By SQLSTATE, or its class (PostgreSQL, appendix A)."""


def translated(problem: SQLAlchemyError, secrets: Iterable[str] = ()) -> ParadropException:
    """*secrets* are left out of what the driver says about a connection that could not be made."""
    if isinstance(problem, PoolTimeout):
        return _unavailable("is too busy")
    if isinstance(problem, IntegrityError):
        return Conflict("that contradicts what is in the database already")
    if isinstance(problem, DBAPIError) and isinstance(problem.orig, sqlite3.Error):
        return _sqlite(problem.orig)
    if isinstance(problem, DBAPIError):
        return _postgresql(problem, secrets)
    return InteralException(f"the database was used in a wrong way ({type(problem).__name__})")


def _unavailable(what: str) -> DatabaseUnavailable:
    return DatabaseUnavailable(f"the server's database {what}; {UNCHANGED}")


def _sqlite(problem: sqlite3.Error) -> ParadropException:
    # The extended code's name begins with the primary's: SQLITE_IOERR_WRITE, SQLITE_BUSY_SNAPSHOT.
    name: str = getattr(problem, "sqlite_errorname", "") or type(problem).__name__
    if name.startswith("SQLITE_FULL"):
        return StorageFull(FULL)
    for code, words in SQLITE.items():
        if name.startswith(code):
            return _unavailable(words)
    return InteralException(f"the database refused a statement ({name})")


def _postgresql(problem: DBAPIError, secrets: Iterable[str]) -> ParadropException:
    state: str = getattr(problem.orig, "sqlstate", None) or ""
    if state == "53100":
        return StorageFull(FULL)
    words = POSTGRESQL.get(state) or POSTGRESQL.get(state[:2])
    if words is not None:
        return _unavailable(words)
    if not state and isinstance(problem, OperationalError | InterfaceError):  # no connection could be made, or it was lost
        said = next(iter(str(problem.orig).strip().splitlines()), "")
        for secret in filter(None, secrets):
            said = said.replace(secret, "…")
        return _unavailable(f"cannot be reached ({said})")
    return InteralException(f"the database refused a statement (SQLSTATE {state or type(problem.orig).__name__})")
