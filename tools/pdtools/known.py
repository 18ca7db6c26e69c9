"""The servers a person has logged in to, and the keys that say who they are: files of their own, readable by nobody else.

``$XDG_CONFIG_HOME/paradrop`` (XDG Base Directory Specification; ``~/.config/paradrop`` without it) has ``servers.yaml``, and in
``keys`` one key for each server. Nothing in the challenge that a WAMP-cryptosign session signs says whose it is: a server that is
run by somebody bad could have a person sign another server's challenge, and be that person there, if one key were good at both.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, urlsplit

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
    """The server that is meant: by name, by URL, or by a host with no other server of theirs.

    Raises :class:`AuthenticationError` without any, :class:`InvalidInput` when it is not clear.
    """
    if said:
        url = tidy(said) if "://" in said or ":" in said else None
        for one in known:
            if said == one.name or url == one.url:
                return one
        there = [one for one in known if urlsplit(one.url).hostname == said.lower()]
        if len(there) == 1:
            return there[0]
        if there:
            raise InvalidInput(f"You know several servers at {said}: say one of {', '.join(one.name for one in there)}.")
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
        self._keys = folder / "keys"

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
        """Keep a server, instead of what was known of the same URL; its name is made one that no other has.

        A server with another authority is another server, at the same URL too: the key for the one that was there goes.
        """
        known = self.known()
        others = [one for one in known if one.url != url]
        taken = {one.name for one in others}
        host = url.partition("://")[2]
        server = KnownServer(name=name if name and name not in taken else host, url=url, user=user, authority=authority)
        self._save([*others, server])
        for one in known:
            if one.url == url and one.authority != authority:
                self.key_file(one.url, one.authority).unlink(missing_ok=True)
        return server

    def forget(self, server: KnownServer) -> None:
        """Remove what is known of *server*, and the key for it."""
        self.key_file(server.url, server.authority).unlink(missing_ok=True)
        self._save([one for one in self.known() if one.url != server.url])

    def _save(self, known: list[KnownServer]) -> None:
        self._own_folder(self._folder)
        ordered = sorted(known, key=lambda one: one.name)
        write_atomically(self._file, yaml.safe_dump(plain(ordered), sort_keys=False).encode(), 0o600)

    def key_file(self, url: str, authority: str) -> Path:
        """Where the key is for the server at *url* (see :func:`tidy`) that is verified by *authority*; no two share one."""
        place = quote(url.partition("://")[2], safe=":[]")
        return self._keys / (f"{place}-{sha256(authority.encode()).hexdigest()[:16]}" if authority else place)

    def key(self, server: KnownServer) -> Key:
        """This person's key for *server*.

        Raises :class:`AuthenticationError` without one, :class:`InvalidSettings` when it is not fit.
        """
        return self._read(self.key_file(server.url, server.authority), server.url)

    def own_key(self, url: str, authority: str) -> Key:
        """This person's key for the server at *url* that is verified by *authority*, made now if there was none.

        It is kept from now on, whether or not the server is remembered: a login whose answer was lost is tried again with it.
        """
        file = self.key_file(url, authority)
        if not file.exists():
            self._own_folder(self._folder)
            self._own_folder(self._keys)
            write_atomically(file, (Key.generate().secret() + "\n").encode(), 0o600)
        return self._read(file, url)

    def _read(self, file: Path, url: str) -> Key:
        again = f"log in again with a new code: pdtools server login {url}"
        try:
            mode, text = file.stat().st_mode, file.read_text(encoding="ascii")
        except FileNotFoundError:
            raise AuthenticationError(f"Your key for {url} is gone from {self._keys}; {again}") from None
        except (OSError, UnicodeDecodeError) as problem:
            raise InvalidSettings(f"{file} cannot be read: {problem}") from problem
        if stat.S_IMODE(mode) & 0o077:
            raise InvalidSettings(f"{file} could be read by others than you. If none has: chmod 600 {file}")
        try:
            return Key.read(text.strip())
        except InvalidInput:
            raise InvalidSettings(f"{file} is damaged. Remove it, and {again}") from None

    @staticmethod
    def _own_folder(folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
