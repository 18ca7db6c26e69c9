"""Links of simulated devices: those of :func:`paradrop.uplink.link`, but for one TLS configuration that they share."""

from __future__ import annotations

import socket
from typing import Any

from OpenSSL.SSL import Error
from twisted.internet.ssl import Certificate, optionsForClientTLS, platformTrust, trustRootFromCertificates

from paradrop.base.exceptions import InvalidInput
from paradrop.keys import Key
from paradrop.uplink import Behind, Link, UplinkSession, link
from pdserver.simulate.fleet import read_address
from pdserver.simulate.tally import Wire


class _Way:
    """A reactor whose connections begin at one address of this machine, with TLS where that is wanted."""

    def __init__(self, reactor: Any, source: str, tls: Any) -> None:
        self._reactor = reactor
        self._from = (source, 0) if source else None
        self._tls = tls
        self.connectors: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def connectTCP(self, host: str, port: int, factory: Any) -> Any:
        if self._tls is None:
            connector = self._reactor.connectTCP(host, port, factory, bindAddress=self._from)
        else:
            connector = self._reactor.connectSSL(host, port, factory, self._tls, bindAddress=self._from)
        self.connectors.append(connector)
        return connector


class KeylessSession(UplinkSession):
    """For a router that asks nobody who they are: to compare with."""

    def onConnect(self) -> None:
        """Implements :func:`autobahn.wamp.interfaces.ISession.onConnect`."""
        self.join(self.config.realm, authmethods=["anonymous"])


class Links:
    """Makes a link for each device, and keeps it."""

    def __init__(self, reactor: Any, address: str, authority: str = "", source: str = "", keyless: bool = False) -> None:
        """Raises :class:`InvalidInput` when *address* or *authority* (PEM) is none."""
        secure, host, place = read_address(address)
        # A TLS configuration for each device would cost more time than its handshake, and this machine's, not the server's.
        self._way = _Way(reactor, source, _verified(host, authority) if secure else None)
        self._address = f"rs://{place}"
        self._session = KeylessSession if keyless else UplinkSession
        self._links: list[Link] = []

    def add(self, pdid: str, key: Key, behind: Behind) -> None:
        """Link this device, for ever."""
        self._links.append(link(self._way, self._address, pdid, key, behind, session=self._session))

    def wire(self) -> Wire:
        """What went over the connections that there are now, since each of them was made."""
        return Wire.sum(map(_counted, self._way.connectors))

    def stop(self) -> None:
        """End all links, for good."""
        for each in self._links:
            each.stop()


def _counted(connector: Any) -> Wire:
    handle = getattr(connector.transport, "socket", None)
    if not isinstance(handle, socket.socket) or handle.fileno() < 0:
        return Wire(0, 0, 0)
    return Wire.read(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256))


def _verified(host: str, authority: str) -> Any:
    try:
        trust = trustRootFromCertificates([Certificate.loadPEM(authority.encode())]) if authority else platformTrust()
    except (Error, ValueError) as problem:
        raise InvalidInput(f"the server's authority is not a certificate: {problem}") from problem
    return optionsForClientTLS(host, trustRoot=trust)
