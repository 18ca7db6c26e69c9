"""The SDK and what it needs, collected for the Python of another image."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from paradrop_chutes.base.running import run


def sdk() -> Path:
    """The folder of the ``paradrop`` that this Python imports."""
    return Path(str(importlib.resources.files("paradrop")))


def sources() -> Iterator[Path]:
    return (path for path in sorted(sdk().rglob("*")) if path.is_file() and path.suffix in (".py", ".json", ".typed"))


def requirements() -> list[str]:
    """What the SDK needs, without the extras."""
    return sorted(line for line in importlib.metadata.requires("paradrop") or () if "extra ==" not in line)


def collect(context: Path, facts: dict[str, Any]) -> None:
    """Put the SDK, what it needs, and pip when the image has none, into ``context/site`` for the image's Python."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    project, wheels, site = context / "project", context / "wheels", context / "site"
    write_project(project)
    run(*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(project))
    (wheel,) = wheels.glob("paradrop-*.whl")
    target = ("--target", str(site), "--no-compile", "--only-binary=:all:", "--implementation", "cp")
    platforms = [argument for platform in tags(facts) for argument in ("--platform", platform)]
    wanted = [str(wheel)] if facts["pip"] else [str(wheel), "pip"]
    run(*pip, "install", *target, "--python-version", facts["version"], *platforms, *wanted)
    shutil.rmtree(project)
    shutil.rmtree(wheels)
    shutil.rmtree(site / "bin", ignore_errors=True)
    for tests in [*site.glob("twisted/*/test"), *site.glob("autobahn/**/test")]:
        shutil.rmtree(tests, ignore_errors=True)
    # Debian marks its Python as managed by apt (PEP 668); in an image nobody but pip installs anything.
    (context / "pip.conf").write_text("[global]\nbreak-system-packages = true\nroot-user-action = ignore\n")


def write_project(project: Path) -> None:
    """The SDK as a project that pip can make a wheel of, whether it was imported from a checkout or from a wheel."""
    for path in sources():
        target = project / "paradrop" / path.relative_to(sdk())
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (project / "pyproject.toml").write_text(
        f"""[build-system]
requires = ["setuptools>=80"]
build-backend = "setuptools.build_meta"
[project]
name = "paradrop"
version = "{importlib.metadata.version("paradrop")}"
dependencies = {json.dumps(requirements())}
[tool.setuptools.packages.find]
include = ["paradrop*"]
[tool.setuptools.package-data]
"*" = ["*.json", "py.typed"]
"""
    )


def tags(facts: dict[str, Any]) -> Iterator[str]:
    """The wheel platforms that the image's C library can load, best first (PEP 600; PEP 656 for musl)."""
    machine = facts["machine"]
    library, version = facts["libc"]
    if library == "glibc":
        minor = int(version.split(".")[1])
        yield from (f"manylinux_2_{n}_{machine}" for n in range(minor, 16, -1))
        yield f"manylinux2014_{machine}"
    else:
        yield from (f"musllinux_1_{n}_{machine}" for n in (2, 1))
