"""A WAMP peer over RawSocket that blocks, speaks CBOR, and sends whatever it is told to, right or wrong: for attacks."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import cbor2

from paradrop.keys import Key

HELLO, WELCOME, ABORT, CHALLENGE, AUTHENTICATE, GOODBYE, ERROR = 1, 2, 3, 4, 5, 6, 8
PUBLISH, PUBLISHED, SUBSCRIBE, SUBSCRIBED, EVENT = 16, 17, 32, 33, 36
CALL, RESULT, REGISTER, REGISTERED, INVOCATION, YIELD = 48, 50, 64, 65, 68, 70
"""Message types (WAMP, section "Message Types")."""

FEATURES = {
    "caller": {"features": {"call_canceling": True, "progressive_call_results": True}},
    "callee": {"features": {"pattern_based_registration": True, "call_canceling": True, "caller_identification": True}},
    "publisher": {"features": {"publisher_exclusion": True}},
    "subscriber": {"features": {"pattern_based_subscription": True}},
}


class Refused(Exception):
    """The router said no: its error URI, and its words."""

    def __init__(self, uri: str, words: str = "") -> None:
        super().__init__(uri, words)
        self.uri = uri
        self.words = words


class RawPeer:
    """One connection. Every wait ends within *patience* seconds."""

    def __init__(self, url: str, authority_pem: str, patience: float = 20.0, source: str = "") -> None:
        """*url*: ``https://host:port``. Raises ``ssl.SSLError`` when the certificate is not good."""
        parts = urlsplit(url)
        context = ssl.create_default_context(cadata=authority_pem)
        plain = socket.create_connection(
            (parts.hostname or "", parts.port or 0), patience, source_address=(source, 0) if source else None
        )
        self.socket = context.wrap_socket(plain, server_hostname=parts.hostname)
        self.session = 0
        self._request = 0

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def greet(self) -> bytes:
        """The RawSocket handshake: 16 MiB, CBOR (serializer 3)."""
        self.socket.sendall(b"\x7f\xf3\x00\x00")
        return self._read(4)

    def send(self, *message: Any) -> None:
        self.frame(cbor2.dumps(list(message)))

    def frame(self, payload: bytes) -> None:
        self.socket.sendall(struct.pack("!I", len(payload)) + payload)

    def next(self) -> list[Any]:
        """The next message. Raises ``ConnectionError`` when the other side has closed."""
        (size,) = struct.unpack("!I", self._read(4))
        message: list[Any] = cbor2.loads(self._read(size))
        return message

    def join(
        self, key: Key | None = None, name: str | None = None, *, ticket: str = "", realm: str = "paradrop"
    ) -> dict[str, Any]:
        """Join by *key*, or by *ticket*; returns the details of the welcome. Raises :class:`Refused`."""
        self.greet()
        details: dict[str, Any] = {"roles": FEATURES, "authmethods": ["ticket" if ticket else "cryptosign"]}
        if name is not None:
            details["authid"] = name
        if key is not None:
            details["authextra"] = key.extra
        return self.hello("paradrop", details, lambda challenge: ticket or _signature(key, challenge))

    def hello(self, realm: str, details: dict[str, Any], answer: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
        self.send(HELLO, realm, details)
        while True:
            message = self.next()
            match message[0]:
                case 4:
                    self.send(AUTHENTICATE, answer(message[2]), {})
                case 2:
                    self.session = message[1]
                    welcome: dict[str, Any] = message[2]
                    return welcome
                case 3:
                    raise Refused(message[2], message[1].get("message", ""))

    def ask(self, kind: int, *rest: Any) -> list[Any]:
        """Send a request, and return what is answered to it. Raises :class:`Refused`."""
        self._request += 1
        self.send(kind, self._request, *rest)
        while True:
            message = self.next()
            if message[0] == ERROR and message[2] == self._request:
                raise Refused(message[4], " ".join(str(part) for part in (message[5] if len(message) > 5 else [])))
            if message[0] in (GOODBYE, ABORT):
                raise Refused(message[2], message[1].get("message", ""))
            if message[0] not in (INVOCATION, EVENT) and message[1] == self._request:
                return message

    def call(self, uri: str, *args: Any, options: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        message = self.ask(CALL, options or {}, uri, list(args), kwargs)
        return message[3][0] if len(message) > 3 and message[3] else None

    def register(self, uri: str, **options: Any) -> int:
        return int(self.ask(REGISTER, options, uri)[2])

    def subscribe(self, uri: str, **options: Any) -> int:
        return int(self.ask(SUBSCRIBE, options, uri)[2])

    def publish(self, uri: str, *args: Any, **options: Any) -> int:
        return int(self.ask(PUBLISH, {"acknowledge": True, **options}, uri, list(args))[2])

    def closed(self) -> bool:
        """Wait until the other side has closed; False when it does not within the patience."""
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except (ConnectionError, ssl.SSLError, OSError):
            return True
        return True

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise ConnectionError("the server has closed the connection")
            data += part
        return data


def _signature(key: Key | None, challenge: dict[str, Any]) -> str:
    from autobahn.wamp.types import Challenge

    assert key is not None
    return key.answer(Challenge("cryptosign", challenge))
