"""A server's realm in memory, with devices behind it: the twin of what :mod:`pdtools.wamp` dials for a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from paradrop import uris
from paradrop.base.exceptions import (
    AuthenticationError,
    Conflict,
    DeviceNotFoundException,
    DeviceOffline,
    InvitationRefused,
    Unreachable,
)
from paradrop.border import downwards, upwards
from paradrop.tokens import Token
from paradrop.uris import device_space
from paradrop.values import Welcome
from pdtools.fabric import Event, Fabric
from pdtools.fakes import Call, FakeRealm
from pdtools.target import Target


class FakeServer(FakeRealm):
    """A server's realm: its own procedures are offered on it by whole name, and its devices are realms of their own."""

    url = "https://shop.example:8443"

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self.keys: dict[str, str] = {}
        """User by public key (hexadecimal): who may come in."""
        self.codes: dict[str, str] = {}
        """User by the secret of a login code that is good."""
        self.lose_answers = 0
        """How many of the next logins take the code, and are not answered."""
        self._taken: dict[str, str] = {}
        self.authority = ""
        """The certificate (PEM) by which it can be verified."""
        self.online: dict[str, FakeRealm] = {}
        """The devices that are connected, by pdid."""
        self.away: set[str] = set()
        """The devices that are not."""
        self._relays: dict[str, Callable[[Event], None]] = {}

    def connect(self, pdid: str, device: FakeRealm) -> None:
        """*device* comes, as *pdid*."""
        self.away.discard(pdid)
        self.online[pdid] = device

        def relay(event: Event) -> None:
            self.publish(replace(event, topic=upwards(event.topic, pdid)))

        self._relays[pdid] = relay
        device.watchers.append(relay)

    def disconnect(self, pdid: str, back_after: float | None = None) -> None:
        """The device goes; *back_after* seconds later it is there again."""
        device = self.online.pop(pdid)
        device.watchers.remove(self._relays.pop(pdid))
        self.away.add(pdid)
        if back_after is not None:
            self.clock.callLater(back_after, self.connect, pdid, device)

    async def dial(self, target: Target) -> Fabric:
        """A new link. Raises what :func:`pdtools.wamp.dial` does."""
        assert target.login is not None
        if target.login.authority != self.authority:
            raise AuthenticationError(f"The server at {target.name} could not be verified.")
        if self.up and self.keys.get(target.login.key.public) != target.login.user:
            raise AuthenticationError(f"The server {target.name} does not take the key of {target.login.user}.")
        return await super().dial(target)

    async def accept(self, url: str, token: Token, public_key: str, label: str) -> Welcome:
        """Take a login code: once, and again for the same key."""
        if url != self.url or not self.up:
            raise Unreachable(f"The server {url} does not answer.")
        if token.secret in self.codes and self.keys.get(public_key, self.codes[token.secret]) != self.codes[token.secret]:
            raise Conflict("that key is somebody else's")
        if token.secret not in self.codes or self._taken.setdefault(token.secret, public_key) != public_key:
            raise InvitationRefused
        user = self.keys[public_key] = self.codes[token.secret]
        if self.lose_answers:
            self.lose_answers -= 1
            raise Unreachable(f"The server {url} has gone.")
        return Welcome(subject=user, server=self.url, name="shop")

    def answer(self, call: Call) -> Deferred[Any]:
        """What the device in whose space the procedure lies says, or the server in its place."""
        for pdid, device in list(self.online.items()):
            if call.uri.startswith(device_space(pdid)):
                self.calls.append(call)
                return device.answer(replace(call, uri=downwards(call.uri, pdid)))
        if call.uri not in self._procedures:
            for pdid in self.away:
                if call.uri.startswith(device_space(pdid)):
                    raise DeviceOffline(f"{pdid} is offline")
            if not call.uri.startswith(uris.SERVER):
                raise DeviceNotFoundException(f"no device has a name that {call.uri} begins with")
        return super().answer(call)
