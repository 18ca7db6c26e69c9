"""What else a chute must be to be taken for a deploy on this device."""

from __future__ import annotations

from collections.abc import Iterable

from paradrop.base.exceptions import Conflict
from paradrop.manifest.model import Manifest


def refuse_taken_ports(manifest: Manifest, others: Iterable[Manifest], *, site: int | None = None, shared: bool = False) -> None:
    """Raises :class:`Conflict` when another chute of *others*, or the device's own web site, has a port of the device that
    *manifest* asks for.

    *site*: the web site's port. *shared*: whether chutes have the device's own ports, so that their pages take some, too.
    """
    ours = _ports(manifest, shared)
    if site is not None and (site, "tcp") in ours:
        raise Conflict(f"port {site}/tcp of the device is taken by its own web site")
    for other in others:
        taken = ours & _ports(other, shared)
        if other.name != manifest.name and taken:
            port, protocol = min(taken)
            raise Conflict(f"port {port}/{protocol} of the device is taken by the chute {other.name!r}")


def _ports(manifest: Manifest, shared: bool) -> set[tuple[int, str]]:
    bound = {(port.external, port.protocol) for service in manifest.services for port in service.ports}
    page = {(manifest.web.port, "tcp")} if shared and manifest.web is not None else set()
    return bound | page
