"""The schema's history, by Alembic. It is part of the package and found as such: a wheel brings it along.

A change of ``schema.py`` comes with a new file in ``versions``, whose ``down_revision`` is the newest one until then.
"""

from __future__ import annotations

import threading

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from paradrop.base.exceptions import InvalidSettings

_ONE = threading.Lock()
"""``alembic.context`` and ``alembic.op`` are one in a process."""


def upgrade(connection: Connection) -> None:
    """Bring the database to the newest revision, in the transaction that *connection* is in."""
    config = Config()
    config.set_main_option("script_location", f"{__name__}:")
    config.attributes["connection"] = connection  # not by URL, which may hold a password
    try:
        with _ONE:
            command.upgrade(config, "head")
    except CommandError:
        raise InvalidSettings("the server's database was made by a newer version of pdserver") from None
