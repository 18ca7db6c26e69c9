"""A chute as the device remembers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from paradrop.manifest.model import Manifest, Service
from paradrop.values import Want
from paradropd.engine.port import InstanceKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One deploy of a chute: its manifest, and the images built so far. Its source, which may be thousands of files, is only
    read when it is needed: :meth:`~paradropd.chutes.store.ChuteStore.tree`."""

    number: int
    manifest: Manifest
    images: Mapping[str, str] = field(default_factory=dict)
    """Image by service name; a service that is not here is not built yet."""

    @property
    def chute(self) -> str:
        return self.manifest.name

    @property
    def keys(self) -> tuple[InstanceKey, ...]:
        return tuple(self.key(service) for service in self.manifest.services)

    def key(self, service: Service) -> InstanceKey:
        return InstanceKey(self.chute, service.name, self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chute:
    """What is wanted: this release, running or stopped."""

    want: Want
    release: Release

    @property
    def name(self) -> str:
        return self.release.chute
