"""How what we make in Docker is named and labelled, so that it is found again and nothing else ever is.

The labels say whose a thing is; names are for people who look at ``docker ps``. A chute's and a service's name hold no dot, so a
dot between them keeps ``a-b`` + ``c`` apart from ``a`` + ``b-c``.

A container inherits its image's labels, also one that somebody runs by hand. So images have labels of their own, and a container
counts as ours only with the label and the name that :meth:`Names.labels` and :meth:`Names.container` give together: a Dockerfile
can state labels for the containers of its build, but no names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paradropd.engine.port import BuildSpec, InstanceKey

DEVICE = "org.paradrop.device"
CHUTE = "org.paradrop.chute"
SERVICE = "org.paradrop.service"
RELEASE = "org.paradrop.release"
INSTANCE = "org.paradrop.instance"
"""Its value is the device's id; only containers that the engine starts have it."""

IMAGE_DEVICE = "org.paradrop.image.device"
IMAGE_CHUTE = "org.paradrop.image.chute"
IMAGE_SERVICE = "org.paradrop.image.service"

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
        """A container's."""
        return {**self.chute_labels(key.chute), SERVICE: key.service, RELEASE: str(key.release), INSTANCE: self.device}

    def chute_labels(self, chute: str) -> dict[str, str]:
        """A network's."""
        return {DEVICE: self.device, CHUTE: chute}

    def image_labels(self, key: InstanceKey) -> dict[str, str]:
        """An image's: without the release, so that the same source in a later one is the same image."""
        return {IMAGE_DEVICE: self.device, IMAGE_CHUTE: key.chute, IMAGE_SERVICE: key.service}

    def ours(self, labels: Mapping[str, str] | None) -> bool:
        """Whether the network with these labels is."""
        return bool(labels) and (labels or {}).get(DEVICE) == self.device

    def container_filters(self) -> dict[str, list[str]]:
        """A Docker API filter that only containers of this device's instances pass."""
        return {"label": [f"{INSTANCE}={self.device}"]}

    def network_filters(self, chute: str) -> dict[str, list[str]]:
        return {"label": [f"{name}={value}" for name, value in self.chute_labels(chute).items()]}

    def image_filters(self) -> dict[str, list[str]]:
        """A Docker API filter that only images built for this device pass."""
        return {"label": [f"{IMAGE_DEVICE}={self.device}"]}

    def key(self, listed: Mapping[str, Any]) -> InstanceKey | None:
        """Whose an item of ``GET /containers/json`` is; ``None`` when it is not one of ours."""
        labels = listed["Labels"] or {}
        if labels.get(INSTANCE) != self.device:
            return None
        try:
            key = InstanceKey(labels[CHUTE], labels[SERVICE], int(labels[RELEASE]))
        except (KeyError, ValueError):
            return None
        return key if f"/{self.container(key)}" in (listed["Names"] or ()) else None
