"""Every example chute is one: a manifest without a problem, a main that it starts, a page of instructions."""

from __future__ import annotations

from pathlib import Path

import pytest

from paradrop.manifest import parse
from paradrop.manifest.model import ServiceKind

EXAMPLES = ("clock", "hello")


def test_these_are_all(project: Path) -> None:
    assert sorted(path.parent.name for path in (project / "chutes").glob("*/paradrop.yaml")) == sorted(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_well_formed(project: Path, name: str) -> None:
    folder = project / "chutes" / name
    manifest = parse((folder / "paradrop.yaml").read_bytes())
    (service,) = manifest.services
    assert manifest.name == name
    assert manifest.description
    assert manifest.health is not None
    assert (service.kind, service.image, service.command) == (ServiceKind.LIGHT, "python3", ("python3", "main.py"))
    assert (folder / "main.py").exists()
    assert f"pdtools deploy chutes/{name}" in (folder / "README.md").read_text(encoding="utf-8")
