"""The servers a person has logged in to, and the key that says who they are: files of their own, readable by nobody else.

``$XDG_CONFIG_HOME/paradrop`` (XDG Base Directory Specification; ``~/.config/paradrop`` without it) has ``servers.yaml`` and
``key``. One key serves for all servers: a server learns nothing of it but its public half.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from paradrop.base._files import write_atomically
from paradrop.base.exceptions import AuthenticationError, InvalidInput, InvalidSettings
from paradrop.claim import address
from paradrop.keys import Key
from paradrop.values import plain, read
from pdtools.target import Login, Place, Target

CONFIG_VARIABLE = "XDG_CONFIG_HOME"
SERVER_VARIABLE = "PARADROP_SERVER"
NO_LOGIN = "You are not logged in to a server: pdtools server login URL, with the code that its administrator gives you."


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownServer:
    """A server that knows this person."""

    name: str
    """What the server calls itself; no two known ones have the same."""
    url: str
    """As it was typed at the login: what is right from here."""
    user: str
    authority: str = field(default="", repr=False)
    """The certificate (PEM) to verify it by; empty: by the system's authorities."""

    def target(self, key: Key, pdid: str | None = None) -> Target:
        """A session there: on the device *pdid*, or on the server's own procedures."""
        return Target(address(self.url), self.url, Login(self.user, key, self.authority), pdid)


def tidy(typed: str) -> str:
    """A server's URL as it is kept, from what a person typed: ``shop.example`` is ``https://shop.example:8443``.

    Raises :class:`InvalidInput` when it can be none.
    """
    scheme, _, rest = address(typed).partition("://")
    return f"{'https' if scheme == 'rss' else scheme}://{rest}"


def pick(known: Sequence[KnownServer], said: str | None) -> KnownServer:
    """The server that is meant. Raises :class:`AuthenticationError` without any, :class:`InvalidInput` when it is not clear."""
    if said:
        url = tidy(said) if "://" in said or ":" in said else None
        for one in known:
            if said == one.name or url == one.url:
                return one
        names = f"Known: {', '.join(one.name for one in known)}." if known else "There is none yet."
        raise AuthenticationError(f"You are not logged in to a server {said!r}. {names} See: pdtools server login")
    if not known:
        raise AuthenticationError(NO_LOGIN)
    if len(known) > 1:
        raise InvalidInput(f"You know several servers: say --server and one of {', '.join(one.name for one in known)}.")
    return known[0]


class Servers:
    """What this person knows of servers, on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "servers.yaml"
        self._key = folder / "key"

    @classmethod
    def of(cls, place: Place) -> Servers:
        """Those of whoever runs the command. A relative ``$XDG_CONFIG_HOME`` counts for nothing, as its specification says."""
        said = Path(place.environment.get(CONFIG_VARIABLE, ""))
        return cls((said if said.is_absolute() else place.home / ".config") / "paradrop")

    def known(self) -> list[KnownServer]:
        """Raises :class:`InvalidSettings` when the file is none of ours."""
        try:
            text = self._file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as problem:
            raise InvalidSettings(f"{self._file} cannot be read: {problem}") from problem
        try:
            return read(list[KnownServer], yaml.safe_load(text) or [])
        except (yaml.YAMLError, InvalidInput) as problem:
            raise InvalidSettings(f"{self._file} is damaged. Remove it, and log in again.") from problem

    def remember(self, name: str, url: str, user: str, authority: str) -> KnownServer:
        """Keep a server, instead of what was known of the same URL; its name is made one that no other has."""
        others = [one for one in self.known() if one.url != url]
        taken = {one.name for one in others}
        host = url.partition("://")[2]
        server = KnownServer(name=name if name and name not in taken else host, url=url, user=user, authority=authority)
        self._save([*others, server])
        return server

    def forget(self, server: KnownServer) -> None:
        self._save([one for one in self.known() if one.url != server.url])

    def _save(self, known: list[KnownServer]) -> None:
        self._own_folder()
        ordered = sorted(known, key=lambda one: one.name)
        write_atomically(self._file, yaml.safe_dump(plain(ordered), sort_keys=False).encode(), 0o600)

    def key(self) -> Key:
        """This person's key. Raises :class:`AuthenticationError` without one, :class:`InvalidSettings` when it is not fit."""
        try:
            mode, text = self._key.stat().st_mode, self._key.read_text(encoding="ascii")
        except FileNotFoundError:
            raise AuthenticationError(NO_LOGIN) from None
        except (OSError, UnicodeDecodeError) as problem:
            raise InvalidSettings(f"{self._key} cannot be read: {problem}") from problem
        if stat.S_IMODE(mode) & 0o077:
            raise InvalidSettings(f"{self._key} could be read by others than you. If none has: chmod 600 {self._key}")
        try:
            return Key.read(text.strip())
        except InvalidInput:
            raise InvalidSettings(f"{self._key} is damaged. Remove it, and log in again with a new code.") from None

    def own_key(self) -> Key:
        """This person's key, made now if there was none."""
        if not self._key.exists():
            self._own_folder()
            write_atomically(self._key, (Key.generate().secret() + "\n").encode(), 0o600)
        return self.key()

    def _own_folder(self) -> None:
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._folder.chmod(0o700)
