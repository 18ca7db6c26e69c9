"""A chute as the device remembers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from paradrop.manifest.model import Manifest, Service
from paradrop.values import SourceTree, Want
from paradropd.engine.port import InstanceKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One deploy of a chute: its manifest and its source, and the images built from them so far."""

    number: int
    manifest: Manifest
    tree: SourceTree
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
