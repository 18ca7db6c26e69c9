"""What may be imported where: a chute installs `paradrop`, and each vendor's package has one place."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

OUTSIDE_OF_THE_SDK = ("crossbar", "docker", "klein", "jsonschema", "cattrs", "psutil", "rich", "argon2", "pathspec", "yaml")
TAKEN_WHERE_IT_IS = ("click", "passlib", "argon2", "OpenSSL", "service_identity")
"""What Autobahn and Twisted (26.10) import for themselves when they find it, and do without when they do not."""


def loaded(statement: str, hidden: tuple[str, ...] = ()) -> set[str]:
    """The top-level packages that *statement* brings in, in a new interpreter that does not find *hidden*."""
    script = f"""
import json, sys
for name in {hidden!r}:
    sys.modules[name] = None
{statement}
print(json.dumps(sorted({{name.partition(".")[0] for name, module in sys.modules.items() if module is not None}})))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return set(found)


@pytest.mark.parametrize("statement", ["import paradrop", "import paradrop.testing"])
def test_the_sdk_brings_in_nothing_that_only_the_others_need(statement: str) -> None:
    assert loaded(statement) & {*OUTSIDE_OF_THE_SDK, "numpy", "bjdata"} <= set(TAKEN_WHERE_IT_IS)


@pytest.mark.parametrize("statement", ["import paradrop", "import paradrop.testing"])
def test_the_sdk_does_without_what_only_the_others_install(statement: str) -> None:
    hidden = (*OUTSIDE_OF_THE_SDK, *TAKEN_WHERE_IT_IS, "bjdata")
    assert loaded(statement, hidden) & set(hidden) == set()


def imports(folder: Path) -> Iterator[tuple[str, str]]:
    """Each module below *folder* that imports something, with the top-level name of what it imports."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            names: list[Any] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for name in names:
                yield path.relative_to(folder).as_posix(), name.partition(".")[0]


@pytest.mark.parametrize(
    ("package", "places"),
    [
        ("docker", ("paradropd/engine/docker/",)),
        ("crossbar", ("paradropd/fabric/", "pdserver/gate/")),
        ("sqlalchemy", ("pdserver/registry/", "pdserver/testing/")),
    ],
)
def test_a_vendors_package_has_its_place(project: Path, package: str, places: tuple[str, ...]) -> None:
    folders = [project / "paradrop", project / "daemon", project / "tools"]
    users = {module for folder in folders for module, imported in imports(folder) if imported == package}
    assert users
    assert {module for module in users if not module.startswith(places)} == set()
