"""A document that has passed the schema and the rules, as values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from paradrop.manifest import quantities
from paradrop.manifest.document import as_text
from paradrop.manifest.model import Fabric, Health, HealthCheck, Limits, Manifest, PortBinding, Service, ServiceKind, Web
from paradrop.manifest.rules import MAIN


def manifest(document: Mapping[str, Any]) -> Manifest:
    """The values of *document*, in which :mod:`.problems` and :mod:`.rules` found nothing wrong."""
    services: Mapping[str, Any] = document.get("services") or {MAIN: _short_form(document)}
    defaults = document.get("resources", {})
    only = next(iter(services))
    web = document.get("web") or document.get("config", {}).get("web")
    return Manifest(
        name=document["name"],
        version=as_text(document["version"]),
        description=document.get("description", ""),
        environment=_environment(document),
        services=tuple(_service(name, service, defaults) for name, service in services.items()),
        web=Web(service=web.get("service", only), port=int(web["port"])) if web else None,
        fabric=_fabric(document.get("fabric", {})),
        health=_health(document["health"], only) if "health" in document else None,
    )


def _fabric(document: Mapping[str, Any]) -> Fabric:
    return Fabric(uses=tuple(dict.fromkeys(document.get("uses", ()))), shares=tuple(dict.fromkeys(document.get("shares", ()))))


def _short_form(document: Mapping[str, Any]) -> dict[str, Any]:
    """The only service of a manifest of the second generation, as a service of the third."""
    service = {"type": document["type"], "environment": document.get("config", {}).get("environment", {})}
    for theirs, ours in (("use", "image"), ("command", "command")):
        if theirs in document:
            service[ours] = document[theirs]
    return service


def _service(name: str, service: Mapping[str, Any], defaults: Mapping[str, Any]) -> Service:
    requests = service.get("requests", {})
    return Service(
        name=name,
        kind=ServiceKind(service["type"]),
        image=service.get("image", ""),
        source=str(PurePosixPath(service.get("source", "."))),
        command=quantities.words(service["command"]) if "command" in service else (),
        environment=_environment(service),
        limits=_limits({**defaults, **requests}),
        ports=tuple(_binding(binding) for binding in requests.get("port-bindings", ())),
    )


def _environment(part: Mapping[str, Any]) -> dict[str, str]:
    return {name: as_text(value) for name, value in part.get("environment", {}).items()}


def _limits(given: Mapping[str, Any]) -> Limits:
    default = Limits()
    return Limits(
        memory=quantities.memory(given.get("memory", default.memory)),
        cpu=float(given.get("cpu", default.cpu)),
        pids=int(given.get("pids", default.pids)),
    )


def _binding(binding: Mapping[str, Any]) -> PortBinding:
    return PortBinding(
        external=int(binding["external"]),
        internal=int(binding["internal"]),
        protocol=binding.get("protocol", "tcp"),
    )


def _health(health: Mapping[str, Any], only: str) -> Health:
    check = next(check for check in HealthCheck if check.value in health)
    http = health.get("http", {})
    given: dict[str, Any] = {key: quantities.seconds(health[key]) for key in ("interval", "timeout", "start") if key in health}
    if "retries" in health:
        given["retries"] = int(health["retries"])
    return Health(
        check=check,
        service=health.get("service", only),
        procedure=health.get("procedure", ""),
        path=http.get("path", "/") if http else "",
        port=int(http.get("port", 0)),
        command=quantities.words(health.get("command", ())),
        **given,
    )
