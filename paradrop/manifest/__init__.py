"""``paradrop.yaml``: text in, frozen values or every problem out. Pure: nothing here reads a file or knows Twisted."""

from __future__ import annotations

from paradrop.base.exceptions import InvalidManifest
from paradrop.manifest.document import MAX_SIZE, read_document
from paradrop.manifest.model import (
    Fabric,
    Health,
    HealthCheck,
    Limits,
    Manifest,
    PortBinding,
    Service,
    ServiceKind,
    Web,
)
from paradrop.manifest.problems import MOST, Path, schema, schema_problems, show_path
from paradrop.manifest.reading import manifest
from paradrop.manifest.rules import rule_problems

FILE_NAME = "paradrop.yaml"
"""What a manifest is called, in the folder of its chute."""


MAX_REASON = 400
"""Characters of one problem's reason: what it quotes may be as long as the manifest."""


def parse(text: bytes | str) -> Manifest:
    """The manifest that *text* is.

    Raises :class:`InvalidManifest` with every problem, each as ``path: reason``: first those of the YAML itself, with their
    lines; when there are none, those of the format.
    """
    document = read_document(text)
    problems = schema_problems(document)
    for path, reason in rule_problems(document):
        problems.setdefault(path, reason)
    if problems:
        raise InvalidManifest([_line(path, reason) for path, reason in list(problems.items())[:MOST]])
    return manifest(document)


def _line(path: Path, reason: str) -> str:
    return f"{show_path(path)}: {reason if len(reason) <= MAX_REASON else reason[: MAX_REASON - 1] + '…'}"


__all__ = [
    "FILE_NAME",
    "MAX_SIZE",
    "Fabric",
    "Health",
    "HealthCheck",
    "Limits",
    "Manifest",
    "PortBinding",
    "Service",
    "ServiceKind",
    "Web",
    "parse",
    "schema",
]
