"""A private PostgreSQL: its own data, its own socket, no port; gone at the end, however the tests end."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psycopg

PATIENCE = 60.0
"""Seconds after which something that should have happened is taken to have failed."""
ADMINISTRATOR = "postgres"
STRANGER, PASSWORD = "ada", "correct-horse-battery"
"""A role that has to give its password; everybody else is let in."""


def binaries() -> Path | None:
    """The folder with ``initdb`` and ``postgres``: Debian keeps it off PATH, one for each version."""
    found = shutil.which("postgres")
    if found is not None:
        return Path(found).resolve().parent
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


class PostgreSQL:
    """One cluster; :meth:`create` makes an empty database in it."""

    def __init__(self) -> None:
        folder = binaries()
        assert folder is not None, "this machine has no postgresql"
        self._bin = folder
        # Not below pytest's own folder: PostgreSQL runs as another user, and a socket's path may have 107 bytes only.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._data = self.folder / "data"
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PostgreSQL:
        try:
            if os.geteuid() == 0:
                os.chown(self.folder, _other_user().pw_uid, _other_user().pw_gid)
            arguments = ["-D", self._data, "-U", ADMINISTRATOR, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
            subprocess.run([*_as_other_user(), self._bin / "initdb", *arguments], check=True, capture_output=True, cwd="/")
            access = self._data / "pg_hba.conf"
            access.write_text(f"local all {STRANGER} scram-sha-256\nlocal all all trust\n")
            self.start()
            self.ask(f"CREATE ROLE {STRANGER} LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        settings = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={self.folder}", "-c", "fsync=off"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_as_other_user(), self._bin / "postgres", "-D", self._data, *settings], stdout=log, stderr=log, cwd="/"
            )
        deadline = time.monotonic() + PATIENCE
        while subprocess.run([self._bin / "pg_isready", "-q", "-h", self.folder], timeout=PATIENCE).returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self.folder / "log").read_text())
            time.sleep(0.02)

    def stop(self) -> None:
        """At once: whoever is connected is cut off (PostgreSQL, "Shutting Down the Server": fast)."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)

    def create(self) -> str:
        """The URL of a new, empty database."""
        name = f"test{next(self._numbers)}"
        self.ask(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, database: str = "postgres", user: str = ADMINISTRATOR, password: str = "") -> str:
        """As an operator writes it."""
        whom = f"{user}:{quote(password, safe='')}" if password else user
        return f"postgresql://{whom}@/{database}?host={self.folder}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection that commits each statement."""
        return psycopg.connect(host=str(self.folder), dbname=database, user=ADMINISTRATOR, autocommit=True)

    def ask(self, statement: str) -> None:
        with self.connect() as connection:
            connection.execute(statement)


def _other_user() -> pwd.struct_passwd:
    """PostgreSQL does not run as root."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise AssertionError("this machine has no user postgres and no nobody")


def _as_other_user() -> list[str]:
    """What to put before a command: it then ends with us, even if we are killed."""
    if shutil.which("setpriv") is None:
        assert os.geteuid() != 0, "PostgreSQL does not run as root, and there is no setpriv"
        return []
    command = ["setpriv", "--pdeathsig", "INT"]
    if os.geteuid() == 0:
        user = _other_user()
        command += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return command
