"""How what we make in Docker is named and labelled, so that it is found again and nothing else ever is.

The labels say whose a thing is; names are for people who look at ``docker ps``. A chute's and a service's name hold no dot, so a
dot between them keeps ``a-b`` + ``c`` apart from ``a`` + ``b-c``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paradropd.engine.port import BuildSpec, InstanceKey

DEVICE = "org.paradrop.device"
CHUTE = "org.paradrop.chute"
SERVICE = "org.paradrop.service"
RELEASE = "org.paradrop.release"

DIGEST_SHOWN = 16
"""How many characters of a source digest stand in an image's tag."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names and labels of one device's things."""

    device: str

    def container(self, key: InstanceKey) -> str:
        return f"paradrop-{self.device}-{key.chute}.{key.service}.{key.release}"

    def network(self, chute: str) -> str:
        return f"paradrop-{self.device}-{chute}"

    def image(self, spec: BuildSpec) -> str:
        """A part of an image's name may not end with a hyphen (distribution reference grammar); a chute's name may."""
        parts = ".".join(part.rstrip("-") for part in (spec.key.chute, spec.key.service))
        return f"paradrop-{self.device}/{parts}:{spec.digest[:DIGEST_SHOWN]}"

    def labels(self, key: InstanceKey) -> dict[str, str]:
        return {**self.chute_labels(key.chute), SERVICE: key.service, RELEASE: str(key.release)}

    def chute_labels(self, chute: str) -> dict[str, str]:
        return {DEVICE: self.device, CHUTE: chute}

    def ours(self, labels: Mapping[str, str] | None) -> bool:
        return bool(labels) and (labels or {}).get(DEVICE) == self.device

    def filters(self, **labels: str) -> dict[str, list[str]]:
        """A Docker API filter that only things of this device pass; *labels* narrow it further: ``chute="hello"``."""
        return {"label": [f"{DEVICE}={self.device}", *(f"org.paradrop.{name}={value}" for name, value in labels.items())]}

    def key(self, labels: Mapping[str, str] | None) -> InstanceKey | None:
        """Whose the container with these labels is; ``None`` when it is not one of ours."""
        if labels is None or not self.ours(labels):
            return None
        try:
            return InstanceKey(labels[CHUTE], labels[SERVICE], int(labels[RELEASE]))
        except (KeyError, ValueError):
            return None
