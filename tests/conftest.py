"""Shared fixtures, and the rule for tests that need a real part: skipped with its name, or failed in CI."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from postgresql import PostgreSQL, binaries

# The contract suites are shipped in the packages: their assertions tell as much as a test file's.
pytest.register_assert_rewrite("paradropd.engine.contract", "paradropd.engine.testbench")

IN_CI = os.environ.get("CI") == "true"


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


PARTS = {
    "root": lambda: os.geteuid() == 0,
    "docker": lambda: _succeeds("docker", "version"),
    "bubblewrap": lambda: _succeeds("bwrap", "--ro-bind", "/", "/", "--unshare-pid", "true"),
    "chromium": lambda: shutil.which("chromium") is not None,
    "postgresql": lambda: binaries() is not None,
    "netns": lambda: os.geteuid() == 0 and shutil.which("ip") is not None,
}


@cache
def present(part: str) -> bool:
    """Whether this machine has the real *part*; asked once."""
    return PARTS[part]()


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for part in mark.args:
            if not present(part):
                message = f"this machine has no {part}"
                if IN_CI:
                    pytest.fail(f"{message}, and in CI nothing may be missing", pytrace=False)
                pytest.skip(message)


@pytest.fixture
def project() -> Path:
    """The root of the checkout."""
    return Path(__file__).parent.parent


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A running PostgreSQL of this session's own; a test that asks for it is marked ``needs("postgresql")``."""
    with PostgreSQL() as cluster:
        yield cluster
