"""The server's certificates and keys in its home: made at first start, read at every other."""

from __future__ import annotations

import datetime
import ipaddress
import socket
from collections.abc import Iterable
from pathlib import Path

import psutil

from paradrop.base._files import write_atomically
from paradrop.base.exceptions import InvalidSettings
from pdserver.certificates import Pair, check_time, general_name, issue, make_authority, read_pair, still_good
from pdserver.home import ServerHome
from pdserver.node import CERTIFICATE, KEY, chain_file
from pdserver.settings import ServerSettings, host_of

SECRET = 0o600


class Keyring:
    """Effects on the home's ``keys`` folder. A key and its certificate share a file, so that one is never without the other."""

    def __init__(self, home: ServerHome) -> None:
        self._home = home
        self._authority = home.keys / "authority.pem"
        self._server = home.keys / "server.pem"

    def serving(self, settings: ServerSettings, names: Iterable[str], now: datetime.datetime) -> Pair:
        """What the TLS port shows: the operator's own certificate, or the home's for *names*, issued anew where needed.

        Raises :class:`InvalidSettings` (a file is unreadable or wrong), :class:`StorageFull`, ``OSError``.
        """
        if settings.certificate is not None:
            if settings.key is None:
                raise InvalidSettings("--certificate needs --key")
            pair = read_pair(_read(settings.certificate), _read(settings.key), str(settings.certificate), str(settings.key))
            check_time(pair, now, str(settings.certificate))
            return pair
        if settings.key is not None:
            raise InvalidSettings("--key needs --certificate")
        names = sorted(set(names))
        authority = self.authority(settings.name, now)
        if self._server.exists():
            pair = self._load(self._server)
            if still_good(pair, authority, names, now):
                return pair
        pair = issue(authority, names, now)
        self._save(self._server, pair)
        return pair

    def authority(self, name: str, now: datetime.datetime) -> Pair:
        """The home's authority: made when there is none. Raises like :meth:`serving`."""
        if self._authority.exists():
            pair = self._load(self._authority)
        else:
            pair = make_authority(name, now)
            self._save(self._authority, pair)
        if not self._home.authority.exists() or self._home.authority.read_bytes() != pair.certificate_pem:
            write_atomically(self._home.authority, pair.certificate_pem, 0o644)
        return pair

    def known_authority(self) -> bytes:
        """The certificate (DER) of the authority that is there. Raises :class:`InvalidSettings`."""
        return self._load(self._authority).der

    def install(self, pair: Pair) -> None:
        """Lay *pair* out for the node, which takes one certificate a file."""
        files = {CERTIFICATE: pair.certificate_pem, KEY: pair.key_pem}
        files |= {chain_file(number): pem for number, pem in enumerate(pair.chain_pem, 1)}
        for name, data in files.items():
            write_atomically(self._home.node / name, data, SECRET)

    def _save(self, path: Path, pair: Pair) -> None:
        write_atomically(path, pair.certificate_pem + pair.key_pem, SECRET)

    def _load(self, path: Path) -> Pair:
        data = _read(path)
        try:
            return read_pair(data, data, str(path), str(path))
        except InvalidSettings as problem:
            raise InvalidSettings(f"{problem}. Restore it from a backup; devices trust no other authority") from None


def names_of_machine(url: str, listen_host: str = "") -> list[str]:
    """Every name and address of this machine that a client might come by, and the host of *url*."""
    names = {"localhost", socket.gethostname(), listen_host}
    for addresses in psutil.net_if_addrs().values():
        names.update(each.address for each in addresses if each.family in (socket.AF_INET, socket.AF_INET6))
    return sorted({host_of(url), *filter(usable, names)})


def usable(name: str) -> bool:
    """Whether a certificate can be for it, and a client could come by it: no ``0.0.0.0``, no ``fe80::1%eth0``."""
    try:
        general_name(name)
        return "%" not in name and not ipaddress.ip_address(name).is_unspecified
    except InvalidSettings:
        return False
    except ValueError:
        return bool(name)  # a host name


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise InvalidSettings(f"{path}: cannot be read: {problem.strerror}") from None
