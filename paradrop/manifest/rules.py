"""The rules of a manifest that concern several of its parts at once, which a schema cannot say.

They look at the document as it was written, where anything may have the wrong type (the schema tells that), so that one run
finds every problem.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from paradrop import uris
from paradrop.manifest.problems import Path

MAIN = "main"
"""What the only service of the short form is called."""


def rule_problems(document: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Each place of *document* that breaks a rule, with the reason."""
    yield from _name(document)
    yield from _ports(document)
    yield from _named_services(document)
    yield from _own_procedure(document)
    if "web" in document and "web" in _mapping(document.get("config")):
        yield ("config", "web"), "is here twice: once as web and once in config"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _name(document: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    name = document.get("name")
    if isinstance(name, str) and name in uris.RESERVED_NAMES:
        others = ", ".join(sorted(uris.RESERVED_NAMES - {name}))
        yield ("name",), f"{name!r} is reserved for the device itself (as are {others})"


def _ports(document: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """One external port leads to one service; TCP and UDP are two different ports."""
    taken: dict[tuple[object, object], str] = {}
    for name, service in _mapping(document.get("services")).items():
        bindings = _mapping(_mapping(service).get("requests")).get("port-bindings")
        for index, binding in enumerate(bindings if isinstance(bindings, list) else []):
            external, protocol = _mapping(binding).get("external"), _mapping(binding).get("protocol", "tcp")
            if not isinstance(external, int) or not isinstance(protocol, str):
                continue
            if (external, protocol) in taken:
                place = ("services", name, "requests", "port-bindings", index, "external")
                yield place, f"port {external} ({protocol}) is bound by service {taken[external, protocol]!r} already"
            taken.setdefault((external, protocol), name)


def _named_services(document: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """``web`` and ``health`` name a service that exists; with one service only they need not."""
    if "services" in document and not isinstance(document["services"], dict):
        return
    names = list(_mapping(document.get("services"))) or [MAIN]
    for part in ("web", "health"):
        if not isinstance(document.get(part), dict):
            continue
        service = document[part].get("service")
        if service is None and len(names) > 1:
            yield (part, "service"), f"is missing; with several services it is one of {', '.join(names)}"
        elif isinstance(service, str) and service not in names:
            yield (part, "service"), f"there is no service {service!r}; there is {', '.join(names)}"


def _own_procedure(document: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """``health.procedure`` is below the chute's own space already."""
    name, procedure = document.get("name"), _mapping(document.get("health")).get("procedure")
    if isinstance(name, str) and isinstance(procedure, str) and procedure.startswith(f"{name}."):
        rest = procedure.removeprefix(f"{name}.")
        yield ("health", "procedure"), f"write {rest!r}, without the chute's own name"
