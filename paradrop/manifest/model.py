"""A chute's manifest as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MIB = 1 << 20


class ServiceKind(StrEnum):
    """How a service's image comes to be."""

    NORMAL = "normal"
    """Built from a Dockerfile in the chute's source."""
    LIGHT = "light"
    """The chute's source on a language base image; no Dockerfile."""
    IMAGE = "image"
    """An image that is there already, or in a registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a service may use at most; always set."""

    memory: int = 128 * MIB
    """Bytes."""
    cpu: float = 1.0
    """Processors: ``0.5`` is half of one."""
    pids: int = 128
    """Processes and threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortBinding:
    """A port of the device that leads to a port of the service."""

    external: int
    internal: int
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    name: str
    kind: ServiceKind
    image: str = ""
    """``light``: the base's name (``python3``); ``image``: an image reference; ``normal``: empty."""
    source: str = "."
    """Folder of the chute's source that this service is built from, relative to the manifest."""
    command: tuple[str, ...] = ()
    """Empty: the image's own."""
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    ports: tuple[PortBinding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """The chute's page: which service answers HTTP, and on which of its ports."""

    service: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    uses: tuple[str, ...] = ()
    """What the chute may call and subscribe to besides its own space: URIs below the device's address space, resolved by
    :func:`paradrop.uris.resolve`; ``.*`` at the end means everything below."""
    shares: tuple[str, ...] = ()
    """Which of its own names chutes of other devices may call and subscribe to: ``greet``, ``data.*``, ``*`` for all."""


class HealthCheck(StrEnum):
    PROCEDURE = "procedure"
    """Healthy while the chute has that procedure registered on the fabric."""
    HTTP = "http"
    """Healthy while GET of that path on the service's port answers 2xx or 3xx."""
    COMMAND = "command"
    """Healthy while that command, run inside the service, exits with 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    check: HealthCheck
    service: str
    procedure: str = ""
    """Short name of a procedure of the chute's own, such as ``greet``."""
    path: str = ""
    port: int = 0
    command: tuple[str, ...] = ()
    interval: float = 10.0
    """Seconds between two checks."""
    timeout: float = 5.0
    """Seconds one check may take."""
    retries: int = 3
    """Failed checks in a row that make a running chute unhealthy."""
    start: float = 30.0
    """Seconds after a start within which the chute must have become healthy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    name: str
    version: str
    services: tuple[Service, ...]
    description: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    web: Web | None = None
    fabric: Fabric = field(default_factory=Fabric)
    health: Health | None = None

    def service(self, name: str) -> Service:
        """The service of that name. Raises ``KeyError``."""
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(name)
